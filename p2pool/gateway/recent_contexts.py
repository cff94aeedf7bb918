"""The work of the last minutes, by the numbers that it has in all gateways."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from p2pool.jobs.context import WorkContext

MAX_CONTEXTS: Final = 64
"""Works remembered: about a quarter of an hour of share-chain tips."""

ContextId = tuple[int, int]
"""The node's run and the number of the work in it: `WorkMessage.run`, `WorkMessage.number`."""


class RecentContexts:
    """Contexts by id, and back. Bound: MAX_CONTEXTS."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[ContextId, WorkContext] = OrderedDict()
        self._ids: dict[int, ContextId] = {}
        """By the identity of a context: it is too large to be compared. Those of `_contexts` only."""
        self._newest: ContextId | None = None

    def __len__(self) -> int:
        return len(self._contexts)

    def keep(self, context_id: ContextId, context: WorkContext) -> None:
        """Remember the newest work."""
        former = self._contexts.pop(context_id, None)
        if former is not None:
            del self._ids[id(former)]
        self._contexts[context_id] = context
        self._ids[id(context)] = self._newest = context_id
        if len(self._contexts) > MAX_CONTEXTS:
            _, oldest = self._contexts.popitem(last=False)
            del self._ids[id(oldest)]

    def get(self, context_id: ContextId) -> WorkContext | None:
        """Return the context with an id; None if it is not known."""
        return self._contexts.get(context_id)

    def id_of(self, context: WorkContext) -> ContextId | None:
        """Return the id of a context; None if it is not known any more."""
        return self._ids.get(id(context))

    def is_newest(self, context_id: ContextId | None) -> bool:
        """Return whether an id is that of the newest work."""
        return context_id is not None and context_id == self._newest
