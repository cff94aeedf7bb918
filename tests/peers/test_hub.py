"""All connections together: who may come, what is passed on, told and asked, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pool.dash.block import read_header
from p2pool.peers.address_book import NEWS_AFTER
from p2pool.peers.ended import MAX_HOSTS
from p2pool.peers.errors import Drop, Misbehaviour, QuietDrop
from p2pool.peers.hub import MAX_PER_GROUP
from p2pool.peers.messages import (
    AddrMe,
    Addrs,
    BestBlock,
    ForgetTx,
    GetAddrs,
    HaveTx,
    LosingTx,
    PeerAddress,
    PeerPing,
    PeerVersion,
    RememberTx,
    SeenAddress,
    ShareReply,
    ShareReq,
)
from p2pool.peers.transaction_relay import KEPT_SHARES
from p2pool.peers.transactions import MAX_FRESH, MAX_LOST
from p2pool.wire.codec import Reader
from tests.chains import NOW
from tests.logged import logged
from tests.peers.wiring import (
    HOST,
    Guest,
    Moment,
    StubPool,
    chain,
    envelope,
    make_hub,
    transaction,
    version,
    with_tracker,
)
from tests.support import vectors

FAR = PeerAddress("8.8.8.8", 9999)


class Hall:
    def __init__(self, pool: StubPool | None = None, **settings) -> None:
        self.moment = Moment()
        self.pool = pool or StubPool()
        self.hub = make_hub(self.moment, self.pool, **settings)
        self.hub.round_trips.step = lambda peers: None  # guests answer no requests by themselves
        self.failed: list = []

    def guest(self, nonce: int, host: str = "8.1.0.1", **options) -> Guest:
        guest = Guest(self.hub, host, options.pop("port", 4000), nonce=nonce, **options)
        self.moment.run()
        guest.heard.take()
        return guest

    def tick(self, seconds: float = 1.0) -> None:
        self.moment.now += seconds
        self.hub.tick(self.fail)
        self.moment.run()

    def fail(self, session, error) -> None:
        self.failed.append((session, str(error), type(error)))
        self.hub.close(session, error)


# --- connections -------------------------------------------------------------------------------------------------


def test_a_connection_begins_with_our_hello():
    hall = Hall(StubPool(best=99))
    guest = Guest(hall.hub)
    (hello,) = guest.heard.take()
    assert isinstance(hello, PeerVersion)
    assert (hello.nonce, hello.sub_version, hello.best_share_hash) == (hall.hub.nonce, b"test", 99)
    assert hall.hub.peers == []
    assert hall.hub.sessions == {guest.session}


def test_a_duplicate_is_dropped_not_banned_and_never_was_a_peer():
    hall = Hall()
    with logged() as log:
        first, second = hall.guest(7), hall.guest(7, "8.2.0.1")
        assert second.ended is not None
        assert type(second.ended) is QuietDrop
        assert hall.hub.peers == [first.session]
        assert hall.hub.sessions == {first.session}
        assert not hall.hub.bans.is_banned("8.2.0.1", hall.moment.unix())
        first.leave()
        assert hall.guest(7, "8.2.0.1").ended is None
    assert len([line for line in log.lines if "connected to this node" in line]) == 2


def test_a_second_try_of_the_handshake_after_another_one_left_unfinished():
    hall = Hall()
    Guest(hall.hub, nonce=None)
    assert hall.guest(7).ended is None


@pytest.mark.parametrize(("error", "banned"), [(Misbehaviour("x"), True), (Drop("x"), False), (None, False)])
def test_only_misbehaviour_bans(error, banned):
    hall = Hall()
    guest = hall.guest(7, HOST)
    with logged() as log:
        hall.hub.close(guest.session, error)
        hall.hub.close(guest.session, Misbehaviour("too late"))
    assert len(log.lines) == 1
    assert log.tracebacks == []
    assert hall.hub.bans.is_banned(HOST, hall.moment.unix()) is banned
    assert hall.hub.may_accept(HOST) is not banned
    assert guest.session.closed
    assert hall.hub.sessions == set()
    hall.moment.now += 3600
    assert hall.hub.may_accept(HOST)


def test_an_internal_error_is_logged_with_its_traceback_and_punishes_nobody():
    hall = Hall()
    guest = hall.guest(7, HOST)
    with logged() as log:
        hall.hub.close(guest.session, ZeroDivisionError("ours"))
    assert len(log.tracebacks) == 1
    assert hall.hub.may_accept(HOST)


def test_the_loopback_is_never_banned():
    hall = Hall()
    hall.hub.close(hall.guest(7, "127.0.0.1").session, Misbehaviour("x"))
    assert hall.hub.may_accept("127.0.0.1")


def test_three_of_a_neighbourhood():
    hall = Hall()
    guests = [Guest(hall.hub, f"8.1.{n}.1", incoming=True) for n in range(MAX_PER_GROUP)]
    Guest(hall.hub, "8.2.0.1", incoming=False)
    assert not hall.hub.may_accept("8.1.99.99")
    assert hall.hub.may_accept("8.2.0.1")
    guests[0].leave()
    assert hall.hub.may_accept("8.1.99.99")
    for n in range(MAX_PER_GROUP):
        Guest(hall.hub, f"2001:db8:{n}::1", incoming=True)
        Guest(hall.hub, "127.0.0.1", incoming=True)
    assert not hall.hub.may_accept("2001:db8:ffff::1")
    assert hall.hub.may_accept("2001:db9::1")
    assert hall.hub.may_accept("127.0.0.1")


def test_so_many_incoming_in_all():
    hall = Hall(max_incoming=2)
    Guest(hall.hub, "8.9.0.1", incoming=False)
    guests = [Guest(hall.hub, f"8.{n}.0.1", incoming=True) for n in range(2)]
    assert not hall.hub.may_accept("8.7.0.1")
    assert not hall.hub.may_accept("127.0.0.1")
    guests[0].leave()
    assert hall.hub.may_accept("8.7.0.1")


def test_a_new_incoming_connection_takes_the_place_of_the_newest_after_a_minute():
    hall = Hall(StubPool(with_tracker(3)), max_incoming=2)
    first, second = (hall.guest(n, f"8.{n}.0.1") for n in range(1, 3))
    hall.moment.now += 59
    assert not hall.hub.may_accept("8.7.0.1")
    hall.moment.now += 1
    with logged() as log:
        assert hall.hub.may_accept("8.7.0.1")
        third = hall.guest(3, "8.7.0.1")
        assert (first.ended, type(second.ended), third.ended) == (None, QuietDrop, None)
    assert hall.hub.peers == [first.session, third.session]
    assert [line for line in log.lines if "disconnected" in line] == []
    assert not hall.hub.may_accept("8.8.0.1")
    assert not hall.hub.bans.is_banned("8.2.0.1", hall.moment.unix())


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (Misbehaviour("it lied\x1b"), "banned: it lied?"),
        (Drop("nothing received for 100 s"), "nothing received for 100 s"),
        (ZeroDivisionError("ours"), "internal error of this node"),
        (None, "the peer closed it"),
    ],
)
def test_why_a_connection_ended_is_remembered(end, why):
    hall = Hall()
    guest = hall.guest(7)
    hall.moment.now += 50
    with logged():
        hall.hub.close(guest.session, end)
    assert hall.hub.ended.of("8.1.0.1") == hall.hub.ended.newest()[0]
    assert hall.hub.ended.newest() == [
        (hall.moment.unix(), "8.1.0.1", 4000, True, "test", pytest.approx(50.0), why),
    ]


def test_ends_are_bounded_one_for_each_host_and_none_of_strangers():
    hall = Hall()
    stranger = Guest(hall.hub, nonce=None)
    stranger.leave()
    hall.guest(7).leave()
    hall.guest(7, "8.2.0.1").leave()
    hall.guest(7, "8.1.0.1", port=5).leave()
    assert [(end.host, end.port) for end in hall.hub.ended.newest()] == [("8.1.0.1", 5), ("8.2.0.1", 4000)]
    for number in range(MAX_HOSTS):
        hall.guest(7, f"9.{number}.0.1").leave()
    assert hall.hub.ended.of("8.1.0.1") is None
    assert len(hall.hub.ended._last) == MAX_HOSTS
    assert [end.host for end in hall.hub.ended.newest()] == [f"9.{n}.0.1" for n in range(199, 149, -1)]


def test_who_makes_room_for_another_one_is_told_apart():
    hall = Hall(StubPool(with_tracker(3)), max_incoming=1)
    hall.guest(1)
    hall.moment.now += 60
    hall.guest(2, "8.7.0.1")
    assert [end.reason for end in hall.hub.ended.newest()] == ["it made room for another incoming connection"]


def test_who_comes_from_outside_shows_that_others_can():
    hall = Hall()
    hall.guest(7, "192.168.1.5")
    hall.guest(8, incoming=False)
    Guest(hall.hub, "8.9.0.1", nonce=None)
    assert hall.hub.reachability.first_incoming is None
    hall.guest(9, "8.3.0.1")
    assert hall.hub.reachability.first_incoming == hall.moment.unix()


def test_another_port_outside_is_told_to_who_comes_by_it():
    hall = Hall()
    far, near, six = hall.guest(1), hall.guest(2, "192.168.1.5"), hall.guest(3, "2606:4700::1")
    hall.hub.outside_port = 40001
    assert hall.hub.reachability.advertised_since is None
    hall.tick()
    assert [guest.heard.take(AddrMe) for guest in (far, near, six)] == [
        [AddrMe(port)] for port in (40001, 9000, 9000)
    ]
    assert hall.hub.reachability.advertised_since == hall.moment.unix()


def test_who_brings_a_share_is_remembered_for_it():
    hall = Hall()
    guest = hall.guest(7)
    (share,) = chain(1)
    hall.hub.shares_came([share], guest.session)
    assert guest.session.brought_at == hall.moment.now
    hall.moment.now += 5
    hall.hub.shares_came([share], guest.session)
    assert guest.session.brought_at == hall.moment.now - 5
    assert guest.session.brought_shares == 1


def test_how_many_peers_there_are_is_reported():
    hall, told = Hall(), []
    hall.hub.peers_changed.subscribe(told.append)
    first = hall.guest(7)
    hall.guest(8)
    hall.guest(8)
    Guest(hall.hub).leave()
    first.leave()
    assert told == [1, 2, 1]


def test_names_from_outside_are_made_fit_for_the_log():
    hall = Hall()
    with logged() as log:
        guest = Guest(hall.hub)
        guest.say(replace(version(7), sub_version=b"evil\n\x1b[31m" + b"x" * 300))
    (line,) = log.lines
    assert line.isprintable()
    assert len(line) < 200


# --- time --------------------------------------------------------------------------------------------------------


def test_who_is_late_is_dropped():
    hall = Hall()
    guest, mute = hall.guest(7), Guest(hall.hub)
    for _ in range(10):
        hall.tick()
    assert hall.failed == []
    hall.tick(0.5)
    assert [(session, kind) for session, _, kind in hall.failed] == [(mute.session, Drop)]
    hall.failed.clear()
    guest.say(PeerPing())
    hall.tick(100.5)
    assert [(session, kind) for session, _, kind in hall.failed] == [(guest.session, Drop)]
    assert hall.hub.sessions == set()


def test_every_peer_hears_of_us_before_it_would_drop_us():
    hall = Hall(advertise=False)
    guests = [hall.guest(n, f"8.{n}.0.1") for n in range(4)]
    last, gaps, pings = dict.fromkeys(guests, hall.moment.now), [], 0
    for _ in range(2000):
        hall.tick()
        for guest in guests:
            guest.say(PeerPing())
            heard = guest.heard.take(PeerPing)
            pings += len(heard)
            if heard:
                gaps.append(hall.moment.now - last[guest])
                last[guest] = hall.moment.now
    assert max(gaps) <= 91
    assert len({round(gap) for gap in gaps}) > 20
    assert 80 < pings < 250
    assert hall.failed == []


def test_asking_for_addresses_until_there_are_enough():
    hall = Hall()
    guest = hall.guest(7)
    for _ in range(200):
        hall.tick()
        guest.say(PeerPing())
    asked = guest.heard.take(GetAddrs)
    assert asked == [GetAddrs(8)] * len(asked)
    assert 3 < len(asked) < 40
    for n in range(1500):
        hall.hub.addresses.add(PeerAddress(f"8.{n % 250}.{n // 250}.1", 9), NOW, now=NOW, source=f"source {n}")
    for _ in range(200):
        hall.tick()
        guest.say(PeerPing())
    assert guest.heard.take(GetAddrs) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, AddrMe(9000)),
        ({"external": FAR}, Addrs),
        ({"advertise": False}, None),
        ({"listen_port": 0}, None),
    ],
)
def test_telling_that_we_listen(settings, said):
    hall = Hall(**settings)
    guest = hall.guest(7)
    heard = []
    for _ in range(1000):
        hall.tick()
        guest.say(PeerPing())
        heard += [message for message in guest.heard.take() if isinstance(message, AddrMe | Addrs)]
    if said is None:
        assert heard == []
        return
    assert 3 < len(heard) < 30
    for message in heard:
        if said is Addrs:
            assert [seen.address for seen in message.addresses] == [FAR]
        else:
            assert message == said


# --- addresses ---------------------------------------------------------------------------------------------------


def places(hall: Hall) -> set[tuple[str, int]]:
    return {(seen.host, seen.port) for seen in hall.hub.addresses.seen()}


def test_an_outgoing_peer_is_a_place_an_incoming_one_is_not():
    hall = Hall()
    hall.guest(7, "8.1.0.1", incoming=True)
    hall.guest(8, "8.2.0.1", incoming=False)
    assert places(hall) == {("8.2.0.1", 4000)}


def test_this_node_is_not_among_the_known_ones():
    """Others tell each other where it listens, and tell it."""
    hall = Hall()
    guest = hall.guest(8, "8.2.0.1", incoming=False)
    assert guest.session.version is not None
    own = guest.session.version.receiver.host
    for host in (own, "8.3.0.1"):
        told = SeenAddress(int(hall.moment.unix()), PeerAddress(host, hall.hub.settings.listen_port))
        guest.say(Addrs((told,)))
    assert {each.host for each in hall.hub.addresses.seen()} == {"8.2.0.1", own, "8.3.0.1"}
    assert {each.host for each in hall.hub.known_nodes()} == {"8.2.0.1", "8.3.0.1"}


@pytest.mark.parametrize("passes", [True, False])
def test_who_listens_is_kept_and_passed_on(passes):
    hall = Hall()
    hall.hub._rng.passes = passes  # type: ignore[attr-defined]
    guest = hall.guest(7, HOST)
    guest.say(AddrMe(9999))
    assert places(hall) == {(HOST, 9999)}
    seen = SeenAddress(int(hall.moment.unix()), PeerAddress(HOST, 9999))
    assert guest.heard.take() == [Addrs((seen,))] * passes
    guest.say(AddrMe(0))
    assert places(hall) == {(HOST, 9999)}


def test_what_the_loopback_says_is_passed_on_as_it_is():
    hall = Hall()
    guest = hall.guest(7, "127.0.0.1")
    guest.say(AddrMe(9999))
    assert places(hall) == set()
    assert guest.heard.take() == [AddrMe(9999)]
    hall.hub._rng.passes = False  # type: ignore[attr-defined]
    guest.say(AddrMe(9999))
    assert guest.heard.take() == []


def test_addresses_heard_are_kept_and_each_is_passed_on_to_one():
    hall = Hall()
    guests = [hall.guest(n, f"8.{n}.0.1") for n in range(3)]
    later = SeenAddress(int(hall.moment.unix()) + 999, FAR)
    private = SeenAddress(5, PeerAddress("192.168.0.1", 9))
    older = SeenAddress(5, PeerAddress("2606:4700::1", 9))
    guests[0].say(Addrs((later, private, older)))
    assert places(hall) == {("8.8.8.8", 9999), ("2606:4700::1", 9)}
    times = {seen.host: seen.last_seen for seen in hall.hub.addresses.seen()}
    assert times == {"8.8.8.8": int(hall.moment.unix()), "2606:4700::1": 5}
    heard = [message for guest in guests for message in guest.heard.take()]
    assert sorted(seen.timestamp for message in heard for seen in message.addresses) == [5, later.timestamp]


def test_an_address_that_was_heard_of_a_moment_ago_is_not_passed_on_again():
    hall = Hall()
    guests = [hall.guest(n, f"8.{n}.0.1") for n in range(3)]
    seen = SeenAddress(int(hall.moment.unix()) - 5, FAR)
    guests[0].say(Addrs((seen,)))
    assert sum(len(guest.heard.take()) for guest in guests) == 1
    for guest in guests:
        guest.say(Addrs((replace(seen, timestamp=seen.timestamp + 1),)))
    assert sum(len(guest.heard.take()) for guest in guests) == 0
    hall.moment.now += NEWS_AFTER
    guests[0].say(Addrs((SeenAddress(int(hall.moment.unix()), FAR),)))
    assert sum(len(guest.heard.take()) for guest in guests) == 1


def test_our_own_address_is_not_kept_whatever_services_it_is_said_to_have():
    hall = Hall(external=FAR)
    hall.guest(7).say(Addrs((SeenAddress(5, replace(FAR, services=3)), SeenAddress(5, replace(FAR, port=1)))))
    assert places(hall) == {("8.8.8.8", 1)}


def test_a_flood_of_getaddrs_draws_once():
    hall, drawn = Hall(), []
    sample = hall.hub.addresses.sample
    hall.hub.addresses.sample = lambda *arguments, to: drawn.append(to) or sample(*arguments, to=to)
    hall.hub.addresses.add(FAR, hall.moment.unix(), now=hall.moment.unix(), source="source")
    guest = hall.guest(7)
    guest.say(*[GetAddrs(n) for n in (1, 0, 100, 2**32 - 1)])
    assert [len(answer.addresses) for answer in guest.heard.take(Addrs)] == [1, 0, 1, 1]
    assert len(drawn) == 1
    hall.moment.now += 60
    guest.say(GetAddrs(1))
    assert len(drawn) == 2


# --- shares ------------------------------------------------------------------------------------------------------


def test_shares_for_a_request():
    tracker = with_tracker(8)
    hall = Hall(StubPool(tracker))
    newest = [share.hash for share in tracker.ancestors(next(iter(tracker.forest.heads)), 8)]

    def answer(hashes, parents, stops):
        return [share.hash for share in hall.hub.shares_for(hashes, parents, stops)]

    assert answer([newest[0]], 0, []) == newest[:1]
    assert answer([newest[2]], 3, []) == newest[2:6]
    assert answer([newest[0]], 99, []) == newest
    assert answer([newest[0]], 99, [newest[3]]) == newest[:3]
    assert answer([newest[0]], 99, [newest[0], 5]) == []
    assert answer([newest[0], 12345, newest[6]], 99, [newest[2]]) == [*newest[:2], *newest[6:]]
    assert answer([], 5, []) == []


def test_the_best_share_of_a_peer_is_fetched():
    hall = Hall()
    share = chain(3)[-1]
    guest = Guest(hall.hub)
    guest.say(replace(version(7), best_share_hash=share.hash))
    (request,) = guest.heard.take(ShareReq)
    assert (request.hashes, request.parents, request.stops) == ((share.hash,), 0, ())
    guest.say(ShareReply(request.id, 0, (envelope(share),)))
    assert hall.pool.came == [([share.hash], guest.session.label)]
    again = Guest(hall.hub, "8.2.0.1")
    again.say(replace(version(8), best_share_hash=share.hash))
    assert again.heard.take(ShareReq) == []


def test_downloading_goes_on_with_another_peer_where_one_is_lost():
    hall = Hall()
    guests = [hall.guest(n, f"8.{n}.0.1") for n in range(2)]
    hall.pool.missing = [5]
    hall.tick()
    ((asked, request),) = [(guest, message) for guest in guests for message in guest.heard.take(ShareReq)]
    guests.remove(asked)
    asked.leave()
    (again,) = guests[0].heard.take(ShareReq)
    assert (again.hashes, again.id != request.id) == (request.hashes, True)
    hall.tick(15.5)
    assert [session for session, _, _ in hall.failed] == [guests[0].session]


def test_best_blocks_come_in_and_go_out():
    hall = Hall()
    guests = [hall.guest(n, f"8.{n}.0.1") for n in range(2)]
    vector = next(v for v in vectors("p2p_messages")["messages"] if v["command"] == "bestblock")
    header = replace(read_header(Reader(bytes.fromhex(vector["fields"]["header"]))), bits=0x2100FFFF)
    guests[0].say(BestBlock(header))
    assert hall.pool.headers == [header.hash()]
    assert guests[1].heard.take() == []
    Guest(hall.hub)
    hall.hub.send_best_block(header)
    assert [guest.heard.take() for guest in guests] == [[BestBlock(header)]] * 2


# --- transactions ------------------------------------------------------------------------------------------------


def test_all_peers_hear_of_transactions():
    hall = Hall()
    guest, stranger, item = hall.guest(7), Guest(hall.hub), transaction(1)
    stranger.heard.take()
    pool = hall.hub.transactions
    pool.add([(item.hash, item.data)])
    pool.set_mining([(item.hash, item.data)])
    pool.set_mining([])
    pool.trim(set(), 0.0)
    said = [HaveTx((item.hash,)), RememberTx((), (item,)), ForgetTx((item.hash,)), LosingTx((item.hash,))]
    assert guest.heard.take() == said
    assert stranger.heard.take() == []


def test_what_is_kept_of_transactions():
    """The template's, what peers have us remember, and those that the newest shares named."""
    tracker = with_tracker(KEPT_SHARES + 1)
    best = next(iter(tracker.forest.heads))
    hall = Hall(StubPool(tracker, best))
    guest = hall.guest(7)
    remembered, mined, other = (transaction(n) for n in range(3))
    newest = list(tracker.ancestors(best, KEPT_SHARES + 1))
    newest[KEPT_SHARES - 1].new_transaction_hashes = (101,)
    newest[KEPT_SHARES].new_transaction_hashes = (102,)
    pool = hall.hub.transactions
    pool.add([(101, b"a"), (102, b"b"), (other.hash, other.data)])
    pool.set_mining([(mined.hash, mined.data)])
    guest.say(RememberTx((), (remembered,)))
    hall.tick(10)
    assert set(pool.known) == {101, mined.hash, remembered.hash}
    guest.say(ForgetTx((remembered.hash,)))
    hall.tick(10)
    assert set(pool.known) == {101, mined.hash}


def test_what_a_peer_has_us_keep_by_hash_is_kept_though_we_just_lost_it():
    hall = Hall()
    guest, item, pool = hall.guest(7), transaction(1), hall.hub.transactions
    pool.add([(item.hash, item.data)])
    hall.tick(10)
    assert item.hash not in pool.known
    guest.say(RememberTx((item.hash,), ()))
    for _ in range(10):
        guest.say(PeerPing())
        hall.tick(10)
    assert pool.get(item.hash) == item.data


def test_a_flood_of_transactions_is_trimmed_before_the_time():
    hall = Hall()
    guest, pool = hall.guest(7, "127.0.0.1"), hall.hub.transactions  # the one host without an allowance
    for number in range(2 * MAX_FRESH // 2_000_000):
        item = transaction(number, 2_000_000)
        guest.say(RememberTx((), (item,)), ForgetTx((item.hash,)))
        assert sum(map(len, pool.known.values())) <= MAX_FRESH + 5_000_000
        assert sum(len(data) for _, data in pool._lost.values()) <= MAX_LOST
    assert guest.ended is None
