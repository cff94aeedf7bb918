"""SHA-256 in the forms that Dash and the share chain use, among them the midstate that hash_link needs.

hashlib gives no access to SHA-256's inner state, so `midstate` and `continue_from_midstate` use libcrypto's
low-level functions through ctypes where libcrypto can be found, and pure Python otherwise.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import struct
from collections.abc import Callable
from hashlib import sha256

INITIAL_STATE = bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")
"""SHA-256's state before any data: eight big-endian words (FIPS 180-4, 5.3.3)."""

BLOCK_SIZE = 64


def sha256d(data: bytes) -> bytes:
    """Return the SHA-256 of the SHA-256 of the data."""
    return sha256(sha256(data).digest()).digest()


def sha256d_int(data: bytes) -> int:
    """Return the double SHA-256 as the little-endian number that names transactions and shares."""
    return int.from_bytes(sha256(sha256(data).digest()).digest(), "little")


def hash160(data: bytes) -> bytes:
    """Return the RIPEMD-160 of the SHA-256: the 20 bytes of a key hash. ValueError if OpenSSL was built without
    RIPEMD-160."""
    return hashlib.new("ripemd160", sha256(data).digest()).digest()


def hash_hex(value: int) -> str:
    """Return a hash as Dash Core displays it: 64 hex digits, the most significant first."""
    return f"{value:064x}"


def optional_hash_hex(value: int | None) -> str | None:
    """Return `hash_hex(value)`; None without a hash."""
    return None if value is None else hash_hex(value)


def short_hash(value: int | None) -> str:
    """Return the last eight hex digits of a hash, which logs show; "none" without one."""
    return "none" if value is None else hash_hex(value)[-8:]


# --- midstate -------------------------------------------------------------------------------------------

CompressFunction = Callable[[bytes, bytes], bytes]
"""(state of 32 bytes, data of n*64 bytes) -> state of 32 bytes."""


def _rotate_right(x: int, n: int) -> int:
    return (x >> n | x << (32 - n)) & 0xFFFFFFFF


def _cube_root_constants(count: int) -> list[int]:
    """Return the first 32 fractional bits of the cube roots of the first primes, computed exactly in integers."""
    primes: list[int] = []
    candidate = 2
    while len(primes) < count:
        if all(candidate % p for p in primes):
            primes.append(candidate)
        candidate += 1
    result = []
    for prime in primes:
        scaled = prime << 96  # cube root of (p * 2**96) is cbrt(p) * 2**32
        low, high = 0, 1 << 40
        while low < high:
            middle = (low + high + 1) // 2
            if middle**3 <= scaled:
                low = middle
            else:
                high = middle - 1
        result.append(low & 0xFFFFFFFF)
    return result


_ROUND_CONSTANTS = _cube_root_constants(64)


def _compress_python(state: bytes, data: bytes) -> bytes:
    """Run SHA-256's compression function over whole blocks (FIPS 180-4, 6.2.2)."""
    words = list(struct.unpack(">8I", state))
    for offset in range(0, len(data), BLOCK_SIZE):
        w = list(struct.unpack_from(">16I", data, offset))
        for i in range(16, 64):
            x, y = w[i - 15], w[i - 2]
            s0 = _rotate_right(x, 7) ^ _rotate_right(x, 18) ^ (x >> 3)
            s1 = _rotate_right(y, 17) ^ _rotate_right(y, 19) ^ (y >> 10)
            w.append((w[i - 16] + s0 + w[i - 7] + s1) & 0xFFFFFFFF)
        a, b, c, d, e, f, g, h = words
        for i in range(64):
            s1 = _rotate_right(e, 6) ^ _rotate_right(e, 11) ^ _rotate_right(e, 25)
            t1 = h + s1 + ((e & f) ^ (~e & g)) + _ROUND_CONSTANTS[i] + w[i]
            s0 = _rotate_right(a, 2) ^ _rotate_right(a, 13) ^ _rotate_right(a, 22)
            t2 = s0 + ((a & b) ^ (a & c) ^ (b & c))
            a, b, c, d, e, f, g, h = (t1 + t2) & 0xFFFFFFFF, a, b, c, (d + t1) & 0xFFFFFFFF, e, f, g
        words = [(old + new) & 0xFFFFFFFF for old, new in zip(words, (a, b, c, d, e, f, g, h), strict=True)]
    return struct.pack(">8I", *words)


class _Sha256Context(ctypes.Structure):
    """OpenSSL's SHA256_CTX: state words in the machine's order, bit count, pending block, counters."""

    _fields_ = [
        ("h", ctypes.c_uint32 * 8),
        ("nl", ctypes.c_uint32),
        ("nh", ctypes.c_uint32),
        ("data", ctypes.c_uint32 * 16),
        ("num", ctypes.c_uint),
        ("md_len", ctypes.c_uint),
    ]


_STATE = struct.Struct(">8I")
_STATE_IN_MEMORY = struct.Struct("=8I")


def _compress_through(library: ctypes.CDLL) -> CompressFunction:
    """Return SHA-256's compression function from OpenSSL's low-level interface. AttributeError if it is
    missing."""
    init, update = library.SHA256_Init, library.SHA256_Update
    init.argtypes = [ctypes.POINTER(_Sha256Context)]
    update.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    fresh = _Sha256Context()
    init(fresh)
    after_state = bytes(fresh)[_STATE.size :]
    make_buffer = (ctypes.c_char * ctypes.sizeof(_Sha256Context)).from_buffer_copy

    def compress(state: bytes, data: bytes) -> bytes:
        context = make_buffer(_STATE_IN_MEMORY.pack(*_STATE.unpack(state)) + after_state)
        update(context, data, len(data))
        return _STATE.pack(*_STATE_IN_MEMORY.unpack_from(context))

    return compress


def _load_libcrypto() -> CompressFunction | None:
    """Return libcrypto's compression function if it computes a known answer, else None."""
    for name in ("libcrypto.so.3", "libcrypto.so.1.1", ctypes.util.find_library("crypto")):
        if name is None:
            continue
        try:
            compress = _compress_through(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
        probe = bytes(range(128))
        if compress(INITIAL_STATE, probe) == _compress_python(INITIAL_STATE, probe):
            return compress
    return None


_compress_libcrypto = _load_libcrypto()
COMPRESS_PROVIDERS: dict[str, CompressFunction] = {"python": _compress_python}
if _compress_libcrypto is not None:
    COMPRESS_PROVIDERS["libcrypto"] = _compress_libcrypto
_compress: CompressFunction = _compress_libcrypto or _compress_python


def midstate(data: bytes, compress: CompressFunction = _compress) -> bytes:
    """Return the state (32 bytes, eight big-endian words) after the whole 64-byte blocks of `data`."""
    whole = len(data) - len(data) % BLOCK_SIZE
    return compress(INITIAL_STATE, data[:whole]) if whole else INITIAL_STATE


def continue_from_midstate(
    state: bytes, hashed_length: int, data: bytes, *, compress: CompressFunction = _compress
) -> bytes:
    """Return the SHA-256 digest of a message whose first `hashed_length` bytes (a multiple of 64) led to `state`
    and which goes on with `data`."""
    total = hashed_length + len(data)
    padding = b"\x80" + b"\x00" * ((55 - total) % BLOCK_SIZE) + (total * 8).to_bytes(8, "big")
    return compress(state, data + padding)
