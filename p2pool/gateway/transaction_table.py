"""Transactions of recent templates in memory, each once, however many templates it is in."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from p2pool.gateway.template_transactions import Listed

MAX_TEMPLATES: Final = 128
"""Templates whose transactions are kept: those of jobs that may still be answered."""
MAX_HELD: Final = 64 * 1024 * 1024
"""Bytes of transactions that are kept; beyond that the oldest templates are forgotten."""


class TransactionTable:
    """Lists of transactions by the key of their template, and the transactions that came so far."""

    def __init__(self, *, max_templates: int = MAX_TEMPLATES, max_held: int = MAX_HELD) -> None:
        self._max_templates = max_templates
        self._max_held = max_held
        self._lists: OrderedDict[bytes, tuple[Listed, ...]] = OrderedDict()
        """Bound: `max_templates`, the oldest first."""
        self._users: dict[bytes, int] = {}
        """How many lists name a transaction. Bound: what the lists name."""
        self._data: dict[bytes, bytes] = {}
        """Bound: as `_users`, and `max_held` bytes unless one template has more."""
        self._complete: set[bytes] = set()
        self.size = 0
        """Bytes of all transactions that are held."""

    def __len__(self) -> int:
        """Return how many templates are known."""
        return len(self._lists)

    def __contains__(self, key: bytes) -> bool:
        """Return whether the list of a template is known."""
        return key in self._lists

    def add_list(self, key: bytes, listed: tuple[Listed, ...]) -> None:
        """Take the list of a template, which is now the newest."""
        if key in self._lists:
            return
        self._lists[key] = listed
        for each in listed:
            self._users[each.hash] = self._users.get(each.hash, 0) + 1
        self._make_room()

    def use(self, key: bytes) -> None:
        """Let a template be forgotten after all others."""
        if key in self._lists:
            self._lists.move_to_end(key)

    def add(self, transaction_hash: bytes, data: bytes) -> None:
        """Take the bytes of a transaction; one that no list names is not kept."""
        if transaction_hash in self._users and transaction_hash not in self._data:
            self._data[transaction_hash] = data
            self.size += len(data)
            self._make_room()

    def missing(self, key: bytes) -> list[Listed] | None:
        """Return which transactions of a template have not come, each once; None if its list has not."""
        listed = self._lists.get(key)
        if listed is None:
            return None
        return list(dict.fromkeys(each for each in listed if each.hash not in self._data))

    def listed(self, key: bytes) -> tuple[Listed, ...]:
        """Return the list of a template whose list has come."""
        return self._lists[key]

    def get(self, key: bytes) -> tuple[bytes, ...] | None:
        """Return all transactions of a template in their order; None if some have not come."""
        listed = self._lists.get(key)
        if listed is None:
            return None
        if key not in self._complete:
            if any(each.hash not in self._data for each in listed):
                return None
            self._complete.add(key)
        return tuple(self._data[each.hash] for each in listed)

    def _make_room(self) -> None:
        """Forget the oldest templates beyond the bounds, never the newest."""
        while len(self._lists) > 1 and (len(self._lists) > self._max_templates or self.size > self._max_held):
            key, listed = self._lists.popitem(last=False)
            self._complete.discard(key)
            for each in listed:
                self._users[each.hash] -= 1
                if not self._users[each.hash]:
                    del self._users[each.hash]
                    self.size -= len(self._data.pop(each.hash, b""))
