"""What the nodes of a world need not each do for themselves, since it depends on nobody who does it.

One share object serves all: what its bytes say is the same for all, and a share is never changed. A thousand
nodes would parse each share five thousand times, and keep as many copies. Nor are messages between nodes read
again that came with the same bytes, or the outputs of a block made again that another node has made of the same
weights and payments. What else is a pure function of immutable values is computed once for equal arguments. In
large worlds a share that one node found to be right is taken for right by all: its hash fixes the whole chain
below it, by which it is judged.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import lru_cache
from typing import Any

from p2pool.base.bounded import BoundedDict
from p2pool.jobs import context
from p2pool.jobs.block_limits import Coinbase
from p2pool.jobs.coinbases import Coinbases
from p2pool.networks.parameters import Network
from p2pool.node import peers_adapter
from p2pool.peers import messages
from p2pool.peers.messages import Message
from p2pool.share import check, parsing
from p2pool.share.check import RebuiltShare
from p2pool.share.parsing import IsHeld, PackedContents, ParsedShare
from p2pool.share.payments import PaidPayments
from p2pool.share.payouts import PayoutTable, paid_payments
from p2pool.share.share import ChainView, Share
from p2pool.share.versions import MINTED
from p2pool.share.weights import Weights
from p2pool.sharechain import tracker
from p2pool.wire import framer

KEPT = 2_000
"""Shares of which the bytes are remembered, the newest ones: they come from many peers within seconds."""
KEPT_RESULTS = 300
"""Results of a function that are remembered, the newest ones: all nodes need them within seconds."""
SHORT = 4_000
"""Bytes of the longest message that is remembered. Reading it takes one step."""
_shares: BoundedDict[bytes, Share] = BoundedDict(KEPT)
_checksums: BoundedDict[bytes, bytes] = BoundedDict(KEPT_RESULTS)
_messages: BoundedDict[tuple[str, bytes], Message | None] = BoundedDict(KEPT_RESULTS)
_payouts: BoundedDict[tuple[object, ...], tuple[dict[bytes, int], PayoutTable]] = BoundedDict(KEPT_RESULTS)
"""The weights by script that each was made of are compared, not hashed, which takes longer."""
_checked: BoundedDict[int, RebuiltShare] = BoundedDict(KEPT)


def _parse_steps(
    packed: Iterable[PackedContents], network: Network, *, is_held: IsHeld
) -> Generator[None, None, list[ParsedShare]]:
    """Do what `parsing.parse_shares_steps` does, once for the same bytes."""
    results: list[ParsedShare] = []
    for version, contents in packed:
        share = _shares.get(contents)
        if share is None or share.version is not version:
            (parsed,) = yield from parsing.parse_shares_steps([(version, contents)], network)
            results.append(parsed)
            if isinstance(parsed, Share):
                _shares[contents] = parsed
        else:
            results.append(share)
    return results


def _check_once(share: Share, view: ChainView, network: Network) -> RebuiltShare:
    """Do what `check.check_share` does, unless another node has found the share to be right."""
    rebuilt = _checked.get(share.hash)
    if rebuilt is None:
        rebuilt = _checked[share.hash] = check.check_share(share, view, network)
    return rebuilt


def _pay_once(weights: Weights, subsidy: int, paid: PaidPayments) -> PayoutTable:
    """Make the outputs of a block as `PayoutTable` does, once for the same weights and payments."""
    key = (weights.total, weights.donation, subsidy, paid)
    known = _payouts.get(key)
    if known is None or known[0] != weights.by_script:
        by_script = dict(weights.by_script)  # it may be a live view
        known = _payouts[key] = by_script, PayoutTable(weights, subsidy, paid)
    return known[1]


_checksum, _message_steps = framer._checksum, messages.message_steps


def _sum_once(payload: bytes) -> bytes:
    """Return the checksum of a payload, computed once for the same bytes."""
    if len(payload) > SHORT:
        return _checksum(payload)
    checksum = _checksums.get(payload)
    if checksum is None:
        checksum = _checksums[payload] = _checksum(payload)
    return checksum


def _read_once(command: str, payload: bytes) -> Generator[None, None, Message | None]:
    """Read a message as `messages.message_steps` does, once for the same bytes."""
    if len(payload) > SHORT:
        return (yield from _message_steps(command, payload))
    key = (command, payload)
    message = _messages.get(key)
    if message is None:
        message = _messages[key] = yield from _message_steps(command, payload)
    return message


_largest = Coinbase.largest


def install(*, check_once: bool) -> None:
    """Let all nodes of this process share what they receive, and with `check_once` what they find of it. What an
    earlier world left is forgotten."""
    _shares.clear()
    _checked.clear()
    _payouts.clear()
    _checksums.clear()
    _messages.clear()
    once = lru_cache(KEPT_RESULTS)
    replaced: Any = context
    replaced.paid_payments, replaced.Coinbases = once(paid_payments), once(Coinbases)
    Coinbase.largest = once(_largest)  # type: ignore[method-assign]
    framer._checksum = _sum_once
    messages.message_steps = _read_once
    object.__setattr__(MINTED, "payouts", _pay_once)  # a dataclass that nobody else may change
    tracker.check_share = _check_once if check_once else check.check_share
    peers_adapter.parse_shares_steps = _parse_steps  # type: ignore[assignment]
