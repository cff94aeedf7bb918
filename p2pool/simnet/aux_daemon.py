"""A simulated daemon of an auxiliary chain: what `--merged` talks to, with a block chain in memory that really
checks proofs of work made for Dash.

`python -m p2pool.simnet.aux_daemon --help` runs one; tests embed `AuxChain` or `SimulatedAuxDaemon`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment, IReactor, real_environment
from p2pool.base.errors import ParseError
from p2pool.base.observable import Event
from p2pool.dash.auxpow import MAX_CHAIN_ID, AuxPow, find_commitment, parse_auxpow, slot_of
from p2pool.dash.block import BlockHeader, read_header
from p2pool.dash.hashes import hash_hex, optional_hash_hex, sha256d, sha256d_int
from p2pool.dash.merkle import walk_branch, walk_branch_indexed
from p2pool.dash.target import average_attempts_to_target, bits_to_target, target_to_bits
from p2pool.dash.transaction import parse_transaction
from p2pool.simnet.faults import FaultControls
from p2pool.simnet.rpc import (
    DESERIALIZATION_ERROR,
    INVALID_ADDRESS_OR_KEY,
    INVALID_PARAMETER,
    JsonKind,
    Method,
    MethodError,
    MethodParameter,
    RpcDispatcher,
)
from p2pool.simnet.rpc_server import RpcResource, RpcSite
from p2pool.wire.codec import Reader

COINBASE_VALUE = 50 * 100_000_000
_AUXPOW_VERSION = 0x100
_MOST_CANDIDATES = 64
_MOST_BLOCKS = 100_000
"""Hours of one block a second; the oldest are forgotten."""


class ProofInvalid(Exception):
    """A proof that does not stand for the block; the text says why."""


@dataclass(frozen=True, slots=True)
class AuxBlock:
    """A block of the chain. `parent_hash` is the Dash header that was worked on, None for the genesis and for
    blocks that others found."""

    height: int
    header: BlockHeader
    hash: int
    parent_hash: int | None = None


class AuxChain:
    """The chain: what `getauxblock` gives and takes, without RPC. Every block has the same `target`."""

    def __init__(self, chain_id: int, attempts: float, now: Callable[[], float]) -> None:
        """Start a chain on which `attempts` hashes find a block on average; `now` gives Unix seconds."""
        self.chain_id = chain_id
        self.bits = target_to_bits(average_attempts_to_target(attempts))
        self.block_connected: Event[AuxBlock] = Event()
        self.refused: Event[str] = Event()
        self._now = now
        self._nonce = 0
        self._blocks: BoundedDict[int, AuxBlock] = BoundedDict(_MOST_BLOCKS)
        self._candidates: BoundedDict[int, AuxBlock] = BoundedDict(_MOST_CANDIDATES)
        """On the tip, by hash."""
        self.tip = self._make(-1, 0)
        self._blocks[self.tip.hash] = self.tip

    @property
    def target(self) -> int:
        """Return what a Dash header's hash must not exceed."""
        return bits_to_target(self.bits)

    def _make(self, height: int, previous: int) -> AuxBlock:
        """Return a block on the one of this height and hash; no two have the same hash."""
        self._nonce += 1
        root = sha256d_int(b"%d coinbase of chain %d" % (self._nonce, self.chain_id))
        version = self.chain_id << 16 & 0xFFFF0000 | _AUXPOW_VERSION | 1
        header = BlockHeader(version, previous, root, int(self._now()) & 0xFFFFFFFF, self.bits, 0)
        return AuxBlock(height + 1, header, sha256d_int(header.pack()))

    def candidate(self) -> AuxBlock:
        """Return the block that is to be worked on; the same one until the tip changes or `refresh` is called."""
        if not self._candidates:
            self.refresh()
        return next(reversed(self._candidates.values()))

    def refresh(self) -> None:
        """Make another candidate, as after new transactions; earlier ones remain good."""
        made = self._make(self.tip.height, self.tip.hash)
        self._candidates[made.hash] = made

    def find_elsewhere(self) -> AuxBlock:
        """Let another miner find a block."""
        return self._connect(self._make(self.tip.height, self.tip.hash), None)

    def submit(self, block_hash: int, proof: AuxPow) -> AuxBlock:
        """Connect a candidate. Raises KeyError if the hash is not that of one, and ProofInvalid."""
        candidate = self._candidates[block_hash]
        try:
            parent_hash = check_proof(candidate, proof, chain_id=self.chain_id, target=self.target)
        except ProofInvalid as error:
            self.refused.fire(str(error))
            raise
        return self._connect(candidate, parent_hash)

    def _connect(self, block: AuxBlock, parent_hash: int | None) -> AuxBlock:
        self.tip = AuxBlock(block.height, block.header, block.hash, parent_hash)
        self._blocks[block.hash] = self.tip
        self._candidates.clear()
        self.block_connected.fire(self.tip)
        return self.tip

    def block(self, block_hash: int) -> AuxBlock | None:
        """Return a block of the chain."""
        return self._blocks.get(block_hash)


