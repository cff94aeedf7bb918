"""Payouts if a block were found now: /current_payouts, /users, /user_stales, /patron_sendmany, /api/v1/payouts;
and whom the node itself has paid: /payout_addr, /payout_addrs."""

from __future__ import annotations

import random
import re
from itertools import islice
from typing import Any, Final

import orjson

from p2pool.base.text import format_dash
from p2pool.node import Node
from p2pool.pool_stats.workers import address_of
from p2pool.share.share import STALE_NONE
from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain.figures import expected_payouts
from p2pool.web.api.coinbase import finder_part, paid_to_miners
from p2pool.web.api.endpoint import Arguments, Endpoint, EndpointParameter, ErrorResponse, RequestContext, amount
from p2pool.web.api.schema import AMOUNT, DASH, PART, array, mapping, nullable, record, text
from p2pool.web.sources import Snapshot, script_to_text

USERS_SHARES: Final = 720
"""Shares that /users covers, as in legacy p2pool-dash."""
MAX_TOTAL: Final = 30_000_000
"""DASH: more than there will ever be."""
_DUFFS: Final = 100_000_000
_LEAST: Final = _DUFFS // 100
_DECIMAL = re.compile(r"([0-9]{1,8})(?:\.([0-9]{1,8}))?")


def payout_amounts(node: Node) -> dict[str, int]:
    """Return duffs by address if a block were found now, without the finder's bonus; the greatest first."""
    if node.best_share is None or node.template is None:
        return {}
    payouts = expected_payouts(
        node.tracker,
        node.best_share,
        block_target=node.template.target,
        subsidy=node.template.subsidy - node.template.payment_amount,
    )
    amounts: dict[str, int] = {}
    for script, duffs in payouts.items():
        # A key may be paid by its hash and by itself: both are the same address.
        address = script_to_text(node, script)
        amounts[address] = amounts.get(address, 0) + duffs
    return {address: duffs for address, duffs in sorted(amounts.items(), key=lambda item: -item[1]) if duffs}


def payout_total(node: Node) -> int:
    """Return the duffs that all miners would get together."""
    return (
        0
        if node.best_share is None or node.template is None
        else (node.template.subsidy - node.template.payment_amount)
    )


def current_payouts(snapshot: Snapshot) -> dict[str, float]:
    """Return the JSON of /current_payouts: DASH by address if a block were found now."""
    return {address: duffs / 1e8 for address, duffs in snapshot.per_tip(payout_amounts).items()}


