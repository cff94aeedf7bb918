"""Sends the node's events to live clients. `app` subscribes the methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p2pool.node import Node, WorkChange
from p2pool.peers.figures import PeerFigures
from p2pool.pool_stats import BlockRecord, EventRecord
from p2pool.share.share import Share
from p2pool.web.live import LiveService
from p2pool.web.live_events import (
    BlockEvents,
    Event,
    ParentBlockEvents,
    PeerEvents,
    ban_event,
    happened_event,
    share_event,
)


class LiveWiring:
    """Each method takes the value that one of the node's events fires."""

    def __init__(
        self,
        live: LiveService,
        node: Node,
        *,
        peers: Callable[[], Sequence[PeerFigures]],
        clock: Callable[[], float],
    ) -> None:
        self._live = live
        self._node = node
        self._peers = peers
        self._clock = clock
        self._blocks = BlockEvents()
        self._parent_blocks = ParentBlockEvents()
        self._peer_events = PeerEvents()

    def _send(self, event: Event | None) -> None:
        if event is not None:
            self._live.event(event)

    def share(self, announced: tuple[Share, bool]) -> None:
        """Report a share that was added to the share chain, and whether it is this node's own."""
        share, own = announced
        self._send(share_event(self._node, share, own=own, now=self._clock()))

    def block(self, record: BlockRecord) -> None:
        """Report a block of the pool that is new or whose status changed."""
        self._send(self._blocks.of(record))

    def work(self, change: WorkChange) -> None:
        """Report new work if it is on a new block."""
        self._send(self._parent_blocks.of(change))

    def peers(self, count: int) -> None:
        """Report nodes that connected or disconnected."""
        for event in self._peer_events.of(self._peers()):
            self._live.event(event)

    def happened(self, record: EventRecord) -> None:
        """Report an event of the history."""
        self._send(happened_event(record))

    def ban(self, host: str) -> None:
        """Report that a host of miners was banned."""
        self._send(ban_event(host))
