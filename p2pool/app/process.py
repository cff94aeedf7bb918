"""The node as a process: reactor, log, data directory, signals and exit status. Called by `cli`.

This module and `cli` are the only ones that import the reactor or read the system's clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.app.config import Config
from p2pool.app.gateway_children import GatewayChildren
from p2pool.app.logs import FORMATS, Logging, start_logging
from p2pool.app.program_runner import Program, ProgramRunner
from p2pool.app.reload import Reloader
from p2pool.app.root import App
from p2pool.app.state_files import check_state_files
from p2pool.app.stopping import ForcedEnd
from p2pool.base.environment import Environment, IReactor, real_environment
from p2pool.base.errors import OperatorError
from p2pool.base.service_manager import MainProcess
from p2pool.base.signals import RELOADING, SignalWatch
from p2pool.base.supervised import BEAT_PERIOD, beat, stop_at_end_of_input
from p2pool.base.terminal import open_terminal
from p2pool.base.timer import Timer
from p2pool.dash import pow as x11
from p2pool.dash import sha256

_log = Logger(namespace="p2pool")


Load = Callable[[], Config]
"""Reads the settings again, as at the start. Raises OperatorError."""
Make = Callable[[Config, Environment, Logging, GatewayChildren | None], Program]


def run(config: Config, load: Load) -> int:
    """Run the node until it is interrupted. Return the exit status. Raises OperatorError if it cannot start."""
    return _run(
        config,
        load,
        lambda config, environment, logging, children: App(
            config, environment, logging.set_level, children=children
        ),
    )


def run_gateway(config: Config, load: Load) -> int:
    """Run a gateway until it is interrupted. Return the exit status. Raises OperatorError if it cannot start."""
    # Imported late: only gateways need the packages of the broker.
    from p2pool.app.gateway import GatewayApp

    return _run(config, load, lambda config, environment, *_: GatewayApp(config, environment))


def _run(config: Config, load: Load, make: Make) -> int:
    from twisted.internet import reactor as global_reactor

    reactor: IReactor = cast(IReactor, global_reactor)
    make_time_steady(reactor)
    failures: list[OperatorError] = []
    stop = _stop_once(reactor)

    def failed(failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, OperatorError):
            _log.failure("the program could not start", failure)
            error = OperatorError("could not start because of an internal error: see the log above", 1)
        failures.append(error)
        stop("")

    environment = real_environment(reactor)
    logging: list[Logging] = []
    children = GatewayChildren(reactor, config.gateways) if config.gateways else None
    main = MainProcess(environment)
    reloader = Reloader(
        environment,
        config,
        load=load,
        set_level=lambda level: logging[0].set_level(level),  # noqa: PLW0108  # it is made below
        program=lambda: runner.running,
        main=main,
    )
    runner = ProgramRunner(
        config,
        environment,
        make=lambda: make(reloader.config, environment, logging[0], children),
        fail=failed,
        end=lambda: stop(""),
        children=children,
        main=main,
    )
    logging.append(
        start_logging(
            config.log_path,
            config.debug,
            open_terminal(None) if config.no_console else None,
            form=FORMATS[config.log_format],
        )
    )
    _report_start(config)
    # Before anything that starts a thread.
    _watch_signals(reactor, stop=stop, runner=runner, reloader=reloader, logging=logging[0])
    runner.construct()
    if config.supervised:
        stop_at_end_of_input(lambda: stop(""))
        reactor.callWhenRunning(Timer, reactor, BEAT_PERIOD, beat, name="show that the process is not stuck")
    reactor.callWhenRunning(runner.start)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ensureDeferred(runner.stop()))
    reactor.run(installSignalHandlers=False)  # type: ignore[call-arg]  # not of the interface
    runner.release()
    if failures:
        raise failures[0]
    return 0


def _report_start(config: Config) -> None:
    """Log what the operator should know before anything starts. Raises OperatorError for state files that cannot
    be used."""
    report_built_in("X11", x11.PROBLEM)
    report_built_in("SHA-256", sha256.PROBLEM)
    for notice in config.notices:
        _log.warn("settings: {notice}", notice=notice)
    check_state_files(config.datadir)


def _watch_signals(
    reactor: IReactor,
    *,
    stop: Callable[[str], None],
    runner: ProgramRunner,
    reloader: Reloader,
    logging: Logging,
) -> None:
    """Act on signals from now on."""

    def reopen(name: str) -> None:
        _reopen_log(logging, name)
        if name == RELOADING.name:
            reloader.reload(name)

    SignalWatch(reactor, stop=stop, reopen=reopen, replace=runner.replace, stopping=ForcedEnd().begin).start()


def report_built_in(algorithm: str, problem: str) -> None:
    """Log the problem of the built-in code of an algorithm, if it has one. It was found before there was a log."""
    if problem:
        _log.critical("{algorithm}: {problem}", algorithm=algorithm, problem=problem)


def make_time_steady(reactor: IReactor) -> None:
    """Make the reactor's time monotonic. Twisted takes the system's clock: if that is set back by an hour, every
    timer stands still for an hour, and a found block is not offered again."""
    reactor.seconds = time.monotonic  # type: ignore[method-assign]


def _stop_once(reactor: IReactor) -> Callable[[str], None]:
    """Return a function that stops the node because of the signal `name`, or of an error (""). Later calls do
    nothing."""
    asked = False

    def stop(name: str) -> None:
        nonlocal asked
        if not asked:
            asked = True
            if name:
                _log.info("{name} received", name=name)
            reactor.callFromThread(reactor.stop)  # there may be no running reactor yet

    return stop


def _reopen_log(logging: Logging, name: str) -> None:
    logging.reopen()
    _log.info(
        "{name} received: reopened the log file; to stop the node, send SIGTERM to process {process}",
        name=name,
        process=os.getpid(),
    )