def payout_list(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/payouts, rendered again only if payouts have changed."""
    amounts, paid = snapshot.per_tip(payout_amounts), paid_to_miners(snapshot)
    bonus = finder_part(snapshot)
    return snapshot.cache.latest("payouts", (amounts, paid, bonus), lambda: _payout_list(amounts, paid, bonus))


def _payout_list(amounts: dict[str, int], paid: dict[str, int] | None, bonus: int | None) -> dict[str, Any]:
    total = sum(amounts.values())
    # The coinbase's window begins a share earlier: at its far end there may be a miner who is in that window only.
    addresses = {**amounts, **dict.fromkeys(paid or (), 0), **amounts}
    return {
        "total": amount(total),
        "finder": None if bonus is None else amount(bonus),
        "payouts": [
            {
                "address": address,
                "amount": amount(duffs),
                "part": duffs / total if total else 0.0,
                "in_coinbase": None if paid is None else amount(paid.get(address, 0)),
            }
            for address, duffs in addresses.items()
        ],
    }


def user_parts(node: Node) -> dict[str, float]:
    """Return parts of the work of the last USERS_SHARES shares by address, the smallest first."""
    # Summed here: the tracker's windows are the ones that jobs are made with, and are not to be moved for a page.
    weights: dict[bytes, int] = {}
    total = 0
    for share in islice(node.tracker.ancestors(node.best_share, USERS_SHARES), USERS_SHARES):
        total += share.attempts * WEIGHT_UNIT
        weights[share.script] = weights.get(share.script, 0) + share.attempts * (WEIGHT_UNIT - share.donation)
    parts: dict[str, float] = {}
    for script, weight in sorted(weights.items(), key=lambda item: item[1]):
        address = script_to_text(node, script)
        parts[address] = parts.get(address, 0.0) + weight / total
    return parts


def user_stales(node: Node) -> dict[str, float]:
    """Return the stale part of each address's shares in the chain's window: those that announce a stale one,
    against all with these."""
    counts: dict[bytes, tuple[int, int]] = {}
    for share in node.tracker.ancestors(node.best_share, node.network.chain_length):
        stale, total = counts.get(share.script, (0, 0))
        announces = share.stale_info != STALE_NONE
        counts[share.script] = stale + announces, total + 1 + announces
    return {script_to_text(node, script): stale / total for script, (stale, total) in counts.items()}


def own_address(snapshot: Snapshot) -> str | None:
    """Return the JSON of /payout_addr: the node's own address, the newest if there are several; null while
    there is none."""
    newest = snapshot.sources.payouts.newest
    return None if newest is None else newest.address


def own_addresses(snapshot: Snapshot) -> list[str]:
    """Return the JSON of /payout_addrs: all of them, the oldest first."""
    return [own.address for own in snapshot.sources.payouts.addresses]


def own_work(snapshot: Snapshot) -> dict[str, int]:
    """Return the hashes behind those of this node's latest shares that pay its own addresses: as a fee on the work
    of others, and for own mining."""
    addresses, tracker = set(own_addresses(snapshot)), snapshot.node.tracker
    work = {"fee": 0, "own_mining": 0}
    for found in snapshot.pool.recent_shares:
        share = tracker.get(found.share_hash)
        if share is not None and script_to_text(snapshot.node, share.script) in addresses:
            work["own_mining" if address_of(found.worker) in addresses else "fee"] += found.attempts
    return work


def own_payouts(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the node's own addresses with their weights and ages, for /api/v1/node."""
    addresses = snapshot.sources.payouts.addresses
    return [
        {
            "address": own.address,
            "weight": 1 / len(addresses),
            "taken": None if own.taken is None else int(own.taken),
        }
        for own in addresses
    ]


# --- sending by hand ----------------------------------------------------------------------------------------


def _read_amount(given: str) -> int:
    """Return the duffs of an amount of DASH as a decimal."""
    match = _DECIMAL.fullmatch(given)
    if match is None:
        raise ValueError
    duffs = int(match[1]) * _DUFFS + int((match[2] or "").ljust(8, "0"))
    if not 0 < duffs <= MAX_TOTAL * _DUFFS:
        raise ValueError
    return duffs


def patron_sendmany(context: RequestContext, arguments: Arguments) -> bytes:
    """Return the JSON of /patron_sendmany: a total shared out among the pool's miners as the next block would
    be, as JSON for Dash Core's `sendmany`. Amounts below `trunc` are drawn for: one of those addresses gets
    them all. The draw hangs on the best share's hash, so that asking again changes nothing."""
    total, least = arguments["total"], arguments.get("trunc", _LEAST)
    amounts = context.snapshot.per_tip(payout_amounts)
    if not amounts:
        raise NO_PAYOUTS.exception()
    whole = sum(amounts.values())
    parts = {address: total * duffs // whole for address, duffs in amounts.items()}
    draw = random.Random(context.node.best_share)
    small = {address: duffs for address, duffs in parts.items() if duffs < least}
    if small:
        winner = draw.choices(list(small), [amounts[address] for address in small])[0]
        parts = {address: duffs for address, duffs in parts.items() if address not in small}
        parts[winner] = sum(small.values())
    # What rounding left over, a few duffs, goes to the greatest.
    parts[max(parts, key=lambda address: parts[address])] += total - sum(parts.values())
    texts = {address: format_dash(duffs) for address, duffs in parts.items() if duffs}
    return orjson.dumps({address: orjson.Fragment(amount_text) for address, amount_text in texts.items()})


NO_PAYOUTS: Final = ErrorResponse(404, "no_payouts", "the share chain has no shares yet, or there is no template")


def _amount_in_path(name: str, description: str) -> EndpointParameter:
    message = f"{name} must be an amount in DASH, as in /patron_sendmany/12.5/0.01"
    schema = text(description, pattern=r"^[0-9]{1,8}(\.[0-9]{1,8})?$")
    return EndpointParameter(name, schema, _read_amount, f"bad_{name}", message, in_path=True, status=404)


_TOTAL = _amount_in_path("total", "amount in DASH to divide")
_TRUNC = _amount_in_path(
    "trunc", "amounts in DASH below this are combined, and go to one of these addresses at random; default 0.01"
)
ENDPOINTS = (
    Endpoint(
        "/api/v1/payouts",
        "Payouts if a block were found now, largest first",
        record(
            total=AMOUNT,
            finder=nullable(
                {**AMOUNT, "description": "the finder's bonus, in addition to the payouts; null without work"}
            ),
            payouts=array(
                record(
                    address=text(),
                    amount={
                        **AMOUNT,
                        "description": "average payout, including the finder's bonus of 2%: blocks are found in "
                        "proportion to work",
                    },
                    part=PART,
                    in_coinbase=nullable(
                        {
                            **AMOUNT,
                            "description": "exact amount, as in /api/v1/coinbase, without the finder's bonus; "
                            "null without work",
                        }
                    ),
                )
            ),
        ),
        view=payout_list,
    ),
    Endpoint(
        "/current_payouts",
        "Payouts in DASH if a block were found now, by address",
        mapping(DASH),
        view=current_payouts,
    ),
    Endpoint(
        "/users",
        f"Fraction of the work of the last {USERS_SHARES} shares, by address",
        mapping(PART),
        view=lambda snapshot: snapshot.per_tip(user_parts),
    ),
    Endpoint(
        "/user_stales",
        "Stale fraction of each address's shares",
        mapping(PART),
        view=lambda snapshot: snapshot.per_tip(user_stales),
    ),
    *(
        Endpoint(
            path,
            "A total divided like the payouts of the next block: amounts by address, for Dash Core's sendmany",
            mapping(DASH),
            look_up=patron_sendmany,
            parameters=parameters,
            refusals=(NO_PAYOUTS,),
            content_type=b"text/plain; charset=utf-8",
        )
        for path, parameters in (
            ("/patron_sendmany/{total}", (_TOTAL,)),
            ("/patron_sendmany/{total}/{trunc}", (_TOTAL, _TRUNC)),
        )
    ),
    Endpoint(
        "/payout_addr",
        "The node's own address (the newest if there are several); null if there is none yet",
        nullable(text()),
        view=own_address,
    ),
    Endpoint("/payout_addrs", "The node's own addresses, oldest first", array(text()), view=own_addresses),
)
