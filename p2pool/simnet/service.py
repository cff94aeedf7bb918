"""The simulated Dash Core as a Twisted service: chain, RPC, p2p and ZMQ, the transactions that trickle in.

Made by `app` (embedded in a node) and by `python -m p2pool.simnet`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError
from p2pool.base.observable import Event
from p2pool.dash.messages import NetworkAddress
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.clock import ShiftedClock
from p2pool.simnet.context import NodeContext
from p2pool.simnet.faults import FaultControls
from p2pool.simnet.finder import BlockFinder
from p2pool.simnet.long_poll import LongPolls
from p2pool.simnet.p2p import SERVICES
from p2pool.simnet.p2p_dialler import PeerDialler
from p2pool.simnet.p2p_server import P2pServer
from p2pool.simnet.parameters import SimnetParameters, chain_rules
from p2pool.simnet.rpc import RpcDispatcher
from p2pool.simnet.rpc_controls import Controlled, RpcControls, add_controls
from p2pool.simnet.rpc_methods import RpcMethods, build_methods
from p2pool.simnet.rpc_server import RpcResource, RpcSite
from p2pool.simnet.status import NodeStatus
from p2pool.simnet.store import FileStore, MemoryStore, RawBlockStore
from p2pool.simnet.transactions import TransactionMaker
from p2pool.simnet.zmq_publisher import HashBlockPublisher, PublisherSocket

COOKIE_USER = "__cookie__"
_PASSWORD_BYTES = 32
_CLOSE_SECONDS = 0.5
"""How long a stop waits for clients to take what was written to them."""


class SimulatedDash(Service):
    """A Dash Core that is none. The chain is read at construction; `startService` listens.

    `chain`, `finder`, `faults`, `transactions`, `status` and `clock` are the controls for tests; `rpc_port`,
    `p2p_port` and `zmq_port` are the real ports once it listens; `rpc_user` and `rpc_password` what a client must
    send. It runs once: after `stopService`, or a `startService` that raised, make a new one.
    """

    name = "simulated Dash Core"
    _log = Logger(namespace="p2pool.simnet")

    def __init__(self, environment: Environment, parameters: SimnetParameters) -> None:
        """Open the chain. Raises OperatorError if the data directory cannot be used."""
        self._environment = environment
        self._reactor = reactor = environment.reactor
        self.parameters = parameters
        self.rpc_port = parameters.rpc_port
        self.p2p_port = parameters.p2p_port
        self.zmq_port = parameters.zmq_port
        self.rpc_user, self.rpc_password = _credentials(parameters, environment.chance.randbytes)
        self._writes_cookie = parameters.rpc_user is None and parameters.data_directory is not None
        self._ports: list[IListeningPort] = []
        self._running: _Running | None = None
        self.clock = ShiftedClock(environment.clock)
        self.status = NodeStatus(parameters.reported_version)
        now = self.clock.now
        rules = chain_rules(parameters)
        self.chain = SimulatedChain(
            rules,
            now,
            open_store=self._open_store,
            mempool_limit=parameters.mempool_limit,
            block_max_size=parameters.block_max_size,
        )
        self.faults = FaultControls(reactor.seconds)
        self.transactions = TransactionMaker(self.chain)
        self.finder = BlockFinder(self.chain, now, environment.run_in_thread)
        self.stop_requested: Event[None] = Event()
        """Fires when somebody calls the RPC method `stop`: the owner decides what it means."""

    @property
    def cookie_path(self) -> Path | None:
        """Return where the credentials are written; None if they are not."""
        directory = self.parameters.data_directory
        return directory / ".cookie" if directory is not None and self._writes_cookie else None

    def startService(self) -> None:
        """Listen on all ports. Raises CannotListenError (nothing is left listening then), and OperatorError
        if the cookie cannot be written or ZMQ cannot listen."""
        try:
            publisher = self._open_publisher()
        except OperatorError:
            self.chain.close()
            raise
        running = _Running(self, publisher)
        try:
            self.rpc_port = self._listen(self.parameters.rpc_port, running.site)
            self.p2p_port = self._listen(self.parameters.p2p_port, running.p2p)
            self._write_cookie()
        except (CannotListenError, OperatorError):
            for port in self._ports:
                port.stopListening()
            self._ports.clear()
            running.stop()
            self.chain.close()
            raise
        self._running = running
        running.start(self.parameters, NetworkAddress(SERVICES, self.parameters.rpc_host, self.p2p_port))
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[None]:
        """Close listeners and connections, end long polls and searches, release the data directory."""
        super().stopService()  # type: ignore[no-untyped-call]
        self.finder.cancel()
        closing: list[Deferred[Any]] = [maybeDeferred(port.stopListening) for port in self._ports]
        self._ports.clear()
        if self._running is not None:
            closing.append(self._running.stop())
            self._running = None
        self.chain.close()
        cookie = self.cookie_path
        if cookie is not None:
            cookie.unlink(missing_ok=True)
        return gatherResults(closing).addCallback(lambda _: None)

    def sleep(self, seconds: float) -> Awaitable[object]:
        """Wait on the service's own clock."""
        sleeping: Deferred[None] = deferLater(self._reactor, seconds, lambda: None)
        return sleeping

    def _open_store(self, genesis_hash: int) -> RawBlockStore:
        directory = self.parameters.data_directory
        return MemoryStore() if directory is None else FileStore(directory, genesis_hash)

    def _open_publisher(self) -> PublisherSocket | None:
        port = self.parameters.zmq_port
        if port is None:
            return None
        publisher = PublisherSocket(self.parameters.rpc_host, port)
        self.zmq_port = publisher.port
        return publisher

    def _listen(self, number: int, factory: ServerFactory) -> int:
        port = self._reactor.listenTCP(number, factory, interface=self.parameters.rpc_host)
        self._ports.append(port)
        return int(getattr(port.getHost(), "port", number))

    def _write_cookie(self) -> None:
        path = self.cookie_path
        if path is None:
            return
        try:
            # Made with its permissions, so that nobody reads it between making and restricting.
            path.unlink(missing_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{self.rpc_user}:{self.rpc_password}")
        except OSError as error:
            raise OperatorError(f"cannot write {path}: {error}") from None


class _Running:
    """What exists only while the service runs."""

    def __init__(self, service: SimulatedDash, socket: PublisherSocket | None) -> None:
        parameters, chain, reactor = service.parameters, service.chain, service._reactor
        self._service = service
        self._loop: LoopingCall | None = None
        self._aborted = False
        self._socket = socket
        self._publisher = None if socket is None else HashBlockPublisher(chain, socket.send)
        self.long_polls = LongPolls(chain, reactor, parameters.long_poll_patience)
        now, started = service.clock.now, reactor.seconds()
        self.p2p = P2pServer(
            chain,
            magic=parameters.parent.p2p_magic,
            now=now,
            nonce=service._environment.nonce,
            status=service.status,
        )
        self.dialler = PeerDialler(service._environment, self.p2p)
        context = NodeContext(
            chain=chain,
            chain_name=parameters.chain_name,
            clock=service.clock,
            uptime=lambda: reactor.seconds() - started,
            long_polls=self.long_polls,
            peers=self.p2p,
            status=service.status,
            zmq_address=None if socket is None else socket.address,
            signalling_until=parameters.signalling_until,
            wallet=parameters.wallet,
        )
        methods = RpcMethods(context)
        methods.stop_requested.subscribe(service.stop_requested.fire)
        table = build_methods(methods)
        add_controls(table, RpcControls(self._controlled()))
        self.dispatcher = RpcDispatcher(table, service.faults, service.sleep)
        resource = RpcResource(
            self.dispatcher, user=service.rpc_user, password=service.rpc_password, sleep=service.sleep
        )
        self.site = RpcSite(resource, reactor)

    def _controlled(self) -> Controlled:
        service = self._service
        return Controlled(
            chain=service.chain,
            finder=service.finder,
            faults=service.faults,
            transactions=service.transactions,
            status=service.status,
            clock=service.clock,
            p2p=self.p2p,
            dialler=self.dialler,
        )

    def start(self, parameters: SimnetParameters, own_address: NetworkAddress) -> None:
        """Begin with what the daemon does by itself: call others, make transactions (period 0: none)."""
        self.p2p.own_address = own_address
        for host, port in parameters.connect:
            self.dialler.add(host, port)
        if parameters.transaction_period <= 0:
            return
        self._loop = LoopingCall(self._service.transactions.make_next, parameters.withdrawals)
        self._loop.clock = self._service._reactor
        self._loop.start(parameters.transaction_period, now=False).addErrback(self._transactions_failed)

    def stop(self) -> Deferred[None]:
        """Close everything but the listeners; fires when all connections are gone, which is soon."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        self.long_polls.release()
        if self._publisher is not None:
            self._publisher.stop()
        if self._socket is not None:
            self._socket.close()
        closing = gatherResults([self.dialler.stop(), self.p2p.close(), self.site.close()])
        if not closing.called:
            impatient = self._service._reactor.callLater(_CLOSE_SECONDS, self._abort)
            closing.addCallback(self._closed, impatient)
        return closing.addCallback(lambda _: None)

    def _closed(self, result: object, impatient: IDelayedCall) -> None:
        if not self._aborted:
            impatient.cancel()

    def _abort(self) -> None:
        self._aborted = True
        self.p2p.abort()
        self.site.abort()

    def _transactions_failed(self, failure: Any) -> None:
        SimulatedDash._log.failure("internal error: the simulation makes no more transactions", failure=failure)


def _credentials(parameters: SimnetParameters, random_bytes: Callable[[int], bytes]) -> tuple[str, str]:
    """Return user and password: the given ones, or a cookie's. OperatorError if only one is given."""
    user, password = parameters.rpc_user, parameters.rpc_password
    if user is None and password is None:
        return COOKIE_USER, random_bytes(_PASSWORD_BYTES).hex()
    if user is None or password is None:
        raise OperatorError("the simulated Dash Core needs both an RPC user and an RPC password, or neither")
    return user, password
