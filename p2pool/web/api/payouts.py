"""Who would get what: /current_payouts; whom the node itself has paid: /payout_addr, /payout_addrs."""

from __future__ import annotations

from typing import Any

from p2pool.sharechain.figures import expected_payouts
from p2pool.web.sources import Moment, script_to_text


def current_payouts(moment: Moment) -> dict[str, float]:
    """/current_payouts: DASH by address if a block were found now."""
    node = moment.node
    if node.best_share is None or node.template is None:
        return {}
    payouts = expected_payouts(
        node.tracker, node.best_share, node.template.target, node.template.subsidy - node.template.payment_amount
    )
    amounts: dict[str, int] = {}
    for script, amount in payouts.items():
        # A key may be paid by its hash and by itself: both are the same address.
        text = script_to_text(node, script)
        amounts[text] = amounts.get(text, 0) + amount
    return {text: amount / 1e8 for text, amount in sorted(amounts.items(), key=lambda item: -item[1]) if amount}


def own_address(moment: Moment) -> str | None:
    """/payout_addr: the node's own address, the newest where there are several; null while there is none."""
    newest = moment.sources.payouts.newest
    return None if newest is None else newest.address


def own_addresses(moment: Moment) -> list[dict[str, Any]]:
    """/payout_addrs: all of them, the oldest first. `weight` is the part of the node's own jobs that pays it,
    `taken` when dashd's wallet gave it (Unix seconds; null where it does not change)."""
    addresses = moment.sources.payouts.addresses
    return [
        {
            "address": own.address,
            "weight": 1 / len(addresses),
            "taken": None if own.taken is None else int(own.taken),
        }
        for own in addresses
    ]
