"""The node as an onion service: published through Tor's control port for as long as the node runs.

The service belongs to the connection with Tor: whatever becomes of this process, Tor withdraws it with that. Its
key is kept, so the address stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from p2pool.base.backoff import Backoff
from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import Environment
from p2pool.base.errors import reason_of
from p2pool.base.files import write_file
from p2pool.base.outgoing import endpoint_to
from p2pool.net.tor_control import KEY_FORM, TorControl, TorError, add_onion, log_in, read_cookie

_log = Logger(namespace="p2pool.onion")

KEY_NAME: Final = "onion-key"
"""The file in the data directory with the key of the onion service: who has it can take the address."""
ANSWER_TIME: Final = 20.0
"""Seconds that Tor has for everything until the service is published."""
WITHDRAW_TIME: Final = 1.0
FIRST_WAIT, LONGEST_WAIT = 2.0, 60.0
"""Seconds between attempts. A process that takes over has to wait until the earlier one withdraws the service."""


@dataclass(frozen=True, slots=True)
class OnionSettings:
    """Where Tor's control port is, and what to publish: the service's ports, each with the local (host, port) that
    it leads to."""

    control: tuple[str, int]
    password: str | None
    ports: Sequence[tuple[int, tuple[str, int]]]


class OnionService:
    """Keeps the service published."""

    def __init__(self, environment: Environment, settings: Callable[[], OnionSettings], directory: Path) -> None:
        self.host: str | None = None
        """NAME.onion while it is published."""
        self.problem: str | None = None
        """Why it is not; None while it is, or before the first attempt has ended."""
        self._environment = replace(environment, proxy=None)
        self._settings = settings
        self._path = directory / KEY_NAME
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self._control: TorControl | None = None
        self._attempt: Deferred[None] | None = None
        self._again: IDelayedCall | None = None
        self._stopping = False

    def start(self) -> None:
        """Publish the service, and again whenever Tor was restarted."""
        self._again = None
        self._attempt = Deferred.fromCoroutine(self._publish())
        deadline = self._environment.reactor.callLater(ANSWER_TIME, self._attempt.cancel)

        def ended(result: object) -> object:
            if deadline.active():
                deadline.cancel()
            return result

        self._attempt.addBoth(ended)
        self._attempt.addErrback(
            lambda failure: _log.failure("internal error while publishing the onion service", failure)
        )

    async def _publish(self) -> None:
        settings = self._settings()
        name = host_and_port(*settings.control)
        try:
            host = await self._add(settings)
        except (ConnectError, TorError, CancelledError, OSError) as error:
            if self._control is not None:
                self._control.close()
            text = f"no answer within {ANSWER_TIME:g} s" if isinstance(error, CancelledError) else str(error)
            self._failed(f"Tor's control port at {name}: {text}")
            return
        self._backoff.reset()
        self.host, self.problem = host, None
        _log.info(
            "onion service published: {host}, ports {ports}",
            host=host,
            ports=", ".join(str(port) for port, _ in settings.ports),
        )

    async def _add(self, settings: OnionSettings) -> str:
        """Publish the service on a new connection; return its host."""
        environment = self._environment
        host, port = settings.control
        key = await environment.run_in_thread(self._read_key)
        endpoint = endpoint_to(environment, host, port, timeout=ANSWER_TIME, named=True)
        self._control = control = cast(TorControl, await endpoint.connect(Factory.forProtocol(TorControl)))
        control.ended.addCallback(lambda _: self._ended(control))
        await log_in(
            control,
            password=settings.password,
            nonce=environment.chance.randbytes(32),
            cookie_of=lambda path: environment.run_in_thread(lambda: read_cookie(path)),
        )
        ports = [(outside, host_and_port(*target)) for outside, target in settings.ports]
        onion, used = await add_onion(control, key, ports)
        if key is None:
            await environment.run_in_thread(lambda: write_file(self._path, used.encode() + b"\n", mode=0o600))
        return onion

    def _read_key(self) -> str | None:
        """Return the key; None if there is none yet. Raises TorError for a file that holds none: it is never
        replaced, since the address would go with it."""
        try:
            key = self._path.read_text("latin-1").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TorError(f"cannot read {self._path}: {reason_of(error)}") from None
        if re.fullmatch(KEY_FORM, key) is None:
            raise TorError(f"{self._path} holds no key: restore it from a backup, or remove it for a new address")
        return key

    def _ended(self, control: TorControl) -> None:
        """Handle the end of the connection, and so of the service."""
        if control is self._control and self.host is not None:
            self.host = None
            self._failed("Tor closed the connection")

    def _failed(self, problem: str) -> None:
        if self._stopping:
            return
        if problem != self.problem:
            _log.warn("the onion service is not published: {problem}; retrying", problem=problem)
        self.problem = problem
        self._again = self._environment.reactor.callLater(self._backoff.next_wait(), self.start)

    async def stop(self) -> None:
        """Withdraw the service, and end the connection with Tor."""
        self._stopping = True
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._attempt is not None and not self._attempt.called:
            self._attempt.cancel()
        host, self.host = self.host, None
        control = self._control
        if control is None:
            return
        if host is not None:
            withdrawing = Deferred.fromCoroutine(control.command(f"DEL_ONION {host.removesuffix('.onion')}"))
            with suppress(TorError, CancelledError):
                await withdrawing.addTimeout(
                    WITHDRAW_TIME, self._environment.reactor, onTimeoutCancel=lambda result, _: None
                )
        control.close()
