"""The JSON-RPC methods of the simulated Dash Core: one small function each. `build_methods` makes the table."""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Iterator
from typing import Protocol

from p2pool.base.errors import ParseError
from p2pool.base.observable import Event
from p2pool.dash.address import AddressError, decode_address, encode_address
from p2pool.dash.script import p2pkh_script, p2sh_script
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.errors import BlockUndecodable
from p2pool.simnet.finder import BLOCK_VERSION
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.long_poll import LongPolls
from p2pool.simnet.render import (
    Json,
    bits_difficulty,
    hash_hex,
    render_block,
    render_header,
    render_mempool,
    render_mempool_info,
    render_template,
    render_transaction,
    render_transaction_in_block,
)
from p2pool.simnet.rpc import (
    DESERIALIZATION_ERROR,
    INTERNAL_ERROR,
    INVALID_ADDRESS_OR_KEY,
    INVALID_PARAMETER,
    MISC_ERROR,
    TYPE_ERROR,
    Kind,
    Method,
    Parameter,
    RpcError,
    kind_of,
)

VERSION = 230102
SUB_VERSION = "/Dash Core:23.1.2/"
_SERVICES = "0000000000001c05"
SERVICE_NAMES = ("NETWORK", "BLOOM", "NETWORK_LIMITED", "HEADERS_COMPRESSED", "P2P_V2")
_HASH_RATE_BLOCKS = 120
_BURIED_FORKS = (
    *("bip34", "bip66", "bip65", "bip147", "csv", "dip0001", "dip0003", "dip0008", "dip0020", "dip0024"),
    *("realloc", "v19", "v20", "mn_rr", "withdrawals"),
)
_NO_TIMEOUT = 9223372036854775807
_SEARCHED_BLOCKS = 100
"""The newest blocks in which a transaction is looked for by its hash alone: there is no index."""


class PeerTable(Protocol):
    """What the p2p side tells about its connections."""

    def render(self) -> list[Json]:
        """Entries of getpeerinfo."""

    def inbound_count(self) -> int:
        """Connections."""


