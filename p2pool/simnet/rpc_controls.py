"""The `simnet_*` methods: what tests and operators make the simulated network do, and its faults."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.hashes import hash_hex
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.clock import ShiftedClock
from p2pool.simnet.errors import TransactionRefused
from p2pool.simnet.faults import ErrorKind, FaultControls
from p2pool.simnet.finder import BlockFinder, FinderBusy
from p2pool.simnet.p2p_dialler import PeerDialler, TooManyPeers
from p2pool.simnet.p2p_server import P2pServer
from p2pool.simnet.parameters import MAX_CONNECT
from p2pool.simnet.peer_name import parse_peer_name
from p2pool.simnet.rpc import (
    INVALID_PARAMETER,
    MISC_ERROR,
    VERIFY_REJECTED,
    JsonKind,
    Method,
    MethodError,
    MethodParameter,
    Row,
    make_methods,
)
from p2pool.simnet.rpc_arguments import find_block, hash_argument
from p2pool.simnet.status import NodeStatus
from p2pool.simnet.transactions import TransactionMaker

_LONGEST_FAULT = 3600.0
_LARGEST_OFFSET = 10 * 365 * 24 * 3600.0
_MOST_ERRORS = 10_000
_MOST_TRANSACTIONS = 200
_LONGEST_WARNING = 1000


@dataclass(frozen=True, slots=True)
class Controlled:
    """What the controls reach of one simulated daemon."""

    chain: SimulatedChain
    finder: BlockFinder
    faults: FaultControls
    transactions: TransactionMaker
    status: NodeStatus
    clock: ShiftedClock
    p2p: P2pServer
    dialler: PeerDialler


class RpcControls:
    """The controls over one daemon."""

    def __init__(self, controlled: Controlled) -> None:
        self._of = controlled

    def rows(self) -> list[Row]:
        """Return the methods with their parameters."""
        count, seconds = (
            MethodParameter("count", JsonKind.NUMBER),
            MethodParameter("seconds", JsonKind.NUMBER, True),
        )
        on, peer = MethodParameter("on", JsonKind.BOOL, True), MethodParameter("peer", JsonKind.STRING, True)
        return [
            (self.simnet_findblock, (count, MethodParameter("fork_depth", JsonKind.NUMBER))),
            (self.simnet_sendtx, (count,)),
            (
                self.simnet_special,
                (MethodParameter("type", JsonKind.NUMBER, True), MethodParameter("index", JsonKind.NUMBER)),
            ),
            (self.simnet_chainlock, (MethodParameter("blockhash", JsonKind.STRING),)),
            (self.simnet_silence, (seconds,)),
            (
                self.simnet_error,
                (MethodParameter("calls", JsonKind.NUMBER), MethodParameter("kind", JsonKind.STRING)),
            ),
            (self.simnet_warmup, (seconds,)),
            (self.simnet_delay, (seconds,)),
            (self.simnet_warnings, (MethodParameter("text", JsonKind.STRING, True),)),
            (self.simnet_syncing, (on,)),
            (self.simnet_freeze_tip, (on,)),
            (self.simnet_clock_offset, (seconds,)),
            (self.simnet_connect, (peer,)),
            (self.simnet_disconnect, (peer,)),
        ]

    # --- the network -----------------------------------------------------------------------------------

    async def simnet_findblock(self, count: object, fork_depth: object) -> object:
        """Let the rest of the network find blocks, the first on the block fork_depth below the tip. Return
        their hashes."""
        try:
            return await self._of.finder.find(_whole(count, "count", 1), _whole(fork_depth, "fork_depth", 0))
        except FinderBusy:
            raise MethodError(MISC_ERROR, "A search for a block is under way") from None
        except ValueError as error:
            raise MethodError(INVALID_PARAMETER, str(error)) from None

    def simnet_sendtx(self, count: object) -> object:
        """Make transactions now; their hashes (fewer if the mempool is full)."""
        number = int(_bounded(_whole(count, "count", 1), "count", least=0, most=_MOST_TRANSACTIONS))
        made = [self._of.transactions.make() for _ in range(number)]
        return [hash_hex(entry.hash) for entry in made if entry is not None]

    def simnet_special(self, kind: object, index: object) -> object:
        """Make a special transaction: an asset unlock (type 9; index names the withdrawal; one that waits is
        signed again) or one of types 1 to 4 and, under the rules of Dash Core 24, 10 to 12; its hash."""
        number = int(_bounded(_whole(kind, "type", 0), "type", least=1, most=0xFFFF))
        withdrawal = int(_bounded(_whole(index, "index", 0), "index", least=0, most=2**63))
        try:
            return hash_hex(self._of.transactions.make_special(number, withdrawal).hash)
        except TransactionRefused as error:
            raise MethodError(VERIFY_REJECTED, error.reason) from None

    def simnet_chainlock(self, blockhash: str | None) -> object:
        """Give a block of the best chain (default: the tip) a ChainLock, and with it those below; its hash."""
        chain = self._of.chain
        block = chain.tip if blockhash is None else find_block(chain, hash_argument(blockhash, "blockhash"))
        try:
            chain.lock(block)
        except ValueError as error:
            raise MethodError(INVALID_PARAMETER, str(error)) from None
        return block.hash_hex

    # --- faults ----------------------------------------------------------------------------------------

    def simnet_silence(self, seconds: float) -> object:
        """Accept calls and answer nothing for so many seconds."""
        self._of.faults.silence(_bounded(seconds, "seconds", least=0, most=_LONGEST_FAULT))
        return None

    def simnet_error(self, calls: object, kind: object) -> object:
        """Fail the next calls: internal (-32603), warmup (-28), notconnected (-9) or initialdownload (-10)."""
        try:
            error = ErrorKind.INTERNAL if kind is None else ErrorKind(kind)
        except ValueError:
            kinds = ", ".join(each.value for each in ErrorKind)
            raise MethodError(INVALID_PARAMETER, f"kind must be one of {kinds}") from None
        self._of.faults.fail(int(_bounded(_whole(calls, "calls", 1), "calls", least=0, most=_MOST_ERRORS)), error)
        return None

    def simnet_warmup(self, seconds: float) -> object:
        """Fail all calls for so many seconds with the texts of a daemon that starts (-28)."""
        self._of.faults.warm_up(_bounded(seconds, "seconds", least=0, most=_LONGEST_FAULT))
        return None

    def simnet_delay(self, seconds: float) -> object:
        """Answer every call so many seconds late; 0 ends it."""
        self._of.faults.delay(_bounded(seconds, "seconds", least=0, most=_LONGEST_FAULT))
        return None

    def simnet_warnings(self, text: str) -> object:
        """Warn of something in getblockchaininfo, getnetworkinfo and getmininginfo; an empty text ends it."""
        if len(text) > _LONGEST_WARNING:
            raise MethodError(INVALID_PARAMETER, f"text must have at most {_LONGEST_WARNING} characters")
        self._of.status.warnings = text
        return None

    def simnet_syncing(self, on: bool) -> object:
        """Say that the initial download of blocks is, or is no longer, under way."""
        self._of.status.initial_download = on
        return None

    def simnet_freeze_tip(self, on: bool) -> object:
        """Judge blocks but take none until it is switched off; then ask peers for what was missed."""
        self._of.chain.frozen = on
        if not on:
            self._of.p2p.synchronise()
        return None

    def simnet_clock_offset(self, seconds: float) -> object:
        """Be wrong about the time by so many seconds, ahead or (negative) behind; 0 ends it."""
        self._of.clock.offset = _bounded(seconds, "seconds", least=-_LARGEST_OFFSET, most=_LARGEST_OFFSET)
        return None

    # --- other daemons ---------------------------------------------------------------------------------

    def simnet_connect(self, peer: str) -> object:
        """Connect to another daemon's p2p port (host:port), again whenever it breaks, and follow its chain."""
        try:
            self._of.dialler.add(*_peer(peer))
        except TooManyPeers:
            raise MethodError(MISC_ERROR, f"at most {MAX_CONNECT} other daemons can be connected to") from None
        return None

    def simnet_disconnect(self, peer: str) -> object:
        """Disconnect from a daemon that was given to simnet_connect; whether it was known."""
        return self._of.dialler.remove(*_peer(peer))


def _peer(text: str) -> tuple[str, int]:
    try:
        return parse_peer_name(text)
    except ValueError as error:
        raise MethodError(INVALID_PARAMETER, str(error)) from None


def _whole(value: object, name: str, default: int) -> int:
    if value is None:
        return default
    if not isinstance(value, int):
        raise MethodError(INVALID_PARAMETER, f"{name} must be a whole number")
    return value


def _bounded(value: float, name: str, *, least: float, most: float) -> float:
    if not least <= value <= most:
        raise MethodError(INVALID_PARAMETER, f"{name} must be between {least:g} and {most:g}")
    return value


def add_controls(table: dict[str, Method], controls: RpcControls) -> None:
    """Add the methods to a table of methods."""
    table.update(make_methods(controls.rows()))
