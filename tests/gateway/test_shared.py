"""Bans, limits and operators' actions of a pool: what one process does reaches the others, once and in time."""

from __future__ import annotations

import itertools
import random
from typing import Any

import fakeredis
import pytest
from twisted.internet.defer import ensureDeferred

from p2pool.broker.shared import FreshReader, exchange, server_time
from p2pool.gateway.action_messages import ActionMessage, BanRow, HostCounts, ShowMessage
from p2pool.gateway.action_sender import RESULT_TIME, ActionSender
from p2pool.gateway.action_taker import ACTION_AGE, MASK_PERIOD, ActionTaker
from p2pool.gateway.messages import SCHEMA, pack_message
from p2pool.gateway.names import Names
from p2pool.gateway.shared_bans import PORTION, SYNC, SharedBans
from p2pool.gateway.shared_counts import LIFETIME, PERIOD, SharedCounts
from p2pool.stratum.guard import BANNED, LIMITED, TOO_MANY_OF_HOST, GuardSettings, ip_network
from p2pool.stratum.operator import Operator
from p2pool.stratum.reputation import Offence
from tests.environment import make_environment
from tests.gateway.fake_broker import FakeBroker, unblocked
from tests.logged import logged
from tests.stratum.miner import ADDRESS
from tests.stratum.wire import StratumHarness

HOST = "192.0.2.7"
_seeds = itertools.count()
NAMES = Names("simnet")


class Side:
    """A process with miners, and all that it shares."""

    def __init__(self, server: fakeredis.FakeServer, name: str, **guard: Any) -> None:
        self.name = name
        self.harness = StratumHarness(guard=GuardSettings(**guard))
        self.guard = self.harness.server.guard
        self.operator = Operator(self.harness.server, self.harness.now)
        self.broker = FakeBroker(server)
        self.environment = make_environment(
            self.harness.reactor, clock=self.harness.now, chance=random.Random(next(_seeds))
        )
        common: dict[str, Any] = {"names": NAMES, "name": name}
        self.bans = SharedBans(self.environment, self.broker, guard=self.guard, **common)
        is_gateway = name != "node"
        self.counts = SharedCounts(
            self.environment, self.broker, guard=self.guard, is_gateway=is_gateway, **common
        )
        self.taker = ActionTaker(
            self.environment,
            self.broker,
            bans=self.bans,
            operations=self.operator if is_gateway else None,
            **common,
        )
        self.sender = ActionSender(
            self.environment,
            self.broker,
            bans=self.bans,
            gateways=lambda: self.counts.gateways,
            mask=lambda: self.harness.server.version_mask,
            **common,
        )
        for part in (self.bans, self.counts, self.taker, *(() if is_gateway else (self.sender,))):
            part.start()

    def turned_away(self, host: str = HOST) -> str | None:
        return self.guard.turned_away(host, self.harness.now())

    def wait(self, seconds: float) -> None:
        """Let time pass here, in steps as those of real timers."""
        for _ in range(round(seconds)):
            self.harness.reactor.advance(1)


class Pool:
    """A node and two gateways."""

    def __init__(self, **guard: Any) -> None:
        self.server = fakeredis.FakeServer()
        self.client = fakeredis.FakeRedis(server=self.server)
        self.node, self.one, self.two = self.sides = [
            Side(self.server, name, **guard) for name in ("node", "one", "two")
        ]
        self.turn()
        self.wait(PERIOD)

    def turn(self) -> None:
        for side in self.sides:
            side.broker.turn()
        self.node.broker.turn()  # it reads the results

    def wait(self, seconds: float) -> None:
        for side in self.sides:
            side.wait(seconds)

    def carry_out(self, action: str, **given: Any) -> dict[str, object]:
        """What is answered once everybody has read."""
        answers: list[dict[str, object]] = []
        self.node.sender.carry_out(action, given).addCallback(answers.append)
        self.turn()
        if not answers:
            self.node.wait(RESULT_TIME + 1)
        return answers[0]


@pytest.fixture(autouse=True)
def _reads_return_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    unblocked(monkeypatch)


@pytest.fixture
def pool() -> Pool:
    return Pool()


# --- bans --------------------------------------------------------------------------------------------------------