class RpcMethods:
    """The state that methods share. `now` gives Unix time in seconds."""

    def __init__(
        self,
        chain: SimulatedChain,
        chain_name: str,
        now: Callable[[], float],
        long_polls: LongPolls,
        peers: PeerTable,
    ) -> None:
        self._chain = chain
        self._chain_name = chain_name
        self._now = now
        self._long_polls = long_polls
        self._peers = peers
        self._started = now()
        self._addresses = 0
        self.stop_requested: Event[None] = Event()
        """Fires where somebody calls `stop`."""

    # --- mining ----------------------------------------------------------------------------------------

    async def getblocktemplate(self, request: object) -> object:
        """A template, at once or after a long poll; or the verdict on a proposal."""
        options = request if isinstance(request, dict) else {}
        mode = options.get("mode")
        if mode == "proposal":
            return self._propose(options)
        if "mode" in options and mode not in ("template", None):
            raise RpcError(INVALID_PARAMETER, "Invalid mode")
        if "longpollid" in options:
            await self._long_poll(options["longpollid"])
        superblocks = self._chain.rules.superblock_interval > 0
        return render_template(self._chain.template(), BLOCK_VERSION, self._now(), superblocks)

    def submitblock(self, data: str, dummy: object) -> object:
        """Take a block."""
        try:
            return self._chain.submit(_block_bytes(data))
        except BlockUndecodable as error:
            raise RpcError(DESERIALIZATION_ERROR, str(error)) from None

    def getmininginfo(self) -> object:
        """Figures about mining."""
        chain = self._chain
        result: Json = {"blocks": chain.height}
        if chain.last_template is not None:
            result["currentblocksize"] = chain.last_template.size
            result["currentblocktx"] = len(chain.last_template.transactions)
        result |= {
            "difficulty": self.getdifficulty(),
            "networkhashps": self._network_hash_rate(),
            "pooledtx": len(chain.mempool),
            "chain": self._chain_name,
            "warnings": "",
        }
        return result

    def getdifficulty(self) -> object:
        """The tip's difficulty."""
        return bits_difficulty(self._chain.tip.header.bits)

    def _propose(self, options: Json) -> object:
        data = options.get("data")
        if not isinstance(data, str):
            raise RpcError(TYPE_ERROR, "Missing data String key for proposal")
        try:
            return self._chain.propose(_block_bytes(data))
        except BlockUndecodable as error:
            raise RpcError(DESERIALIZATION_ERROR, str(error)) from None

    async def _long_poll(self, identifier: object) -> None:
        if not isinstance(identifier, str):
            await self._long_polls.wait(self._chain.tip_hash, self._chain.mempool.updates)
            return
        watched, counter = identifier[:64], identifier[64:]
        _hash_parameter(watched, "longpollid")
        # Bounded before int(): the digits come from outside.
        updates = int(counter) if counter.isascii() and counter.isdigit() and len(counter) < 20 else 0
        await self._long_polls.wait(watched.lower(), updates)

    def _network_hash_rate(self) -> float:
        tip = self._chain.tip
        first = tip.ancestor(max(0, tip.height - _HASH_RATE_BLOCKS))
        times = [tip.ancestor(height).header.timestamp for height in range(max(1, first.height), tip.height + 1)]
        if len(times) < 2 or max(times) == min(times):
            return 0
        return (tip.work - tip.ancestor(tip.height - len(times) + 1).work) / (max(times) - min(times))

    # --- chain -----------------------------------------------------------------------------------------

    def getblockchaininfo(self) -> object:
        """The state of the chain."""
        chain, tip = self._chain, self._chain.tip
        return {
            "chain": self._chain_name,
            "blocks": tip.height,
            "headers": tip.height,
            "bestblockhash": tip.hash_hex,
            "difficulty": bits_difficulty(tip.header.bits),
            "time": tip.header.timestamp,
            "mediantime": tip.median_time,
            "verificationprogress": 1,
            "initialblockdownload": False,
            "chainwork": hash_hex(tip.work),
            "size_on_disk": chain.store.size,
            "pruned": False,
            "softforks": _softforks(),
            "warnings": "",
        }

    def getblock(self, hash_: str, verbosity: object) -> object:
        """A block: hex, an object, or an object with whole transactions."""
        level = 1 if verbosity is None else verbosity
        if not isinstance(level, (int, float)):
            raise RpcError(TYPE_ERROR, f"JSON value of type {kind_of(level).value} is not of expected type number")
        block = self._block(_hash_parameter(hash_, "blockhash"))
        if level <= 0:
            return self._chain.read(block).raw.hex()
        return render_block(self._chain, block, level >= 2)

    def getblockheader(self, hash_: str, verbose: bool | None) -> object:
        """A header: an object, or hex."""
        block = self._block(_hash_parameter(hash_, "hash"))
        return block.header.pack().hex() if verbose is False else render_header(self._chain, block)

    def getbestblockhash(self) -> object:
        """The tip's hash."""
        return self._chain.tip_hash

    def getblockcount(self) -> object:
        """The tip's height."""
        return self._chain.height

    def getblockhash(self, height: object) -> object:
        """The hash of the best chain's block at a height."""
        if not isinstance(height, int):
            raise RpcError(MISC_ERROR, "JSON integer out of range")
        block = self._chain.active.at(height)
        if block is None:
            raise RpcError(INVALID_PARAMETER, "Block height out of range")
        return block.hash_hex

    def getchaintips(self) -> object:
        """The tips of all branches, the best first."""
        return [
            {
                "height": tip.height,
                "hash": tip.hash_hex,
                "difficulty": bits_difficulty(tip.header.bits),
                "chainwork": hash_hex(tip.work),
                "branchlen": tip.height - fork.height,
                "forkpoint": fork.hash_hex,
                "status": "active" if tip is self._chain.tip else "invalid" if tip.failed else "valid-headers",
            }
            for tip, fork in self._chain.branches()
        ]

    def getbestchainlock(self) -> object:
        """There are no masternodes, so there is none."""
        raise RpcError(INTERNAL_ERROR, "Unable to find any ChainLock")

    def _block(self, hash_: int) -> ChainBlock:
        block = self._chain.find(hash_)
        if block is None:
            raise RpcError(INVALID_ADDRESS_OR_KEY, "Block not found")
        return block

    # --- mempool ---------------------------------------------------------------------------------------

    def getrawmempool(self, verbose: bool | None) -> object:
        """The waiting transactions: hashes, or an object."""
        if verbose:
            return render_mempool(self._chain.mempool)
        return [hash_hex(entry.hash) for entry in self._chain.mempool]

    def getmempoolinfo(self) -> object:
        """Figures about the waiting transactions."""
        return render_mempool_info(self._chain.mempool)

    # --- transactions ----------------------------------------------------------------------------------

    def getrawtransaction(self, txid: str, verbose: object, blockhash: str | None) -> object:
        """A transaction: hex, or an object. Without a block hash one that waits, or of the newest blocks."""
        hash_ = _hash_parameter(txid, "parameter 1")
        if verbose is not None and not isinstance(verbose, (int, float)):
            raise RpcError(TYPE_ERROR, f"JSON value of type {kind_of(verbose).value} is not of expected type bool")
        versions = self._chain.rules.addresses
        if blockhash is None:
            waiting = self._chain.mempool.get(hash_)
            if waiting is not None:
                shown = render_transaction(waiting.transaction, hash_, versions, None) | {"chainlock": False}
                return shown if verbose else waiting.raw.hex()
            blocks = self._newest_blocks()
        else:
            block = self._chain.find(_hash_parameter(blockhash, "parameter 3"))
            if block is None:
                raise RpcError(INVALID_ADDRESS_OR_KEY, "Block hash not found")
            blocks = iter((block,))
        for block in blocks:
            found = render_transaction_in_block(self._chain, block, hash_, blockhash is not None)
            if found is not None:
                return found if verbose else found["hex"]
        where = "transaction found in the provided block" if blockhash else "mempool or blockchain transaction"
        raise RpcError(INVALID_ADDRESS_OR_KEY, f"No such {where}. Use gettransaction for wallet transactions.")

    def _newest_blocks(self) -> Iterator[ChainBlock]:
        block: ChainBlock | None = self._chain.tip
        for _ in range(_SEARCHED_BLOCKS):
            if block is None:
                return
            yield block
            block = block.previous

    # --- network and addresses -------------------------------------------------------------------------

    def getnetworkinfo(self) -> object:
        """Versions and connections."""
        connections = self._peers.inbound_count()
        return {
            "version": VERSION,
            "buildversion": "v23.1.2",
            "subversion": SUB_VERSION,
            "protocolversion": 70240,
            "localservices": _SERVICES,
            "localservicesnames": list(SERVICE_NAMES),
            "localrelay": True,
            "timeoffset": 0,
            "networkactive": True,
            "connections": connections,
            "connections_in": connections,
            "connections_out": 0,
            "connections_mn": 0,
            "connections_mn_in": 0,
            "connections_mn_out": 0,
            "socketevents": "epoll",
            "networks": [_network(name) for name in ("ipv4", "ipv6", "onion", "i2p", "cjdns")],
            "relayfee": 1e-05,
            "incrementalfee": 1e-05,
            "localaddresses": [],
            "warnings": "",
        }

    def getconnectioncount(self) -> object:
        """How many peers are connected."""
        return self._peers.inbound_count()

    def getpeerinfo(self) -> object:
        """The connected peers."""
        return self._peers.render()

    def validateaddress(self, address: str) -> object:
        """Whether a text is an address of this network."""
        try:
            version, hash_bytes = decode_address(address)
        except AddressError:
            return {"isvalid": False, "error": "Invalid address format"}
        versions = self._chain.rules.addresses
        scripts = {versions.pubkey_hash: p2pkh_script, versions.script_hash: p2sh_script}
        if version not in scripts:
            return {"isvalid": False, "error": "Invalid prefix for Base58-encoded address"}
        return {
            "isvalid": True,
            "address": address,
            "scriptPubKey": scripts[version](hash_bytes).hex(),
            "isscript": version == versions.script_hash,
        }

    def getnewaddress(self, label: object) -> object:
        """The next address of a deterministic series; nobody has its keys."""
        self._addresses += 1
        rules = self._chain.rules
        return encode_address(rules.addresses.pubkey_hash, rules.derive(f"address/{self._addresses}")[:20])

    # --- control ---------------------------------------------------------------------------------------

    def uptime(self) -> object:
        """Seconds since the start."""
        return int(self._now() - self._started)

    def stop(self, wait: object) -> object:
        """Ask the owner to end."""
        self.stop_requested.fire(None)
        return "Dash Core stopping"


