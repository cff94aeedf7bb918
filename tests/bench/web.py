"""The web beside mining: what recording costs, how many requests are answered, what a thousand live browsers cost,
and what miners notice of it all.

The node has one core, all others the other one. Numbers and times are constants, so that a test can run it in
small.
"""

from __future__ import annotations

import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

from tests.bench.measure import Table
from tests.bench.stratum_load import DIFFICULTY
from tests.bench.stratum_processes import (
    BenchNode,
    LoadProcess,
    PipedProcess,
    SimulatedDash,
    cores,
    node_flags,
    pin,
    prepare_shares,
)
from tests.bench.web_stats import add_rows
from tests.support import ROOT

WATCHERS = 1000
BLOCKS = 5
"""New blocks that they hear of."""
WATCH_SECONDS = 10.0
HTTP_SECONDS = 5.0
HTTP_CONNECTIONS = 10
MINERS, IN_FLIGHT = 100, 1
SECONDS, WARM_UP = 5.0, 1.5
ADDRESSES, PAYEES, SHARES = 1000, 50, 60
BLOCK_ATTEMPTS = 2**17
PATIENCE = 60.0
AIM_CORE, AIM_SLOWDOWN = 0.10, 2.0


def _aim(most: float, value: float, unit: str) -> str:
    return f"(aim <= {most:g} {unit}: {'met' if value <= most else 'MISSED'})"


# --- requests ----------------------------------------------------------------------------------------------------


class Hammer:
    """Requests for one page at full speed: wrk where it is installed, else a generator in Python."""

    def __init__(self, url: str, seconds: float) -> None:
        wrk = which("wrk")
        self.name = "Python" if wrk is None else "wrk"
        if wrk is None:
            command = [sys.executable, "-m", "tests.bench.web_load", url, f"{seconds:g}", str(HTTP_CONNECTIONS)]
        else:
            duration = f"-d{max(1, round(seconds))}s"
            command = [wrk, "-t1", f"-c{HTTP_CONNECTIONS}", duration, "--timeout", "10s", url]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        core = cores()[1]
        if core is not None:
            pin(self, core)  # type: ignore[arg-type]

    def requests_per_second(self) -> float:
        """When it is done. Raises RuntimeError where it says nothing of the kind."""
        text, _ = self.process.communicate(timeout=PATIENCE)
        match = re.search(r"Requests/sec:\s*([0-9.]+)", text)
        if match is None or float(match[1]) == 0:
            raise RuntimeError(f"{self.name} said {text!r}")
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        if refused is not None:
            print(f"of the requests at full speed {refused[1]} were refused")
        return float(match[1])


# --- live --------------------------------------------------------------------------------------------------------


class WatcherProcess(PipedProcess):
    """Browsers that watch."""

    def __init__(self, directory: Path, node: BenchNode) -> None:
        arguments = ["-m", "tests.bench.live_load", str(node.port), str(node.process.pid)]
        super().__init__(arguments, directory / "watchers.log")

    tell, answer, ask = LoadProcess.tell, LoadProcess.answer, LoadProcess.ask


def _measure_live(table: Table, node: BenchNode, dash: SimulatedDash, directory: Path) -> None:
    """What a thousand browsers cost, and how soon they know of a new block."""
    with WatcherProcess(directory, node) as load:
        pin(load, cores()[1])
        alone = load.ask("rest", 2 * PATIENCE, seconds=WATCH_SECONDS)
        memory = node.memory
        joined = load.ask("connect", 2 * PATIENCE, count=WATCHERS, patience=PATIENCE)
        if joined["watching"] != WATCHERS:
            raise RuntimeError(f"{joined}; the node's log:\n{node.output[-5000:]}")
        node.settle()
        size = max(0, node.memory - memory) / WATCHERS  # a few may fit into what was freed before
        watched = load.ask("rest", 2 * PATIENCE, seconds=WATCH_SECONDS)
        times = []
        for _ in range(BLOCKS):
            load.tell("wait_for_event", patience=PATIENCE)
            load.answer(PATIENCE)
            announced = dash.find_block()
            heard = load.answer(2 * PATIENCE)
            if heard["missing"]:
                raise RuntimeError(f"{heard}; the node's log:\n{node.output[-5000:]}")
            announced = min(announced, heard["first"])
            times.append(((heard["last"] - announced) * 1e3, (heard["last"] - heard["first"]) * 1e3))
    label = f"{WATCHERS} live browsers"
    part = max(0.0, watched["node_busy"] - alone["node_busy"])
    kept = f"   KEPT FROM ITS CORE {watched['kept']:.0%} by others" if watched["kept"] > 0.03 else ""
    table.add("ws_1000_core", f"{label}: part of a core", part, "", _aim(AIM_CORE, part, "") + kept)
    last, spread = (statistics.median(column) for column in zip(*times, strict=True))
    table.add("ws_1000_ms", "new block until the last of them knows, median", last, "ms")
    table.add("ws_1000_spread_ms", "from the first to the last", spread, "ms")
    table.add("ws_bytes_per_s", "bytes a second for each", watched["octets"] / watched["seconds"] / WATCHERS, "")
    table.add("ws_connects_per_s", "connecting, a second", WATCHERS / joined["seconds"], "/s")
    table.add("ws_client_bytes", "memory of each", size, "bytes")


