"""Listening, the end, and what is kept between runs."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import CannotListenError

from p2pool.peers.errors import Misbehaviour
from p2pool.peers.messages import PeerVersion
from p2pool.peers.service import DialSettings
from tests.logged import logged
from tests.peers.service_world import World
from tests.peers.wiring import Heard

# --- listening and the end ---------------------------------------------------------------------------------------


def test_who_connects_is_heard(world):
    assert world.service.port == 9000
    line = world.come("8.1.0.1", nonce=7)
    heard = Heard()
    heard(line.pipe.value())
    assert isinstance(heard.messages[0], PeerVersion)
    (session,) = world.hub.peers
    assert session.incoming
    assert [world.come(f"8.1.0.{n}") is None for n in range(2, 6)] == [False, False, True, True]


@pytest.mark.parametrize(("asked", "used"), [("", "::"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1")])
def test_all_interfaces_are_those_of_both_protocols(tmp_path, asked, used):
    world = World(tmp_path, DialSettings((asked, 9000))).start()
    assert [(port, interface) for port, _, _, interface in world.reactor.tcpServers] == [(9000, used)]
    world.done(world.service.stop())


def test_a_machine_without_ipv6_listens_all_the_same(tmp_path, monkeypatch):
    world = World(tmp_path)
    listen = world.reactor.listenTCP

    def without_ipv6(port, factory, backlog=50, interface=""):
        if ":" in interface:
            raise CannotListenError(interface, port, OSError(97, "Address family not supported by protocol"))
        return listen(port, factory, backlog, interface)

    monkeypatch.setattr(world.reactor, "listenTCP", without_ipv6)
    world.start()
    assert [interface for *_, interface in world.reactor.tcpServers] == [""]
    world.done(world.service.stop())


def test_the_service_ends_whom_it_is_told_to(world):
    lines = [world.come(f"8.{n}.0.1", nonce=n + 1) for n in range(2)]
    session = next(s for s in world.hub.peers if s.host == "8.1.0.1")
    world.service.fail(session, Misbehaviour("x"))
    world.service.fail(session, Misbehaviour("x"))
    assert [line.pipe.aborted for line in lines] == [False, True]
    assert world.come("8.1.0.1") is None


def test_the_hub_hears_the_time(world):
    line = world.come("8.1.0.1")
    world.seconds(12)
    assert line.pipe.aborted
    assert world.hub.sessions == set()


def test_the_end(tmp_path):
    world = World(tmp_path).start()
    line = world.come("8.1.0.1", nonce=7)
    world.know("8.2.0.1", "8.3.0.1")
    world.seconds(1)
    outgoing = world.connect(0, nonce=8)
    world.seconds(1)
    world.done(world.service.stop())
    world.done(world.service.stop())
    assert line.pipe.aborted
    assert outgoing.pipe.aborted
    assert world.service.port == 0
    world.dialled()
    world.seconds(100)
    assert world.dialled() == []
    assert len(json.loads((tmp_path / "peers.json").read_text())["addresses"]) == 2


def test_the_port_is_closed_though_nothing_was_started(tmp_path):
    world = World(tmp_path)
    world.service.listen()
    world.done(world.service.stop())
    assert world.service.port == 0
    assert not (tmp_path / "peers.json").exists()


def test_stopping_while_what_is_kept_is_read(tmp_path):
    world, reading = World(tmp_path), Deferred()
    world.service._run_in_thread = lambda function: reading
    results: list = []
    Deferred.fromCoroutine(world.service.start()).addBoth(results.append)
    world.service._run_in_thread = execute
    world.done(world.service.stop())
    reading.callback(None)
    assert results == [None]
    world.know("8.1.0.1")
    world.seconds(5)
    assert world.dialled() == []


# --- what is kept ------------------------------------------------------------------------------------------------


def test_addresses_and_bans_survive_a_restart(tmp_path):
    first = World(tmp_path).start()
    first.know("8.1.0.1", "2606:4700::1")
    first.hub.bans.ban("8.9.0.1", first.unix())
    first.done(first.service.stop())
    assert [path.name for path in tmp_path.iterdir()] == ["peers.json"]
    second = World(tmp_path).start()
    assert len(second.hub.addresses) == 2
    assert second.hub.bans.is_banned("8.9.0.1", second.unix() + 3590)
    second.done(second.service.stop())


def test_it_is_written_once_a_minute_where_something_changed(tmp_path, world):
    file = tmp_path / "peers.json"
    world.hub.bans.ban("8.9.0.1", world.unix())
    world.seconds(59)
    assert not file.exists()
    world.seconds(2)
    assert "8.9.0.1" in file.read_text()
    file.unlink()
    world.seconds(61)
    assert not file.exists()
    world.hub.bans.ban("8.8.0.1", world.unix())
    world.seconds(61)
    assert "8.8.0.1" in file.read_text()


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"addresses": 3, "bans": []}', '{"bans": {"a": "b"}}', "\x00"),
        *("[" * 100_000, '{"addresses":' + "[" * 5000 + "]" * 5000 + "}"),
    ],
)
def test_a_corrupt_file_is_done_without(tmp_path, text):
    (tmp_path / "peers.json").write_text(text)
    with logged() as log:
        world = World(tmp_path).start()
    assert len(world.hub.addresses) == len(world.hub.bans) == 0
    assert not log.tracebacks
    kept = tmp_path / "peers.json.damaged"
    assert not kept.exists() or kept.read_text() == text
    world.done(world.service.stop())
    written = json.loads((tmp_path / "peers.json").read_text())
    key = world.hub.addresses.key.hex()
    assert written == {"version": 1, "addresses": [], "address_key": key, "anchors": [], "bans": {}}


def test_a_directory_that_cannot_be_written_costs_a_line(tmp_path):
    (tmp_path / "directory").write_text("a file where the directory should be")
    world = World(tmp_path / "directory").start()
    world.know("8.1.0.1")
    with logged() as log:
        world.done(world.service.stop())
    assert len([line for line in log.lines if "cannot write" in line]) == 1
