"""Who would get what: /current_payouts."""

from __future__ import annotations

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
