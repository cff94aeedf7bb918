"""Adversaries that send what is of no use: addresses of nobody, and messages that are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from p2pool.peers.messages import MAX_PAYLOAD, AddrMe, Addrs, PeerAddress, PeerPing, SeenAddress
from p2pool.wire.framer import frame
from tests.simulation.adversaries.identity import Link, PeerAdversary
from tests.simulation.pool_node import P2P_PORT

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class SpamAddresses(PeerAdversary):
    """Sends `flood` addresses of nobody every `period` seconds, seen at any time from long ago to the far future,
    and says that it listens itself on ever other ports. It hopes that nodes forget each other, dial into the void,
    and pass the addresses on."""

    def __init__(self, simulation: Simulation, name: str, *, flood: int = 100, period: float = 30.0) -> None:
        super().__init__(simulation, name)
        self.flood, self.period = flood, period

    def start(self) -> None:
        """Connect, and begin to flood."""
        super().start()
        self.every(self.reactor, self.period, self._flood)

    def _flood(self) -> None:
        self.tell_all(Addrs(tuple(self._nobody() for _ in range(self.flood))))
        for _ in range(10):
            self.tell_all(AddrMe(self.chance.randrange(1, 65_536)))

    def _nobody(self) -> SeenAddress:
        number = self.chance.getrandbits(24)
        host = f"{self.chance.randrange(100, 120)}.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        seen = self.chance.choice((0, int(self.simulation.dash.chain.epoch), 2**32 - 1, 2**64 - 1))
        return SeenAddress(seen, PeerAddress(host, self.chance.choice((P2P_PORT, 1, 65_535))))


class HalfMessages(PeerAdversary):
    """Again and again connects with somebody and sends less, more or something else than a message: see TRICKS.
    It hopes for a node that waits for the rest for ever, that keeps room for what was announced, or that fails.
    Most of what it does gets its host banned, so it has `count` of them."""

    def __init__(self, simulation: Simulation, name: str, *, count: int = 40, period: float = 15.0) -> None:
        super().__init__(simulation, name, count=count)
        self.period = period

    def start(self) -> None:
        """Begin to connect."""
        self.every(self.reactor, self.period, self._attack)

    def _attack(self) -> None:
        self.chance.choice(self.identities).connect(self.chance.choice(self.victims), again=False)

    def began(self, link: Link) -> None:
        """Play a trick, on every second connection after the introduction."""
        if self.chance.random() < 0.5:
            link.send(self.introduction(link))
        self.chance.choice(TRICKS)(self, link)

    def piece(self) -> bytes:
        """Return some random bytes."""
        return self.chance.randbytes(self.chance.randrange(1, 4000))


def _half(adversary: HalfMessages, link: Link) -> None:
    """Begin a message and never end it, with signs of life inside."""
    link.write(frame(link.network.prefix, "shares", bytes(100_000))[: adversary.chance.randrange(1, 50_000)])
    _trickle(link)


def _trickle(link: Link) -> None:
    if link.is_open:
        link.write(b"\x00")
        link.reactor.callLater(20.0, _trickle, link)


def _garbage(adversary: HalfMessages, link: Link) -> None:
    link.write(adversary.piece())


def _huge(adversary: HalfMessages, link: Link) -> None:
    """Announce four gigabytes."""
    head = frame(link.network.prefix, adversary.chance.choice(("shares", "sharereply")), b"")
    link.write(head[:-8] + b"\xff\xff\xff\xff" + head[-4:] + adversary.piece())


def _large(adversary: HalfMessages, link: Link) -> None:
    """Announce the longest message that there may be, and send some of it."""
    head = frame(link.network.prefix, "remember_tx", b"")
    link.write(head[:-8] + MAX_PAYLOAD.to_bytes(4, "little") + head[-4:] + bytes(200_000))


def _wrong_checksum(adversary: HalfMessages, link: Link) -> None:
    link.write(frame(link.network.prefix, "ping", b"")[:-1] + b"\x00")


def _reset(adversary: HalfMessages, link: Link) -> None:
    """Reset the connection in the middle of a message."""
    link.write(link.frame(adversary.introduction(link))[: adversary.chance.randrange(1, 80)])
    link.reactor.callLater(adversary.chance.random(), link.reset)


def _malformed(adversary: HalfMessages, link: Link) -> None:
    """Send a good frame with a count that nothing can have."""
    command = adversary.chance.choice(("shares", "sharereq", "addrs", "have_tx", "remember_tx", "version"))
    link.write(frame(link.network.prefix, command, b"\xff" * 9 + adversary.piece()))


def _twice(adversary: HalfMessages, link: Link) -> None:
    """Introduce itself again and again."""
    for _ in range(3):
        link.send(adversary.introduction(link))


def _many(adversary: HalfMessages, link: Link) -> None:
    """Send very many very small messages at once."""
    link.write(link.frame(PeerPing()) * 3000)


TRICKS: Final[tuple[Callable[[HalfMessages, Link], None], ...]] = (
    _half,
    _garbage,
    _huge,
    _large,
    _wrong_checksum,
    _reset,
    _malformed,
    _twice,
    _many,
)
