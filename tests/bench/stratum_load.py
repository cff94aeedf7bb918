"""The load generator of `tests.bench.stratum`: thousands of miners in one cheap process of their own.

`python -m tests.bench.stratum_load PORT NODE_PID ADDRESSES tls|tcp` takes commands, a JSON object a line, on
standard input (`do` names a method of `Load`, the rest are its arguments) and answers each with one on standard
output. Between commands it goes on reading, as miners do. It ends with its standard input.
"""

from __future__ import annotations

import gc
import json
import os
import select
import ssl
import sys
import time
from collections.abc import Callable
from hashlib import sha256

from p2pool.dash.address import encode_address
from p2pool.networks import SIMNET
from tests.bench.stratum_links import GOOD, SOURCES, Link, LinkLost

DRAIN_TIME = 20.0
"""Seconds for the last answers."""
_STDIN = 0
_TICK = 0.05
_HUNG_UP = select.EPOLLERR | select.EPOLLHUP
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
DIFFICULTY = 1e-12
"""Of pseudoshares: every hash is one."""
_OPTIONS = f"+{DIFFICULTY}/1000000"
"""The wish for hard shares: hardly one of the pseudoshares is a share of the chain."""


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def kept_seconds(pid: int) -> float:
    """How long others kept a process from its core: the machine below, which took it away, or other programs. All
    cores count where it has none of its own."""
    cores = os.sched_getaffinity(pid)
    name = f"cpu{min(cores)}" if len(cores) == 1 else "cpu"
    with open("/proc/stat") as file:
        rows = {row[0]: row for row in map(str.split, file)}
    stolen = int(rows[name][8]) / _TICKS_PER_SECOND
    try:
        with open(f"/proc/{pid}/schedstat") as file:
            return stolen + int(file.read().split()[1]) / 1e9
    except FileNotFoundError:  # a kernel that does not count it
        return stolen


