"""One Dash Core as the pool of daemons sees it: its health, its templates, and requests about blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from p2pool.base.errors import ParseError
from p2pool.base.text import excerpt, printable
from p2pool.dash.block import BlockHeader, read_header
from p2pool.dash.hashes import hash_hex
from p2pool.dashd.block_notifications import NotificationSource
from p2pool.dashd.facts import DaemonFacts
from p2pool.dashd.found_block import hex_of
from p2pool.dashd.rpc import BLOCK_NOT_FOUND, Caller, RpcError, RpcUnavailable
from p2pool.dashd.service import DashdService
from p2pool.dashd.template import BlockTemplate
from p2pool.wire.codec import Reader

SUBMIT_TIMEOUT = 60.0
POSITION_TIMEOUT = 5.0
RESPONSIVE = 1.0
"""Seconds within which a healthy daemon answers a heartbeat."""
FRESH = 30.0
"""Seconds for which the work of a daemon that no longer answers still counts as the newest, if it is higher than
that of the others."""
MAX_PEERS_READ = 1000


@dataclass(frozen=True, slots=True)
class BlockPosition:
    """Where a block is: 1 confirmation at the tip, -1 on a side branch, 0 if the daemon does not know it."""

    confirmations: int
    chainlocked: bool


class BlockLink(Protocol):
    """A connection that takes found blocks without an answer."""

    def send_block(self, data: bytes) -> int:
        """Send a block. Return how many connections took it; one that was sent it before is not sent it again."""


class Daemon:
    """What the pool of daemons knows of one. `name` is its address without credentials."""

    def __init__(self, name: str, rpc: Caller, service: DashdService, *, clock: Callable[[], float]) -> None:
        self.name = name
        self.rpc = rpc
        self.service = service
        self.link: BlockLink | None = None
        self.stuck: str | None = None
        """Why it counts as failed though it answers; the pool decides."""
        self.outdated: str | None = None
        """Why it must not serve at all: it follows outdated rules, as another daemon shows; the pool decides."""
        self._clock = clock

    # --- health ------------------------------------------------------------------------------------------

    @property
    def template(self) -> BlockTemplate | None:
        """Return the newest template that it gave; None before the first."""
        return self.service.current

    @property
    def facts(self) -> DaemonFacts | None:
        """Return what it last reported of itself."""
        return self.service.facts

    @property
    def height(self) -> int:
        """Return the height of the block that its work builds on; -1 without any."""
        return -1 if self.template is None else self.template.height - 1

    @property
    def problem(self) -> str | None:
        """Return what is wrong, for people; None while all is well."""
        return self.service.problem or self.outdated or self.stuck

    @property
    def responsive(self) -> bool:
        """Return whether it answers as fast as a healthy one."""
        return self.problem is None and self.service.delay < RESPONSIVE

    def rank(self) -> tuple[int, bool, bool]:
        """Return what makes it better than another: newer work, then being healthy, then being quick. Work of a
        daemon with outdated rules counts as none, however new it is."""
        last, height = self.service.last_answer, self.height
        if self.outdated is not None:
            return -1, False, False
        if not self.responsive and (last is None or abs(self._clock() - last) > FRESH):
            height = -1
        return height, self.problem is None, self.responsive

    def refresh(self) -> None:
        """Ask for a template now."""
        self.service.refresh()

    def announced(self, source: NotificationSource, block_hash: int) -> None:
        """Handle the announcement of a block."""
        self.service.announced(source, block_hash)

    # --- blocks ------------------------------------------------------------------------------------------

    async def submit_block(self, data: bytes) -> str | None:
        """Submit a block. Return None if it is accepted, else the reason. Raises RpcError, RpcUnavailable."""
        result = await self.rpc.call("submitblock", hex_of(data), timeout=SUBMIT_TIMEOUT)
        if result is None:
            return None
        return printable(result, 200) if isinstance(result, str) else excerpt(result)

    async def block_position(self, block_hash: int) -> BlockPosition | None:
        """Return the position of a block; None if the daemon does not answer."""
        try:
            header = await self.rpc.call("getblockheader", hash_hex(block_hash), timeout=POSITION_TIMEOUT)
        except RpcError as error:
            return BlockPosition(0, False) if error.code == BLOCK_NOT_FOUND else None
        except RpcUnavailable:
            return None
        depth = header.get("confirmations") if isinstance(header, dict) else None
        if not isinstance(depth, int) or isinstance(depth, bool):
            return None
        return BlockPosition(depth, header.get("chainlock") is True)

    async def block_at(self, height: int) -> int | None:
        """Return the hash of the best chain's block at a height; None if the daemon does not answer."""
        try:
            answer = await self.rpc.call("getblockhash", height)
            return int(answer, 16) if isinstance(answer, str) and len(answer) == 64 else None
        except (RpcError, RpcUnavailable, ValueError):
            return None

    async def block_header(self, block_hash: int) -> BlockHeader:
        """Return the header of a block that it knows. Raises RpcError, RpcUnavailable, ParseError."""
        answer = await self.rpc.call("getblockheader", hash_hex(block_hash), False)
        try:
            reader = Reader(bytes.fromhex(answer))
        except (TypeError, ValueError):
            raise ParseError(f"getblockheader: {excerpt(answer)} is not hexadecimal") from None
        header = read_header(reader)
        reader.expect_end()
        return header

    async def network_peers(self) -> list[str]:
        """Return host:port of the nodes that it connected to itself. Raises RpcError, RpcUnavailable."""
        answer: Any = await self.rpc.call("getpeerinfo")
        entries = answer[:MAX_PEERS_READ] if isinstance(answer, list) else []
        return [
            entry["addr"]
            for entry in entries
            if isinstance(entry, dict) and isinstance(entry.get("addr"), str) and entry.get("inbound") is False
        ]