def test_a_ban_of_one_gateway_reaches_the_node_and_the_others_with_its_time_and_origin(pool):
    with logged() as log:
        connection = pool.one.guard.connected(HOST, pool.one.harness.now())
        pool.one.guard.offence(connection, Offence.SUBMISSIONS, pool.one.harness.now())
        pool.turn()
    for side in pool.sides:
        assert side.turned_away() == BANNED
        ban = side.guard.ban_of(HOST)
        assert ban.until - side.harness.now() == side.guard.settings.ban_duration
        assert ban.source == ("" if side is pool.one else "one")
    assert [line for line in log.lines if "(banned by one)" in line] == 2 * [
        f"banned {HOST} for 300 s: {Offence.SUBMISSIONS.text} (banned by one)"
    ]


def test_a_ban_makes_no_echo(pool):
    pool.one.operator.ban(HOST, 60)
    for _ in range(5):
        pool.turn()
        pool.wait(SYNC)
    assert pool.client.xlen(NAMES.actions) == 1


def test_a_ban_ends_everywhere_at_its_end(pool):
    pool.one.operator.ban(HOST, 60)
    pool.turn()
    for side in pool.sides:
        side.bans.stop()  # the broker's clock stands still here
    pool.wait(61)
    assert [side.turned_away() for side in pool.sides] == [None] * 3


def test_an_own_allow_list_counts_more_than_a_ban_of_another_gateway():
    pool = Pool()
    careful = Side(pool.server, "three", allowed=(ip_network("192.0.2.0/24"),))
    pool.one.operator.ban(HOST, 60)
    careful.broker.turn()
    careful.wait(SYNC)
    assert careful.turned_away() is None


def test_a_gateway_that_comes_later_has_the_bans_at_once(pool):
    pool.node.operator.ban(HOST, 600, "a test")
    late = Side(pool.server, "late")
    assert late.turned_away() == BANNED
    ban = late.guard.ban_of(HOST)
    assert (ban.reason, ban.source) == ("a test", "node")
    assert ban.until - late.harness.now() == pytest.approx(600, abs=2)


@pytest.mark.parametrize("host", [HOST, "2001:db8::/64"])
def test_an_unban_reaches_all_and_those_who_were_away(pool, host):
    pool.one.operator.ban(host.partition("/")[0], 600)
    pool.turn()
    pool.two.broker.problem = "gone"
    pool.node.operator.unban(host)
    answer = pool.carry_out("unban", host=host)
    assert pool.one.guard.bans() == pool.node.guard.bans() == ()
    assert len(pool.two.guard.bans()) == 1
    assert answer == {"gateways": 1, "gateways_silent": 1, "gateway_connections": 0}
    pool.two.broker.problem = None
    ensureDeferred(pool.two.bans.compare())
    assert pool.two.guard.bans() == ()


def test_a_ban_after_an_unban_counts(pool):
    pool.node.operator.ban(HOST, 600)
    pool.node.operator.unban(HOST)
    pool.carry_out("unban", host=HOST)
    pool.one.operator.ban(HOST, 600)
    pool.turn()
    pool.wait(SYNC)
    assert [side.turned_away() for side in pool.sides] == [BANNED] * 3


def test_a_broker_that_lost_everything_learns_the_bans_again(pool):
    pool.one.operator.ban(HOST, 600)
    pool.turn()
    pool.client.flushall()
    pool.wait(SYNC)
    assert [side.turned_away() for side in pool.sides] == [BANNED] * 3
    assert Side(pool.server, "late").turned_away() == BANNED


def test_a_ban_made_without_the_broker_is_shared_when_it_is_back(pool):
    pool.one.broker.problem = "gone"
    pool.one.operator.ban(HOST, 600)
    pool.turn()
    assert pool.two.turned_away() is None
    pool.one.broker.problem = None
    pool.wait(SYNC)
    pool.wait(SYNC)
    assert [side.turned_away() for side in pool.sides] == [BANNED] * 3


def test_rows_that_cannot_be_read_or_are_over_are_removed_and_logged_once(pool):
    now = server_time(pool.client)
    over = BanRow(since=now - 90, until=now - 1, reason="x", source="one")
    pool.client.hset(NAMES.bans, mapping={"192.0.2.8": pack_message(over), "192.0.2.9": b"\x80", "x": b""})
    with logged() as log:
        pool.wait(SYNC)
    assert pool.client.hgetall(NAMES.bans) == {}
    assert sum("cannot read a ban in the broker" in line for line in log.lines) == 1
    assert not log.tracebacks


