"""A node that the operator names: connected to again whenever the connection ends."""

from __future__ import annotations

from typing import Final

from twisted.application.internet import ClientService

from p2pool.base.backoff import reconnect_policy
from p2pool.base.environment import Environment
from p2pool.base.outgoing import endpoint_to
from p2pool.peers.hub import PeerHub
from p2pool.peers.protocol import PeerFactory
from p2pool.peers.session import PeerSession

SHORT_LIVED: Final = 30.0
"""Seconds: a connection that ends sooner counts as a failed attempt. If two nodes name each other, the second
connection between them ends at once, each time: without longer and longer waits it would be made every two seconds
for as long as the first one lasts."""


class KeptNode(ClientService):
    """Keeps one node connected. `address` is (host, port); `dial_time` in seconds."""

    def __init__(
        self, environment: Environment, hub: PeerHub, address: tuple[str, int], *, dial_time: float
    ) -> None:
        self.factory = PeerFactory(hub, False)
        self._hub = hub
        self._short_lived = 0
        """How many of the last connections in a row were short-lived."""
        self.factory.began.subscribe(lambda session: hub.given.add((session.host, session.port)))
        self.factory.ended.subscribe(self._ended)
        policy = reconnect_policy(environment.chance)
        super().__init__(
            endpoint_to(environment, *address, timeout=dial_time, named=True),
            self.factory,
            retryPolicy=lambda attempts: policy(max(attempts, self._short_lived)),
            clock=environment.reactor,
        )

    def _ended(self, session: PeerSession) -> None:
        lived = self._hub.monotonic() - session.connected_at
        self._short_lived = self._short_lived + 1 if lived < SHORT_LIVED else 0
