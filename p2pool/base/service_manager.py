"""What systemd is told by the process that it started, as sd_notify(3) describes; nothing without systemd."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def notify_service_manager(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send a state such as READY=1 or MAINPID=123. Return whether a service manager took it."""
    name = environment.get("NOTIFY_SOCKET", "")
    if name[:1] not in ("/", "@"):
        return False
    address = "\0" + name[1:] if name[0] == "@" else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.setblocking(False)
            connection.sendto(state.encode(), address)
    except OSError:
        return False
    return True
