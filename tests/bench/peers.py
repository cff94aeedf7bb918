"""Other nodes: a chain downloaded from one, a new share on its way to fifty, the memory that each takes."""

from __future__ import annotations

import gc
import json
import random
import struct
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable

from p2pool.node import Node, NodeSettings
from p2pool.node.peers_adapter import PeerNews, PeerPool
from p2pool.peers.hub import HubSettings, PeerHub
from p2pool.peers.session import PeerSession
from p2pool.peers.transactions import TransactionPool
from p2pool.pool_stats import PoolStats
from p2pool.sharechain.tracker import Tracker
from tests.bench.measure import Table
from tests.bench.sharechain import LENGTH, PAYEES, real_template
from tests.chains import easy_network, grow_chain
from tests.environment import PostponingReactor, make_environment
from tests.support import ROOT, make_template

PEERS = 50
SHARES = 200
TRANSACTIONS = 20


class Station:
    """A node and its hub, without sockets: what is postponed waits in `soon`."""

    def __init__(self, seed: int, now: float) -> None:
        self.now = now
        self.soon: deque[Callable[[], None]] = deque()
        self.network = easy_network()
        environment = make_environment(
            PostponingReactor(self.soon.append),
            clock=lambda: self.now,
            monotonic=time.monotonic,
            chance=random.Random(seed),
        )
        self.node = Node(
            environment,
            self.network,
            tracker=Tracker(self.network),
            settings=NodeSettings(lambda: b"\x01" * 20, 0.0, 655),
            stats=PoolStats(now),
        )
        self.transactions = TransactionPool()
        self.pool = PeerPool(self.node, lambda header: None)
        self.hub = PeerHub(
            environment,
            HubSettings(self.network, b"bench", 0, max_incoming=1000),
            pool=self.pool,
            transactions=self.transactions,
            sender_of=lambda share_hash: self.node.tracker.arrival(share_hash).sender,
        )
        self.node.thought.subscribe(lambda thought: self.hub.downloader.step(time.monotonic()))

    def start(self) -> None:
        """The chain is loaded."""
        self.news = PeerNews(
            self.node,
            self.hub,
            pool=self.pool,
            transactions=self.transactions,
            call_later=lambda *_: None,
            punish=lambda *_: None,
            block_found=lambda found: None,
        )

    def work(self) -> bool:
        """Do what was postponed; False where there was nothing."""
        done = bool(self.soon)
        while self.soon:
            self.soon.popleft()()
        return done


def raise_error(error: Exception) -> None:
    """A session must not fail here."""
    raise error


def connect(left: Station, right: Station) -> Callable[[], bool]:
    """Two stations back to back. Returns what moves the bytes, and says whether there were any."""
    wires: list[deque[bytes]] = [deque(), deque()]

    def end(station: Station, incoming: bool, wire: deque[bytes], port: int) -> PeerSession:
        return station.hub.open(
            "127.0.0.1",
            port,
            incoming=incoming,
            ours=("127.0.0.1", 1),
            write=wire.append,
            fail=raise_error,
            flow=lambda paused: None,
        )

    ends = (end(left, False, wires[0], 2), end(right, True, wires[1], 3))

    def move() -> bool:
        moved = False
        for wire, session in ((wires[0], ends[1]), (wires[1], ends[0])):
            while wire:
                session.receive(wire.popleft(), time.monotonic())
                moved = True
        return moved

    return move


def download_seconds() -> float:
    """From the first byte of the handshake to the whole chain held and its best share chosen."""
    template = real_template()
    source = Station(1, 0.0)
    shares = grow_chain(source.node.tracker, template, LENGTH, PAYEES)
    now = float(shares[-1].timestamp)
    source.now = now
    source.node.loaded()
    source.start()
    target = Station(2, now)
    target.start()
    start = time.perf_counter()
    move = connect(target, source)
    while any((move(), target.work(), source.work())) or target.hub.downloader.received < LENGTH - 1:
        target.hub.downloader.step(time.monotonic())
    took = time.perf_counter() - start
    if target.node.best_share != shares[-1].hash or len(target.node.tracker) != LENGTH:
        raise RuntimeError("the chain did not arrive")
    return took


def peer_size() -> float:
    """Bytes of memory a connected peer that knows as many transactions as we do."""
    station = Station(3, 1.7e9)
    rng = random.Random(5)
    station.transactions.add((rng.getrandbits(256), rng.randbytes(300)) for _ in range(TRANSACTIONS))
    others = [Station(10 + number, 1.7e9) for number in range(PEERS)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    moves = [connect(other, station) for other in others]
    while sum(move() for move in moves):
        station.work()
    gc.collect()
    size = (tracemalloc.get_traced_memory()[0] - before) / PEERS / 2  # both ends are in this process
    tracemalloc.stop()
    return size


def broadcast_times() -> list[float]:
    """Seconds from a solved share to the last of PEERS connections, which another process holds, having it."""
    command = [sys.executable, "-m", "tests.bench.peers_broadcast", str(PEERS), str(SHARES)]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return list(json.loads(answer.stdout.splitlines()[-1]))


def main() -> None:
    """Print the table."""
    table = Table(f"other nodes: a chain of {LENGTH}, {PEERS} peers (one core)")
    took = download_seconds()
    table.add("download_per_s", "shares a second taken while downloading", LENGTH / took, "shares/s")
    table.add_time("download_x11", "the same, a share", took / LENGTH)
    times = sorted(broadcast_times())
    table.add(
        "broadcast_50_p50_ms", f"solved to the last of {PEERS} peers: median", times[len(times) // 2] * 1e3, "ms"
    )
    p99 = times[int(len(times) * 0.99)] * 1e3
    table.add("broadcast_50_p99_ms", "the same, 99th percentile (aim <= 50)", p99, "ms")
    table.add("peer_bytes", "memory, a peer", peer_size(), "bytes")
    table.finish()


def solve(node: Node, rng: random.Random, now: float) -> None:
    """A miner finds a share on the node's work."""
    job = node.make_job(b"\x07" * 20, 1e-12)
    if job is None:
        raise RuntimeError("no work")
    while True:
        outcome = job.check(
            rng.randbytes(8),
            timestamp=job.timestamp,
            nonce=struct.unpack("<I", rng.randbytes(4))[0],
            version=job.version,
        )
        if outcome.meets_share:
            node.solved(outcome, "bench")
            return


def bench_template(seed: int) -> object:
    """A template with transactions, on blocks that no share solves."""
    rng = random.Random(seed)
    return make_template(transactions=[rng.randbytes(32) for _ in range(TRANSACTIONS)], bits=0x1B00FFFF)
