"""One frozen `AlertSettings` from what the operator says about webhooks and alerts. Every error says what to give
instead, and none repeats a secret."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from p2pool.alerts.apprise_channel import service_of
from p2pool.alerts.channel import Destination, DestinationKind
from p2pool.alerts.mail import MailServer
from p2pool.alerts.miners.settings import MinerAlertOptions, MinerAlertSettings, check_miner_alerts
from p2pool.alerts.options import (
    SMTP_PASSWORD,
    SMTP_PORT,
    SMTPS_PORT,
    SUBMISSION_PORT,
    AlertOptions,
    WebhookOptions,
    is_mail_address,
)
from p2pool.alerts.rules import DEFAULT_EVENTS, GROUP_TIME, QuietHours, Rules
from p2pool.alerts.watch import Thresholds
from p2pool.alerts.webhook import parse_url
from p2pool.base.errors import OperatorError
from p2pool.base.text import printable, without_login
from p2pool.pool_stats import EventKind


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Everything about webhooks and alerts. `secret` signs webhooks; `page` is the URL of this node's pages, None
    for the address on this machine; `node` is what messages call it, empty for the machine's name."""

    destinations: tuple[Destination, ...] = ()
    rules: Rules = field(default_factory=Rules)
    thresholds: Thresholds = field(default_factory=Thresholds)
    secret: str | None = field(default=None, repr=False)
    allow_private: bool = False
    mail: MailServer | None = None
    node: str = ""
    page: str | None = None
    miners: MinerAlertSettings = field(default_factory=MinerAlertSettings)


def check_alerts(
    webhooks: WebhookOptions, alerts: AlertOptions, miners: MinerAlertOptions | None = None
) -> AlertSettings:
    """Return the settings that the options make together. Raises OperatorError."""
    if webhooks.webhook_events is not None and not webhooks.webhook:
        raise OperatorError("--webhook-events without --webhook: give the URL to send them to")
    found = [
        *_webhooks("block-webhook", webhooks.block_webhook, frozenset({EventKind.BLOCK_FOUND})),
        *_webhooks("webhook", webhooks.webhook, webhooks.webhook_events or frozenset(EventKind)),
    ]
    if webhooks.webhook_secret is not None and not found:
        raise OperatorError("a webhook secret without a webhook: also give --webhook URL or --block-webhook URL")
    emails = [
        Destination(
            id="email", kind=DestinationKind.EMAIL, shown=address.rpartition("@")[2].lower(), target=address
        )
        for address in alerts.alert_email
    ]
    mail = _mail(alerts)
    services = _services(alerts.alert_url)
    return AlertSettings(
        destinations=tuple(_numbered([*found, *emails, *services])),
        rules=_rules(alerts),
        thresholds=alerts.alert_threshold,
        secret=webhooks.webhook_secret,
        allow_private=webhooks.webhook_allow_private,
        mail=mail,
        node=alerts.alert_node,
        page=alerts.alert_page,
        miners=check_miner_alerts(
            miners or MinerAlertOptions(), page=alerts.alert_page, mail=mail, alert_urls=alerts.alert_url
        ),
    )


def _numbered(destinations: Iterable[Destination]) -> Iterable[Destination]:
    """Yield destinations with their ids: the delivery channel and what may be shown, and a number if there are
    several of those. An id stays the same when other destinations come and go, and when a token in its URL is
    replaced."""
    taken: set[str] = set()
    for each in destinations:
        name = f"{each.id}-{each.shown}"
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        free = name if name not in taken else next(other for other in numbered if other not in taken)
        taken.add(free)
        yield replace(each, id=free)


def _webhooks(name: str, urls: Sequence[str], events: frozenset[EventKind]) -> list[Destination]:
    return [
        Destination(id=name, kind=DestinationKind.WEBHOOK, shown=parse_url(url).host, target=url, events=events)
        for url in urls
    ]


def _services(urls: Sequence[str]) -> list[Destination]:
    found = []
    for number, url in enumerate(urls, 1):
        service = service_of(url)
        if service is None:
            raise OperatorError(
                f"--alert-url: apprise cannot use URL number {number} (not repeated here, since it may contain a "
                "secret); see https://github.com/caronc/apprise/wiki for the forms that it knows"
            )
        found.append(Destination(id="service", kind=DestinationKind.SERVICE, shown=service, target=url))
    return found


# --- mail --------------------------------------------------------------------------------------------------------


def _mail(options: AlertOptions) -> MailServer | None:
    server, user, ca = options.alert_smtp_server, options.alert_smtp_user, options.alert_smtp_ca
    password = options.alert_smtp_password
    if not options.alert_email:
        for name in ("alert_from", "alert_smtp_server", "alert_smtp_user", "alert_smtp_ca"):
            if getattr(options, name) is not None:
                raise OperatorError(f"--{name.replace('_', '-')} without --alert-email: give a recipient")
        return None
    if server is None:
        raise OperatorError(
            "--alert-email without --alert-smtp-server: give the mail server, HOST[:PORT], or smtps://HOST for "
            "implicit TLS"
        )
    if (user is None) != (password is None):
        raise OperatorError(
            "--alert-smtp-user and its password belong together: give --alert-smtp-password-file FILE, "
            f"{SMTP_PASSWORD.variable} in the environment, or --alert-smtp-password"
        )
    host, port, encrypted = _mail_server(server, user is not None)
    if ca is not None and not ca.is_file():
        raise OperatorError(f"--alert-smtp-ca: {ca} is not a file; give certificates in PEM")
    sender = options.alert_from or (user if user and is_mail_address(user) else f"p2pool@{socket.gethostname()}")
    if not is_mail_address(sender):
        raise OperatorError(
            f"--alert-from {printable(without_login(sender))}: give an address like p2pool@example.org"
        )
    return MailServer(
        host=host, port=port, sender=sender, encrypted=encrypted, user=user, password=password, authorities=ca
    )


def _mail_server(text: str, has_login: bool) -> tuple[str, int, bool]:
    """Return (host, port, whether it is encrypted from the first byte)."""
    scheme, _, rest = text.rpartition("://")
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?/?", rest)
    if scheme not in ("", "smtp", "smtps") or match is None:
        raise OperatorError(
            f"--alert-smtp-server {printable(without_login(text))}: give HOST, HOST:PORT, smtp://HOST:PORT or "
            "smtps://HOST:PORT"
        )
    default_port = SMTPS_PORT if scheme == "smtps" else SUBMISSION_PORT if has_login else SMTP_PORT
    port = int(match[3]) if match[3] else default_port
    if not 0 < port < 65536:
        raise OperatorError(f"--alert-smtp-server {printable(text)}: a port is between 1 and 65535")
    return match[1] or match[2], port, scheme == "smtps"


# --- rules -------------------------------------------------------------------------------------------------------


def _rules(options: AlertOptions) -> Rules:
    if not options.alert_email and not options.alert_url:
        for name in ("alert_events", "alert_quiet", "alert_quiet_except", "alert_group"):
            if getattr(options, name) is not None:
                raise OperatorError(
                    f"--{name.replace('_', '-')} without --alert-email or --alert-url: give a recipient"
                )
    if options.alert_quiet_except is not None and options.alert_quiet is None:
        raise OperatorError("--alert-quiet-except without --alert-quiet: give the quiet hours, like 22:00-07:00")
    return Rules(
        events=options.alert_events or DEFAULT_EVENTS,
        group=options.alert_group or GROUP_TIME,
        quiet=options.alert_quiet or QuietHours(),
        quiet_except=options.alert_quiet_except or frozenset(),
    )
