"""Requests for shares on one connection: those of this node until they are answered, and answers to the peer's."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass

from p2pool.peers import messages
from p2pool.peers.messages import Envelope, ShareReply, ShareReq
from p2pool.peers.patience import Patience
from p2pool.peers.share_intake import Answer
from p2pool.share.share import Share

REQUEST_TIME = 15.0
"""Seconds until an answer. One that is coming, if slowly, has more time."""
LONGEST_REQUEST = 120.0
"""Seconds until an answer, however slowly it comes, and however long what the peer sends has to wait here: a peer
that floods this node must not keep a request open without end."""
SLOWEST = 4000
"""Bytes per second of an answer that is slow, but is coming: a small part of the slowest line of a home."""
MAX_REQUESTS = 64
_MAX_REPLY_SHARES = 1000
_ASKED_AT_ONCE = 2000
"""Hashes of one request looked up in one step."""


@dataclass(slots=True)
class ShareRequest:
    """A request for a share and its parents. `answered` gets the answer, or None if the connection ended."""

    asked_at: float
    due: float
    last_due: float
    share_hash: int
    parents: int
    answered: Callable[[Answer | None], None]
    patience: Patience
    """Decides when another peer is asked as well."""


class ShareRequests:
    """This node's requests on one connection that are not answered, by their ids. Bound: MAX_REQUESTS."""

    def __init__(self) -> None:
        self._open: dict[int, ShareRequest] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(
        self,
        request_id: int,
        share_hash: int,
        *,
        parents: int,
        now: float,
        answered: Callable[[Answer | None], None],
    ) -> ShareRequest | None:
        """Return a new request, which is kept; None if there is no room for it."""
        if len(self._open) >= MAX_REQUESTS:
            return None
        request = self._open[request_id] = ShareRequest(
            now, now + REQUEST_TIME, now + LONGEST_REQUEST, share_hash, parents, answered, Patience(now)
        )
        return request

    def begin_answer(self, request_id: int) -> ShareRequest | None:
        """Return the request whose answer came, which is not late any more however long it is worked on; None if
        it is late or was never made."""
        request = self._open.get(request_id)
        if request is not None:
            request.due = math.inf
            request.patience.complete()
        return request

    def heard(self, request_id: int, received: int, now: float) -> None:
        """Take how many bytes of an answer have come so far."""
        request = self._open.get(request_id)
        if request is not None:
            request.patience.heard(received, now)
            if received >= SLOWEST * (now - request.asked_at):
                request.due = max(request.due, min(now + REQUEST_TIME, request.last_due))

    def take(self, request_id: int) -> ShareRequest | None:
        """Return a request and forget it; None if there is none."""
        return self._open.pop(request_id, None)

    def postpone(self, now: float) -> None:
        """Give the peer time for all requests: what it sent is waiting here."""
        for request in self._open.values():
            request.due = max(request.due, min(now + REQUEST_TIME, request.last_due))
            request.patience.wait(now)

    def is_late(self, now: float) -> bool:
        """Return whether the peer should have answered a request by now."""
        return any(now > request.due for request in self._open.values())

    def fail_all(self) -> None:
        """Answer all requests with None: the connection has ended."""
        requests, self._open = self._open, {}
        for request in requests.values():
            request.answered(None)


def reply_steps(
    message: ShareReq, shares_for: Callable[[Sequence[int], int, Collection[int]], Iterator[Share]]
) -> Generator[None, None, ShareReply]:
    """Return the answer to a peer's request; every yield ends a step. `shares_for` finds the shares."""
    parents = min(message.parents, _MAX_REPLY_SHARES // len(message.hashes)) if message.hashes else 0
    room = messages.MAX_PAYLOAD - 64
    found: list[Envelope] = []
    stops = frozenset(message.stops)
    for start in range(0, len(message.hashes), _ASKED_AT_ONCE):
        if start:
            yield
        for share in shares_for(message.hashes[start : start + _ASKED_AT_ONCE], parents, stops):
            room -= len(share.contents) + 10
            if room < 0:
                return ShareReply(message.id, messages.TOO_LONG, ())
            found.append(Envelope(share.version.type, share.contents))
    return ShareReply(message.id, messages.GOOD, tuple(found))
