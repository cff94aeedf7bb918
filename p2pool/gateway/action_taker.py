"""Carries out what other processes of the pool announce, and answers how many connections it reached."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnRarely
from p2pool.broker.connection import BrokerError, leave_to_broker
from p2pool.broker.operations import Entry, append, get
from p2pool.broker.shared import FreshReader
from p2pool.gateway.action_messages import (
    ActionMessage,
    ActionResult,
    Ban,
    Limit,
    MaskState,
    Reconnect,
    SharedAction,
    ShowMessage,
    Unban,
    VersionMask,
)
from p2pool.gateway.messages import pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.shared_bans import SharedBans

_log = Logger(namespace="p2pool.gateway")

ACTION_AGE: Final = 30.0
"""Seconds after which an action that was not read is not carried out any more."""
KEPT_RESULTS: Final = 1_000
"""Results of actions that the broker keeps."""
MASK_PERIOD: Final = 30.0
"""Seconds between two readings of the version mask, which a gateway may have missed."""


class Operations(Protocol):
    """What is done to the miners of this process: see `stratum.operator.Operator`."""

    def show_message(self, text: str, worker: str | None = None) -> int: ...

    def reconnect(self, *, host: str = "", port: int = 0, wait: int = 0, worker: str | None = None) -> int: ...

    def set_version_mask(self, mask: int) -> int: ...


class ActionTaker:
    """Follows the actions of others. Without `operations`, as in the node, takes over bans only, and answers
    nothing: the node is where actions come from."""

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        name: str,
        bans: SharedBans,
        operations: Operations | None = None,
    ) -> None:
        self._environment = environment
        self._broker = broker
        self._names = names
        self._name = name
        self._bans = bans
        self._operations = operations
        self._mask: int | None = None
        """The version mask that was set last because the node said so."""
        self._unreadable = WarnRarely(environment.monotonic)
        self._timer: Timer | None = None

    def start(self) -> None:
        """Carry out actions from now on, and take over the version mask."""
        self._broker.follow(FreshReader(self._names.actions, age=ACTION_AGE), self.take_entries)
        if self._operations is not None:
            self._timer = Timer(
                self._environment.reactor, MASK_PERIOD, self.read_mask, name="read the version mask"
            )

    def stop(self) -> None:
        """Read the version mask no longer."""
        if self._timer is not None:
            self._timer.stop()

    def take_entries(self, entries: list[Entry]) -> None:
        """Carry out the actions in entries of the stream; the own ones are done already."""
        for entry in entries:
            try:
                message = parse_message(ActionMessage, entry.data)
            except ParseError as error:
                if self._unreadable.is_due(error):
                    _log.error("cannot carry out an action: {problem}", problem=error)
                continue
            if message.origin != self._name:
                self._take(message)

    def _take(self, message: ActionMessage) -> None:
        try:
            reached = self._carry_out(message.action, message.origin)
        except ValueError as error:
            _log.error("cannot carry out an action of {origin}: {error}", origin=message.origin, error=error)
            return
        if self._operations is not None:
            result = ActionResult(id=message.id, gateway=self._name, connections=reached)
            self._broker.ask(
                append(self._names.action_results, pack_message(result), keep=KEPT_RESULTS)
            ).addErrback(leave_to_broker)

    def _carry_out(self, action: SharedAction, origin: str) -> int:
        """Carry out an action; return how many connections it reached. Raises ValueError."""
        if isinstance(action, Ban):
            return self._bans.take(action, origin)
        if isinstance(action, Limit):
            self._bans.take_limit(action)
            return 0
        if isinstance(action, Unban):
            self._bans.take_lifted(action.host)
            return 0
        operations = self._operations
        if operations is None:
            return 0
        match action:
            case ShowMessage():
                return operations.show_message(action.text, action.worker)
            case Reconnect():
                return operations.reconnect(
                    host=action.host, port=action.port, wait=action.wait, worker=action.worker
                )
            case VersionMask():
                self._mask = action.mask
                return operations.set_version_mask(action.mask)

    async def read_mask(self) -> None:
        """Take over the version mask if the node has set another one than this gateway has."""
        try:
            data = await self._broker.ask(get(self._names.version_mask))
        except BrokerError:
            return
        if data is None or self._operations is None:
            return
        try:
            mask = parse_message(MaskState, data).mask
        except ParseError as error:
            if self._unreadable.is_due(error):
                _log.error("cannot read the version mask: {problem}", problem=error)
            return
        if mask != self._mask:
            self._mask = mask
            self._operations.set_version_mask(mask)
