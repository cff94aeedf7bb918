"""The counters.

`record_*` is called from the mining path: constant time, nothing that grows with the number of events.
`snapshot` gives an immutable value for whoever shows or stores it, taken once a second however many ask. There is
no policy in here.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Final

from p2pool.base.bounded import BoundedDict, BoundedSet
from p2pool.base.histogram import Histogram
from p2pool.base.process import ProcessFigures
from p2pool.base.rates import RATE_WINDOW, DecayingRates, WindowedSum
from p2pool.base.text import printable
from p2pool.pool_stats.figures import ChainFigures, DashdFigures, PeerCounts
from p2pool.pool_stats.gateways import Gateways, GatewaySums, WorkerSums
from p2pool.pool_stats.process import ProcessStats, X11Figures
from p2pool.pool_stats.records import (
    RATE_WINDOWS,
    BanRecord,
    BlockRecord,
    GatewaySnapshot,
    HostLoad,
    HostRecord,
    PoolSnapshot,
    SecuritySnapshot,
    ShareRecord,
)
from p2pool.pool_stats.workers import (
    MAX_SOFTWARE,
    MAX_WORKER_NAME,
    MAX_WORKERS,
    STEP,
    Snapshots,
    WorkerTable,
    count_code,
)

MAX_RECENT: Final = 100
"""Shares of this node that are kept for pages."""
MAX_BLOCKS: Final = 1000
"""The pool's blocks kept for pages."""
MAX_SOURCES: Final = 16
"""Sources of block notifications that are counted: each is a word in the code."""
NOTICE_BOUNDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SENDING_BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
JOB_BROADCAST_BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
SUBMIT_BOUNDS: Final = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SNAPSHOT_PERIOD: Final = 1.0
"""Seconds for which a snapshot is good enough for whoever asks."""
MAX_REASONS: Final = 32
"""Reasons for turning a connection away, and offences: each a word of the code's."""
MAX_REASON: Final = 128
"""Characters of such a word from a gateway."""
_EVENT_WINDOW: Final = 60.0
_RECENT_WINDOW: Final = 10.0


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
        self._gateways = Gateways(self._workers)
        self._recent_shares: deque[ShareRecord] = deque(maxlen=MAX_RECENT)
        self._blocks: BoundedDict[int, BlockRecord] = BoundedDict(MAX_BLOCKS)
        self._blocks_accepted = 0
        self._counted: BoundedSet[int] = BoundedSet(MAX_BLOCKS)
        """Blocks in `_blocks_accepted`: one that leaves the chain and comes back is counted once."""
        self._notices: dict[str, Histogram] = {}
        self._sending = Histogram(SENDING_BOUNDS)
        self._job_broadcasts = Histogram(JOB_BROADCAST_BOUNDS)
        self._submits = Histogram(SUBMIT_BOUNDS)
        self._security = _Security()
        self._process = ProcessStats()
        self._chain, self._peers, self._dashd = ChainFigures(), PeerCounts(), DashdFigures()
        self._alerts = 0
        self._latest: PoolSnapshot | None = None

    # --- miners ------------------------------------------------------------------------------------------

    def record_connected(self, now: float) -> None:
        """Count a miner that connected."""
        self._connections += 1
        self._security.connected += 1
        self._security.connections.add(1, now)

    def record_disconnected(self) -> None:
        """Count a miner that disconnected."""
        self._connections -= 1

    def record_worker_on(self, name: str, *, difficulty: float, now: float, site: str = "") -> None:
        """Record that a worker was authorized on one more connection, from `site`."""
        worker = self._workers.seen(name, now, site, connects=True)
        worker.difficulty = difficulty
        worker.changed()

    def record_worker_off(self, name: str) -> None:
        """Record that a connection of this worker ended."""
        worker = self._workers.get(name)
        if worker is not None:
            self._workers.disconnected(worker)
            worker.changed()

    def record_software(self, name: str, text: str) -> None:
        """Note the software that a worker's rig reports; the newest counts."""
        worker = self._workers.get(name)
        if worker is not None and text:
            worker.software = printable(text, MAX_SOFTWARE)
            worker.changed()

    def record_accepted(self, name: str, *, attempts: float, difficulty: float, dead: bool, now: float) -> None:
        """Record an accepted submission worth `attempts` hashes; `dead` if it came too late for the chain."""
        worker = self._workers.seen(name, now)
        if not worker.accepted:
            self._workers.worked(worker)
        worker.record_accepted(attempts, difficulty=difficulty, dead=dead, now=now)
        self._accepted += 1
        self._work.add(attempts, now)
        self._rates.add(attempts)
        self._security.submissions += 1
        if dead:
            self._dead += 1
            self._dead_work.add(attempts, now)

    def record_refused(self, name: str | None, code: int, now: float) -> None:
        """Record a submission rejected with a stratum error code; `name` is None if the worker is not known."""
        count_code(self._refused, code)
        self._security.submissions += 1
        self._security.refused += 1
        if name is not None:
            self._workers.seen(name, now).record_refused(code, now)

    def record_share(self, record: ShareRecord) -> None:
        """Record a share of the chain, found here."""
        self._shares += 1
        self._dead_shares += record.dead
        worker = self._workers.seen(record.worker, record.time)
        worker.shares += 1
        worker.changed()
        if record.worker != worker.name:
            record = replace(record, worker=worker.name)
        self._recent_shares.append(record)

    def record_submissions(self, count: int, seconds: float) -> None:
        """Record submissions that came together, and after how many seconds they were answered."""
        self._submits.add(seconds if seconds > 0 else 0.0, count)

    def record_job_broadcast(self, seconds: float) -> None:
        """Record the seconds from new work until a job broadcast served its last connection."""
        self._job_broadcasts.add(seconds if seconds > 0 else 0.0)

    # --- gateways ----------------------------------------------------------------------------------------

    def gateway_steps(self, sums: GatewaySums, now: float) -> Generator[None, None, None]:
        """Record what a gateway counted, each report once, in steps of STEP workers."""
        for count, worker in enumerate(sums.workers, 1):
            self._record_sums(worker, sums.seconds, now)
            if count % STEP == 0:
                yield
        security = self._security
        if sums.connected:
            security.connected += sums.connected
            security.connections.add(sums.connected, now)
        for reason, count in sums.turned_away.items():
            security.count(security.turned_away_by, printable(reason, MAX_REASON), count)
            security.turned_away.add(count, now)
        for what, count in sums.offences.items():
            security.count(security.offences, printable(what, MAX_REASON), count)
        self._gateways.take(sums, now)

    def _record_sums(self, sums: WorkerSums, seconds: float, now: float) -> None:
        """Record what was counted of one worker in so many seconds. Rates take the part that fits their window."""
        accepted, refused = sums.accepted, sum(sums.refused.values()) if sums.refused else 0
        if not accepted and not refused:
            return
        self._security.submissions += accepted + refused
        self._security.refused += refused
        self._accepted += accepted
        self._dead += sums.dead
        part, span = min(1.0, RATE_WINDOW / max(seconds, 1.0)), min(seconds, RATE_WINDOW)
        self._work.add(sums.attempts * part, now, span=span)
        self._rates.add(sums.attempts)
        if sums.dead:
            self._dead_work.add(sums.dead_attempts * part, now, span=span)
        for code, count in sums.refused.items():
            count_code(self._refused, code, count)
        if not sums.name:
            return
        worker = self._workers.seen(sums.name, now, sums.site)
        worker.difficulty = sums.difficulty
        if sums.software:
            worker.software = printable(sums.software, MAX_SOFTWARE)
        if accepted:
            if not worker.accepted:
                self._workers.worked(worker)
            worker.record_sums(
                accepted=accepted,
                attempts=sums.attempts,
                dead=sums.dead,
                dead_attempts=sums.dead_attempts,
                seconds=seconds,
                now=now,
            )
        for code, count in sums.refused.items():
            worker.record_refused(code, now, count)
        worker.changed()

    def gateways(self, now: float) -> tuple[GatewaySnapshot, ...]:
        """Return all gateways at `now`, by name."""
        return self._gateways.snapshot(now)

    def shared_rates(self, most: int, now: float) -> list[tuple[str, float]]:
        """Return (payout address, hash rate) of addresses that have miners both at a gateway and elsewhere: of the
        `most` strongest ones."""
        rates = [(address, self.address_hash_rate(address, now)) for address in self._gateways.shared_addresses()]
        return heapq.nlargest(most, rates, key=lambda each: each[1])

    # --- who is kept out ---------------------------------------------------------------------------------

    def record_turned_away(self, reason: str, now: float) -> None:
        """Record a rejected connection."""
        self._security.count(self._security.turned_away_by, reason)
        self._security.turned_away.add(1, now)

    def record_offence(self, what: str) -> None:
        """Record an offence of a host."""
        self._security.count(self._security.offences, what)

    def record_bans(self, bans: Iterable[BanRecord]) -> None:
        """Record the hosts that are banned now."""
        self._security.bans = tuple(bans)

    def record_hosts(self, hosts: Iterable[HostRecord]) -> None:
        """Record the hosts that behave worst now."""
        self._security.hosts = tuple(hosts)

    def record_host_loads(self, loads: Iterable[HostLoad]) -> None:
        """Record the hosts with the most connections now, the greatest first."""
        self._security.loads = tuple(loads)

    # --- blocks ------------------------------------------------------------------------------------------

    def restore_blocks(self, records: Iterable[BlockRecord]) -> None:
        """Record blocks from before the start: shown in the order of time, but not counted."""
        for record in records:
            self._blocks.setdefault(record.block_hash, _clean(record))
            if record.in_chain:
                self._counted.add(record.block_hash)
        in_order = sorted(self._blocks.values(), key=lambda record: (record.time, record.height))
        self._blocks.clear()
        for record in in_order:
            self._blocks[record.block_hash] = record

    def record_block(self, record: BlockRecord) -> None:
        """Record a block, or what became of one recorded before. It is counted when it comes into the best chain,
        unless another node found it before this one was started."""
        if record.block_hash not in self._blocks and not record.found_here and record.time < self.start_time:
            self._counted.add(record.block_hash)
        self._blocks[record.block_hash] = _clean(record)
        if record.in_chain and record.block_hash not in self._counted:
            self._counted.add(record.block_hash)
            self._blocks_accepted += 1

    def record_new_block_job(self, source: str, seconds: float) -> None:
        """Record how long after its first notification a new block's first job was sent."""
        histogram = self._notices.get(source)
        if histogram is None and len(self._notices) < MAX_SOURCES:
            histogram = self._notices[source] = Histogram(NOTICE_BOUNDS)
        if histogram is not None:
            histogram.add(seconds)

    def record_block_sent(self, seconds: float) -> None:
        """Record how long after it was found a block was sent on all channels."""
        self._sending.add(seconds)

    # --- everything else -----------------------------------------------------------------------------------

    def record_chain(self, figures: ChainFigures) -> None:
        """Record the present state of the share chain and the parent chain."""
        self._chain = figures

    def record_peers(self, counts: PeerCounts) -> None:
        """Record the nodes that are connected now."""
        self._peers = counts

    def record_dashd(self, figures: DashdFigures) -> None:
        """Record the present state of Dash Core."""
        self._dashd = figures

    def record_process(self, figures: ProcessFigures) -> None:
        """Record what the process uses now."""
        self._process.figures = figures

    def record_x11(self, figures: X11Figures) -> None:
        """Record the implementation of X11."""
        self._process.x11 = figures

    def record_reactor_delay(self, seconds: float, now: float) -> None:
        """Record by how many seconds the reactor was late."""
        self._process.record_delay(seconds, now)

    def record_gc_pause(self, seconds: float) -> None:
        """Record a pause for garbage collection."""
        self._process.record_pause(seconds)

    def record_alert(self) -> None:
        """Record an alert that was sent to people."""
        self._alerts += 1

    # --- reading -----------------------------------------------------------------------------------------

    def hash_rate(self, now: float) -> float:
        """Return the hashes per second of all miners here, over the last RATE_WINDOW seconds."""
        return self._work.rate(now)

    def address_hash_rate(self, address: str, now: float) -> float:
        """Return the hashes per second of all workers of one payout address."""
        return self._workers.address_hash_rate(address, now)

    def snapshot(self, now: float, good_for: float = SNAPSHOT_PERIOD) -> PoolSnapshot:
        """Everything at `now`: the newest snapshot if it is no older than `good_for`, else a new one, which
        takes 100 ms with 10,000 workers; as `taking` goes on every second, a few seconds spare that. (At
        the very moment of the newest one there may be news: only a clock that does not advance asks then.) The
        rates of workers who did nothing since may be some seconds old."""
        latest = self._latest
        if latest is not None and 0 < now - latest.time < good_for:
            return latest
        steps = self.taking(now)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                taken: PoolSnapshot = end.value
                return taken

    def taking(self, now: float) -> Generator[None, None, PoolSnapshot]:
        """Take a new snapshot in steps of less than a millisecond, between which miners have their turn. It is
        what the generator returns, and what `snapshot` gives from then on."""
        yield from self._gateways.forget_silent(now)
        yield from self._workers.forget_silent(now)
        workers = yield from self._workers.taking(now)
        self._latest = self._put_together(workers, now)
        return self._latest

    def _put_together(self, workers: Snapshots, now: float) -> PoolSnapshot:
        hash_rate, dead_rate, low, high = self._sum_rates(workers, now)
        return PoolSnapshot(
            time=now,
            start_time=self.start_time,
            connections=self._connections + self._gateways.connections,
            accepted=self._accepted,
            refused=dict(self._refused),
            dead=self._dead,
            hash_rate=hash_rate,
            dead_rate=dead_rate,
            hash_rate_low=low,
            hash_rate_high=high,
            hash_rates=self._rates.rates(now),
            shares=self._shares,
            dead_shares=self._dead_shares,
            blocks_accepted=self._blocks_accepted,
            workers=workers[0],
            addresses=workers[1],
            recent_shares=tuple(self._recent_shares),
            blocks=tuple(self._blocks.values()),
            notices={source: histogram.snapshot() for source, histogram in self._notices.items()},
            sending=self._sending.snapshot(),
            job_broadcasts=self._job_broadcasts.snapshot(),
            submits=self._submits.snapshot(),
            security=self._security.snapshot(now),
            chain=self._chain,
            peers=self._peers,
            dashd=self._dashd,
            process=self._process.snapshot(now),
            alerts=self._alerts,
            gateways=self._gateways.snapshot(now),
        )

    def _sum_rates(self, workers: Snapshots, now: float) -> tuple[float, float, float, float]:
        """Return the hash rate of all workers, the part of it that came too late, and its bounds."""
        if len(workers[0]) >= MAX_WORKERS:
            # Some are not remembered. Of so many the average is exact.
            rate = self._work.rate(now)
            return rate, self._dead_work.rate(now), rate, rate
        addresses = workers[1].values()
        rate = sum(each.hash_rate for each in addresses)
        below = math.hypot(*[each.hash_rate - each.hash_rate_low for each in addresses])
        above = math.hypot(*[each.hash_rate_high - each.hash_rate for each in addresses])
        return rate, sum(each.dead_rate for each in addresses), max(0.0, rate - below), rate + above


