"""What the nodes of a world need not each do for themselves, since it depends on nobody who does it.

One share object serves all: what its bytes say is the same for all, and a share is never changed. A thousand
nodes would parse each share five thousand times, and keep as many copies. Nor are the outputs of a block made
again that another node has made of the same weights and payments. In large worlds a share that one node found to
be right is taken for right by all: its hash fixes the whole chain below it, by which it is judged.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from p2pool.base.bounded import BoundedDict
from p2pool.networks.parameters import Network
from p2pool.node import peers_adapter
from p2pool.share import check, parsing
from p2pool.share.check import RebuiltShare
from p2pool.share.parsing import IsHeld, PackedContents, ParsedShare
from p2pool.share.payments import PaidPayments
from p2pool.share.payouts import PayoutTable
from p2pool.share.share import ChainView, Share
from p2pool.share.versions import MINTED
from p2pool.share.weights import Weights
from p2pool.sharechain import tracker

KEPT = 2_000
"""Shares of which the bytes are remembered, the newest ones: they come from many peers within seconds."""
_shares: BoundedDict[bytes, Share] = BoundedDict(KEPT)
_payouts: BoundedDict[tuple[object, ...], PayoutTable] = BoundedDict(200)
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
    key = (tuple(weights.by_script.items()), weights.total, weights.donation, subsidy, paid)
    table = _payouts.get(key)
    if table is None:
        table = _payouts[key] = PayoutTable(weights, subsidy, paid)
    return table


def install(*, check_once: bool) -> None:
    """Let all nodes of this process share what they receive, and with `check_once` what they find of it. What an
    earlier world left is forgotten."""
    _shares.clear()
    _checked.clear()
    _payouts.clear()
    object.__setattr__(MINTED, "payouts", _pay_once)  # a dataclass that nobody else may change
    tracker.check_share = _check_once if check_once else check.check_share
    peers_adapter.parse_shares_steps = _parse_steps  # type: ignore[assignment]
