"""What an operator can say about webhooks and alerts: the flags, and how single values are read. `settings` puts
them together. No error repeats a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

from p2pool.alerts.rules import DEFAULT_EVENTS, GROUP_TIME, QuietHours
from p2pool.alerts.watch import Thresholds, threshold_limits
from p2pool.alerts.webhook import parse_url
from p2pool.base.errors import OperatorError
from p2pool.base.setting_values import read_path
from p2pool.base.settings import Given, Reader, Secret, Shown, format_number, read_number, setting, switch
from p2pool.base.text import printable, without_login
from p2pool.pool_stats import EventKind

MAX_DESTINATIONS: Final = 16
"""Of one flag: each has a queue of its own."""
MIN_SECRET, MAX_SECRET = 8, 512
SMTP_PORT: Final = 25
SUBMISSION_PORT: Final = 587
SMTPS_PORT: Final = 465
MAX_QUIET: Final = 16
WEBHOOK_SECRET: Final = Secret("P2POOL_WEBHOOK_SECRET")
SMTP_PASSWORD: Final = Secret("P2POOL_ALERT_SMTP_PASSWORD", only_with="alert_email")
ALERT_URLS: Final = Secret("P2POOL_ALERT_URLS", may_be_empty=True)
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def is_mail_address(text: str) -> bool:
    """Return whether a text is an e-mail address of the usual form."""
    return _ADDRESS.fullmatch(text) is not None


def read_webhook(given: Given) -> str:
    """Return the URL of a webhook."""
    try:
        parse_url(given.text)
    except ValueError as error:
        raise OperatorError(
            f"{given.source}: unusable URL: {error}; give one like https://example.org/hook"
        ) from None
    return given.text


def read_page(given: Given) -> str:
    """Return the URL of the node's pages, with a slash at its end."""
    try:
        target = parse_url(given.text)
    except ValueError as error:
        raise OperatorError(f"{given.source}: {error}; give one like https://pool.example.org/") from None
    return target.url if target.url.endswith("/") else target.url + "/"


def mail_address(example: str) -> Reader:
    """Return a reader of e-mail addresses, whose errors give an example."""

    def read(given: Given) -> str:
        if not is_mail_address(given.text):
            raise given.refused(f"give an address like {example}")
        return given.text

    return read


def read_sender(given: Given) -> str:
    """Return the sender of e-mails; an empty one stands for the default."""
    if given.text and not is_mail_address(given.text):
        raise given.refused("give an address like p2pool@example.org")
    return given.text


def secret_text(*, least: int) -> Reader:
    """Return a reader of secrets of at least so many characters."""

    def read(given: Given) -> str:
        if not least <= len(given.text) <= MAX_SECRET or not given.text.isprintable():
            raise OperatorError(
                f"{given.source}: this value cannot be used; give {least} to {MAX_SECRET} printable characters on "
                "one line (openssl rand -hex 24 makes a good secret)"
            )
        return given.text

    return read


def event_list(default: frozenset[EventKind]) -> Reader:
    """Return a reader of lists of events: "all" is all, "default" is what there is without the flag."""
    known = {kind.value: kind for kind in EventKind}

    def read(given: Given) -> frozenset[EventKind]:
        found: set[EventKind] = set()
        for word in given.text.replace(",", " ").lower().replace("-", "_").split():
            if word in ("all", "default"):
                found |= frozenset(EventKind) if word == "all" else default
            elif word in known:
                found.add(known[word])
            else:
                raise OperatorError(
                    f"{given.source}: unknown event {printable(without_login(word))!r}; give any of "
                    f"{', '.join(known)}, or all, or default"
                )
        if not found:
            raise OperatorError(
                f"{given.source}: the list is empty; give events separated by commas, or leave it out"
            )
        return frozenset(found)

    return read


def read_quiet_hours(given: Given) -> QuietHours:
    """Return times of the day, like 22:00-07:00, separated by commas."""
    spans = []
    for part in given.text.replace(",", " ").split():
        one = replace(given, text=part)
        match = re.fullmatch(r"([01]?[0-9]|2[0-4]):([0-5][0-9])-([01]?[0-9]|2[0-4]):([0-5][0-9])", part)
        if match is None:
            raise one.refused("give times of the day like 22:00-07:00")
        minutes = [int(match[n]) * 60 + int(match[n + 1]) for n in (1, 3)]
        if max(minutes) > 1440 or minutes[0] % 1440 == minutes[1] % 1440:
            raise one.refused("this is not a period within a day; give one like 22:00-07:00")
        spans.append((minutes[0] % 1440, minutes[1] % 1440))
    if len(spans) > MAX_QUIET:
        raise OperatorError(
            f"{given.source}: {len(spans)} quiet periods are given; at most {MAX_QUIET} can be used"
        )
    return QuietHours(tuple(spans))


def read_threshold(given: Given) -> tuple[str, float]:
    """Return (name, number) of NAME=NUMBER."""
    limits = threshold_limits()
    name, equals, value = given.text.partition("=")
    name = name.strip().replace("-", "_")
    if name not in limits or not equals or re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{0,9})?\s*", value) is None:
        raise given.refused(f"give NAME=NUMBER; the names are {', '.join(limits)}")
    low, high = limits[name]
    if not low <= float(value) <= high:
        raise given.refused(f"must be between {low:g} and {high:g}")
    return name, float(value)


def collect_thresholds(pairs: Iterable[tuple[str, float]]) -> Thresholds:
    """Return the defaults with some of them replaced."""
    return Thresholds(**dict(pairs))


