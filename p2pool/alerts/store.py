"""Keeps on disk what alerts must not lose: the outbox, the groups, and the list of what is notified only once.

One transaction writes all of it, and one write is made at a time. `service` reports what changed; the file itself
is `outbox_file`.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.alerts.channel import OutboxEntry
from p2pool.alerts.notified import NotifiedOnce, with_notified
from p2pool.alerts.outbox import Outbox
from p2pool.alerts.outbox_file import OutboxFile
from p2pool.alerts.rules import Grouper
from p2pool.base.environment import Environment
from p2pool.base.write_problem import WriteProblem

_log = Logger(namespace="p2pool.alerts")


class AlertStore:
    """Loads and saves the state of alerts in the file at `path`."""

    def __init__(
        self,
        environment: Environment,
        path: Path,
        *,
        outbox: Outbox,
        grouper: Grouper,
        notified: NotifiedOnce,
    ) -> None:
        self.file = OutboxFile(path)
        self._write_problem = WriteProblem(path)
        self.problem: str | None = None
        """Why pending alerts are not on disk; None while they are."""
        self.is_loaded = False
        self.is_ending = False
        """Whether the node is stopping: no write begins by itself from then on."""
        self._outbox = outbox
        self._grouper = grouper
        self._notified = notified
        self._environment = environment
        self._state_changed = False
        self._writing: Deferred[None] | None = None

    async def load(self, now: float) -> None:
        """Load what an earlier run left. Raises OperatorError if a newer version wrote it."""
        try:
            entries, state, corruption = await self._environment.run_in_thread(self.file.load)
        except OSError as error:
            self._failed(error)
        else:
            if corruption is not None:
                _log.warn(
                    "cannot read {path}: {reason}; starting without the alerts in it",
                    path=str(self.file.path),
                    reason=corruption,
                )
            self._outbox.restore(entries, now)
            self._grouper.restore(state, now)
            self._notified.restore(state)
            if self._outbox.waiting:
                _log.info(
                    "{count} alerts of the last run are pending; delivering them now", count=self._outbox.waiting
                )
        self.is_loaded = True

    def state_changed(self) -> None:
        """Write the groups and the list of notified events with the next `save`; the outbox knows its own
        changes."""
        self._state_changed = True

    def save(self) -> None:
        """Begin to write what changed, unless a write is being made: its end begins the next one."""
        if self._writing is not None or not self.is_loaded:
            return
        changes, state_changed = self._outbox.take_changes(), self._state_changed
        if not changes and not state_changed:
            return
        self._state_changed = False
        state = with_notified(self._grouper.to_json(), self._notified)
        writing = self._environment.run_in_thread(lambda: self.file.save(changes, state))
        self._writing = writing.addCallbacks(lambda _: self._written(), lambda why: self._unwritten(why, changes))
        if self._writing is not None and self._writing.called:
            self._writing = None

    async def save_all(self) -> None:
        """Write what changed; done when this returns. Cancelling this ends the wait and no write."""
        await self._end_of_write()
        self.save()
        await self._end_of_write()

    def _end_of_write(self) -> Deferred[None]:
        """Return what fires once no write is under way."""
        ended: Deferred[None] = Deferred()

        def end(result: object) -> None:
            if not ended.called:
                ended.callback(None)

        if self._writing is None:
            end(None)
        else:
            self._writing.addCallback(end)
        return ended

    def _written(self) -> None:
        self._writing = None
        self._write_problem.succeeded()
        self.problem = None
        if not self.is_ending:
            self._environment.call_soon(self.save)

    def _unwritten(self, failure: Failure, changes: dict[str, OutboxEntry | None]) -> None:
        self._writing = None
        self._outbox.give_back(changes)
        self._state_changed = True
        if isinstance(failure.value, OSError):
            self._failed(failure.value)
        elif self.problem is None:  # once: it is retried each second
            _log.failure(
                "internal error: writing {path} failed; retrying every second", failure, path=str(self.file.path)
            )
            self.problem = "internal error; see the log"

    def _failed(self, error: OSError) -> None:
        self._write_problem.failed(error)
        self.problem = self._write_problem.reason
