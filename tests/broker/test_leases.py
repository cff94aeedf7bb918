"""What one process has at a time, whatever others do between two of its commands."""

from __future__ import annotations

import fakeredis
import pytest

from p2pool.broker.leases import change_value, lease_one, mark_all, put_all, release_lease, renew_lease


@pytest.fixture
def clients():
    server = fakeredis.FakeServer()
    return fakeredis.FakeRedis(server=server), fakeredis.FakeRedis(server=server)


def test_each_key_is_leased_once_and_marked_ones_come_last(clients):
    one, two = clients
    keys, marks = ["a", "b", "c"], ["ma", "mb", "mc"]
    mark_all(["ma"], seconds=5)(one)
    assert lease_one(keys, b"x", seconds=5, last=marks)(one) == "b"
    assert lease_one(keys, b"y", seconds=5, last=marks)(two) == "c"
    assert lease_one(keys, b"z", seconds=5, last=marks)(one) == "a"
    assert lease_one(keys, b"z", seconds=5)(two) is None
    assert 0 < one.pttl("a") <= 5000


def test_a_key_that_is_taken_between_two_commands_is_passed_over(clients, monkeypatch):
    one, two = clients
    found = one.mget(["a", "b"])
    two.set("a", b"other")
    monkeypatch.setattr(one, "mget", lambda keys: found)
    assert lease_one(["a", "b"], b"x", seconds=5)(one) == "b"


def test_a_lease_is_extended_taken_again_or_lost(clients):
    one, two = clients
    assert renew_lease("a", b"x", seconds=5)(one)
    assert renew_lease("a", b"x", seconds=50)(one)
    assert one.pttl("a") > 5000
    assert not renew_lease("a", b"y", seconds=5)(two)
    assert not release_lease("a", b"y")(two)
    assert one.get("a") == b"x"
    assert release_lease("a", b"x")(one)
    assert not release_lease("a", b"x")(one)


def interfering(client, pipeline, monkeypatch):
    """Let another client write the key when this one begins its transaction."""
    make = client.pipeline

    def pipe(**options):
        made = make(**options)
        multi = made.multi
        made.multi = lambda: (pipeline(), multi())
        return made

    monkeypatch.setattr(client, "pipeline", pipe)


@pytest.mark.parametrize("action", [renew_lease("a", b"x", seconds=5), release_lease("a", b"x")])
def test_a_lease_that_another_takes_meanwhile_is_left_to_it(clients, monkeypatch, action):
    one, two = clients
    one.set("a", b"x")
    interfering(one, lambda: two.set("a", b"y"), monkeypatch)
    assert not action(one)
    assert two.get("a") == b"y"


def test_a_value_changes_its_owner_once(clients, monkeypatch):
    one, two = clients
    action = change_value("k", lambda old: (b"new " + old, b"entry"), stream="s", keep=10, seconds=5)
    assert action(one) is None
    assert one.exists("k", "s") == 0
    put_all({"k": b"old"}, seconds=5)(one)
    assert action(one) == b"old"
    assert (two.get("k"), two.xlen("s")) == (b"new old", 1)
    interfering(one, lambda: two.set("k", b"theirs"), monkeypatch)
    assert action(one) is None
    assert (two.get("k"), two.xlen("s")) == (b"theirs", 1)


def test_what_the_change_raises_leaves_everything_as_it_was(clients):
    one, _ = clients
    one.set("k", b"old")

    def refuse(old):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        change_value("k", refuse, stream="s", keep=10, seconds=5)(one)
    assert one.get("k") == b"old"
    assert one.exists("s") == 0
