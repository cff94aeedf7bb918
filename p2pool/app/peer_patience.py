"""How long miners keep their work after the last connection to another node has ended, used by `app.peers`.

Losing every connection at once is most often a router or a peer that restarts. A share that is solved meanwhile
is kept and sent when a peer is back, so taking the work away at once would only waste it. Without peers for
longer, this node's shares would be on a branch of its own. Miners are disconnected then: on their last job, at
most one more share could count, and a block may come too late.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.text import format_duration

_log = Logger(namespace="p2pool.peers")


class PeerPatience:
    """Measures the time since the last connection ended. `expired` is called once it is over. It begins only
    with the loss of a connection: a node that has not found any peer yet has nothing to be patient about."""

    def __init__(self, environment: Environment, seconds: float, expired: Callable[[], None]) -> None:
        self._reactor = environment.reactor
        self._seconds = seconds
        self._expired = expired
        self._connected = False
        self._end: IDelayedCall | None = None
        self.is_over = False
        """Whether the last connection ended for longer ago."""

    @property
    def left(self) -> float:
        """Return the seconds for which miners still keep their work; 0 if there is a peer, or if there was none
        for too long."""
        return 0.0 if self._end is None else max(0.0, self._end.getTime() - self._reactor.seconds())

    def peers_changed(self, count: int, *, has_work: bool) -> None:
        """Take how many peers there are now, and whether miners have work."""
        if count:
            self.stop()
            self.is_over = False
        elif self._connected and has_work and not self._seconds:
            self.is_over = True
        elif self._connected and has_work:
            self._end = self._reactor.callLater(self._seconds, self._over)
            _log.warn(
                "lost all other nodes: miners keep their work for {time} while the node reconnects",
                time=format_duration(self._seconds),
            )
        self._connected = count > 0

    def _over(self) -> None:
        self._end = None
        self.is_over = True
        self._expired()

    def stop(self) -> None:
        """Be patient no longer."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
