"""Scripts: the few forms that a pool writes, and the coinbase script's height push (BIP 34)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import hash160


def p2pkh_script(key_hash: bytes) -> bytes:
    """Pay to the 20 bytes of a key hash."""
    return b"\x76\xa9\x14" + key_hash + b"\x88\xac"


def p2sh_script(script_hash: bytes) -> bytes:
    """Pay to the 20 bytes of a script hash."""
    return b"\xa9\x14" + script_hash + b"\x87"


def p2pk_script(public_key: bytes) -> bytes:
    """Pay to a public key (33 or 65 bytes)."""
    return bytes([len(public_key)]) + public_key + b"\xac"


def p2pkh_hash(script: bytes) -> bytes | None:
    """Return the key hash of a P2PKH or pay-to-pubkey script; None for any other."""
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return script[3:23]
    if len(script) in (35, 67) and script[0] == len(script) - 2 and script[-1] == 0xAC:
        return hash160(script[1:-1])
    return None


def p2sh_hash(script: bytes) -> bytes | None:
    """Return the script hash of a P2SH script; None for any other."""
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22] == 0x87:
        return script[2:22]
    return None


def push_number(number: int) -> bytes:
    """Push a non-negative number as BIP 34 requires for a height: 0 -> 00, 1..16 -> 51..60, else minimal
    little-endian with a sign byte."""
    if number == 0:
        return b"\x00"
    if number <= 16:
        return bytes([0x50 + number])
    data = number.to_bytes(number.bit_length() // 8 + 1, "little")
    return bytes([len(data)]) + data


def push_data(data: bytes) -> bytes:
    """Push up to 75 bytes. ValueError for more: no coinbase that this node makes has longer pushes."""
    if len(data) > 75:
        raise ValueError(f"a push of {len(data)} bytes")
    return bytes([len(data)]) + data


def coinbase_height(script: bytes) -> int:
    """Return the block height that a coinbase script starts with (BIP 34). ParseError if there is none."""
    if not script:
        raise ParseError("empty coinbase script")
    opcode = script[0]
    if opcode == 0:
        return 0
    if 0x51 <= opcode <= 0x60:
        return opcode - 0x50
    data = script[1 : 1 + opcode]
    if opcode > 8 or len(data) != opcode:
        raise ParseError("the coinbase script does not start with a height")
    return int.from_bytes(data, "little", signed=True)


def coinbase_script(height: int, flags: bytes, extension: bytes, *, commitment: bytes = b"") -> bytes:
    """Return height push, merged mining commitment (its push only if there is one), coinbase flags and the pool's
    name, cut to the 100 bytes that a coinbase may have; the commitment is at a place that is never cut."""
    pushed = push_data(commitment) if commitment else b""
    return (push_number(height) + pushed + flags + extension)[:100]


_PUSHDATA_SIZES = {0x4C: 1, 0x4D: 2, 0x4E: 4}
_SIGNATURE_OPERATIONS = {0xAC: 1, 0xAD: 1, 0xAE: 20, 0xAF: 20}


def script_operations(script: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Yield the operations of a script: (opcode, pushed bytes or None); a push that is cut short ends it with
    opcode -1."""
    position = 0
    while position < len(script):
        opcode = script[position]
        position += 1
        if opcode > 0x4E:
            yield opcode, None
            continue
        width = _PUSHDATA_SIZES.get(opcode, 0)
        size = int.from_bytes(script[position : position + width], "little") if width else opcode
        position += width
        if position + size > len(script):
            yield -1, None
            return
        yield opcode, script[position : position + size]
        position += size


@lru_cache(maxsize=256)
def script_signature_operations(script: bytes) -> int:
    """Return the signature operations of a script as blocks count them: each CHECKSIG one, each CHECKMULTISIG
    twenty."""
    return sum(_SIGNATURE_OPERATIONS.get(opcode, 0) for opcode, _ in script_operations(script))


def claimed_height(script: bytes, payload: bytes) -> int | None:
    """Return the height that a coinbase claims: its payload's (DIP 4), else that of the push which begins its
    script (BIP 34); None if it says nothing that can be a height."""
    if len(payload) >= 6:
        return int.from_bytes(payload[2:6], "little")
    try:
        height = coinbase_height(script)
    except ParseError:
        return None
    return height if 0 <= height < 2**32 else None
