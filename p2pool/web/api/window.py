"""Where an address's shares are in the payment window, what they pay, and when they leave it: /api/v1/window."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

from p2pool.base.bounded import BoundedDict
from p2pool.dash.target import target_to_average_attempts
from p2pool.node import Node
from p2pool.share.weights import WEIGHT_UNIT
from p2pool.web.api.endpoint import Arguments, Endpoint, RequestContext, amount
from p2pool.web.api.payouts import payout_amounts, payout_total
from p2pool.web.api.pool import best_max_target
from p2pool.web.api.schema import AMOUNT, PART, SECONDS, array, count, nullable, number, record, text
from p2pool.web.api.workers import ADDRESS
from p2pool.web.payment_window import AddressShares, PaymentWindow, payment_window
from p2pool.web.sources import Snapshot

BINS: Final = 48
"""Parts of equal length that the window is told in: half an hour each, if it is a day long."""
FADES: Final = (0.25, 0.5, 0.75, 1.0)
"""Parts of the window after which a payout is told to whom finds no more shares."""
MAX_ADDRESSES: Final = 256
"""Addresses whose answer is kept until the tip changes; about 8 kB each."""
_NOTHING: Final = AddressShares()


def address_window(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/window/{address}, computed once for each tip: an address may have all shares of
    the window, some milliseconds of work."""
    snapshot, address = context.snapshot, arguments["address"]
    known = snapshot.per_tip(_answers)
    answer = known.get(address)
    if answer is None:
        answer = known[address] = _address_window(snapshot, address)
    return answer


def _answers(node: Node) -> BoundedDict[str, dict[str, Any]]:
    """Return a place for the answers of one tip."""
    return BoundedDict(MAX_ADDRESSES)


def _address_window(snapshot: Snapshot, address: str) -> dict[str, Any]:
    window, total = snapshot.per_tip(payment_window), snapshot.per_tip(payout_total)
    own = window.by_address.get(address, _NOTHING)
    duffs = snapshot.per_tip(payout_amounts).get(address, 0)
    return {
        "address": address,
        "length": window.length,
        "shares": window.shares,
        "pace": window.pace,
        "own_shares": len(own.positions),
        "found_here": sum(own.here),
        "next_payout": amount(duffs),
        "next_payout_part": duffs / total if total else 0.0,
        "one_more_share": amount(_one_more(snapshot, window, total)),
        "next_to_leave": (window.length - own.positions[-1]) * window.pace if own.positions else None,
        "fades": [
            {
                "after": part * window.length * window.pace,
                "payout": amount(_faded(window, own, newer=int(part * window.length), total=total)),
            }
            for part in FADES
        ],
        "bins": window_bins(window, own, total),
    }


def _one_more(snapshot: Snapshot, window: PaymentWindow, total: int) -> int:
    """Return the duffs that a share of the least difficulty would be paid by the next block."""
    attempts = target_to_average_attempts(best_max_target(snapshot))
    donation = round(WEIGHT_UNIT * snapshot.sources.donation / 100)
    weight = attempts * (WEIGHT_UNIT - donation)
    # In a full window it takes the place of others' work.
    whole = window.total_weight + (0 if window.shares >= window.length else attempts * WEIGHT_UNIT)
    return min(total, total * weight // whole) if whole else 0


def _faded(window: PaymentWindow, own: AddressShares, *, newer: int, total: int) -> int:
    """Return the duffs of a block to an address that has found none of the next `newer` shares."""
    if not window.total_weight:
        return 0
    kept = sum(own.weights[: bisect_left(own.positions, window.length - newer)])
    whole = window.total_weight * min(window.length, window.shares + newer) // max(window.shares, 1)
    return total * kept // whole


def window_bins(window: PaymentWindow, own: AddressShares, total: int) -> list[dict[str, Any]]:
    """Return the parts of the window in which there are shares of an address, the newest first; `total` is in
    duffs. Nearly all time goes into sums over slices: 8,640 shares take some tenths of a millisecond."""
    bins = []
    for index in range(BINS):
        first, end = index * window.length // BINS, (index + 1) * window.length // BINS
        start, stop = bisect_left(own.positions, first), bisect_left(own.positions, end)
        if start == stop:
            continue
        duffs = total * sum(own.weights[start:stop]) // window.total_weight
        bins.append(
            {
                "bin": index,
                "shares": stop - start,
                "found_here": sum(own.here[start:stop]),
                "payout": amount(duffs),
                "leave_from": (window.length - own.positions[stop - 1]) * window.pace,
                "leave_until": (window.length - own.positions[start]) * window.pace,
            }
        )
    return bins


ENDPOINTS = (
    Endpoint(
        "/api/v1/window/{address}",
        "Shares of an address in the payment window: what they pay, and when they leave it",
        record(
            address=text("as requested"),
            length=count("number of newest shares that a block pays for, once the chain is long enough"),
            shares=count("number of shares that a block found now would pay for"),
            pace=number("average seconds between two shares of the pool"),
            own_shares=count("number of these shares that belong to the address"),
            found_here=count("those of own_shares that were found on this node, of its latest 500"),
            next_payout={
                **AMOUNT,
                "description": "what the next block pays to the address, without the finder's bonus",
            },
            next_payout_part=PART,
            one_more_share={
                **AMOUNT,
                "description": "what the next block would pay for one more share of the minimum difficulty",
            },
            next_to_leave=nullable({**SECONDS, "description": "seconds until the oldest of own_shares leaves"}),
            fades=array(
                record(
                    after={**SECONDS, "description": "seconds from now"},
                    payout={**AMOUNT, "description": "what a block would pay then"},
                ),
                "payouts if the address found no more shares",
            ),
            bins=array(
                record(
                    bin=count(
                        f"number of the part, from 0 (newest) to {BINS - 1}; each is length / {BINS} shares"
                    ),
                    shares=count("shares of the address in this part"),
                    found_here=count("those of them that were found on this node"),
                    payout={**AMOUNT, "description": "what the next block pays for them"},
                    leave_from={**SECONDS, "description": "seconds until the oldest of them leaves the window"},
                    leave_until={**SECONDS, "description": "seconds until all of them have left the window"},
                ),
                "the parts of the window with shares of the address, newest first",
            ),
        ),
        look_up=address_window,
        parameters=(ADDRESS,),
    ),
)
