"""Destinations that strangers give must not lead into the node's own network: not by their text, nor by what their
names resolve to when a message is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred, fail, succeed
from twisted.internet.testing import MemoryReactorClock

from p2pool.alerts.channel import DeliveryOutcome, OutboxEntry
from p2pool.alerts.miners.delivery import MAX_NTFY, Ntfy, channel_to
from p2pool.alerts.miners.destination import DestinationError, MinerDestination, read_destination
from p2pool.alerts.miners.settings import MinerAlertOptions, MinerAlertSettings, MinerChannel, check_miner_alerts
from p2pool.base import endpoints
from p2pool.base.errors import OperatorError
from p2pool.base.hosts import parse_address
from p2pool.base.socks import Proxy
from tests.alerts.miners.desk import SETTINGS
from tests.environment import make_environment

HOOK, NTFY, EMAIL, TELEGRAM = MinerChannel
ENTRY = OutboxEntry(
    "id1", "s", {"event": "miner_alert", "subject": "s", "body": "b" * 9000, "page": "http://p/"}, 1e9
)


@pytest.mark.parametrize(
    ("channel", "given", "text", "shown"),
    [
        (HOOK, " https://Hooks.example.org/a?b=c#d ", "https://Hooks.example.org/a?b=c", "hooks.example.org"),
        (HOOK, "http://93.184.216.34:8000/", "http://93.184.216.34:8000/", "93.184.216.34"),
        (HOOK, "https://u:p@h.example.org/", "https://u:p@h.example.org/", "h.example.org"),
        (HOOK, "http://10.0.0.5:8080/x", "http://10.0.0.5:8080/x", "10.0.0.5"),  # the operator allows it
        (NTFY, "https://ntfy.sh/my-topic_1", "https://ntfy.sh/my-topic_1", "ntfy.sh"),
        (EMAIL, "Me@Example.ORG", "Me@example.org", "example.org"),
        (TELEGRAM, "-1001234567890", "-1001234567890", "telegram"),
    ],
)
def test_destinations(channel, given, text, shown):
    found = read_destination(channel, given, SETTINGS)
    assert (found.text, found.shown) == (text, shown)
    assert text not in repr(found)


@pytest.mark.parametrize(
    ("channel", "given"),
    [
        *(
            (HOOK, f"http://{host}/")
            for host in (
                "127.0.0.1",
                "localhost",
                "x.localhost",
                "nas.local",
                "metadata.google.internal",
                "10.0.0.5",
                "10.1.2.3",
                "192.168.1.1",
                "172.16.0.1",
                "169.254.169.254",
                "100.64.0.1",
                "0.0.0.0",
                "224.0.0.1",
                "255.255.255.255",
                "[::1]",
                "[::]",
                "[fe80::1]",
                "[fc00::1]",
                "[::ffff:127.0.0.1]",
                "[64:ff9b::7f00:1]",
                "2130706433",
                "0x7f000001",
                "127.1",
                "abcdefghijklmnop.onion",
            )
        ),
        *((HOOK, f"http://h.example.org:{port}/") for port in (22, 25, 1023)),
        *(
            (HOOK, text)
            for text in ("", "ftp://h.example.org/", "https://", "h.example.org", "http://h.example.org/ x")
        ),
        (HOOK, "http://10.0.0.5:8081/"),
        (HOOK, "https://h.example.org/" + "x" * 300),
        *((NTFY, f"https://ntfy.sh/{topic}") for topic in ("", "a/b", "a.b", "x" * 65)),
        *((EMAIL, text) for text in ("me", "me@", "a@b\r\nBcc: c@d", "a b@c.org", "<a@b.org>")),
        *((TELEGRAM, text) for text in ("@me", "12", "1/2", "123456?x=1", "https://t.me/x")),
    ],
)
def test_destinations_that_are_refused(channel, given):
    with pytest.raises(DestinationError) as refused:
        read_destination(channel, given, SETTINGS)
    assert len(given) < 17 or given not in str(refused.value)


# --- when a message is sent --------------------------------------------------------------------------------------


class Sending:
    """A message over a reactor in memory. `answers` are what the resolver finds, one list for each question."""

    def __init__(self, *answers: list[str] | Exception, proxy: Proxy | None = None) -> None:
        self.reactor = MemoryReactorClock()
        self._answers = list(answers)
        self.environment = make_environment(self.reactor, run_in_daemon_thread=self._look_up, proxy=proxy)
        self.results: list[Any] = []

    def _look_up(self, _: Any) -> Any:
        found = self._answers.pop(0)
        return (
            fail(found) if isinstance(found, Exception) else succeed([(0, 0, 0, "", (each, 80)) for each in found])
        )

    def to(self, url: str, channel: MinerChannel = HOOK) -> list[tuple[str, int]]:
        """Where a connection is opened to."""
        way = channel_to(MinerDestination(channel, url, "h"), SETTINGS, self.environment)
        before = len(self.reactor.tcpClients)
        ensureDeferred(way.deliver(ENTRY, 1e9)).addCallback(self.results.append)
        self.reactor.advance(0)
        return [each[:2] for each in self.reactor.tcpClients[before:]]


@pytest.fixture(autouse=True)
def _own_address(monkeypatch):
    """93.184.216.99 is the address of this machine."""
    own = parse_address("93.184.216.99")
    monkeypatch.setattr("p2pool.alerts.webhook.is_of_this_machine", lambda address: address == own)


@pytest.mark.parametrize(
    ("addresses", "connected"),
    [
        (["93.184.216.34"], ["93.184.216.34"]),
        (["10.0.0.1", "93.184.216.34"], ["93.184.216.34"]),
        (["127.0.0.1"], []),
        (["::1", "127.0.0.1"], []),
        (["192.168.1.1"], []),
        (["169.254.169.254"], []),
        (["100.64.0.1"], []),
        (["0.0.0.0"], []),
        (["224.0.0.1"], []),
        (["fd00::1"], []),
        (["fe80::1"], []),
        (["::ffff:10.0.0.1"], []),
        (["64:ff9b::a00:1"], []),
        (["93.184.216.99"], []),
    ],
)
def test_a_connection_is_opened_only_to_the_public_internet(addresses, connected):
    sending = Sending(addresses)
    assert [host for host, _ in sending.to("http://h.example.org/")] == connected
    if not connected:
        (result,) = sending.results
        assert (result.outcome, result.text) == (
            DeliveryOutcome.REJECTED,
            "its host is not on the public internet",
        )


def test_a_name_that_changes_after_the_check():
    """DNS rebinding: the address that was checked is the one that is connected to, for each message anew."""
    sending = Sending(["93.184.216.34"], ["127.0.0.1"], OSError("no such name"))
    assert sending.to("http://h.example.org/") == [("93.184.216.34", 80)]
    assert sending.to("http://h.example.org/") == []
    assert sending.to("http://h.example.org/") == []
    assert sending.results[-1].outcome is DeliveryOutcome.RETRY


def test_a_host_that_the_operator_allows():
    assert Sending().to("http://10.0.0.5:8080/x") == [("10.0.0.5", 8080)]


@pytest.mark.parametrize(
    ("channel", "text"), [(HOOK, "http://127.0.0.1/"), (EMAIL, "a@b.org"), (TELEGRAM, "12345")]
)
def test_what_was_accepted_once_and_cannot_be_used_any_more(channel, text):
    settings = MinerAlertSettings(channels=frozenset(MinerChannel))
    way = channel_to(MinerDestination(channel, text, "h"), settings, make_environment())
    results: list = []
    ensureDeferred(way.deliver(ENTRY, 1e9)).addCallback(results.append)
    assert [each.outcome for each in results] == [DeliveryOutcome.REJECTED]


def test_behind_a_proxy_nothing_goes_past_it():
    proxy = Proxy("127.0.0.1", 9050)
    sending = Sending(proxy=proxy)
    assert sending.to("http://h.example.org/") == [("127.0.0.1", 9050)]  # it is asked to look the name up
    assert sending.to("http://93.184.216.34/") == [("127.0.0.1", 9050)]


def test_ntfy_is_sent_json_at_its_root():
    posted: list = []

    class Fake:
        async def post(self, body: bytes, headers: Any) -> str:
            posted.append((json.loads(body), headers["Content-Type"]))
            return "done"

    ensureDeferred(Ntfy(Fake(), "topic").deliver(ENTRY, 1e9))
    ((message, kind),) = posted
    assert (message["topic"], message["title"], message["click"]) == ("topic", "s", "http://p/")
    assert (len(message["message"]), kind) == (MAX_NTFY, "application/json")
    ntfy = MinerDestination(NTFY, "https://u:p@ntfy.sh/topic", "ntfy.sh")
    way: Any = channel_to(ntfy, SETTINGS, make_environment())
    assert way._poster._target.url == "https://ntfy.sh/"
    assert way._poster._target.authorization is not None


def test_which_addresses_are_of_this_machine():
    assert endpoints.is_of_this_machine(parse_address("127.0.0.1"))
    assert not endpoints.is_of_this_machine(parse_address("192.0.2.1"))


# --- settings ----------------------------------------------------------------------------------------------------


def test_settings_of_an_operator():
    page, mail = "https://pool.example.org/p/", SETTINGS.mail
    assert check_miner_alerts(MinerAlertOptions(), page=None, mail=None, alert_urls=()) == MinerAlertSettings()
    every = MinerAlertOptions(miner_alerts=frozenset(MinerChannel), miner_alert_host=(("h", None),))
    urls = ["discord://1/2", "tgram://bot123:AB-c_D/42/?x=y"]
    found = check_miner_alerts(every, page=page, mail=mail, alert_urls=urls)
    assert (found.telegram, found.host, found.hosts) == (
        "123:AB-c_D",
        "pool.example.org",
        frozenset({("h", None)}),
    )
    assert "AB-c_D" not in repr(found)
    for options, changes, words in (
        (MinerAlertOptions(miner_alert_host=(("h", None),)), {}, "--miner-alert-host without --miner-alerts"),
        (every, {"page": None}, "--miner-alerts without --alert-page"),
        (every, {"mail": None}, "--miner-alerts email without --alert-email"),
        (every, {"alert_urls": ["discord://1/2"]}, "--miner-alerts telegram without --alert-url tgram"),
    ):
        with pytest.raises(OperatorError, match=words):
            check_miner_alerts(options, **{"page": page, "mail": mail, "alert_urls": urls} | changes)
    assert replace(found, page="https://u:p@h.example:8443/x/").host == "h.example:8443"