def _many_bans(pool: Pool, count: int) -> None:
    now = server_time(pool.client)
    row = pack_message(BanRow(since=now, until=now + 900, reason="x", source="one"))
    pool.client.hset(NAMES.bans, mapping={f"10.0.{number >> 8}.{number & 255}": row for number in range(count)})


def test_many_bans_are_taken_over_in_portions_with_a_few_log_lines_each(pool):
    _many_bans(pool, 2 * PORTION + 1)
    with logged() as log:
        late = Side(pool.server, "late")
        assert len(late.guard.bans()) == PORTION
        late.wait(1)
        late.wait(1)
    assert len(late.guard.bans()) == 2 * PORTION + 1
    assert len([line for line in log.lines if line.endswith(" s: x (banned by one)")]) == 5 + 5 + 1
    assert log.lines.count(f"banned {PORTION - 5} more hosts, as other gateways did") == 2


def test_many_bans_that_the_broker_lost_are_one_request(pool):
    _many_bans(pool, 2 * PORTION)
    late = Side(pool.server, "late")
    late.wait(2)
    pool.client.flushall()
    asked: list[Any] = []
    ask = late.broker.ask
    late.broker.ask = lambda action, urgent=False: asked.append(action) or ask(action)
    ensureDeferred(late.bans.compare())
    assert len(asked) == 2  # the table is read, and written
    assert pool.client.hlen(NAMES.bans) == 2 * PORTION
    assert pool.client.ttl(NAMES.bans) > 0


def test_a_comparison_never_overwrites_that_a_ban_was_lifted_meanwhile(pool):
    pool.one.operator.ban(HOST, 600)
    pool.client.flushall()
    ask = pool.one.broker.ask

    def lifted_after_reading(action: Any, urgent: bool = False) -> Any:
        answer = ask(action)
        if action.__qualname__.startswith("read_bans"):
            pool.node.bans.lift(HOST)
        return answer

    pool.one.broker.ask = lifted_after_reading
    ensureDeferred(pool.one.bans.compare())
    pool.one.broker.ask = ask
    pool.turn()
    pool.wait(SYNC)
    assert [side.turned_away() for side in pool.sides] == [None] * 3


def test_rows_beyond_the_bound_are_not_added(pool, monkeypatch):
    monkeypatch.setattr("p2pool.gateway.shared_bans.MAX_BANS", 3)
    _many_bans(pool, 2)
    for number in range(3):
        pool.one.guard.ban(f"10.1.0.{number}", now=pool.one.harness.now(), seconds=600, reason="x")
    pool.client.hdel(NAMES.bans, "10.1.0.0")
    pool.wait(SYNC)
    assert pool.client.hlen(NAMES.bans) == 3


def test_what_is_no_host_is_not_banned(pool):
    now = server_time(pool.client)
    row = pack_message(BanRow(since=now, until=now + 90, reason="x", source="one"))
    pool.client.hset(NAMES.bans, "everybody", row)
    pool.wait(SYNC)
    assert pool.node.guard.bans() == ()


# --- a host with good and bad miners -----------------------------------------------------------------------------


def settled(side: Side, host: str = HOST) -> Any:
    """Return a miner's connection that has done work."""
    connection = side.guard.connected(host, side.harness.now())
    side.guard.authorized(connection, side.harness.now())
    side.guard.submission(connection, False, side.harness.now())
    return connection


def misbehave(side: Side, host: str = HOST) -> None:
    connection = side.guard.connected(host, side.harness.now())
    side.guard.offence(connection, Offence.SUBMISSIONS, side.harness.now())


def test_a_bad_miner_at_one_gateway_does_not_get_its_host_banned_where_good_ones_work(pool):
    good = settled(pool.one)
    with logged() as log:
        misbehave(pool.two)
        assert pool.two.turned_away() == BANNED
        pool.turn()
    assert [side.guard.bans() for side in pool.sides] == [(), (), ()]
    assert pool.one.guard.connections_of(HOST) == [good]
    assert any(f"limiting new connections from {HOST}" in line for line in log.lines)
    assert Side(pool.server, "late").turned_away() is None


def test_such_a_host_is_limited_at_all_gateways_where_it_misbehaved(pool):
    settled(pool.one)
    misbehave(pool.two)
    pool.turn()
    for side in (pool.one, pool.two):
        answers = []
        for _ in range(20):
            answers.append(side.turned_away())
        assert answers.count(LIMITED) > 10, side.name
        assert BANNED not in answers
    misbehave(pool.two)
    assert pool.two.turned_away() == LIMITED
    pool.turn()
    assert [side.guard.bans() for side in pool.sides] == [(), (), ()]


