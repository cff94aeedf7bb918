"""RPC methods about mining: templates, found blocks, difficulty, fees."""

from __future__ import annotations

from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.context import NodeContext
from p2pool.simnet.deployments import template_signals
from p2pool.simnet.errors import BlockUndecodable
from p2pool.simnet.render import Json, bits_difficulty, dash, render_template
from p2pool.simnet.rpc import (
    DESERIALIZATION_ERROR,
    IN_INITIAL_DOWNLOAD,
    INVALID_PARAMETER,
    NOT_CONNECTED,
    TYPE_ERROR,
    JsonKind,
    MethodError,
    MethodParameter,
    Row,
)
from p2pool.simnet.rpc_arguments import block_bytes, hash_argument, whole_number

_HASH_RATE_BLOCKS = 120
_LONGEST_FEE_TARGET = 1008
_FEE_BLOCKS = 100
"""The newest blocks whose fees an estimate is made from."""


class MiningMethods:
    """Methods that miners and pools call."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._chain = context.chain

    def rows(self) -> list[Row]:
        """Return the methods with their parameters."""
        number = JsonKind.NUMBER
        return [
            (self.getblocktemplate, (MethodParameter("template_request", JsonKind.OBJECT),)),
            (
                self.submitblock,
                (MethodParameter("hexdata", JsonKind.STRING, True), MethodParameter("dummy", JsonKind.ANY)),
            ),
            (self.getmininginfo, ()),
            (self.getnetworkhashps, (MethodParameter("nblocks", number), MethodParameter("height", number))),
            (
                self.estimatesmartfee,
                (MethodParameter("conf_target", number, True), MethodParameter("estimate_mode", JsonKind.STRING)),
            ),
        ]

    async def getblocktemplate(self, request: object) -> object:
        """Return a template, at once or after a long poll; or the verdict on a proposal."""
        options = request if isinstance(request, dict) else {}
        mode = options.get("mode")
        if mode == "proposal":
            return self._propose(options)
        if "mode" in options and mode not in ("template", None):
            raise MethodError(INVALID_PARAMETER, "Invalid mode")
        self._check_ready()
        if "longpollid" in options:
            await self._long_poll(options["longpollid"])
        chain = self._chain
        context = self._context
        signals = template_signals(context.is_main, chain.height, context.signalling)
        superblocks = chain.rules.superblock_interval > 0
        return render_template(chain.template(), signals, context.clock.now(), superblocks=superblocks)

    def submitblock(self, data: str, dummy: object) -> object:
        """Take a block into the chain."""
        try:
            return self._chain.submit(block_bytes(data))
        except BlockUndecodable as error:
            raise MethodError(DESERIALIZATION_ERROR, str(error)) from None

    def getmininginfo(self) -> object:
        """Return figures about mining."""
        chain = self._chain
        result: Json = {"blocks": chain.height}
        if chain.last_template is not None:
            result["currentblocksize"] = chain.last_template.size
            result["currentblocktx"] = len(chain.last_template.transactions)
        result |= {
            "difficulty": bits_difficulty(chain.tip.header.bits),
            "networkhashps": _network_hash_rate(chain, _HASH_RATE_BLOCKS, chain.height),
            "pooledtx": len(chain.mempool),
            "chain": self._context.chain_name,
            "warnings": self._context.status.warnings,
        }
        return result

    def getnetworkhashps(self, nblocks: object, height: object) -> object:
        """Hashes per second that the network does, from the last `nblocks` blocks up to `height`."""
        blocks, last = whole_number(nblocks, _HASH_RATE_BLOCKS), whole_number(height, -1)
        if not 0 <= last < self._chain.height:
            last = self._chain.height
        return _network_hash_rate(self._chain, blocks if blocks > 0 else _HASH_RATE_BLOCKS, last)

    def estimatesmartfee(self, conf_target: object, estimate_mode: object) -> object:
        """Return the fee for a confirmation within so many blocks: what the newest blocks were paid for a
        kilobyte."""
        target = whole_number(conf_target, 0)
        if not 1 <= target <= _LONGEST_FEE_TARGET:
            raise MethodError(
                INVALID_PARAMETER, f"Invalid conf_target, must be between 1 and {_LONGEST_FEE_TARGET}"
            )
        rate = self._fee_rate()
        if rate is None:
            return {"errors": ["Insufficient data or no feerate found"], "blocks": 0}
        return {"feerate": dash(rate), "blocks": max(target, 2)}

    def _check_ready(self) -> None:
        """What keeps a daemon from giving templates: captures 70 for the main network, 71 for test networks."""
        context = self._context
        if context.is_main and context.connection_count == 0:
            raise MethodError(NOT_CONNECTED, "Dash Core is not connected!")
        if not context.status.initial_download:
            return
        if context.is_main:
            raise MethodError(IN_INITIAL_DOWNLOAD, "Dash Core is in initial sync and waiting for blocks...")
        if self._chain.economy.is_superblock(self._chain.height + 1):
            raise MethodError(IN_INITIAL_DOWNLOAD, "Dash Core is syncing with network...")

    def _propose(self, options: Json) -> object:
        data = options.get("data")
        if not isinstance(data, str):
            raise MethodError(TYPE_ERROR, "Missing data String key for proposal")
        try:
            return self._chain.propose(block_bytes(data))
        except BlockUndecodable as error:
            raise MethodError(DESERIALIZATION_ERROR, str(error)) from None

    async def _long_poll(self, identifier: object) -> None:
        long_polls = self._context.long_polls
        if not isinstance(identifier, str):
            await long_polls.wait(self._chain.tip_hash, self._chain.mempool.updates)
            return
        watched, counter = identifier[:64], identifier[64:]
        hash_argument(watched, "longpollid")
        # Bounded before int(): the digits come from outside.
        updates = int(counter) if counter.isascii() and counter.isdigit() and len(counter) < 20 else 0
        await long_polls.wait(watched.lower(), updates)

    def _fee_rate(self) -> int | None:
        """Duffs a kilobyte; None if no transaction paid a fee of late."""
        fees = size = 0
        block = self._chain.tip
        for _ in range(_FEE_BLOCKS):
            paid = sum(self._chain.fees(block) or ())
            if paid:
                fees += paid
                size += block.size
            if block.previous is None:
                break
            block = block.previous
        return fees * 1000 // size if fees else None


def _network_hash_rate(chain: SimulatedChain, blocks: int, height: int) -> float:
    last = chain.tip.ancestor(height)
    first = max(1, height - blocks)
    times = [last.ancestor(each).header.timestamp for each in range(first, height + 1)]
    if len(times) < 2 or max(times) == min(times):
        return 0
    return (last.work - last.ancestor(first).work) / (max(times) - min(times))
