"""The key that no share of this node pays as its finder: that of the donation output.

By the rules of the share chain the donation output gets such a share's part and the finder's. c2pool-dash leaves
both out when it rebuilds a coinbase: it refuses the share itself, and every share whose window holds it with a
donation below 100 %, whoever made them. So whoever is to be paid at the donation's address is paid by a donation
of 100 % under another key, which comes to the same but for the finder's fiftieth of a block found on that very
share. Shares of others are judged by the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from p2pool.dash.script import p2pkh_hash
from p2pool.share.payouts import DONATION_SCRIPT
from p2pool.share.weights import WEIGHT_UNIT

DONATION_KEY_HASH: Final = p2pkh_hash(DONATION_SCRIPT)


def is_donation_key(key_hash: bytes) -> bool:
    """Return whether 20 bytes are the key hash of the donation output."""
    return key_hash == DONATION_KEY_HASH


def paid_as_donation(finders: Iterable[bytes | None]) -> tuple[bytes, int] | None:
    """Return key and donation of a share that is to pay the donation's address: the first of `finders` that is
    another key. None if there is none."""
    finder = next((finder for finder in finders if finder is not None and not is_donation_key(finder)), None)
    return None if finder is None else (finder, WEIGHT_UNIT)
