"""`python -m p2pool.simnet.swarm`: several nodes in a ring on one simulated Dash Core, each with a CPU miner.

The nodes are processes of their own and are watched through their JSON, as anybody could. The simulated Dash Core
and the miners run here. Everything listens on the loopback only and ends with this program.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from twisted.internet.defer import Deferred, DeferredList, ensureDeferred, gatherResults
from twisted.internet.error import CannotListenError, ProcessDone
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from typing_extensions import override

from p2pool.base.environment import Environment, IReactor, real_environment
from p2pool.base.errors import OperatorError
from p2pool.base.signals import stop_at_hangup
from p2pool.base.terminal import open_standard_streams, open_terminal
from p2pool.base.timer import Timer
from p2pool.dash.address import encode_address
from p2pool.networks import SIMNET
from p2pool.simnet.miner import CpuMiner
from p2pool.simnet.parameters import SimnetParameters
from p2pool.simnet.service import SimulatedDash
from p2pool.simnet.swarm_table import HEADING, NodeAnswers, NodeState, frame, read_state, row, summary

HOST = "127.0.0.1"
USER, PASSWORD = "swarm", "swarm"  # the simulated coins are worth nothing, and only this machine can ask
MAX_NODES = 50
ANSWER_TIME = 3.0
END_TIME = 3.5
"""Seconds that a node has to end by itself before it is killed."""
PROJECT = Path(__file__).resolve().parents[2]
_log = Logger(namespace="p2pool.simnet.swarm")


@dataclass(frozen=True, slots=True)
class NodeLocation:
    """Where a node listens, and where it keeps its data and its log."""

    number: int
    worker_port: int
    peer_port: int
    directory: Path

    @property
    def page(self) -> str:
        """Return the URL of its first page."""
        return f"http://{HOST}:{self.worker_port}/"


def free_ports(count: int) -> list[int]:
    """Return unused ports of the loopback interface; all different, as they are held until the last is found."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def make_locations(count: int, directory: Path) -> list[NodeLocation]:
    """Return a location for each node."""
    ports = free_ports(2 * count)
    return [
        NodeLocation(n, ports[2 * n - 2], ports[2 * n - 1], directory / f"node{n}") for n in range(1, count + 1)
    ]


def node_arguments(
    location: NodeLocation, neighbour: NodeLocation | None, *, rpc_port: int, p2p_port: int
) -> list[str]:
    """Return a node's command line. It connects to `neighbour` and to no other node."""
    ring = [] if neighbour is None else ["-n", f"{HOST}:{neighbour.peer_port}"]
    return [
        *(sys.executable, "-m", "p2pool", "--net", SIMNET.name, "--datadir", str(location.directory)),
        *("--dashd-address", HOST, "--dashd-rpc-port", str(rpc_port), "--dashd-p2p-port", str(p2p_port)),
        *("-w", f"{HOST}:{location.worker_port}", "--p2pool-port", f"{HOST}:{location.peer_port}"),
        *("--outgoing-conns", "0", *ring, USER, PASSWORD),
    ]


def miner_address(number: int) -> str:
    """Return the address that a node's miner mines for."""
    key_hash = f"p2pool-swarm-miner{number:02d}".encode()
    return encode_address(SIMNET.parent.addresses.pubkey_hash, key_hash)


class NodeEnd(ProcessProtocol):
    """Hears of a node's end. Its output goes to a file without passing here."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.ended: Deferred[None] = Deferred()

    @override
    def processEnded(self, reason: Failure) -> None:
        error: Any = reason.value
        status = "0" if isinstance(reason.value, ProcessDone) else error.exitCode or f"signal {error.signal}"
        self.status = f"ended ({status})"
        self.ended.callback(None)


class _Body(Protocol):
    """The body of an answer, whole: it comes from a node of the swarm and is not large."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.whole: Deferred[bytes] = Deferred()

    @override
    def dataReceived(self, data: bytes) -> None:
        self._parts.append(data)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.whole.called:
            self.whole.callback(b"".join(self._parts))


