"""How the work of the PPLNS window is divided: the answer of a `ChainView` to `weights`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WEIGHT_UNIT: Final = 65535
"""A share's attempts are weighed times this; its donation field is a part of it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The PPLNS window: weight by payout script, and what belongs to the donation.

    sum(by_script) + donation == total, up to what partial counting rounds away. `by_script` holds no zeros; it may
    be a live view, so read it before the chain is asked again.
    """

    by_script: Mapping[bytes, int]
    total: int
    donation: int