def test_the_limit_ends_and_a_host_whose_good_miners_left_is_banned(pool):
    good = settled(pool.one)
    misbehave(pool.two)
    pool.turn()
    now = pool.one.harness.now()
    pool.one.guard.disconnected(good, lasted=60, authorized=True, earned=True, now=now)
    pool.wait(pool.one.guard.settings.ban_duration)
    misbehave(pool.two)
    pool.turn()
    assert [side.turned_away() for side in pool.sides] == [BANNED] * 3


def test_a_ban_by_the_operator_strikes_good_miners_too(pool):
    settled(pool.one)
    pool.node.operator.ban(HOST, 60)
    pool.turn()
    pool.wait(SYNC)
    assert [side.turned_away() for side in pool.sides] == [BANNED] * 3


def test_a_gateway_that_learns_of_the_ban_from_the_table_spares_its_good_miners(pool):
    settled(pool.one)
    pool.one.broker.problem = "gone"
    misbehave(pool.two)
    pool.turn()
    assert pool.node.turned_away() == BANNED
    pool.client.delete(NAMES.actions)
    pool.one.broker.problem = None
    pool.wait(SYNC)
    pool.turn()
    assert [side.guard.bans() for side in pool.sides] == [(), (), ()]


# --- connections by host -----------------------------------------------------------------------------------------


def test_connections_of_a_host_are_counted_over_all_gateways():
    pool = Pool(max_connections_per_host=5)
    for side, count in ((pool.one, 3), (pool.two, 2)):
        for _ in range(count):
            side.guard.connected(HOST, side.harness.now())
    assert [side.turned_away() for side in pool.sides] == [None] * 3
    pool.wait(PERIOD)
    pool.wait(PERIOD)
    assert [side.turned_away() for side in pool.sides] == [TOO_MANY_OF_HOST] * 3
    assert pool.one.turned_away("192.0.2.8") is None


def test_a_gateway_that_died_is_not_counted_for_long():
    pool = Pool(max_connections_per_host=1)
    pool.one.guard.connected(HOST, pool.one.harness.now())
    pool.wait(PERIOD)
    assert pool.two.turned_away() == TOO_MANY_OF_HOST
    assert pool.node.counts.gateways == {"one", "two"}
    pool.client.delete(f"{NAMES.members}:one")  # its key has expired
    pool.two.wait(PERIOD)
    pool.node.wait(PERIOD)
    assert pool.two.turned_away() is None
    assert pool.node.counts.gateways == {"two"}


def test_one_that_stops_leaves_at_once():
    pool = Pool(max_connections_per_host=1)
    pool.one.guard.connected(HOST, pool.one.harness.now())
    pool.one.wait(PERIOD)
    pool.one.counts.stop()
    ensureDeferred(pool.one.counts.leave())
    pool.two.wait(PERIOD)
    assert pool.two.turned_away() is None


def test_without_the_broker_each_goes_by_its_own_counts():
    pool = Pool(max_connections_per_host=1)
    pool.one.guard.connected(HOST, pool.one.harness.now())
    pool.wait(PERIOD)
    assert pool.two.turned_away() == TOO_MANY_OF_HOST
    for side in pool.sides:
        side.broker.problem = "gone"
    pool.wait(LIFETIME)
    assert pool.two.turned_away() is None
    assert pool.one.turned_away() == TOO_MANY_OF_HOST


def test_keys_of_counts_expire(pool):
    assert 0 < pool.client.pttl(f"{NAMES.members}:one") <= 1000 * LIFETIME
    assert 0 < pool.client.ttl(NAMES.members) <= LIFETIME + 1


def test_small_counts_are_not_published():
    pool = Pool(max_connections_per_host=1000)
    for number in range(10):
        pool.one.guard.connected(HOST, 0.0)
        pool.one.guard.connected(f"10.0.0.{number}", 0.0)
    pool.wait(PERIOD)
    assert pool.two.guard.elsewhere == {HOST: 10}


