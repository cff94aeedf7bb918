"""Figures of this working tree beside those of a former version, which are measured in turns with them.

A machine's speed changes from minute to minute: figures of two versions mean something only if they were measured
beside each other. In-process benchmarks of a version are its own. Those that start a node (`NODES`) are this
tree's, with the other version's node, so that both have the same load.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.stratum_processes import TREE
from tests.support import ROOT

ROUNDS = 3
NODES = ("stratum",)
Figures = dict[str, float]


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """A working tree of a former version, with its extensions built, which is removed afterwards. Raises
    CalledProcessError for a revision that git does not know."""
    with tempfile.TemporaryDirectory(prefix="p2pool-bench-") as name:
        tree = Path(name) / "former"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            if "ext_modules" in (tree / "setup.py").read_text("utf-8"):
                build = [sys.executable, "-W", "ignore", "setup.py", "-q", "build_ext", "--inplace"]
                subprocess.run(build, cwd=tree, check=True)
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=False)


def measure(tree: Path, name: str) -> Figures:
    """The figures of one benchmark for a version; none if it has no such benchmark."""
    harness = ROOT if name in NODES else tree
    environment = {**os.environ, "PYTHONPATH": str(harness), TREE: str(tree)}
    command = [sys.executable, "-m", "tests.bench", name]
    done = subprocess.run(command, check=False, cwd=harness, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {}
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(names: Sequence[str], revision: str) -> None:
    """Print the medians of both versions and how many times the former one this one is, for each figure."""
    with checkout(revision) as former:
        for name in names:
            before: list[Figures] = []
            after: list[Figures] = []
            for number in range(ROUNDS):
                sides = [(former, before), (ROOT, after)]
                for tree, found in sides if number % 2 == 0 else reversed(sides):
                    print(
                        f"{name}, round {number + 1} of {ROUNDS}: {'former' if tree == former else 'now'}",
                        flush=True,
                    )
                    found.append(measure(tree, name))
            print("\n".join(rows(name, before, after)), flush=True)


def rows(name: str, before: Sequence[Figures], after: Sequence[Figures]) -> Iterator[str]:
    """Yield the lines of a table: each figure's medians, and their ratio."""
    yield f"{name:<36} {'former':>12} {'now':>12} {'now / former':>13}"
    for key in dict.fromkeys(key for figures in (*after, *before) for key in figures):
        old, new = _median(before, key), _median(after, key)
        ratio = f"{new / old:.2f}" if old and new is not None else "-"
        yield f"  {key:<34} {_text(old):>12} {_text(new):>12} {ratio:>13}"


def _median(rounds: Sequence[Figures], key: str) -> float | None:
    values = [figures[key] for figures in rounds if key in figures]
    return statistics.median(values) if values else None


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"