class Swarm:
    """All nodes of the swarm. `report` gets the nodes' states and the simulated chain's height once a second."""

    def __init__(
        self,
        environment: Environment,
        *,
        parameters: SimnetParameters,
        locations: Sequence[NodeLocation],
        max_hash_rate: float,
        report: Callable[[Sequence[NodeState], int], None],
    ) -> None:
        self._reactor = reactor = environment.reactor
        self._locations = locations
        self._report = report
        self._simulated = SimulatedDash(environment, parameters)
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._agent = Agent(reactor, pool=self._pool, connectTimeout=ANSWER_TIME)
        self._nodes: list[tuple[Any, NodeEnd]] = []
        """(transport, protocol) of each process."""
        self._miners = [
            CpuMiner(
                environment,
                host=HOST,
                port=location.worker_port,
                username=f"{miner_address(location.number)}.swarm{location.number}/{SIMNET.min_difficulty}",
                password=f"d={SIMNET.min_difficulty}",
                max_hash_rate=max_hash_rate,
                name=f"miner{location.number}",
                retry_policy=lambda attempt: 1.0,
            )
            for location in locations
        ]
        self._timer: Timer | None = None

    def start(self) -> None:
        """Start everything. Raises OperatorError, OSError, CannotListenError."""
        self._simulated.startService()
        for index, location in enumerate(self._locations):
            after = self._locations[(index + 1) % len(self._locations)]
            self._start_node(location, None if after is location else after)
        for miner in self._miners:
            miner.startService()
        self._timer = Timer(self._reactor, 1.0, self._poll, name="watch the swarm")

    def _start_node(self, location: NodeLocation, neighbour: NodeLocation | None) -> None:
        location.directory.mkdir(parents=True, exist_ok=True)
        arguments = node_arguments(
            location, neighbour, rpc_port=self._simulated.rpc_port, p2p_port=self._simulated.p2p_port
        )
        protocol = NodeEnd()
        with open(location.directory / "output.log", "ab") as output, open(os.devnull, "rb") as nothing:
            files = {0: nothing.fileno(), 1: output.fileno(), 2: output.fileno()}
            process = self._reactor.spawnProcess(
                protocol, arguments[0], arguments, env=None, path=str(PROJECT), childFDs=files
            )
        self._nodes.append((process, protocol))

    # --- watching ----------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        polls = [ensureDeferred(self._state(location, end)) for location, (_, end) in self._together()]
        self._report(await gatherResults(polls), self._simulated.chain.height)

    def _together(self) -> list[tuple[NodeLocation, tuple[Any, NodeEnd]]]:
        return list(zip(self._locations, self._nodes, strict=True))

    async def _state(self, location: NodeLocation, end: NodeEnd) -> NodeState:
        if end.status is not None:
            return NodeState(location.number, location.page, end.status)
        paths = ("web/chain?count=1", "global_stats", "local_stats", "recent_blocks")
        try:
            values = [await self._ask(location.page + path) for path in paths]
            return read_state(location.number, location.page, NodeAnswers(*values))
        except (KeyError, TypeError, ValueError) as error:
            _log.debug("unusable answer from node {number}: {error}", number=location.number, error=error)
            return NodeState(location.number, location.page)
        except Exception as error:  # whatever a connection may meet
            return NodeState(location.number, location.page, f"no answer ({type(error).__name__})")

    async def _ask(self, url: str) -> Any:
        response = await self._agent.request(b"GET", url.encode()).addTimeout(ANSWER_TIME, self._reactor)
        body = _Body()
        response.deliverBody(body)
        return json.loads(await body.whole.addTimeout(ANSWER_TIME, self._reactor))

    # --- stop --------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """End everything that was started: the nodes first, so that they leave an orderly Dash Core behind."""
        if self._timer is not None:
            self._timer.stop()
        for process, end in self._nodes:
            if end.status is None:
                process.signalProcess("TERM")
        late = self._reactor.callLater(END_TIME, self._kill)
        miners = [miner.stopService() for miner in self._miners if miner.running]
        await DeferredList([*(end.ended for _, end in self._nodes), *miners])
        if late.active():
            late.cancel()
        await self._pool.closeCachedConnections()
        await self._simulated.stopService()

    def _kill(self) -> None:
        for process, end in self._nodes:
            if end.status is None:
                process.signalProcess("KILL")


