"""A peer that behaves as c2pool-dash's sources say (protocol 3600), without sockets: bytes in, bytes out.

Written after the sources of 2026-08-22: what it announces, what it sends after the handshake and in which order,
what it accepts and when it closes. It holds a chain of shares in their envelopes, of any type. Reusable: in
process beside a hub (`tests.peers.test_c2pool_peer`), and on a socket (`tests.e2e.c2pool_peer`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from p2pool.base.errors import ParseError
from p2pool.peers.messages import (
    GOOD,
    AddrMe,
    Addrs,
    BestBlock,
    Envelope,
    GetAddrs,
    HaveTx,
    Message,
    PeerAddress,
    PeerPing,
    PeerVersion,
    RawTransaction,
    RememberTx,
    ShareReply,
    ShareReq,
    Shares,
    parse_message,
)
from p2pool.share.share import Share
from p2pool.wire.framer import ChecksumError, Framer, frame

PROTOCOL, SERVICES, SUB_VERSION = 3600, 1, b"c2pool"
BASE_FLOOR, LIFTED_FLOOR = 1700, 3600
MAX_MESSAGE = 32 << 20
MAX_ANSWERED = 1000
ASKED_ADDRESSES = 8
LIVE_TYPES = frozenset({16})


@dataclass(frozen=True)
class Held:
    """A share of its chain: the hash by which others name it, and what is sent for it."""

    hash: int
    envelope: Envelope


def held(shares: Iterable[Share], newer: dict[int, Envelope] | None = None) -> list[Held]:
    """A chain, nearest first. `newer` puts other envelopes in the place of some shares, by their number."""
    replaced = newer or {}
    return [Held(s.hash, replaced.get(n, Envelope(16, s.contents))) for n, s in enumerate(shares)]


class FakeC2pool:
    """One connection. `write` takes bytes, `close` ends it. `floor` is the lowest protocol that it accepts."""

    def __init__(
        self,
        prefix: bytes,
        write: Callable[[bytes], object],
        close: Callable[[], object],
        *,
        floor: int = BASE_FLOOR,
        version: int = PROTOCOL,
        nonce: int = 0xC2,
        chain: Sequence[Held] = (),
        best: int | None = None,
        listen_port: int | None = 8999,
        standing: Sequence[RawTransaction] = (),
    ) -> None:
        self.prefix, self.floor, self.version, self.nonce = prefix, floor, version, nonce
        self.chain = list(chain)
        self.best = best if best is not None or not chain else chain[0].hash
        """What it says is its best share."""
        self.listen_port, self.standing = listen_port, standing
        self.their_version: PeerVersion | None = None
        self.closed_because: str | None = None
        self.heard: Counter[str] = Counter()
        """Messages by command."""
        self.asked: list[ShareReq] = []
        """What it was asked for."""
        self.got: list[Envelope] = []
        """Shares of a type that it knows, from `shares` and `sharereply`."""
        self.ignored: Counter[int] = Counter()
        """Shares of other types, by type: a warning in its log, nothing else."""
        self._write, self._close = write, close
        self._framer = Framer(prefix, MAX_MESSAGE)

    # --- out ---------------------------------------------------------------------------------------------

    def connected(self, host: str = "8.8.8.8", port: int = 9) -> None:
        """Its `version` goes out at once, on incoming and on outgoing connections."""
        self.say(
            PeerVersion(
                version=self.version,
                services=SERVICES,
                receiver=PeerAddress(host, port, SERVICES),
                sender=PeerAddress("0.0.0.0", 8999, SERVICES),
                nonce=self.nonce,
                sub_version=SUB_VERSION,
                mode=1,
                best_share_hash=self.best,
            )
        )

    def say(self, *messages: Message) -> None:
        """Send whatever: it bounds nothing that it sends."""
        for message in messages:
            self.raw(frame(self.prefix, message.command, message.pack()))

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        if self.closed_because is None:
            self._write(data)

    def close(self, why: str) -> None:
        """End the connection, as it does: without a word to the other side."""
        if self.closed_because is None:
            self.closed_because = why
            self._close()

    # --- in ----------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes from the node."""
        if self.closed_because is not None:
            return
        try:
            messages = list(self._framer.feed(data))
        except ChecksumError as error:
            self.close(str(error))
            return
        for command, payload in messages:
            self.heard[command] += 1
            try:
                message = parse_message(command, payload)
            except ParseError:
                continue  # a warning
            if message is not None and self.closed_because is None:
                self._handle(message)

    def _handle(self, message: Message) -> None:
        if self.their_version is None:
            if isinstance(message, PeerVersion):
                self._on_version(message)
            else:
                self.close("message before version")
        elif isinstance(message, PeerVersion):
            self.close("more than one version message")
        elif isinstance(message, ShareReq):
            self.asked.append(message)
            self.say(ShareReply(message.id, GOOD, tuple(self._answer(message))))
        elif isinstance(message, Shares | ShareReply):
            self._take(message.shares)
        elif isinstance(message, GetAddrs):
            self.say(Addrs(()))

    def _on_version(self, message: PeerVersion) -> None:
        self.their_version = message
        if message.nonce == self.nonce:
            self.close("ourselves")
        elif message.version < self.floor:
            self.close("peer protocol below min-protocol floor")
        else:
            self.say(GetAddrs(ASKED_ADDRESSES))
            if self.listen_port is not None:
                self.say(AddrMe(self.listen_port))
            self.say(HaveTx(tuple(each.hash for each in self.standing)))
            if self.standing:
                self.say(RememberTx((), tuple(self.standing)))
            if message.best_share_hash is not None:
                self.ask(message.best_share_hash)

    def _answer(self, request: ShareReq) -> Iterable[Envelope]:
        parents = min(request.parents, MAX_ANSWERED // max(1, len(request.hashes)))
        places = {share.hash: number for number, share in enumerate(self.chain)}
        for share_hash in request.hashes:
            start = places.get(share_hash)
            if start is None:
                continue
            for share in self.chain[start : start + parents + 1]:
                if share.hash in request.stops:
                    break
                yield share.envelope

    def _take(self, envelopes: Iterable[Envelope]) -> None:
        for envelope in envelopes:
            if envelope.kind in LIVE_TYPES:
                self.got.append(envelope)
            else:
                self.ignored[envelope.kind] += 1

    def ask(self, share_hash: int, parents: int = 499, request_id: int = 1) -> None:
        """Download a share and its parents."""
        self.say(ShareReq(request_id, (share_hash,), parents, ()))

    def ping(self) -> None:
        """Every minute."""
        self.say(PeerPing())


__all__ = ["BASE_FLOOR", "LIFTED_FLOOR", "PROTOCOL", "BestBlock", "FakeC2pool", "Held", "held"]
