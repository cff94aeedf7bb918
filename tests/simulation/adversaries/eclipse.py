"""An adversary that tries to be everybody whom one node knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pool.peers.messages import AddrMe, Addrs, GetAddrs, Message, PeerAddress, PeerPing, SeenAddress, Shares
from tests.simulation.adversaries.identity import PING_PERIOD, Link, PeerAdversary
from tests.simulation.pool_node import P2P_PORT

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

ADVERTISE_PERIOD = 300.0
"""Seconds between two times that it tells of its identities; an address is news again only after ten minutes."""


class Eclipse(PeerAdversary):
    """`count` hosts, each in a neighbourhood of its own, connect with one node, take its connections, and tell
    it of nobody but each other. Of the shares that others make it hears nothing from them, or those of an hour
    ago. It hopes that the victim, cut off from the others, mines a chain of its own.

    Each of them also sends `flood` addresses of nobody again and again. `trusted` is how many other honest nodes
    each honest one is configured to stay connected with (-n); the victim accepts `left_out` fewer incoming
    connections than there are identities. What holds today: nobody is cut off, though a node that is restarted
    knows more hostile neighbourhoods than others: without a peer that a bootstrap source names it connects with
    one of those, and the two peers that it had longest before come first.
    """

    def __init__(
        self,
        simulation: Simulation,
        name: str,
        *,
        count: int = 20,
        victim: int = -1,
        trusted: int = 1,
        flood: int = 0,
        left_out: int = 5,
    ) -> None:
        super().__init__(simulation, name, count=count)
        self.flood = flood
        honest = self.victims
        self.victim = honest[victim]
        self.victim.reconfigure(max_conns=count - left_out)
        addresses = [(each.host.address, P2P_PORT) for each in honest]
        for number, machine in enumerate(honest):
            others = addresses[number + 1 :] + addresses[:number]
            machine.reconfigure(p2pool_nodes=tuple(others[:trusted]))
        self._old: list[tuple[float, Shares]] = []
        """Shares that the victim sent, and when: it is told of them again much later."""

    def start(self) -> None:
        """Listen everywhere, and connect with the victim."""
        self.every(self.reactor, PING_PERIOD, lambda: self.tell_all(PeerPing()))
        self.every(self.reactor, ADVERTISE_PERIOD, self._advertise)
        for identity in self.identities:
            identity.listen()
            identity.connect_soon(self.victim)

    def connected(self, link: Link) -> None:
        """Say where it listens, and who else does."""
        link.send(AddrMe(P2P_PORT))
        link.send(self._sisters())

    def _sisters(self) -> Addrs:
        now = int(self.simulation.dash.chain.epoch + self.events.now)
        return Addrs(tuple(SeenAddress(now, each.address) for each in self.identities))

    def _nobody(self) -> Addrs:
        """Return addresses at which nobody listens, each in a neighbourhood of its own."""
        now = int(self.simulation.dash.chain.epoch + self.events.now)
        hosts = (f"{self.chance.randrange(100, 200)}.{self.chance.randrange(250)}.0.1" for _ in range(self.flood))
        return Addrs(tuple(SeenAddress(now, PeerAddress(host, P2P_PORT)) for host in hosts))

    def _advertise(self) -> None:
        self.tell_all(self._sisters())
        for identity in self.identities if self.flood else ():
            for link in identity.links:
                link.send(self._nobody())
        while self._old and self._old[0][0] < self.events.now - 3600:
            self.tell_all(self._old.pop(0)[1])

    def heard(self, link: Link, message: Message) -> None:
        """Answer requests for addresses with those of its own, and others with nothing."""
        if isinstance(message, GetAddrs):
            link.send(self._sisters())
        elif isinstance(message, Shares) and len(self._old) < 1000:
            self._old.append((self.events.now, message))
        super().heard(link, message)
