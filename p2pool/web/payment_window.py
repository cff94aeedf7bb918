"""Where the shares of each address are in the payment window (PPLNS): what a block found now would pay for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from p2pool.dash.target import target_to_average_attempts
from p2pool.node import Node
from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain.figures import observed_rate_of_last_hour, shares_of_last_hour
from p2pool.web.sources import script_to_text


@dataclass(slots=True)
class AddressShares:
    """The shares of one address in the window, the newest first: how many shares are newer, average attempts,
    weight (attempts less the donation; that of the window's last share may count in part), and whether a miner of
    this node found them, as far as the node remembers its own."""

    positions: list[int] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    here: list[bool] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PaymentWindow:
    """The window below the best share. `shares` are in it now; `length` is how many it holds once the chain is
    long enough. A share leaves it after `length` newer ones, which come every `pace` seconds."""

    shares: int
    length: int
    pace: float
    total_weight: int
    by_address: Mapping[str, AddressShares]

    @property
    def seconds(self) -> float:
        """Return for how long a share is paid."""
        return self.length * self.pace

    def paid_for(self, address: str) -> float:
        """Return the seconds for which the newest share of an address is paid; 0 if it has none in the window."""
        own = self.by_address.get(address)
        return 0.0 if own is None else max(0, self.length - own.positions[0]) * self.pace


_NONE: Final = PaymentWindow(0, 0, 0.0, 0, {})


def payment_window(node: Node) -> PaymentWindow:
    """Return the window of now: the newest shares, so many and with so much work as the next block pays for. One
    walk over the window, some milliseconds: ask for it once for each tip."""
    network, tracker, best, template = node.network, node.tracker, node.best_share, node.template
    if best is None or template is None:
        return _NONE
    limit = network.spread * target_to_average_attempts(template.target)
    own = set(node.own_share_hashes())
    by_script: dict[bytes, AddressShares] = {}
    total = position = 0
    for share in tracker.ancestors(best, min(tracker.height(best), network.real_chain_length)):
        attempts = min(share.attempts, limit - total)
        if attempts <= 0:
            break
        shares = by_script.get(share.script)
        if shares is None:
            shares = by_script[share.script] = AddressShares()
        shares.positions.append(position)
        shares.attempts.append(share.attempts)
        shares.weights.append(attempts * (WEIGHT_UNIT - share.donation))
        shares.here.append(share.hash in own)
        total += attempts
        position += 1
    is_cut = total >= limit or position >= network.real_chain_length
    length = position if is_cut else min(network.real_chain_length, int(limit * position / max(total, 1)))
    return PaymentWindow(position, length, _pace(node), total * WEIGHT_UNIT, _by_address(node, by_script))


def _pace(node: Node) -> float:
    """Return the seconds between two shares, as observed in the last hour."""
    count = shares_of_last_hour(node.tracker, node.best_share)
    observed = observed_rate_of_last_hour(node.tracker, node.best_share, node.found_times())
    return observed.seconds / (count - 1) if count > 1 else float(node.network.share_period)


def _by_address(node: Node, by_script: dict[bytes, AddressShares]) -> dict[str, AddressShares]:
    """Return the shares by address. A key that is paid by its hash and by itself is one address."""
    found: dict[str, AddressShares] = {}
    for script, shares in by_script.items():
        address = script_to_text(node, script)
        other = found.get(address)
        if other is not None:
            rows = sorted(
                [
                    *zip(other.positions, other.attempts, other.weights, other.here, strict=True),
                    *zip(shares.positions, shares.attempts, shares.weights, shares.here, strict=True),
                ]
            )
            shares = AddressShares(*(list(column) for column in zip(*rows, strict=True)))
        found[address] = shares
    return found