def test_counts_that_cannot_be_read_are_logged_once_and_left_out(pool):
    pool.client.set(f"{NAMES.members}:bad", b"\x80")
    pool.client.zadd(NAMES.members, {"bad": server_time(pool.client)})
    with logged() as log:
        pool.node.wait(3 * PERIOD)
    assert len(log.lines) == 1
    assert pool.node.counts.gateways == {"one", "two"}


# --- actions -----------------------------------------------------------------------------------------------------


def shown(wire: Any) -> list[Any]:
    return [each["params"] for each in wire.messages() if each.get("method") == "client.show_message"]


def test_a_message_reaches_the_miners_of_all_gateways_and_the_answer_says_how_many(pool):
    wires = [side.harness.miner(ADDRESS)[1] for side in (pool.one, pool.two, pool.two)]
    assert pool.carry_out("message", text="hello") == {
        "gateways": 2,
        "gateways_silent": 0,
        "gateway_connections": 3,
    }
    assert [shown(wire) for wire in wires] == [[["hello"]]] * 3


def test_a_text_of_any_length_and_kind_reaches_the_miners_cut_as_the_node_cuts_it(pool):
    _, wire = pool.one.harness.miner(ADDRESS)
    answer = pool.carry_out("message", text=" " * 3_000 + "x" * 5_000)
    assert answer["gateway_connections"] == 1
    assert shown(wire) == [["x" * 400]]
    assert pool.carry_out("message", text="a\ud800b", worker="w" * 9_000)["gateways"] == 2


def test_a_message_for_one_worker_goes_to_that_worker(pool):
    _, rig = pool.one.harness.miner(ADDRESS + ".rig")
    _, other = pool.two.harness.miner(ADDRESS + ".other")
    answer = pool.carry_out("message", text="hello", worker=ADDRESS + ".rig")
    assert answer["gateway_connections"] == 1
    assert (shown(rig), shown(other)) == ([["hello"]], [])


def test_miners_of_all_gateways_are_asked_to_reconnect(pool):
    _, wire = pool.two.harness.miner(ADDRESS)
    answer = pool.carry_out("reconnect", host="pool.example", port=7903, wait=5)
    assert answer["gateway_connections"] == 1
    (message,) = [each for each in wire.messages() if each.get("method") == "client.reconnect"]
    assert message["params"] == ["pool.example", 7903, 5]


def test_a_ban_of_the_operator_says_how_many_gateways_it_reached(pool):
    for _ in range(2):
        pool.one.harness.connect(HOST)
    pool.node.operator.ban(HOST, 60)
    assert pool.carry_out("ban", host=HOST) == {"gateways": 2, "gateways_silent": 0, "gateway_connections": 2}
    assert pool.one.turned_away() == BANNED


def test_the_version_mask_reaches_all_and_those_that_come_later(pool):
    pool.node.operator.set_version_mask(0xE000)
    pool.carry_out("version-mask", mask=0xE000)
    late = Side(pool.server, "late")
    for side in (*pool.sides, late):
        assert side.harness.server.version_mask == 0xE000
    pool.node.operator.set_version_mask(0x2000)
    pool.two.broker.problem = "gone"
    pool.carry_out("version-mask", mask=0x2000)
    pool.two.broker.problem = None
    pool.wait(MASK_PERIOD)
    assert pool.two.harness.server.version_mask == 0x2000


def masks(pool: Pool) -> list[int]:
    return [side.harness.server.version_mask for side in (pool.one, pool.two)]


def test_the_version_mask_holds_until_the_next_start_of_the_node_as_without_gateways(pool):
    default = pool.one.harness.server.version_mask
    pool.node.operator.set_version_mask(0xE000)
    pool.carry_out("version-mask", mask=0xE000)
    pool.node.sender.stop()
    again = Side(pool.server, "node")
    assert again.harness.server.version_mask == default
    again.wait(MASK_PERIOD)
    pool.wait(MASK_PERIOD)
    assert masks(pool) == [default, default]


def test_a_node_that_takes_over_leaves_the_version_mask_of_gateways_as_it_is(pool):
    pool.node.operator.set_version_mask(0xE000)
    pool.carry_out("version-mask", mask=0xE000)
    pool.node.sender.stop()
    again = Side(pool.server, "node")
    pool.wait(MASK_PERIOD)
    assert masks(pool) == [0xE000, 0xE000]
    again.harness.server.set_version_mask(0xE000)  # it came with the miners
    for _ in range(3):
        again.wait(MASK_PERIOD)
        pool.wait(MASK_PERIOD)
        assert masks(pool) == [0xE000, 0xE000]


