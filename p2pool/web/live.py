"""/ws: live views and events over WebSockets (autobahn), for pages that would otherwise poll.
`p2pool.web.live_hub` decides what each client is sent.

`app` makes one `LiveService`, mounts its `resource` in the site, calls `refreshing` once a second and `event` when
something happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import BAD_REQUEST, FORBIDDEN, SERVICE_UNAVAILABLE
from twisted.web.server import NOT_DONE_YET, Request
from typing_extensions import override
from zope.interface import implementer

from p2pool.base.direct_write import WriteSome, direct_writer, write_at_once
from p2pool.base.environment import Environment, IReactor
from p2pool.base.errors import ParseError
from p2pool.base.hosts import host_key
from p2pool.web.live_events import DERIVED_EVENTS
from p2pool.web.live_hub import POLICY_VIOLATION, LiveClient, LiveHub, LiveLimits
from p2pool.web.live_messages import is_allowed_origin, parse_views
from p2pool.web.request import WebRequest
from p2pool.web.resources import JSON_TYPE, GetResource, error
from p2pool.web.views import Views

_log = Logger(namespace="p2pool.web")

PAGE_VIEWS: Final = frozenset(
    {
        "local_stats",
        "global_stats",
        "recent_blocks",
        "recent_shares",
        "current_payouts",
        "payout_addr",
        "peer_list",
        "dashd_status",
        "broadcaster_status",
    }
)
"""What the first page shows, and a client has that asks for nothing else."""
TURN: Final = 100
"""Clients that are sent something between two turns of the reactor: some milliseconds of it."""
MAX_MESSAGE: Final = 4096
"""Bytes of a client's message."""
_UPGRADE_REQUIRED: Final = 426
_FORWARDED = (b"Connection", b"Upgrade", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version")


class _Silent:
    """autobahn's log: it would have a line for whatever a client gets wrong."""

    def debug(self, *_: object, **__: object) -> None:
        """Discard a log event of any level."""

    trace = info = warn = error = failure = debug


class _Factory(WebSocketServerFactory):
    """Timers are the hub's: all of autobahn's are off. Messages are not compressed: that would have to be done for
    each client again."""

    noisy = False
    log = _Silent()

    def __init__(self, service: LiveService, reactor: IReactor) -> None:
        super().__init__(server="", reactor=reactor)  # type: ignore[no-untyped-call]
        self.service = service
        self.setProtocolOptions(  # type: ignore[no-untyped-call]
            webStatus=False,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            maxFramePayloadSize=MAX_MESSAGE,
            maxMessagePayloadSize=MAX_MESSAGE,
            allowNullOrigin=True,
        )


@implementer(IPushProducer)
class _Connection(WebSocketServerProtocol):
    """One client's WebSocket. As a push producer it is notified by its transport whether more may be written."""

    log = _Silent()
    factory: _Factory

    def __init__(self, host: str, views: frozenset[str], allowed: frozenset[str]) -> None:
        super().__init__()
        self._host = host
        self._views = views
        self._allowed = allowed
        self._client: LiveClient | None = None
        self._write_some: WriteSome | None = None

    # --- autobahn's --------------------------------------------------------------------------------------

    @override
    def onOpen(self) -> None:
        """Join the hub, now that the handshake is done."""
        service = self.factory.service
        self._client = service.hub.join(
            self, host=self._host, views=self._views, allowed=self._allowed, now=service.clock()
        )
        transport: Any = self.transport
        transport.unregisterProducer()  # the HTTP channel's own
        transport.registerProducer(self, True)
        self._write_some = direct_writer(transport)
        service.send_soon()

    @override
    def dataReceived(self, data: bytes) -> None:
        client, service = self._client, self.factory.service
        if client is not None and not client.sent_octets(len(data), service.clock()):
            self.dropConnection(abort=True)
            return
        super().dataReceived(data)

    @override
    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Handle a client's message, of MAX_MESSAGE bytes at most."""
        client, service = self._client, self.factory.service
        if client is None:
            return
        try:
            if isBinary:
                raise ParseError("a binary message")
            service.hub.received(client, payload, service.clock())
        except ParseError as error:
            _log.info("closed live client {host}: {error}", host=self._host, error=error)
            service.hub.close(client, code=POLICY_VIOLATION, reason=str(error), now=service.clock())
        service.send_soon()

    @override
    def dropConnection(self, abort: bool = False) -> None:
        """End the connection, at either side's request; pending messages are dropped."""
        if self._client is not None:
            self.factory.service.hub.closing(self._client, self.factory.service.clock())
        super().dropConnection(abort)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._client is not None:
            self.factory.service.hub.leave(self._client)
            self._client = None

    # --- the hub's port ----------------------------------------------------------------------------------

    def write(self, frames: Sequence[bytes]) -> None:
        """Send WebSocket frames to the client."""
        write_at_once(self.transport, self._write_some, frames[0] if len(frames) == 1 else b"".join(frames))

    def ping(self) -> None:
        """Send a ping; any sign of life will do for an answer."""
        self.sendPing()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and go when it is sent."""
        self.sendCloseFrame(code, reason.encode()[:123])
        transport: Any = self.transport
        transport.unregisterProducer()
        transport.loseConnection()

    def abort(self) -> None:
        """Abort the connection at once."""
        transport: Any = self.transport
        transport.abortConnection()

    # --- the transport's producer ------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Note that the transport's buffer is full."""
        if self._client is not None:
            self.factory.service.hub.paused(self._client, self.factory.service.clock())

    def resumeProducing(self) -> None:
        """Note that the transport takes more."""
        if self._client is not None:
            self.factory.service.hub.resumed(self._client, self.factory.service.clock())
            self.factory.service.send_soon()

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` follows."""


class LiveResource(GetResource):
    """/ws[?views=NAME,NAME,...]: becomes a WebSocket, or says as JSON why not."""

    def __init__(self, service: LiveService) -> None:
        super().__init__()
        self._service = service

    @override
    def render_GET(self, request: Request) -> bytes | int:
        """Make a WebSocket of the connection, or answer why not."""
        host = self._service.client_host(request)
        refusal = self._refusal(request, host)
        if refusal is None:
            allowed = self._service.allowed_views(request, self._service.hub.known_views)
            views = _views_asked_for(request, allowed)
            if isinstance(views, frozenset):
                self._take_over(request, _Connection(host, views, allowed))
                return NOT_DONE_YET
            refusal = views
        status, body = refusal
        request.setResponseCode(status, b"Upgrade Required" if status == _UPGRADE_REQUIRED else None)
        request.setHeader(b"Content-Type", JSON_TYPE)
        request.setHeader(b"Cache-Control", b"no-store")
        if status == _UPGRADE_REQUIRED:
            request.setHeader(b"Upgrade", b"websocket")
            request.setHeader(b"Sec-WebSocket-Version", b"13")
        return body

    @override
    def render_HEAD(self, request: Request) -> bytes:
        """Answer that this address needs a WebSocket."""
        request.setResponseCode(_UPGRADE_REQUIRED, b"Upgrade Required")
        request.setHeader(b"Upgrade", b"websocket")
        request.setHeader(b"Content-Length", b"0")
        return b""

    def _refusal(self, request: Request, host: str) -> tuple[int, bytes] | None:
        origins = request.requestHeaders.getRawHeaders(b"Origin") or []
        if not _is_handshake(request):
            return error(_UPGRADE_REQUIRED, "upgrade_required", "only WebSocket version 13 is supported here")
        origin = _text(origins[0]) if origins else None
        hosts = request.hosts if isinstance(request, WebRequest) else [_text(request.getHeader(b"Host"))]
        if len(origins) > 1 or not any(
            is_allowed_origin(origin, host_asked, self._service.origins) for host_asked in hosts or [None]
        ):
            return error(FORBIDDEN, "origin_not_allowed", "pages of other sites may not receive live updates")
        if not self._service.hub.known_views:
            return error(SERVICE_UNAVAILABLE, "starting", "the node is starting; try again in a second")
        reason = self._service.hub.turned_away(host)
        return None if reason is None else error(SERVICE_UNAVAILABLE, "too_many_clients", reason)

    def _take_over(self, request: Request, connection: _Connection) -> None:
        """Pass the channel's data to the WebSocket from now on.

        The channel stays the transport's protocol, unlike with autobahn's own resource: the worker port counts
        connections, and is notified of their ends, through it.
        """
        channel: Any = request.channel
        connection.factory = self._service.factory
        http_lost = channel.connectionLost

        def lost(reason: Failure) -> None:
            connection.connectionLost(reason)
            http_lost(reason)

        connection.makeConnection(channel.transport)  # type: ignore[no-untyped-call]
        # What came right behind the request is raw data by now.
        channel.dataReceived = channel.rawDataReceived = connection.dataReceived
        channel.connectionLost = lost
        lines = [b"GET /ws HTTP/1.1", b"Host: localhost"]
        for name in _FORWARDED:
            lines += [name + b": " + value for value in request.requestHeaders.getRawHeaders(name) or []]
        connection.dataReceived(b"\r\n".join([*lines, b"", b""]))


def _views_asked_for(request: Request, allowed: frozenset[str]) -> frozenset[str] | tuple[int, bytes]:
    """Return the views that the address names, else those of the first page; or the error to answer."""
    asked = (request.args or {}).get(b"views")
    if asked is None:
        return PAGE_VIEWS & allowed
    names: list[object] = [_text(name) for each in asked for name in each.split(b",")]
    try:
        return parse_views(names, allowed)
    except ParseError as problem:
        return error(BAD_REQUEST, "unknown_view", str(problem))


def _is_handshake(request: Request) -> bool:
    """Return whether a request is a WebSocket handshake; autobahn would check this as well, but answer in its
    own way (RFC 6455, 4.2.1)."""
    fields = {name: request.requestHeaders.getRawHeaders(name) or [] for name in _FORWARDED}
    key = fields[b"Sec-WebSocket-Key"]
    return (
        request.clientproto == b"HTTP/1.1"
        and b"websocket" in _tokens(fields[b"Upgrade"])
        and b"upgrade" in _tokens(fields[b"Connection"])
        and fields[b"Sec-WebSocket-Version"] == [b"13"]
        and len(key) == 1
        and len(key[0]) == 24
        and key[0].endswith(b"==")
        and key[0][:-2].replace(b"+", b"0").replace(b"/", b"0").isalnum()
    )


def _tokens(values: Sequence[bytes]) -> set[bytes]:
    return {token.strip().lower() for value in values for token in value.split(b",")}


def _text(value: bytes | str | None) -> str | None:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def all_views(request: Request, known: frozenset[str]) -> frozenset[str]:
    """Return all known views: everybody may watch everything."""
    return known


def peer_host(request: Request) -> str:
    """Return the host that a client is counted under: its IPv4 address, or its IPv6 network of 64 bits."""
    return host_key(str(getattr(request.getClientAddress(), "host", "")))


class LiveService:
    """Serves live views and events. `origins` are sites whose pages may connect in addition to this node's own;
    `client_host` returns the host that a request's client is counted under, `allowed_views` those of the known
    views that it may watch."""

    def __init__(
        self,
        environment: Environment,
        *,
        origins: frozenset[str] = frozenset(),
        client_host: Callable[[Request], str] = peer_host,
        allowed_views: Callable[[Request, frozenset[str]], frozenset[str]] = all_views,
        limits: LiveLimits | None = None,
    ) -> None:
        self.clock = environment.clock
        self.origins = origins
        self.client_host = client_host
        self.allowed_views = allowed_views
        self.hub = LiveHub(limits or LiveLimits(), self.clock(), DERIVED_EVENTS)
        self.factory = _Factory(self, environment.reactor)
        self.resource = LiveResource(self)
        self._environment = environment
        self._turn_due = False

    def refreshing(self, views: Views, now: float) -> Iterator[None]:
        """Send what changed since the last rendering of all views, in steps."""
        yield from self.hub.refreshing(views.rendered, views.values, now)
        self.hub.tick(now)
        self.send_soon()

    def event(self, event: dict[str, Any]) -> None:
        """Send an event to all clients at once: its name as `event`, and its fields."""
        self.hub.event(event, self.clock())
        self.send_soon()

    def send_soon(self) -> None:
        """Give clients with waiting messages their turns."""
        if self.hub.has_turns and not self._turn_due:
            self._turn_due = True
            self._environment.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        self.hub.turn(TURN)
        self.send_soon()

    def stop(self) -> None:
        """Close all connections: the node is stopping."""
        self.hub.stop(self.clock())
