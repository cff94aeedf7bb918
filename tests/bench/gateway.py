"""Gateways, end to end: a node, a redis-server and gateways as real processes, under the load of `stratum_load`.

If there are two cores, the load generator has one, and all else shares the other: processor time is what counts.
Sizes are constants, so that a test can run it in small.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.measure import Table
from tests.bench.stratum_load import DIFFICULTY, cpu_seconds
from tests.bench.stratum_processes import (
    BenchNode,
    LoadProcess,
    SimulatedDash,
    cores,
    node_flags,
    pin,
    prepare_shares,
)
from tests.e2e.gateway_pool import GatewayProcess
from tests.e2e.process import Process, wait_for
from tests.e2e.redis_server import RedisServer

GATEWAYS = (1, 2, 4)
CONNECTIONS = 100
"""That submit, of all gateways together."""
IN_FLIGHT = 4
SECONDS, WARM_UP = 5.0, 1.5
TIP_CONNECTIONS, TIP_GATEWAYS, BLOCKS = 10_000, 4, 5
ADDRESSES, PAYEES, SHARES = 1000, 50, 60
BLOCK_ATTEMPTS = 2**17
PATIENCE = 60.0
AIM_NODE_X11 = 0.2


@dataclass
class Pool:
    """The processes of one measurement."""

    dash: SimulatedDash
    redis: RedisServer
    node: BenchNode
    gateways: list[GatewayProcess]
    loads: list[LoadProcess]

    def cpu(self) -> tuple[float, float, float]:
        """Return the processor time of all gateways, of the node and of Redis."""
        assert self.redis.process is not None
        return (
            sum(cpu_seconds(each.process.pid) for each in self.gateways),
            cpu_seconds(self.node.process.pid),
            cpu_seconds(self.redis.process.pid),
        )

    def sent_bytes(self) -> int:
        """Return how many bytes Redis has sent and received."""
        with self.redis.client() as client:
            stats: Any = client.info("stats")
        return int(stats["total_net_output_bytes"]) + int(stats["total_net_input_bytes"])


def _pool(stack: ExitStack, directory: Path, count: int, flags: set[str]) -> Pool:
    """Start a node with so many gateways, each with a load generator."""
    node_core, load_core = cores()
    directory.mkdir()
    dash = stack.enter_context(SimulatedDash(directory, BLOCK_ATTEMPTS))
    pin(dash, load_core)
    dash.wait_until_ready()
    server = stack.enter_context(RedisServer(directory / "redis"))
    most = str(2 * TIP_CONNECTIONS)
    wishes = {"--min-difficulty": str(DIFFICULTY), "--broker": server.url}
    node = stack.enter_context(BenchNode(directory, dash, directory.parent / "shares", flags, wishes, "node"))
    pin(node, node_core)
    node.wait_until_ready()
    limits = ["--min-difficulty", str(DIFFICULTY), "--max-connections", most, "--max-connections-per-ip", most]
    gateways = [
        stack.enter_context(GatewayProcess(directory / f"gateway-{number}", server.url, *limits))
        for number in range(count)
    ]
    loads = []
    for number, gateway in enumerate(gateways):
        pin(gateway, node_core)
        wait_for("work of a gateway", gateway.has_work, PATIENCE)
        (directory / f"load-{number}").mkdir()
        arguments = directory / f"load-{number}", gateway.port, gateway.process.pid
        load = stack.enter_context(LoadProcess(*arguments, ADDRESSES, "tcp"))
        pin(load, load_core)
        loads.append(load)
    assert server.process is not None
    if node_core is not None:
        os.sched_setaffinity(server.process.pid, node_core)
    return Pool(dash, server, node, gateways, loads)


def _connect(pool: Pool, count: int) -> None:
    for load in pool.loads:
        share = count // len(pool.loads)
        result = load.ask("connect", 2 * PATIENCE, count=share, at_once=min(200, share), patience=PATIENCE)
        if result["lost"]:
            raise RuntimeError(f"{result['lost']} connections lost: {result['why']}")
    for process in (*pool.gateways, pool.node):
        _settle(process)


def _settle(process: Process) -> None:
    BenchNode.settle(process)  # type: ignore[arg-type]  # any process has a processor time


def _submit(pool: Pool, table: Table) -> None:
    """Measure submissions over all gateways: what each costs gateways, node and Redis."""
    count = len(pool.gateways)
    _connect(pool, CONNECTIONS)
    before = pool.cpu()
    for load in pool.loads:
        load.tell("submit", window=IN_FLIGHT, warm_up=WARM_UP, seconds=SECONDS)
    results = [load.answer(PATIENCE + SECONDS + WARM_UP) for load in pool.loads]
    gateways, node, redis = (now - then for now, then in zip(pool.cpu(), before, strict=True))
    wrong = {name: sum(each[name] for each in results) for name in ("refused", "lost", "unanswered")}
    if any(wrong.values()):
        raise RuntimeError(f"{wrong}; {results[0]['why']}")
    # The warm-up is part of the processor time, and of what was accepted at the same pace.
    accepted = sum(each["accepted"] for each in results) * (SECONDS + WARM_UP) / SECONDS
    label = f"a submission, {CONNECTIONS} connections over {count}"
    suffix = "" if count == 1 else f"_{count}"
    table.add_time(f"gateway_submit_x11{suffix}", f"{label}: CPU of the gateways", gateways / accepted)
    table.add_time(f"node_per_submit_x11{suffix}", "CPU of the node", node / accepted, AIM_NODE_X11)
    table.add_time(f"redis_per_submit_x11{suffix}", "CPU of Redis", redis / accepted)
    table.add(f"submits_per_cpu_s_{count}", "submissions a CPU second, gateways", accepted / gateways, "/s")
    for load in pool.loads:
        load.ask("close", keep=0)


def _tips(pool: Pool, table: Table) -> None:
    """Measure new blocks: until the last connection has a job, and what a tip costs the broker."""
    _connect(pool, TIP_CONNECTIONS)
    totals, sizes = [], []
    for _ in range(BLOCKS):
        for process in (*pool.gateways, pool.node):
            _settle(process)
        for load in pool.loads:
            load.tell("fan_out", patience=PATIENCE)
        for load in pool.loads:
            load.answer(PATIENCE)
        before = pool.sent_bytes()
        announced = pool.dash.find_block()
        results = [load.answer(2 * PATIENCE) for load in pool.loads]
        sizes.append(pool.sent_bytes() - before)
        if any(each["missing"] for each in results):
            raise RuntimeError(f"connections without a job: {results}")
        totals.append((max(each["last"] for each in results) - announced) * 1e3)
    label = f"new block to the last of {TIP_CONNECTIONS} over {len(pool.gateways)} gateways"
    table.add(f"tip_{TIP_CONNECTIONS}_ms", f"{label}: median", statistics.median(totals), "ms")
    table.add(f"tip_{TIP_CONNECTIONS}_worst_ms", f"worst of {BLOCKS}", max(totals), "ms")
    table.add("broker_bytes_per_tip", "bytes through Redis meanwhile, a gateway", _each(sizes, pool), "bytes")


def _each(sizes: list[int], pool: Pool) -> float:
    return statistics.median(sizes) / len(pool.gateways)


def main() -> None:
    """Print the table, row by row as they come."""
    if shutil.which("redis-server") is None:
        print("gateway: skipped, redis-server is not installed")
        return
    table = Table("gateways: a node, Redis and gateways on one core, miners on another")
    with tempfile.TemporaryDirectory(prefix="p2pool-bench-") as name:
        directory, flags = Path(name), node_flags()
        prepare_shares(directory / "shares", SHARES, PAYEES)
        for count in GATEWAYS:
            with ExitStack() as stack:
                pool = _pool(stack, directory / f"gateways-{count}", count, flags)
                _submit(pool, table)
                if count == TIP_GATEWAYS:
                    _tips(pool, table)
            print(f"measured {count} gateways", flush=True)
    table.print()
