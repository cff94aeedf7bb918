"""Who may set alerts, how many, and what the links in messages do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from p2pool.alerts.miners import subscribing, subscriptions
from p2pool.alerts.miners.proof import LinkPurpose, NodeKey
from p2pool.alerts.miners.quota import Quota
from p2pool.alerts.miners.settings import MinerChannel
from p2pool.alerts.miners.subscribing import Problem, Proof, RequestRefused
from p2pool.alerts.miners.subscriptions import (
    CONFIRM_TIME,
    MAX_PER_ADDRESS,
    MAX_PER_DESTINATION,
    MinerEventKind,
    Subscription,
    Subscriptions,
    TableFull,
)
from tests.alerts.miners.desk import SECRET, SETTINGS, Desk, Owner


def test_a_secret_proves_an_address_and_the_destination_is_asked():
    desk = Desk()
    accepted = desk.ask(events=["block"])
    assert accepted.asks
    each = accepted.subscription
    assert (each.address, each.events, each.confirmed) == (Owner().address, {MinerEventKind.BLOCK}, None)
    assert desk.table.by_address() == {}
    assert "192.0.2.1" not in json.dumps(desk.table.to_json())
    assert SECRET not in json.dumps(desk.table.to_json())


@pytest.mark.parametrize("compressed", [True, False])
def test_a_signature_proves_an_address(compressed):
    desk, owner = Desk(), Owner(7, compressed)
    given = desk.signed(owner, channel="ntfy", destination="https://ntfy.sh/mine")
    assert given["message"].startswith(
        f"p2pool-dash on pool.example.org: send alerts about {owner.address} to ntfy https://ntfy.sh/mine (time "
    )
    assert desk.requests.subscribe(given, "192.0.2.1", desk.now + 600).asks


@pytest.mark.parametrize(
    ("changes", "later", "words"),
    [
        ({"destination": "https://hooks.example.org/y"}, 0, "not one of this node for this address"),
        ({"channel": "ntfy"}, 0, "not one of this node for this address"),
        ({"address": Owner(2).address}, 0, "not one of this node for this address"),
        ({}, 601, "older than 10 minutes"),
        ({}, -61, "older than 10 minutes"),
        ({"message": "I own it"}, 0, "not one of this node"),
        ({"signature": "AAAA"}, 0, "this is not a signature of a message: it has 3 bytes"),
        ({"signature": Owner(2).sign("something else")}, 0, "not one of this address"),
    ],
)
def test_wrong_signatures(changes, later, words):
    desk = Desk()
    given = desk.signed(Owner()) | changes
    desk.now += later
    problem, text = desk.problem(given)
    assert (problem, words in text) == (Problem.BAD_PROOF, True), text
    assert len(desk.table) == 0


def test_a_text_that_another_node_made_is_not_accepted():
    desk, owner = Desk(), Owner()
    given = desk.signed(owner)
    for other in (
        NodeKey(b"x" * 32, SETTINGS.host),  # of the same name
        NodeKey(b"k" * 32, "evil.example"),
    ):
        claim = subscribing.Claim(owner.address, "webhook", given["destination"])
        message = other.challenge(claim, desk.now)
        problem, _ = desk.problem(given | {"message": message, "signature": owner.sign(message)})
        assert problem is Problem.BAD_PROOF


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secret": SECRET + "x"}, "no miner of this address"),
        ({"address": Owner(2).address}, "no miner of this address"),
        ({"secret": None}, "secret must be a text"),
        ({"secret": ""}, "secret must be a text"),
        ({"proof": "trust me"}, "proof must be one of signature, secret"),
        ({"proof": ["secret"]}, "proof must be one of"),
        ({"proof": "signature"}, "message must be a text"),
        ({"address": "yNobody"}, "the address cannot be used"),
        ({"address": 5}, "address must be a text"),
        ({"address": "8k6tD2nFHZxbSTMXj5RkPHnSyk7C8wZcWM"}, "the address cannot be used"),
        ({"channel": "pigeon"}, "channel must be one of webhook, ntfy, email, telegram"),
        ({"channel": None}, "channel must be one of"),
        ({"events": []}, "events must be a list of any of silent, refused, block"),
        ({"events": ["silent", "x"]}, "events must be"),
        ({"events": [["silent"]]}, "events must be"),
        ({"events": "silent"}, "events must be"),
        ({"destination": "http://127.0.0.1/"}, "not on the public internet"),
    ],
)
def test_requests_that_are_refused(changes, words):
    desk = Desk()
    _, text = desk.problem(desk.given(**changes))
    assert words in text
    assert SECRET not in text
    assert len(desk.table) == 0


def test_a_script_address_cannot_be_proven():
    from p2pool.dash.address import encode_address
    from tests.alerts.miners.desk import VERSIONS

    address = encode_address(VERSIONS.script_hash, b"s" * 20)
    assert "P2SH" in Desk().problem(Desk().given(address=address))[1]


def test_without_the_library_and_with_gateways_nothing_can_be_proven(monkeypatch):
    assert Desk().requests.proofs == (Proof.SIGNATURE, Proof.SECRET)
    assert Desk(with_secrets=False).requests.proofs == (Proof.SIGNATURE,)
    monkeypatch.setattr(subscribing, "can_verify", lambda: False)
    assert Desk().requests.proofs == (Proof.SECRET,)
    with pytest.raises(RequestRefused, match="cannot verify signatures"):
        Desk().requests.challenge(Desk().given(), "c", 0.0)
    assert "proof must be one of secret" in Desk().problem(Desk().given(proof="signature"))[1]


# --- links -------------------------------------------------------------------------------------------------------


def links(desk: Desk, each: Subscription) -> tuple[str, str]:
    return tuple(desk.requests.key.token(purpose, each.id) for purpose in LinkPurpose)


def test_the_life_of_a_subscription():
    desk = Desk()
    confirm, unsubscribe = links(desk, desk.ask().subscription)
    desk.now += CONFIRM_TIME - 1
    assert desk.table.expire(desk.now) == []
    confirmed = desk.requests.confirm(confirm, desk.now)
    assert confirmed.confirmed == desk.now
    assert desk.requests.confirm(confirm, desk.now + 9) == confirmed  # the button was pressed twice
    assert desk.table.by_address() == {Owner().address: [confirmed]}
    again = desk.ask(events=["silent"])  # other events, without another link
    assert not again.asks
    assert (again.subscription.id, again.subscription.events) == (confirmed.id, {MinerEventKind.SILENT})
    assert desk.requests.unsubscribe(unsubscribe).id == confirmed.id
    assert len(desk.table) == 0
    for act in (lambda: desk.requests.unsubscribe(unsubscribe), lambda: desk.requests.confirm(confirm, desk.now)):
        with pytest.raises(RequestRefused, match="this link is not valid") as refused:
            act()
        assert refused.value.problem is Problem.UNKNOWN_LINK


def test_a_destination_that_is_not_confirmed_is_forgotten_after_an_hour():
    desk = Desk()
    confirm, _ = links(desk, desk.ask().subscription)
    with pytest.raises(RequestRefused, match="has expired"):
        desk.requests.confirm(confirm, desk.now + CONFIRM_TIME)
    assert len(desk.table.expire(desk.now + CONFIRM_TIME)) == 1
    assert len(desk.table) == 0
    desk.ask()
    assert len(desk.table.expire(desk.now - 2 * CONFIRM_TIME)) == 1  # the clock was set back


@pytest.mark.parametrize("change", ["purpose", "id", "code", "case", "empty", "longer"])
def test_links_that_this_node_did_not_make(change):
    desk = Desk()
    first, second = desk.ask().subscription, desk.ask(channel="email", destination="a@b.org").subscription
    confirm, unsubscribe = links(desk, first)
    token = {
        "purpose": unsubscribe,
        "id": second.id + confirm[16:],
        "code": confirm[:-1] + ("0" if confirm[-1] != "0" else "1"),
        "case": confirm.upper(),
        "empty": "",
        "longer": confirm + "0",
    }[change]
    with pytest.raises(RequestRefused):
        desk.requests.confirm(token, desk.now)
    assert desk.table.unconfirmed == 2


# --- bounds ------------------------------------------------------------------------------------------------------


def subscription(number: int, **changes: Any) -> Subscription:
    destination = subscribing.read_destination(MinerChannel.WEBHOOK, f"https://h.example/{number}", SETTINGS)
    fields = {
        "id": f"{number:016x}",
        "address": f"yA{number}",
        "destination": destination,
        "events": frozenset(MinerEventKind),
        "client": f"c{number}",
        "created": 0.0,
        "confirmed": 0.0,
    }
    return Subscription(**fields | changes)


def test_the_table_is_bounded(monkeypatch):
    one = subscription(0).destination
    for same, most in (
        ({"address": "yA"}, MAX_PER_ADDRESS),
        ({"destination": one}, MAX_PER_DESTINATION),
        ({"client": "c"}, subscriptions.MAX_PER_CLIENT),
        ({"confirmed": None}, subscriptions.MAX_UNCONFIRMED),
    ):
        table = Subscriptions()
        for number in range(most):
            table.add(subscription(number, **same))
        with pytest.raises(TableFull):
            table.add(subscription(most, **same))
        table.add(subscription(most))
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 3)
    table = Subscriptions()
    for number in range(3):
        table.add(subscription(number))
    with pytest.raises(TableFull, match="as many alerts as it can keep"):
        table.add(subscription(3))


def test_a_destination_is_asked_a_few_times_a_day():
    desk = Desk()
    for number in range(subscribing.CONFIRMATIONS):
        assert desk.ask(f"192.0.2.{number}").asks
    assert len(desk.table) == 1
    assert desk.problem(desk.given(), "192.0.2.99") == (
        Problem.TOO_MANY,
        "this destination was asked to confirm often enough; try again tomorrow",
    )
    desk.now += 86400
    assert desk.ask("192.0.2.99").asks


def test_the_node_asks_so_many_destinations_in_an_hour(monkeypatch):
    monkeypatch.setattr(subscriptions, "MAX_PER_ADDRESS", 1000)
    desk = Desk()
    for number in range(subscribing.ALL_CONFIRMATIONS):
        desk.ask(f"10.0.{number}.1", channel="email", destination=f"n{number}@example.org")
    assert desk.problem(desk.given(), "192.0.2.9") == (
        Problem.TOO_MANY,
        "too many miners set alerts just now; try again in an hour",
    )
    desk.now += 3600
    assert desk.ask("192.0.2.9").asks


def test_a_client_that_asks_again_and_again():
    desk = Desk()
    for _ in range(subscribing.REQUESTS):
        desk.problem(desk.given(secret="wrong"))
    assert desk.problem(desk.given()) == (
        Problem.TOO_MANY,
        "too many requests from your network; try again in an hour",
    )
    with pytest.raises(RequestRefused, match="too many requests"):
        desk.requests.challenge(desk.given(), "192.0.2.1", desk.now)
    assert desk.ask("192.0.2.2").asks


def test_secrets_of_an_address_cannot_be_guessed_and_its_owner_can_still_sign(monkeypatch):
    monkeypatch.setattr(subscribing, "WRONG_SECRETS", 3)
    desk = Desk()
    for number in range(3):
        assert desk.problem(desk.given(secret="wrong"), f"192.0.2.{number}")[0] is Problem.BAD_PROOF
    assert desk.problem(desk.given(), "192.0.2.9")[0] is Problem.TOO_MANY
    assert desk.requests.subscribe(desk.signed(Owner()), "192.0.2.9", desk.now).asks


def test_a_quota_is_free_again_also_after_the_clock_was_set_back():
    quota = Quota(2, 60.0, keys=2)
    assert [quota.take("a", now) for now in (0.0, 1.0, 2.0, 60.0, 60.5, 61.0)] == [
        *(True, True, False, True, False, True),
    ]
    assert quota.take("a", -1000.0)
    assert [quota.take(key, 0.0) for key in ("b", "b", "b", "c", "d", "b")] == [
        True,
        True,
        False,
        True,
        True,
        True,
    ]


def test_subscriptions_end_without_a_worker_or_if_nothing_arrives():
    table = Subscriptions()
    table.add(subscription(1, seen=0.0))
    table.add(subscription(2, seen=5 * 86400.0))
    table.add(subscription(3, seen=90 * 86400.0, failing=84 * 86400.0))
    assert [each.address for each in table.expire(90 * 86400.0)] == ["yA1"]
    assert [each.address for each in table.expire(91 * 86400.0)] == ["yA3"]
    (left,) = table
    table.is_changed = False
    table.saw_worker(left, 5 * 86400.0 + 60)
    assert not table.is_changed
    table.saw_worker(left, 91 * 86400.0)
    assert table.is_changed
    assert table.expire(180 * 86400.0) == []


def test_the_table_over_a_restart():
    table = Subscriptions()
    for number in range(3):
        table.add(subscription(number, confirmed=None if number == 1 else 7.0))
    rows = json.loads(json.dumps(table.to_json()))
    again = Subscriptions()
    assert again.restore(rows, frozenset(MinerChannel)) == 0
    assert list(again) == list(table)
    assert Subscriptions().restore(rows, frozenset({MinerChannel.EMAIL})) == 3
    for broken in (
        None,
        {},
        [None, 5, {}, rows[0] | {"id": "x"}, rows[0] | {"channel": "x"}, rows[0] | {"seen": None}],
    ):
        damaged = Subscriptions()
        damaged.restore(broken, frozenset(MinerChannel))
        assert len(damaged) == 0