def check_proof(block: AuxBlock, proof: AuxPow, *, chain_id: int, target: int) -> int:
    """Return the hash of the Dash header whose work stands for the block. Raises ProofInvalid."""
    header = read_header(Reader(proof.header))
    parent_hash = header.hash()
    if parent_hash > target:
        raise ProofInvalid(f"the parent's hash {hash_hex(parent_hash)} is above the target {hash_hex(target)}")
    if proof.parent_hash != parent_hash:
        raise ProofInvalid("the parent's hash is another one than that of its header")
    try:
        coinbase = parse_transaction(proof.coinbase)
    except ParseError as error:
        raise ProofInvalid(f"the coinbase cannot be read: {error}") from None
    if not coinbase.is_coinbase:
        raise ProofInvalid("the transaction is no coinbase")
    root = walk_branch(sha256d(proof.coinbase), proof.coinbase_branch)
    if int.from_bytes(root, "little") != header.merkle_root:
        raise ProofInvalid("the coinbase is not in the parent block")
    try:
        commitment = find_commitment(coinbase.inputs[0].script)
        chain_root = walk_branch_indexed(block.hash.to_bytes(32, "little"), proof.chain_branch, proof.slot)
    except ParseError as error:
        raise ProofInvalid(str(error)) from None
    except IndexError:
        raise ProofInvalid(f"slot {proof.slot} lies outside the tree") from None
    if commitment.root != chain_root:
        raise ProofInvalid("the coinbase commits to another root than the chain branch leads to")
    if commitment.size != 1 << len(proof.chain_branch):
        raise ProofInvalid(f"a tree of {commitment.size} with a branch of {len(proof.chain_branch)}")
    expected = slot_of(chain_id, commitment.size, commitment.nonce)
    if proof.slot != expected:
        raise ProofInvalid(f"slot {proof.slot} in place of {expected}")
    return parent_hash


# --- RPC ---------------------------------------------------------------------------------------------------------


class _Methods:
    """The RPC methods over one chain."""

    def __init__(self, chain: AuxChain) -> None:
        self._chain = chain

    def getauxblock(self, block_hash: str | None, auxpow: str | None) -> object:
        """Without arguments: the block to work on. With a hash and an AuxPow: whether it is accepted."""
        if block_hash is None and auxpow is None:
            return self._work()
        if block_hash is None or auxpow is None:
            raise MethodError(INVALID_PARAMETER, "both hash and auxpow, or neither")
        wanted = _block_hash(block_hash)
        try:
            proof = parse_auxpow(bytes.fromhex(auxpow))
        except ParseError as error:
            raise MethodError(DESERIALIZATION_ERROR, f"AuxPow decode failed: {error}") from None
        except ValueError:
            raise MethodError(DESERIALIZATION_ERROR, "AuxPow decode failed: not hexadecimal") from None
        try:
            self._chain.submit(wanted, proof)
        except KeyError:
            raise MethodError(INVALID_PARAMETER, "block hash unknown") from None
        except ProofInvalid:
            return False
        return True

    def _work(self) -> object:
        block = self._chain.candidate()
        return {
            "hash": hash_hex(block.hash),
            "chainid": self._chain.chain_id,
            "previousblockhash": hash_hex(block.header.previous_block),
            "coinbasevalue": COINBASE_VALUE,
            "bits": f"{block.header.bits:08x}",
            "height": block.height,
            "_target": self._chain.target.to_bytes(32, "little").hex(),
        }

    def getblockcount(self) -> object:
        """Return the height of the best block."""
        return self._chain.tip.height

    def getbestblockhash(self) -> object:
        """Return the hash of the best block."""
        return hash_hex(self._chain.tip.hash)

    def getblock(self, block_hash: str) -> object:
        """Return a block: its height, and the Dash block hash that was its work."""
        block = self._chain.block(_block_hash(block_hash))
        if block is None:
            raise MethodError(INVALID_ADDRESS_OR_KEY, "Block not found")
        return {
            "hash": hash_hex(block.hash),
            "height": block.height,
            "confirmations": self._chain.tip.height - block.height + 1,
            "previousblockhash": hash_hex(block.header.previous_block),
            "bits": f"{block.header.bits:08x}",
            "parentblock": optional_hash_hex(block.parent_hash),
        }

    def simnet_findblock(self) -> object:
        """Let another miner find a block. Return its hash."""
        return hash_hex(self._chain.find_elsewhere().hash)


