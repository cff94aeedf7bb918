"""The program: it loads the configuration, runs the node, and turns errors into one line and an exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from p2pool.app.child_settings import GATEWAY
from p2pool.app.compiled import check_compiled
from p2pool.app.config import load_config
from p2pool.app.settings import DATADIR_NAME
from p2pool.base.errors import OperatorError
from p2pool.base.paths import default_in_home
from p2pool.base.signals import survive_signals
from p2pool.base.terminal import flush_standard_streams, open_standard_streams, open_terminal

BROKER_PACKAGES: Final = ("redis", "msgspec")
"""The packages that only processes with a broker need."""


def main(argv: Sequence[str] | None = None, default_datadir: Path | None = None) -> int:
    """Run the node, or with `gateway` as the first word a gateway, until it is interrupted.

    Return the exit status: 2 if the operator has to correct something.
    """
    open_standard_streams()
    survive_signals()
    words = list(sys.argv[1:] if argv is None else argv)
    gateway = words[:1] == [GATEWAY]
    try:
        check_compiled()
        directory = default_in_home(DATADIR_NAME) if default_datadir is None else default_datadir
        load = partial(load_config, words[gateway:], directory, gateway=gateway)
        config = load()
        # Imported late: a wrong flag is reported at once, and the reactor is installed only here.
        from p2pool.net.lean_reactor import install

        install()  # before the next import, which may install another one
        from p2pool.app.process import run, run_gateway

        return run_gateway(config, load) if gateway else run(config, load)
    except (OperatorError, ImportError) as error:
        open_terminal(sys.stderr).write(f"p2pool-dash: {error}{_how_to_install(error)}\n")
        return error.exit_status if isinstance(error, OperatorError) else 2
    except KeyboardInterrupt:  # before the node runs and can be stopped in order
        return 128 + signal.SIGINT
    finally:
        flush_standard_streams()


def _how_to_install(error: Exception) -> str:
    """Return what to do about packages of the broker that are missing; "" for other errors."""
    if not isinstance(error, ImportError) or error.name not in BROKER_PACKAGES:
        return ""
    packages = " ".join(BROKER_PACKAGES)
    return f": gateways and --broker need it; install it with {sys.executable} -m pip install {packages}"
