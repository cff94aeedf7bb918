"""The Twisted adapter of `p2p`: connections, back-pressure, and what getpeerinfo reports of them.

`p2p_dialler` opens connections to other daemons; from then on they are as those that others opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from p2pool.base.endpoints import host_and_port
from p2pool.base.errors import ParseError
from p2pool.dash.messages import NetworkAddress
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.mempool import MempoolEntry
from p2pool.simnet.p2p import SERVICE_NAMES, SERVICES, HandshakeState, Identity, SimulatedPeerSession
from p2pool.simnet.render import Json
from p2pool.simnet.status import NodeStatus

# Dash Core's default.
_MAX_CONNECTIONS = 125


@implementer(IPushProducer)
class SimulatedPeerProtocol(Protocol):
    """One connection. Reading stops while the peer does not read what it asked for."""

    transport: Any
    _log = Logger(namespace="p2pool.simnet.p2p")

    def __init__(self, server: P2pServer, session: SimulatedPeerSession, number: int) -> None:
        self._server = server
        self.session = session
        self.number = number

    @override
    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self._server.connected(self)
        self.send(self.session.hello())

    @override
    def dataReceived(self, data: bytes) -> None:
        was_ready = self.session.state is HandshakeState.READY
        try:
            self.send(self.session.receive(data))
        except ParseError as error:
            self._log.warn("disconnecting {peer}: {error}", peer=self.peer_address, error=str(error))
            self.transport.abortConnection()
            return
        if not was_ready and self.session.state is HandshakeState.READY:
            self._server.ready(self)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._server.disconnected(self)

    def send(self, data: bytes) -> None:
        """Write to the peer, if there is anything to write."""
        if data:
            self.transport.write(data)

    def pauseProducing(self) -> None:
        """Pause reading: the peer is slow."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Resume reading: the peer has caught up."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Note that the connection is lost."""

    @property
    def peer_address(self) -> str:
        """Return host:port of the other side."""
        return _address_text(self.transport.getPeer())

    @property
    def own_address(self) -> str:
        """Return host:port of this side."""
        return _address_text(self.transport.getHost())


class P2pServer(ServerFactory):
    """All connections; announces blocks and transactions to them."""

    noisy = False

    def __init__(
        self,
        chain: SimulatedChain,
        *,
        magic: bytes,
        now: Callable[[], float],
        nonce: Callable[[], int],
        status: NodeStatus | None = None,
    ) -> None:
        """`nonce()` gives a fresh random number of 64 bits; `status` names the version that peers are sent."""
        self.own_address = NetworkAddress(SERVICES, "127.0.0.1", 0)
        """Where this daemon listens; set once it does."""
        self._chain = chain
        self._magic = magic
        self._now = now
        self._identity = Identity(nonce(), status or NodeStatus())
        self._past_received = self._past_sent = 0
        """Bytes over connections that are gone."""
        self._next_number = 0
        self._peers: dict[int, SimulatedPeerProtocol] = {}  # bounded by _MAX_CONNECTIONS
        self._closed: Deferred[None] | None = None
        self._unsubscribe = (
            chain.tip_changed.subscribe(self._announce),
            chain.mempool.transaction_added.subscribe(self._offer),
        )

    def buildProtocol(self, addr: IAddress | None) -> SimulatedPeerProtocol | None:
        """Return a protocol for a connection that another opened, unless there are too many."""
        return self._build(_address_text(addr), None)

    def build_outbound(self, where: str) -> SimulatedPeerProtocol | None:
        """Return a protocol for a connection that this daemon opens to `where`, unless there are too many."""
        return self._build(where, self.own_address)

    def _build(self, where: str, own_address: NetworkAddress | None) -> SimulatedPeerProtocol | None:
        if len(self._peers) >= _MAX_CONNECTIONS:
            return None
        self._next_number += 1
        session = SimulatedPeerSession(
            self._chain,
            magic=self._magic,
            now=self._now,
            identity=self._identity,
            peer=where,
            own_address=own_address,
        )
        return SimulatedPeerProtocol(self, session, self._next_number - 1)

    def connected(self, peer: SimulatedPeerProtocol) -> None:
        """Note that a connection began."""
        self._peers[peer.number] = peer

    def ready(self, peer: SimulatedPeerProtocol) -> None:
        """Note the end of a connection's handshake: if this daemon opened it, the address may be passed on."""
        version = peer.session.peer_version
        if not peer.session.inbound and version is not None:
            host, _, port = peer.peer_address.rpartition(":")
            self._identity.addresses.connected(host, int(port), services=version.services, now=self._now())

    def disconnected(self, peer: SimulatedPeerProtocol) -> None:
        """Note that a connection ended."""
        if self._peers.pop(peer.number, None) is not None:
            self._past_received += peer.session.traffic.received
            self._past_sent += peer.session.traffic.sent
        self._check_closed()

    def close(self) -> Deferred[None]:
        """Unsubscribe and close every connection; fires when all are gone."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        closed: Deferred[None] = Deferred()
        self._closed = closed
        for peer in tuple(self._peers.values()):
            peer.transport.unregisterProducer()  # or a slow reader keeps the connection open
            peer.transport.loseConnection()
        self._check_closed()
        return closed

    def abort(self) -> None:
        """Drop what `close` has not closed."""
        for peer in tuple(self._peers.values()):
            peer.transport.abortConnection()

    def synchronise(self) -> None:
        """Ask every other daemon for blocks that are missing here."""
        for peer in tuple(self._peers.values()):
            peer.send(peer.session.synchronise())

    def inbound_count(self) -> int:
        """Return the number of connections that others opened."""
        return sum(peer.session.inbound for peer in self._peers.values())

    def outbound_count(self) -> int:
        """Return the number of connections that this daemon opened."""
        return len(self._peers) - self.inbound_count()

    def traffic(self) -> tuple[int, int]:
        """Return the bytes received and sent since the start."""
        traffic = [peer.session.traffic for peer in self._peers.values()]
        received = self._past_received + sum(each.received for each in traffic)
        return received, self._past_sent + sum(each.sent for each in traffic)

    def render(self) -> list[Json]:
        """Return the entries of getpeerinfo."""
        return [_render_peer(peer) for peer in self._peers.values()]

    def _check_closed(self) -> None:
        if self._closed is not None and not self._peers:
            closed, self._closed = self._closed, None
            closed.callback(None)

    def _announce(self, tip: ChainBlock) -> None:
        for peer in tuple(self._peers.values()):
            peer.send(peer.session.announce_block(tip))

    def _offer(self, entry: MempoolEntry) -> None:
        for peer in tuple(self._peers.values()):
            peer.send(peer.session.offer_transaction(entry))


def _address_text(address: object) -> str:
    return host_and_port(str(getattr(address, "host", "?")), int(getattr(address, "port", 0)))


def _render_peer(peer: SimulatedPeerProtocol) -> Json:
    session = peer.session
    traffic, version = session.traffic, session.peer_version
    ping_time = 0.0 if traffic.ping_time is None else traffic.ping_time
    return {
        "id": peer.number,
        "addr": peer.peer_address,
        "addrbind": peer.own_address,
        "network": "not_publicly_routable",
        "services": f"{0 if version is None else version.services:016x}",
        "servicesnames": list(SERVICE_NAMES) if version and version.services == SERVICES else [],
        "relaytxes": version is not None and version.relay is not False,
        "lastsend": int(traffic.last_sent),
        "lastrecv": int(traffic.last_received),
        "last_transaction": int(traffic.last_transaction),
        "last_block": int(traffic.last_block),
        "bytessent": traffic.sent,
        "bytesrecv": traffic.received,
        "conntime": int(traffic.connected),
        "timeoffset": session.time_offset,
        "pingtime": ping_time,
        "minping": ping_time,
        "version": 0 if version is None else version.version,
        "subver": "" if version is None else version.sub_version.decode("ascii", "replace"),
        "inbound": session.inbound,
        "bip152_hb_to": False,
        "bip152_hb_from": False,
        "masternode": False,
        "startingheight": 0 if version is None else version.start_height,
        "synced_headers": session.best_height,
        "synced_blocks": session.best_height,
        "inflight": [],
        "addr_relay_enabled": session.relays_addresses,
        "addr_processed": 0,
        "addr_rate_limited": 0,
        "permissions": [],
        "bytessent_per_msg": dict(traffic.sent_by_command),
        "bytesrecv_per_msg": dict(traffic.received_by_command),
        "connection_type": "inbound" if session.inbound else "manual",
        "transport_protocol_type": "v1",
        "session_id": "",
    }