class Stopwatch:
    """Time, and how much of it this process and the node were busy, and the node could not be."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._start = self._now()

    def _now(self) -> tuple[float, ...]:
        return time.monotonic(), time.process_time(), cpu_seconds(self._node), kept_seconds(self._node)

    def read(self) -> dict[str, float]:
        """Seconds, and parts of a core."""
        seconds, own, node, kept = (now - before for now, before in zip(self._now(), self._start, strict=True))
        return {
            "seconds": seconds,
            "load_busy": own / seconds,
            "node_busy": node / seconds,
            "kept": kept / seconds,
        }


def percentile(values: list[float], part: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


class Load:
    """All connections. The methods without underscore below `run` are the commands."""

    def __init__(self, port: int, node: int, addresses: int, tls: bool) -> None:
        self._port = port
        self._node = node
        self._epoll = select.epoll()
        self._epoll.register(_STDIN, select.EPOLLIN)
        self._links: dict[int, Link] = {}
        self._input = b""
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        version = SIMNET.parent.addresses.pubkey_hash
        self._addresses = [encode_address(version, sha256(b"%d" % n).digest()[:20]) for n in range(addresses)]
        self._opened = self._logged_in = self._lost = 0
        self._why = ""
        self._behind: set[int] | None = None
        """Connections that have no job on the new block yet."""
        self._block_times = (0.0, 0.0, 0.0, 0.0)
        """Of the first and the last connection's job: monotonic time, and processor time of ours."""
        self._refilling = False
        self._accepted = self._refused = 0
        self._refusal = ""
        self._latencies: list[float] = []

    def run(self) -> None:
        """Until standard input ends."""
        while True:
            self._pump(3600.0, lambda: b"\n" in self._input)
            line, _, self._input = self._input.partition(b"\n")
            command = json.loads(line)
            answer = getattr(self, command.pop("do"))(**command)
            print(json.dumps(answer), flush=True)

    # --- commands ----------------------------------------------------------------------------------------

    def connect(self, count: int, at_once: int, patience: float) -> dict[str, object]:
        """Open connections, `at_once` of them under way at a time, until each has its first job or is lost."""
        self._opened = self._logged_in = self._lost = 0
        watch = Stopwatch(self._node)

        def all_settled() -> bool:
            while self._opened < count and self._opened - self._logged_in - self._lost < at_once:
                self._open()
            return self._logged_in + self._lost >= count

        self._pump(patience, all_settled)
        result = watch.read()
        for link in [link for link in self._links.values() if not link.ready]:
            self._lose(link, f"no job within {patience:g} s")
        return {**result, "count": self._logged_in, "lost": count - self._logged_in, "why": self._why}

    def close(self, keep: int) -> dict[str, object]:
        """Close all but `keep` connections."""
        for link in list(self._links.values())[keep:]:
            self._forget(link)
        return {"count": len(self._links)}

    def fan_out(self, patience: float) -> dict[str, object]:
        """Say that it begins; then wait until every connection has a job on another block than now."""
        parents = {link.parent for link in self._links.values()}
        if len(parents) != 1:
            raise RuntimeError(f"connections are on {len(parents)} blocks")
        self._behind = set(self._links)
        self._block_times = (0.0, 0.0, 0.0, 0.0)
        self._lost = 0
        print(json.dumps({"ready": True}), flush=True)
        self._pump(patience, lambda: not self._behind)
        first, last, own_first, own_last = self._block_times
        missing, self._behind = len(self._behind), None
        busy = (own_last - own_first) / max(last - first, 1e-9)
        return {"first": first, "last": last, "missing": missing + self._lost, "why": self._why, "load_busy": busy}

    def submit(self, window: int, warm_up: float, seconds: float) -> dict[str, object]:
        """Keep `window` submissions of each connection under way; what came of them after the warm-up."""
        self._lost, self._refilling = 0, True
        self._reset_answers()
        for link in list(self._links.values()):
            self._guarded(link, link.submit, window, time.monotonic())
        self._pump(warm_up)
        warm_refused, refusal = self._refused, self._refusal
        self._reset_answers()
        jobs = self._jobs()
        watch = Stopwatch(self._node)
        self._pump(seconds)
        result = watch.read()
        jobs = self._jobs() - jobs
        accepted, latencies, self._refilling = self._accepted, sorted(self._latencies), False
        drained = self._pump(DRAIN_TIME, lambda: not any(link.sent for link in self._links.values()))
        return {
            **result,
            "accepted": accepted,
            "refused": self._refused + warm_refused,
            "refusal": self._refusal or refusal,
            "lost": self._lost,
            "why": self._why,
            "unanswered": 0 if drained else sum(len(link.sent) for link in self._links.values()),
            "jobs": jobs / max(1, len(self._links)),
            "p50": percentile(latencies, 0.5),
            "p99": percentile(latencies, 0.99),
        }

    def _jobs(self) -> int:
        """How often connections were sent a job."""
        return sum(link.jobs for link in self._links.values())

    def _reset_answers(self) -> None:
        self._accepted = self._refused = 0
        self._refusal = ""
        self._latencies = []

    # --- connections -------------------------------------------------------------------------------------

    def _open(self) -> None:
        number = self._opened
        self._opened += 1
        user = f"{self._addresses[number % len(self._addresses)]}.w{number}{_OPTIONS}"
        try:
            link = Link(self._port, SOURCES[number % len(SOURCES)], user.encode(), self._context)
        except OSError as error:
            self._lost += 1
            self._why = str(error)
            return
        self._links[link.fileno] = link
        self._epoll.register(link.fileno, link.waiting)

    def _lose(self, link: Link, why: str) -> None:
        self._lost += 1
        self._why = why
        if self._behind is not None:
            self._behind.discard(link.fileno)
        self._forget(link)

    def _forget(self, link: Link) -> None:
        del self._links[link.fileno]
        link.close()

    def _guarded(self, link: Link, step: Callable[..., object], *arguments: object) -> None:
        """What goes wrong with one connection is that one's loss."""
        try:
            step(*arguments)
        except BlockingIOError:
            pass
        except (LinkLost, OSError) as error:
            self._lose(link, str(error))

    # --- events ------------------------------------------------------------------------------------------

    def _pump(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Handle what comes until `done()` (True) or for so many seconds (False)."""
        poll, links, guarded, event = self._epoll.poll, self._links, self._guarded, self._event
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for fileno, _ in poll(min(left, _TICK)):
                link = links.get(fileno)
                if link is not None:
                    guarded(link, event, link)
                elif fileno == _STDIN:
                    self._read_input()
        return True

    def _read_input(self) -> None:
        data = os.read(_STDIN, 65536)
        if not data:
            raise SystemExit(0)
        self._input += data

    def _event(self, link: Link) -> None:
        if not link.established:
            before = link.waiting
            link.progress()
            if link.waiting != before:
                self._epoll.modify(link.fileno, link.waiting)
            return
        data = link.read()
        if link.plain(data):
            self._answered(link, data)
            return
        was_ready, parent = link.ready, link.parent
        answers = link.feed(data)
        if link.ready and not was_ready:
            self._logged_in += 1
        elif link.parent != parent and self._behind is not None:
            self._has_new_block(link)
        if answers:
            self._answered(link, answers)

    def _has_new_block(self, link: Link) -> None:
        self._behind.discard(link.fileno)  # type: ignore[union-attr]
        now, own = time.monotonic(), time.process_time()
        first, _, own_first, _ = self._block_times
        self._block_times = (first or now, now, own_first or own, own)

    def _answered(self, link: Link, answers: bytes) -> None:
        count = answers.count(b"\n")
        good = answers.count(GOOD)
        self._accepted += good
        if good != count:
            self._refused += count - good
            self._refusal = next(line for line in answers.splitlines() if GOOD not in line)[:300].decode()
        now = time.monotonic()
        sent = link.sent
        for _ in range(count):
            self._latencies.append(now - sent.popleft())
        if self._refilling:
            link.submit(count, now)


def main() -> None:
    """See the module."""
    port, node, addresses, kind = sys.argv[1:5]
    gc.disable()  # nothing here is in cycles, and a pause would be taken for the node's
    Load(int(port), int(node), int(addresses), kind == "tls").run()


if __name__ == "__main__":
    main()
