"""Memory of a node that is flooded: what each kind of flood leaves behind, round after round.

What rises with every round is a leak; what rises once is a table that is full now, or memory that the allocator
keeps for the next time. Every kind has a node of its own. Sizes and times are constants, so that a test can run it
in small; `python -m tests.bench.floods KIND ...` runs some kinds only.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import floods_peers, floods_stratum, floods_web
from tests.bench.floods_client import PROXY
from tests.bench.measure import Table
from tests.bench.stratum_load import DIFFICULTY
from tests.bench.stratum_processes import BenchNode, SimulatedDash, node_flags, prepare_shares
from tests.bench.web import many_files

ROUNDS = 3
SETTLE = 8.0
"""Seconds before the first figure: what the node makes once (views, the share window) is there."""
IDLE = 10.0
"""Seconds after a round: lingering connections and saved sessions (--session-timeout) are over."""
PEERS_IDLE = 35.0
"""The same for transactions of peers, which are kept for a while after nobody needs them."""
LONG_IDLE = 20.0
"""Seconds after the last round, in addition."""
BLOCKS, TRANSACTIONS = 10, 200
"""New blocks, and transactions before each: as many as the simulated Dash Core's mempool takes."""
PAYEES, SHARES = 50, 60
BLOCK_ATTEMPTS = 2**16
APART = True
"""Whether each kind has a node of its own."""
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Kind:
    """A flood. `run(port, round number)` returns how many operations there were."""

    name: str
    run: Callable[[int, int], int]
    peers: bool = False


def many_workers(port: int, round_number: int) -> int:
    """All that browsers do, on a node whose tables of workers are full: its views are megabytes then."""
    done = floods_stratum.logins(port, round_number) + floods_stratum.difficulty_changes(port, round_number)
    for run_one in (
        floods_web.endpoints,
        floods_web.unknown_paths,
        floods_web.slow_requests,
        floods_web.websockets,
    ):
        done += run_one(port, round_number)
    return done


KINDS = (
    Kind("logins", floods_stratum.logins),
    Kind("crowd", floods_stratum.crowd),
    Kind("difficulty", floods_stratum.difficulty_changes),
    Kind("submissions", floods_stratum.submissions),
    Kind("malformed", floods_stratum.malformed_lines),
    Kind("half_open", floods_stratum.half_open),
    Kind("endpoints", floods_web.endpoints),
    Kind("unknown_paths", floods_web.unknown_paths),
    Kind("slow_requests", floods_web.slow_requests),
    Kind("websockets", floods_web.websockets),
    Kind("many_workers", many_workers),
    Kind("peers", floods_peers.peers, peers=True),
)


class Target:
    """A node, and the simulated Dash Core behind it."""

    def __init__(self, node: BenchNode, dash: SimulatedDash) -> None:
        self.node = node
        self._dash = dash

    def templates(self, _: int, __: int) -> int:
        """New blocks, with a mempool that fills in between."""
        for _ in range(BLOCKS):
            self._dash.ask("simnet_sendtx", TRANSACTIONS)
            time.sleep(0.5)
            self._dash.find_block()
        return BLOCKS * TRANSACTIONS

    def measure(self, kind: Kind, table: Table) -> None:
        """Run a flood's rounds; a row of resident megabytes."""
        node = self.node
        time.sleep(SETTLE)
        sizes, operations = [node.memory], 0
        for number in range(1, ROUNDS + 1):
            operations = kind.run(node.p2pool_port if kind.peers else node.port, number)
            peak = node.memory
            time.sleep(PEERS_IDLE if kind.peers else IDLE)
            sizes.append(node.memory)
            if node.process.poll() is not None or node.try_get("local_stats") is None:
                raise RuntimeError(f"the node did not survive {kind.name}; its log:\n{node.output[-5000:]}")
            print(
                f"{kind.name}: round {number}, {operations} operations, {peak >> 20} -> {sizes[-1] >> 20} MB",
                flush=True,
            )
        time.sleep(LONG_IDLE)
        sizes.append(node.memory)
        self._add(table, kind.name, [size / MEGABYTE for size in sizes], operations)

    @staticmethod
    def _add(table: Table, name: str, sizes: Sequence[float], operations: int) -> None:
        before, *rounds, after = sizes
        table.figures[f"{name}_before_mb"] = round(before, 1)
        for number, size in enumerate(rounds, 1):
            table.figures[f"{name}_{number}_mb"] = round(size, 1)
        table.figures[f"{name}_idle_mb"] = round(after, 1)
        text = " ".join(f"{size:6.1f}" for size in sizes)
        table.print_row(
            f"{name}: before, after each round, at rest", f"{text} MB", f"{operations} operations a round"
        )


@contextmanager
def _target(directory: Path, name: str, flags: set[str]) -> Iterator[Target]:
    wishes = {
        "--web-rate-limit": "0",
        "--min-difficulty": str(DIFFICULTY),
        "--session-timeout": "5",
        "--stratum-proxy-protocol": PROXY,
        "--max-connections": "5000",
        "--max-connections-per-ip": "5000",
    }
    place = directory / f"floods-{name}"
    place.mkdir()
    with SimulatedDash(place, BLOCK_ATTEMPTS) as dash:
        dash.wait_until_ready()
        with BenchNode(place, dash, directory / "shares", flags, wishes, "node") as node:
            node.wait_until_ready()
            yield Target(node, dash)


def run(names: Sequence[str] = ()) -> None:
    """Run floods of these kinds, or all, and print the table."""
    table = Table(f"floods: resident memory of the node, {ROUNDS} rounds of each kind")
    with many_files(), tempfile.TemporaryDirectory(prefix="p2pool-bench-") as name, ExitStack() as together:
        directory, flags = Path(name), node_flags()
        prepare_shares(directory / "shares", SHARES, PAYEES)
        shared = None if APART else together.enter_context(_target(directory, "all", flags))
        kinds = {kind.name: kind for kind in KINDS}
        for wanted in names or [*kinds, "templates"]:
            with ExitStack() as stack:
                target = shared or stack.enter_context(_target(directory, wanted, flags))
                target.measure(kinds.get(wanted) or Kind("templates", target.templates), table)
    table.finish()


def main() -> None:
    """Run all kinds."""
    run()


if __name__ == "__main__":
    run(sys.argv[1:])
