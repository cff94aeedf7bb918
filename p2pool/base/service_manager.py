"""What systemd is told by the process that it started, as sd_notify(3) describes; nothing without systemd.

Only the service's main process is listened to. While another process takes over, that is the former one, until it
names its successor.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

from p2pool.base.environment import Environment
from p2pool.base.timer import Timer

SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG_TIME, WATCHDOG_PROCESS = "WATCHDOG_USEC", "WATCHDOG_PID"
"""Variables of the environment: the microseconds without WATCHDOG=1 after which systemd ends the service, and the
process that they are meant for."""
SHORTEST_WATCHDOG: Final = 0.1
"""Seconds: a shorter WATCHDOG_USEC is a mistake, and would keep the reactor busy."""


def notify_service_manager(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send a state such as READY=1 or MAINPID=123. Return whether a service manager took it."""
    name = environment.get(SOCKET, "")
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


def watchdog_period(environment: Mapping[str, str] = os.environ, process: int | None = None) -> float | None:
    """Return the seconds between two WATCHDOG=1 of a process, by default this one: half the time after which it is
    missed. None if the service manager does not watch the process."""
    if not environment.get(SOCKET):
        return None
    meant_for = environment.get(WATCHDOG_PROCESS, "")
    if meant_for and meant_for != str(os.getpid() if process is None else process):
        return None
    try:
        seconds = int(environment.get(WATCHDOG_TIME, "")) / 1e6
    except ValueError:
        return None
    return seconds / 2 if seconds >= SHORTEST_WATCHDOG else None


def successor_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a process that is to become the service's main process: the watchdog is for that
    one then."""
    return {name: value for name, value in environment.items() if name != WATCHDOG_PROCESS}


class MainProcess:
    """This process as the main process of a service. The reactor resets the watchdog, so that systemd restarts a
    process whose reactor hangs; `period` gives None without a watchdog."""

    def __init__(
        self,
        environment: Environment,
        *,
        notify: Callable[[str], object] = notify_service_manager,
        period: Callable[[], float | None] = watchdog_period,
    ) -> None:
        self._environment = environment
        self._notify = notify
        self._period = period
        self._is_main = False
        self._watchdog: Timer | None = None

    def started(self) -> None:
        """Tell that the service is up, and reset the watchdog from now on."""
        self._notify("READY=1\nSTATUS=Starting")
        self.took_over()

    def took_over(self) -> None:
        """Reset the watchdog from now on; the former main process tells the rest."""
        self._is_main = True
        period = self._period()
        if period is not None and self._watchdog is None:
            self._watchdog = Timer(
                self._environment.reactor, period, self._reset_watchdog, name="reset systemd's watchdog"
            )

    def _reset_watchdog(self) -> None:
        self._notify("WATCHDOG=1")

    def reloading(self) -> None:
        """Tell that settings are read again, or that another process takes over, until `reloaded` or
        `replaced_by`."""
        microseconds = int(self._environment.monotonic() * 1e6)
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def reloaded(self) -> None:
        """Tell that this process goes on after `reloading`. May be called in any thread."""
        self._notify("READY=1")

    def replaced_by(self, process: int) -> None:
        """Name the main process from now on. Its time for its first WATCHDOG=1 begins now."""
        self._notify(f"MAINPID={process}\nREADY=1\nWATCHDOG=1")
        self._is_main = False
        if self._watchdog is not None:
            self._watchdog.stop()

    def stopping(self) -> None:
        """Tell that the service stops, unless another process has it. The watchdog is reset until the reactor
        ends."""
        if self._is_main:
            self._notify("STOPPING=1\nSTATUS=Stopping")