def _block_hash(text: str) -> int:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != 32 or len(text) != 64:
        raise MethodError(INVALID_PARAMETER, "hash must be of length 64 and hexadecimal")
    return int.from_bytes(data, "big")


def build_aux_methods(chain: AuxChain) -> dict[str, Method]:
    """Return the table for a dispatcher."""
    methods = _Methods(chain)
    block_hash = MethodParameter("hash", JsonKind.STRING, True)
    rows: list[tuple[Callable[..., object], tuple[MethodParameter, ...]]] = [
        (
            methods.getauxblock,
            (MethodParameter("hash", JsonKind.STRING), MethodParameter("auxpow", JsonKind.STRING)),
        ),
        (methods.getblockcount, ()),
        (methods.getbestblockhash, ()),
        (methods.getblock, (block_hash,)),
        (methods.simnet_findblock, ()),
    ]
    return {
        handler.__name__: Method(handler.__name__, parameters, handler, (handler.__doc__ or "").strip())
        for handler, parameters in rows
    }


class SimulatedAuxDaemon(Service):
    """The chain behind an RPC port. `rpc_port` is the real port once it listens; `faults` spoils its answers."""

    def __init__(
        self, environment: Environment, chain: AuxChain, *, rpc_port: int, user: str, password: str
    ) -> None:
        self.chain = chain
        self.rpc_port = rpc_port
        self._reactor = reactor = environment.reactor
        self.faults = FaultControls(reactor.seconds)
        dispatcher = RpcDispatcher(build_aux_methods(chain), self.faults, self._sleep)
        self._site = RpcSite(RpcResource(dispatcher, user=user, password=password, sleep=self._sleep), reactor)
        self._port: Any = None

    def startService(self) -> None:
        """Listen on the RPC port. Raises CannotListenError."""
        self._port = self._reactor.listenTCP(self.rpc_port, self._site, interface="127.0.0.1")
        self.rpc_port = int(getattr(self._port.getHost(), "port", self.rpc_port))
        super().startService()  # type: ignore[no-untyped-call]

    async def stopService(self) -> None:
        """Close the port and its connections."""
        super().stopService()  # type: ignore[no-untyped-call]
        port, self._port = self._port, None
        if port is not None:
            closed = port.stopListening()
            if closed is not None:
                await closed
        closing = self._site.close()
        self._site.abort()
        await closing

    async def _sleep(self, seconds: float) -> None:
        sleeping: Deferred[None] = deferLater(self._reactor, seconds, lambda: None)
        await sleeping


# --- command line ------------------------------------------------------------------------------------------------


def _in_range(low: float, high: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
        return value

    parse.__name__ = "number"
    return parse


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line. Ends the process for --help and for errors."""
    parser = argparse.ArgumentParser(
        prog="python -m p2pool.simnet.aux_daemon",
        description="A simulated daemon of an auxiliary chain, for trying merged mining (--merged of the node).",
    )
    add = parser.add_argument
    add("--rpc-port", type=_in_range(0, 65535, int), required=True, help="0 takes any free port")
    add("--rpc-user", default="aux", help="default: %(default)s")
    add("--rpc-password", default="aux", help="default: %(default)s")
    add("--chain-id", type=_in_range(0, MAX_CHAIN_ID, int), default=1, help="default: %(default)s")
    add(
        "--attempts",
        type=_in_range(1, 1e60, float),
        default=2.0**20,
        help="hashes that find a block on average (default: %(default).0f)",
    )
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _describe(block: AuxBlock) -> str:
    found = "by another miner" if block.parent_hash is None else f"with the work of {hash_hex(block.parent_hash)}"
    return f"block {block.height} {hash_hex(block.hash)} found {found}"


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl-C, and return the exit status."""
    options = parse_arguments(arguments)
    # Only a program picks the reactor.
    from twisted.internet import reactor as global_reactor

    reactor = cast(IReactor, global_reactor)
    chain = AuxChain(options.chain_id, options.attempts, reactor.seconds)
    daemon = SimulatedAuxDaemon(
        real_environment(reactor),
        chain,
        rpc_port=options.rpc_port,
        user=options.rpc_user,
        password=options.rpc_password,
    )
    try:
        daemon.startService()
    except CannotListenError as error:
        _say(f"cannot listen on 127.0.0.1:{error.port}: {error.socketError}")
        return 2
    chain.block_connected.subscribe(lambda block: _say(_describe(block)))
    chain.refused.subscribe(lambda reason: _say(f"refused: {reason}"))
    _say(
        f"simulated chain {chain.chain_id}: RPC 127.0.0.1:{daemon.rpc_port}, user {options.rpc_user}, "
        f"target {hash_hex(chain.target)}"
    )
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(daemon.stopService()))
    reactor.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