def _network(name: str) -> Json:
    plain = name in ("ipv4", "ipv6")
    return {
        "name": name,
        "limited": not plain,
        "reachable": plain,
        "proxy": "",
        "proxy_randomize_credentials": False,
    }


def _softforks() -> Json:
    forks: Json = {name: {"type": "buried", "active": True, "height": 1} for name in _BURIED_FORKS}
    state = {"start_time": 0, "timeout": _NO_TIMEOUT, "min_activation_height": 0}
    forks["v24"] = {
        "type": "bip9",
        "bip9": {"status": "defined", **state, "ehf": True, "since": 0},
        "active": False,
    }
    forks["testdummy"] = {
        "type": "bip9",
        "bip9": {"status": "active", **state, "ehf": False, "since": 1},
        "height": 1,
        "active": True,
    }
    return forks


def _block_bytes(text: str) -> bytes:
    try:
        return binascii.unhexlify(text)  # unlike bytes.fromhex it takes no spaces
    except ValueError:
        raise BlockUndecodable("Block decode failed") from None


def _hash_parameter(text: str, name: str) -> int:
    if len(text) != 64:
        raise RpcError(INVALID_PARAMETER, f"{name} must be of length 64 (not {len(text)}, for '{text[:200]}')")
    try:
        if not text.isalnum():
            raise ParseError("not hexadecimal")
        return int(text, 16)
    except ValueError:
        raise RpcError(INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{text}')") from None


def build_methods(methods: RpcMethods) -> dict[str, Method]:
    """The table, `help` included."""
    request = Parameter("template_request", Kind.OBJECT)
    block_hash = Parameter("blockhash", Kind.STRING, required=True)
    rows: list[tuple[Callable[..., object], tuple[Parameter, ...]]] = [
        (methods.getblocktemplate, (request,)),
        (methods.submitblock, (Parameter("hexdata", Kind.STRING, True), Parameter("dummy", Kind.ANY))),
        (methods.getblockchaininfo, ()),
        (methods.getnetworkinfo, ()),
        (methods.getblock, (block_hash, Parameter("verbosity", Kind.ANY))),
        (methods.getblockheader, (block_hash, Parameter("verbose", Kind.BOOL))),
        (methods.getbestblockhash, ()),
        (methods.getblockcount, ()),
        (methods.getblockhash, (Parameter("height", Kind.NUMBER, True),)),
        (methods.getchaintips, ()),
        (methods.validateaddress, (Parameter("address", Kind.STRING, True),)),
        (methods.getmininginfo, ()),
        (methods.getrawmempool, (Parameter("verbose", Kind.BOOL),)),
        (methods.getmempoolinfo, ()),
        (
            methods.getrawtransaction,
            (
                Parameter("txid", Kind.STRING, True),
                Parameter("verbose", Kind.ANY),
                Parameter("blockhash", Kind.STRING),
            ),
        ),
        (methods.getconnectioncount, ()),
        (methods.getpeerinfo, ()),
        (methods.getdifficulty, ()),
        (methods.getnewaddress, (Parameter("label", Kind.STRING),)),
        (methods.getbestchainlock, ()),
        (methods.uptime, ()),
        (methods.stop, (Parameter("wait", Kind.NUMBER),)),
    ]
    table = {
        handler.__name__: Method(handler.__name__, parameters, handler, (handler.__doc__ or "").strip())
        for handler, parameters in rows
    }
    add_help(table)
    return table


def add_help(table: dict[str, Method]) -> None:
    """Add `help`, which lists the table as it is when it is called."""

    def help_(command: str | None) -> object:
        """All methods, or one."""
        if command is None:
            return "\n".join(sorted(table))
        if command not in table:
            return f"help: unknown command: {json.dumps(command)}\n"
        return table[command].usage

    table["help"] = Method("help", (Parameter("command", Kind.STRING),), help_, "All methods, or one.")
