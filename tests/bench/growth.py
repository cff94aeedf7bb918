"""How the costs of a node grow with the pool: each with one size of it, and the exponent of that growth.

An exponent of 0 means that a cost does not depend on the size, 1 that it is proportional to it. All is measured in
one process, as processor time of this thread; memory as what the process holds.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from p2pool.dash.address import encode_address
from p2pool.jobs.context import build_work_context
from p2pool.node import Node
from p2pool.pool_stats import PoolStats
from p2pool.pool_stats import workers as worker_table
from p2pool.share.parsing import parse_share
from p2pool.share.versions import VERSION_16
from p2pool.stratum.limits import ServerLimits
from p2pool.stratum.server import StratumServer
from p2pool.stratum.session_context import SessionSettings
from tests.bench.measure import Table, seconds_per_call
from tests.bench.mining import job_time, make_node, share_times
from tests.bench.sharechain import best_share_times, chain_contents_of, hold, load
from tests.bench.web_stats import NOW as STATS_NOW
from tests.environment import make_environment

PAYEES = (50, 500, 2000)
CONNECTIONS = (1_000, 10_000, 20_000)
ADDRESSES = (1_000, 10_000)
SHARES = (8_640, 86_400)
WORKERS = (1_000, 10_000, 50_000)
ROUNDS = 5
NEW_SHARES = 100
MOST = 1.1
"""The greatest exponent that is good."""


class Transport(StringTransport):
    """What a connection writes to, and nobody reads."""

    lines = 0
    """Writes to all of them."""

    def write(self, data: bytes) -> None:
        """Drop bytes."""
        Transport.lines += 1


class Growth:
    """Costs by one size, as rows of a table."""

    def __init__(self, table: Table, key: str, label: str, unit: str) -> None:
        self._table, self._key, self._label, self._unit = table, key, label, unit
        self._points: list[tuple[int, float]] = []

    def add(self, size: int, value: float) -> None:
        """Print what a size costs."""
        self._points.append((size, value))
        self._table.add(f"{self._key}_{size}", f"{self._label}, {size:,}", value, self._unit)

    def finish(self) -> None:
        """Print the exponent."""
        found = exponent(self._points)
        note = "" if found <= MOST else f"   (aim <= {MOST:g}: MISSED)"
        self._table.add(f"{self._key}_exponent", f"{self._label}: exponent", found, "", note)


def exponent(points: Iterable[tuple[int, float]]) -> float:
    """Return the slope of a line through the logarithms: the power of the size that a cost grows with."""
    logs = [(math.log(size), math.log(max(value, 1e-12))) for size, value in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread


def shortest(call: Callable[[], object], rounds: int) -> float:
    """The processor time of a call, in seconds, the shortest of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        call()
        best = min(best, time.thread_time() - start)
    return best


def by_payees(table: Table) -> None:
    """Work, jobs and shares by the number of addresses that a block pays."""
    context = Growth(table, "context_payees", "new work by payees", "us")
    job = Growth(table, "job_payees", "a job for one more address by payees", "us")
    check = Growth(table, "check_payees", "full check of a share by payees", "us")
    for payees in PAYEES:
        node, _ = make_node(payees)
        context.add(payees, seconds_per_call(lambda node=node: new_work(node)) * 1e6)  # type: ignore[misc]
        job.add(payees, job_time(node) * 1e6)
        check.add(payees, share_times(node)[1] * 1e6)
    for growth in (context, job, check):
        growth.finish()


def new_work(node: Node) -> object:
    """Make the work that follows the best share anew."""
    return build_work_context(
        node.tracker, node.best_share, template=node.template, network=node.network, now=node.context.created
    )


class Crowd:
    """A stratum server in this process, with many connections that have jobs."""

    def __init__(self, connections: int, addresses: int, payees: int = 50) -> None:
        self.node, stats = make_node(payees)
        start = self.node.context.created
        settings = SessionSettings(network=self.node.network, start_difficulty=1.0, min_difficulty=2.0**-60)
        self._reactor = Clock()
        environment = make_environment(self._reactor, clock=lambda: start + self._reactor.seconds())
        limits = ServerLimits(max_connections=connections)
        self.server = StratumServer(environment, settings=settings, work=self.node, stats=stats, limits=limits)
        self.round()
        for number in range(connections):
            self._log_in(number, (number % addresses).to_bytes(20, "big"))

    def _log_in(self, number: int, key_hash: bytes) -> None:
        host = IPv4Address("TCP", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1)
        protocol = self.server.buildProtocol(host)
        protocol.makeConnection(Transport())
        address = encode_address(self.node.network.parent.addresses.pubkey_hash, key_hash)
        protocol.dataReceived(b'{"id":1,"method":"mining.subscribe","params":["bench/1"]}\n')
        line = f'{{"id":2,"method":"mining.authorize","params":["{address}.rig{number}","x"]}}\n'
        protocol.dataReceived(line.encode())

    def round(self) -> None:
        """Give all of them new work, a second later."""
        self._reactor.advance(1)
        self.node.renew_work()
        self.server.work_changed(self.node.template.previous_block, clean=True)
        while any(call.getTime() <= self._reactor.seconds() for call in self._reactor.getDelayedCalls()):
            self._reactor.advance(0)


