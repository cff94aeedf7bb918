"""Runs a node or a gateway in this process: starts it, hands it over to a newer process, stops it."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.app.config import Config
from p2pool.app.data_directory import DataDirectory
from p2pool.app.gateway_children import GatewayChildren
from p2pool.app.handover import HandedOver
from p2pool.app.take_over import FormerEnded, HandoverClient, HandoverServer
from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError, ParseError
from p2pool.base.service_manager import MainProcess, successor_environment
from p2pool.base.supervised import show_serving

WORK_TIME: Final = 30.0
"""Seconds that a process that takes over waits for work, before it leaves the miners to the former one."""
RECOVERY_TIME: Final = 3.0
"""Seconds that a process waits for work before it serves its miners again: they can submit without it."""
_POLL: Final = 0.02
_ATTEMPTS: Final = 100
FLAG: Final = "--take-over"
_log = Logger(namespace="p2pool")


class Program(Protocol):
    """What runs in the process: a node or a gateway."""

    async def prepare(self) -> None:
        """Do what is possible while an earlier process still serves the miners. Raises OperatorError if there
        would be no work for them."""

    async def start(self, handed: HandedOver | None = None) -> None:
        """Open for business; `handed` is what an earlier process left. Raises OperatorError, ParseError."""

    @property
    def has_work(self) -> bool:
        """Return whether there is work for miners."""

    def adopt(self) -> int:
        """Serve the miners of an earlier process. Return how many they are. Raises ParseError."""

    async def hand_over(self, *, whole: bool) -> HandedOver:
        """Stop all services but not the miners' connections, and return these; unless `whole`, they end."""

    async def stop(self) -> None:
        """Stop all services, leaving nothing behind."""

    def apply(self, config: Config) -> None:
        """Use the settings that can be changed while the program runs: see `reload`."""

    async def reload_certificates(self) -> list[str]:
        """Load TLS certificates whose files have changed. Return whose they are."""


