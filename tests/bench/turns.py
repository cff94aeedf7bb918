"""The longest turns of the reactor under full load: what the node does on the reactor thread beside its sockets.

Ten thousand workers of a thousand addresses submit a thousand times a second, a share comes every 20 s and a
block every 150 s, and the pages are rendered each second. Time is simulated; what a turn costs is this thread's
CPU time, pauses of the garbage collector included. `tests.bench.stratum` measures the sockets.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from p2pool.base.long_lived import LongLived
from p2pool.dash.address import encode_address
from p2pool.share.parsing import parse_share
from p2pool.share.versions import VERSION_16
from tests.bench import sharechain
from tests.bench.measure import Table
from tests.bench.sharechain import chain_contents, real_template
from tests.chains import NOW
from tests.web.pages import Pool

SECONDS = 600
WORKERS, ADDRESSES, RATE = 10_000, 1000, 1000
SHARE_PERIOD, BLOCK_PERIOD = 20, 150
TOGETHER = 100
"""Submissions, or jobs, of one turn."""
BOUNDS_MS = (1, 2, 5, 10, 20, 50)
AIM_MS, MOST_MS = 20.0, 50.0


class Turns:
    """How long turns took, by what was done in them."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_MS) + 1)
        self.longest: dict[str, float] = {}
        """In milliseconds."""
        self.pause = 0.0
        """The longest run of the garbage collector."""
        self._began = 0.0

    def take(self, kind: str, function: Callable[[], object]) -> None:
        """Measure one turn."""
        start = time.thread_time()
        function()
        took = (time.thread_time() - start) * 1e3
        self.counts[sum(took > bound for bound in BOUNDS_MS)] += 1
        self.longest[kind] = max(took, self.longest.get(kind, 0.0))

    def collected(self, phase: str, info: dict[str, int]) -> None:
        """Measure a run of the garbage collector."""
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.pause = max(self.pause, (time.thread_time() - self._began) * 1e3)


class FullLoad:
    """A node without sockets at the end of a full chain."""

    def __init__(self) -> None:
        template = real_template()
        packed, following, _ = chain_contents()
        self.pool = pool = Pool(0, template, chain_length=4320)
        network = pool.node.network
        for contents in packed:
            share = parse_share(VERSION_16, contents, network)
            pool.tracker.add(share, float(share.timestamp))
            pool.tracker.trust(share.hash)
        pool.now = float(share.timestamp) + 5
        pool.node.loaded()
        self._template = template
        self._following = iter([parse_share(VERSION_16, contents, network) for contents in following])
        self._keys = [number.to_bytes(20, "little") for number in range(ADDRESSES)]
        addresses = [encode_address(network.parent.addresses.pubkey_hash, key) for key in self._keys]
        self._names = [f"{addresses[number % ADDRESSES]}.rig{number}" for number in range(WORKERS)]
        for name in self._names:
            pool.stats.record_connected(pool.now)
            pool.stats.record_worker_on(name, difficulty=8.0, now=pool.now)
            self._submit(name)

    def _submit(self, name: str) -> None:
        self.pool.stats.record_accepted(name, attempts=1e9, difficulty=8.0, dead=False, now=self.pool.now)

    def second(self, number: int, turns: Turns) -> None:
        """Do what comes in one second."""
        pool = self.pool
        pool.now += 1
        for start in range(number * RATE, (number + 1) * RATE, TOGETHER):
            names = [self._names[each % WORKERS] for each in range(start, start + TOGETHER)]
            turns.take("submissions", lambda names=names: [self._submit(name) for name in names])
        if number % SHARE_PERIOD == SHARE_PERIOD - 1:
            share = next(self._following, None)
            if share is not None:
                turns.take("share", lambda: pool.node.add_shares([share], "peer"))
                self._make_jobs(turns)
        if number % BLOCK_PERIOD == BLOCK_PERIOD - 1:
            last = self._template
            self._template = replace(last, previous_block=NOW_BLOCK + number, height=last.height + 1)
            turns.take("block", lambda: pool.node.set_template(self._template))
            self._make_jobs(turns)
        steps = pool.views.refreshing(pool.now)
        left = [True]
        while left[0]:
            turns.take("pages", lambda: _step(steps, left))

    def _make_jobs(self, turns: Turns) -> None:
        for start in range(0, ADDRESSES, TOGETHER):
            keys = self._keys[start : start + TOGETHER]
            turns.take("jobs", lambda keys=keys: [self.pool.node.make_job(key, None) for key in keys])


NOW_BLOCK = int(NOW) << 200
"""Hashes of blocks that are found: any numbers."""


def _step(steps: Iterator[None], left: list[bool]) -> None:
    left[0] = next(steps, "done") != "done"


def measure_turns() -> Turns:
    """Run the load."""
    load, turns = FullLoad(), Turns()
    load.second(0, Turns())
    long_lived = LongLived(time.thread_time)
    long_lived.exempt()  # as the node does once it has loaded
    long_lived.start()
    gc.callbacks.append(turns.collected)
    try:
        for number in range(1, SECONDS):
            load.second(number, turns)
        gc.collect()
    finally:
        gc.callbacks.remove(turns.collected)
        long_lived.stop()
        gc.unfreeze()
    return turns


def main() -> None:
    """Print the table. Raises RuntimeError if a turn took more than MOST_MS."""
    table = Table(
        f"turns of the reactor: {WORKERS} workers, {sharechain.LENGTH} shares, {SECONDS} s of full load (one core)"
    )
    turns = measure_turns()
    for bound, count in zip(BOUNDS_MS, turns.counts, strict=False):
        table.add(f"turns_{bound}_ms", f"turns of up to {bound} ms that took longer than those above", count, "")
    table.add("turns_longer", f"turns of more than {BOUNDS_MS[-1]} ms", turns.counts[-1], "")
    for kind, longest in turns.longest.items():
        table.add(f"turn_{kind}_ms", f"longest turn: {kind} (aim <= {AIM_MS:g})", longest, "ms")
    table.add("gc_pause_ms", "longest pause of the garbage collector", turns.pause, "ms")
    table.finish()
    worst = max(turns.longest.values())
    if worst > MOST_MS:
        raise RuntimeError(f"a turn of the reactor took {worst:.0f} ms")
