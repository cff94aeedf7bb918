"""Terms of jobs with fixed values."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dashd.template import BlockTemplate


@dataclass
class FixedTerms:
    """`JobTerms` as values."""

    fee: float = 0.0
    donation: int = 655
    stale_info: int = 0
    newest_template: BlockTemplate | None = None
    operator: bytes | None = None
    finders: tuple[bytes, ...] = ()
    local: float = 0.0
    pool: float | None = None
    address: float = 0.0
    ahead: float = 0.0

    def node_time(self, now: float) -> float:
        return now + self.ahead

    def operator_key_hash(self) -> bytes | None:
        return self.operator

    def recent_finders(self) -> tuple[bytes, ...]:
        return self.finders

    def local_rate(self, now: float) -> float:
        return self.local

    def pool_rate(self) -> float | None:
        return self.pool

    def address_rate(self, key_hash: bytes, now: float) -> float:
        return self.address
