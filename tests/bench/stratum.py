"""Stratum, end to end: the real node on one core, thousands of miners from another process on another core.

Numbers of connections, times and lengths are constants, so that a test can run it in small.
"""

from __future__ import annotations

import resource
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.measure import Table
from tests.bench.stratum_load import DIFFICULTY
from tests.bench.stratum_processes import (
    BenchNode,
    LoadProcess,
    SimulatedDash,
    cores,
    node_flags,
    pin,
    prepare_shares,
)

CONNECTIONS = (1, 100, 1000)
"""That submit; the latencies of the second are the ones that count."""
SECONDS, WARM_UP = 5.0, 1.5
MOST_IN_FLIGHT, IN_FLIGHT = 64, 400
"""Submissions of one connection, and of all together where each has more than one."""
FANOUT = (1000, 10_000)
BLOCKS = 30
"""New blocks for each of them."""
LOGINS, IN_PROGRESS = 2000, 200
AT_ONCE = 1000
TLS_CONNECTIONS, TLS_FANOUT, TLS_LOGINS, TLS_AT_ONCE = (1, 100), (1000,), 1000, 1000
ADDRESSES, PAYEES, SHARES = 1000, 50, 60
BLOCK_ATTEMPTS = 2**17
"""Hashes that a block takes: some seconds of waiting for each, and one in so many submissions is one."""
PATIENCE = 60.0
"""Seconds for connections to log in, and for a new job to reach the last of them."""
LOGIN_PATIENCE = 30.0
"""After this time a connection that tries to log in is lost."""
OWN_FILES = 500
"""File descriptors that are left for what is not a miner's connection."""
AIM_X11, AIM_FANOUT_MS, AIM_BYTES, AIM_LOGINS = 7.0, 300.0, 20480, 2000
AIM_FANOUT_OF = 10_000
_BUSY, _DISTURBED = 0.85, 0.03


@dataclass(frozen=True)
class Plan:
    """What is measured over TCP, or over TLS."""

    kind: str
    prefix: str
    submitting: tuple[int, ...]
    fanout: tuple[int, ...]
    logins: int
    at_once: int


