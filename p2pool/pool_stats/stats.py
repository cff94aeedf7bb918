"""The counters.

`record_*` is called from the mining path: constant time, nothing that grows with the number of events.
`snapshot` gives an immutable value for whoever shows or stores it. There is no policy in here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from p2pool.base.bounded import BoundedDict, BoundedSet
from p2pool.base.histogram import Histogram
from p2pool.base.rates import DecayingRates, WindowedSum
from p2pool.pool_stats.records import (
    RATE_WINDOWS,
    BanRecord,
    BlockRecord,
    HostRecord,
    PoolSnapshot,
    SecuritySnapshot,
    ShareRecord,
)
from p2pool.pool_stats.workers import MAX_SOFTWARE, RATE_WINDOW, WorkerTable, count_code

MAX_RECENT: Final = 100
"""Shares of ours kept for pages."""
MAX_BLOCKS: Final = 1000
"""The pool's blocks kept for pages."""
MAX_ROADS: Final = 16
"""Roads by which news of a block come: each a word of the code's."""
NOTICE_BOUNDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SENDING_BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MAX_REASONS: Final = 32
"""Reasons for turning a connection away, and offences: each a word of the code's."""
_EVENT_WINDOW: Final = 60.0


class PoolStats:
    """The counters. Times are passed in, in Unix seconds."""

    def __init__(self, now: float) -> None:
        self.start_time = now
        self._connections = 0
        self._accepted = self._dead = self._shares = self._dead_shares = 0
        self._refused: dict[int, int] = {}
        self._work = WindowedSum(RATE_WINDOW)
        self._dead_work = WindowedSum(RATE_WINDOW)
        self._rates = DecayingRates(RATE_WINDOWS, now)
        self._workers = WorkerTable()
        self._recent_shares: deque[ShareRecord] = deque(maxlen=MAX_RECENT)
        self._blocks: BoundedDict[int, BlockRecord] = BoundedDict(MAX_BLOCKS)
        self._blocks_accepted = 0
        self._counted: BoundedSet[int] = BoundedSet(MAX_BLOCKS)
        """Blocks in `_blocks_accepted`: one that leaves the chain and comes back is counted once."""
        self._notices: dict[str, Histogram] = {}
        self._sending = Histogram(SENDING_BOUNDS)
        self._security = _Security()

    # --- miners ------------------------------------------------------------------------------------------

    def record_connected(self, now: float) -> None:
        """A miner connected."""
        self._connections += 1
        self._security.connections.add(1, now)

    def record_disconnected(self) -> None:
        """A miner's connection ended."""
        self._connections -= 1

    def record_worker_on(self, name: str, difficulty: float, now: float) -> None:
        """A worker was authorized on one more connection."""
        worker = self._workers.seen(name, now)
        self._workers.connected(worker)
        worker.difficulty = difficulty
        worker.changed()

    def record_worker_off(self, name: str) -> None:
        """A connection of this worker ended."""
        worker = self._workers.get(name)
        if worker is not None:
            self._workers.disconnected(worker)
            worker.changed()

    def record_software(self, name: str, text: str) -> None:
        """What a worker's machine says that it runs; the newest counts."""
        worker = self._workers.get(name)
        if worker is not None and text:
            worker.software = text[:MAX_SOFTWARE]
            worker.changed()

    def record_accepted(self, name: str, attempts: float, difficulty: float, dead: bool, now: float) -> None:
        """A pseudoshare that stands for `attempts` hashes; `dead` where it came too late to be of use."""
        self._workers.seen(name, now).record_accepted(attempts, difficulty, dead, now)
        self._accepted += 1
        self._work.add(attempts, now)
        self._rates.add(attempts)
        self._security.submissions += 1
        if dead:
            self._dead += 1
            self._dead_work.add(attempts, now)

    def record_refused(self, name: str | None, code: int, now: float) -> None:
        """A submission refused with a stratum error code; `name` None where the worker is not known."""
        count_code(self._refused, code)
        self._security.submissions += 1
        self._security.refused += 1
        if name is not None:
            worker = self._workers.seen(name, now)
            count_code(worker.refused_by, code)
            worker.changed()

    def record_share(self, record: ShareRecord) -> None:
        """A share of the chain, found here."""
        self._shares += 1
        self._dead_shares += record.dead
        worker = self._workers.seen(record.worker, record.time)
        worker.shares += 1
        worker.changed()
        self._recent_shares.append(record)

    # --- who is kept out ---------------------------------------------------------------------------------

    def record_turned_away(self, reason: str, now: float) -> None:
        """A connection was not let in."""
        self._security.count(self._security.turned_away_by, reason)
        self._security.turned_away.add(1, now)

    def record_offence(self, what: str) -> None:
        """A host did something that costs it."""
        self._security.count(self._security.offences, what)

    def record_bans(self, bans: Iterable[BanRecord]) -> None:
        """These are kept out now."""
        self._security.bans = tuple(bans)

    def record_hosts(self, hosts: Iterable[HostRecord]) -> None:
        """These behave worst now."""
        self._security.hosts = tuple(hosts)

    # --- blocks ------------------------------------------------------------------------------------------

    def restore_blocks(self, records: Iterable[BlockRecord]) -> None:
        """Blocks of earlier runs, the oldest first: shown, but not counted."""
        for record in records:
            self._blocks[record.block_hash] = record
            if record.in_chain:
                self._counted.add(record.block_hash)

    def record_block(self, record: BlockRecord) -> None:
        """A block, or what became of one recorded before. It is counted when it comes into the best chain."""
        self._blocks[record.block_hash] = record
        if record.in_chain and record.block_hash not in self._counted:
            self._counted.add(record.block_hash)
            self._blocks_accepted += 1

    def record_new_block_job(self, road: str, seconds: float) -> None:
        """The first job on a new block left, so long after the first news of the block."""
        histogram = self._notices.get(road)
        if histogram is None and len(self._notices) < MAX_ROADS:
            histogram = self._notices[road] = Histogram(NOTICE_BOUNDS)
        if histogram is not None:
            histogram.add(seconds)

    def record_block_sent(self, seconds: float) -> None:
        """A found block was sent on all roads, so long after it was found."""
        self._sending.add(seconds)

    # --- looking -----------------------------------------------------------------------------------------

    def hash_rate(self, now: float) -> float:
        """Hashes a second of all miners here, over the last RATE_WINDOW seconds."""
        return self._work.rate(now)

    def address_hash_rate(self, address: str, now: float) -> float:
        """Hashes a second of all workers of one payout address."""
        return self._workers.address_hash_rate(address, now)

    def snapshot(self, now: float) -> PoolSnapshot:
        """Everything at `now`; the rates of workers who did nothing since may be some seconds old."""
        return PoolSnapshot(
            time=now,
            start_time=self.start_time,
            connections=self._connections,
            accepted=self._accepted,
            refused=dict(self._refused),
            dead=self._dead,
            hash_rate=self._work.rate(now),
            dead_rate=self._dead_work.rate(now),
            hash_rates=self._rates.rates(now),
            shares=self._shares,
            dead_shares=self._dead_shares,
            blocks_accepted=self._blocks_accepted,
            workers=self._workers.snapshots(now),
            recent_shares=tuple(self._recent_shares),
            blocks=tuple(self._blocks.values()),
            notices={road: histogram.snapshot() for road, histogram in self._notices.items()},
            sending=self._sending.snapshot(),
            security=self._security.snapshot(now),
        )


