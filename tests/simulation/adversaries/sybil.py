"""An adversary with which one node connects by itself: it is in its address book, or among its bootstrap nodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from p2pool.peers.address_book import AddressBook
from p2pool.peers.addresses import Bans
from p2pool.peers.messages import Addrs, GetAddrs, Message, PeerAddress, PeerPing, SeenAddress, ShareReq
from p2pool.peers.service import PEERS_FILE
from p2pool.peers.session import HANDSHAKE_TIME
from tests.simulation.adversaries.identity import PING_PERIOD, Link
from tests.simulation.adversaries.stall import Stall
from tests.simulation.events import WORLD
from tests.simulation.pool_node import P2P_PORT

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class Sybil(Stall):
    """`count` hosts, each in a neighbourhood of its own, with which one node connects by itself when it comes to
    the network after `coming` seconds. With `known` = book its address book is full of them, and it has only heard
    of honest nodes, as after an eclipse; it has one honest bootstrap node. With bootstrap, all its bootstrap nodes
    but one are theirs. They announce the best share, answer as `stall` does, and tell of nobody but each other. If
    `how` is mute, they say nothing at all; if it is tardy, they introduce themselves just in time and answer
    nothing; if it is outdated, they answer in full, and never tell of what was found since the victim came. It
    hopes that the node has no connection left for honest nodes, and so no work, or work on an old share.
    """

    WITHIN = 60.0

    def __init__(
        self,
        simulation: Simulation,
        name: str,
        *,
        how: str = "silent",
        count: int = 12,
        victim: int = -1,
        known: str = "book",
        coming: float = 400.0,
    ) -> None:
        super().__init__(simulation, name, how=how, count=count, victim=victim)
        self._how = how
        self._in_book = known == "book"
        self._coming = coming
        self._runs_before = 0
        self._hosts = {each.host.address for each in self.identities}
        self._honest = [each for each in self.victims if each is not self.victim]
        self.behind = self.without_honest = self.outgoing = self.won = 0
        """Seconds in which the victim did not work on the others' chain, or was connected with none of them; its
        outgoing connections, times seconds, and those of them to hosts of the adversary."""
        nodes = [] if self._in_book else [(each.host.address, P2P_PORT) for each in self.identities]
        self.victim.reconfigure(bootstrap=(*nodes, (self._honest[0].host.address, P2P_PORT)))

    @property
    def _ways(self) -> dict[str, Callable[[Link, ShareReq], None]]:
        ways = super()._ways
        in_full: Callable[[Link, ShareReq], None] = lambda link, request: self._reply(  # noqa: E731
            link, request, self._shares(request)
        )
        return {**ways, "mute": ways["silent"], "tardy": ways["silent"], "outdated": in_full}

    def start(self) -> None:
        """Listen, and wait for the victim."""
        self.every(self.reactor, PING_PERIOD, lambda: self.tell_all(PeerPing()))
        self.events.at(self._coming - 1.0, WORLD, self._come)
        for identity in self.identities:
            identity.listen()

    def _come(self) -> None:
        """Let the victim know what it knows from an earlier run, and begin to look at it."""
        if self._in_book:
            now, book = self.victim.clock(), AddressBook(self.chance)
            for identity in self.identities:
                book.answered(identity.address, now - 60)
            for machine in self._honest:
                book.add(PeerAddress(machine.host.address, P2P_PORT), now - 60, now=now, source="heard")
            kept = {
                "addresses": book.to_json(),
                "address_key": book.key.hex(),
                "anchors": [[each.host, each.port] for each in (i.address for i in self.identities[:2])],
                "bans": Bans().to_json(),
            }
            self.victim.config.datadir.mkdir(parents=True, exist_ok=True)
            (self.victim.config.datadir / PEERS_FILE.name).write_text(json.dumps(kept))
        self.every(self.reactor, 1.0, self._look)

    # --- what it measures --------------------------------------------------------------------------------

    def _look(self) -> None:
        super()._look()
        process = self.victim.process
        if process is None:
            return
        hub = process.peers.hub
        outgoing = [each for each in hub.sessions if not each.incoming]
        self.outgoing += len(outgoing)
        self.won += sum(1 for each in outgoing if each.host in self._hosts)
        self.without_honest += all(peer.host in self._hosts for peer in hub.peers)
        self.behind += process.node.best_share not in self._recent()

    def figures(self) -> dict[str, float]:
        """Return what the victim lost."""
        return {
            "seconds until the others' chain": max(self.waits, default=0.0),
            "seconds behind the others": self.behind,
            "seconds without an honest peer": self.without_honest,
            "part of the outgoing connections": self.won / max(1, self.outgoing),
        }

    def summary(self) -> Iterator[str]:
        """Say what the victim lost."""
        yield ", ".join(f"{name}: {value:.3g}" for name, value in self.figures().items())

    # --- what it sends -----------------------------------------------------------------------------------

    def _pass_on(self) -> None:
        if self._how not in ("mute", "tardy", "outdated"):
            super()._pass_on()

    def began(self, link: Link) -> None:
        """Introduce itself, sooner or later."""
        if self._how == "tardy":
            link.reactor.callLater(HANDSHAKE_TIME - 1.0, super().began, link)
        elif self._how == "outdated" and self.best is not None:
            link.send(self.introduction(link))
        elif self._how != "mute":
            super().began(link)

    def _sisters(self) -> Addrs:
        now = int(self.simulation.dash.chain.epoch + self.events.now)
        return Addrs(tuple(SeenAddress(now, each.address) for each in self.identities))

    def connected(self, link: Link) -> None:
        """Say who else listens."""
        if self._how not in ("mute", "tardy"):  # nobody may say anything before it introduces itself
            link.send(self._sisters())

    def heard(self, link: Link, message: Message) -> None:
        """Answer requests for addresses with those of its own."""
        if isinstance(message, GetAddrs) and self._how != "mute":
            link.send(self._sisters())
        super().heard(link, message)
