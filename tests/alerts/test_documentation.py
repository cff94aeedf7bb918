"""docs/alerts.md: it names all that there is, its snippet accepts what the node sends and nothing else, and its
flags are taken."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields

import pytest

from p2pool.alerts.options import AlertOptions, WebhookOptions
from p2pool.alerts.settings import check_alerts
from p2pool.alerts.watch import Thresholds
from p2pool.alerts.webhook import sign
from p2pool.app.config import load_config
from p2pool.app.settings import flag_names
from p2pool.pool_stats import EventKind
from tests.chains import NOW
from tests.support import ROOT

PAGE = (ROOT / "docs" / "alerts.md").read_text("utf-8")


def test_it_names_every_event_threshold_and_flag():
    for kind in EventKind:
        assert f"| `{kind.value}` |" in PAGE
    for field in fields(Thresholds):
        assert f"`{field.name}={field.default:g}`" in PAGE
    flags = flag_names()
    wanted = {flag for flag in flags if flag.startswith(("--alert", "--webhook", "--block-webhook"))}
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert wanted - named == {"--alert-smtp-password"}  # the page has better places for it
    assert named <= flags


@pytest.mark.parametrize("command", re.findall(r"^    (run_p2pool\.py (?:.*\\\n)*.*)$", PAGE, re.M))
def test_its_commands_are_taken(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smtp-password").write_text("secret")
    # The page's placeholders for tokens, in the form that the services give them.
    command = command.replace("BOT_TOKEN", "123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI").replace(
        "CHAT_ID", "1234"
    )
    _, *flags = shlex.split(command.replace("\\\n", " "))
    alerts = load_config(flags, tmp_path, {}).alerts
    assert alerts.destinations or alerts.miners.channels
    assert check_alerts(WebhookOptions(), AlertOptions()).destinations == ()


def test_its_snippet_accepts_what_is_signed_fresh_and_new():
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names: dict = {}
    exec(snippet, names)
    accept, secret = names["accept"], names["SECRET"]

    def signed(**event) -> tuple[dict, bytes]:
        body = json.dumps({"event": "test", "delivery": "a", "sent": NOW} | event).encode()
        return {"x-p2pool-signature": sign(secret, body)}, body

    assert accept(*signed(), now=NOW + 5)["event"] == "test"
    assert accept(*signed(), now=NOW + 6) is None  # again
    assert accept(*signed(delivery="b"), now=NOW + 301) is None  # late
    headers, body = signed(delivery="c")
    assert accept(headers, body.replace(b"test", b"ban!"), now=NOW) is None
    assert accept({}, body, now=NOW) is None
    assert accept({"x-p2pool-signature": sign("another", body)}, body, now=NOW) is None
    assert accept(headers, body, now=NOW)["delivery"] == "c"
    assert accept(*signed(delivery="d", sent=NOW + 1000), now=NOW + 1000)
    assert set(names["seen"]) == {"d"}
