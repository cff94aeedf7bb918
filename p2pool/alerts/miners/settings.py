"""What an operator can set about alerts of miners, and the settings that follow from it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from p2pool.alerts.mail import MailServer
from p2pool.base.errors import OperatorError
from p2pool.base.hosts import parse_address
from p2pool.base.settings import Given, Shown, setting
from p2pool.base.text import printable, without_login

MAX_HOSTS: Final = 16
"""Of --miner-alert-host."""


class MinerChannel(StrEnum):
    """How messages to miners are sent."""

    WEBHOOK = "webhook"
    NTFY = "ntfy"
    EMAIL = "email"
    TELEGRAM = "telegram"


def read_channels(given: Given) -> frozenset[MinerChannel]:
    """Return the channels of a list."""
    words = given.text.replace(",", " ").lower().split()
    known = {each.value: each for each in MinerChannel}
    for word in words:
        if word not in known:
            raise given.refused(f"give any of {', '.join(known)}, separated by commas")
    if not words:
        raise OperatorError(f"{given.source}: the list is empty; give any of {', '.join(known)}, or leave it out")
    return frozenset(known[word] for word in words)


def read_host(given: Given) -> tuple[str, int | None]:
    """Return (host, port) of HOST[:PORT]; the port is None for the usual ones."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?", given.text)
    if match is None or (match[1] and parse_address(match[1]) is None):
        raise given.refused("give HOST or HOST:PORT, like ntfy.example.org:8080")
    port = int(match[3]) if match[3] else None
    if port is not None and not 0 < port < 65536:
        raise given.refused("a port is between 1 and 65535")
    address = parse_address(match[1] or match[2])
    return (match[2] or "").lower() if address is None else str(address), port


@dataclass(frozen=True, kw_only=True)
class MinerAlertOptions:
    """Settings of alerts that miners set for their addresses."""

    miner_alerts: frozenset[MinerChannel] = setting(
        frozenset(),
        metavar="LIST",
        read=read_channels,
        shown=Shown.NEVER,
        help="let miners of this node set alerts for their addresses, sent by these channels: webhook, ntfy, "
        "email, telegram, separated by commas; needs --alert-page",
        default_text="none",
    )
    miner_alert_host: tuple[tuple[str, int | None], ...] = setting(
        (),
        metavar="HOST[:PORT]",
        read=read_host,
        collect=tuple,
        most=MAX_HOSTS,
        shown=Shown.NEVER,
        help="let webhooks and ntfy of miners lead to this host even if it is in a private network",
    )


@dataclass(frozen=True, slots=True)
class MinerAlertSettings:
    """The settings of alerts of miners; without `channels` there are none. `page` is the URL of the node's pages,
    `hosts` are (host, port) that may be in a private network, `telegram` is the token of the operator's bot."""

    channels: frozenset[MinerChannel] = frozenset()
    page: str = ""
    hosts: frozenset[tuple[str, int | None]] = frozenset()
    mail: MailServer | None = None
    telegram: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """Return the host of the node's pages, with its port if it has one: what texts to be signed name."""
        parts = urlsplit(self.page)
        return printable(without_login(parts.netloc.rpartition("@")[2]).lower(), 300)


def check_miner_alerts(
    options: MinerAlertOptions, *, page: str | None, mail: MailServer | None, alert_urls: Iterable[str]
) -> MinerAlertSettings:
    """Return the settings that the options make, with those of the operator's own alerts. Raises OperatorError."""
    channels = options.miner_alerts
    if not channels:
        if options.miner_alert_host:
            raise OperatorError("--miner-alert-host without --miner-alerts: give the channels that miners may use")
        return MinerAlertSettings()
    if page is None:
        raise OperatorError(
            "--miner-alerts without --alert-page: give the URL at which miners reach the pages of this node; "
            "links in messages lead there, and signatures are made for its host"
        )
    if MinerChannel.EMAIL in channels and mail is None:
        raise OperatorError(
            "--miner-alerts email without --alert-email and --alert-smtp-server: e-mails to miners go through the "
            "mail server of your own alerts"
        )
    bot = next((found for found in map(bot_token, alert_urls) if found is not None), None)
    if MinerChannel.TELEGRAM in channels and bot is None:
        raise OperatorError(
            "--miner-alerts telegram without --alert-url tgram://BOT_TOKEN/CHAT_ID: messages to miners are sent "
            "by the bot of your own alerts"
        )
    return MinerAlertSettings(channels, page, frozenset(options.miner_alert_host), mail, bot)


def bot_token(url: str) -> str | None:
    """Return the token of the bot in a URL of apprise for Telegram; None if it is another URL."""
    match = re.match(r"(?:tgram|telegram)://(?:bot)?([0-9]+:[A-Za-z0-9_-]+)(?:/|$)", url, re.IGNORECASE)
    return None if match is None else match[1]
