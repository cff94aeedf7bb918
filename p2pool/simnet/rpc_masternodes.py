"""RPC methods about masternodes, quorums, sporks and governance."""

from __future__ import annotations

from collections.abc import Callable

from p2pool.simnet.context import NodeContext
from p2pool.simnet.economy import MASTERNODES
from p2pool.simnet.governance import (
    Masternode,
    masternodes,
    render_masternode,
    render_objects,
    render_payments,
    superblock_heights,
)
from p2pool.simnet.render import Json, dash
from p2pool.simnet.rpc import INVALID_PARAMETER, METHOD_NOT_FOUND, JsonKind, MethodError, MethodParameter, Row
from p2pool.simnet.rpc_arguments import find_block, hash_argument

_QUORUM_TYPES = ("llmq_test", "llmq_test_v17", "llmq_test_dip0024", "llmq_test_platform")
_SPORK_OFF = 4070908800
"""A time far ahead: what is not switched on begins then."""
_SPORK_ON = 0
_SPORKS = (
    "SPORK_2_INSTANTSEND_ENABLED",
    "SPORK_3_INSTANTSEND_BLOCK_FILTERING",
    "SPORK_9_SUPERBLOCKS_ENABLED",
    "SPORK_17_QUORUM_DKG_ENABLED",
    "SPORK_19_CHAINLOCKS_ENABLED",
    "SPORK_21_QUORUM_ALL_CONNECTED",
    "SPORK_23_QUORUM_POSE",
)
_MOST_PAYMENTS = 100
_DEFAULT_WINNERS = 10
_MOST_WINNERS = 1000


class MasternodeMethods:
    """Methods with a first argument that names what is requested. Those that change anything do not exist."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._chain = context.chain
        self._started = context.clock.now()

    def rows(self) -> list[Row]:
        """Return the methods with their parameters."""
        text = JsonKind.STRING
        command, first = MethodParameter("command", text), MethodParameter("argument", JsonKind.ANY)
        return [
            (self.masternode, (command, first, MethodParameter("count", JsonKind.ANY))),
            (self.mnsync, (command,)),
            (self.quorum, (command, first)),
            (self.spork, (command,)),
            (self.gobject, (command, first, MethodParameter("type", JsonKind.ANY))),
            (self.getgovernanceinfo, ()),
            (self.getsuperblockbudget, (MethodParameter("index", JsonKind.NUMBER, True),)),
        ]

    def masternode(self, command: str | None, argument: object, count: object) -> object:
        """count, list, payments ( blockhash count ) or winners ( count )."""
        commands: dict[str, Callable[[], object]] = {
            "count": self._count,
            "list": lambda: {each.outpoint: render_masternode(self._chain, each) for each in self._all()},
            "payments": lambda: self._payments(argument, count),
            "winners": lambda: self._winners(argument),
        }
        return _run("masternode", command, commands)

    def mnsync(self, command: str | None) -> object:
        """status: how far the synchronisation is."""
        return _run("mnsync", command, {"status": self._sync_status})

    def quorum(self, command: str | None, argument: object) -> object:
        """list: the quorums by their types; there are none."""
        return _run("quorum", command, {"list": lambda: {name: [] for name in _QUORUM_TYPES}})

    def spork(self, command: str | None) -> object:
        """show: since when each spork is in force."""
        on = {
            "SPORK_9_SUPERBLOCKS_ENABLED": self._chain.rules.superblock_interval > 0,
            "SPORK_19_CHAINLOCKS_ENABLED": self._chain.chainlock is not None,
        }
        values = {name: _SPORK_ON if on.get(name) else _SPORK_OFF for name in _SPORKS}
        return _run("spork", command, {"show": lambda: values})

    def gobject(self, command: str | None, argument: object, type_: object) -> object:
        """list: the next superblock's trigger and its proposals."""
        return _run("gobject", command, {"list": lambda: render_objects(self._chain)})

    def getgovernanceinfo(self) -> object:
        """When superblocks are, and what they may pay."""
        rules = self._chain.rules
        last, following = superblock_heights(rules, self._chain.height)
        return {
            "governanceminquorum": 1,
            "proposalfee": dash(100_000_000),
            "superblockcycle": rules.superblock_interval,
            "superblockmaturitywindow": rules.superblock_interval // 2,
            "lastsuperblock": last,
            "nextsuperblock": following,
            "fundingthreshold": MASTERNODES // 10,
            "governancebudget": self._budget(following),
        }

    def getsuperblockbudget(self, index: object) -> object:
        """Return what the superblock at a height may pay at most."""
        if not isinstance(index, int) or not self._chain.economy.is_superblock(index):
            raise MethodError(INVALID_PARAMETER, "Invalid block height")
        return self._budget(index)

    def _budget(self, height: int) -> float:
        return dash(sum(payee.amount for payee in self._chain.economy.superblock_payees(height)))

    def _all(self) -> list[Masternode]:
        return masternodes(self._chain)

    def _count(self) -> Json:
        present, absent = {"total": MASTERNODES, "enabled": MASTERNODES}, {"total": 0, "enabled": 0}
        return {**present, "detailed": {"regular": present, "evo": absent}}

    def _payments(self, block_hash: object, count: object) -> list[Json]:
        """Of `count` blocks down from the given one (default the tip), newest last."""
        block = self._chain.tip
        if block_hash is not None:
            block = find_block(self._chain, hash_argument(str(block_hash), "blockhash"))
        number = min(_count_argument(count, 1), _MOST_PAYMENTS, block.height + 1)
        heights = range(block.height - number + 1, block.height + 1)
        return [render_payments(self._chain, block.ancestor(height)) for height in heights]

    def _winners(self, count: object) -> Json:
        """Return who was and will be paid: so many blocks back, and one turn of all masternodes ahead."""
        height = self._chain.height
        first = max(1, height - min(_count_argument(count, _DEFAULT_WINNERS), _MOST_WINNERS))
        all_ = self._all()
        return {str(at): all_[at % MASTERNODES].payee for at in range(first, height + MASTERNODES + 1)}

    def _sync_status(self) -> Json:
        synced = not self._context.status.initial_download
        return {
            "AssetID": 999 if synced else 1,
            "AssetName": "MASTERNODE_SYNC_FINISHED" if synced else "MASTERNODE_SYNC_BLOCKCHAIN",
            "AssetStartTime": int(self._started),
            "Attempt": 0,
            "IsBlockchainSynced": synced,
            "IsSynced": synced,
        }


def _run(method: str, command: str | None, commands: dict[str, Callable[[], object]]) -> object:
    action = commands.get(command or "")
    if action is None:
        raise MethodError(METHOD_NOT_FOUND, f"Method not found: {method} knows {', '.join(commands)} here")
    return action()


def _count_argument(value: object, default: int) -> int:
    """Return a count that Dash Core takes as text or as a number."""
    if value is None:
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise MethodError(INVALID_PARAMETER, "the count must be a whole number")
