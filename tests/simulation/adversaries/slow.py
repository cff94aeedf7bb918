"""An adversary that takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pool.peers.messages import Message, ShareReply, ShareReq, Shares
from p2pool.peers.session import HANDSHAKE_TIME
from p2pool.peers.share_requests import REQUEST_TIME
from tests.simulation.adversaries.identity import Link, PeerAdversary

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

MARGIN = 2.0
"""Seconds before the end of a time limit at which it is done."""
DRIP = 0.5
"""Seconds between two drops of a message."""


class Slow(PeerAdversary):
    """Introduces itself, answers requests and passes shares on a few bytes at a time, so late that it is just not
    disconnected, and announces best shares that nobody has. It hopes that nodes wait for it, and miss what others
    could have given them at once."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        super().__init__(simulation, name)
        self._free: dict[Link, float] = {}
        """When all that is under way on a connection will have been sent. Only open connections count."""

    def began(self, link: Link) -> None:
        """Introduce itself, slowly, with a best share that does not exist."""
        self.best = self.chance.getrandbits(256)
        self.drip(link, link.frame(self.introduction(link)), HANDSHAKE_TIME - MARGIN)

    def heard(self, link: Link, message: Message) -> None:
        """Answer a request with nothing, and pass shares on to everybody, both as late as possible."""
        if isinstance(message, ShareReq):
            self.drip(link, link.frame(ShareReply(message.id, 0, ())), REQUEST_TIME - MARGIN)
        elif isinstance(message, Shares):
            for each in self.links:
                if each is not link:
                    self.drip(each, each.frame(message), REQUEST_TIME - MARGIN)

    def drip(self, link: Link, data: bytes, seconds: float) -> None:
        """Send bytes one drop after another, after what is under way, within so many seconds if that lets it."""
        now = self.events.now
        self._free = {each: time for each, time in self._free.items() if each in each.identity.links}
        begin = max(now, self._free.get(link, now))
        count = max(1, int((now + seconds - begin) / DRIP))
        size = -(-len(data) // count)
        for number in range(-(-len(data) // size)):
            when = begin - now + (number + 1) * DRIP
            link.reactor.callLater(when, link.write, data[number * size : (number + 1) * size])
            self._free[link] = now + when