def _clean(record: BlockRecord) -> BlockRecord:
    """Return the record with a name that pages can show: it may come from a file."""
    worker = printable(record.worker, MAX_WORKER_NAME)
    return record if worker == record.worker else replace(record, worker=worker)


class _Security:
    """The part that tells who comes and who is kept out. Submissions are counted as they come and put into their
    window when somebody asks: they come by thousands a second."""

    def __init__(self) -> None:
        self.connected = 0
        self.connections = WindowedSum(_EVENT_WINDOW)
        self.turned_away = WindowedSum(_EVENT_WINDOW)
        self.turned_away_by: dict[str, int] = {}
        self.offences: dict[str, int] = {}
        self.bans: tuple[BanRecord, ...] = ()
        self.hosts: tuple[HostRecord, ...] = ()
        self.loads: tuple[HostLoad, ...] = ()
        self.submissions = self.refused = 0
        self._submission_window = WindowedSum(_EVENT_WINDOW)
        self._recent_window = WindowedSum(_RECENT_WINDOW, 10)
        self._refusal_window = WindowedSum(_EVENT_WINDOW)

    @staticmethod
    def count(counts: dict[str, int], word: str, number: int = 1) -> None:
        """Count a word. Bound: MAX_REASONS."""
        if word in counts or len(counts) < MAX_REASONS:
            counts[word] = counts.get(word, 0) + number

    def snapshot(self, now: float) -> SecuritySnapshot:
        """Return the part at `now`."""
        self._submission_window.add(self.submissions, now)
        self._recent_window.add(self.submissions, now)
        self._refusal_window.add(self.refused, now)
        self.submissions = self.refused = 0
        return SecuritySnapshot(
            connected=self.connected,
            connection_rate=self.connections.rate(now),
            submission_rate=self._submission_window.rate(now),
            refusal_rate=self._refusal_window.rate(now),
            turned_away_rate=self.turned_away.rate(now),
            turned_away=dict(self.turned_away_by),
            offences=dict(self.offences),
            bans=self.bans,
            hosts=self.hosts,
            recent_submission_rate=self._recent_window.rate(now),
            loads=self.loads,
        )