class _Security:
    """The part that tells who comes and who is kept out. Submissions are counted as they come and put into their
    window when somebody looks: they come by thousands a second."""

    def __init__(self) -> None:
        self.connections = WindowedSum(_EVENT_WINDOW)
        self.turned_away = WindowedSum(_EVENT_WINDOW)
        self.turned_away_by: dict[str, int] = {}
        self.offences: dict[str, int] = {}
        self.bans: tuple[BanRecord, ...] = ()
        self.hosts: tuple[HostRecord, ...] = ()
        self.submissions = self.refused = 0
        self._submission_window = WindowedSum(_EVENT_WINDOW)
        self._refusal_window = WindowedSum(_EVENT_WINDOW)

    @staticmethod
    def count(counts: dict[str, int], word: str) -> None:
        """Count a word. Bound: MAX_REASONS."""
        if word in counts or len(counts) < MAX_REASONS:
            counts[word] = counts.get(word, 0) + 1

    def snapshot(self, now: float) -> SecuritySnapshot:
        """The part at `now`."""
        self._submission_window.add(self.submissions, now)
        self._refusal_window.add(self.refused, now)
        self.submissions = self.refused = 0
        return SecuritySnapshot(
            connection_rate=self.connections.rate(now),
            submission_rate=self._submission_window.rate(now),
            refusal_rate=self._refusal_window.rate(now),
            turned_away_rate=self.turned_away.rate(now),
            turned_away=dict(self.turned_away_by),
            offences=dict(self.offences),
            bans=self.bans,
            hosts=self.hosts,
        )
