"""A simulated chain on a clock of its own, and ways to make blocks that break exactly one rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransport

from p2pool.dash.address import AddressVersions
from p2pool.dash.block import BlockHeader, assemble_block
from p2pool.dash.merkle import merkle_root
from p2pool.dash.script import p2pkh_script
from p2pool.dash.transaction import Transaction, TxInput, TxOutput, parse_transaction
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.clock import ShiftedClock
from p2pool.simnet.context import NodeContext
from p2pool.simnet.faults import FaultControls
from p2pool.simnet.finder import BLOCK_VERSION, BlockFinder, search, template_coinbase
from p2pool.simnet.ledger import FAUCET_SCRIPT, OutPoint
from p2pool.simnet.long_poll import LongPolls
from p2pool.simnet.p2p_dialler import PeerDialler
from p2pool.simnet.p2p_server import P2pServer
from p2pool.simnet.parameters import SimnetParameters, chain_rules
from p2pool.simnet.rpc import HttpReply, RpcDispatcher
from p2pool.simnet.rpc_controls import Controlled, RpcControls, add_controls
from p2pool.simnet.rpc_methods import RpcMethods, build_methods
from p2pool.simnet.status import NodeStatus
from p2pool.simnet.store import FileStore, MemoryStore
from p2pool.simnet.template import SimulatedTemplate
from p2pool.simnet.transactions import TransactionMaker
from tests.dashd.wires import Wire
from tests.environment import make_environment

START = 1_795_340_000
PARAMETERS = SimnetParameters(initial_attempts=16)
MINER_SCRIPT = p2pkh_script(bytes(range(1, 21)))


MAGIC = PARAMETERS.parent.p2p_magic
NONCE = 0x1234


class Simulation:
    """Chain, finder, p2p side and RPC of one daemon on one reactor in memory."""

    def __init__(self, parameters: SimnetParameters = PARAMETERS, nonce: int = NONCE) -> None:
        self.parameters = parameters
        self.clock: Any = MemoryReactorClock()
        self.clock.advance(START)
        self.shifted = ShiftedClock(self.clock.seconds)
        self.status = NodeStatus(parameters.reported_version)
        directory = parameters.data_directory
        self.chain = SimulatedChain(
            chain_rules(parameters),
            self.shifted.now,
            open_store=lambda genesis: MemoryStore() if directory is None else FileStore(directory, genesis),
            mempool_limit=parameters.mempool_limit,
            block_max_size=parameters.block_max_size,
        )
        now = self.shifted.now
        self.transactions = TransactionMaker(self.chain)
        self.finder = BlockFinder(self.chain, now)
        self.faults = FaultControls(self.clock.seconds)
        self.long_polls = LongPolls(self.chain, self.clock, parameters.long_poll_patience)
        self.p2p = P2pServer(
            self.chain, magic=parameters.parent.p2p_magic, now=now, nonce=lambda: nonce, status=self.status
        )
        self.dialler = PeerDialler(make_environment(self.clock), self.p2p)
        self.methods = RpcMethods(self.context())
        table = build_methods(self.methods)
        controls = RpcControls(
            Controlled(
                self.chain,
                self.finder,
                self.faults,
                self.transactions,
                self.status,
                self.shifted,
                self.p2p,
                self.dialler,
            )
        )
        add_controls(table, controls)
        self.dispatcher = RpcDispatcher(
            table, self.faults, lambda seconds: deferLater(self.clock, seconds, lambda: None)
        )

    def context(self) -> NodeContext:
        """What the RPC methods see."""
        port = self.parameters.zmq_port
        return NodeContext(
            self.chain,
            self.parameters.chain_name,
            self.shifted,
            lambda: self.clock.seconds() - START,
            self.long_polls,
            self.p2p,
            self.status,
            None if port is None else f"tcp://127.0.0.1:{port}",
            self.parameters.signalling_until,
            self.parameters.wallet,
        )

    # --- blocks ----------------------------------------------------------------------------------------

    def find(self, count: int = 1, fork_depth: int = 0) -> list[str]:
        """The network finds blocks; the clock moves by a block period before each call."""
        self.clock.advance(self.parameters.block_period)
        return result_of(Deferred.fromCoroutine(self.finder.find(count, fork_depth)))

    def wait_for_height(self, height: int) -> None:
        """Find blocks up to a height."""
        while self.chain.height < height:
            self.find()

    def coinbase(self, template: SimulatedTemplate | None = None, extra: bytes = b"test") -> Transaction:
        """A valid coinbase."""
        return template_coinbase(template or self.chain.template(), MINER_SCRIPT, extra)

    def block(
        self,
        coinbase: Transaction | None = None,
        others: tuple[Transaction, ...] | None = None,
        header: Callable[[BlockHeader], BlockHeader] = lambda header: header,
        template: SimulatedTemplate | None = None,
        mined: bool = True,
    ) -> bytes:
        """A block on the template, valid but for what is given: its coinbase, its other transactions, or its
        header's fields (changed before the search for a nonce)."""
        template = template or self.chain.template()
        if others is None:
            others = tuple(parse_transaction(transaction.raw) for transaction in template.transactions)
        transactions = (coinbase or self.coinbase(template), *others)
        root = merkle_root([transaction.hash for transaction in transactions])
        timestamp = max(int(self.clock.seconds()), template.minimum_time)
        made = header(BlockHeader(BLOCK_VERSION, template.previous.hash, root, timestamp, template.bits, 0))
        if mined:
            nonce = search(made)
            assert nonce is not None
            made = replace(made, nonce=nonce)
        packed = [transaction.pack() for transaction in transactions]
        return assemble_block(made.pack(), packed[0], tuple(packed[1:]))

    def spend(self, coin: OutPoint, value: int, count: int = 1) -> Transaction:
        """A transaction of one faucet coin with `count` outputs of `value` duffs."""
        return Transaction(
            2, 0, (TxInput(coin[0], coin[1], b"\x01\x51"),), (TxOutput(value, FAUCET_SCRIPT),) * count, 0
        )

    def faucet_coins(self) -> list[OutPoint]:
        """The coins that can be spent."""
        return list(self.chain.ledger.faucet)

    def busy(self, height: int = 9) -> None:
        """A chain with waiting transactions that depend on each other."""
        self.wait_for_height(height)
        for _ in range(12):
            self.transactions.make()

    def drop_waiting(self) -> None:
        """Empty the mempool."""
        self.chain.mempool._entries.clear()
        self.chain.mempool._spent.clear()
        self.chain.mempool.updates += 1

    # --- RPC -------------------------------------------------------------------------------------------

    def request(self, body: bytes) -> Deferred[HttpReply | None]:
        """A raw request."""
        return Deferred.fromCoroutine(self.dispatcher.handle(body))

    def call(self, method: str, *params: object) -> Any:
        """The result of a call that answers at once. AssertionError where it is an error."""
        reply = result_of(self.request(orjson.dumps({"id": 1, "method": method, "params": params})))
        answer = orjson.loads(reply.body)
        assert answer["error"] is None, answer["error"]
        assert reply.status == 200
        return answer["result"]


