"""The log lines about found blocks: what became of each, with its height and hash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twisted.logger import Logger

from p2pool.base.text import excerpt
from p2pool.dash.hashes import hash_hex
from p2pool.dashd.delivery import BlockDaemon
from p2pool.dashd.found_block import FoundBlock
from p2pool.pool_stats import BlockRecord

_log = Logger(namespace="p2pool.blocks")

BEATEN = "another block at its height came first"


def log_accepted(block: FoundBlock, name: str) -> None:
    """Log that a daemon accepted a block."""
    _log.info("block {height} {block_hash} accepted by dashd at {name}", **_named(block), name=name)


def log_known(block: FoundBlock, name: str, answer: str) -> None:
    """Log that a daemon had a block already, perhaps on a side branch."""
    _log.debug(
        "dashd at {name} already has block {height} ({answer})", height=block.height, name=name, answer=answer
    )


def log_refused(block: FoundBlock, name: str, answer: str) -> None:
    """Log that a daemon refused a block."""
    _log.error(
        "block {height} {block_hash} REJECTED by dashd at {name}: {answer}",
        **_named(block),
        name=name,
        answer=answer,
    )


def log_unclear(block: FoundBlock, name: str, answer: str) -> None:
    """Log an answer without a verdict."""
    _log.error(
        "block {height} {block_hash}: dashd at {name} answered {answer}, which is not a known verdict; retrying "
        "until the chain shows the block's fate",
        **_named(block),
        name=name,
        answer=excerpt(answer),
    )


def log_not_answered(block: FoundBlock, name: str, trouble: str) -> None:
    """Log that a daemon did not answer."""
    _log.warn(
        "cannot submit block {height} to dashd at {name}: {trouble}; retrying",
        height=block.height,
        name=name,
        trouble=trouble.removeprefix(f"{name}: ").removeprefix(f"{name} "),
    )


def log_not_submitted(block: FoundBlock) -> None:
    """Log that no daemon answered."""
    _log.error(
        "block {height} {block_hash} NOT YET SUBMITTED: no dashd has accepted it; retrying until one does, also "
        "after a restart. Check that dashd is running",
        **_named(block),
    )


def log_sent_over_p2p(block: FoundBlock, count: int) -> None:
    """Log on how many connections a block was sent besides RPC."""
    _log.info("block {height} was also sent over p2p, on {count} connections", height=block.height, count=count)


def log_postponed(block: FoundBlock, count: int) -> None:
    """Log that a block waits for the next start, since `count` are under way."""
    _log.error(
        "{count} found blocks are not settled yet; the oldest, block {height}, stays on disk and is sent "
        "again at the next start",
        count=count,
        height=block.height,
    )


def log_in_chain_after_all(block: FoundBlock, objections: Mapping[BlockDaemon, str]) -> None:
    """Log that the chain has a block of which an earlier line said otherwise."""
    _log.info(
        "block {height} {block_hash} is in the chain after all{why}",
        **_named(block),
        why="".join(f"; dashd at {daemon.name} said {text}" for daemon, text in objections.items()),
    )


def log_beaten(block: FoundBlock) -> None:
    """Log that a block is on a side branch; the next block decides."""
    _log.warn("block {height} {block_hash} is valid, but " + BEATEN, **_named(block))


def log_lost(block: FoundBlock, reason: str, kept: Path | None) -> None:
    """Log that all daemons refused a block; `kept` is its file."""
    _log.error(
        "block {height} {block_hash} is LOST: {reason}; {kept}",
        **_named(block),
        reason=reason,
        kept=f"it is saved in {kept}" if kept else "it could not be saved to disk",
    )


def log_orphaned(block: FoundBlock | BlockRecord, reason: str) -> None:
    """Log that another block is in the chain at a block's height."""
    _log.warn("block {height} {block_hash} is orphaned: {reason}", **_named(block), reason=reason)


def log_change(record: BlockRecord, what: str) -> None:
    """Log what became of a block since it was settled."""
    _log.info("block {height} {block_hash} {what}", **_named(record), what=what)


def _named(block: FoundBlock | BlockRecord) -> dict[str, object]:
    return {"height": block.height, "block_hash": hash_hex(block.block_hash)}
