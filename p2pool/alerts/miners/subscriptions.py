"""The table of alerts that miners set: who is notified of what, where. Pure; times are in Unix seconds.

A subscription counts from when its destination was confirmed; before that it lasts an hour. It ends when a link in
one of its messages is used, when nothing can be delivered for a week, or when its address has had no worker here
for 90 days.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from p2pool.alerts.miners.destination import MAX_DESTINATION, MinerDestination
from p2pool.alerts.miners.proof import ID_DIGITS
from p2pool.alerts.miners.settings import MinerChannel

MAX_SUBSCRIPTIONS: Final = 2_000
MAX_UNCONFIRMED: Final = 200
"""Of all, those whose destination is not confirmed: they cannot crowd out the others."""
MAX_PER_ADDRESS: Final = 5
MAX_PER_DESTINATION: Final = 20
"""A farm may have an address for each customer."""
MAX_PER_CLIENT: Final = 50
"""Of one client's network: a household, or a farm."""
CONFIRM_TIME: Final = 3600.0
"""Seconds within which a destination must be confirmed."""
ABSENCE: Final = 90 * 86400.0
"""Seconds without a worker of its address after which a subscription ends."""
SEEN_PERIOD: Final = 86400.0
FAILING: Final = 7 * 86400.0
"""Seconds for which no message could be delivered after which a subscription ends."""
_ID = re.compile(f"[0-9a-f]{{{ID_DIGITS}}}")


class MinerEventKind(StrEnum):
    """What a miner can be notified of."""

    SILENT = "silent"
    """A worker fell silent, or is back."""
    REFUSED = "refused"
    """Many submissions of a worker are rejected, or no longer."""
    BLOCK = "block"
    """A block pays the address, or such a block was orphaned."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Alerts about one address to one destination. `client` stands for who asked for them; `confirmed` is None
    until the destination is; `seen` is when the address last had a worker here; `failing` is since when nothing
    could be delivered."""

    id: str
    address: str
    destination: MinerDestination
    events: frozenset[MinerEventKind]
    client: str
    created: float
    confirmed: float | None = None
    seen: float = 0.0
    failing: float | None = None


class TableFull(Exception):
    """There is no room for another subscription; the message says of what there are too many, for people."""


class Subscriptions:
    """All subscriptions. Bounds: MAX_SUBSCRIPTIONS, and those for each address, destination and client."""

    def __init__(self) -> None:
        self._all: dict[str, Subscription] = {}
        self._by_address: dict[str, list[Subscription]] | None = None
        """None if something changed since it was made."""
        self.is_changed = False
        """Whether the file has to be written again."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self._all.values()))

    def get(self, name: str) -> Subscription | None:
        """Return a subscription by its id."""
        return self._all.get(name)

    @property
    def unconfirmed(self) -> int:
        """Return how many are not confirmed."""
        return sum(1 for each in self._all.values() if each.confirmed is None)

    def by_address(self) -> Mapping[str, list[Subscription]]:
        """Return the confirmed subscriptions by address."""
        if self._by_address is None:
            self._by_address = {}
            for each in self._all.values():
                if each.confirmed is not None:
                    self._by_address.setdefault(each.address, []).append(each)
        return self._by_address

    def find(self, address: str, destination: MinerDestination) -> Subscription | None:
        """Return the subscription of an address to a destination."""
        return next(
            (each for each in self._all.values() if (each.address, each.destination) == (address, destination)),
            None,
        )

    def add(self, new: Subscription) -> None:
        """Add a subscription. Raises TableFull."""
        counts = Counter(
            kind
            for each in self._all.values()
            for kind, same in (
                ("address", each.address == new.address),
                ("destination", each.destination == new.destination),
                ("client", each.client == new.client),
                ("unconfirmed", each.confirmed is None and new.confirmed is None),
            )
            if same
        )
        for kind, most, words in (
            ("address", MAX_PER_ADDRESS, "this address has {most} alerts already"),
            ("destination", MAX_PER_DESTINATION, "this destination has {most} alerts already"),
            ("client", MAX_PER_CLIENT, "{most} alerts were set from your network already"),
            ("unconfirmed", MAX_UNCONFIRMED, "too many alerts wait to be confirmed; try again in an hour"),
        ):
            if counts[kind] >= most:
                raise TableFull(words.format(most=most))
        if len(self._all) >= MAX_SUBSCRIPTIONS:
            raise TableFull("this node has as many alerts as it can keep")
        self.put(new)

    def put(self, changed: Subscription) -> None:
        """Replace a subscription of the same id, or add one."""
        self._all[changed.id] = changed
        self._by_address, self.is_changed = None, True

    def remove(self, name: str) -> Subscription | None:
        """Remove a subscription; return it."""
        self._by_address, self.is_changed = None, True
        return self._all.pop(name, None)

    def saw_worker(self, each: Subscription, now: float) -> None:
        """Note that the address of a subscription has a worker; once a day, since each note is written to the
        file."""
        if not 0 <= now - each.seen < SEEN_PERIOD:
            self.put(replace(each, seen=now))

    def expire(self, now: float) -> list[Subscription]:
        """Remove the subscriptions that have ended by `now`; return them."""
        ended = [each for each in self._all.values() if _has_ended(each, now)]
        for each in ended:
            self.remove(each.id)
        return ended

    # --- for the file ------------------------------------------------------------------------------------

    def to_json(self) -> list[dict[str, Any]]:
        """Return all subscriptions for the file."""
        return [
            {
                "id": each.id,
                "address": each.address,
                "channel": each.destination.channel.value,
                "destination": each.destination.text,
                "shown": each.destination.shown,
                "events": sorted(each.events),
                "client": each.client,
                "created": each.created,
                "confirmed": each.confirmed,
                "seen": each.seen,
                "failing": each.failing,
            }
            for each in self._all.values()
        ]

    def restore(self, rows: object, channels: frozenset[MinerChannel]) -> int:
        """Load what `to_json` returned; return how many rows were left out: malformed ones, and those of channels
        that the operator no longer allows."""
        given = rows if isinstance(rows, list) else []
        for row in given[:MAX_SUBSCRIPTIONS]:
            found = _read(row)
            if found is not None and found.destination.channel in channels:
                self._all[found.id] = found
        return len(given) - len(self._all)


def _has_ended(each: Subscription, now: float) -> bool:
    if each.confirmed is None:
        return not -CONFIRM_TIME < now - each.created < CONFIRM_TIME
    return now - each.seen >= ABSENCE or (each.failing is not None and now - each.failing >= FAILING)


def _read(row: object) -> Subscription | None:
    match row:
        case {
            "id": str(name),
            "address": str(address),
            "channel": str(channel),
            "destination": str(destination),
            "shown": str(shown),
            "events": list(events),
            "client": str(client),
            "created": int() | float() as created,
            "confirmed": int() | float() | None as confirmed,
            "seen": int() | float() as seen,
            "failing": int() | float() | None as failing,
        } if _ID.fullmatch(name) and len(destination) <= MAX_DESTINATION and len(address) <= 64:
            channels: Mapping[str, MinerChannel] = {each.value: each for each in MinerChannel}
            if channel not in channels:
                return None
            return Subscription(
                id=name,
                address=address,
                destination=MinerDestination(channels[channel], destination, shown[:MAX_DESTINATION]),
                events=frozenset(each for each in MinerEventKind if each.value in events),
                client=client[:ID_DIGITS],
                created=float(created),
                confirmed=None if confirmed is None else float(confirmed),
                seen=float(seen),
                failing=None if failing is None else float(failing),
            )
    return None
