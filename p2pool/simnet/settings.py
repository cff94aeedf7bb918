"""What an operator can set about the simulated network that a node runs in its own process."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.base.errors import OperatorError
from p2pool.base.settings import Given, Shown, read_number, setting
from p2pool.simnet.rule_sets import FORMS, V23, parse_rules


def _read_rules(given: Given) -> str:
    try:
        parse_rules(given.text)
    except ValueError as error:
        raise OperatorError(f"{given.source}: {error}") from None
    return given.text


@dataclass(frozen=True, kw_only=True)
class SimnetSettings:
    """Settings of the embedded simulation of Dash Core and its miners."""

    simnet_miners: int = setting(
        2, metavar="N", limits=(0, 64), shown=Shown.VALUE, help="number of CPU miners to run in this process"
    )
    simnet_hash_rate: float | None = setting(
        None,
        metavar="H/S",
        read=read_number,
        limits=(1, 1e9),
        unit="hashes per second",
        shown=Shown.VALUE,
        help="hashes per second of each of these miners",
        default_text="as many as an otherwise idle CPU can make",
    )
    simnet_block_period: float = setting(
        60.0,
        metavar="SECONDS",
        limits=(1, 86400),
        unit="seconds",
        shown=Shown.VALUE,
        help="average time between blocks",
    )
    simnet_rules: str = setting(
        V23, metavar="NAME", read=_read_rules, shown=Shown.VALUE, help=f"consensus rules of the chain: {FORMS}"
    )
