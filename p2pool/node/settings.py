"""What an operator can set about payouts and about the share chain's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from p2pool.base.setting_values import read_path
from p2pool.base.settings import Shown, setting, switch
from p2pool.dashd.payout_addresses import MAX_ADDRESSES


@dataclass(frozen=True, kw_only=True)
class PayoutOptions:
    """What the payout address is made from."""

    address: str | None = setting(
        None,
        short="-a",
        metavar="ADDRESS",
        shown=Shown.NEVER,
        help="the Dash address (P2PKH) that this node's own payouts go to, or 'dynamic' for fresh addresses from "
        "dashd's wallet",
        default_text="one address from dashd's wallet, kept in DATADIR/NET/cached_payout_address",
    )


@dataclass(frozen=True, kw_only=True)
class PayoutSettings:
    """Settings of whom this node's work pays. `fee` and `give_author` in percent."""

    numaddresses: int = setting(
        2,
        short="-i",
        metavar="N",
        limits=(1, MAX_ADDRESSES),
        shown=Shown.VALUE,
        help="with -a dynamic: number of addresses in use at a time",
    )
    timeaddresses: float = setting(
        172_800.0,
        short="-t",
        metavar="SECONDS",
        limits=(1, 10 * 366 * 86400),
        unit="seconds",
        shown=Shown.VALUE,
        help="with -a dynamic: replace the oldest address with a new one after this time",
    )
    fee: float = setting(
        0.0,
        short="-f",
        metavar="PERCENT",
        limits=(0, 100),
        unit="percent",
        shown=Shown.VALUE,
        help=("percentage of the work of all miners on this node that pays the node's own address (--address)"),
    )
    give_author: float = setting(
        1.0,
        metavar="PERCENT",
        limits=(0, 100),
        unit="percent",
        shown=Shown.VALUE,
        help="percentage of the work of all miners on this node that is donated to the developers",
    )


@dataclass(frozen=True, kw_only=True)
class ShareSettings:
    """Settings of the files that shares are kept in."""

    import_shares: Path | None = setting(
        None,
        metavar="DIR",
        read=read_path,
        shown=Shown.PRESENCE,
        help=(
            "import the share files of legacy p2pool-dash (shares.0, shares.1, ...), or a share archive of this "
            "program, from this directory, without changing them; those in DATADIR/NET are imported once even "
            "without this flag"
        ),
    )
    disable_share_archive: bool = switch(
        help="delete old shares instead of moving them to DATADIR/NET/share-archive"
    )