# --- miners ------------------------------------------------------------------------------------------------------


def _submit(load: LoadProcess, node: BenchNode) -> Any:
    result = load.ask("submit", PATIENCE + SECONDS + WARM_UP, window=IN_FLIGHT, warm_up=WARM_UP, seconds=SECONDS)
    if not result["accepted"] or result["lost"]:
        raise RuntimeError(f"miners beside the web: {result}; the node's log:\n{node.output[-5000:]}")
    return result


def _measure_miners(table: Table, node: BenchNode, directory: Path) -> None:
    """The latency of submissions with and without the web at full speed beside them."""
    with LoadProcess(directory, node.port, node.process.pid, ADDRESSES, "tcp") as load:
        pin(load, cores()[1])
        joined = load.ask("connect", 2 * PATIENCE, count=MINERS, at_once=MINERS, patience=PATIENCE)
        if joined["lost"]:
            raise RuntimeError(f"miners cannot connect: {joined}; the node's log:\n{node.output[-5000:]}")
        alone = _submit(load, node)
        hammer = Hammer(f"http://127.0.0.1:{node.port}/local_stats", WARM_UP + SECONDS + 1)
        beside = _submit(load, node)
        rate = hammer.requests_per_second()
    slowdown = beside["p99"] / alone["p99"]
    rates = [f"{result['accepted'] / result['seconds']:.0f} submissions/s" for result in (alone, beside)]
    table.add("stratum_p99_ms", f"submissions of {MINERS} miners, p99", alone["p99"] * 1e3, "ms", rates[0])
    note = f"{rates[1]} and {rate:.0f} requests/s ({hammer.name})"
    table.add("stratum_p99_web_ms", "the same beside the web at full speed", beside["p99"] * 1e3, "ms", note)
    table.add("stratum_slowdown", "slowdown", slowdown, "x", _aim(AIM_SLOWDOWN, slowdown, "x"))


@contextmanager
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def main() -> None:
    """Print the table."""
    table = Table(f"web: one node, {PAYEES} payees (node on one core, all others on another)")
    add_rows(table)
    with many_files(), tempfile.TemporaryDirectory(prefix="p2pool-bench-") as name:
        directory, flags = Path(name), node_flags()
        prepare_shares(directory / "shares", SHARES, PAYEES)
        most = str(2 * max(MINERS, 1000))
        wishes = {
            "--web-rate-limit": "0",
            "--min-difficulty": str(DIFFICULTY),
            "--max-connections": most,
            "--max-connections-per-ip": most,
        }
        with SimulatedDash(directory, BLOCK_ATTEMPTS) as dash:
            pin(dash, cores()[1])
            dash.wait_until_ready()
            with BenchNode(directory, dash, directory / "shares", flags, wishes, "web") as node:
                pin(node, cores()[0])
                node.wait_until_ready()
                node.settle()
                hammer = Hammer(f"http://127.0.0.1:{node.port}/local_stats", HTTP_SECONDS)
                rate = hammer.requests_per_second()
                table.add("local_stats_per_s", "/local_stats, requests", rate, "/s", f"({hammer.name})")
                _measure_live(table, node, dash, directory)
                _measure_miners(table, node, directory)
    table.finish()
