"""Makes events for miners of what the node knows: rejected submissions of their workers, and blocks that pay
them. Workers that fall silent are reported by the operator's watch (`p2pool.alerts.workers`), and put into a
miner's words here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Final

from p2pool.alerts.miners.digest import MinerEvent
from p2pool.alerts.miners.subscriptions import MinerEventKind
from p2pool.base.bounded import BoundedDict
from p2pool.base.text import format_dash, format_duration, format_rate
from p2pool.dash.hashes import hash_hex
from p2pool.pool_stats import BlockRecord, BlockStatus, EventKind, EventRecord, WorkerSnapshot
from p2pool.pool_stats.judgement import STATES, MinerState, judge, reason_of
from p2pool.pool_stats.workers import address_of

CALM: Final = 600.0
"""Seconds without too many rejected submissions after which a worker is no longer reported as rejected."""
MAX_REFUSED: Final = 2_000
"""Rejected workers that are remembered."""
STEP: Final = 500
"""Workers that are checked in one step."""
MAX_BLOCKS: Final = 200
"""Blocks that are remembered as reported."""
NEWEST: Final = 50
"""Blocks that are looked at in each check, the newest ones."""
MATURITY: Final = 100
"""Blocks on top of a block after which its payouts can be spent."""


def _rig(worker: str) -> str:
    """Return how a message calls a worker: without the address, which its end names."""
    return f"worker {worker.partition('.')[2]}" if "." in worker else "the worker without a name"


def worker_event(event: EventRecord) -> MinerEvent | None:
    """Return what the owner of a worker is told when the operator is told that it fell silent or is back; None for
    other events."""
    if event.kind not in (EventKind.WORKER_DOWN, EventKind.WORKER_UP):
        return None
    name, details = event.subject, event.details
    if event.kind is EventKind.WORKER_UP:
        text = f"{_rig(name)} is back, after {format_duration(_number(details.get('away')))}"
        word = "worker_back"
    else:
        silent = format_duration(max(0.0, event.time - _number(details.get("down_since"))))
        state = "it is still connected" if details.get("connections") else "it is not connected"
        rate = _number(details.get("hash_rate"))
        before = f"; its hash rate was {format_rate(rate)}" if rate else ""
        text = f"{_rig(name)} has submitted nothing for {silent}; {state}{before}"
        word = "worker_silent"
    return MinerEvent(
        event.time, MinerEventKind.SILENT, address_of(name), text, {"event": word, "worker": name, **details}
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


class RefusalWatch:
    """Watches the rejected submissions of workers. One is reported when the judgement calls it rejected, and when
    it has not been for CALM seconds."""

    def __init__(self) -> None:
        self._refused: BoundedDict[str, float] = BoundedDict(MAX_REFUSED)
        """When each reported worker was last seen to be rejected."""

    def check(
        self, workers: Sequence[WorkerSnapshot], addresses: Container[str], now: float
    ) -> Iterator[MinerEvent | None]:
        """Yield what happened to the workers of `addresses` since the last check; None between two steps."""
        for count, worker in enumerate(workers, 1):
            if (worker.refusals is not None or worker.name in self._refused) and (
                event := self._check(worker, addresses, now)
            ) is not None:
                yield event
            elif count % STEP == 0:
                yield None

    def _check(self, worker: WorkerSnapshot, addresses: Container[str], now: float) -> MinerEvent | None:
        name, address = worker.name, address_of(worker.name)
        if address not in addresses:
            return None
        last = self._refused.get(name)
        if STATES[reason_of(worker, now)] is MinerState.REFUSED:
            self._refused[name] = now
            if last is not None:
                return None
            judgement = judge(worker, now)
            text = f"{_rig(name)}: {judgement.why[0].lower()}{judgement.why[1:].rstrip('.')}"
            details = {"event": "refusals_high", "worker": name, "reason": judgement.reason.value}
            return MinerEvent(now, MinerEventKind.REFUSED, address, text, details)
        if last is None or 0 <= now - last < CALM:
            return None
        del self._refused[name]
        if not worker.connections:
            return None  # that it is gone is another event
        details = {"event": "refusals_normal", "worker": name}
        return MinerEvent(
            now, MinerEventKind.REFUSED, address, f"{_rig(name)}: its submissions are accepted again", details
        )


class PayoutWatch:
    """Watches blocks: each address that one pays is told once it is in the chain, and again if it is orphaned.
    `paid` returns duffs by address of a block, None while they are not known; `period` is the mean time between
    two blocks, in seconds."""

    def __init__(self, paid: Callable[[int], Mapping[str, int] | None], *, symbol: str, period: float) -> None:
        self._paid = paid
        self._symbol = symbol
        self._period = period
        self._reported: BoundedDict[str, bool] = BoundedDict(MAX_BLOCKS)
        """By block hash: whether it was in the chain when it was reported last."""
        self.is_changed = False
        """Whether the file has to be written again."""

    def check(self, blocks: Sequence[BlockRecord], addresses: Container[str], now: float) -> Iterator[MinerEvent]:
        """Yield what the newest blocks mean to `addresses`."""
        for block in blocks[-NEWEST:]:
            name = hash_hex(block.block_hash)
            was_in_chain = self._reported.get(name)
            is_lost = block.status in (BlockStatus.ORPHANED, BlockStatus.REFUSED)
            if block.in_chain is was_in_chain or not (block.in_chain or (is_lost and was_in_chain)):
                continue
            paid = self._paid(block.block_hash)
            if paid is None:
                continue
            self._reported[name] = block.in_chain
            self.is_changed = True
            for address, duffs in paid.items():
                if duffs and address in addresses:
                    yield self._event(block, address, duffs=duffs, now=now)

    def _event(self, block: BlockRecord, address: str, *, duffs: int, now: float) -> MinerEvent:
        amount, name = f"{format_dash(duffs)} {self._symbol}", hash_hex(block.block_hash)
        if block.in_chain:
            spendable = block.height + MATURITY
            left = format_duration(max(0, MATURITY - block.confirmations) * self._period)
            text = (
                f"block {block.height} pays you {amount}, which can be spent in about {left}; its hash is {name}"
            )
            word = "block_paid"
        else:
            spendable = None
            text = f"block {block.height} is orphaned: its payout of {amount} to you is lost; its hash is {name}"
            word = "block_lost"
        details = {
            "event": word,
            "block_hash": name,
            "block_height": block.height,
            "block_time": block.time,
            "value_duffs": duffs,
            "spendable_height": spendable,
        }
        return MinerEvent(now, MinerEventKind.BLOCK, address, text, details)

    # --- for the file ------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, bool]:
        """Return the reported blocks for the file."""
        return dict(self._reported)

    def restore(self, document: object) -> None:
        """Load what `to_json` returned; malformed parts are ignored."""
        if isinstance(document, dict):
            for name, in_chain in list(document.items())[-MAX_BLOCKS:]:
                if isinstance(name, str) and len(name) == 64 and isinstance(in_chain, bool):
                    self._reported[name] = in_chain
