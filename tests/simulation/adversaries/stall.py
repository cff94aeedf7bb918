"""An adversary that has what a newcomer needs, and keeps it waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from p2pool.node import Node
from p2pool.peers.messages import Envelope, Message, PeerPing, ShareReply, ShareReq, Shares
from p2pool.share.share import Share
from tests.simulation.adversaries.identity import PING_PERIOD, Identity, Link, PeerAdversary

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

LATE: Final = 13.0
"""Seconds of an answer that is just in time: after 15 s nodes disconnect."""
DRIP: Final = 0.5
"""Seconds between two drops of an answer."""
NEAR: Final = 10
"""Shares by which a node may be behind others that works on their chain."""


class Stall(PeerAdversary):
    """`count` hosts that connect with one node whenever they can, announce the best share to it, and pass new
    shares on at once, as if each were the best peer there is. Asked for shares, they never answer (`how` is
    silent), answer in full just before they would be disconnected (late), send `rate` bytes a second of the answer
    (drip), one share of it (one), nothing (none), or other shares (other). It hopes that a node without shares
    asks it again and again, and has no work for its miners all the while.
    """

    WITHIN = 10.0
    """Seconds in which the victim must work on the others' chain."""

    def __init__(
        self,
        simulation: Simulation,
        name: str,
        *,
        how: str = "silent",
        count: int = 20,
        victim: int = -1,
        rate: int = 2000,
    ) -> None:
        super().__init__(simulation, name, count=max(1, count))
        self._count = count
        self._rate = rate
        self._answer = self._ways[how]
        self.victim = self.victims[victim]
        self.victim.reconfigure(max_conns=count + 10)
        self._run: object = None
        self._started = 0.0
        self._runs_before = 1
        """Runs of the victim in which it knows the chain from its beginning."""
        self.joined: list[float | None] = []
        """Seconds until the victim worked on everybody's chain, of each start but the first; None: not yet."""

    @property
    def _ways(self) -> dict[str, Callable[[Link, ShareReq], None]]:
        return {
            "silent": lambda link, request: None,
            "late": self._late,
            "drip": self._drip,
            "one": lambda link, request: self._reply(link, request, self._shares(request)[:1]),
            "none": lambda link, request: self._reply(link, request, []),
            "other": lambda link, request: self._reply(link, request, self._shares(request)[1:] or self._newest()),
        }

    def start(self) -> None:
        """Connect with the victim, and again as soon as that ends."""
        self.every(self.reactor, PING_PERIOD, lambda: self.tell_all(PeerPing()))
        self.every(self.reactor, 1.0, self._look)
        for identity in self.identities[: self._count]:
            self.every(identity.reactor, 1.0, partial(self._connect, identity))

    def _connect(self, identity: Identity) -> None:
        if not identity.links and self.victim.process is not None:
            identity.connect(self.victim, again=False)

    # --- what it measures --------------------------------------------------------------------------------

    def _look(self) -> None:
        """Pass the newest share on, and see whether the victim, since its last start without shares, works on what
        the others work on."""
        self._pass_on()
        process, now = self.victim.process, self.events.now
        if process is None:
            return
        if process is not self._run:
            self._run, self._started = process, now
            if self.victim.runs > self._runs_before:
                self.joined.append(None)
        if self.joined and self.joined[-1] is None and process.node.best_share in self._recent():
            self.joined[-1] = now - self._started

    def _pass_on(self) -> None:
        newest = self._newest()[:1]
        if newest and newest[0].hash != self.best:
            self.best = newest[0].hash
            self.tell_all(Shares(tuple(Envelope(share.version.type, share.contents) for share in newest)))

    @property
    def waits(self) -> list[float]:
        """Return how long the victim took, or has been waiting, since each start without shares."""
        return [self.events.now - self._started if each is None else each for each in self.joined]

    def _recent(self) -> set[int]:
        return {share.hash for share in self._newest()}

    def summary(self) -> Iterator[str]:
        """Say how long the victim took."""
        times = ", ".join("never" if each is None else f"{each:.0f} s" for each in self.joined)
        yield f"{self.victim.name} worked on the others' chain after {times}"

    # --- what it sends -----------------------------------------------------------------------------------

    def _node(self) -> Node | None:
        """Return a node that has the shares."""
        running = (each.process for each in self.victims if each is not self.victim)
        return next((process.node for process in running if process is not None), None)

    def _newest(self) -> list[Share]:
        node = self._node()
        return [] if node is None else list(node.tracker.ancestors(node.best_share, NEAR))

    def _shares(self, request: ShareReq) -> list[Share]:
        node, stops = self._node(), set(request.stops)
        chain = () if node is None else node.tracker.ancestors(request.hashes[0], request.parents + 1)
        return list(takewhile(lambda share: share.hash not in stops, chain))

    def began(self, link: Link) -> None:
        """Introduce itself with the best share."""
        newest = self._newest()
        self.best = newest[0].hash if newest else None
        super().began(link)

    def heard(self, link: Link, message: Message) -> None:
        """Answer a request as it likes."""
        if isinstance(message, ShareReq):
            self._answer(link, message)

    def _reply(self, link: Link, request: ShareReq, shares: list[Share]) -> None:
        link.send(self._packed(request, shares))

    def _packed(self, request: ShareReq, shares: list[Share]) -> ShareReply:
        envelopes = tuple(Envelope(share.version.type, share.contents) for share in shares)
        return ShareReply(request.id, 0, envelopes)

    def _late(self, link: Link, request: ShareReq) -> None:
        link.reactor.callLater(LATE, self._reply, link, request, self._shares(request))

    def _drip(self, link: Link, request: ShareReq) -> None:
        data = link.frame(self._packed(request, self._shares(request)))
        size = max(1, int(self._rate * DRIP))
        for number in range(-(-len(data) // size)):
            link.reactor.callLater((number + 1) * DRIP, link.write, data[number * size : (number + 1) * size])
