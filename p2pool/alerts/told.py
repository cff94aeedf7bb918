"""What happens to a block once only, such as that it is found, is told once: over restarts, too. Pure.

A node that was killed may meet the same event again. `service` asks `ToldOnce` before it tells anybody, and keeps
the list in the outbox's file, in the same transaction as the deliveries. For the moment between a delivery and
that transaction, the id of the delivery follows from the event, so that receivers can drop what they know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from p2pool.alerts.message import Place
from p2pool.base.bounded import BoundedDict
from p2pool.pool_stats import EventKind, EventRecord

MAX_TOLD: Final = 500
"""Events that are remembered: of the newest couple of hundred blocks. One has 80 bytes in the file."""
ONCE: Final = frozenset({EventKind.BLOCK_FOUND, EventKind.BLOCK_CONFIRMED, EventKind.BLOCK_REFUSED})
"""A block can be orphaned more than once: it may come back in between."""
_KEY: Final = re.compile("[a-z_]{1,40}:[0-9a-f]{64}")


class ToldOnce:
    """The events of ONCE that were told. Bound: MAX_TOLD."""

    def __init__(self) -> None:
        self._keys: BoundedDict[str, None] = BoundedDict(MAX_TOLD)
        self.is_restored = False
        """Whether an earlier run left its list."""

    def knows(self, event: EventRecord) -> bool:
        """Whether it was told."""
        return _key(event) in self._keys

    def take(self, event: EventRecord) -> bool:
        """Whether this event is still to be told; it counts as told from now on."""
        if event.kind not in ONCE:
            return True
        key = _key(event)
        if key in self._keys:
            return False
        self._keys[key] = None
        return True

    def to_json(self) -> list[str]:
        """The list for the file."""
        return list(self._keys)

    def restore(self, document: object) -> None:
        """Take over the state that an earlier run left; what makes no sense is passed over."""
        match document:
            case {"told": list() as keys}:
                self.is_restored = True
                for key in keys[-MAX_TOLD:]:
                    if isinstance(key, str) and _KEY.fullmatch(key):
                        self._keys[key] = None


def delivery_id(event: EventRecord, destination: str, place: Place) -> str | None:
    """The id of a delivery of something that happens once, the same in every run of the node; None for others. It
    differs by destination, and by node: several may tell the same receiver of one block."""
    if event.kind not in ONCE:
        return None
    parts = (place.node, place.network, destination, _key(event))
    return sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def with_told(state: Mapping[str, Any], told: ToldOnce) -> dict[str, Any]:
    """The state for the file: the grouper's, and the list."""
    return {**state, "told": told.to_json()}


def _key(event: EventRecord) -> str:
    return f"{event.kind.value}:{event.subject}"
