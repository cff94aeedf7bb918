"""All settings of the program by topic: the groups of `--help GROUP`, each made of the dataclasses that declare
them. Also those that belong to no topic: the network, directories, and the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from p2pool.alerts.miners.settings import MinerAlertOptions
from p2pool.alerts.options import AlertOptions, WebhookOptions
from p2pool.app.legacy_flags import LegacyOptions
from p2pool.base.setting_values import one_of, read_path
from p2pool.base.settings import Setting, Shown, setting, settings_of, switch
from p2pool.broker.settings import BrokerSettings
from p2pool.dashd.settings import CredentialOptions, DashdSettings, MergedSettings
from p2pool.history.settings import HistorySettings
from p2pool.net.onion_settings import OnionOptions
from p2pool.networks import DASH, NETWORKS
from p2pool.node.settings import PayoutOptions, PayoutSettings, ShareSettings
from p2pool.peers.settings import PeerSettings
from p2pool.simnet.settings import SimnetSettings
from p2pool.stratum.settings import StratumSettings
from p2pool.web.settings import WebSettings

DATADIR_NAME: Final = ".p2pool-dash"
"""The directory in the home directory that --datadir is by default."""
LOG_NAME: Final = "log"
"""The log's name in the data directory of a network."""
STANDARD_OUTPUT: Final = Path("-")
"""What stands for it in place of the log file."""


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """Settings that the rest of the configuration depends on."""

    net: str = setting(
        DASH.name,
        metavar="NAME",
        read=one_of(NETWORKS),
        shown=Shown.NEVER,
        help=f"the network to mine on: {', '.join(NETWORKS)}",
    )
    config: Path | None = setting(
        None,
        metavar="FILE",
        read=read_path,
        in_file=False,
        shown=Shown.NEVER,
        help="read settings from this TOML file, under the names of their flags",
    )
    datadir: Path | None = setting(
        None,
        metavar="DIR",
        read=read_path,
        shown=Shown.NEVER,
        help="keep shares, logs and all other files below this directory",
        default_text=f"~/{DATADIR_NAME}, or data/ next to run_p2pool.py",
    )


@dataclass(frozen=True, kw_only=True)
class GeneralSettings:
    """Settings of the log."""

    logfile: Path | None = setting(
        None,
        metavar="FILE",
        read=read_path,
        shown=Shown.PRESENCE,
        help="write the log to this file as well as to the console; -: to standard output only",
        default_text=f"DATADIR/NET/{LOG_NAME}",
    )
    log_format: str = setting(
        "text",
        metavar="FORM",
        read=one_of(("text", "json")),
        shown=Shown.VALUE,
        help="lines of the log: text, or json for one JSON object on each line",
    )
    debug: bool = switch(help="log debug messages as well")
    bench: bool = switch(
        help=(
            "log how long each block template and job broadcast takes, each submission and job that takes more "
            "than 10 ms, and a summary every minute"
        ),
    )
    no_console: bool = switch(help="log to the file only")
    take_over: bool = switch(
        in_file=False,
        shown=Shown.NEVER,
        help="replace the process that uses the same data directory, which hands over its miners; start as usual "
        "if there is none",
    )


@dataclass(frozen=True, slots=True)
class Group:
    """Settings of one topic, under the name that `--help` takes."""

    name: str
    title: str
    classes: tuple[type, ...]

    @property
    def settings(self) -> Iterator[Setting]:
        """Return what the classes declare, in their order."""
        for each in self.classes:
            yield from settings_of(each)


GROUPS = (
    Group("general", "network, directories and log", (StartOptions, GeneralSettings)),
    Group("payouts", "payout address, fee and donation", (PayoutOptions, PayoutSettings)),
    Group("dashd", "Dash Core", (DashdSettings, CredentialOptions)),
    Group("stratum", "miners: port, difficulty, limits and TLS", (StratumSettings,)),
    Group("web", "pages, API, metrics and access control", (WebSettings,)),
    Group("peers", "other p2pool nodes", (PeerSettings,)),
    Group("onion", "onion service (Tor)", (OnionOptions,)),
    Group("shares", "files of the share chain", (ShareSettings,)),
    Group("history", "database for graphs and lists", (HistorySettings,)),
    Group("webhooks", "webhooks", (WebhookOptions,)),
    Group("alerts", "alerts", (AlertOptions, MinerAlertOptions)),
    Group("broker", "gateways: stratum in processes of its own", (BrokerSettings,)),
    Group("merged", "merged mining", (MergedSettings,)),
    Group("simnet", "simulated network (--net simnet)", (SimnetSettings,)),
    Group("legacy", "flags of legacy p2pool-dash", (LegacyOptions,)),
)

GATEWAY_GROUPS: Final = ("general", "dashd", "stratum", "broker")
"""The groups of settings that gateways have."""


@cache
def all_settings() -> dict[str, Setting]:
    """Return every setting by its key."""
    return {each.key: each for group in GROUPS for each in group.settings}


@cache
def flag_names() -> frozenset[str]:
    """Return every flag that the command line takes, short ones included."""
    settings = all_settings().values()
    names = {name for each in settings for name in (each.flag, each.short, each.file_flag) if name}
    return frozenset(names | {"-h", "--help", "--version"})
