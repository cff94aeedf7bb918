"""The addresses that others are sent when they ask: a sample for each neighbourhood that asks, so that nobody
can ask until they have the whole book, or see what changes in it. Pure. Called by `hub`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from p2pool.base.bounded import BoundedDict
from p2pool.peers.address_book import AddressBook
from p2pool.peers.addresses import source_group
from p2pool.peers.messages import SeenAddress

SAMPLE_SIZE: Final = 100
SAMPLE_TIME: Final = 3600.0
"""Seconds for which a neighbourhood is sent addresses of the same sample."""
SMALL_SAMPLE_TIME: Final = 60.0
"""Seconds until a new sample if the book had fewer than SAMPLE_SIZE: such a sample hides nothing, and a newcomer
that asks again wants news."""
_NEIGHBOURHOODS: Final = 128


@dataclass(frozen=True, slots=True)
class _Sample:
    until: float
    addresses: list[SeenAddress]


class AddressSamples:
    """Samples of an address book. Bound: those of _NEIGHBOURHOODS; the oldest is forgotten first."""

    def __init__(self, book: AddressBook, chance: random.Random) -> None:
        self._book = book
        self._chance = chance
        self._samples: BoundedDict[str, _Sample] = BoundedDict(_NEIGHBOURHOODS)

    def answer(self, host: str, count: int, *, now: float, unix: float) -> list[SeenAddress]:
        """Return up to `count` addresses for a peer. `now` is a monotonic clock's time, `unix` the same moment
        in Unix seconds."""
        group = source_group(host)
        sample = self._samples.get(group)
        if sample is None or now >= sample.until:
            addresses = self._book.sample(SAMPLE_SIZE, unix, to=host)
            lasts = SAMPLE_TIME if len(addresses) == SAMPLE_SIZE else SMALL_SAMPLE_TIME
            self._samples.pop(group, None)
            sample = self._samples[group] = _Sample(now + lasts, addresses)
        return self._chance.sample(sample.addresses, min(count, len(sample.addresses)))
