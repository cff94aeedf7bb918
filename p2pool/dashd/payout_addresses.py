"""The node's own payout addresses: which are in use, when a new one is due, and their form on disk. Pure.

Only one thing is ever paid to them: the operator's fee. A miner's job pays the address that is its username (names
that are not addresses are refused), the developers' part has its own address in the share-chain format. So a node
without an address withholds work from nobody: until there is one, what would have been the fee goes to the miner.

`Node` asks `key_hash` for a job that is to pay the operator, `payout_service` keeps the addresses, pages show
them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from p2pool.base.errors import ParseError
from p2pool.base.text import excerpt
from p2pool.dash.address import payout_hash160
from p2pool.networks.parameters import Network

MAX_ADDRESSES = 100
"""In use at a time: each is an output of its own in the pool's blocks."""
_MAX_TEXT = 100
"""Characters; base58 takes its time for long texts, and an address has 34."""


class PayoutMode(Enum):
    """Where the node's own addresses come from: GIVEN by the operator; one of dashd's WALLET, kept for good; or
    DYNAMIC: several of the wallet, replaced one after another."""

    GIVEN = "given"
    WALLET = "wallet"
    DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """An address and its 20 bytes of key hash. `taken` is when the wallet gave it (Unix seconds), None if that
    does not matter."""

    address: str
    key_hash: bytes
    taken: float | None = None


def own_address(text: object, network: Network, taken: float | None = None) -> OwnAddress:
    """Return the address in an answer or a file. Raises ParseError for what is not text, or cannot be paid by a
    share on this network (AddressError says why)."""
    if not isinstance(text, str):
        raise ParseError("it is not text")
    if len(text) > _MAX_TEXT:
        raise ParseError(f"it has {len(text)} characters")
    return OwnAddress(text, payout_hash160(text, network.parent.addresses, network.name), taken)


class PayoutAddresses:
    """At most `wanted` addresses, the oldest first. With a `lifetime` (seconds) a new one is due that long after
    the newest was taken, and replaces the oldest."""

    def __init__(
        self,
        rng: random.Random,
        known: Iterable[OwnAddress] = (),
        *,
        wanted: int = 1,
        lifetime: float | None = None,
    ) -> None:
        self.addresses: tuple[OwnAddress, ...] = tuple(known)
        """Bound: `wanted`."""
        self.problem: str | None = None
        """Why there is none, or no new one, if the operator has to act; else None."""
        self.wanted = wanted
        self._rng = rng
        self._lifetime = lifetime

    def key_hash(self) -> bytes | None:
        """Return the 20 bytes that the next job for the operator pays: a random address's; None without any."""
        addresses = self.addresses
        if not addresses:
            return None
        return addresses[self._rng.randrange(len(addresses)) if len(addresses) > 1 else 0].key_hash

    @property
    def newest(self) -> OwnAddress | None:
        """Return the address that came last."""
        return self.addresses[-1] if self.addresses else None

    def seconds_until_due(self, now: float) -> float | None:
        """Return when the next address should be taken: 0 for at once, None for never."""
        if len(self.addresses) < self.wanted:
            return 0.0
        if self._lifetime is None:
            return None
        if any((own.taken or 0.0) > now for own in self.addresses):
            self.restore(self.addresses, now)  # the clock was set back: the lifetime begins anew
        return max(0.0, (self.addresses[-1].taken or 0.0) + self._lifetime - now)

    def take(self, new: OwnAddress) -> None:
        """Add a new address; the oldest is dropped if there would be too many. Raises ParseError if it is not
        new."""
        if any(own.key_hash == new.key_hash for own in self.addresses):
            raise ParseError("it is in use already")
        self.addresses = (*self.addresses, new)[-self.wanted :]

    def restore(self, known: Iterable[OwnAddress], now: float) -> None:
        """Take over addresses of an earlier run: the newest, each once; none is from the future."""
        by_age = sorted(known, key=lambda own: own.taken or 0.0)
        once = {own.key_hash: own for own in by_age}
        self.addresses = tuple(
            own if own.taken is None else replace(own, taken=min(own.taken, now)) for own in once.values()
        )[-self.wanted :]


# --- on disk -------------------------------------------------------------------------------------------------


def render_cached(own: OwnAddress) -> bytes:
    """Return the file of the WALLET mode: one line, as legacy p2pool-dash has it."""
    return own.address.encode() + b"\n"


def parse_cached(data: bytes, network: Network) -> OwnAddress:
    """Return the address in a file that `render_cached` made. Raises ParseError."""
    try:
        return own_address(data.decode("ascii").strip(), network)
    except UnicodeDecodeError:
        raise ParseError("it is not a line with an address") from None


def render_dynamic(addresses: Iterable[OwnAddress]) -> dict[str, Any]:
    """Return the document of the DYNAMIC mode: a list of {address, taken}, the oldest first."""
    return {"addresses": [{"address": own.address, "taken": own.taken} for own in addresses]}


def parse_dynamic(document: object, network: Network) -> tuple[list[OwnAddress], list[str]]:
    """Return the usable rows of such a document, and what is wrong with the others. A bare list is the format
    before versions. Raises ParseError if it holds no list."""
    rows = document.get("addresses") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise ParseError("it holds no list of addresses")
    usable: list[OwnAddress] = []
    refused: list[str] = []
    for row in rows:
        try:
            usable.append(_parse_row(row, network))
        except ParseError as error:
            refused.append(f"{excerpt(row)}: {error}")
    return usable, refused


def _parse_row(row: Any, network: Network) -> OwnAddress:
    if not isinstance(row, dict):
        raise ParseError("it is not an object")
    taken = row.get("taken")
    if isinstance(taken, bool) or not isinstance(taken, int | float) or not math.isfinite(taken) or taken < 0:
        raise ParseError("it does not say when it was taken")
    return own_address(row.get("address"), network, float(taken))
