"""One connection to another node, without sockets: bytes in, bytes out through `write`, and calls to the hub.

Every message type has one method, named in a table. What a peer does wrong raises Drop (the connection ends) or
Misbehaviour (its host is banned as well), as the specification says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

from twisted.logger import Logger

from p2pool.base.endpoints import host_and_port
from p2pool.base.errors import ParseError
from p2pool.base.hosts import host_key
from p2pool.base.text import printable
from p2pool.base.turns import Turns
from p2pool.dash.block import BlockHeader
from p2pool.dash.hashes import hash_hex
from p2pool.dash.target import bits_to_target
from p2pool.networks.parameters import MINIMUM_PROTOCOL
from p2pool.peers import messages
from p2pool.peers.allowance import AddressAllowance
from p2pool.peers.errors import Drop, Misbehaviour, OwnNode
from p2pool.peers.handshake import Introduction, PeerState
from p2pool.peers.messages import (
    AddrMe,
    Addrs,
    BestBlock,
    ForgetTx,
    GetAddrs,
    HaveTx,
    LosingTx,
    Message,
    PeerPing,
    PeerVersion,
    RememberTx,
    SeenAddress,
    ShareReply,
    ShareReq,
    Shares,
)
from p2pool.peers.remembered import RememberedTransactions
from p2pool.peers.remote_view import RemoteView
from p2pool.peers.share_intake import Answer, IntakeHub, answered_shares, new_shares
from p2pool.peers.share_requests import ShareRequest, ShareRequests, reply_steps
from p2pool.share.share import Share
from p2pool.wire.framer import ChecksumError, Framer, PayloadTooLong, frame

_log = Logger(namespace="p2pool.peers")

HANDSHAKE_TIME = 10.0
SILENCE_TIME = 100.0
MAX_ADDRESSES_SENT = 100
_TAKEN_AT_ONCE = 250
"""Shares handed on in one step: about 12 ms."""
_ANNOUNCED_AT_ONCE = 2000
"""Transactions made known in one step: about 5 ms."""
_REMEMBERED_AT_ONCE = 5000
"""Transactions kept in one step: about 3 ms."""
_ADDRESSES_AT_ONCE = 50
_NO_STEP: tuple[()] = ()
_HEADS = {ShareReply.command: messages.REQUEST_ID_SIZE}
"""What is read of a message that is too long."""
_DONE = object()


def _ignore(_: object) -> None:
    """Stand in for a connection that has ended."""


class Hub(IntakeHub, Protocol):
    """What a session calls. Implemented by `hub.PeerHub`."""

    turns: Turns
    """Shares the reactor's time between all connections."""

    def welcome(self, session: PeerSession) -> None:
        """Handle the end of the handshake. Raises Drop if this connection is not wanted."""

    def address_heard(self, seen: SeenAddress, session: PeerSession) -> None:
        """Take an address at which a node is said to listen."""

    def listens(self, session: PeerSession, port: int) -> None:
        """Take the port on which the peer says that it listens."""

    def addresses_for(self, session: PeerSession, count: int) -> Sequence[SeenAddress]:
        """Return addresses to send to a peer that asks."""

    def address_allowance(self, host: str, now: float) -> AddressAllowance:
        """Return how many addresses a host's neighbourhood may still send."""

    def shares_came(self, shares: Sequence[Share], session: PeerSession) -> None:
        """Take new shares, parsed and with their work checked."""

    def share_hash_heard(self, share_hash: int, session: PeerSession) -> None:
        """Take the hash of the share that the peer announces as its best."""

    def transactions_came(self, transactions: Sequence[tuple[int, bytes]], session: PeerSession) -> None:
        """Take transactions (hash, bytes) that the peer has this node remember, and that were not known before."""

    def shares_for(self, hashes: Sequence[int], parents: int, stops: Collection[int]) -> Iterator[Share]:
        """Yield what a `sharereq` asks for."""

    def best_block(self, header: BlockHeader, block_hash: int) -> None:
        """Handle a header that has the work it claims: perhaps a new block of the parent chain."""


