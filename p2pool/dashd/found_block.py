"""A block of the parent chain that the pool found: what submission, history and node hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A block that is ready to be sent. `data` is the whole block; `subsidy` in duffs; `worker` is "another node"
    if a share of a peer is the block; `time` is when it was found, in Unix seconds, or None if unknown."""

    block_hash: int
    height: int
    data: bytes
    worker: str
    share_hash: int | None
    subsidy: int
    time: float | None = None


@lru_cache(maxsize=1)
def hex_of(data: bytes) -> str:
    """Return the hex of a block: milliseconds of work for a large one, and the same for its file and every
    daemon."""
    return data.hex()