class ProgramRunner:
    """The program of this process, from its start to its end. `make` constructs it; `fail` ends the process
    because of an error, `end` without one. `children` are its gateways, which stay when it is handed over; `main`
    tells the service manager. Implements `take_over.Replaceable`."""

    def __init__(
        self,
        config: Config,
        environment: Environment,
        *,
        make: Callable[[], Program],
        fail: Callable[[Failure], None],
        end: Callable[[], None],
        children: GatewayChildren | None = None,
        main: MainProcess | None = None,
    ) -> None:
        """Raise OperatorError if the data directory cannot be used."""
        self._config = config
        self._environment = environment
        self._make = make
        self._fail = fail
        self._end = end
        self._children = children
        self._main = MainProcess(environment) if main is None else main
        self._former = HandoverClient.find(config.datadir, config.network) if config.take_over else None
        """The process that this one replaces."""
        self._directory = None if self._former is not None else DataDirectory(config.datadir)
        self._program: Program | None = None
        self._running = False
        """Whether the program has started, so that it can be handed over."""
        self._successor: threading.Thread | None = None
        """Waits for the end of the process that a signal started."""

    @property
    def running(self) -> Program | None:
        """Return the program while it runs here; None while it starts, and after it was handed over."""
        return self._program if self._running else None

    def construct(self) -> None:
        """Construct the program: after the log and the signals, before the reactor runs. Raises OperatorError."""
        self._program = self._make()

    def start(self) -> None:
        """Start the program, with the miners of the process that it replaces."""
        ensureDeferred(self._start()).addErrback(self._fail)

    async def _start(self) -> None:
        try:
            await self._start_or_take_over()
        finally:
            gc.enable()

    async def _start_or_take_over(self) -> None:
        former = self._former
        handed = None if former is None else await self._take(former)
        if self._config.take_over and handed is None and not self._config.supervised:
            _log.info("--take-over: no process to take over from; starting as usual")
        if former is None or handed is None:
            self._main.started()
            await self._start_program(None)
        else:
            await self._start_program(handed)
            if not await self._wait_for_work(handed, WORK_TIME):
                raise OperatorError(f"--take-over: no work within {WORK_TIME:g} s", 1)
            await self._environment.run_in_daemon_thread(former.confirm)
            self._main.took_over()
            self._adopt(handed)
        self._running = True
        if self._config.supervised:
            show_serving()
        HandoverServer(self._environment.reactor, self._config.datadir, self).start()

    async def _take(self, former: HandoverClient) -> HandedOver | None:
        """Return what the former process hands over, and lock the data directory; None if it ended instead. Raises
        OperatorError."""
        if self._program is not None:
            try:
                await self._program.prepare()
            except OperatorError as error:
                raise OperatorError(f"--take-over: {error}. The running process continues", 1) from None
        # Until the miners are served: looking for garbage among millions of new objects would make them wait.
        gc.disable()
        handed: HandedOver | None = None
        try:
            handed = await self._environment.run_in_daemon_thread(former.take)
        except FormerEnded:
            _log.info("--take-over: the running process closed the connection without handing over")
        # A former process that lives has it still: then this one ends.
        self._directory = DataDirectory(self._config.datadir)
        return handed

    async def _start_program(self, handed: HandedOver | None) -> None:
        if self._program is None:
            raise RuntimeError("the program is not constructed")
        try:
            await self._program.start(handed)
        except ParseError as error:
            raise OperatorError(f"cannot use the state of the former process: {error}", 1) from None

    async def _wait_for_work(self, handed: HandedOver, seconds: float) -> bool:
        """Return whether miners can be served within some seconds; if there are none, here or at gateways, there
        is nothing to wait for."""
        deadline = self._environment.monotonic() + seconds
        waiting = bool(handed.record.miners.connections) or self._children is not None
        while self._program is not None and waiting and not self._program.has_work:
            if self._environment.monotonic() > deadline:
                return False
            await deferLater(self._environment.reactor, _POLL, lambda: None)
        return True

    def _adopt(self, handed: HandedOver) -> None:
        if self._program is not None:
            count = self._program.adopt()
            pause = self._environment.clock() - handed.record.paused
            if self._children is not None and not count:
                _log.info(
                    "took over from the former process, {pause:.2f} s after its services stopped", pause=pause
                )
                return
            _log.info("took over {count} miners, who waited {pause:.2f} s", count=count, pause=pause)

    async def stop(self) -> None:
        """Stop the program, unless another process has it."""
        program, self._program = self._program, None
        self._running = False
        self._main.stopping()
        if program is not None:
            await program.stop()
        elif self._children is not None:
            await self._children.stop()

    def release(self) -> None:
        """Release the data directory."""
        directory, self._directory = self._directory, None
        if directory is not None:
            directory.release()

    # --- replaced by another process ---------------------------------------------------------------------

    def replace(self, name: str) -> None:
        """Start a new process that takes over, because of the signal `name`."""
        if self._config.supervised:
            _log.info("{name} received: ignored; send it to the program that started this one", name=name)
            return
        if not self._running:
            _log.info("{name} received: ignored, since the program has not started", name=name)
            return
        if self._successor is not None and self._successor.is_alive():
            _log.info("{name} received: ignored, since a process that takes over is starting", name=name)
            return
        command = [sys.executable, *(word for word in sys.orig_argv[1:] if word != FLAG), FLAG]
        _log.info("{name} received: starting a process that takes over", name=name)
        self._main.reloading()
        self._successor = threading.Thread(target=self._run, args=(command,), name="successor", daemon=True)
        self._successor.start()

    def _run(self, command: list[str]) -> None:
        """Run the process that is to take over; called in a thread. It returns if this process goes on."""
        _run_and_reap(command)
        self._main.reloaded()

    def hand_over(self, whole: bool, answer: Callable[[HandedOver | None], None]) -> None:
        """Stop all services, and answer with the miners' connections, or with None before the start."""
        program = self._program
        if program is None or not self._running:
            answer(None)
            return
        self._running = False
        self._program = None
        gc.disable()  # until the end of this process, or its recovery

        def failed(failure: Failure) -> None:
            gc.enable()
            answer(None)
            self._fail(failure)

        handed = ensureDeferred(program.hand_over(whole=whole))
        handed.addCallback(self._handed_over, answer)
        handed.addErrback(failed)

    def _handed_over(self, handed: HandedOver, answer: Callable[[HandedOver | None], None]) -> None:
        self.release()
        answer(handed)

    def leave(self, process: int) -> None:
        """End this process: `process` serves the miners now."""
        _log.info("process {process} serves the miners now", process=process)
        self._main.replaced_by(process)
        gc.enable()
        ensureDeferred(self._leave(process)).addErrback(self._fail)

    async def _leave(self, process: int) -> None:
        if self._children is not None:
            await self._children.leave(process)
        self._end()

    def recover(self, handed: HandedOver) -> None:
        """Serve the miners again, since no other process does."""
        recovered = ensureDeferred(self._recover(handed))
        recovered.addErrback(self._fail).addBoth(lambda _: gc.enable())

    async def _recover(self, handed: HandedOver) -> None:
        self._directory = await self._lock_again()
        self._program = self._make()
        await self._start_program(handed)
        await self._wait_for_work(handed, RECOVERY_TIME)
        self._adopt(handed)
        self._running = True

    async def _lock_again(self) -> DataDirectory:
        """Lock the data directory, which a process that has just ended may still hold for a moment."""
        for _ in range(_ATTEMPTS):
            try:
                return DataDirectory(self._config.datadir)
            except OperatorError:
                await deferLater(self._environment.reactor, _POLL, lambda: None)
        return DataDirectory(self._config.datadir)


def _run_and_reap(command: list[str]) -> None:
    """Run a process, and take its exit status when it ends before this one."""
    try:
        status = subprocess.run(command, check=False, env=successor_environment()).returncode
    except OSError as error:
        _log.error("cannot start the process that takes over: {why}", why=error)
        return
    _log.info("the process that was to take over ended with status {status}", status=status)
