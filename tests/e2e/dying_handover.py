"""`run_p2pool.py` that is killed while it hands its miners over, or takes them. The first argument says when:
`before` or `after` it has sent them, or `ready`, when it has all that it needs to serve them."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from p2pool.app.cli import main
from p2pool.app.take_over import HandoverClient
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


def die_ready(self: HandoverClient) -> None:
    """Have everything, and end without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    when = sys.argv.pop(1)
    if when == "ready":
        HandoverClient.confirm = die_ready  # type: ignore[method-assign]
    else:
        HandoverSocket.send_sockets = die_before if when == "before" else die_after  # type: ignore[method-assign]
    sys.exit(main(default_datadir=ROOT / "data"))
