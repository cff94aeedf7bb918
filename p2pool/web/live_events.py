"""Events for live clients. Their times are those of sending.

Some come from the node at once, the others are derived from a view's change; all are JSON objects with their name
as `event`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from p2pool.base.bounded import BoundedDict
from p2pool.base.endpoints import host_and_port
from p2pool.dash.hashes import hash_hex
from p2pool.dash.target import target_to_difficulty
from p2pool.node import Node, WorkChange
from p2pool.peers.figures import PeerFigures
from p2pool.pool_stats import BlockRecord, BlockStatus, EventRecord
from p2pool.share.share import Share
from p2pool.web.live_hub import Derive
from p2pool.web.sources import script_to_text

Event = dict[str, Any]

SHARE_AGE = 900.0
"""Seconds: an older share is part of a chain that is being downloaded, and not an event."""
_BLOCKS = 1000
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
MAX_REPORTED = 10
"""Alerts, or peers, that one change reports."""


def share_event(node: Node, share: Share, *, own: bool, now: float) -> Event | None:
    """Return the event of a share that was added to the chain; None for an old one. `own` if a miner of this
    node found it."""
    if now - node.found_times().of(share.hash).time > SHARE_AGE:
        return None
    return {
        "event": "share",
        "hash": hash_hex(share.hash),
        "own": own,
        "payout_address": script_to_text(node, share.script),
        "difficulty": target_to_difficulty(share.target),
        "is_block": share.is_block,
    }


class BlockEvents:
    """Blocks of the pool, when they are found and when something becomes of them; one more confirmation is not an
    event. Bound: the newest _BLOCKS are known."""

    def __init__(self) -> None:
        self._status: BoundedDict[int, BlockStatus] = BoundedDict(_BLOCKS)

    def of(self, record: BlockRecord) -> Event | None:
        """Return the event of a record that is new or has changed; None if its status is the same."""
        if self._status.get(record.block_hash) is record.status:
            return None
        self._status[record.block_hash] = record.status
        return {
            "event": "block",
            "hash": hash_hex(record.block_hash),
            "number": record.height,
            "miner": record.worker,
            "status": record.status.value,
            "reason": record.reason or None,
            "value_duffs": record.subsidy,
            "found": record.time,
        }


class ParentBlockEvents:
    """New blocks of the parent chain, regardless of who found them."""

    def __init__(self) -> None:
        self._newest: int | None = None

    def of(self, change: WorkChange) -> Event | None:
        """Return the event of new work on a new block; None if it is on the same block."""
        template = change.context.template
        if template.previous_block == self._newest:
            return None
        self._newest = template.previous_block
        return {
            "event": "dashd",
            "height": template.height - 1,
            "block_hash": hash_hex(template.previous_block),
        }


class PeerEvents:
    """Other nodes that come and go. Bound: the peers."""

    def __init__(self) -> None:
        self._known: frozenset[tuple[str, int, bool]] = frozenset()

    def of(self, peers: Sequence[PeerFigures]) -> list[Event]:
        """Return the events of peers that connected or disconnected since the last call."""
        now = frozenset((peer.host, peer.port, peer.incoming) for peer in peers)
        came, went = sorted(now - self._known), sorted(self._known - now)
        self._known = now
        changes = [(each, True) for each in came] + [(each, False) for each in went]
        return [
            {
                "event": "peer",
                "address": host_and_port(host, port),
                "incoming": incoming,
                "connected": connected,
                "peers": len(now),
            }
            for (host, port, incoming), connected in changes[:MAX_REPORTED]
        ]


def happened_event(record: EventRecord) -> Event:
    """Return the event of a record that history keeps."""
    return {
        "event": "happened",
        "kind": record.kind.value,
        "subject": record.subject,
        "text": record.text,
        "details": dict(record.details),
    }


def ban_event(host: str) -> Event:
    """Return the event of a ban of a miner's host; /ban_stats has its duration."""
    return {"event": "ban", "host": host}


def alert_events(before: Any, now: Any) -> Iterable[Event]:
    """Return the events of warnings in /local_stats that are new, and of those that are over. Two that differ
    only in a number ("for 5 s") are the same."""
    known = {_NUMBER.sub("#", text): text for text in before.get("warnings", ())}
    warnings = {_NUMBER.sub("#", text): text for text in now.get("warnings", ())}
    changes = [(text, False) for form, text in warnings.items() if form not in known]
    changes += [(text, True) for form, text in known.items() if form not in warnings]
    return [{"event": "alert", "text": text, "over": over} for text, over in changes[:MAX_REPORTED]]


def daemon_events(before: Any, now: Any) -> Iterable[Event]:
    """Return the event of a change in /dashd_status: a problem that begins or ends, or a switch to another
    daemon."""

    def state(status: Any) -> Event:
        serving = [each["address"] for each in status["daemons"] if each["serving"]]
        return {"problem": status["problem"], "serving": serving[0] if serving else None}

    is_other = (state(before)["problem"] is None) != (state(now)["problem"] is None)
    if is_other or state(before)["serving"] != state(now)["serving"]:
        return [{"event": "dashd", **state(now)}]
    return []


DERIVED_EVENTS: dict[str, Derive] = {"local_stats": alert_events, "dashd_status": daemon_events}
"""By the view from whose change they are derived."""
