"""Simulated daemons that are connected: they follow one chain, whoever called whom."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure

from p2pool.dash import messages
from p2pool.dash.block import BlockHeader
from p2pool.dash.messages import NetworkAddress, TimedAddress
from p2pool.simnet import p2p_dialler, p2p_download
from p2pool.simnet.addresses import RelayedAddresses
from p2pool.simnet.p2p import SERVICES
from p2pool.simnet.p2p_download import BlockDownload, locator
from p2pool.simnet.peer_name import parse_peer_name
from tests.simnet.conftest import PARAMETERS, Line, Simulation, connect, settle


def _pair() -> tuple[Simulation, Simulation]:
    return Simulation(nonce=1), Simulation(nonce=2)


def _same_time(*simulations: Simulation) -> None:
    """Finding blocks takes time, which must pass for the others as well."""
    now = max(simulation.clock.seconds() for simulation in simulations)
    for simulation in simulations:
        simulation.clock.advance(now - simulation.clock.seconds())


def _error(simulation: Simulation, method: str, *params: object) -> tuple[int, str]:
    replies: list[Any] = []
    simulation.request(orjson.dumps({"method": method, "params": params})).addBoth(replies.append)
    error = orjson.loads(replies[0].body)["error"]
    return error["code"], error["message"]


# --- one chain ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", [0, 1, 7, 130])
@pytest.mark.parametrize("who_is_ahead", ["caller", "called"])
def test_catching_up(height: int, who_is_ahead: str) -> None:
    caller, called = _pair()
    ahead, behind = (caller, called) if who_is_ahead == "caller" else (called, caller)
    ahead.wait_for_height(height)
    _same_time(caller, called)
    settle(connect(caller, called))
    assert behind.chain.height == ahead.chain.height == height
    assert behind.chain.tip_hash == ahead.chain.tip_hash


def test_new_blocks_travel_both_ways() -> None:
    caller, called = _pair()
    line = connect(caller, called)
    settle(line)
    for finder in (caller, called, called, caller):
        finder.find()
        settle(line)
        assert caller.chain.tip_hash == called.chain.tip_hash
    assert caller.chain.height == 4
    assert called.call("submitblock", caller.chain.read(caller.chain.tip).raw.hex()) == "duplicate"


def test_a_chain_of_daemons_and_transactions() -> None:
    first, middle, last = (Simulation(nonce=n) for n in (1, 2, 3))
    lines = [connect(middle, first), connect(middle, last, 19900)]
    settle(*lines)
    sent = first.call("simnet_sendtx", 3)
    settle(*lines)
    assert last.call("getrawmempool") == sent
    [found] = last.find()
    settle(*lines)
    assert first.call("getbestblockhash") == found
    assert first.call("getrawmempool") == []


@pytest.mark.parametrize("length", [1, 40, 90])
def test_two_chains_become_the_one_with_more_work(length: int) -> None:
    caller, called = _pair()
    line = connect(caller, called)
    caller.wait_for_height(3)
    settle(line)
    line.cut()
    called.wait_for_height(3 + length)  # each goes on alone
    caller.call("simnet_sendtx", 1)
    caller.wait_for_height(4 + length)
    _same_time(caller, called)
    tips = sorted((caller.chain.tip, called.chain.tip), key=lambda tip: tip.work)
    assert tips[0].work < tips[1].work
    assert len(caller.clock.tcpClients) == 2  # it has been calling all the time
    settle(Line(caller, called, 1))
    assert called.chain.tip_hash == caller.chain.tip_hash == tips[1].hash_hex


def test_other_rules_are_another_chain() -> None:
    caller, called = Simulation(nonce=1), Simulation(type(PARAMETERS)(initial_attempts=16, seed=5), nonce=2)
    caller.wait_for_height(3)
    called.wait_for_height(5)
    settle(connect(caller, called))
    assert (caller.chain.height, called.chain.height) == (3, 5)
    caller.clock.advance(20)  # asked again, in vain, and without end
    called.clock.advance(20)
    assert (caller.chain.height, called.chain.height) == (3, 5)


def test_a_frozen_daemon_catches_up_afterwards() -> None:
    caller, called = _pair()
    line = connect(caller, called)
    settle(line)
    caller.call("simnet_freeze_tip", True)
    for _ in range(3):
        called.find()
        settle(line)
    assert (caller.chain.height, called.chain.height) == (0, 3)
    caller.clock.advance(100)
    settle(line)
    assert caller.chain.height == 0
    caller.call("simnet_freeze_tip", False)
    caller.clock.advance(100)
    settle(line)
    assert caller.chain.tip_hash == called.chain.tip_hash


def test_missed_announcements_are_made_up_for() -> None:
    caller, called = _pair()
    line = connect(caller, called)
    settle(line)
    called.find(2)
    line.answering.clear()  # lost on the way
    settle(line)
    assert caller.chain.height == 0
    caller.clock.advance(20)
    settle(line)
    assert caller.chain.height == 2


def test_a_bad_block_of_a_peer_ends_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    caller, called = _pair()
    called.find(3)
    bad = called.chain.tip.hash
    submit = caller.chain.submit
    monkeypatch.setattr(caller.chain, "submit", lambda raw: "bad-x" if bad == _hash(raw) else submit(raw))
    caller.clock.advance(60)
    settle(connect(caller, called))
    assert caller.chain.height == 2


def _hash(raw: bytes) -> int:
    return messages.parse_message("block", raw).block.header.hash()  # type: ignore[union-attr]


# --- connections ----------------------------------------------------------------------------------------


def test_both_sides_show_the_connection() -> None:
    caller, called = _pair()
    called.find(2)
    caller.clock.advance(60)
    line = connect(caller, called)
    settle(line)
    [out], [into] = caller.call("getpeerinfo"), called.call("getpeerinfo")
    assert (out["inbound"], out["connection_type"]) == (False, "manual")
    assert (into["inbound"], into["connection_type"]) == (True, "inbound")
    assert (out["startingheight"], out["synced_headers"], out["synced_blocks"]) == (2, 2, 2)
    assert (into["startingheight"], into["synced_blocks"]) == (0, -1)
    assert out["bytesrecv"] == into["bytessent"]
    assert out["subver"] == "/Dash Core:23.1.2/"
    counts = [(n["connections"], n["connections_in"], n["connections_out"]) for n in _network(caller, called)]
    assert counts == [(1, 0, 1), (1, 1, 0)]
    assert caller.call("getconnectioncount") == 1
    totals = caller.call("getnettotals")
    assert (totals["totalbytesrecv"], totals["totalbytessent"]) == (out["bytesrecv"], out["bytessent"])
    line.cut()
    assert caller.call("getpeerinfo") == called.call("getpeerinfo") == []
    assert caller.call("getnettotals") | {"timemillis": 0} == totals | {"timemillis": 0}


def _network(*simulations: Simulation) -> list[Any]:
    return [simulation.call("getnetworkinfo") for simulation in simulations]


def test_a_broken_connection_is_made_again() -> None:
    caller, called = _pair()
    line = connect(caller, called)
    settle(line)
    line.cut()
    called.find()
    caller.clock.advance(15)
    assert len(caller.clock.tcpClients) == 2
    settle(Line(caller, called, 1))
    assert caller.chain.height == 1


def test_nobody_listens_yet() -> None:
    caller, called = _pair()
    caller.call("simnet_connect", "127.0.0.1:19899")
    for number in range(4):
        factory = caller.clock.tcpClients[number][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        caller.clock.advance(15)
    settle(Line(caller, called, 4))
    assert caller.call("getconnectioncount") == 1


def test_connecting_twice_and_too_often() -> None:
    caller, _ = _pair()
    for port in (1, 1, 2, 3, 4, 5, 6, 7, 8, 8):
        caller.call("simnet_connect", f"127.0.0.1:{port}")
    assert len(caller.clock.tcpClients) == 8
    assert _error(caller, "simnet_connect", "127.0.0.1:9") == (-1, "at most 8 other daemons can be connected to")


def test_hanging_up() -> None:
    caller, called = _pair()
    line = connect(caller, called)
    settle(line)
    assert caller.call("simnet_disconnect", "127.0.0.1:1") is False
    assert caller.call("simnet_disconnect", "127.0.0.1:19899") is True
    caller.clock.advance(0)
    assert line.dialling.lost
    assert caller.call("getpeerinfo") == []
    caller.clock.advance(60)
    assert len(caller.clock.tcpClients) == 1


def test_stopping_leaves_nothing(simulation: Any) -> None:
    other = Simulation(nonce=2)
    line = connect(simulation, other)
    settle(line)
    stopped: list[None] = []
    simulation.dialler.stop().addCallback(stopped.append)
    simulation.p2p.close()
    assert stopped == []
    simulation.clock.advance(0)
    assert stopped == [None]
    assert line.dialling.lost
    assert simulation.clock.getDelayedCalls() == []


def test_calling_itself_is_noticed() -> None:
    caller = Simulation(nonce=1)
    line = connect(caller, caller)
    assert not line.answering.disconnecting
    line.carry()
    assert line.answering.disconnecting


def test_p2p_time_and_version_are_those_of_the_daemon() -> None:
    caller = Simulation(type(PARAMETERS)(initial_attempts=16, reported_version=190100), nonce=1)
    caller.call("simnet_clock_offset", 7200)
    caller.call("simnet_connect", "127.0.0.1:19899")
    line = Line(caller, Simulation(nonce=2), 0)
    line.carry()
    [peer] = line._protocol._server._peers.values()
    version = peer.session.peer_version
    assert version.time == caller.clock.seconds() + 7200
    assert version.sub_version == b"/Dash Core:19.1.0/"
    assert version.services == SERVICES


# --- addresses ------------------------------------------------------------------------------------------


def test_addresses_of_daemons_are_passed_on() -> None:
    caller, called, third = (Simulation(nonce=n) for n in (1, 2, 3))
    for number, simulation in enumerate((caller, called, third)):
        simulation.p2p.own_address = NetworkAddress(SERVICES, "127.0.0.1", 20_000 + number)
    lines = [connect(caller, called), connect(third, called)]
    settle(*lines)
    known = third.p2p._identity.addresses.entries()
    # Who listens where: the caller told the called one, who was asked by the third.
    assert NetworkAddress(SERVICES, "127.0.0.1", 20_000) in [entry.address for entry in known]
    # And the one that the third called itself, by the address that the connection leads to.
    peer = lines[1].dialling.getPeer()
    assert NetworkAddress(SERVICES, peer.host, peer.port) in [entry.address for entry in known]


def test_addresses_are_bounded_and_checked() -> None:
    book = RelayedAddresses()
    for ip, port in (("0.0.0.0", 5), ("::", 5), ("localhost", 5), ("1.2.3.4", 0), ("1.2.3.4", 70000)):
        book.add(TimedAddress(1, NetworkAddress(0, ip, port)))
    assert book.entries() == ()
    for port in range(1, 1101):
        book.add(TimedAddress(port, NetworkAddress(0, "1.2.3.4", port)))
    assert len(book.entries()) == messages.MAX_ADDRESSES
    assert book.entries()[0].address.port == 101
    book.add(TimedAddress(5, NetworkAddress(0, "1.2.3.4", 500)))
    book.connected("1.2.3.4", 501, services=7, now=10_000.5)
    seen = {entry.address.port: entry for entry in book.entries()}
    assert (seen[500].time, seen[501].time, seen[501].address.services) == (500, 10_000, 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a:1", ("a", 1)), ("127.0.0.1:65535", ("127.0.0.1", 65535)), ("::1:99", ("::1", 99))],
)
def test_names_of_peers(text: str, expected: tuple[str, int]) -> None:
    assert parse_peer_name(text) == expected


@pytest.mark.parametrize("text", ["", ":", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:x", " a:1", "a:١"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        parse_peer_name(text)


# --- what to ask next -----------------------------------------------------------------------------------


def test_locator(simulation: Any) -> None:
    simulation.wait_for_height(100)
    hashes = locator(simulation.chain)
    heights = [simulation.chain.find(hash_).height for hash_ in hashes]
    assert heights == [*range(100, 90, -1), 89, 85, 77, 61, 29, 0]


def test_long_answers_are_looked_at_in_portions(simulation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p2p_download, "PORTION", 4)
    other = Simulation(nonce=2)
    other.wait_for_height(10)
    _same_time(simulation, other)
    blocks = [other.chain.active.at(height) for height in range(1, 11)]
    headers = tuple(block.header for block in blocks if block is not None)
    download = BlockDownload(simulation.chain)
    known, question = download.headers(headers)
    assert known == []
    assert isinstance(question, messages.GetData)
    assert [item.hash for item in question.items] == [header.hash() for header in headers[:4]]
    for block in blocks[:4]:
        assert block is not None
        answer = download.block(block.hash, simulation.chain.submit(other.chain.read(block).raw))
    assert isinstance(answer, messages.GetHeaders)
    assert answer.locator[0] == headers[3].hash()
    # All of the next portion is known already: straight on.
    known, question = download.headers(headers)
    assert len(known) == 4
    assert isinstance(question, messages.GetHeaders)


def test_a_stranger_is_asked_for_parents_once(simulation: Any) -> None:
    download = BlockDownload(simulation.chain)
    first = download.block(5, "prev-blk-not-found")
    assert isinstance(first, messages.GetHeaders)
    assert download.headers((BlockHeader(1, 7, 0, 1, 0x207FFFFF, 0),))[1] is not None
    assert download.block(6, "prev-blk-not-found") is None
    simulation.find()
    assert download.block(simulation.chain.tip.hash, None) is None
    assert download.block(8, "prev-blk-not-found") is not None


def test_how_many_are_dialled_is_what_the_message_says() -> None:
    assert p2p_dialler.MAX_CONNECT == 8
