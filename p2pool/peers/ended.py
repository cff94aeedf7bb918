"""Why connections with other nodes ended, for pages. Pure. Called by `hub`."""

from __future__ import annotations

from typing import Final

from p2pool.base.bounded import BoundedDict
from p2pool.base.text import printable
from p2pool.peers.figures import EndedConnection
from p2pool.peers.session import PeerSession

MAX_HOSTS: Final = 200
SHOWN: Final = 50
"""Ends that pages list."""
SHOWN_SOFTWARE: Final = 60
"""Characters of what a peer called its software."""
_SHOWN_REASON: Final = 160


class EndedConnections:
    """The last connection of each host that ended. Bound: MAX_HOSTS, the oldest goes first."""

    def __init__(self) -> None:
        self._last: BoundedDict[str, EndedConnection] = BoundedDict(MAX_HOSTS)

    def note(self, session: PeerSession, reason: str, *, monotonic: float, unix: float) -> None:
        """Take note of the end of a connection, by both clocks, in seconds."""
        self._last.pop(session.host_key, None)  # so that it is the newest
        self._last[session.host_key] = EndedConnection(
            time=unix,
            host=session.host,
            port=session.port,
            incoming=session.incoming,
            software=session.software(SHOWN_SOFTWARE),
            lasted=max(0.0, monotonic - session.connected_at),
            reason=printable(reason, _SHOWN_REASON),
        )

    def of(self, host_key: str) -> EndedConnection | None:
        """Return the last connection that ended of a host, as `host_key` names it."""
        return self._last.get(host_key)

    def newest(self) -> list[EndedConnection]:
        """Return the newest ends, at most SHOWN, the newest first."""
        return list(self._last.values())[: -SHOWN - 1 : -1]
