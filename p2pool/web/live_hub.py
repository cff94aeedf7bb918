"""Everybody who watches live: what each is told, who is too slow, who is let in. Pure: time is passed in, and a
connection is a `ClientPort` that `p2pool.web.live` makes of a WebSocket.

Each message is made and put into frames once, and all clients share its bytes. On connect a client has a snapshot
of its views, then changes, once a second at most, and events at once. One that does not read has messages waiting
up to a bound; then these are dropped, and it has a fresh snapshot when it reads again; when it does not for long,
it is closed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
"""Seconds for a connection to end after it was told to."""
_CACHED_SETS = 16
"""Different sets of views whose snapshots are kept until the next change."""


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Times in seconds. `messages` and `message_rate`: what a client may say at once, and a second in the long
    run; `octets` and `octet_rate` bound all that it sends. `events` and `event_rate` bound what all are told."""

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
        """Send a ping."""

    def close(self, code: int, reason: str) -> None:
        """Begin to close; `abort` comes later if it does not end."""

    def abort(self) -> None:
        """End it now."""


class LiveClient:
    """One that watches."""

    __slots__ = (
        "_allowed_octets",
        "allowed_messages",
        "allowed_views",
        "begun",
        "behind",
        "closing_since",
        "heard",
        "host",
        "pinged",
        "port",
        "queue",
        "stalled_since",
        "views",
        "waiting",
    )

    def __init__(
        self,
        port: ClientPort,
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
        self.stalled_since: float | None = None
        """Since when it does not take more."""
        self.heard = now
        self.pinged: float | None = None
        self.closing_since: float | None = None
        self.allowed_messages = TokenAllowance(limits.messages, limits.message_rate, now)
        self._allowed_octets = TokenAllowance(limits.octets, limits.octet_rate, now)

    def sent_octets(self, count: int, now: float) -> bool:
        """Bytes came from it; whether they are not too many."""
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
        """Those that have something to be sent and take it, in the order of their turns."""
        self._events = TokenAllowance(limits.events, limits.event_rate, now)
        self._missed = 0

    # --- who is there ------------------------------------------------------------------------------------

    @property
    def known_views(self) -> frozenset[str]:
        """What can be watched; nothing before the first refresh."""
        return frozenset(self._rendered)

    def turned_away(self, host: str) -> str | None:
        """Why one more client of this host is not let in; None where it is."""
        if self._hosts[host] >= self.limits.per_host:
            return f"{self.limits.per_host} clients of this address are watching already"
        if len(self.clients) >= self.limits.clients and self._place_of(host) is None:
            return f"{self.limits.clients} clients are watching already"
        return None

    def _place_of(self, host: str) -> LiveClient | None:
        """Who gives its place to one more client of this host: the oldest client of the host with most of them.
        None where no host has more than this one would have."""
        largest, held = max(self._hosts.items(), key=lambda item: item[1], default=("", 0))
        if held <= self._hosts[host] + 1:
            return None
        return next(client for client in self.clients if client.host == largest)

    def join(
        self, port: ClientPort, host: str, views: frozenset[str], allowed: frozenset[str], now: float
    ) -> LiveClient:
        """A client that was let in; it has a snapshot at its first turn. `allowed` are the views that it may
        subscribe to later."""
        if len(self.clients) >= self.limits.clients:
            oldest = self._place_of(host)
            if oldest is not None:
                self.closing(oldest, now)
                self.leave(oldest)
                oldest.port.abort()
        client = LiveClient(port, host, views, allowed, self.limits, now)
        self.clients[client] = None
        self._hosts[host] += 1
        self._ready[client] = None
        return client

    def leave(self, client: LiveClient) -> None:
        """Its connection is gone."""
        if client in self.clients:
            del self.clients[client]
            self._hosts[client.host] -= 1
            if not self._hosts[client.host]:
                del self._hosts[client.host]
        self._ready.pop(client, None)
        client.queue.clear()

    def close(self, client: LiveClient, code: int, reason: str, now: float) -> None:
        """Nothing more is said to it."""
        if client.closing_since is None:
            self.closing(client, now)
            client.port.close(code, reason)

    def closing(self, client: LiveClient, now: float) -> None:
        """It closes by itself; nothing more is said to it, and it is given some seconds."""
        if client.closing_since is None:
            client.closing_since = now
            self._ready.pop(client, None)
            client.queue.clear()

    # --- what is told ------------------------------------------------------------------------------------

    def refreshing(self, rendered: Mapping[str, bytes], values: Mapping[str, Any], time: float) -> Iterator[None]:
        """All views were rendered anew at `time` (Unix seconds), out of these values: tell what changed. In steps,
        one for each view that somebody watches, since a view of ten thousand workers takes a while; all at once at
        the end. `values` are kept, and must never change."""
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
        # Without a step between: who joins sees all of a refresh or nothing of it.
        self._rendered.update(changed)
        self._values.update(now)
        self._time = time
        self._snapshots.clear()
        self._tell_changes(patches, frozenset(unseen))
        for event in news:
            self.event(event, time)

    def _is_watched(self, path: str) -> bool:
        return any(path in client.views for client in self.clients)

    def _tell_changes(self, patches: dict[str, bytes], unseen: frozenset[str]) -> None:
        """`unseen` views changed while nobody watched them: who does by now begins anew."""
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
                message = made[mine] = message_frames(join_views("changes", self._time, patches, mine))
            self._tell(client, message)

    def event(self, event: dict[str, Any], now: float) -> None:
        """Tell all of an event (its name as `event`) at once. Too many at a time are counted only: `missed` of the
        next one."""
        if not self.clients:
            return
        if not self._events.take(1, now):
            self._missed += 1
            return
        missed, self._missed = self._missed, 0
        told = {"type": "event", "time": now, **event, **({"missed": missed} if missed else {})}
        message = message_frames(orjson.dumps(told))
        for client in self.clients:
            self._tell(client, message)

    def _tell(self, client: LiveClient, message: Frames) -> None:
        if client.behind or client.closing_since is not None:
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
        if client.stalled_since is None and client.closing_since is None:
            self._ready[client] = None

    def _skip(self, client: LiveClient) -> None:
        """Instead of all that waits it has a snapshot when it reads again."""
        client.drop_queue()
        client.behind = True
        self._make_ready(client)

    def _snapshot(self, views: frozenset[str]) -> Frames:
        message = self._snapshots.get(views)
        if message is None:
            message = message_frames(join_views("snapshot", self._time, self._rendered, views))
            self._snapshots[views] = message
        return message

    # --- sending -----------------------------------------------------------------------------------------

    @property
    def has_turns(self) -> bool:
        """Whether `turn` has something to do."""
        return bool(self._ready)

    def turn(self, count: int) -> None:
        """Send what waits for up to `count` clients: a thousand at once would hold miners up."""
        for client in list(islice(self._ready, count)):
            self._ready.pop(client, None)
            self._send(client)

    def _send(self, client: LiveClient) -> None:
        while client.stalled_since is None and client.closing_since is None:
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
        """It takes no more for now."""
        if client.stalled_since is None:
            client.stalled_since = now
        self._ready.pop(client, None)

    def resumed(self, client: LiveClient) -> None:
        """It takes more."""
        client.stalled_since = None
        if (client.queue or client.behind) and client.closing_since is None and client in self.clients:
            self._ready[client] = None

    # --- what clients say --------------------------------------------------------------------------------

    def said(self, client: LiveClient, payload: bytes, now: float) -> None:
        """A client's message. Raises ParseError where it is none that it may send, or one too many: the connection
        is to be closed then."""
        if client.closing_since is not None:
            return
        if not client.allowed_messages.take(1, now):
            raise ParseError(f"more than {self.limits.messages:g} messages at a time")
        asked = parse_client_message(payload, client.allowed_views)
        if isinstance(asked, Subscribe):
            client.views = asked.views
            self._skip(client)
        else:
            self._append(client, message_frames(orjson.dumps({"type": "pong", "time": now})))

    def tick(self, now: float) -> None:
        """Once a second: ask those that are silent, end those that do not read, answer or close."""
        limits = self.limits
        for client in list(self.clients):
            if client.closing_since is not None:
                over = now - client.closing_since > _CLOSE_TIME
            elif client.stalled_since is not None and now - client.stalled_since > limits.stall_time:
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
                client.closing_since = float("inf")  # once is enough
                client.port.abort()

    def stop(self, now: float) -> None:
        """The node ends."""
        for client in list(self.clients):
            self.close(client, GOING_AWAY, "the node is stopping", now)
