"""What the operator says of webhooks and alerts: flags and TOML -> one frozen `AlertSettings`. Every refusal
says what to give instead, and none repeats a secret."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from p2pool.alerts.apprise_channel import service_of
from p2pool.alerts.channel import Destination, DestinationKind
from p2pool.alerts.mail import MailServer
from p2pool.alerts.rules import DEFAULT_EVENTS, QuietHours, Rules
from p2pool.alerts.watch import Thresholds
from p2pool.alerts.webhook import parse_url
from p2pool.base.errors import OperatorError
from p2pool.base.paths import decode_text, parse_path
from p2pool.base.text import printable
from p2pool.pool_stats import EventKind

SECRET_VARIABLE: Final = "P2POOL_WEBHOOK_SECRET"
PASSWORD_VARIABLE: Final = "P2POOL_ALERT_SMTP_PASSWORD"
URLS_VARIABLE: Final = "P2POOL_ALERT_URLS"
MAX_DESTINATIONS: Final = 16
"""Of one flag: each has a queue of its own."""
MIN_SECRET, MAX_SECRET = 8, 512
MAX_FILE: Final = 65_536
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "worker_down": (1, 43_200),
    "hash_rate_drop": (1, 99),
    "hash_rate_drop_time": (1, 86_400),
    "dashd_lost": (1, 86_400),
    "peers_lost": (1, 86_400),
    "storage_problem": (0, 86_400),
    "software_lost": (1, 86_400),
}


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Everything. `secret` signs webhooks; `page` is where people find this node's pages, None for the address on
    this machine; `node` what messages call it, empty for the machine's name."""

    destinations: tuple[Destination, ...] = ()
    rules: Rules = field(default_factory=Rules)
    thresholds: Thresholds = field(default_factory=Thresholds)
    secret: str | None = field(default=None, repr=False)
    allow_private: bool = False
    mail: MailServer | None = None
    node: str = ""
    page: str | None = None


def check_alerts(settings: dict[str, Any], environment: Mapping[str, str]) -> AlertSettings:
    """What `settings` says of alerts, which is taken out of it. Raises OperatorError."""
    found: list[Destination] = []
    found += _webhooks("--block-webhook", settings.pop("block_webhook", ()), frozenset({EventKind.BLOCK_FOUND}))
    wanted = _events("--webhook-events", settings.pop("webhook_events", None), frozenset(EventKind))
    hooks = settings.pop("webhook", ())
    if wanted[1] and not hooks:
        raise OperatorError("--webhook-events without --webhook: say which URL is to be told")
    found += _webhooks("--webhook", hooks, wanted[0])
    secret = _secret(
        settings, environment, ("--webhook-secret", "--webhook-secret-file", SECRET_VARIABLE), MIN_SECRET
    )
    if secret is not None and not found:
        raise OperatorError("a secret for webhooks without one: give --webhook URL or --block-webhook URL, too")
    emails = _emails(settings.pop("alert_email", ()))
    mail = _mail(settings, environment, bool(emails))
    services = _services(settings, environment)
    rules = _rules(settings, bool(emails or services))
    node = printable(str(settings.pop("alert_node", "")).strip(), 60)
    return AlertSettings(
        destinations=tuple(_numbered([*found, *emails, *services])),
        rules=rules,
        thresholds=_thresholds(settings.pop("alert_threshold", ())),
        secret=secret,
        allow_private=bool(settings.pop("webhook_allow_private", False)),
        mail=mail,
        node=node,
        page=_page(settings.pop("alert_page", None)),
    )


def _numbered(destinations: Iterable[Destination]) -> Iterable[Destination]:
    """With ids: the way and what may be shown, and a number where there are several of those. An id stays when
    destinations come and go beside it, and when a token in its URL is replaced."""
    taken: set[str] = set()
    for each in destinations:
        name = f"{each.id}-{each.shown}"
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        free = name if name not in taken else next(other for other in numbered if other not in taken)
        taken.add(free)
        yield replace(each, id=free)


# --- destinations ------------------------------------------------------------------------------------------------


def _webhooks(flag: str, urls: Sequence[str], events: frozenset[EventKind]) -> list[Destination]:
    _check_count(flag, urls)
    found = []
    for url in urls:
        try:
            target = parse_url(url)
        except ValueError as error:
            raise OperatorError(
                f"{flag}: a URL cannot be used: {error}; give one like https://example.org/hook"
            ) from None
        found.append(Destination(flag.strip("-"), DestinationKind.WEBHOOK, target.host, url, events))
    return found


