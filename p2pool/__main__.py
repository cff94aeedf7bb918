"""`python -m p2pool`, and the installed program `p2pool-dash`: the node, or a command for its operator."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from p2pool.app.cli import main as run_node
from p2pool.app.commands import COMMANDS


def main(argv: Sequence[str] | None = None, default_datadir: Path | None = None) -> int:
    """Carry out a command if the first word is one, else run the node or a gateway. Return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in COMMANDS:
        return run_node(words, default_datadir)
    # Imported late: a node has no use for it.
    from p2pool.operators.main import run_command

    return run_command(words[0], words[1:], default_datadir)


if __name__ == "__main__":
    sys.exit(main())