def test_a_gateway_that_does_not_answer_is_counted_as_silent(pool):
    pool.two.broker.problem = "gone"
    assert pool.carry_out("message", text="hello") == {
        "gateways": 1,
        "gateways_silent": 1,
        "gateway_connections": 0,
    }


def test_without_the_broker_the_answer_does_not_wait(pool):
    pool.node.broker.problem = "gone"
    answers: list[object] = []
    pool.node.sender.carry_out("message", {"text": "hello"}).addCallback(answers.append)
    assert answers == [{"gateways": 0, "gateways_silent": 2, "gateway_connections": 0}]


def test_what_waits_at_the_end_is_answered(pool):
    answers: list[object] = []
    pool.node.sender.carry_out("message", {"text": "hello"}).addCallback(answers.append)
    assert answers == []
    pool.node.sender.stop()
    assert len(answers) == 1


def test_a_gateway_that_comes_late_does_not_repeat_old_actions(pool):
    pool.carry_out("message", text="old")
    late = Side(pool.server, "late")
    _, wire = late.harness.miner(ADDRESS)
    late.broker.turn()
    late.broker.turn()
    assert shown(wire) == []


def test_actions_that_waited_for_too_long_are_not_carried_out(pool):
    message = pack_message(ActionMessage(id=1, origin="node", action=ShowMessage(text="old")))
    reader = FreshReader("news", age=ACTION_AGE)
    client = pool.client
    assert reader(client) == []
    reader._positions["news"] = "1-0"  # it was away for long
    milliseconds = int(1000 * server_time(client))
    client.xadd("news", {"data": message}, id=f"{milliseconds - 31_000}-1")
    client.xadd("news", {"data": b"new"}, id=f"{milliseconds}-1")
    assert [entry.data for entry in reader(client)] == [b"new"]
    assert reader(client) == []


def test_a_reader_goes_on_where_the_server_lost_its_data_and_its_clock_was_set_back(pool):
    client = pool.client
    reader = FreshReader("news", age=ACTION_AGE)
    assert reader(client) == []
    reader._positions["news"] = f"{int(1000 * server_time(client)) + 3_600_000}-0"
    client.xadd("news", {"data": b"new"})
    assert reader(client) == []
    assert [entry.data for entry in reader(client)] == [b"new"]


def test_actions_that_cannot_be_read_or_make_no_sense_are_one_line(pool):
    for data in (b"\x80", b"", pack_message(HostCounts(name="x", is_gateway=True, hosts={}))):
        pool.client.xadd(NAMES.actions, {"data": data})
    with logged() as log:
        pool.one.broker.turn()
    assert 1 <= len(log.lines) <= 3
    assert not log.tracebacks
    with logged() as log:
        pool.client.xadd(
            NAMES.actions,
            {"data": pack_message(ActionMessage(id=1, origin="x", action=ShowMessage(text=" ")))},
        )
        pool.one.broker.turn()
    assert log.lines == ["cannot carry out an action of x: an empty message"]


def test_messages_of_another_format_say_so(pool):
    action = ActionMessage(schema=SCHEMA + 1, id=1, origin="x", action=ShowMessage(text="y"))
    pool.client.xadd(NAMES.actions, {"data": pack_message(action)})
    pool.client.xadd(NAMES.action_results, {"data": pack_message(action)})
    with logged() as log:
        pool.one.broker.turn()
        pool.node.broker.turn()
    assert all("run the same version in node and gateways" in line for line in log.lines)
    assert not log.tracebacks


def test_a_member_whose_name_is_no_text_does_not_keep_the_others_from_being_counted(pool):
    pool.client.zadd(NAMES.members, {b"\xff\xfe": 1e18})
    pool.wait(PERIOD)
    assert pool.node.counts.gateways == {"one", "two"}


def test_so_many_hosts_of_others_are_counted(pool, monkeypatch):
    monkeypatch.setattr("p2pool.gateway.shared_counts.MAX_ELSEWHERE", 15)
    for name in "abc":
        hosts = {f"192.0.2.{number}": 2 for number in range(10)}
        counts = HostCounts(name=name, is_gateway=True, hosts=hosts)
        exchange(NAMES.members, name, pack_message(counts), seconds=LIFETIME)(pool.client)
    pool.node.wait(PERIOD)
    assert set(pool.node.guard.elsewhere.values()) == {4}
