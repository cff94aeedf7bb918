"""Runs a command for operators: finds what carries it out, and turns errors into one line and an exit status.

Called by `p2pool.__main__`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from p2pool.app.settings import DATADIR_NAME
from p2pool.base.errors import OperatorError
from p2pool.base.paths import default_in_home, parse_path
from p2pool.base.terminal import flush_standard_streams, open_standard_streams, open_terminal
from p2pool.operators.arguments import read_arguments
from p2pool.operators.backup import backup, restore
from p2pool.operators.check import check
from p2pool.operators.explain import explain
from p2pool.operators.settings_template import settings_template, write_template
from p2pool.operators.status import status

Command = Callable[[Sequence[str], Path], int]
"""Carries out a command, given the arguments after its name and the default of --datadir. Returns the exit status.
Raises OperatorError."""


def run_command(command: str, arguments: Sequence[str], default_datadir: Path | None = None) -> int:
    """Carry out a command. Return the exit status: 1 if it failed or found a fault, 2 for wrong usage."""
    open_standard_streams()
    try:
        datadir = default_in_home(DATADIR_NAME) if default_datadir is None else default_datadir
        return _COMMANDS[command](arguments, datadir)
    except OperatorError as error:
        open_terminal(sys.stderr).write(f"p2pool-dash {command}: {error}\n")
        return error.exit_status
    except BrokenPipeError:  # what reads the output has enough
        return 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        flush_standard_streams()


def _config(arguments: Sequence[str], default_datadir: Path) -> int:
    given = read_arguments("config", arguments, default_datadir, words="init [FILE]", takes_settings=False)
    action, *names = given.words
    if action != "init":
        raise OperatorError(f"there is no {action!r}: write p2pool-dash config init [FILE]")
    if not names:
        sys.stdout.write(settings_template())
        return 0
    path = parse_path("config init", names[0])
    write_template(path)
    sys.stdout.write(f"wrote {path}: edit it, then run p2pool-dash check --config {path}\n")
    return 0


_COMMANDS: Final[Mapping[str, Command]] = {
    "backup": backup,
    "check": check,
    "config": _config,
    "explain": explain,
    "restore": restore,
    "status": status,
}
