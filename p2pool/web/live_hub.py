"""All live clients: what is sent to each, which one is too slow, which one is admitted. Pure: time is passed in,
and a connection is a `ClientPort` that `p2pool.web.live` makes of a WebSocket.

Each message is made and put into frames once, and all clients share its bytes. On connect a client is sent a
snapshot of its views, then changes, once a second at most, and events at once. For one that does not read,
messages are queued up to a bound; then these are dropped, and it is sent a new snapshot when it reads again; if it
does not for long, it is closed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from typing import Any, Final, Protocol

import orjson

from p2pool.base.bounded import BoundedDict
from p2pool.base.errors import ParseError
from p2pool.web.live_messages import (
    Frames,
    Subscribe,
    TokenAllowance,
    join_views,
    message_frames,
    parse_client_message,
)
from p2pool.web.live_patch import difference

Derive = Callable[[Any, Any], Iterable[dict[str, Any]]]
"""(a view's former value, its value now) -> events, each with its name as `event`."""

POLICY_VIOLATION: Final = 1008
GOING_AWAY: Final = 1001
PIECE: Final = 32 * 1024
"""Bytes that are handed to a connection at a time: what it holds unsent is a copy, and so is bounded."""
_CLOSE_TIME = 5.0
"""Seconds for a connection to end after it was asked to close."""
_CACHED_SETS = 16
"""Different sets of views whose snapshots are kept until the next change."""


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Limits of live clients, times in seconds. `messages` and `message_rate`: what a client may send at once,
    and a second in the long run; `octets` and `octet_rate` bound all bytes that it sends. `events` and
    `event_rate` bound the events that are sent to all."""

    clients: int = 1000
    per_host: int = 100
    """When all places are taken, the host with most clients loses its oldest one to a host that has fewer."""
    queued_messages: int = 32
    queued_bytes: int = 1 << 20
    """Of what waits behind the message that is being sent."""
    stall_time: float = 20.0
    ping_after: float = 30.0
    pong_time: float = 30.0
    messages: float = 10
    message_rate: float = 0.2
    octets: float = 8192
    octet_rate: float = 256
    events: float = 50
    event_rate: float = 10


class ClientPort(Protocol):
    """A connection as the hub needs it."""

    def write(self, frames: Sequence[bytes]) -> None:
        """Send WebSocket frames. It says `paused` to the hub, perhaps at once, when it holds enough."""

    def ping(self) -> None:
        """Send a WebSocket ping frame."""

    def close(self, code: int, reason: str) -> None:
        """Begin to close; `abort` comes later if it does not end."""

    def abort(self) -> None:
        """Abort the connection at once."""


class ClientState(Enum):
    """Whether a client may be sent something.

    READING <--> STALLED
       |            |
       +------+-----+
              v
           CLOSING ----> ABORTED
    """

    READING = auto()
    """It takes what it is sent."""
    STALLED = auto()
    """The client's connection holds enough unsent bytes."""
    CLOSING = auto()
    """A close frame was sent or received; it has _CLOSE_TIME to disconnect."""
    ABORTED = auto()
    """The client's connection was aborted and is about to be lost."""

    @property
    def is_open(self) -> bool:
        """Return whether the connection is neither closing nor aborted."""
        return self is ClientState.READING or self is ClientState.STALLED


class LiveClient:
    """A client that watches some views."""

    __slots__ = (
        "_allowed_octets",
        "allowed_messages",
        "allowed_views",
        "begun",
        "behind",
        "heard",
        "host",
        "pinged",
        "port",
        "queue",
        "since",
        "state",
        "views",
        "waiting",
    )

    def __init__(
        self,
        port: ClientPort,
        *,
        host: str,
        views: frozenset[str],
        allowed_views: frozenset[str],
        limits: LiveLimits,
        now: float,
    ) -> None:
        self.port = port
        self.host = host
        self.views = views
        self.allowed_views = allowed_views
        """What it may subscribe to."""
        self.queue: deque[Frames] = deque()
        """Messages that wait. Bound: the limits, and answers to what a client may say."""
        self.begun = 0
        """Frames of the first one that are sent."""
        self.waiting = 0
        """Bytes of those that are not begun."""
        self.behind = True
        """It needs a snapshot before anything else."""
        self.state = ClientState.READING
        self.since = now
        """When it came into this state."""
        self.heard = now
        self.pinged: float | None = None
        self.allowed_messages = TokenAllowance(limits.messages, limits.message_rate, now)
        self._allowed_octets = TokenAllowance(limits.octets, limits.octet_rate, now)

    def enter(self, state: ClientState, now: float) -> None:
        """Change the state at `now`."""
        self.state, self.since = state, now

    def sent_octets(self, count: int, now: float) -> bool:
        """Count bytes received from the client; return whether they are not too many."""
        self.heard, self.pinged = now, None
        return self._allowed_octets.take(count, now)

    def drop_queue(self) -> None:
        """Forget what waits, but for the rest of a message that is begun."""
        while len(self.queue) > (1 if self.begun else 0):
            self.queue.pop()
        self.waiting = 0


class LiveHub:
    """All clients. `derive` makes events of a view's change, by the view's name."""

    def __init__(self, limits: LiveLimits, now: float, derive: Mapping[str, Derive] | None = None) -> None:
        self.limits = limits
        self.clients: dict[LiveClient, None] = {}
        """Bound: `limits.clients`."""
        self.slow_closed = 0
        """Clients closed because they did not read."""
        self._derive = derive or {}
        self._hosts: Counter[str] = Counter()
        """Connections of each host, those that are closing included. Bound: the clients."""
        self._rendered: dict[str, bytes] = {}
        self._values: dict[str, Any] = {}
        """What was rendered. Bound: the views, as above."""
        self._time = now
        self._snapshots: BoundedDict[frozenset[str], Frames] = BoundedDict(_CACHED_SETS)
        self._ready: dict[LiveClient, None] = {}
        """Return the clients that have something to be sent and take it, in the order of their turns."""
        self._events = TokenAllowance(limits.events, limits.event_rate, now)
        self._missed = 0

    # --- who is there ------------------------------------------------------------------------------------

    @property
    def known_views(self) -> frozenset[str]:
        """Return the views that can be watched; none before the first refresh."""
        return frozenset(self._rendered)

    def turned_away(self, host: str) -> str | None:
        """Return why one more client of this host is not admitted; None if it is."""
        if self._hosts[host] >= self.limits.per_host:
            return f"this address already has {self.limits.per_host} live clients"
        if len(self.clients) >= self.limits.clients and self._place_of(host) is None:
            return f"this node already has {self.limits.clients} live clients"
        return None

    def _place_of(self, host: str) -> LiveClient | None:
        """Return the client to evict for one more client of this host: the oldest one of the host with most
        clients. None if no host has more than this one would have."""
        largest, held = max(self._hosts.items(), key=lambda item: item[1], default=("", 0))
        if held <= self._hosts[host] + 1:
            return None
        return next(client for client in self.clients if client.host == largest)

    def join(
        self, port: ClientPort, *, host: str, views: frozenset[str], allowed: frozenset[str], now: float
    ) -> LiveClient:
        """Add a client that was admitted; it is sent a snapshot at its first turn. `allowed` are the views that
        it may subscribe to later."""
        if len(self.clients) >= self.limits.clients:
            oldest = self._place_of(host)
            if oldest is not None:
                self.closing(oldest, now)
                self.leave(oldest)
                oldest.port.abort()
        client = LiveClient(port, host=host, views=views, allowed_views=allowed, limits=self.limits, now=now)
        self.clients[client] = None
        self._hosts[host] += 1
        self._ready[client] = None
        return client

    def leave(self, client: LiveClient) -> None:
        """Remove a client whose connection is lost."""
        if client in self.clients:
            del self.clients[client]
            self._hosts[client.host] -= 1
            if not self._hosts[client.host]:
                del self._hosts[client.host]
        self._ready.pop(client, None)
        client.queue.clear()

    def close(self, client: LiveClient, *, code: int, reason: str, now: float) -> None:
        """Close a client's connection; nothing more is sent to it."""
        if client.state.is_open:
            self.closing(client, now)
            client.port.close(code, reason)

    def closing(self, client: LiveClient, now: float) -> None:
        """Note that a client's connection is closing: nothing more is sent to it, and it has _CLOSE_TIME to
        end."""
        if client.state.is_open:
            client.enter(ClientState.CLOSING, now)
            self._ready.pop(client, None)
            client.queue.clear()

    # --- what is sent ------------------------------------------------------------------------------------

    def refreshing(self, rendered: Mapping[str, bytes], values: Mapping[str, Any], time: float) -> Iterator[None]:
        """Send what changed since the last rendering. `rendered` and `values` are all views at `time` (Unix
        seconds). In steps, one for each view that is watched, since a view of ten thousand workers takes a
        while; messages are queued all at once at the end. `values` are kept, and must never change."""
        patches: dict[str, bytes] = {}
        unseen: set[str] = set()
        news: list[dict[str, Any]] = []
        changed = {path: body for path, body in rendered.items() if body != self._rendered.get(path)}
        now = {path: values[path] for path in rendered}
        for path, body in changed.items():
            if not self._is_watched(path):
                unseen.add(path)
                continue
            yield
            before = self._values.get(path)
            patch = difference(before, now[path])
            patches[path] = b'{"value":%s}' % body if patch is None else orjson.dumps(patch)
            if path in self._derive and before is not None:
                news += self._derive[path](before, now[path])
        # Without a step in between: a client that joins sees all of a refresh or nothing of it.
        self._rendered.update(changed)
        self._values.update(now)
        self._time = time
        self._snapshots.clear()
        self._queue_changes(patches, frozenset(unseen))
        for event in news:
            self.event(event, time)

    def _is_watched(self, path: str) -> bool:
        return any(path in client.views for client in self.clients)

    def _queue_changes(self, patches: dict[str, bytes], unseen: frozenset[str]) -> None:
        """Queue the changes. `unseen` views changed while nobody watched them: a client that watches one by now
        is sent a snapshot."""
        made: dict[frozenset[str], Frames] = {}
        paths = frozenset(patches)
        for client in self.clients:
            if unseen and client.views & unseen:
                self._skip(client)
                continue
            mine = client.views & paths
            if not mine:
                continue
            message = made.get(mine)
            if message is None:
                message = made[mine] = message_frames(
                    join_views("changes", time=self._time, bodies=patches, views=mine)
                )
            self._queue(client, message)

    def event(self, event: dict[str, Any], now: float) -> None:
        """Send an event (its name as `event`) to all clients at once. Above the limit events are only counted,
        as `missed` of the next one."""
        if not self.clients:
            return
        if not self._events.take(1, now):
            self._missed += 1
            return
        missed, self._missed = self._missed, 0
        sent = {"type": "event", "time": now, **event, **({"missed": missed} if missed else {})}
        message = message_frames(orjson.dumps(sent))
        for client in self.clients:
            self._queue(client, message)

    def _queue(self, client: LiveClient, message: Frames) -> None:
        if client.behind or not client.state.is_open:
            return
        size = sum(map(len, message))
        full = client.waiting + size > self.limits.queued_bytes or len(client.queue) >= self.limits.queued_messages
        if full and client.queue:
            self._skip(client)
            return
        self._append(client, message)

    def _append(self, client: LiveClient, message: Frames) -> None:
        client.queue.append(message)
        client.waiting += sum(map(len, message))
        self._make_ready(client)

    def _make_ready(self, client: LiveClient) -> None:
        if client.state is ClientState.READING:
            self._ready[client] = None

    def _skip(self, client: LiveClient) -> None:
        """Drop a client's queue: it is sent a snapshot instead when it reads again."""
        client.drop_queue()
        client.behind = True
        self._make_ready(client)

    def _snapshot(self, views: frozenset[str]) -> Frames:
        message = self._snapshots.get(views)
        if message is None:
            message = message_frames(join_views("snapshot", time=self._time, bodies=self._rendered, views=views))
            self._snapshots[views] = message
        return message

    # --- sending -----------------------------------------------------------------------------------------

    @property
    def has_turns(self) -> bool:
        """Return whether `turn` has something to do."""
        return bool(self._ready)

    def turn(self, count: int) -> None:
        """Send what waits for up to `count` clients: a thousand at once would hold miners up."""
        for client in list(islice(self._ready, count)):
            self._ready.pop(client, None)
            self._send(client)

    def _send(self, client: LiveClient) -> None:
        while client.state is ClientState.READING:
            frames: list[bytes] = []
            room = PIECE
            while room > 0 and (client.queue or client.behind):
                if not client.queue:
                    client.behind = False
                    client.queue.append(self._snapshot(client.views))
                if not client.begun:
                    client.waiting = max(0, client.waiting - sum(map(len, client.queue[0])))
                frame = client.queue[0][client.begun]
                frames.append(frame)
                room -= len(frame)
                client.begun += 1
                if client.begun == len(client.queue[0]):
                    client.queue.popleft()
                    client.begun = 0
            if not frames:
                return
            client.port.write(frames)

    def paused(self, client: LiveClient, now: float) -> None:
        """Note that a client's connection takes no more for now."""
        if client.state is ClientState.READING:
            client.enter(ClientState.STALLED, now)
        self._ready.pop(client, None)

    def resumed(self, client: LiveClient, now: float) -> None:
        """Note that a client's connection takes more."""
        if client.state is ClientState.STALLED:
            client.enter(ClientState.READING, now)
        if client.state is ClientState.READING and (client.queue or client.behind) and client in self.clients:
            self._ready[client] = None

    # --- what clients say --------------------------------------------------------------------------------

    def received(self, client: LiveClient, payload: bytes, now: float) -> None:
        """Handle a client's message. Raises ParseError for an invalid one, or for one too many: the connection
        must be closed then."""
        if not client.state.is_open:
            return
        if not client.allowed_messages.take(1, now):
            raise ParseError(f"more than {self.limits.messages:g} messages at once")
        asked = parse_client_message(payload, client.allowed_views)
        if isinstance(asked, Subscribe):
            client.views = asked.views
            self._skip(client)
        else:
            self._append(client, message_frames(orjson.dumps({"type": "pong", "time": now})))

    def tick(self, now: float) -> None:
        """Do the work of each second: ping silent clients, and abort those that do not read, answer or close."""
        limits = self.limits
        for client in list(self.clients):
            if client.state is ClientState.ABORTED:
                over = False  # once is enough
            elif client.state is ClientState.CLOSING:
                over = now - client.since > _CLOSE_TIME
            elif client.state is ClientState.STALLED and now - client.since > limits.stall_time:
                over = True
                self.slow_closed += 1
            elif client.pinged is not None:
                over = now - client.pinged > limits.pong_time
            else:
                over = False
                if now - client.heard > limits.ping_after:
                    client.pinged = now
                    client.port.ping()
            if over:
                self.closing(client, now)
                client.enter(ClientState.ABORTED, now)
                client.port.abort()

    def stop(self, now: float) -> None:
        """Close all connections: the node is stopping."""
        for client in list(self.clients):
            self.close(client, code=GOING_AWAY, reason="the node is stopping", now=now)