class Screen:
    """Shows states on a terminal, over the last ones, or as plain lines elsewhere."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._terminal = output.isatty()
        self._drawn = 0

    def show(self, states: Sequence[NodeState], block_height: int) -> None:
        """Show the states of all nodes."""
        lines = [row(state) for state in states]
        if self._terminal:
            lines = [HEADING, *lines, summary(states, block_height)]
            self._output.write(frame(lines, self._drawn, shutil.get_terminal_size().columns))
            self._drawn = len(lines)
        else:
            if not self._drawn:
                self._output.write(HEADING + "\n")
            self._output.write("".join(f"{line}\n" for line in (*lines, summary(states, block_height))))
            self._drawn = len(lines)
        self._output.flush()


# --- command line ---------------------------------------------------------------------------------------


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m p2pool.simnet.swarm", description=__doc__)
    add = parser.add_argument
    add("--nodes", type=int, default=5, help=f"number of nodes, up to {MAX_NODES} (default: %(default)s)")
    add("--max-hash-rate", type=float, default=10_000.0, help="of each miner, in H/s (default: %(default)g)")
    add("--block-period", type=float, default=60.0, help="seconds between blocks (default: %(default)g)")
    add("--datadir", type=Path, help="keep shares, blocks and logs there (default: delete them at the end)")
    options = parser.parse_args(arguments)
    if not 1 <= options.nodes <= MAX_NODES:
        parser.error(f"--nodes {options.nodes}: from 1 to {MAX_NODES}")
    if not (options.max_hash_rate > 0 and options.block_period >= 1):
        parser.error("--max-hash-rate is positive, --block-period at least 1")
    return options


def _parameters(options: argparse.Namespace, directory: Path) -> SimnetParameters:
    return SimnetParameters(
        data_directory=directory / "simulated-dash",
        rpc_user=USER,
        rpc_password=PASSWORD,
        block_period=options.block_period,
    )


def _run(reactor: IReactor, options: argparse.Namespace, directory: Path) -> None:
    """Run until Ctrl-C. Raises the error that prevented the start, once everything that ran already has ended."""
    screen = open_terminal(sys.stdout)
    swarm = Swarm(
        real_environment(reactor),
        parameters=_parameters(options, directory),
        locations=make_locations(options.nodes, directory),
        max_hash_rate=options.max_hash_rate,
        report=Screen(screen).show,
    )
    stop_at_hangup(reactor)
    failures: list[Exception] = []

    def start() -> None:
        try:
            swarm.start()
        except Exception as error:
            failures.append(error)
            reactor.stop()

    screen.write(f"{options.nodes} nodes; their logs are in {directory}; Ctrl-C ends them\n")
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ensureDeferred(swarm.stop()))
    reactor.run()
    if failures:
        raise failures[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    open_standard_streams()
    options = _parse_arguments(sys.argv[1:] if arguments is None else arguments)
    observer = FilteringLogObserver(
        textFileLogObserver(open_terminal(sys.stderr)), [LogLevelFilterPredicate(LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    # Only a program picks the reactor.
    from twisted.internet import reactor as global_reactor

    directory = options.datadir or Path(tempfile.mkdtemp(prefix="p2pool-swarm-"))
    try:
        _run(cast(IReactor, global_reactor), options, directory.absolute())  # the nodes run in another directory
    except (OperatorError, CannotListenError, OSError) as error:
        open_terminal(sys.stderr).write(f"{error}\n")
        return 2
    finally:
        if options.datadir is None:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
