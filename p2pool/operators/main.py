"""Runs a command for operators: finds what carries it out, and turns errors into one line and an exit status.

Called by `p2pool.__main__`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from p2pool.app.settings import DATADIR_NAME
from p2pool.base.errors import OperatorError
from p2pool.base.paths import default_in_home
from p2pool.base.terminal import flush_standard_streams, open_standard_streams, open_terminal

Command = Callable[[Sequence[str], Path], int]
"""Carries out a command, given the arguments after its name and the default of --datadir. Returns the exit status.
Raises OperatorError."""


def run_command(command: str, arguments: Sequence[str], default_datadir: Path | None = None) -> int:
    """Carry out a command. Return the exit status: 1 if it failed or found a fault, 2 for wrong usage."""
    open_standard_streams()
    try:
        datadir = default_in_home(DATADIR_NAME) if default_datadir is None else default_datadir
        return _find(command)(arguments, datadir)
    except OperatorError as error:
        open_terminal(sys.stderr).write(f"p2pool-dash {command}: {error}\n")
        return error.exit_status
    except BrokenPipeError:  # what reads the output has enough
        return 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        flush_standard_streams()


_MODULES: Final = {
    "backup": "backup",
    "check": "check",
    "completion": "completion",
    "config": "settings_template",
    "explain": "explain",
    "man": "manual",
    "restore": "backup",
    "status": "status",
    "top": "top",
}
"""The module of each command: it has a function of the command's name, and is imported when that is called."""


def _find(command: str) -> Command:
    found: Command = getattr(import_module(f"p2pool.operators.{_MODULES[command]}"), command)
    return found