class PeerSession:
    """One connection to another node: see the module. `now` is a monotonic clock's time in seconds."""

    def __init__(
        self,
        hub: Hub,
        introduction: Introduction,
        *,
        host: str,
        port: int,
        incoming: bool,
        write: Callable[[bytes], None],
        now: float,
        fail: Callable[[Exception], None],
        flow: Callable[[bool], None] = lambda paused: None,
    ) -> None:
        self.host, self.port, self.incoming = host, port, incoming
        self.host_key = host_key(host)
        self.label = host_and_port(host, port)
        """What logs and the tracker call the peer."""
        self.state = PeerState.AWAITING_VERSION
        self.version: PeerVersion | None = None
        """What the peer reported of itself; it stays when the connection has ended."""
        self.is_second = False
        """Whether the other end is a peer on another connection."""
        self.remote = RemoteView()
        self.connected_at = self.heard_at = now
        self.brought_at: float | None = None
        """When it brought the last share that this node did not have, as `now`."""
        self.brought_shares = 0
        """How many new shares it was the first to bring."""
        self._hub = hub
        self._introduction = introduction
        self._write = write
        self._fail = fail
        self._flow = flow
        self._framer = Framer(introduction.prefix, messages.MAX_PAYLOAD, _HEADS)
        """Has what was not handled yet. Bound: one message and what came at once; then it is held."""
        self._portions: Iterator[None] | None = None
        """What is left to do for the message that was taken last."""
        self._held = False
        self._requests = ShareRequests()
        self.remembered = RememberedTransactions()
        """What the peer has this node keep."""
        self._too_long_logged = False
        self._addresses = hub.address_allowance(host, now)

    def software(self, most: int) -> str:
        """Return what the peer calls its software, fit for logs and pages, at most `most` characters; empty
        before the handshake."""
        version = self.version
        return "" if version is None else printable(version.sub_version.decode("latin-1"), most)

    @property
    def ready(self) -> bool:
        """Return whether the handshake is done, and the connection has not ended."""
        return self.state is PeerState.READY

    @property
    def closed(self) -> bool:
        """Return whether the connection has ended."""
        return self.state is PeerState.CLOSED

    def disown(self) -> None:
        """Undo the handshake: the other end is a peer already, on another connection."""
        self.state, self.version = PeerState.AWAITING_VERSION, None
        self.is_second = True

    def hello(self) -> None:
        """Send `version`, the first message on every connection."""
        self.send(self._introduction.version_for(self.host, self.port))

    # --- out ---------------------------------------------------------------------------------------------

    def frame(self, message: Message) -> bytes:
        """Return a message's bytes on this network."""
        return frame(self._introduction.prefix, message.command, message.pack())

    def send(self, message: Message) -> None:
        """Send a message that is known to fit into the payload limit."""
        self.send_framed(self.frame(message))

    def send_framed(self, data: bytes) -> None:
        """Send bytes that `frame` made."""
        if self.state is not PeerState.CLOSED:
            self._write(data)

    def request(
        self,
        request_id: int,
        share_hash: int,
        *,
        parents: int,
        stops: tuple[int, ...],
        now: float,
        answered: Callable[[Answer | None], None],
    ) -> ShareRequest | None:
        """Ask for a share and its parents, and return the request. `answered` gets the answer, or None if the
        connection ended without one; it is called exactly once. Return None if that was at once."""
        request = None
        if self.state is not PeerState.CLOSED:
            request = self._requests.add(request_id, share_hash, parents=parents, now=now, answered=answered)
        if request is None:
            answered(None)
        else:
            self.send(ShareReq(request_id, (share_hash,), parents, stops))
        return request

    def request_addresses(self, count: int) -> None:
        """Ask for so many addresses."""
        self._addresses.expect(count)
        self.send(GetAddrs(count))

    @property
    def remembered_size(self) -> int:
        """Return the bytes that what the peer has this node keep counts for."""
        return self.remembered.size

    @property
    def requests(self) -> int:
        """Return how many of this node's requests are not answered."""
        return len(self._requests)

    # --- time --------------------------------------------------------------------------------------------

    def check_time(self, now: float) -> None:
        """Check the time limits; called about once a second. Raises Drop if the peer is silent or does not
        answer."""
        if self._held:  # what it sent waits here: it is not late while it waits, nor at once afterwards
            self.heard_at = now
            self._requests.postpone(now)
        elif self.version is None and now - self.connected_at > HANDSHAKE_TIME:
            raise Drop("no handshake within 10 s")
        elif len(self._requests):
            self._note_progress(now)
        if self.version is not None and now - self.heard_at > SILENCE_TIME:
            raise Drop("nothing received for 100 s")
        if self._requests.is_late(now):
            raise Drop("it did not answer a request within 15 s")

    def _note_progress(self, now: float) -> None:
        """Take note of how much of an answer has come."""
        coming = self._framer.pending(messages.REQUEST_ID_SIZE)
        if coming is not None:
            command, received, head = coming
            if command == ShareReply.command and len(head) == messages.REQUEST_ID_SIZE:
                self._requests.heard(int.from_bytes(head, "little"), received, now)

    def close(self) -> None:
        """End the session: the connection has ended. What the peer made this node keep is given up at once, and
        the connection with all that waits in it: the garbage collector counts objects, not their bytes, and may
        take minutes."""
        if self.state is PeerState.CLOSED:
            return
        self.state = PeerState.CLOSED
        self._hub.turns.forget(self)
        self._portions = None
        self.remembered = RememberedTransactions()
        self.remote = RemoteView()
        self._framer = Framer(self._introduction.prefix, messages.MAX_PAYLOAD)
        self._write = self._fail = self._flow = _ignore
        self._requests.fail_all()

    # --- in ----------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the peer. Raises Drop, Misbehaviour."""
        if self.state is PeerState.CLOSED:
            return
        self.heard_at = now
        self._framer.add(data)
        self._hub.turns.submit(self)

    def step(self) -> bool:
        """Handle one message, or a portion of a long one. Raises Drop, Misbehaviour."""
        if self.state is PeerState.CLOSED:
            return False
        if self._portions is None:
            try:
                message = self._framer.next_message()
            except ChecksumError as error:
                raise Misbehaviour(str(error)) from None
            except PayloadTooLong as error:
                self._too_long(error)
                return True
            if message is None:
                return False
            self._portions = self._handle(*message, self.heard_at)
        if next(self._portions, _DONE) is _DONE:
            self._portions = None
        return True

    def hold(self, held: bool) -> None:
        """Let the peer wait while what it sent is worked through, or go on."""
        self._held = held
        if self.state is not PeerState.CLOSED:
            self._flow(held)

    def failed(self, error: Exception) -> None:
        """End the connection because of an error in a step."""
        self._fail(error)

    def _handle(self, command: str, payload: bytes, now: float) -> Iterator[None]:
        if self.state is PeerState.AWAITING_VERSION and command != PeerVersion.command:
            raise Misbehaviour(f"it sent {command[:12]!r} before version")
        try:
            message = yield from messages.message_steps(command, payload)
        except ParseError as error:
            raise Misbehaviour(f"it sent a malformed {command}: {error}") from None
        if message is not None:
            yield from _HANDLERS[type(message)](self, message, now) or _NO_STEP

    # --- each message ------------------------------------------------------------------------------------

    def _on_version(self, message: PeerVersion, now: float) -> None:
        if self.state is not PeerState.AWAITING_VERSION:
            raise Misbehaviour("it sent a second version message")
        if message.version < MINIMUM_PROTOCOL:
            raise Misbehaviour(f"protocol {message.version} is too old: at least {MINIMUM_PROTOCOL} is needed")
        if message.nonce == self._introduction.nonce:
            raise OwnNode("it is this node itself")
        self.state, self.version = PeerState.READY, message
        self._hub.welcome(self)
        if message.best_share_hash is not None:
            self._hub.share_hash_heard(message.best_share_hash, self)
        pool = self._hub.transactions
        self.remote.introduce(self, pool)

    def _on_ping(self, message: PeerPing, now: float) -> None:
        """Do nothing: any byte is a sign of life."""

    def _on_addrme(self, message: AddrMe, now: float) -> None:
        if self._addresses.take(1, now):
            self._hub.listens(self, message.port)

    def _on_addrs(self, message: Addrs, now: float) -> Iterator[None]:
        allowed = self._addresses.take(len(message.addresses), now)
        for number, seen in enumerate(message.addresses[:allowed], 1):
            self._hub.address_heard(seen, self)
            if number % _ADDRESSES_AT_ONCE == 0:
                yield

    def _on_getaddrs(self, message: GetAddrs, now: float) -> None:
        self.send(Addrs(tuple(self._hub.addresses_for(self, min(message.count, MAX_ADDRESSES_SENT)))))

    def _on_shares(self, message: Shares, now: float) -> Iterator[None]:
        shares = yield from new_shares(self._hub, self, message.shares)
        for start in range(0, len(shares), _TAKEN_AT_ONCE):
            if start:
                yield
            self._hub.shares_came(shares[start : start + _TAKEN_AT_ONCE], self)

    def _on_sharereq(self, message: ShareReq, now: float) -> Iterator[None]:
        """Send the answer, in a step of its own: a request of a hundred bytes may cause one of megabytes."""
        reply = yield from reply_steps(message, self._hub.shares_for)
        yield
        self.send(reply)

    def _on_sharereply(self, message: ShareReply, now: float) -> Iterator[None]:
        request = self._requests.begin_answer(message.id)
        if request is None:
            return  # of no use to us
        envelopes = message.shares if message.result == messages.GOOD else ()
        wanted = envelopes[: request.parents + 1]
        answer = yield from answered_shares(self._hub, self, share_hash=request.share_hash, envelopes=wanted)
        self._requests.take(message.id)
        request.answered(answer)

    def _too_long(self, error: PayloadTooLong) -> None:
        """Treat an answer that is too long for this node as an empty one, as if the peer had said so itself: other
        nodes have other limits. The next request asks for another number of shares."""
        request = self._requests.take(int.from_bytes(error.head, "little"))
        if request is None:
            return
        if not self._too_long_logged:
            self._too_long_logged = True
            text = "peer {peer} sent an answer of {length} bytes, limit {limit}: ignored; requesting fewer shares"
            _log.info(text, peer=self.label, length=error.length, limit=messages.MAX_PAYLOAD)
        request.answered(Answer())

    def _on_bestblock(self, message: BestBlock, now: float) -> None:
        header = message.header
        block_hash = header.hash()
        if block_hash > bits_to_target(header.bits):
            raise Misbehaviour("it sent a bestblock header without proof of work")
        self._hub.best_block(header, block_hash)

    def _on_have_tx(self, message: HaveTx, now: float) -> None:
        self.remote.has(message.tx_hashes)

    def _on_losing_tx(self, message: LosingTx, now: float) -> None:
        self.remote.lost(message.tx_hashes)

    def _on_remember_tx(self, message: RememberTx, now: float) -> Iterator[None]:
        pool = self._hub.transactions
        new: list[tuple[int, bytes]] = []
        for number, tx_hash in enumerate(message.tx_hashes, 1):
            data = pool.get(tx_hash)
            if data is None:
                raise Drop(f"it refers to transaction {hash_hex(tx_hash)}, which this node does not know")
            self.remembered.keep(tx_hash, data)
            if number % _REMEMBERED_AT_ONCE == 0:
                yield
        for transaction in message.transactions:
            for tx_hash in self.remembered.keep_whole(transaction):
                new.append((tx_hash, transaction.data))
        for start in range(0, len(new), _ANNOUNCED_AT_ONCE):
            yield
            self._hub.transactions_came(new[start : start + _ANNOUNCED_AT_ONCE], self)

    def _on_forget_tx(self, message: ForgetTx, now: float) -> None:
        self.remembered.forget(message.tx_hashes)


_HANDLERS: dict[type[Message], Callable[..., Iterator[None] | None]] = {
    PeerVersion: PeerSession._on_version,
    PeerPing: PeerSession._on_ping,
    AddrMe: PeerSession._on_addrme,
    Addrs: PeerSession._on_addrs,
    GetAddrs: PeerSession._on_getaddrs,
    Shares: PeerSession._on_shares,
    ShareReq: PeerSession._on_sharereq,
    ShareReply: PeerSession._on_sharereply,
    BestBlock: PeerSession._on_bestblock,
    HaveTx: PeerSession._on_have_tx,
    LosingTx: PeerSession._on_losing_tx,
    RememberTx: PeerSession._on_remember_tx,
    ForgetTx: PeerSession._on_forget_tx,
}
