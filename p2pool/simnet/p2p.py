"""Dash's p2p protocol, from either side of a connection: bytes in, bytes out. No sockets here.

`p2p_server` is the Twisted adapter. The session answers what a pool asks (headers, blocks, transactions), takes
blocks and transactions through the same checks as the RPC, and announces what is new. With another daemon at the
other end it catches up with its chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict, BoundedSet
from p2pool.base.errors import ParseError
from p2pool.dash import messages
from p2pool.dash.block import BlockHeader
from p2pool.dash.messages import (
    INVENTORY_BLOCK,
    INVENTORY_TRANSACTION,
    NODE_NETWORK,
    InventoryItem,
    Message,
    NetworkAddress,
    TimedAddress,
)
from p2pool.simnet.addresses import RelayedAddresses
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.errors import BlockUndecodable, TransactionRefused
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.mempool import MempoolEntry
from p2pool.simnet.p2p_download import BlockDownload
from p2pool.simnet.status import NodeStatus
from p2pool.wire.framer import Framer, frame

SERVICES = 0x1C05
SERVICE_NAMES = ("NETWORK", "BLOOM", "NETWORK_LIMITED", "HEADERS_COMPRESSED", "P2P_V2")

# What a peer is known to have: it is not announced again.
_MAX_KNOWN = 2000
# Bytes of blocks that answer one getdata; what is beyond is answered with notfound.
_MAX_ANSWER = 8 * 1024 * 1024
# Unknown things of one inv message that are asked for.
_MAX_REQUESTED = 100
# Kinds of messages that are counted for getpeerinfo.
_MAX_COUNTED = 64


class HandshakeState(Enum):
    """How far the handshake is."""

    AWAITING_VERSION = "awaiting version"
    AWAITING_VERACK = "awaiting verack"
    READY = "ready"


@dataclass(slots=True)
class Traffic:
    """Bytes and times (seconds) of one connection, for getpeerinfo."""

    connected: float
    sent: int
    received: int
    last_sent: float
    last_received: float
    last_block: float
    last_transaction: float
    ping_time: float | None
    sent_by_command: BoundedDict[str, int]
    received_by_command: BoundedDict[str, int]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a daemon's sessions send of it, and what they share."""

    nonce: int
    """Names the daemon in `version` and `ping`: it notices by it that it called itself."""
    status: NodeStatus = field(default_factory=NodeStatus)
    addresses: RelayedAddresses = field(default_factory=RelayedAddresses)


