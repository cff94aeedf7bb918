"""Scripts taken apart: counting signature operations, and Dash Core's ways of showing them (asm, descriptor).

The descriptor checksum is that of BIP 380.
"""

from __future__ import annotations

from p2pool.dash.address import AddressVersions, encode_address
from p2pool.dash.script import p2pkh_hash, p2sh_hash, script_operations, script_signature_operations
from p2pool.dash.transaction import Transaction

_NAMES = {
    0x61: "OP_NOP",
    0x69: "OP_VERIFY",
    0x6A: "OP_RETURN",
    0x75: "OP_DROP",
    0x76: "OP_DUP",
    0x87: "OP_EQUAL",
    0x88: "OP_EQUALVERIFY",
    0xA9: "OP_HASH160",
    0xAC: "OP_CHECKSIG",
    0xAD: "OP_CHECKSIGVERIFY",
    0xAE: "OP_CHECKMULTISIG",
    0xAF: "OP_CHECKMULTISIGVERIFY",
}


def signature_operations(transaction: Transaction) -> int:
    """Return the signature operations as blocks count them: those written in inputs' and outputs' own scripts."""
    scripts = [item.script for item in transaction.inputs] + [item.script for item in transaction.outputs]
    return sum(map(script_signature_operations, scripts))


def _show_push(data: bytes) -> str:
    if len(data) > 4:
        return data.hex()
    if not data:
        return "0"
    # Short pushes are shown as script numbers: little-endian, the top bit of the last byte is the sign.
    magnitude = int.from_bytes(data[:-1] + bytes([data[-1] & 0x7F]), "little")
    return str(-magnitude if data[-1] & 0x80 else magnitude)


def assembly(script: bytes) -> str:
    """Return the script in words, as `asm` shows it."""
    words = []
    for opcode, data in script_operations(script):
        if opcode == -1:
            words.append("[error]")
        elif data is not None:
            words.append(_show_push(data))
        elif 0x51 <= opcode <= 0x60:
            words.append(str(opcode - 0x50))
        elif opcode == 0x4F:
            words.append("-1")
        else:
            words.append(_NAMES.get(opcode, "OP_UNKNOWN"))
    return " ".join(words)


def script_address(script: bytes, versions: AddressVersions) -> str | None:
    """Return the address that a script pays to; None if it has none."""
    if script[:1] == b"\x76":
        key_hash = p2pkh_hash(script)
        if key_hash is not None:
            return encode_address(versions.pubkey_hash, key_hash)
    script_hash = p2sh_hash(script)
    return None if script_hash is None else encode_address(versions.script_hash, script_hash)


def script_type(script: bytes) -> str:
    """Return Dash Core's name for the form of a script."""
    if script[:1] == b"\x6a":
        return "nulldata"
    if p2sh_hash(script) is not None:
        return "scripthash"
    if p2pkh_hash(script) is not None:
        return "pubkeyhash" if script[:1] == b"\x76" else "pubkey"
    return "nonstandard"


def descriptor(script: bytes, versions: AddressVersions) -> str:
    """Return the output descriptor with its checksum."""
    address = script_address(script, versions)
    text = f"raw({script.hex()})" if address is None else f"addr({address})"
    return f"{text}#{descriptor_checksum(text)}"


_DESCRIPTOR_CHARACTERS = (
    "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
)
_CHECKSUM_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)


def descriptor_checksum(text: str) -> str:
    """Return the eight characters after '#' (BIP 380). `text` holds only characters that descriptors may have."""
    symbols: list[int] = []
    groups: list[int] = []
    for character in text:
        value = _DESCRIPTOR_CHARACTERS.index(character)
        symbols.append(value & 31)
        groups.append(value >> 5)
        if len(groups) == 3:
            symbols.append(groups[0] * 9 + groups[1] * 3 + groups[2])
            groups = []
    if len(groups) == 1:
        symbols.append(groups[0])
    elif len(groups) == 2:
        symbols.append(groups[0] * 3 + groups[1])
    remainder = 1
    for symbol in symbols + [0] * 8:
        top = remainder >> 35
        remainder = (remainder & 0x7FFFFFFFF) << 5 ^ symbol
        for bit, constant in enumerate(_GENERATOR):
            if top >> bit & 1:
                remainder ^= constant
    remainder ^= 1
    return "".join(_CHECKSUM_CHARACTERS[remainder >> 5 * (7 - i) & 31] for i in range(8))
