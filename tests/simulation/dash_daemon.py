"""Simulated Dash Cores: each has its own view of the chain, answers RPC, and tells its own kind of blocks."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.dash.block import parse_block
from p2pool.dash.hashes import hash_hex
from p2pool.dash.pow import x11
from p2pool.dash.target import bits_to_target
from p2pool.dashd.rpc import BLOCK_NOT_FOUND, WARMING_UP, RpcError, RpcTimeout, RpcUnavailable
from tests.simulation.dash_chain import DashChain, SimulatedBlock
from tests.simulation.dash_p2p import PORT, DashPort
from tests.simulation.events import WORLD, EventQueue, SimulatedCall
from tests.simulation.network import Host, Internet
from tests.simulation.reactor import SimulatedReactor

RPC_TIME = 0.002
"""Seconds that an RPC call takes."""
RELAY_TIME = 0.08
"""Seconds that a daemon takes to check a block before it passes it on."""
HOPS = 1.5
"""Routes that a block takes from one daemon to another, in the mean."""
WARM_UP_TIME = 8.0
"""Seconds from a daemon's start until it knows its blocks, listens, and answers calls."""
SENT_BLOCKS = 100
"""Blocks of which is remembered whom they were sent to."""
SYNC_PERIOD = 15.0
"""Seconds until a block that could not get through is sent again."""


class DaemonState(Enum):
    """What a daemon does with calls."""

    RUNNING = "running"
    STUCK = "stuck"
    """It answers, but takes no more blocks."""
    SILENT = "silent"
    """It takes calls and does not answer them."""
    WARMING_UP = "warming up"
    """It has been started, and refuses all calls with an error."""
    DOWN = "down"


