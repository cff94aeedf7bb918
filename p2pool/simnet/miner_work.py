"""What a miner hashes: jobs as servers send them, the work that follows from one, and the shares found in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import sha256d
from p2pool.dash.merkle import walk_branch
from p2pool.wire.codec import pack_uint32

MAX_BRANCH = 32
"""Entries of a merkle branch: a block of 2**32 transactions."""
MAX_EXTRANONCE = 16
"""Bytes of either extranonce; pools use 4 or 8."""


@dataclass(frozen=True, slots=True)
class MiningJob:
    """One mining.notify. `previous_block` and the entries of `merkle_branch`: 32 bytes in hashing order."""

    job_id: str
    previous_block: bytes
    coinbase_start: bytes
    coinbase_end: bytes
    merkle_branch: tuple[bytes, ...]
    version: int
    bits: int
    timestamp: int
    clean_jobs: bool = field(compare=False)

    def header(self, extranonce1: bytes, extranonce2: bytes, nonce: int = 0) -> bytes:
        """Return the 80 bytes to hash."""
        coinbase = self.coinbase_start + extranonce1 + extranonce2 + self.coinbase_end
        return b"".join(
            (
                pack_uint32(self.version),
                self.previous_block,
                walk_branch(sha256d(coinbase), self.merkle_branch),
                pack_uint32(self.timestamp),
                pack_uint32(self.bits),
                pack_uint32(nonce),
            )
        )


@dataclass(frozen=True, slots=True)
class Work:
    """A job with all that hashing it needs. Equal if the same hashes would be the same shares."""

    job: MiningJob
    extranonce1: bytes
    extranonce2_size: int
    difficulty: float
    target: int

    def header(self, extranonce2: bytes) -> bytes:
        """Return the 80 bytes to hash, with nonce 0 in the last four."""
        return self.job.header(self.extranonce1, extranonce2)


@dataclass(frozen=True, slots=True)
class FoundShare:
    """A nonce (a number) whose hash meets the target of `work`."""

    work: Work
    extranonce2: bytes
    nonce: int


def parse_notify(params: list[object]) -> MiningJob:
    """Return the job of a mining.notify. Raises ParseError."""
    if len(params) < 9:
        raise ParseError(f"mining.notify has {len(params)} parameters, not 9")
    job_id, previous, start, end, branch, version, bits, timestamp, clean = params[:9]
    if not isinstance(job_id, str) or not 0 < len(job_id) <= 64 or not job_id.isascii():
        raise ParseError("the job id is not a short text")
    if not isinstance(branch, list) or len(branch) > MAX_BRANCH:
        raise ParseError(f"the merkle branch is not a list of at most {MAX_BRANCH} hashes")
    if not isinstance(clean, bool):
        raise ParseError("clean_jobs is not true or false")
    return MiningJob(
        job_id,
        _reverse_words(parse_hex(previous, "prevhash", 32)),
        parse_hex(start, "coinb1"),
        parse_hex(end, "coinb2"),
        tuple(parse_hex(entry, "an entry of the merkle branch", 32) for entry in branch),
        int.from_bytes(parse_hex(version, "version", 4), "big"),
        int.from_bytes(parse_hex(bits, "nbits", 4), "big"),
        int.from_bytes(parse_hex(timestamp, "ntime", 4), "big"),
        clean,
    )


def parse_hex(value: object, what: str, size: int | None = None) -> bytes:
    """Return the bytes of a hex text, `size` of them unless that is None. Raises ParseError."""
    if not isinstance(value, str):
        raise ParseError(f"{what} is not text")
    try:
        data = bytes.fromhex(value)
    except ValueError:
        raise ParseError(f"{what} is not hex") from None
    if len(data) * 2 != len(value):  # fromhex takes white space
        raise ParseError(f"{what} is not hex")
    if size is not None and len(data) != size:
        raise ParseError(f"{what} has {len(data)} bytes, not {size}")
    return data


def _reverse_words(data: bytes) -> bytes:
    """Return the bytes of each 4-byte word reversed: what stratum does to the previous block's hash."""
    return b"".join(data[i : i + 4][::-1] for i in range(0, len(data), 4))


def parse_extranonces(extranonce1: object, size: object) -> tuple[bytes, int]:
    """Return extranonce1 and the size of extranonce2. Raises ParseError."""
    first = parse_hex(extranonce1, "extranonce1")
    if len(first) > MAX_EXTRANONCE:
        raise ParseError(f"extranonce1 has {len(first)} bytes")
    if type(size) is not int or not 1 <= size <= MAX_EXTRANONCE:
        raise ParseError(f"the size of extranonce2 is not in 1..{MAX_EXTRANONCE}")
    return first, size
