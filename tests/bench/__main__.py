"""`python -m tests.bench`: all benchmarks, or those named."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = (
    "x11",
    "mining",
    "sharechain",
    "peers",
    "vardiff",
    "dashd",
    "stratum",
    "web",
    "history",
    "floods",
    "gateway",
)


def main(names: list[str]) -> int:
    """Run them; 2 for a name that there is not."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        importlib.import_module(f"tests.bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