class SimulatedDaemon:
    """One Dash Core on a machine."""

    def __init__(self, network: DashNetwork, host: Host) -> None:
        self.network = network
        self.host = host
        self.state = DaemonState.RUNNING
        self.tip: SimulatedBlock = network.chain.genesis
        self.known: dict[int, None] = {self.tip.hash: None}
        self.reactor = SimulatedReactor(network.internet, host)
        self.port = DashPort(self)
        self.reactor.listenTCP(PORT, self.port)
        self.lie: Callable[[str, tuple[Any, ...]], Any] | None = None
        """Answers calls in its place."""
        self._waiting: list[tuple[Deferred[Any], int]] = []
        """Long polls, with the tip that they know."""

    @property
    def name(self) -> str:
        """Return what logs call it."""
        return f"dashd of {self.host.name}"

    # --- blocks ------------------------------------------------------------------------------------------

    def knows(self, block_hash: int) -> bool:
        """Return whether it has a block."""
        return block_hash in self.known

    @property
    def takes_blocks(self) -> bool:
        """Return whether it takes blocks of others now."""
        return self.state in (DaemonState.RUNNING, DaemonState.SILENT)

    def take(self, block: SimulatedBlock) -> None:
        """Take a block, with its ancestors, and pass it on."""
        if not self.takes_blocks or block.hash in self.known:
            return
        missing: SimulatedBlock | None = block
        while missing is not None and missing.hash not in self.known:
            self.known[missing.hash] = None
            missing = missing.previous
        if block.height > self.tip.height:
            self.tip = block
            waiting, self._waiting = self._waiting, []
            for answer, _ in waiting:
                self._answer_later(answer)
            self.reactor.call(self.port.announce, block)
        self.network.relay(block, self)

    def _answer_later(self, answer: Deferred[Any]) -> None:
        def give() -> None:
            if not answer.called and self.state is not DaemonState.DOWN:
                try:
                    answer.callback(self.answer("getblocktemplate", ()))
                except (RpcError, RpcUnavailable) as error:
                    answer.errback(error)

        self.network.events.at(self.network.events.now + RPC_TIME, WORLD, give)

    def _template(self) -> dict[str, Any]:
        return self.network.chain.template(self.tip, int(self.network.chain.epoch + self.network.events.now))

    def take_raw(self, data: bytes) -> None:
        """Take a block that came over p2p; nobody waits for an answer."""
        taken = self.network.chain.take(data, self.host.name, self.network.events.now, self.knows)
        if not isinstance(taken, str):
            self.take(taken)

    # --- life --------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End: calls under way fail, blocks of others are missed."""
        self.state = DaemonState.DOWN
        waiting, self._waiting = self._waiting, []
        self.reactor.kill(power=not self.host.up)
        for answer, _ in waiting:
            if not answer.called:
                answer.errback(RpcUnavailable(f"{self.name} closed the connection"))

    def start(self) -> None:
        """Run again after a while, or at once if it was not down; and catch up."""
        if self.state is DaemonState.WARMING_UP:
            return
        if self.state is DaemonState.DOWN:
            self.reactor = SimulatedReactor(self.network.internet, self.host)
            self.state = DaemonState.WARMING_UP
            self.reactor.callLater(WARM_UP_TIME, self._warmed_up)
            return
        self.state = DaemonState.RUNNING
        self.network.catch_up(self)

    def _warmed_up(self) -> None:
        self.port = DashPort(self)
        self.reactor.listenTCP(PORT, self.port)
        self.state = DaemonState.RUNNING
        self.network.catch_up(self)

    # --- RPC ---------------------------------------------------------------------------------------------

    def answer(self, method: str, params: tuple[Any, ...]) -> Any:
        """Return the result of a call, or a Deferred of it. Raises RpcError."""
        return self.right_answer(method, params) if self.lie is None else self.lie(method, params)

    def right_answer(self, method: str, params: tuple[Any, ...]) -> Any:
        """Return the result of a call, or a Deferred of it, unless the call is wrong. Raises RpcError."""
        if self.state is DaemonState.WARMING_UP:
            raise RpcError(WARMING_UP, "Loading block index…")
        handler = _METHODS.get(method)
        if handler is None:
            raise RpcError(-32601, f"Method not found: {method}")
        return handler(self, *params)

    def _best(self) -> str:
        return hash_hex(self.tip.hash)

    def _chain_info(self) -> dict[str, Any]:
        return {
            "chain": self.network.chain.network.parent.chain or "test",
            "blocks": self.tip.height,
            "headers": self.tip.height,
            "initialblockdownload": False,
            "verificationprogress": 1.0,
            "softforks": {
                name: {"type": "buried", "active": True, "height": height}
                for name, height in (("bip34", 1), ("dip0003", 432), ("v20", 900), ("mn_rr", 900))
            },
            "warnings": "",
        }

    def _network_info(self) -> dict[str, Any]:
        return {
            "version": 230102,
            "subversion": "/Dash Core:23.1.2/",
            "connections": 8,
            "timeoffset": 0,
            "warnings": "",
        }

    def _get_template(self, request: Any = None) -> Any:
        if isinstance(request, dict) and request.get("longpollid") == hash_hex(self.tip.hash) + "1":
            waiting: Deferred[Any] = Deferred()
            self._waiting.append((waiting, self.tip.hash))
            return waiting
        return self._template()

    def _submit(self, text: str) -> str | None:
        try:
            data = bytes.fromhex(text)
            taken = self.network.chain.take(data, self.host.name, self.network.events.now, self.knows)
        except (ParseError, ValueError):
            raise RpcError(-22, "Block decode failed") from None
        if isinstance(taken, str):
            self.network.refused(self, data, taken)
            return taken
        self.take(taken)
        return None if self.tip is taken else "inconclusive"

    def _header(self, text: str, verbose: bool = True) -> Any:
        block = self.network.chain.blocks.get(int(text, 16))
        if block is None or block.hash not in self.known:
            raise RpcError(BLOCK_NOT_FOUND, "Block not found")
        if not verbose:
            return (block.header or bytes(80)).hex()
        on_chain = self.network.chain.ancestor(self.tip, block.height) is block
        return {
            "height": block.height,
            "confirmations": self.tip.height - block.height + 1 if on_chain else -1,
            "chainlock": False,
        }

    def _hash_at(self, height: int) -> str:
        block = self.network.chain.ancestor(self.tip, height)
        if block is None:
            raise RpcError(-8, "Block height out of range")
        return hash_hex(block.hash)


