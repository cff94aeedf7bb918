"""Who the peers are: names of software, counts by protocol, a software that was lost, and connections that the
other side closes at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool import __version__
from p2pool.peers.census import (
    ESTABLISHED,
    FORGOTTEN,
    GAP,
    MAX_NAMES,
    MAX_ROWS,
    Counted,
    SoftwareWatch,
    count_software,
)
from p2pool.peers.early_closes import EARLY, MAX_HOSTS, WINDOW, EarlyCloseWatch
from p2pool.peers.messages import MAX_SUB_VERSION
from p2pool.peers.software import C2POOL, LEGACY, OTHER, OURS, software_name
from p2pool.pool_stats import EarlyCloses, LostSoftware, SoftwareCount
from tests.peers.wiring import Guest, Moment, make_hub, version

# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sub_version", "name"),
    [
        (f"p2pool-dash/{__version__}".encode(), OURS),
        (b"c2pool", C2POOL),
        (b"C2Pool/0.9.1 (dash)", C2POOL),
        (b"/c2pool:1.0/", C2POOL),
        (b"v1.0.6-12-g9a0a609", LEGACY),
        (b"1.0.6-12-g9a0a609-dirty", LEGACY),
        (b"v3.1", LEGACY),
        (b"9a0a609", LEGACY),
        (b"deadbee-dirty", LEGACY),
        (b"unknown 7032706f6f6c", LEGACY),
        (b"/Satoshi:0.20/", "satoshi"),
        (b"test", "test"),
        (b"", OTHER),
        (b"\xff\xfe\x00", OTHER),
        (b"<script>alert(1)</script>", OTHER),
        (b"x" * 25, OTHER),
        (b"x" * 512, OTHER),
        (b"node\n; rm", "node"),
    ],
)
def test_a_name_is_made_of_what_a_peer_calls_itself(sub_version, name):
    assert software_name(sub_version) == name


@given(st.binary(max_size=MAX_SUB_VERSION))
def test_whatever_it_says_the_name_is_short_and_plain(sub_version):
    name = software_name(sub_version)
    assert name == LEGACY or (0 < len(name) <= 24 and name.isascii() and not set(name) & set(" <>&\"'\n\x00"))
    assert software_name(name.encode()) in (name, LEGACY, OTHER, "legacy")


# --- counts ------------------------------------------------------------------------------------------------------


def test_peers_are_counted_by_software_and_protocol():
    peers = [Counted(C2POOL, 3600, True), Counted(C2POOL, 3600, False), Counted(LEGACY, 1700, True)]
    assert count_software(peers) == (SoftwareCount(C2POOL, 3600, 1, 1), SoftwareCount(LEGACY, 1700, 1, 0))
    assert count_software([]) == ()


def test_so_many_rows_are_distinguished():
    peers = [Counted(f"fork{n}", n, n % 2 == 0) for n in range(40)] + [Counted(C2POOL, 3600, False)] * 3
    rows = count_software(peers)
    assert len(rows) == MAX_ROWS + 1
    assert rows[0] == SoftwareCount(C2POOL, 3600, 0, 3)
    assert (rows[-1].software, rows[-1].protocol) == (OTHER, None)
    assert sum(row.incoming + row.outgoing for row in rows) == 43


# --- a software that was lost ------------------------------------------------------------------------------------


def run(watch: SoftwareWatch, start: float, seconds: float, *software: str) -> float:
    now = start
    while now < start + seconds:
        watch.observe(software, now)
        now += 10.0
    return now


def test_one_that_was_here_for_long_is_missed_and_not_any_more_when_it_is_back():
    watch = SoftwareWatch()
    now = run(watch, 1000.0, ESTABLISHED + 10, C2POOL, C2POOL, LEGACY)
    now = run(watch, now, GAP + 10, LEGACY)
    (lost,) = watch.lost(now)
    assert (lost.software, lost.most) == (C2POOL, 2)
    assert GAP < lost.lost_for <= GAP + 20
    now = run(watch, now, 20, C2POOL, LEGACY)
    assert watch.lost(now) == ()


def test_one_that_came_and_went_is_not_missed():
    watch = SoftwareWatch()
    now = run(watch, 0.0, ESTABLISHED - 20, C2POOL, LEGACY)
    now = run(watch, now, 500, LEGACY)
    assert watch.lost(now) == ()
    assert list(watch._seen) == [LEGACY]


def test_a_connection_that_is_made_anew_is_no_interruption():
    watch, now = SoftwareWatch(), 0.0
    for _ in range(10):
        now = run(watch, now, ESTABLISHED / 9, C2POOL)
        now = run(watch, now, GAP - 20)
    now = run(watch, now, 200)
    assert [lost.software for lost in watch.lost(now)] == [C2POOL]


def test_one_that_is_away_for_a_day_is_forgotten():
    watch = SoftwareWatch()
    now = run(watch, 0.0, ESTABLISHED + 10, C2POOL)
    now = run(watch, now, FORGOTTEN)
    assert watch.lost(now) != ()
    now = run(watch, now, 100)
    assert watch.lost(now) == ()


def test_invented_names_push_out_none_that_was_here_for_long():
    watch = SoftwareWatch()
    now = run(watch, 0.0, ESTABLISHED + 10, C2POOL, LEGACY)
    for number in range(100):
        watch.observe((LEGACY, f"fork{number}"), now)
        now += 10.0
    assert len(watch._seen) <= MAX_NAMES
    assert [lost.software for lost in watch.lost(now)] == [C2POOL]


# --- connections that the other side closes at once --------------------------------------------------------------


def test_hosts_that_close_at_once_are_counted_until_one_stays():
    watch = EarlyCloseWatch()
    for number in range(1, 4):
        for when in (100.0, 200.0):
            watch.closed(f"8.{number}.0.1", 3600, when)
    figures = watch.figures(300.0, 1e9)
    assert figures == EarlyCloses(3, 3, 6, 100.0, 1e9 - 200.0, 3600, 3600)
    watch.stayed("8.1.0.1")
    assert watch.figures(300.0, 1e9).hosts == 2
    assert watch.figures(200.0 + WINDOW + 1, 1e9) == EarlyCloses()


def test_who_never_spoke_our_protocol_says_nothing_of_us():
    watch = EarlyCloseWatch()
    watch.closed("8.1.0.1", None, 1.0)
    assert watch.figures(2.0, 0.0) == EarlyCloses()
    watch.stayed("8.1.0.1")
    watch.closed("8.1.0.1", None, 3.0)
    assert watch.figures(4.0, 1e9) == EarlyCloses(1, 1, 1, 0.0, 1e9 - 1, None, None)


def test_the_table_of_them_is_bounded():
    watch = EarlyCloseWatch()
    for number in range(2 * MAX_HOSTS):
        watch.closed(f"8.{number // 250}.{number % 250}.1", 1700, 1.0)
    assert watch.figures(2.0, 0.0).hosts == MAX_HOSTS
    assert watch.figures(2.0, 0.0).sites == 2


class Town:
    """A hub and the peers that come and go."""

    def __init__(self) -> None:
        self.moment = Moment()
        self.hub = make_hub(self.moment)
        self.hub.round_trips.step = lambda peers: None
        self.nonce = 0

    def guest(self, host: str, number: int | None = 3600, sub_version: bytes = b"c2pool", **options) -> Guest:
        self.nonce += 1
        guest = Guest(self.hub, host, **options)
        if number is not None:
            guest.say(replace(version(self.nonce, number), sub_version=sub_version))
        self.moment.run()
        return guest

    def seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.moment.now += 1
            self.hub.tick(lambda session, error: session._fail(error))
            self.moment.run()

    @property
    def closes(self) -> EarlyCloses:
        return self.hub.census().early_closes


def test_peers_of_both_protocols_are_connected_and_counted():
    town = Town()
    town.guest("8.1.0.1", 1700, b"v1.0.6-12-g9a0a609")
    town.guest("8.2.0.1", 3600, incoming=False)
    town.guest("8.3.0.1", 0xFFFFFFFF, b"\x00")
    assert set(town.hub.census().software) == {
        SoftwareCount(LEGACY, 1700, 1, 0),
        SoftwareCount(C2POOL, 3600, 0, 1),
        SoftwareCount(OTHER, 0xFFFFFFFF, 1, 0),
    }


def test_one_below_the_lowest_protocol_is_refused_as_before():
    town = Town()
    guest = town.guest("8.1.0.1", 1699)
    assert str(guest.ended) == "protocol 1699 is too old: at least 1700 is needed"
    assert town.hub.peers == []
    assert town.hub.bans.is_banned("8.1.0.1", town.moment.unix())


@pytest.mark.parametrize("incoming", [True, False])
def test_a_peer_that_leaves_within_seconds_after_its_version_closed_early(incoming):
    town = Town()
    town.guest("8.1.0.1", incoming=incoming).leave()
    late = town.guest("8.2.0.1", incoming=incoming)
    town.seconds(int(EARLY) + 1)
    late.leave()
    assert (town.closes.hosts, town.closes.closes, town.closes.highest) == (1, 1, 3600)


def test_one_that_we_drop_did_not_close_early():
    town = Town()
    guest = town.guest("8.1.0.1")
    guest.say(version(1))  # a second one
    assert guest.ended is not None
    assert town.closes == EarlyCloses()


def test_strangers_that_say_nothing_do_not_count_but_former_peers_do():
    town = Town()
    for incoming in (True, False):
        town.guest("8.1.0.1", None, incoming=incoming).leave()
    assert town.closes == EarlyCloses()
    stays = town.guest("8.1.0.1", incoming=False)
    town.seconds(int(EARLY) + 2)
    stays.leave()
    town.guest("8.1.0.1", None, incoming=False).leave()
    assert (town.closes.hosts, town.closes.closes) == (1, 1)


def test_a_second_connection_with_one_peer_is_no_early_close():
    town = Town()
    town.guest("8.1.0.1")
    town.guest("8.1.0.1", port=4001).leave()
    assert town.closes == EarlyCloses()


def test_a_software_that_leaves_is_missed_after_a_while():
    town = Town()
    c2pool = town.guest("8.1.0.1")
    town.guest("8.2.0.1", 1700, b"9a0a609")
    for session in town.hub.peers:
        session.check_time = lambda now: None
    town.seconds(int(ESTABLISHED) + 2)
    c2pool.leave()
    town.seconds(int(GAP) + 2)
    (lost,) = town.hub.census().lost
    assert lost == LostSoftware(C2POOL, pytest.approx(GAP + 2, abs=1), 1)
