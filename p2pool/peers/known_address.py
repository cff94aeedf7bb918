"""What is known of one address of the address book, and how that is written to the file and read back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from p2pool.base.hosts import parse_address
from p2pool.peers.addresses import dial_group
from p2pool.peers.figures import REMEMBERED, FoundBy, NodeOrigin
from p2pool.peers.messages import PeerAddress

Place = tuple[int, int]
"""Bucket and slot."""

MONTH: Final = 30 * 86400.0
"""Seconds after which an address that never answered, and of which nobody heard, is dead."""
WEEK: Final = 7 * 86400.0
TRIES: Final = 3
"""Failures after which an address that never answered is dead."""
TRIES_OF_TRIED: Final = 10
"""Failures after which one is dead that did not answer for a week."""
_JUST_TRIED = 60.0
_LATELY = 600.0
_LATELY_APPEAL = 0.01
_FAILURE_APPEAL = 0.66
_CLOCK_ERROR = 600.0
_ORIGINS = {origin.value: origin for origin in NodeOrigin}
_MAX_NAME = 260
"""Characters of a name with a port: DNS has 253."""
_MAX_SOURCE = 64
_MAX_ROWS = 20_000
"""Earlier versions kept 10,000."""
_TRIED = ""
"""Written as the sender of tried addresses: earlier versions write it as well, and understand it."""


@dataclass(slots=True, eq=False)
class KnownAddress:
    """An address of the book. Times are Unix seconds, 0 for never; `seen` times may be what another node says,
    and decide nothing but whether an address is too old."""

    address: PeerAddress
    group: str
    """The neighbourhood, see `addresses.dial_group`."""
    first_seen: float
    last_seen: float
    found_by: FoundBy = REMEMBERED
    last_try: float = 0.0
    last_success: float = 0.0
    failures: int = 0
    """Since the last success."""
    tried: Place | None = None
    """Its slot among the tried ones."""
    places: dict[str, Place] = field(default_factory=dict)
    """Its slots among the new ones, by the neighbourhood of the sender."""

    @property
    def key(self) -> tuple[str, int]:
        """Return host and port."""
        return self.address.host, self.address.port

    def is_dead(self, now: float) -> bool:
        """Return whether it may be replaced, and is not worth passing on."""
        if 0 <= now - self.last_try < _JUST_TRIED:
            return False
        if self.last_seen > now + _CLOCK_ERROR:
            return True
        if not self.last_success:
            return self.failures >= TRIES or now - self.last_seen > MONTH
        return self.failures >= TRIES_OF_TRIED and now - self.last_success > WEEK

    def appeal(self, now: float) -> float:
        """Return the probability with which it is dialled when it is drawn: what just failed can wait."""
        lately = _LATELY_APPEAL if 0 <= now - self.last_try < _LATELY else 1.0
        return float(lately * _FAILURE_APPEAL ** min(self.failures, 8))

    def to_json(self) -> list[object]:
        """Return it as it is in the file; earlier versions read the first eight fields."""
        source = _TRIED if self.tried is not None else next(iter(self.places), self.group)
        return [
            *(*self.key, self.address.services, self.first_seen, self.last_seen, source),
            *(self.found_by.origin.value, self.found_by.name, self.last_try, self.last_success, self.failures),
        ]


class KeptAddress(NamedTuple):
    """An address that an earlier run kept; `source` is the neighbourhood of the peer that sent it, None if it
    was a tried one."""

    known: KnownAddress
    source: str | None


def read_addresses(rows: object) -> list[KeptAddress]:
    """Return the addresses that this or an earlier version wrote, at most _MAX_ROWS; malformed ones are skipped.
    A row takes tens of microseconds: called in a thread."""
    read = map(_read_row, rows[:_MAX_ROWS] if isinstance(rows, list) else ())
    return [kept for kept in read if kept is not None]


def _read_row(row: object) -> KeptAddress | None:
    match row:
        case [str(host), int(port), int(services), int() | float() as first, int() | float() as last, *rest]:
            source = rest[0] if rest and isinstance(rest[0], str) else _TRIED
            fits = 0 < port < 65536 and 0 <= services < 2**64 and len(source) <= _MAX_SOURCE
            if not fits or not 0 <= first <= last < 2**63 or parse_address(host) is None:
                return None
            known = KnownAddress(
                PeerAddress(host, port, services),
                dial_group(host, port),
                *(float(first), float(last)),
                found_by=_read_found_by(rest[1:]),
            )
            if source == _TRIED:
                known.last_success = float(last)
            _read_history(known, rest[3:])
            return KeptAddress(known, None if source == _TRIED else source)
    return None


def _read_history(known: KnownAddress, fields: Sequence[object]) -> None:
    match fields:
        case [int() | float() as tried, int() | float() as success, int(failures), *_]:
            if 0 <= tried < 2**63 and 0 <= success < 2**63 and 0 <= failures < 2**31:
                known.last_try, known.last_success, known.failures = float(tried), float(success), failures


def _read_found_by(fields: Sequence[object]) -> FoundBy:
    """Read the origin in a file that `to_json`, an earlier version or anything else wrote."""
    match fields:
        case [str(word), str(name), *_] if word in _ORIGINS and len(name) <= _MAX_NAME and name.isprintable():
            return FoundBy(_ORIGINS[word], name)
    return REMEMBERED