_METHODS: dict[str, Callable[..., Any]] = {
    "getbestblockhash": SimulatedDaemon._best,
    "getblockchaininfo": SimulatedDaemon._chain_info,
    "getnetworkinfo": SimulatedDaemon._network_info,
    "getblocktemplate": SimulatedDaemon._get_template,
    "submitblock": SimulatedDaemon._submit,
    "getblockheader": SimulatedDaemon._header,
    "getblockhash": SimulatedDaemon._hash_at,
    "getpeerinfo": lambda daemon: [],
}


class DashNetwork:
    """All daemons, and the miners of Dash who have nothing to do with the pool."""

    def __init__(self, internet: Internet, chain: DashChain, *, others: float) -> None:
        """Take `others`, the blocks per second that these miners find."""
        self.internet = internet
        self.events: EventQueue = internet.events
        self.chain = chain
        self.daemons: dict[str, SimulatedDaemon] = {}
        """By address of the machine."""
        self.refusals: list[tuple[float, str, str, int]] = []
        """(time, daemon, Dash Core's word, block hash) of the last blocks that were refused."""
        self.lied_about: dict[int, None] = {}
        """Tips on which a daemon gave a wrong template."""
        self._sent: BoundedDict[int, set[str]] = BoundedDict(SENT_BLOCKS)
        """The addresses that the newest blocks were sent to."""
        self._others = others
        self._chance = self.events.chance("dash blocks")
        self._made = 0

    def add(self, host: Host) -> SimulatedDaemon:
        """Add a daemon on a machine."""
        daemon = self.daemons[host.address] = SimulatedDaemon(self, host)
        return daemon

    def start(self) -> None:
        """Let the others mine."""
        if self._others > 0:
            self.events.at(self.events.now + self._chance.expovariate(self._others), WORLD, self._mine)

    def _mine(self) -> None:
        daemons = list(self.daemons.values())
        daemon = self._chance.choice(daemons)
        if daemon.state is DaemonState.RUNNING:
            daemon.take(self.anonymous(daemon.tip, daemon))
        self.start()

    def anonymous(self, previous: SimulatedBlock, daemon: SimulatedDaemon) -> SimulatedBlock:
        """Return a new block of a miner who has nothing to do with the pool."""
        self._made += 1
        return self.chain.anonymous(previous, daemon.name, self.events.now, self._made)

    def relay(self, block: SimulatedBlock, source: SimulatedDaemon) -> None:
        """Send a block to all other daemons. Those that it is under way to get it no sooner from another one."""
        sent = self._sent.setdefault(block.hash, set())
        if len(sent) < len(self.daemons):
            for address, daemon in self.daemons.items():
                if address not in sent:
                    sent.add(address)
                    if not daemon.knows(block.hash):
                        self._send(block, source, daemon)

    def _send(self, block: SimulatedBlock, source: SimulatedDaemon, target: SimulatedDaemon) -> None:
        delay = RELAY_TIME + HOPS * self.internet.latency(source.host, target.host)
        self.events.at(self.events.now + delay, WORLD, self._arrive, block, source, target)

    def _arrive(self, block: SimulatedBlock, source: SimulatedDaemon, target: SimulatedDaemon) -> None:
        if target.knows(block.hash) or target.state is DaemonState.DOWN:
            return
        if target.takes_blocks and self.internet.is_open(source.host, target.host):
            target.take(block)
            return
        reachable = self._reachable(target) if target.takes_blocks else []
        others = [each for each in reachable if each.knows(block.hash)]
        if others:
            nearest = min(others, key=lambda other: self.internet.latency(other.host, target.host))
            self._send(block, nearest, target)
        else:
            self.events.at(self.events.now + SYNC_PERIOD, WORLD, self._arrive, block, source, target)

    def _reachable(self, daemon: SimulatedDaemon) -> list[SimulatedDaemon]:
        """Return the daemons that can send something to this one."""
        return [
            other
            for other in self.daemons.values()
            if other is not daemon
            and other.state is DaemonState.RUNNING
            and self.internet.is_open(other.host, daemon.host)
        ]

    def catch_up(self, daemon: SimulatedDaemon) -> None:
        """Send a daemon the best block that another one can send it."""
        reachable = self._reachable(daemon)
        if reachable:
            best = max(reachable, key=lambda other: other.tip.height)
            self._send(best.tip, best, daemon)

    def refused(self, daemon: SimulatedDaemon, data: bytes, why: str) -> None:
        """Note a block that a daemon refused. Empty ones are the pool's check whether it may submit."""
        if data and not self.is_misled(data):
            self.refusals.append((self.events.now, daemon.name, why, x11(data[:80])))
            del self.refusals[:-1000]

    def is_misled(self, data: bytes) -> bool:
        """Return whether a block is wrong because a daemon gave a wrong template."""
        try:
            header = parse_block(data).header
        except ParseError:
            return False
        known, previous = self.chain.blocks, header.previous_block
        return header.bits != self.chain.bits or previous not in known or previous in self.lied_about

    @property
    def best(self) -> SimulatedBlock:
        """Return the highest tip of all daemons."""
        return max((daemon.tip for daemon in self.daemons.values()), key=lambda block: block.height)

    @property
    def target(self) -> int:
        """Return the target of blocks."""
        return bits_to_target(self.chain.bits)


