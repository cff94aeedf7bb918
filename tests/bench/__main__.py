"""`python -m tests.bench [--against REVISION] [NAMES]`: all benchmarks, or those named, by themselves or beside a
former version."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from tests.bench.compare import compare

BENCHMARKS = (
    "x11",
    "mining",
    "sharechain",
    "start",
    "turns",
    "peers",
    "messages",
    "vardiff",
    "dashd",
    "stratum",
    "web",
    "history",
    "floods",
    "gateway",
    "growth",
    "floor",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; 2 for a name that there is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--against", metavar="REVISION", help="measure this version of git's history in turns")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    given = parser.parse_args(arguments)
    names: list[str] = given.names
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    if given.against:
        compare(names or BENCHMARKS, given.against)
        return 0
    for name in names or BENCHMARKS:
        importlib.import_module(f"tests.bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