def _emails(addresses: Sequence[str]) -> list[Destination]:
    _check_count("--alert-email", addresses)
    for address in addresses:
        if _ADDRESS.fullmatch(address) is None:
            raise OperatorError(f"--alert-email {printable(address)}: give an address like you@example.org")
    return [
        Destination("email", DestinationKind.EMAIL, address.rpartition("@")[2].lower(), address)
        for address in addresses
    ]


def _services(settings: dict[str, Any], environment: Mapping[str, str]) -> list[Destination]:
    """--alert-url, the lines of --alert-url-file, and the variable."""
    urls = list(settings.pop("alert_url", ()))
    file = settings.pop("alert_url_file", None)
    if file is not None:
        lines = [line.strip() for line in _text_of("--alert-url-file", file).splitlines()]
        urls += [line for line in lines if line and not line.startswith("#")]
    urls += environment.get(URLS_VARIABLE, "").split()
    _check_count("--alert-url", urls)
    found = []
    for number, url in enumerate(urls, 1):
        service = service_of(url)
        if service is None:
            raise OperatorError(
                f"--alert-url: apprise cannot use the URL of place {number} (not repeated here, since it may hold "
                "a secret); see https://github.com/caronc/apprise/wiki for the forms that there are"
            )
        found.append(Destination("service", DestinationKind.SERVICE, service, url))
    return found


def _check_count(flag: str, given: Sequence[object]) -> None:
    if len(given) > MAX_DESTINATIONS:
        raise OperatorError(f"{flag} was given {len(given)} times; at most {MAX_DESTINATIONS} are told")


# --- mail --------------------------------------------------------------------------------------------------------

_MAIL_FLAGS = ("alert_from", "alert_smtp_server", "alert_smtp_user", "alert_smtp_ca")


def _mail(settings: dict[str, Any], environment: Mapping[str, str], wanted: bool) -> MailServer | None:
    given = {name: settings.pop(name, None) for name in _MAIL_FLAGS}
    names = "--alert-smtp-password", "--alert-smtp-password-file", PASSWORD_VARIABLE
    password = _secret(settings, environment if wanted else {}, names, 1)
    if not wanted:
        for name, value in given.items():
            if value is not None:
                raise OperatorError(f"--{name.replace('_', '-')} without --alert-email: say who is to be told")
        return None
    server, user = given["alert_smtp_server"], given["alert_smtp_user"]
    if server is None:
        raise OperatorError(
            "--alert-email without --alert-smtp-server: give the mail server, HOST[:PORT], or smtps://HOST for "
            "one that is encrypted from the first byte"
        )
    if (user is None) != (password is None):
        raise OperatorError(
            "--alert-smtp-user and its password belong together: give --alert-smtp-password-file FILE, "
            f"{PASSWORD_VARIABLE} in the environment, or --alert-smtp-password"
        )
    host, port, encrypted = _mail_server(server, user is not None)
    ca = None if given["alert_smtp_ca"] is None else parse_path("--alert-smtp-ca", given["alert_smtp_ca"])
    if ca is not None and not ca.is_file():
        raise OperatorError(f"--alert-smtp-ca: {ca} is not a file; give certificates in PEM")
    sender = given["alert_from"] or (
        user if user and _ADDRESS.fullmatch(user) else f"p2pool@{socket.gethostname()}"
    )
    if _ADDRESS.fullmatch(sender) is None:
        raise OperatorError(f"--alert-from {printable(sender)}: give an address like p2pool@example.org")
    return MailServer(host, port, sender, encrypted, user, password, ca)


def _mail_server(text: str, has_login: bool) -> tuple[str, int, bool]:
    """(host, port, whether it is encrypted from the first byte)."""
    scheme, _, rest = text.rpartition("://")
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?/?", rest)
    if scheme not in ("", "smtp", "smtps") or match is None:
        raise OperatorError(
            f"--alert-smtp-server {printable(text)}: give HOST, HOST:PORT, smtp://HOST:PORT or smtps://HOST:PORT"
        )
    port = int(match[3]) if match[3] else 465 if scheme == "smtps" else 587 if has_login else 25
    if not 0 < port < 65536:
        raise OperatorError(f"--alert-smtp-server {printable(text)}: a port is between 1 and 65535")
    return match[1] or match[2], port, scheme == "smtps"


# --- rules -------------------------------------------------------------------------------------------------------