def measure_crowd(connections: int, addresses: int, rounds: int) -> tuple[float, float]:
    """Return the milliseconds of a round of new work, and the KB that the process has grown by. Raises
    RuntimeError if somebody did not get it."""
    before = resident()
    crowd = Crowd(connections, addresses)
    Transport.lines = 0
    took = shortest(crowd.round, rounds) * 1000
    if Transport.lines != rounds * connections:
        raise RuntimeError(f"{Transport.lines} writes in {rounds} rounds to {connections} connections")
    return took, (resident() - before) / 1024


def apart(function: Callable[..., tuple[float, float]], *arguments: int) -> tuple[float, float]:
    """Call a function in a process of its own: memory that one has given up another would take again."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def by_connections(table: Table) -> None:
    """A round of new work, and memory, by connections and by addresses."""
    took = Growth(table, "round_connections", f"new work for all connections ({ADDRESSES[0]:,} addresses)", "ms")
    size = Growth(table, "memory_connections", "memory of all connections, after some rounds", "KB")
    for connections in CONNECTIONS:
        milliseconds, kilobytes = apart(measure_crowd, connections, ADDRESSES[0], ROUNDS)
        took.add(connections, milliseconds)
        size.add(connections, kilobytes)
    took.finish()
    size.finish()
    took = Growth(table, "round_addresses", f"new work for {CONNECTIONS[1]:,} connections by addresses", "ms")
    size = Growth(table, "memory_addresses", "memory of these connections by addresses", "KB")
    for addresses in ADDRESSES:
        milliseconds, kilobytes = apart(measure_crowd, CONNECTIONS[1], addresses, ROUNDS)
        took.add(addresses, milliseconds)
        size.add(addresses, kilobytes)
    took.finish()
    size.finish()


def by_shares(table: Table) -> None:
    """The share chain by its length."""
    best = Growth(table, "best_share_shares", "best share after one more, by shares held", "us")
    loading = Growth(table, "load_shares", "start from disk by shares", "ms")
    for length in SHARES:
        packed, following = chain_contents_of(length, NEW_SHARES)
        tracker = hold(packed, length // 2)
        coming = [parse_share(VERSION_16, contents, tracker.network) for contents in following]
        best.add(length, best_share_times(tracker, coming, forks=0)[0] * 1e6)
        with tempfile.TemporaryDirectory() as directory:
            loading.add(
                length, load(Path(directory), packed, verified=True, chain_length=length // 2) * length * 1000
            )
    best.finish()
    loading.finish()


def by_workers(table: Table) -> None:
    """Statistics by the number of workers."""
    taken = Growth(table, "snapshot_workers", "a snapshot by workers, a tenth of them active", "ms")
    rate = Growth(table, "rate_workers", "hash rate of an address by its workers", "us")
    usual = worker_table.MAX_WORKERS
    try:
        for count in WORKERS:
            worker_table.MAX_WORKERS = max(usual, count)  # type: ignore[misc]
            taken.add(count, snapshot_time(count) * 1000)
            rate.add(count, rate_time(count) * 1e6)
    finally:
        worker_table.MAX_WORKERS = usual  # type: ignore[misc]
    taken.finish()
    rate.finish()


def busy_time(names: Sequence[str], active: int, ask: Callable[[PoolStats, float], object]) -> float:
    """Seconds of asking statistics for something, a second after the last time; so many workers worked since."""
    stats, chance, now = PoolStats(STATS_NOW - 600), random.Random(1), STATS_NOW
    for name in names:
        stats.record_worker_on(name, difficulty=8.0, now=now - 500)
        stats.record_accepted(name, attempts=1e9, difficulty=8.0, dead=False, now=now - 100)
    ask(stats, now)
    best = float("inf")
    for _ in range(ROUNDS):
        now += 1.0
        for name in chance.sample(names, active):
            stats.record_accepted(name, attempts=1e9, difficulty=8.0, dead=False, now=now)
        start = time.thread_time()
        ask(stats, now)
        best = min(best, time.thread_time() - start)
    return best


def snapshot_time(count: int) -> float:
    """Seconds of a snapshot; a tenth of the workers have worked."""
    names = [f"yAddress{number % 1000:05d}.rig{number}" for number in range(count)]
    return busy_time(names, count // 10, lambda stats, now: stats.snapshot(now, 0.0))


def rate_time(count: int) -> float:
    """Seconds of asking for the hash rate of an address that has all workers."""
    names = [f"yAddress.rig{number}" for number in range(count)]
    return busy_time(names, min(count, 100), lambda stats, now: stats.address_hash_rate("yAddress", now))


def main() -> None:
    """Print the table."""
    table = Table("growth: costs by the size of the pool (one core, in process)")
    for measure in (by_payees, by_connections, by_shares, by_workers):
        measure(table)
    table.finish()