class Measurement:
    """One node, one kind of connection, all figures into one table."""

    def __init__(self, plan: Plan, table: Table, node: BenchNode, dash: SimulatedDash, load: LoadProcess) -> None:
        self._plan = plan
        self._table = table
        self._node = node
        self._dash = dash
        self._load = load

    def run(self, submissions: bool) -> None:
        """Memory and fan-out first, while the node's memory was not used for anything else."""
        plan = self._plan
        self._connect(1)
        self._close()
        before = self._node.memory
        most = max(plan.fanout)
        self._connect(most)
        for number in sorted(plan.fanout, reverse=True):
            self._close(number)
            self._fan_out(number)
            if number == most:
                # With few connections, memory that the node gives back meanwhile can outweigh what they take.
                size = max(0.0, (self._node.memory - before) / number)
                note = self._verdict(size <= AIM_BYTES, f"<= {AIM_BYTES}")
                self._add("connection_bytes", f"memory, a connection of {number}", size, "bytes", note)
        self._close()
        self._log_in()
        self._all_at_once()
        for number in plan.submitting if submissions else ():
            self._submit(number, max(1, min(MOST_IN_FLIGHT, IN_FLIGHT // number)))
        if submissions:
            self._answer(plan.submitting[1])

    def _add(self, key: str, label: str, value: float, unit: str, note: str = "") -> None:
        """A row with a note."""
        table, plan = self._table, self._plan
        table.add(plan.prefix + key, f"{plan.kind}: {label}", value, unit, note)

    def _verdict(self, met: bool, aim: str) -> str:
        """Aims are those of plain connections."""
        return "" if self._plan.prefix else f"(aim {aim}: {'met' if met else 'MISSED'})"

    # --- connections -------------------------------------------------------------------------------------

    def _connect(self, count: int) -> dict[str, Any]:
        """So many connections with jobs, on a node that has nothing else to do."""
        result = self._load.ask(
            "connect", 2 * PATIENCE, count=count, at_once=min(IN_PROGRESS, count), patience=PATIENCE
        )
        self._check(result, lost=result["lost"])
        self._node.settle()
        return dict(result)

    def _close(self, keep: int = 0) -> None:
        self._load.ask("close", keep=keep)
        self._node.settle()

    def _check(self, result: dict[str, Any], **bad: float) -> None:
        """Raises RuntimeError where something went wrong that must not."""
        wrong = ", ".join(f"{count} {what}" for what, count in bad.items() if count)
        if wrong:
            said = result.get("refusal") or result["why"]
            raise RuntimeError(f"{self._plan.kind}: {wrong}: {said}; the node's log:\n{self._node.output[-5000:]}")

    def _log_in(self) -> None:
        count = self._plan.logins
        result = self._connect(count)
        rate = count / result["seconds"]
        label = f"logins a second, {count} by {min(IN_PROGRESS, count)}"
        verdict = self._verdict(rate >= AIM_LOGINS, f">= {AIM_LOGINS}")
        self._add("logins_per_s", label, rate, "/s", verdict + _busy(result))
        used = max(result["node_busy"], 1e-3)
        self._add("logins_per_cpu_s", "logins a second of processor time", rate / used, "/s")
        self._close()

    def _all_at_once(self) -> None:
        count = self._plan.at_once
        result = self._load.ask("connect", 2 * LOGIN_PATIENCE, count=count, at_once=count, patience=LOGIN_PATIENCE)
        label = f"{count} at once, until the last has a job"
        self._add(f"at_once_{count}_s", label, result["seconds"], "s", _busy(result))
        note = self._verdict(not result["lost"], "0") + (f" {result['why']}" if result["lost"] else "")
        self._add("at_once_lost", "lost of them", result["lost"], "", note)
        self._close()

    # --- work --------------------------------------------------------------------------------------------

    def _fan_out(self, count: int) -> None:
        totals, spreads, busy, used = [], [], 0.0, []
        for _ in range(BLOCKS):
            self._node.settle()
            before = self._node.cpu_seconds
            self._load.tell("fan_out", patience=PATIENCE)
            self._load.answer(PATIENCE)
            announced = self._dash.find_block()
            result = self._load.answer(2 * PATIENCE)
            self._check(result, missing=result["missing"])
            totals.append((result["last"] - min(announced, result["first"])) * 1e3)
            spreads.append((result["last"] - result["first"]) * 1e3)
            used.append((self._node.cpu_seconds - before) * 1e3)
            busy = max(busy, result["load_busy"])
        label = f"new block to the last of {count}"
        median = statistics.median(totals)
        verdict = self._verdict(median <= AIM_FANOUT_MS, f"<= {AIM_FANOUT_MS:g}") if count == AIM_FANOUT_OF else ""
        self._add(f"fanout_{count}_ms", f"{label}: median", median, "ms", f"{verdict}   load {busy:.0%} busy")
        self._add(f"fanout_{count}_worst_ms", "the same, worst", max(totals), "ms")
        self._add(
            f"fanout_{count}_spread_ms", "from the first to the last: median", statistics.median(spreads), "ms"
        )
        self._add(f"fanout_{count}_cpu_ms", "the node's processor time: mean", statistics.mean(used), "ms")

    def _load_up(self, count: int, window: int) -> dict[str, Any]:
        """Let connections submit, each with so many submissions in flight, as fast as they are answered."""
        self._connect(count)
        result: dict[str, Any] = self._load.ask(
            "submit", PATIENCE + SECONDS + WARM_UP, window=window, warm_up=WARM_UP, seconds=SECONDS
        )
        self._close()
        self._check(result, **{name: result[name] for name in ("refused", "lost", "unanswered")})
        if not result["accepted"]:
            raise RuntimeError(f"{count} connections: nothing was accepted in {SECONDS:g} s")
        return result

    def _answer(self, count: int) -> None:
        """Latencies where each connection waits for its answer before it submits again."""
        result = self._load_up(count, 1)
        for name in ("p50", "p99"):
            label = f"latency with one submission of each of {count} in flight, {name}"
            self._add(f"answer_{name}_ms_{count}", label, result[name] * 1e3, "ms")

    def _submit(self, count: int, window: int) -> None:
        result = self._load_up(count, window)
        plan, seconds = self._plan, result["seconds"] / result["accepted"]
        label = f"submissions, {count} x {window} in flight"
        news = f"   {result['jobs']:.1f} new jobs"
        self._add(f"submits_per_s_{count}", label, 1 / seconds, "/s", _busy(result) + news)
        aim, before = None if plan.prefix else AIM_X11, f"{plan.kind}: one of them"
        self._table.add_time(f"{plan.prefix}submit_x11_{count}", before, seconds, aim)
        used = seconds * result["node_busy"]  # what this machine's owner gave to others does not count here
        self._table.add_time(f"{plan.prefix}submit_cpu_x11_{count}", f"{before}, processor time", used)
        self._add(
            f"submits_per_cpu_s_{count}", "submissions a second of processor time", 1 / max(used, 1e-6), "/s"
        )
        for name in ("p50", "p99"):
            self._add(f"submit_{name}_ms_{count}", f"their latency, {name}", result[name] * 1e3, "ms")
            if count == plan.submitting[min(1, len(plan.submitting) - 1)]:
                self._table.figures[f"{plan.prefix}submit_{name}_ms"] = round(result[name] * 1e3, 2)


def _busy(result: dict[str, Any]) -> str:
    node, load = result["node_busy"], result["load_busy"]
    limit = "   THE LOAD GENERATOR WAS THE LIMIT" if load > _BUSY > node else ""
    kept = f", KEPT FROM ITS CORE {result['kept']:.0%} by others" if result["kept"] > _DISTURBED else ""
    return f"   node {node:.0%} busy{kept}, load {load:.0%}{limit}"


@contextmanager
def _surroundings() -> Iterator[int]:
    """As many files as allowed, for us and those that we start; an end that is asked for is orderly. Gives how
    many connections the files suffice for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    restore: Callable[[], object] = lambda: None  # noqa: E731
    if threading.current_thread() is threading.main_thread():
        old = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        restore = lambda: signal.signal(signal.SIGTERM, old)  # noqa: E731
    try:
        yield hard - OWN_FILES
    finally:
        restore()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _plans(flags: set[str], room: int) -> list[Plan]:
    """What this checkout and this machine allow; says what is left out."""
    fanout = tuple(dict.fromkeys(min(number, room) for number in FANOUT))
    if max(FANOUT) > room:
        print(f"no more than {room} connections: the limit of open files (ulimit -Hn) is {room + OWN_FILES}")
    if "--min-difficulty" not in flags:
        print("no submissions: this node has no --min-difficulty")
    plans = [Plan("tcp", "", CONNECTIONS, fanout, LOGINS, AT_ONCE)]
    if "--stratum-ssl-port" in flags:
        plans.append(Plan("tls", "tls_", TLS_CONNECTIONS, TLS_FANOUT, TLS_LOGINS, TLS_AT_ONCE))
    else:
        print("no TLS: this node has no --stratum-ssl-port")
    return plans


def _measure(plan: Plan, table: Table, directory: Path, dash: SimulatedDash, flags: set[str]) -> None:
    most = str(2 * max(*plan.fanout, *plan.submitting, plan.logins, plan.at_once))
    wishes = {"--min-difficulty": str(DIFFICULTY), "--max-connections": most, "--max-connections-per-ip": most}
    node_core, load_core = cores()
    with BenchNode(directory, dash, directory / "shares", flags, wishes, plan.kind) as node:
        pin(node, node_core)
        payees = node.wait_until_ready()
        if payees < PAYEES:
            raise RuntimeError(
                f"a block would pay {payees} addresses, not {PAYEES}; the node's log:\n{node.output}"
            )
        port = node.port if plan.kind == "tcp" else node.ssl_port
        with LoadProcess(directory, port, node.process.pid, ADDRESSES, plan.kind) as load:
            pin(load, load_core)
            node.settle()
            Measurement(plan, table, node, dash, load).run("--min-difficulty" in flags)


def main() -> None:
    """Print the table."""
    table = Table(
        f"stratum: one node, {ADDRESSES} addresses, {PAYEES} payees (node on one core, miners on another)"
    )
    with _surroundings() as room, tempfile.TemporaryDirectory(prefix="p2pool-bench-") as name:
        directory, flags = Path(name), node_flags()
        plans = _plans(flags, room)
        prepare_shares(directory / "shares", SHARES, PAYEES)
        table.measure_unit_again()
        with SimulatedDash(directory, BLOCK_ATTEMPTS) as dash:
            pin(dash, cores()[1])
            dash.wait_until_ready()
            for plan in plans:
                _measure(plan, table, directory, dash, flags)
    table.finish()
