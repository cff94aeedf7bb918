"""SHA-256 and merkle trees without the extension `_sha256`: the same functions with the same results, by hashlib.

hashlib gives no access to SHA-256's inner state, so `compress` uses libcrypto's low-level functions through ctypes
if libcrypto can be found, and pure Python otherwise.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Final

BLOCK_SIZE: Final = 64
DIGEST_SIZE: Final = 32
INITIAL_STATE: Final = bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")
"""SHA-256's state before any data: eight big-endian words (FIPS 180-4, 5.3.3)."""

CompressFunction = Callable[[bytes, bytes], bytes]
"""(state of 32 bytes, data of n*64 bytes) -> state of 32 bytes."""
Data = bytes | bytearray | memoryview
Hashes = tuple[bytes, ...] | list[bytes]
"""Hashes of 32 bytes each; others are refused by ValueError."""


def _rotate_right(x: int, n: int) -> int:
    return (x >> n | x << (32 - n)) & 0xFFFFFFFF


@cache
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


def compress_python(state: bytes, data: bytes) -> bytes:
    """Run SHA-256's compression function over whole blocks (FIPS 180-4, 6.2.2)."""
    words = list(struct.unpack(">8I", state))
    constants = _cube_root_constants(64)
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
            t1 = h + s1 + ((e & f) ^ (~e & g)) + constants[i] + w[i]
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


@cache
def load_libcrypto() -> CompressFunction | None:
    """Return libcrypto's compression function if it computes a known answer, else None."""
    for name in ("libcrypto.so.3", "libcrypto.so.1.1", ctypes.util.find_library("crypto")):
        if name is None:
            continue
        try:
            compress = _compress_through(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
        probe = bytes(range(128))
        if compress(INITIAL_STATE, probe) == compress_python(INITIAL_STATE, probe):
            return compress
    return None


@cache
def fastest_compress() -> CompressFunction:
    """Return libcrypto's compression function if this machine has it."""
    return load_libcrypto() or compress_python


def _expect(data: bytes, size: int) -> bytes:
    """Return `data`. ValueError if it has another size."""
    if len(data) != size:
        raise ValueError(f"expected {size} bytes, not {len(data)}")
    return data


def _level(hashes: Hashes) -> list[bytes]:
    """Return a copy of these hashes. ValueError if one is not 32 bytes long."""
    return [_expect(each, DIGEST_SIZE) for each in hashes]


def _parent(left: bytes, right: bytes) -> bytes:
    return sha256(sha256(left + right).digest()).digest()


def sha256d(data: Data, /) -> bytes:
    """Return the SHA-256 of the SHA-256 of the data."""
    return sha256(sha256(data).digest()).digest()


def compress(state: bytes, blocks: bytes, /) -> bytes:
    """Return the state of SHA-256 (32 bytes) after blocks of 64 bytes."""
    if len(blocks) % BLOCK_SIZE:
        raise ValueError(f"{len(blocks)} bytes are not whole blocks")
    return fastest_compress()(_expect(state, DIGEST_SIZE), blocks)


def continue_sha256(state: bytes, hashed: int, data: bytes, /) -> bytes:
    """Return the SHA-256 of a message whose first `hashed` bytes, a multiple of 64, led to `state` and which goes
    on with `data`."""
    if hashed % BLOCK_SIZE:
        raise ValueError(f"{hashed} bytes are not whole blocks")
    return compress(state, data + padding(hashed + len(data)))


def continue_sha256d(state: bytes, hashed: int, data: bytes, /) -> bytes:
    """Return the SHA-256 of `continue_sha256` of the same arguments."""
    return sha256(continue_sha256(state, hashed, data)).digest()


def padding(size: int) -> bytes:
    """Return what SHA-256 appends to a message of `size` bytes."""
    return b"\x80" + b"\x00" * ((55 - size) % BLOCK_SIZE) + (size * 8).to_bytes(8, "big")


def merkle_root(hashes: Hashes, /) -> bytes:
    """Return the root over hashes of 32 bytes; 32 zero bytes if there are none."""
    level = _level(hashes) or [bytes(DIGEST_SIZE)]
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [_parent(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def merkle_branch(hashes: Hashes, index: int, /) -> list[bytes]:
    """Return the branch of the leaf at `index`. IndexError if there is no such leaf."""
    if not 0 <= index < max(1, len(hashes)):
        raise IndexError(f"no leaf {index} among {len(hashes)}")
    branch: list[bytes] = []
    level = _level(hashes)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        branch.append(level[index ^ 1])
        level = [_parent(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        index //= 2
    return branch


def coinbase_branch(other_hashes: Hashes, /) -> list[bytes]:
    """Return the branch of the coinbase, which is not known yet, over the other transactions."""
    branch: list[bytes] = []
    level = _level(other_hashes)  # without the unknown left-most entry
    while level:
        branch.append(level[0])
        if len(level) % 2 == 0:
            level.append(level[-1])
        level = [_parent(level[i], level[i + 1]) for i in range(1, len(level), 2)]
    return branch


def walk_branch(leaf: bytes, branch: Hashes, index: int, /) -> bytes:
    """Return the root over `leaf` at `index`. ValueError if the index does not fit the branch."""
    _expect(leaf, DIGEST_SIZE)
    for entry in branch:
        _expect(entry, DIGEST_SIZE)
        leaf = _parent(entry, leaf) if index & 1 else _parent(leaf, entry)
        index >>= 1
    if index:
        raise ValueError("index too large")
    return leaf
