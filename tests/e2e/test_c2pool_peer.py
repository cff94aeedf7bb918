"""A node beside peers that speak as c2pool-dash does, in processes and on sockets of their own. The tests follow
each other on one node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from p2pool.networks import SIMNET
from p2pool.peers.messages import Envelope, HaveTx, Shares
from p2pool.wire.codec import pack_varint
from p2pool.wire.framer import frame
from tests.e2e.c2pool_peer import C2poolPeer
from tests.e2e.process import NodeProcess, wait_for
from tests.peers.fake_c2pool import LIFTED_FLOOR, PROTOCOL, Held

pytestmark = pytest.mark.e2e
NEWER = Envelope(36, b"of a layout that nobody here knows")
BEST = 0xC2C2


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("node"), "--outgoing-conns", "0") as node:
        node.wait_for_line("http://127.0.0.1")
        wait_for("page", lambda: node.try_get("api/v1/transition"))
        yield node


def transition(node: NodeProcess) -> dict:
    return node.get("api/v1/transition")


def metric(node: NodeProcess, line: str) -> float | None:
    """The value of a sample."""
    text = requests.get(f"http://127.0.0.1:{node.port}/metrics", timeout=10).text
    return next((float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line)), None)


def test_one_that_demands_more_than_we_announce_closes_and_that_is_shown(node):
    with C2poolPeer(node.p2pool_port, floor=LIFTED_FLOOR + 1) as peer:
        wait_for("end", lambda: not peer.stands)
        assert peer.fake.closed_because == "peer protocol below min-protocol floor"
    closing = wait_for("early close", lambda: next(iter(_closing(node)), None))
    assert (closing["hosts"], closing["closes"], closing["highest_protocol"]) == (1, 1, PROTOCOL)


def _closing(node: NodeProcess) -> list[dict]:
    closing = transition(node)["peers"]["closing_early"]
    return [closing] if closing["hosts"] else []


def test_one_that_lifts_its_floor_to_3600_keeps_us_beside_one_of_1700(node):
    best = Held(BEST, NEWER)
    with (
        C2poolPeer(node.p2pool_port, floor=LIFTED_FLOOR, chain=[best], nonce=1) as peer,
        C2poolPeer(node.p2pool_port, version=1700, nonce=2) as old,
        C2poolPeer(node.p2pool_port, version=0xFFFFFFFF, nonce=3) as far,
    ):
        shown = wait_for("three peers", lambda: _three(node))
        assert {(row["software"], row["protocol"]) for row in shown} == {
            ("c2pool", 1700),
            ("c2pool", PROTOCOL),
            ("c2pool", 0xFFFFFFFF),
        }
        newest = wait_for("share of ours", lambda: peer.look(lambda fake: list(fake.got)))
        wait_for("share of ours", lambda: old.look(lambda fake: list(fake.got)))
        assert newest[0].kind == 16
        # Its best share is one that we cannot read: asked for twice, the second time for what is below it.
        asked = peer.look(lambda fake: [request.parents for request in fake.asked if BEST in request.hashes])
        assert asked == [0, 499]
        peer.say(
            Shares((NEWER, newest[0], Envelope(40, b""), Envelope(2**63, bytes(1_000_000)))),
            *[Shares((Envelope(36, b""),) * 5000)] * 3,
            HaveTx(tuple(range(1, 120_000))),
        )
        peer.raw(frame(SIMNET.prefix, "shares", pack_varint(1) + Envelope(36, bytes(31 << 20)).pack()))
        before = len(peer.look(lambda fake: fake.got))
        wait_for("share after all that", lambda: peer.look(lambda fake: len(fake.got)) > before)
        assert peer.stands
        assert old.stands
        assert far.stands
        types = wait_for("all newer types", lambda: _counted(node, {36: 15_003, 40: 1, None: 1}))
        assert types[36]["software"] == "c2pool"
        assert metric(node, 'p2pool_newer_type_shares_total{type="36"}') == 15_003
        assert metric(node, 'p2pool_peers_by_software{software="c2pool"}') == 3
        assert metric(node, 'p2pool_peers_by_protocol{protocol="3600"}') == 1
    assert "banned" not in node.output
    assert "Traceback" not in node.output
    lines = [line for line in node.output.splitlines() if "shares of type 36" in line]
    assert len(lines) == 5  # at 1, 10, 100, 1000 and 10,000 of them


def _three(node: NodeProcess) -> list[dict] | None:
    rows = transition(node)["peers"]["software"]
    return rows if sum(row["incoming"] for row in rows) == 3 else None


def _counted(node: NodeProcess, expected: dict[int | None, int]) -> dict[int | None, dict] | None:
    """Rows of newer types by type, once so many shares of each were counted: what came is read in turns."""
    types = {row["type"]: row for row in transition(node)["types"]["newer"]}
    return types if {kind: row["shares"] for kind, row in types.items()} == expected else None


def test_one_below_1700_is_refused(node):
    with C2poolPeer(node.p2pool_port, version=1699, nonce=4) as peer:
        wait_for("end", lambda: not peer.stands)
        assert peer.closed_by_node
    node.wait_for_line("protocol 1699 is too old: at least 1700 is needed")


def test_the_alert_of_a_newer_type_is_in_the_history(node):
    def look() -> list[dict]:
        events = node.get("api/v1/history/events?kind=newer_share_type")["events"]
        return events if len(events) == 3 else []

    events = wait_for("events", look, 60.0)
    assert {event["subject"] for event in events} == {"36", "40", "other"}
