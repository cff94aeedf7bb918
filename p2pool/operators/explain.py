"""`p2pool-dash explain SHARE|BLOCK|ADDRESS`: what the running node knows of it, in words."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from p2pool.base.errors import OperatorError
from p2pool.base.text import format_rate, printable
from p2pool.operators.arguments import read_arguments
from p2pool.operators.cells import safe
from p2pool.operators.node_api import NodeApi, NotFound, node_api, understood

_HASH: Final = re.compile("[0-9a-fA-F]{64}")
_HEIGHT: Final = re.compile("[0-9]{1,9}")
_BLOCKS_AT_ONCE: Final = 200
_MOST_BLOCKS: Final = 10_000
"""Blocks, newest first, among which one is looked for."""
_MEANINGS: Final = {
    "sent": "it was sent to Dash Core, whose answer is pending",
    "accepted": "Dash Core accepted it; its coins can be spent after 100 confirmations",
    "confirmed": "it is buried in the chain, and its coins can be spent",
    "orphaned": "another block is in its place, so it pays nobody",
    "refused": "every Dash Core rejected it, so it pays nobody",
}


def explain(arguments: Sequence[str], default_datadir: Path) -> int:
    """Print what the node knows. Return 0. Raises OperatorError, also if it knows nothing of it."""
    given = read_arguments("explain", arguments, default_datadir)
    api = node_api(given)
    with understood(api):
        lines = explained(api, given.words[0])
    for line in lines:
        sys.stdout.write(f"{safe(line)}\n")
    return 0


def explained(api: NodeApi, subject: str) -> list[str]:
    """Return the lines about the hash of a share or block, the height of a block, or an address. Raises
    OperatorError."""
    if _HASH.fullmatch(subject):
        lines = [*_share(api, subject.lower()), *_block(api, "hash", subject.lower())]
    elif _HEIGHT.fullmatch(subject):
        lines = list(_block(api, "height", int(subject)))
    else:
        lines = list(_address(api.get("addresses", subject)))
    if not lines:
        raise OperatorError(f"the node knows no share and no block of the pool that is {printable(subject)}", 1)
    return lines


def _share(api: NodeApi, share_hash: str) -> Iterator[str]:
    try:
        share = api.get("shares", share_hash)
    except NotFound:
        return
    yield f"share {share['hash']}"
    yield f"  found {_time(share['time_found'])}, at height {share['height']} of the share chain"
    yield f"  pays {share['address']}, with difficulty {share['difficulty']:.4g}; donates {share['donation']:.1%}"
    source = share["received_from"]
    yield "  " + ("found here, or loaded from disk" if source is None else f"received from {source}")
    state = "its proof of work and payouts were verified" if share["verified"] else "not verified yet"
    yield f"  {state}; it votes for share version {share['desired_version']}"
    if share["stale_info"] is not None:
        yield f"  it reports that work before it was lost ({share['stale_info']})"
    yield f"  {_position(api, share)}"
    if share["is_block"]:
        yield "  it is also a block of Dash"


def _position(api: NodeApi, share: Mapping[str, Any]) -> str:
    """Return what builds on a share."""
    if share["children"]:
        return f"{len(share['children'])} shares build on it, the first is {share['children'][0]}"
    if api.get("pool")["best_share"] == share["hash"]:
        return "it is the best share: work builds on it now"
    return "no share builds on it, and it is not the best one: it is an orphan, and does not count for payouts"


def _block(api: NodeApi, key: str, value: str | int) -> Iterator[str]:
    """Yield the lines about each block of the pool whose `key` is `value`: several may have one height."""
    for block in _blocks(api):
        if block[key] == value:
            yield f"block {block['hash']}, height {block['height']}"
            yield f"  found {_time(block['time'])} by {block['worker'] or 'another node'}"
            yield f"  pays {block['value']['dash']} in all; {block['confirmations']} confirmations" + (
                ", locked by ChainLocks" if block["chainlock"] else ""
            )
            reason = "" if block["reason"] is None else f" ({block['reason']})"
            yield f"  {block['status']}: {_MEANINGS.get(block['status'], 'unknown')}{reason}"
            luck = block["round"]["luck"]
            if luck is not None:
                yield f"  luck of its round: {luck:.0f}%"


def _blocks(api: NodeApi) -> Iterator[Mapping[str, Any]]:
    for offset in range(0, _MOST_BLOCKS, _BLOCKS_AT_ONCE):
        page = api.get(f"blocks?limit={_BLOCKS_AT_ONCE}&offset={offset}")
        yield from page["blocks"]
        if offset + _BLOCKS_AT_ONCE >= page["total"]:
            return


def _address(totals: Mapping[str, Any]) -> Iterator[str]:
    yield f"address {totals['address']}"
    rate = format_rate(totals["hash_rate"])
    yield f"  {totals['workers']} of {totals['known_workers']} workers connected, {rate}"
    submissions = f"{totals['accepted']} accepted, {totals['refused']} rejected, {totals['dead']} dead on arrival"
    yield f"  submissions to this node: {submissions}"
    last = "none yet" if totals["last_share"] is None else f"the last {_time(totals['last_share'])}"
    yield f"  {totals['shares']} shares found on this node, {last}"
    yield f"  next block pays {totals['next_payout']['dash']}, {totals['next_payout_part']:.2%} of what miners get"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
