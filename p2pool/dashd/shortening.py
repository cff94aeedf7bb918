"""Leave transactions out of a block template, as far as Dash's rules allow it.

A block without some of the template's transactions is valid if everything that a template derives from them is
derived again (Dash Core: validation.cpp, evo/cbtx.cpp, evo/creditpool.cpp, masternode/payments.cpp):

- The coinbase may pay the subsidy and the fees of what is in the block, no more (bad-cb-amount).
- The masternode must be paid exactly three quarters of subsidy and fees, less what is burnt for the platform,
  which is a part of the subsidy alone (bad-cb-payee). Both are computed here, and only if the same formula
  gives exactly the amounts that dashd named for the whole template: if rules are others, nothing is left out.
- The coinbase payload (CbTx) commits to the masternode list, the quorums, the credit pool's balance and, from
  version 4 on, the signatures of asset unlocks. Special transactions change these, so they stay, with all that
  they spend from. An ordinary transaction changes only one of them, the masternode list, by spending a collateral:
  that takes at least 1000 DASH, so transactions that move so much stay as well.
- What spends from a transaction goes with it (bad-txns-inputs-missingorspent).

Superblock payments do not depend on fees. A share carries amounts and transactions as its maker chose them: other
nodes check only that they fit together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import hash_hex
from p2pool.dash.merkle import coinbase_branch
from p2pool.dash.transaction import parse_transaction, special_type
from p2pool.dashd.template import BlockTemplate, TemplateTransaction

Payments = tuple[tuple[str, int], ...]

COLLATERAL = 1000 * 100_000_000
"""Duffs: the least that a masternode locks as its collateral, in one output."""
_PLATFORM_PAYEE = "!6a"
"""A bare OP_RETURN: what the platform's share is burnt to."""
_SEVERAL_OWNERS_PAYLOAD = 4
"""The version of the coinbase payload since which a masternode may have several owners (Dash Core 24)."""
_ALL_POINTS = 10_000
"""Shares of operators and owners are in hundredths of a percent."""


def leave_out(template: BlockTemplate, places: Iterable[int]) -> tuple[BlockTemplate, str | None]:
    """Return the template without the transactions at these places and all that depends on them, and why dashd
    would refuse a block of it; None if it would not."""
    left_out = set(places)
    for place, depends in enumerate(template.depends):
        if not left_out.isdisjoint(depends):
            left_out.add(place)
    kept = [place for place in range(len(template.transactions)) if place not in left_out]
    gone = [template.transactions[place] for place in sorted(left_out)]
    fees = sum(transaction.fee for transaction in gone)
    payments, problem = payments_without(template, fees), None
    special = next((transaction for transaction in gone if special_type(transaction.data)), None)
    if special is not None:
        problem = f"the coinbase payload depends on special transaction {hash_hex(special.hash)}"
    elif payments is None:
        problem = "the masternode's payment without these fees cannot be computed"
    new_place = {place: number for number, place in enumerate(kept)}
    transactions = tuple(template.transactions[place] for place in kept)
    shorter = replace(
        template,
        subsidy=template.subsidy - fees,
        transactions=transactions,
        depends=tuple(tuple(new_place[d] for d in template.depends[place]) for place in kept)
        if template.depends
        else (),
        branch=tuple(coinbase_branch([transaction.hash_bytes for transaction in transactions])),
    )
    if payments is not None:
        shorter = replace(
            shorter, payments=payments, payment_amount=template.payment_amount - _excess(template, payments)
        )
    if problem is None and shorter.subsidy < shorter.payment_amount:
        problem = "dashd reports more fees than the block is worth"
    return shorter, problem


def _excess(template: BlockTemplate, payments: Payments) -> int:
    return sum(amount for _, amount in template.payments) - sum(amount for _, amount in payments)


