"""Flags of webhooks and alerts: what is taken, and what is refused with which words."""

from __future__ import annotations

import pytest

from p2pool.alerts.channel import DestinationKind
from p2pool.alerts.options import ALERT_URLS, SMTP_PASSWORD, WEBHOOK_SECRET
from p2pool.alerts.rules import DEFAULT_EVENTS, QuietHours
from p2pool.alerts.settings import AlertSettings
from p2pool.alerts.watch import Thresholds
from p2pool.app.config import load_config
from p2pool.base.errors import OperatorError
from p2pool.pool_stats import EventKind

HOOK, MAIL = ("--webhook", "https://h.example/x/TOKEN?k=v"), ("--alert-email", "me@example.org")
SERVER = ("--alert-smtp-server", "mail.example")
DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"


def load(tmp_path, *flags: str, environment: dict[str, str] | None = None) -> AlertSettings:
    arguments = ["--net", "simnet", "--datadir", str(tmp_path), *flags]
    return load_config(arguments, tmp_path, environment or {}).alerts


def test_nobody_is_notified_by_default(tmp_path):
    assert load(tmp_path) == AlertSettings()


def test_destinations_have_ids_that_hold_no_secret(tmp_path):
    settings = load(
        tmp_path,
        *("--block-webhook", "http://u:pw@h.example/x", *HOOK, "--webhook", "https://h.example/other"),
        *("--webhook", "http://[::1]:5/", *MAIL, *SERVER, "--alert-url", DISCORD),
    )
    assert [(each.id, each.kind, each.shown) for each in settings.destinations] == [
        ("block-webhook-h.example", DestinationKind.WEBHOOK, "h.example"),
        ("webhook-h.example", DestinationKind.WEBHOOK, "h.example"),
        ("webhook-h.example-2", DestinationKind.WEBHOOK, "h.example"),
        ("webhook-::1", DestinationKind.WEBHOOK, "::1"),
        ("email-example.org", DestinationKind.EMAIL, "example.org"),
        ("service-discord", DestinationKind.SERVICE, "discord"),
    ]
    assert settings.destinations[0].events == {EventKind.BLOCK_FOUND}
    assert settings.destinations[1].events == frozenset(EventKind)
    assert settings.destinations[4].events is None
    for secret in ("TOKEN", "pw", "JHMHI8", "me@"):
        assert secret not in repr(settings)


def test_no_two_destinations_have_the_same_id(tmp_path):
    hosts = ("node", "node", "node-2", "node")
    settings = load(tmp_path, *(part for host in hosts for part in ("--webhook", f"http://{host}/")))
    names = [each.id for each in settings.destinations]
    assert names == ["webhook-node", "webhook-node-2", "webhook-node-2-2", "webhook-node-3"]


def test_what_people_are_told(tmp_path):
    settings = load(
        tmp_path,
        *(*MAIL, *SERVER, "--alert-events", "ban, Worker-Down", "--alert-quiet", "22:00-07:00,12:30-13:00"),
        *("--alert-quiet-except", "ban", "--alert-group", "30", "--alert-node", " hall 1 "),
        *("--alert-threshold", "worker-down=900", "--alert-threshold", "hash_rate_drop=40.5"),
        *("--alert-page", "https://pool.example/node"),
    )
    rules = settings.rules
    assert rules.events == {EventKind.BAN, EventKind.WORKER_DOWN}
    assert rules.quiet == QuietHours(((1320, 420), (750, 780)))
    assert rules.quiet_except == {EventKind.BAN}
    assert rules.group == 30
    assert settings.thresholds == Thresholds(worker_down=900, hash_rate_drop=40.5)
    assert (settings.node, settings.page) == ("hall 1", "https://pool.example/node/")
    assert load(tmp_path, *MAIL, *SERVER).rules.events == DEFAULT_EVENTS
    assert load(tmp_path, *MAIL, *SERVER, "--alert-events", "all").rules.events == frozenset(EventKind)
    assert load(tmp_path, *MAIL, *SERVER, "--alert-quiet", "8:00-24:00").rules.quiet == QuietHours(((480, 0),))


