"""Where other nodes listen: the addresses that others sent, and those that answered. Pure.

Whoever sends addresses wants something. So the book has two tables of buckets with a few slots each, as Bitcoin
Core's address manager has. An address that was only heard of is in the table of new ones: a secret key, its own
neighbourhood and that of the peer which sent it choose the bucket, so the peers of one neighbourhood reach a few
buckets only, and cannot know which. One that answered this node is in the table of tried ones, in a bucket that
the key and its own neighbourhood choose. Draws give each sender's neighbourhood, or each neighbourhood of tried
addresses, the same chance, however many addresses it has. See docs/design/peers.md and ADR 17.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import chain, islice
from typing import Final, TypeVar

from p2pool.base.bounded import BoundedDict
from p2pool.peers.addresses import dial_group, may_be_told
from p2pool.peers.figures import REMEMBERED, FoundBy, KnownNode, NodeOrigin
from p2pool.peers.known_address import KeptAddress, KnownAddress, Place
from p2pool.peers.messages import PeerAddress, SeenAddress

T = TypeVar("T")
Key = tuple[str, int]
"""Host and port."""

NEW_BUCKETS: Final = 256
TRIED_BUCKETS: Final = 64
SLOTS: Final = 16
"""Slots of a bucket."""
MAX_NEW: Final = NEW_BUCKETS * SLOTS
MAX_TRIED: Final = TRIED_BUCKETS * SLOTS
MAX_ADDRESSES: Final = MAX_NEW + MAX_TRIED
"""About 7 MB: a hundred times the pool."""
BUCKETS_OF_SOURCE: Final = 8
"""Buckets of new addresses that the peers of one neighbourhood reach."""
BUCKETS_OF_GROUP: Final = 2
"""Buckets of tried addresses that one neighbourhood reaches."""
MAX_PLACES: Final = 4
"""Slots that one new address can have, each by another sender."""
MAX_CONTESTS: Final = 16
KEY_SIZE: Final = 16
"""Bytes of the secret key."""
TRIED_PART: Final = 0.9
"""How often a tried address is drawn before a new one: new ones become tried when they are explored."""
MORE_DRAWN: Final = 500
NAMED: Final = "bootstrap"
"""The sender of addresses that bootstrap names and lists gave, all together."""
NEWS_AFTER: Final = 600.0
"""Seconds: that a node was seen again is news only if it was not heard of for so long. Addresses that are no
news are not passed on: in a small network they would be sent in circles, several a second at each node."""
RECENT: Final = 4 * 3600.0
"""Seconds for which a tried address that answered keeps its slot without a test."""
_NAMED_BY_OPERATOR: Final = (NodeOrigin.GIVEN, NodeOrigin.BOOTSTRAP, NodeOrigin.FILE, NodeOrigin.BUILT_IN)


class AddressBook:
    """Places where nodes listen. Times are Unix seconds.

    Bound: MAX_NEW slots for new addresses, MAX_TRIED for tried ones. Of a full bucket only one slot is in
    question for an address, and the key chooses which. What is there stays unless it is dead, or its sender has
    more of this bucket than the sender of the other one. A tried address that is not dead is tested before
    another one takes its slot, see `contested`.
    """

    def __init__(self, chance: random.Random, key: bytes = b"") -> None:
        self.key = key or chance.randbytes(KEY_SIZE)
        """Secret: whoever knows it can choose addresses that push out others."""
        self._chance = chance
        self._known: dict[Key, KnownAddress] = {}
        self._new: dict[Place, Key] = {}
        self._tried: dict[Place, Key] = {}
        self._sources: dict[str, dict[Key, None]] = {}
        """The new addresses of each sender."""
        self._groups: dict[str, dict[Key, None]] = {}
        """The tried addresses of each neighbourhood."""
        self._contests: BoundedDict[Place, Key] = BoundedDict(MAX_CONTESTS)
        """Slots of tried addresses that have to be tested, and which address gets the slot if the test fails."""

    def __len__(self) -> int:
        return len(self._known)

    @property
    def tried_count(self) -> int:
        """Return how many addresses answered this node, and are in the table of those."""
        return len(self._tried)

    # --- what is heard and what happens ------------------------------------------------------------------

    def add(
        self, address: PeerAddress, seen: float, *, now: float, source: str, found_by: FoundBy = REMEMBERED
    ) -> bool:
        """Take an address at which a node is said to have been seen. `source` is the neighbourhood of the peer
        that says so. How a node became known stays what it was first, unless the operator named it. Return
        whether that is news: see NEWS_AFTER. An address for which there is no room is none."""
        seen = min(seen, now)
        known = self._known.get((address.host, address.port))
        if known is None:
            known = self._make(address, seen, found_by)
            return self._place_new(known, source, now)
        is_news = seen >= known.last_seen + NEWS_AFTER
        known.address = address
        known.last_seen = max(known.last_seen, seen)
        self._learn_origin(known, found_by)
        if known.tried is None and source not in known.places and len(known.places) < MAX_PLACES:
            self._place_new(known, source, now)
        return is_news

    def answered(self, address: PeerAddress, now: float, *, found_by: FoundBy = REMEMBERED) -> None:
        """Take note that a node was reached at an address, and introduced itself."""
        known = self._known.get((address.host, address.port)) or self._make(address, now, found_by)
        known.address = address
        known.last_seen = max(known.last_seen, now)
        known.last_try = known.last_success = now
        known.failures = 0
        self._learn_origin(known, found_by)
        if known.tried is not None:
            self._contests.pop(known.tried, None)
            return
        place = self._tried_place(known)
        occupant = self._known.get(self._tried.get(place, ("", 0)))
        if occupant is not None and not occupant.is_dead(now):
            if not 0 <= now - occupant.last_success < RECENT:
                self._contests[place] = known.key
            if not known.places:
                self._place_new(known, known.group, now)
            return
        if occupant is not None:
            self._leave_tried(occupant, now)
        self._enter_tried(known, place)

    def failed(self, host: str, port: int, now: float, *, counts: bool) -> None:
        """Take note that nobody was reached at an address; it `counts` unless this node itself may be
        offline."""
        known = self._known.get((host, port))
        if known is None:
            return
        known.last_try = now
        if not counts:
            return
        known.failures += 1
        place = known.tried
        if place is None:
            return
        challenger = self._known.get(self._contests.pop(place, ("", 0)))
        if challenger is not None and challenger.tried is None:
            self._leave_tried(known, now)
            self._enter_tried(challenger, place)

    def contested(self) -> list[PeerAddress]:
        """Return the tried addresses that are to be tested, since another one needs the slot: `answered` and
        `failed` decide. At most MAX_CONTESTS."""
        return [self._known[self._tried[place]].address for place in self._contests if place in self._tried]

    def forget(self, host: str, port: int) -> None:
        """Forget an address, if it is known."""
        known = self._known.get((host, port))
        if known is None:
            return
        if known.tried is not None:
            self._remove_tried(known)
        for source in list(known.places):
            self._remove_new(known, source)
        self._known.pop((host, port), None)

    # --- draws -------------------------------------------------------------------------------------------

    def draw(self, now: float, *, new_first: bool | None = None) -> Iterator[PeerAddress]:
        """Yield addresses in the order in which they are to be dialled: at first one of each neighbourhood,
        those that failed lately rarely; then all. Some come twice. Tried ones come first, or else new ones; if
        `new_first` is None, chance decides by TRIED_PART."""
        if new_first is None:
            new_first = self._chance.random() >= TRIED_PART
        tables = (self._sources, self._groups) if new_first else (self._groups, self._sources)
        for table in tables:
            for members in self._shuffled(list(table.values())):
                known = self._known[self._chance.choice(list(members))]
                if self._chance.random() < known.appeal(now):
                    yield known.address
        for slots in (self._new, self._tried) if new_first else (self._tried, self._new):
            for key in islice(self._shuffled(list(slots.values())), MORE_DRAWN):
                yield self._known[key].address

    def sample(self, count: int, now: float, *, to: str) -> list[SeenAddress]:
        """Return up to `count` random addresses that are not dead, for a node at the address `to`: half of them
        tried ones, as far as there are so many."""
        tried, new = self._fit(self._tried, now, to), self._fit(self._new, now, to)
        chosen = dict.fromkeys(islice(tried, count // 2))
        for known in chain(new, tried):
            if len(chosen) >= count:
                break
            chosen[known] = None
        return [SeenAddress(int(known.last_seen), known.address) for known in chosen]

    def _fit(self, slots: dict[Place, Key], now: float, to: str) -> Iterator[KnownAddress]:
        for key in self._shuffled(list(slots.values())):
            known = self._known[key]
            if not known.is_dead(now) and may_be_told(known.address.host, to):
                yield known

    def _shuffled(self, items: list[T]) -> Iterator[T]:
        """Yield the items in random order, and take them out: usually the first few are enough."""
        while items:
            number = self._chance.randrange(len(items))
            items[number], items[-1] = items[-1], items[number]
            yield items.pop()

    # --- slots -------------------------------------------------------------------------------------------

    def secret_number(self, *parts: str | int) -> int:
        """Return 64 bits that nobody can foresee without the key."""
        text = "\0".join(map(str, parts)).encode()
        return int.from_bytes(blake2b(text, key=self.key, digest_size=8).digest(), "little")

    def _new_place(self, known: KnownAddress, source: str) -> Place:
        share = self.secret_number("new", source, known.group) % BUCKETS_OF_SOURCE
        bucket = self.secret_number("new bucket", source, share) % NEW_BUCKETS
        return bucket, self.secret_number("new slot", bucket, *known.key) % SLOTS

    def _tried_place(self, known: KnownAddress) -> Place:
        share = self.secret_number("tried", *known.key) % BUCKETS_OF_GROUP
        bucket = self.secret_number("tried bucket", known.group, share) % TRIED_BUCKETS
        return bucket, self.secret_number("tried slot", bucket, *known.key) % SLOTS

    @staticmethod
    def _make(address: PeerAddress, seen: float, found_by: FoundBy) -> KnownAddress:
        return KnownAddress(address, dial_group(address.host, address.port), seen, seen, found_by)

    @staticmethod
    def _learn_origin(known: KnownAddress, found_by: FoundBy) -> None:
        named, known_as = found_by.origin in _NAMED_BY_OPERATOR, known.found_by.origin
        if known_as is NodeOrigin.REMEMBERED or (named and known_as not in _NAMED_BY_OPERATOR):
            known.found_by = found_by

    def _place_new(self, known: KnownAddress, source: str, now: float) -> bool:
        """Give a new address a slot that `source` may choose; return whether it has one."""
        place = self._new_place(known, source)
        holder = self._new.get(place)
        if holder == known.key:
            return True
        if holder is not None:
            occupant = self._known[holder]
            theirs = next(each for each, at in occupant.places.items() if at == place)
            if not self._gives_way(occupant, theirs, known=known, source=source, now=now):
                return False
            self._remove_new(occupant, theirs)
        self._known[known.key] = known
        self._new[place] = known.key
        known.places[source] = place
        self._sources.setdefault(source, {})[known.key] = None
        return True

    def _gives_way(
        self, occupant: KnownAddress, theirs: str, *, known: KnownAddress, source: str, now: float
    ) -> bool:
        """Return whether an address, which `theirs` sent, gives its slot to one that `source` sent."""
        if occupant.is_dead(now) or known.is_dead(now):
            return occupant.is_dead(now)
        if len(occupant.places) > 1 and not known.places:
            return True
        if occupant.last_success or theirs == source:
            return False
        bucket = occupant.places[theirs][0]
        held = [0, 0]
        """Slots of the bucket that each of the two senders has."""
        for slot in range(SLOTS):
            key = self._new.get((bucket, slot))
            if key is not None:
                places = self._known[key].places
                for number, sender in enumerate((theirs, source)):
                    held[number] += places.get(sender) == (bucket, slot)
        return held[0] > held[1]

    def _remove_new(self, known: KnownAddress, source: str) -> None:
        """Take a slot from a new address, which is forgotten if that was its last one."""
        del self._new[known.places.pop(source)]
        _discard(self._sources, source, known.key)
        if not known.places and known.tried is None:
            self._known.pop(known.key, None)

    def _enter_tried(self, known: KnownAddress, place: Place) -> None:
        known.tried = place
        self._known[known.key] = known
        self._tried[place] = known.key
        self._groups.setdefault(known.group, {})[known.key] = None
        for source in list(known.places):
            self._remove_new(known, source)

    def _remove_tried(self, known: KnownAddress) -> None:
        if known.tried is not None:
            del self._tried[known.tried]
            self._contests.pop(known.tried, None)
            _discard(self._groups, known.group, known.key)
            known.tried = None

    def _leave_tried(self, known: KnownAddress, now: float) -> None:
        """Make a tried address a new one; it is forgotten if there is no room."""
        self._remove_tried(known)
        if not self._place_new(known, known.group, now):
            self._known.pop(known.key, None)

    # --- what is shown and kept --------------------------------------------------------------------------

    def found_by(self, host: str, port: int) -> FoundBy | None:
        """Return how a node became known; None if it is not."""
        known = self._known.get((host, port))
        return None if known is None else known.found_by

    def seen(self) -> Iterator[KnownNode]:
        """Yield all nodes, in no order."""
        for (host, port), known in self._known.items():
            yield KnownNode(
                host,
                port,
                known.first_seen,
                known.last_seen,
                known.found_by,
                known.group,
                known.tried is not None,
                tuple(known.places),
            )

    def to_json(self) -> list[list[object]]:
        """Return the addresses as they are in the file, see `known_address.read_addresses`."""
        return [known.to_json() for known in self._known.values()]

    def load(self, kept: Iterable[KeptAddress], now: float) -> None:
        """Take what an earlier run kept. What has no room is forgotten."""
        for known, source in kept:
            if known.key in self._known:
                continue
            place = self._tried_place(known)
            if source is None and place not in self._tried:
                self._enter_tried(known, place)
            else:
                self._place_new(known, source or known.group, now)


def _discard(index: dict[str, dict[Key, None]], name: str, key: Key) -> None:
    members = index[name]
    del members[key]
    if not members:
        del index[name]