class SimulatedPeerSession:
    """One connection. `now` gives Unix time in seconds."""

    _log = Logger(namespace="p2pool.simnet.p2p")

    def __init__(
        self,
        chain: SimulatedChain,
        *,
        magic: bytes,
        now: Callable[[], float],
        identity: Identity,
        peer: str,
        own_address: NetworkAddress | None = None,
    ) -> None:
        """`peer` is the other side's address, for the log.

        `own_address` is given if this side opened the connection: where it listens itself, which the other side
        cannot see.
        """
        self._chain = chain
        self._magic = magic
        self._now = now
        self._identity = identity
        self._nonce = identity.nonce
        self._peer = peer
        self._own_address = own_address
        self._download = BlockDownload(chain)
        self._framer = Framer(magic, messages.MAX_PAYLOAD)
        self._output: list[bytes] = []  # emptied by each call that may fill it
        self._known = BoundedSet[int](_MAX_KNOWN)
        self._pinged_at = 0.0
        self._headers_requested = False
        self.state = HandshakeState.AWAITING_VERSION
        self.peer_version: messages.Version | None = None
        self.inbound = own_address is None
        self.time_offset = 0
        """By how many seconds the peer's clock was ahead of this daemon's at the handshake."""
        self.best_height = -1
        """The highest block here that the peer was seen to have."""
        self.relays_addresses = False
        connected = now()
        counters: tuple[BoundedDict[str, int], BoundedDict[str, int]] = (
            BoundedDict(_MAX_COUNTED),
            BoundedDict(_MAX_COUNTED),
        )
        self.traffic = Traffic(connected, 0, 0, 0.0, 0.0, 0.0, 0.0, None, *counters)

    # --- what the adapter calls ------------------------------------------------------------------------

    def hello(self) -> bytes:
        """Return the first message of the side that opened the connection; the other side waits for it."""
        if not self.inbound:
            self._send_version()
        return self._take_output()

    def synchronise(self) -> bytes:
        """Ask for blocks that the peer may have and this side has not."""
        if self.state is HandshakeState.READY and self._serves_blocks:
            self._send(self._download.ask())
        return self._take_output()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the peer, and return bytes for it. Raises ParseError if the connection is to be
        dropped."""
        traffic = self.traffic
        traffic.received += len(data)
        traffic.last_received = self._now()
        for command, payload in self._framer.feed(data):
            message = messages.parse_message(command, payload)
            name = "*other*" if message is None else command
            counted = traffic.received_by_command
            counted[name] = counted.get(name, 0) + len(payload) + 24
            if message is None:
                continue
            handler = self._TABLE.get((self.state, type(message)))
            if handler is not None:  # a message out of order is ignored, as Dash Core does
                handler(self, message)
        return self._take_output()

    def announce_block(self, block: ChainBlock) -> bytes:
        """Announce a new tip, unless the peer is not ready or knows it."""
        if self.state is HandshakeState.READY and block.hash not in self._known:
            self._known.add(block.hash)
            if self._headers_requested:
                self._send(messages.Headers((block.header,)))
            else:
                self._send(messages.Inv((InventoryItem(INVENTORY_BLOCK, block.hash),)))
        return self._take_output()

    def offer_transaction(self, entry: MempoolEntry) -> bytes:
        """Announce a waiting transaction, unless the peer requested none."""
        version = self.peer_version
        relays = version is not None and version.relay is not False
        if self.state is HandshakeState.READY and relays and entry.hash not in self._known:
            self._known.add(entry.hash)
            self._send(messages.Inv((InventoryItem(INVENTORY_TRANSACTION, entry.hash),)))
        return self._take_output()

    # --- handshake -------------------------------------------------------------------------------------

    def _on_version(self, message: messages.Version) -> None:
        if message.nonce == self._nonce:
            raise ParseError("a connection to itself")
        self.peer_version = message
        self.time_offset = message.time - int(self._now())
        self.state = HandshakeState.AWAITING_VERACK
        if self.inbound:
            self._send_version()
        self._send(messages.Verack())

    def _send_version(self) -> None:
        nobody = messages.NetworkAddress(SERVICES, "0.0.0.0", 0)
        self._send(
            messages.Version(
                messages.PROTOCOL_VERSION,
                SERVICES,
                max(0, int(self._now())),
                messages.NO_ADDRESS,
                nobody,
                self._nonce,
                self._identity.status.sub_version.encode(),
                self._chain.height,
                True,
            )
        )

    def _on_verack(self, message: messages.Verack) -> None:
        self.state = HandshakeState.READY
        self._send(messages.SendHeaders())
        self._pinged_at = self._now()
        self._send(messages.Ping(self._nonce))
        if self._own_address is not None:
            self.relays_addresses = True
            self._send(messages.GetAddr())
            self._send(messages.Addr((TimedAddress(int(self._now()), self._own_address),)))
        if self._serves_blocks:
            self._send(self._download.ask())

    @property
    def _serves_blocks(self) -> bool:
        """Return whether the peer is a node with a chain, and not a pool or a tool that only listens."""
        return self.peer_version is not None and self.peer_version.services & NODE_NETWORK != 0

    # --- questions -------------------------------------------------------------------------------------

    def _on_ping(self, message: messages.Ping) -> None:
        self._send(messages.Pong(message.nonce))

    def _on_pong(self, message: messages.Pong) -> None:
        if message.nonce == self._nonce and self.traffic.ping_time is None:
            self.traffic.ping_time = self._now() - self._pinged_at

    def _on_sendheaders(self, message: messages.SendHeaders) -> None:
        self._headers_requested = True

    def _on_getaddr(self, message: messages.GetAddr) -> None:
        self.relays_addresses = True
        self._send(messages.Addr(self._identity.addresses.entries()))

    def _on_addr(self, message: messages.Addr) -> None:
        self.relays_addresses = True
        for entry in message.entries:
            self._identity.addresses.add(entry)

    def _on_getheaders(self, message: messages.GetHeaders) -> None:
        active = self._chain.active
        block = self._after_locator(message.locator) if message.locator else self._chain.find(message.stop)
        if block is None and not message.locator:
            return  # as Dash Core: a header that it does not have is no answer
        headers: list[BlockHeader] = []
        while block is not None and len(headers) < messages.MAX_HEADERS:
            headers.append(block.header)
            if block.hash == message.stop:
                break
            block = active.after(block)
        self._send(messages.Headers(tuple(headers)))

    def _after_locator(self, locator: tuple[int, ...]) -> ChainBlock | None:
        """Return the best chain's block behind the first known one; behind its first if none is known."""
        active = self._chain.active
        known = (block for block in map(self._chain.find, locator) if block is not None and block in active)
        start = next(known, active.at(0))
        return None if start is None else active.after(start)

    def _on_getdata(self, message: messages.GetData) -> None:
        missing = []
        answered = 0
        for item in message.items:
            answer = self._lookup(item) if answered < _MAX_ANSWER else None
            if answer is None:
                missing.append(item)
                continue
            command, payload = answer
            answered += len(payload)
            self._known.add(item.hash)
            self._send_raw(command, payload)
        if missing:
            self._send_raw("notfound", messages.Inv(tuple(missing)).pack())

    def _lookup(self, item: InventoryItem) -> tuple[str, bytes] | None:
        """Return the command and payload that answer a request; None if there are none."""
        if item.kind == INVENTORY_TRANSACTION:
            entry = self._chain.mempool.get(item.hash)
            return None if entry is None else ("tx", entry.raw)
        if item.kind != INVENTORY_BLOCK:
            return None
        block = self._chain.find(item.hash)
        if block is None:
            return None
        try:
            return "block", self._chain.read(block).raw
        except OSError as error:
            self._log.error(
                "cannot read block {hash} from the store: {error}", hash=block.hash_hex, error=str(error)
            )
            return None

    # --- news ------------------------------------------------------------------------------------------

    def _on_inv(self, message: messages.Inv) -> None:
        wanted: list[InventoryItem] = []
        for item in message.items:
            self._known.add(item.hash)
            if len(wanted) < _MAX_REQUESTED and self._is_news(item):
                wanted.append(item)
        if wanted:
            self._send(messages.GetData(tuple(wanted)))

    def _is_news(self, item: InventoryItem) -> bool:
        if item.kind == INVENTORY_BLOCK:
            return self._chain.find(item.hash) is None
        return item.kind == INVENTORY_TRANSACTION and self._chain.mempool.get(item.hash) is None

    def _on_headers(self, message: messages.Headers) -> None:
        known, question = self._download.headers(message.headers)
        for block in known:
            self._peer_has(block)
        if isinstance(question, messages.GetData):
            for item in question.items:
                self._known.add(item.hash)
        if question is not None:
            self._send(question)

    def _peer_has(self, block: ChainBlock) -> None:
        self._known.add(block.hash)
        self.best_height = max(self.best_height, block.height)

    def _on_block(self, message: messages.BlockMessage) -> None:
        self.traffic.last_block = self._now()
        # The peer has it: it must not hear of its own block.
        hash_ = message.block.header.hash()
        self._known.add(hash_)
        try:
            outcome = self._chain.submit(message.raw)
        except BlockUndecodable as error:
            raise ParseError(str(error)) from None
        except OSError as error:
            self._log.error("cannot store a block from {peer}: {error}", peer=self._peer, error=str(error))
            return
        block = self._chain.find(hash_)
        if block is not None:
            self._peer_has(block)
        if outcome is not None:
            self._log.info("a block from {peer} was not connected: {outcome}", peer=self._peer, outcome=outcome)
        question = self._download.block(hash_, outcome)
        if question is not None:
            self._send(question)

    def _on_transaction(self, message: messages.TransactionMessage) -> None:
        transaction = message.transaction
        self.traffic.last_transaction = self._now()
        if transaction.version >= 3 and transaction.type != 0:
            # Dash Core bans for this: special transactions travel in blocks or in messages of their own.
            raise ParseError(f"a special transaction of type {transaction.type}")
        self._known.add(transaction.hash)
        try:
            self._chain.add_transaction(transaction)
        except TransactionRefused as error:
            self._log.debug("refused a transaction from {peer}: {reason}", peer=self._peer, reason=error.reason)

    # --- inside ----------------------------------------------------------------------------------------

    def _send(self, message: Message) -> None:
        self._send_raw(message.command, message.pack())

    def _send_raw(self, command: str, payload: bytes) -> None:
        data = frame(self._magic, command, payload)
        traffic = self.traffic
        traffic.sent += len(data)
        traffic.last_sent = self._now()
        traffic.sent_by_command[command] = traffic.sent_by_command.get(command, 0) + len(data)
        self._output.append(data)

    def _take_output(self) -> bytes:
        data = b"".join(self._output)
        self._output.clear()
        return data

    _TABLE: ClassVar[dict[tuple[HandshakeState, type], Callable[[SimulatedPeerSession, Any], None]]] = {
        (HandshakeState.AWAITING_VERSION, messages.Version): _on_version,
        (HandshakeState.AWAITING_VERACK, messages.Verack): _on_verack,
        (HandshakeState.READY, messages.Ping): _on_ping,
        (HandshakeState.READY, messages.Pong): _on_pong,
        (HandshakeState.READY, messages.SendHeaders): _on_sendheaders,
        (HandshakeState.READY, messages.GetAddr): _on_getaddr,
        (HandshakeState.READY, messages.Addr): _on_addr,
        (HandshakeState.READY, messages.GetHeaders): _on_getheaders,
        (HandshakeState.READY, messages.GetData): _on_getdata,
        (HandshakeState.READY, messages.Inv): _on_inv,
        (HandshakeState.READY, messages.Headers): _on_headers,
        (HandshakeState.READY, messages.BlockMessage): _on_block,
        (HandshakeState.READY, messages.TransactionMessage): _on_transaction,
    }
