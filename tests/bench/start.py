"""The start of a node: from a share store on disk until miners have work, and until all shares are verified.

Node, store, threads and reactor are real. A process of its own measures each kind of store, because a reactor runs
once only.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from twisted.internet.defer import ensureDeferred

from p2pool.base.environment import Environment, real_environment
from p2pool.node import Node, WorkChange
from p2pool.node.job_terms import NodeSettings
from p2pool.node.persistence import Persistence
from p2pool.pool_stats import PoolStats
from p2pool.share.parsing import parse_shares
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.store import Batch, PackedShare, ShareDatabase
from p2pool.sharechain.tracker import Thought, Tracker
from tests.bench import sharechain
from tests.bench.measure import Table
from tests.bench.sharechain import PAYEES, chain_contents, real_template
from tests.chains import NOW, easy_network
from tests.support import ROOT

ROUNDS = 3
AIM_WORK, AIM_VERIFIED, AIM_TURN = 1.0, 3.0, 0.02
PATIENCE = 60.0


@dataclass
class StartFigures:
    """Seconds from the start of loading, of wall and of CPU time, until there was work, and until nothing was left
    to verify; and the longest turn of the reactor, in seconds that this thread used."""

    work: float = 0.0
    work_cpu: float = 0.0
    verified: float = 0.0
    verified_cpu: float = 0.0
    turn: float = 0.0


def write_store(directory: Path, packed: list[bytes], *, verified: bool) -> None:
    """Write shares into a store of their own."""
    shares = [
        each
        for each in parse_shares([(VERSION_16, contents) for contents in packed], easy_network())
        if not isinstance(each, Exception)
    ]
    database = ShareDatabase(directory / "shares.sqlite")
    batch = Batch(shares={share.hash: PackedShare.of(share, NOW, own=False, live=True) for share in shares})
    batch.verified = {share.hash for share in shares} if verified else set()
    database.write(batch)
    database.close()


class MeasuredStart:
    """A node that loads the store of a directory."""

    def __init__(self, environment: Environment, directory: Path, now: float) -> None:
        self.figures = StartFigures()
        self._environment = environment
        settings = NodeSettings(lambda: b"\x01" * 20, 0.5, 655)
        self.node = Node(
            environment,
            easy_network(),
            tracker=Tracker(easy_network()),
            settings=settings,
            stats=PoolStats(now),
        )
        self._persistence = Persistence(environment, self.node, directory)
        self.node.work_changed.subscribe(self._work_changed)
        self.node.thought.subscribe(self._thought)
        self._began = self._cpu = self._turn = 0.0

    def start(self) -> None:
        """Load the store; the reactor stops when all is done."""
        self.node.set_template(real_template())
        self._began, self._cpu = time.perf_counter(), time.process_time()
        self.figures = StartFigures()
        ensureDeferred(self._persistence.start()).addErrback(lambda failure: failure.printTraceback())
        self._environment.reactor.callLater(PATIENCE, self._environment.reactor.stop)
        self._next_turn()

    def _next_turn(self) -> None:
        """Measure the turn that ends here. The reactor does something in each, as it does for miners."""
        now = time.thread_time()
        if self._turn:
            self.figures.turn = max(self.figures.turn, now - self._turn)
        self._turn = now
        self._environment.reactor.callLater(0.0005, self._next_turn)

    def _passed(self) -> tuple[float, float]:
        return time.perf_counter() - self._began, time.process_time() - self._cpu

    def _work_changed(self, change: WorkChange) -> None:
        if change.context.tip[0] is not None and not self.figures.work:
            self.figures.work, self.figures.work_cpu = self._passed()

    def _thought(self, thought: Thought) -> None:
        tracker = self.node.tracker
        if not thought.unfinished and thought.best is not None and not self.figures.verified:
            if len(tracker.verified) < min(tracker.network.chain_length, len(tracker)):
                raise RuntimeError(f"only {len(tracker.verified)} shares are verified")
            self.figures.verified, self.figures.verified_cpu = self._passed()
            self._environment.reactor.callLater(0.2, self._environment.reactor.stop)


def measure_start(directory: Path) -> StartFigures:
    """Measure the start on a store in another process."""
    command = [sys.executable, "-m", "tests.bench.start", str(directory)]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=2 * PATIENCE)
    figures = StartFigures(**json.loads(answer.stdout))
    if not figures.work or not figures.verified:
        raise RuntimeError(f"the node had no work, or not all verified, after {PATIENCE:g} s: {figures}")
    return figures


def best_start(directory: Path) -> StartFigures:
    """The best of ROUNDS starts, figure by figure."""
    rounds = [asdict(measure_start(directory)) for _ in range(ROUNDS)]
    return StartFigures(**{name: min(each[name] for each in rounds) for name in rounds[0]})


def main() -> None:
    """Print the table."""
    table = Table(f"start with {sharechain.LENGTH} shares on disk, {PAYEES} payees (node in one process)")
    packed = chain_contents()[0]
    for verified in (True, False):
        with tempfile.TemporaryDirectory() as name:
            write_store(Path(name), packed, verified=verified)
            figures = best_start(Path(name))
        kind = "verified" if verified else "unverified"
        table.add(f"{kind}_work_s", f"{kind} shares: until there is work (aim <= {AIM_WORK:g})", figures.work, "s")
        table.add(f"{kind}_work_cpu_s", "CPU time of that", figures.work_cpu, "s")
        table.add(f"{kind}_all_s", f"until all are verified (aim <= {AIM_VERIFIED:g})", figures.verified, "s")
        table.add(f"{kind}_all_cpu_s", "CPU time of that", figures.verified_cpu, "s")
        table.add(f"{kind}_turn_ms", f"longest turn (aim <= {1e3 * AIM_TURN:g})", 1e3 * figures.turn, "ms")
    table.finish()


def run(directory: Path) -> None:
    """Measure one start in this process, and print it."""
    from twisted.internet import reactor  # installed by the import: only here

    environment = real_environment(reactor)  # type: ignore[arg-type]
    start = MeasuredStart(environment, directory, environment.clock())
    environment.reactor.callWhenRunning(start.start)
    environment.reactor.run()
    print(json.dumps(asdict(start.figures)))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