class SimulatedRpc:
    """What a node has instead of `RpcClient`: calls to the daemon on its own machine, without HTTP."""

    daemons: DashNetwork
    """Of the world that is simulated."""

    def __init__(
        self, environment: Environment, url: str, source: object, *, max_answer: int | None = None
    ) -> None:
        self.url = url
        self._reactor: Any = environment.reactor
        self._calls: dict[Deferred[Any], SimulatedCall] = {}

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        """Return the result of a method. Raises RpcError, RpcTimeout, RpcUnavailable."""
        reactor = self._reactor
        daemon = self.daemons.daemons[reactor.host.address]
        if daemon.state is DaemonState.DOWN:
            await self._wait(RPC_TIME)
            raise RpcUnavailable(f"{self.url}: Connection was refused by other side: 111: Connection refused.")
        done: Deferred[Any] = Deferred()
        deadline = reactor.callLater(
            timeout,
            lambda: (
                done.called or done.errback(RpcTimeout(f"{self.url} did not answer {method} within {timeout:g} s"))
            ),
        )
        if daemon.state is not DaemonState.SILENT:
            reactor.callLater(RPC_TIME, self._ask, daemon, method, params, done)
        try:
            return await done
        finally:
            if deadline.active():
                deadline.cancel()

    def _ask(self, daemon: SimulatedDaemon, method: str, params: tuple[Any, ...], done: Deferred[Any]) -> None:
        if done.called:
            return
        try:
            result = daemon.answer(method, params)
        except (RpcError, RpcUnavailable) as error:
            done.errback(error)
            return
        if not isinstance(result, Deferred):
            done.callback(result)
            return
        # What comes later comes as an event of the process: it may be frozen, or have ended.
        later = self._reactor.callLater
        result.addCallbacks(
            lambda value: later(0, _settle, done, done.callback, value),
            lambda failure: later(0, _settle, done, done.errback, failure),
        )

    async def _wait(self, seconds: float) -> None:
        done: Deferred[None] = Deferred()
        self._reactor.callLater(seconds, lambda: done.called or done.callback(None))
        await done

    async def close(self) -> None:
        """There is nothing to close."""


def _settle(done: Deferred[Any], settle: Callable[[Any], None], result: Any) -> None:
    if not done.called:
        settle(result)
