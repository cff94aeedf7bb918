"""Keeps on disk what alerts must not lose: what waits for delivery, what is grouped, and what is told once only.

One transaction holds all of it, and one write is under way at a time. `service` says what changed; the file itself
is `outbox_file`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.alerts.channel import Delivery
from p2pool.alerts.outbox import Outbox
from p2pool.alerts.outbox_file import OutboxFile
from p2pool.alerts.rules import Grouper
from p2pool.alerts.told import ToldOnce, with_told

_log = Logger(namespace="p2pool.alerts")


class AlertStore:
    """The file at `path`. `run_in_thread` runs a callable off the reactor, `call_soon` in its next turn."""

    def __init__(
        self,
        path: Path,
        outbox: Outbox,
        grouper: Grouper,
        told: ToldOnce,
        *,
        run_in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self.file = OutboxFile(path)
        self.problem: str | None = None
        """Why what waits is not on disk; None while it is."""
        self.is_loaded = False
        self.is_ending = False
        """Whether the node ends: no write begins by itself any more."""
        self._outbox = outbox
        self._grouper = grouper
        self._told = told
        self._run_in_thread = run_in_thread
        self._call_soon = call_soon
        self._state_changed = False
        self._writing: Deferred[None] | None = None

    async def load(self, now: float) -> None:
        """Take over what an earlier run left. Raises OperatorError if a newer version wrote it."""
        try:
            deliveries, state, damage = await self._run_in_thread(self.file.load)
        except OSError as error:
            self._failed(error)
        else:
            if damage is not None:
                _log.warn("{path} cannot be read: {damage}", path=str(self.file.path), damage=damage)
            self._outbox.restore(deliveries, now)
            self._grouper.restore(state, now)
            self._told.restore(state)
            if self._outbox.waiting:
                _log.info("{count} alerts of the last run are still to be delivered", count=self._outbox.waiting)
        self.is_loaded = True

    def state_changed(self) -> None:
        """Have the groups and the list of what was told written with the next `save`; the outbox knows what
        changed in it."""
        self._state_changed = True

    def save(self) -> None:
        """Begin to write what changed, unless a write is under way: its end begins the next one."""
        if self._writing is not None or not self.is_loaded:
            return
        changes, state_changed = self._outbox.take_changes(), self._state_changed
        if not changes and not state_changed:
            return
        self._state_changed = False
        state = with_told(self._grouper.to_json(), self._told)
        writing = self._run_in_thread(lambda: self.file.save(changes, state))
        self._writing = writing.addCallbacks(lambda _: self._written(), lambda why: self._unwritten(why, changes))
        if self._writing is not None and self._writing.called:
            self._writing = None

    async def save_all(self) -> None:
        """Write what changed; done when this returns."""
        if self._writing is not None:
            await self._writing
        self.save()
        if self._writing is not None:
            await self._writing

    def _written(self) -> None:
        self._writing = None
        self.problem = None
        if not self.is_ending:
            self._call_soon(self.save)

    def _unwritten(self, failure: Failure, changes: dict[str, Delivery | None]) -> None:
        self._writing = None
        self._outbox.give_back(changes)
        self._state_changed = True
        if isinstance(failure.value, OSError):
            self._failed(failure.value)
        elif self.problem is None:  # once: it is tried again each second
            _log.failure("writing {path} failed", failure, path=str(self.file.path))
            self.problem = "internal error, which is in the log"

    def _failed(self, error: OSError) -> None:
        problem = error.strerror or str(error)
        if self.problem is None:
            _log.error(
                "cannot write {path}: {problem}; alerts that are still to be delivered are lost if this node ends",
                path=str(self.file.path),
                problem=problem,
            )
        self.problem = problem