def _rules(settings: dict[str, Any], has_people: bool) -> Rules:
    names = ("alert_events", "alert_quiet", "alert_quiet_except", "alert_group")
    given = {name: settings.pop(name, None) for name in names}
    if not has_people:
        for name, value in given.items():
            if value is not None:
                raise OperatorError(
                    f"--{name.replace('_', '-')} without --alert-email or --alert-url: say who is to be told"
                )
    group = given["alert_group"]
    if group is not None and not 1 <= group <= 3600:
        raise OperatorError(f"--alert-group {group:g}: must be between 1 and 3600")
    if given["alert_quiet_except"] is not None and given["alert_quiet"] is None:
        raise OperatorError("--alert-quiet-except without --alert-quiet: say when it is quiet, like 22:00-07:00")
    return Rules(
        events=_events("--alert-events", given["alert_events"], DEFAULT_EVENTS)[0],
        group=60.0 if group is None else group,
        quiet=_quiet(given["alert_quiet"]),
        quiet_except=_events("--alert-quiet-except", given["alert_quiet_except"], frozenset())[0],
    )


def _events(flag: str, text: str | None, default: frozenset[EventKind]) -> tuple[frozenset[EventKind], bool]:
    """(the kinds of a list, whether there was one); "all" is all, "default" what there is without the flag."""
    if text is None:
        return default, False
    known = {kind.value: kind for kind in EventKind}
    found: set[EventKind] = set()
    for word in text.replace(",", " ").lower().replace("-", "_").split():
        if word in ("all", "default"):
            found |= frozenset(EventKind) if word == "all" else default
        elif word in known:
            found.add(known[word])
        else:
            raise OperatorError(
                f"{flag}: there is no event {printable(word)!r}; there are {', '.join(known)}; or all, or default"
            )
    if not found:
        raise OperatorError(f"{flag}: the list is empty; give events separated by commas, or leave it out")
    return frozenset(found), True


def _quiet(text: str | None) -> QuietHours:
    spans = []
    for part in (text or "").replace(",", " ").split():
        match = re.fullmatch(r"([01]?[0-9]|2[0-4]):([0-5][0-9])-([01]?[0-9]|2[0-4]):([0-5][0-9])", part)
        if match is None:
            raise OperatorError(f"--alert-quiet {printable(part)}: give times of the day like 22:00-07:00")
        hours = [int(match[n]) * 60 + int(match[n + 1]) for n in (1, 3)]
        if max(hours) > 1440 or hours[0] % 1440 == hours[1] % 1440:
            raise OperatorError(f"--alert-quiet {part}: this is no part of a day; give one like 22:00-07:00")
        spans.append((hours[0] % 1440, hours[1] % 1440))
    if len(spans) > 16:
        raise OperatorError(f"--alert-quiet: {len(spans)} times are too many; give up to 16")
    return QuietHours(tuple(spans))


def _thresholds(given: Sequence[str]) -> Thresholds:
    names = [each.name for each in fields(Thresholds)]
    found: dict[str, float] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if name not in names or not equals or re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{0,9})?\s*", value) is None:
            raise OperatorError(
                f"--alert-threshold {printable(text)}: give NAME=NUMBER; the names are {', '.join(names)}"
            )
        low, high = _RANGES[name]
        if not low <= float(value) <= high:
            raise OperatorError(f"--alert-threshold {printable(text)}: must be between {low:g} and {high:g}")
        found[name] = float(value)
    return Thresholds(**found)


def _page(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        target = parse_url(text)
    except ValueError as error:
        raise OperatorError(f"--alert-page: {error}; give one like https://pool.example.org/") from None
    return target.url if target.url.endswith("/") else target.url + "/"


# --- secrets -----------------------------------------------------------------------------------------------------


def _secret(
    settings: dict[str, Any], environment: Mapping[str, str], names: tuple[str, str, str], least: int
) -> str | None:
    """A secret: of the flag, else of the file, else of the environment. `names` are those of the three."""
    flag, file_flag, variable = names
    said = settings.pop(flag.strip("-").replace("-", "_"), None)
    file = settings.pop(file_flag.strip("-").replace("-", "_"), None)
    if said is not None and file is not None:
        raise OperatorError(f"{flag} and {file_flag} are both given: give one of them")
    secret, source = said, flag
    if file is not None:
        secret, source = _text_of(file_flag, file).strip("\r\n"), file_flag
    elif said is None:
        secret, source = environment.get(variable), variable
    if secret is None:
        return None
    if not least <= len(secret) <= MAX_SECRET or not secret.isprintable():
        raise OperatorError(
            f"{source}: what is given cannot be used; give {least} to {MAX_SECRET} printable characters on one "
            "line (openssl rand -hex 24 makes a good secret)"
        )
    return str(secret)


def _text_of(flag: str, file: str) -> str:
    try:
        with open(parse_path(flag, file), "rb") as opened:
            data = opened.read(MAX_FILE + 1)
        if len(data) <= MAX_FILE:
            return decode_text(data)
        reason = f"it has more than {MAX_FILE} bytes"
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError:
        reason = "it is not text"
    raise OperatorError(f"{flag}: cannot read {file}: {reason}; give a file of text")
