"""Gateways, end to end: a node, a redis-server and gateways as real processes, under the load of `stratum_load`.
Beside them one process that does all.

If there are two cores, the load generator has one, and all else shares the other: processor time is what counts.
Sizes are constants, so that a test can run it in small.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from p2pool.dash.address import encode_address
from p2pool.gateway.messages import pack_message
from p2pool.gateway.names import Names
from p2pool.gateway.solution_codec import solution_message
from p2pool.networks import SIMNET
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
from tests.bench.take_over_pause import measure_pause
from tests.e2e.gateway_pool import GatewayProcess
from tests.e2e.process import Process, wait_for
from tests.e2e.redis_server import RedisServer
from tests.home import at_work

GATEWAYS = (0, 1, 2, 4)
"""0: the node has the miners itself."""
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
    redis: RedisServer | None
    node: BenchNode
    gateways: list[GatewayProcess]
    loads: list[LoadProcess]

    def cpu(self) -> tuple[float, float, float]:
        """Return the processor time of all gateways, of the node and of Redis."""
        server = None if self.redis is None else self.redis.process
        return (
            sum(cpu_seconds(each.process.pid) for each in self.gateways),
            cpu_seconds(self.node.process.pid),
            0.0 if server is None else cpu_seconds(server.pid),
        )

    def sent_bytes(self) -> int:
        """Return how many bytes Redis has sent and received."""
        assert self.redis is not None
        with self.redis.client() as client:
            stats: Any = client.info("stats")
        return int(stats["total_net_output_bytes"]) + int(stats["total_net_input_bytes"])

    def work_bytes(self) -> int:
        """Return the size of the newest work that Redis has."""
        assert self.redis is not None
        with self.redis.client() as client:
            [(_, fields)] = client.xrevrange(Names(SIMNET.name).work, count=1)  # type: ignore[misc]
        return sum(map(len, fields.values()))


def _pool(stack: ExitStack, directory: Path, count: int, flags: set[str]) -> Pool:
    """Start a node with so many gateways, each with a load generator."""
    node_core, load_core = cores()
    directory.mkdir()
    dash = stack.enter_context(SimulatedDash(directory, BLOCK_ATTEMPTS))
    pin(dash, load_core)
    dash.wait_until_ready()
    server = stack.enter_context(RedisServer(directory / "redis")) if count else None
    most = str(2 * TIP_CONNECTIONS)
    wishes = {"--min-difficulty": str(DIFFICULTY), "--max-connections": most, "--max-connections-per-ip": most}
    if server is not None:
        wishes["--broker"] = server.url
    node = stack.enter_context(BenchNode(directory, dash, directory.parent / "shares", flags, wishes, "node"))
    pin(node, node_core)
    node.wait_until_ready()
    pool = Pool(dash, server, node, gateways=[], loads=[])
    if server is None:
        pool.loads.append(_load(stack, directory / "load", node.port, node))
        return pool
    assert server.process is not None
    if node_core is not None:
        os.sched_setaffinity(server.process.pid, node_core)
    limits = ["--min-difficulty", str(DIFFICULTY), "--max-connections", most, "--max-connections-per-ip", most]
    for number in range(count):
        gateway = stack.enter_context(GatewayProcess(directory / f"gateway-{number}", server.url, *limits))
        pool.gateways.append(gateway)
    for number, gateway in enumerate(pool.gateways):
        pin(gateway, node_core)
        wait_for("work of a gateway", gateway.has_work, PATIENCE)
        pool.loads.append(_load(stack, directory / f"load-{number}", gateway.port, gateway))
    return pool


def _load(stack: ExitStack, directory: Path, port: int, server: Process) -> LoadProcess:
    directory.mkdir()
    load = stack.enter_context(LoadProcess(directory, port, server.process.pid, ADDRESSES, "tcp"))
    pin(load, cores()[1])
    return load


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
    if not count:
        label = f"a submission, {CONNECTIONS} connections, one process for all: its CPU"
        table.add_time("single_submit_x11", label, node / accepted)
        table.add("submits_per_cpu_s_single", "submissions a CPU second, the process", accepted / node, "/s")
        return
    label = f"a submission, {CONNECTIONS} connections over {count}"
    suffix = "" if count == 1 else f"_{count}"
    table.add_time(f"gateway_submit_x11{suffix}", f"{label}: CPU of the gateways", gateways / accepted)
    table.add_time(f"node_per_submit_x11{suffix}", "CPU of the node", node / accepted, AIM_NODE_X11)
    table.add_time(f"redis_per_submit_x11{suffix}", "CPU of Redis", redis / accepted)
    table.add(f"submits_per_cpu_s_{count}", "submissions a CPU second, gateways", accepted / gateways, "/s")
    for load in pool.loads:
        load.ask("close", keep=0)
    everything = gateways + node + redis
    table.add(f"submits_per_cpu_s_{count}_all", "of gateways, node and Redis", accepted / everything, "/s")


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
        announced = min(announced, *(each["first"] for each in results))
        totals.append((max(each["last"] for each in results) - announced) * 1e3)
    label = f"new block to the last of {TIP_CONNECTIONS} over {len(pool.gateways)} gateways"
    table.add(f"tip_{TIP_CONNECTIONS}_ms", f"{label}: median", statistics.median(totals), "ms")
    table.add(f"tip_{TIP_CONNECTIONS}_worst_ms", f"worst of {BLOCKS}", max(totals), "ms")
    table.add("broker_bytes_per_tip", f"a tip's work in Redis, for {PAYEES} payees", pool.work_bytes(), "bytes")
    label = "all through Redis meanwhile, sessions included, a gateway"
    table.add("broker_bytes_meanwhile", label, statistics.median(sizes) / len(pool.gateways), "bytes")
    table.add("broker_bytes_per_share", "a share in Redis", share_bytes(), "bytes")


def share_bytes() -> int:
    """Return the size of a share's message."""
    home = at_work()
    worker = encode_address(SIMNET.parent.addresses.pubkey_hash, bytes(20)) + ".rig"
    message = solution_message(home.solve(), gateway="gateway-1", worker=worker, found=home.now)
    return len(pack_message(message))


def main() -> None:
    """Print the table, row by row as they come."""
    if which("redis-server") is None:
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
        measure_pause(table, directory / "take-over")
    table.finish()
