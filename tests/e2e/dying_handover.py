"""`run_p2pool.py` that is killed while it hands its miners over. The first argument says whether that is `before`
or `after` it has sent them."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from p2pool.app.cli import main
from p2pool.base.handover_socket import HandoverSocket
from tests.support import ROOT

send_sockets = HandoverSocket.send_sockets


def die_before(self: HandoverSocket, sockets: Any) -> None:
    """Send nothing."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(self: HandoverSocket, sockets: Any) -> None:
    """Send everything, and end without a word."""
    send_sockets(self, sockets)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    HandoverSocket.send_sockets = die_before if sys.argv.pop(1) == "before" else die_after  # type: ignore[method-assign]
    sys.exit(main(default_datadir=ROOT / "data"))
