"""The node's side of operators' actions: announces them to all gateways, and counts whom they reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnRarely
from p2pool.broker.connection import leave_to_broker
from p2pool.broker.operations import Entry, append, put
from p2pool.broker.shared import FreshReader
from p2pool.gateway.action_messages import (
    KEPT_ACTIONS,
    MAX_TEXT,
    ActionMessage,
    ActionResult,
    MaskState,
    Reconnect,
    SharedAction,
    ShowMessage,
    VersionMask,
)
from p2pool.gateway.action_taker import ACTION_AGE, MASK_PERIOD
from p2pool.gateway.messages import pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.shared_bans import SharedBans

_log = Logger(namespace="p2pool.gateway")

RESULT_TIME: Final = 2.0
"""Seconds within which gateways must answer to be counted as reached."""
MAX_WAITING: Final = 100
"""Actions whose results are waited for; beyond it the oldest is answered with the results that have come."""
MASK_TIME: Final = 86_400.0
"""Seconds for which the broker keeps the version mask after the node last wrote it."""

Reached = dict[str, object]


class _Waiting:
    """An action whose results are waited for."""

    def __init__(self, expected: frozenset[str]) -> None:
        self.expected = expected
        self.results: dict[str, int] = {}
        self.done: Deferred[Reached] = Deferred()
        self.timeout: IDelayedCall | None = None

    @property
    def is_complete(self) -> bool:
        """Return whether all known gateways have answered."""
        return self.expected <= self.results.keys()

    def finish(self) -> None:
        """Answer with the results that have come."""
        if self.timeout is not None and self.timeout.active():
            self.timeout.cancel()
        self.done.callback(
            {
                "gateways": len(self.results),
                "gateways_silent": len(self.expected - self.results.keys()),
                "gateway_connections": sum(self.results.values()),
            }
        )


class ActionSender:
    """Announces actions that the node has carried out itself. `gateways` returns the gateways that are known now,
    `mask` the version mask of the node."""

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        name: str,
        bans: SharedBans,
        gateways: Callable[[], frozenset[str]],
        mask: Callable[[], int],
    ) -> None:
        self._environment = environment
        self._broker = broker
        self._names = names
        self._name = name
        self._bans = bans
        self._gateways = gateways
        self._mask = mask
        self._waiting: BoundedDict[int, _Waiting] = BoundedDict(MAX_WAITING + 1)
        self._unreadable = WarnRarely(environment.monotonic)
        self._timer: Timer | None = None

    def start(self) -> None:
        """Read the results of gateways, and keep the version mask in the broker."""
        self._broker.follow(FreshReader(self._names.action_results, age=ACTION_AGE), self.take_results)
        # Not at once: a process that takes over has the mask of its predecessor only when it has the miners.
        self._timer = Timer(
            self._environment.reactor,
            MASK_PERIOD,
            self._store_mask,
            name="keep the version mask in the broker",
            now=False,
        )

    def stop(self) -> None:
        """Answer all that waits, and do nothing more."""
        if self._timer is not None:
            self._timer.stop()
        for action_id in list(self._waiting):
            self._finish(action_id)

    def carry_out(self, action: str, given: dict[str, Any]) -> Deferred[Reached]:
        """Announce an action of the web's table, which the node itself has done just now, and return how many
        gateways it reached: "gateways" that answered, "gateways_silent" that did not in time."""
        if action == "ban":
            return self._wait(self._bans.last_id)  # the guard's event has announced it
        if action == "unban":
            self._bans.lift(str(given["host"]))
            return self._wait(self._bans.last_id)
        if action == "version-mask":
            self._store_mask()
            return self._announce(VersionMask(mask=given["mask"]))
        given = {name: _sendable(value) for name, value in given.items()}
        return self._announce(ShowMessage(**given) if action == "message" else Reconnect(**given))

    def _announce(self, action: SharedAction) -> Deferred[Reached]:
        message = ActionMessage(id=self._environment.nonce() >> 1, origin=self._name, action=action)
        self._ask(append(self._names.actions, pack_message(message), keep=KEPT_ACTIONS))
        return self._wait(message.id)

    def _store_mask(self) -> None:
        state = MaskState(mask=self._mask())
        self._ask(put(self._names.version_mask, pack_message(state), seconds=MASK_TIME))

    def _ask(self, action: Any) -> None:
        self._broker.ask(action).addErrback(leave_to_broker)

    # --- results -----------------------------------------------------------------------------------------

    def _wait(self, action_id: int) -> Deferred[Reached]:
        waiting = _Waiting(self._gateways())
        if waiting.is_complete or self._broker.problem is not None:
            waiting.finish()
            return waiting.done
        self._waiting[action_id] = waiting
        waiting.timeout = self._environment.reactor.callLater(RESULT_TIME, self._finish, action_id)
        if len(self._waiting) > MAX_WAITING:
            self._finish(next(iter(self._waiting)))
        return waiting.done

    def _finish(self, action_id: int) -> None:
        waiting = self._waiting.pop(action_id, None)
        if waiting is not None:
            waiting.finish()

    def take_results(self, entries: list[Entry]) -> None:
        """Count the results in entries of the stream."""
        for entry in entries:
            try:
                result = parse_message(ActionResult, entry.data)
            except ParseError as error:
                if self._unreadable.is_due(error):
                    _log.error("cannot read a gateway's result: {problem}", problem=error)
                continue
            waiting = self._waiting.get(result.id)
            if waiting is not None and len(waiting.results) < 1_000:
                waiting.results[result.gateway] = result.connections
                if waiting.is_complete:
                    self._finish(result.id)


def _sendable(value: Any) -> Any:
    """Return a text as messages take it: every gateway makes the same of it as the node does of the whole."""
    if not isinstance(value, str):
        return value
    return value.strip().encode("utf-8", "replace").decode()[:MAX_TEXT]