@pytest.mark.parametrize(
    ("server", "login", "host", "port", "encrypted"),
    [
        ("mail.example", False, "mail.example", 25, False),
        ("mail.example", True, "mail.example", 587, False),
        ("smtp://mail.example:2525", True, "mail.example", 2525, False),
        ("smtps://mail.example", True, "mail.example", 465, True),
        ("[::1]:26", False, "::1", 26, False),
    ],
)
def test_mail_servers(tmp_path, server, login, host, port, encrypted):
    flags = ("--alert-smtp-user", "me@a.example", "--alert-smtp-password", "pa ss") if login else ()
    mail = load(tmp_path, *MAIL, "--alert-smtp-server", server, *flags).mail
    assert mail is not None
    assert (mail.host, mail.port, mail.encrypted) == (host, port, encrypted)
    if login:
        assert (mail.user, mail.password, mail.sender) == ("me@a.example", "pa ss", "me@a.example")
        assert "pa ss" not in repr(mail)


def test_an_empty_sender_is_the_default_one(tmp_path):
    mail, default = (load(tmp_path, *MAIL, *SERVER, *flags).mail for flags in (("--alert-from", ""), ()))
    assert mail is not None
    assert default is not None
    assert mail.sender == default.sender


def test_secrets_come_from_files_and_the_environment(tmp_path):
    secret, urls = tmp_path / "secret", tmp_path / "urls"
    secret.write_text("of the file\n")
    urls.write_text(f"# mine\n\n{DISCORD}\n")
    everything = {WEBHOOK_SECRET.variable: "of the environment"}
    assert load(tmp_path, *HOOK, environment=everything).secret == "of the environment"
    assert load(tmp_path, *HOOK, "--webhook-secret-file", str(secret)).secret == "of the file"
    assert load(tmp_path, *HOOK, "--webhook-secret", "of the flag", environment=everything).secret == "of the flag"
    login = ("--alert-smtp-user", "me")
    for flags, environment in (
        (("--alert-smtp-password-file", str(secret)), {}),
        ((), {SMTP_PASSWORD.variable: "of the file"}),
    ):
        mail = load(tmp_path, *MAIL, *SERVER, *login, *flags, environment=environment).mail
        assert mail is not None
        assert mail.password == "of the file"
    settings = load(
        tmp_path, "--alert-url-file", str(urls), environment={ALERT_URLS.variable: f"{DISCORD}x json://h"}
    )
    assert [each.id for each in settings.destinations] == ["service-discord", "service-discord-2", "service-json"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--webhook", "ftp://h.example/SECRET"), "--webhook: unusable URL: it must begin with http"),
        (("--webhook", "https:///SECRET"), "it names no host"),
        (("--webhook", "https://h.example:99999/SECRET"), "--webhook: unusable URL"),
        (("--block-webhook", "https://h.example/SECRET \n"), "--block-webhook: unusable URL: it must be"),
        (HOOK * 17, "17 times; at most 16"),
        ((*HOOK, "--webhook-events", "block_fund"), "unknown event 'block_fund'; give any of block_found,"),
        ((*HOOK, "--webhook-events", " ,"), "the list is empty"),
        (("--webhook-events", "ban"), "--webhook-events without --webhook"),
        (("--webhook-secret", "SECRETSECRET"), "a webhook secret without a webhook"),
        ((*HOOK, "--webhook-secret", "SECRET"), "give 8 to 512 printable characters"),
        ((*HOOK, "--webhook-secret", "SECRETSECRET", "--webhook-secret-file", "x"), "both given"),
        ((*HOOK, "--webhook-secret-file", "/nowhere/x"), "--webhook-secret-file: cannot read /nowhere/x: No such"),
        (MAIL, "--alert-email without --alert-smtp-server"),
        (SERVER, "--alert-smtp-server without --alert-email"),
        (("--alert-email", "me", *SERVER), "--alert-email me: give an address"),
        (("--alert-email", "me@h\r\nBcc: x@y", *SERVER), "give an address"),
        ((*MAIL, *SERVER, "--alert-from", "<me@h>"), "--alert-from <me@h>: give an address"),
        ((*MAIL, *SERVER, "--alert-from", "u:SECRET@h x"), "--alert-from ...@h x: give an address"),
        ((*MAIL, *SERVER, "--alert-smtp-user", "me"), "belong together"),
        ((*MAIL, *SERVER, "--alert-smtp-password", "SECRET"), "belong together"),
        ((*MAIL, "--alert-smtp-server", "http://h"), "give HOST, HOST:PORT, smtp://"),
        ((*MAIL, "--alert-smtp-server", "u:SECRET@h"), "--alert-smtp-server ...@h: give HOST, HOST:PORT"),
        ((*MAIL, "--alert-smtp-server", "smtps://u:SECRET@h:465"), "smtps://...@h:465: give HOST, HOST:PORT"),
        ((*MAIL, "--alert-smtp-server", "h:0"), "a port is between"),
        ((*MAIL, *SERVER, "--alert-smtp-ca", "/nowhere/ca"), "--alert-smtp-ca: /nowhere/ca is not a file"),
        (("--alert-url", "nothing://SECRET"), "--alert-url: apprise cannot use URL number 1"),
        (("--alert-events", "ban"), "--alert-events without --alert-email or --alert-url"),
        (("--alert-group", "5"), "--alert-group without"),
        ((*MAIL, *SERVER, "--alert-group", "0"), "between 1 and 3600"),
        ((*MAIL, *SERVER, "--alert-quiet", "22-7"), "give times of the day like 22:00-07:00"),
        ((*MAIL, *SERVER, "--alert-quiet", "24:30-07:00"), "this is not a period within a day"),
        ((*MAIL, *SERVER, "--alert-quiet", "07:00-07:00"), "this is not a period within a day"),
        ((*MAIL, *SERVER, "--alert-quiet", "00:00-24:00"), "this is not a period within a day"),
        ((*MAIL, *SERVER, "--alert-quiet-except", "ban"), "--alert-quiet-except without --alert-quiet"),
        (("--alert-threshold", "worker_down"), "give NAME=NUMBER; the names are worker_down, hash_rate_drop,"),
        (("--alert-threshold", "nothing=5"), "give NAME=NUMBER"),
        (("--alert-threshold", "worker_down=nan"), "give NAME=NUMBER"),
        (("--alert-threshold", "hash_rate_drop=100"), "must be between 1 and 99"),
        ((*HOOK, "--alert-page", "pool.example"), "--alert-page: it must begin with http"),
    ],
)
def test_what_is_refused_says_what_to_give_and_repeats_no_secret(tmp_path, flags, words):
    with pytest.raises(OperatorError) as refused:
        load(tmp_path, *flags)
    assert words in str(refused.value)
    assert "SECRET" not in str(refused.value)
    assert str(refused.value).isprintable()


def test_all_of_it_may_stand_in_a_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        f"""
        block-webhook = ["https://h.example/b"]
        webhook = ["https://h.example/w"]
        webhook-events = "ban"
        webhook-secret = "secretsecret"
        webhook-allow-private = true
        alert-email = ["a@example.org", "b@example.org"]
        alert-smtp-server = "h"
        alert-smtp-user = "u"
        alert-smtp-password = "p"
        alert-from = "p2pool@example.org"
        alert-url = ["{DISCORD}"]
        alert-events = "all"
        alert-threshold = ["worker_down=5", "dashd_lost=6"]
        alert-quiet = "22:00-07:00"
        alert-quiet-except = "dashd_lost"
        alert-group = 20
        alert-node = "n"
        alert-page = "https://n.example/"
        """
    )
    settings = load(tmp_path, "--config", str(file))
    assert [each.id for each in settings.destinations] == [
        *("block-webhook-h.example", "webhook-h.example", "email-example.org", "email-example.org-2"),
        "service-discord",
    ]
    assert settings.allow_private
    assert settings.thresholds == Thresholds(worker_down=5, dashd_lost=6)
    assert settings.rules.quiet_except == {EventKind.DASHD_LOST}