def shorten(template: BlockTemplate, size: int, operations: int) -> tuple[BlockTemplate, str | None]:
    """Leave out transactions, from the end on, until the rest have at most `size` bytes and so many signature
    operations. Return the whole template and why, if that cannot be done."""
    transactions = template.transactions
    over_size = sum(len(transaction.data) for transaction in transactions) - size
    over_operations = sum(transaction.signature_operations for transaction in transactions) - operations
    if over_size <= 0 and over_operations <= 0:
        return template, None
    if len(template.depends) != len(transactions):
        return template, "dashd does not say which transactions depend on which"
    left_out: list[int] = []
    needed: set[int] = set()
    for place in range(len(transactions) - 1, -1, -1):
        if over_size <= 0 and over_operations <= 0:
            break
        transaction = transactions[place]
        if place in needed or not _is_free(transaction):
            needed.update(template.depends[place])
            continue
        left_out.append(place)
        over_size -= len(transaction.data)
        over_operations -= transaction.signature_operations
    if over_size > 0 or over_operations > 0:
        return template, "the transactions that must stay are too many"
    shorter, problem = leave_out(template, left_out)
    return (shorter, None) if problem is None else (template, problem)


def _is_free(transaction: TemplateTransaction) -> bool:
    """Return whether the coinbase payload cannot depend on the transaction."""
    if special_type(transaction.data):
        return False
    try:
        outputs = parse_transaction(transaction.data).outputs
    except ParseError:
        return False
    return sum(output.value for output in outputs) + transaction.fee < COLLATERAL


# --- what the masternode is paid -------------------------------------------------------------------------


def payments_without(template: BlockTemplate, fees: int) -> Payments | None:
    """Return the payments of a block that has so many duffs less in fees. None if they cannot be computed:
    if the formula does not give the amounts that dashd named for the whole template."""
    if not fees:
        return template.payments
    masternode = template.payments[: template.masternode_payments]
    superblock = template.payments[template.masternode_payments :]
    reward = template.subsidy - sum(amount for _, amount in superblock)
    platform = masternode[:1] if masternode and masternode[0][0] == _PLATFORM_PAYEE else ()
    paid = masternode[len(platform) :]
    if not paid:
        return template.payments  # no masternode is paid, and the platform's part does not depend on fees
    burnt = sum(amount for _, amount in platform)
    if platform and burnt != _masternode_part(reward - template.fees) * 375 // 1000:
        return None
    amounts = [amount for _, amount in paid]
    before, after = _masternode_part(reward) - burnt, _masternode_part(reward - fees) - burnt
    if before != sum(amounts) or after <= 0:
        return None
    divided = _divide_again(
        before, amounts, after, several_owners=template.payload_version >= _SEVERAL_OWNERS_PAYLOAD
    )
    if divided is None or min(divided) <= 0:
        return None
    payees = [payee for payee, _ in paid]
    return (*platform, *zip(payees, divided, strict=True), *superblock)


def _masternode_part(reward: int) -> int:
    """Return what masternodes and platform get together."""
    return reward * 3 // 4


def _divide_again(
    before: int, amounts: Sequence[int], after: int, *, several_owners: bool
) -> tuple[int, ...] | None:
    """Divide another amount among the same payees. dashd pays the owners first, the last of them what is left, and
    then the operator if there is one. It does not report which of them comes last: either only one fits the
    amounts, or both must give the same."""
    if len(amounts) == 1:
        return (after,)
    found: set[tuple[int, ...]] = set()
    operator_points = _points(before, amounts[-1])
    if operator_points is not None and (several_owners or len(amounts) == 2):
        operator = after * operator_points // _ALL_POINTS
        owners = _divide_owners(before - amounts[-1], amounts[:-1], after - operator)
        if owners is not None:
            found.add((*owners, operator))
    if several_owners:
        owners = _divide_owners(before, amounts, after)
        if owners is not None:
            found.add(owners)
    return found.pop() if len(found) == 1 else None


def _divide_owners(before: int, amounts: Sequence[int], after: int) -> tuple[int, ...] | None:
    divided = []
    for amount in amounts[:-1]:
        points = _points(before, amount)
        if points is None:
            return None
        divided.append(after * points // _ALL_POINTS)
    return (*divided, after - sum(divided))


def _points(whole: int, part: int) -> int | None:
    """Return the points whose part of the whole, rounded down, is `part`; None if there are none."""
    points = -(-part * _ALL_POINTS // whole)
    return points if whole * points // _ALL_POINTS == part and points <= _ALL_POINTS else None