def result_of(deferred: Deferred[Any]) -> Any:
    """The result of a Deferred that must have fired; raises what it failed with."""
    results: list[Any] = []
    failures: list[Any] = []
    deferred.addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    assert results, "not answered yet"
    return results[0]


class Line:
    """A connection between two simulations: `caller` dialled `called`. Bytes travel when `carry` is called."""

    def __init__(self, caller: Simulation, called: Simulation, number: int) -> None:
        self.dialling = Wire(caller.clock, number)
        self.answering = StringTransport()
        self._protocol: Any = called.p2p.buildProtocol(self.answering.getPeer())
        self._protocol.makeConnection(self.answering)

    def carry(self) -> int:
        """Bring over what both sides have said so far; how many bytes that were."""
        there, back = self.dialling.take(), self.answering.value()
        self.answering.clear()
        if there:
            self._protocol.dataReceived(there)
        if back:
            self.dialling.send(back)
        return len(there) + len(back)

    def cut(self) -> None:
        """The connection ends for both sides."""
        self.dialling.hang_up()
        self._protocol.connectionLost(connectionDone)


def connect(caller: Simulation, called: Simulation, port: int = 19899) -> Line:
    """`caller` connects to `called`; nothing was said yet."""
    caller.call("simnet_connect", f"127.0.0.1:{port}")
    return Line(caller, called, len(caller.clock.tcpClients) - 1)


def settle(*lines: Line, rounds: int = 1000) -> None:
    """Carry until nobody has anything to say. AssertionError where that does not come."""
    for _ in range(rounds):
        if sum(line.carry() for line in lines) == 0:
            return
    raise AssertionError("the connections do not become quiet")


@pytest.fixture
def simulation() -> Simulation:
    """A fresh chain in memory."""
    return Simulation()


@pytest.fixture
def make_simulation() -> Callable[..., Simulation]:
    """Simulations with other parameters."""

    def make(**changes: Any) -> Simulation:
        return Simulation(replace(PARAMETERS, **changes))

    return make


@pytest.fixture
def versions() -> AddressVersions:
    """The address versions of the captures' network."""
    return PARAMETERS.parent.addresses


@pytest.fixture
def captures() -> Path:
    """The directory of the captures."""
    return Path(__file__).parent.parent / "captures"