def read_name(given: Given) -> str:
    """Return what messages call the node, cut to a length that fits their subjects."""
    return printable(given.text.strip(), 60)


@dataclass(frozen=True, kw_only=True)
class WebhookOptions:
    """Settings of webhooks: events for programs."""

    block_webhook: tuple[str, ...] = setting(
        (),
        metavar="URL",
        read=read_webhook,
        collect=tuple,
        most=MAX_DESTINATIONS,
        secret=Secret("P2POOL_BLOCK_WEBHOOK_URLS"),
        shown=Shown.NEVER,
        help="POST to this URL when the pool finds a block",
    )
    webhook: tuple[str, ...] = setting(
        (),
        metavar="URL",
        read=read_webhook,
        collect=tuple,
        most=MAX_DESTINATIONS,
        secret=Secret("P2POOL_WEBHOOK_URLS"),
        shown=Shown.NEVER,
        help="POST to this URL when an event happens",
    )
    webhook_events: frozenset[EventKind] | None = setting(
        None,
        metavar="LIST",
        read=event_list(frozenset(EventKind)),
        shown=Shown.NEVER,
        help="events that --webhook sends, separated by commas",
        default_text="all",
    )
    webhook_secret: str | None = setting(
        None,
        metavar="TEXT",
        read=secret_text(least=MIN_SECRET),
        secret=WEBHOOK_SECRET,
        shown=Shown.NEVER,
        help="sign webhooks with this secret (HMAC-SHA256 in X-P2Pool-Signature)",
    )
    webhook_allow_private: bool = switch(
        shown=Shown.NEVER,
        help="let webhooks follow redirects to private, loopback and link-local addresses",
    )


@dataclass(frozen=True, kw_only=True)
class AlertOptions:
    """Settings of alerts: messages for people."""

    alert_email: tuple[str, ...] = setting(
        (),
        metavar="ADDRESS",
        read=mail_address("you@example.org"),
        collect=tuple,
        most=MAX_DESTINATIONS,
        shown=Shown.NEVER,
        help="send alerts to this e-mail address",
    )
    alert_smtp_server: str | None = setting(
        None,
        metavar="HOST[:PORT]",
        shown=Shown.NEVER,
        help="the mail server; smtps://HOST:PORT for implicit TLS",
        default_text=f"port {SMTP_PORT}; {SUBMISSION_PORT} with a login; {SMTPS_PORT} with smtps",
    )
    alert_smtp_user: str | None = setting(
        None,
        metavar="USER",
        shown=Shown.NEVER,
        help="user name for the mail server; the login is sent only over TLS",
    )
    alert_smtp_password: str | None = setting(
        None,
        metavar="PASSWORD",
        read=secret_text(least=1),
        secret=SMTP_PASSWORD,
        shown=Shown.NEVER,
        help="password for the mail server",
    )
    alert_smtp_ca: Path | None = setting(
        None,
        metavar="FILE",
        read=read_path,
        shown=Shown.NEVER,
        help="trust the certificates in this PEM file instead of the system's",
    )
    alert_from: str | None = setting(
        None,
        metavar="ADDRESS",
        read=read_sender,
        shown=Shown.NEVER,
        help="sender of the e-mails",
        default_text="the SMTP user, else p2pool@THIS_MACHINE",
    )
    alert_url: tuple[str, ...] = setting(
        (),
        metavar="URL",
        collect=tuple,
        most=MAX_DESTINATIONS,
        secret=ALERT_URLS,
        shown=Shown.NEVER,
        help="send alerts through the library apprise: tgram://..., discord://..., slack://..., twilio://...",
    )
    alert_events: frozenset[EventKind] | None = setting(
        None,
        metavar="LIST",
        read=event_list(DEFAULT_EVENTS),
        shown=Shown.NEVER,
        help="events to send alerts for, separated by commas",
        default_text="all but " + ", ".join(sorted(frozenset(EventKind) - DEFAULT_EVENTS)),
    )
    alert_threshold: Thresholds = setting(
        Thresholds(),
        metavar="NAME=NUMBER",
        read=read_threshold,
        collect=collect_thresholds,
        shown=Shown.NEVER,
        help="set the threshold of an alert, in seconds, or for hash_rate_drop in percent of the last hour's "
        "average",
        default_text=", ".join(f"{each.name}={each.default:g}" for each in fields(Thresholds)),
    )
    alert_group: float | None = setting(
        None,
        metavar="SECONDS",
        read=read_number,
        limits=(1, 3600),
        unit="seconds",
        shown=Shown.NEVER,
        help="combine events of one kind that occur within this time into one message",
        default_text=format_number(GROUP_TIME),
    )
    alert_quiet: QuietHours | None = setting(
        None,
        metavar="TIMES",
        read=read_quiet_hours,
        shown=Shown.NEVER,
        help="quiet hours in local time, like 22:00-07:00: messages are held and sent together afterwards",
    )
    alert_quiet_except: frozenset[EventKind] | None = setting(
        None,
        metavar="LIST",
        read=event_list(frozenset()),
        shown=Shown.NEVER,
        help="events that are sent even during quiet hours, separated by commas",
    )
    alert_node: str = setting(
        "",
        metavar="NAME",
        read=read_name,
        shown=Shown.NEVER,
        help="this node's name in messages",
        default_text="the machine's name",
    )
    alert_page: str | None = setting(
        None,
        metavar="URL",
        read=read_page,
        shown=Shown.NEVER,
        help="URL of this node's pages for links in messages",
        default_text="this machine's address",
    )
