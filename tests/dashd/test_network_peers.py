"""Addresses of nodes of the Dash network: which are usable, who is dialled next, what is remembered."""

from __future__ import annotations

import random
import sys
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dashd.network_peers import (
    FIRST_PAUSE,
    FROM_DASHD,
    LAST_PAUSE,
    MAX_FAILURES,
    MAX_KNOWN,
    MAX_RESTING,
    MAX_SCORE,
    Address,
    PeerBook,
    RestingAddress,
    parse_address,
    peer_entries,
    usable_address,
)

NOW = 1_700_000_000.0
GOOD, OTHER = ("1.2.3.4", 9999), ("5.6.7.8", 9999)


@pytest.fixture
def book() -> PeerBook:
    return PeerBook(allow_local=False, rng=random.Random(1))


def place(number: int, port: int = 9999) -> Address:
    """Addresses of as many neighbourhoods as possible."""
    return f"{11 + number % 80}.{number // 80 % 250}.{number // 20_000}.1", port


# --- which addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4:9999", ("1.2.3.4", 9999)),
        ("[2a00::1]:9999", ("2a00::1", 9999)),
        ("[2A00:0::0001]:1024", ("2a00::1", 1024)),
        ("[::ffff:1.2.3.4]:65535", ("1.2.3.4", 65535)),
        ("[::ffff:127.0.0.1]:9999", None),
        ("[::ffff:0:0]:9999", None),
        ("[::127.0.0.1]:9999", None),
        ("[64:ff9b::7f00:1]:9999", None),
        ("127.0.0.1:9999", None),
        ("127.255.0.1:9999", None),
        ("10.0.0.1:9999", None),
        ("172.16.0.1:9999", None),
        ("192.168.1.1:9999", None),
        ("169.254.169.254:9999", None),
        ("100.64.0.1:9999", None),
        ("192.0.2.7:9999", None),
        ("0.0.0.0:9999", None),
        ("0.1.2.3:9999", None),
        ("224.0.0.1:9999", None),
        ("240.0.0.1:9999", None),
        ("255.255.255.255:9999", None),
        ("[::]:9999", None),
        ("[::1]:9999", None),
        ("[fe80::1]:9999", None),
        ("[fe80::1%eth0]:9999", None),
        ("[2a00::1%eth0]:9999", None),
        ("[fc00::1]:9999", None),
        ("[ff02::1]:9999", None),
        ("[2001:db8::1]:9999", None),
        ("[fd87:d87e:eb43::1]:9999", None),  # a hidden service as IPv6
        ("[2002:c0a8:105::1]:9999", None),  # 6to4 of 192.168.1.5
        ("[fec0::1]:9999", None),
        ("abcdefghijklmnopqrstuvwxyz234567.onion:9999", None),
        ("dash.example:9999", None),
        ("localhost:9999", None),
        ("1.2.3.4", None),
        ("1.2.3.4:", None),
        (":9999", None),
        (":", None),
        ("", None),
        ("1.2.3.4:0", None),
        ("1.2.3.4:25", None),
        ("1.2.3.4:1023", None),
        ("1.2.3.4:65536", None),
        ("1.2.3.4:-1", None),
        ("1.2.3.4:+9999", None),
        ("1.2.3.4:9_999", None),
        ("1.2.3.4:٩٩٩٩", None),
        ("1.2.3.4:" + "9" * 10_000, None),
        ("1.2.3.4.5:9999", None),
        ("1.2.3.04:9999", None),
        ("1.2.3:9999", None),
        ("x" * 100_000, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_addresses_of_the_public_network(text, address):
    assert parse_address(text, allow_local=False) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:19899", ("127.0.0.1", 19899)),
        ("[::ffff:127.0.0.1]:19899", ("127.0.0.1", 19899)),
        ("[::1]:19899", ("::1", 19899)),
        ("10.0.0.1:19899", ("10.0.0.1", 19899)),
        ("1.2.3.4:19899", ("1.2.3.4", 19899)),
        ("0.0.0.0:19899", None),
        ("[fe80::1%eth0]:19899", None),
        ("224.0.0.1:19899", None),
        ("localhost:19899", None),
    ],
)
def test_addresses_of_a_test_network_of_ones_own(text, address):
    assert parse_address(text, allow_local=True) == address


@given(st.text(max_size=60), st.booleans())
def test_any_text_is_an_address_or_none(text, local):
    address = parse_address(text, local)
    if address is not None:
        assert usable_address(*address, local) == address


@given(st.ip_addresses(), st.integers(-5, 70_000))
def test_an_address_that_is_usable_is_written_in_one_way(ip, port):
    address = usable_address(str(ip), port, allow_local=False)
    if address is not None:
        assert usable_address(*address, allow_local=False) == address
        assert 1024 <= address[1] < 65536


# --- learning and forgetting -----------------------------------------------------------------------------


def test_learning_is_no_judgement(book):
    book.learn(None)
    book.learn(GOOD)
    book.useful(GOOD)
    book.learn(GOOD)
    assert list(book.known) == [GOOD]
    assert book.known[GOOD].score == 1.0


def test_pauses_double_and_end_at_a_day(book):
    book.learn(GOOD)
    book.worked(GOOD)
    pauses = []
    for _ in range(3000):  # one a day: years
        book.failed(GOOD, NOW)
        pauses.append(book.known[GOOD].next_try - NOW)
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert max(pauses) == pauses[-1] == LAST_PAUSE
    assert book.known[GOOD].score == -MAX_SCORE


def test_what_never_worked_is_forgotten_after_some_failures(book):
    book.learn(GOOD)
    for _ in range(MAX_FAILURES - 1):
        book.failed(GOOD, NOW)
    assert GOOD in book.known
    book.failed(GOOD, NOW)
    assert GOOD not in book.known
    book.failed(GOOD, NOW)
    assert GOOD not in book.known


def test_a_handshake_alone_does_not_make_up_for_failures(book):
    """A node that hangs up after each handshake, or talks nonsense, must not be dialled each minute for ever."""
    book.learn(GOOD)
    for _ in range(8):
        book.worked(GOOD)
        book.failed(GOOD, NOW)
    assert book.known[GOOD].next_try == NOW + FIRST_PAUSE * 2**7
    book.useful(GOOD)
    book.failed(GOOD, NOW)
    assert book.known[GOOD].next_try == NOW + FIRST_PAUSE


def test_a_score_has_a_top(book):
    for _ in range(100):
        book.useful(GOOD)
    assert book.known[GOOD].score == MAX_SCORE


def test_a_full_book_forgets_the_untried_before_those_that_worked(book):
    for number in range(MAX_KNOWN // 2):
        book.worked(place(number))
        book.failed(place(number), NOW)  # down for the moment
    for number in range(10 * MAX_KNOWN):
        book.learn(place(1_000_000 + number))
        assert len(book.known) <= MAX_KNOWN
    assert all(place(number) in book.known for number in range(MAX_KNOWN // 2))
    assert place(1_000_000 + 10 * MAX_KNOWN - 1) in book.known


def test_what_worked_once_but_is_gone_makes_room_before_the_untried(book):
    for number in range(MAX_KNOWN):
        book.learn(place(number))
    book.worked(place(7))
    for _ in range(MAX_FAILURES):
        book.failed(place(7), NOW)
    book.learn(place(1_000_000))
    assert place(7) not in book.known
    assert place(1_000_000) in book.known


def test_a_flood_of_addresses_is_learned_in_no_time(book):
    """It is done by the reactor. Counted in steps: seconds depend on the machine."""
    for number in range(MAX_KNOWN):
        book.learn(place(number))
    sorts: list[int] = []
    original = book._worth
    book._worth = lambda address: sorts.append(1) or original(address)  # type: ignore[method-assign]
    for number in range(1000):
        book.learn(place(1_000_000 + number))
    assert len(sorts) < 1000 * 20


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["learn", "worked", "useful", "failed", "pick"]), st.integers(0, 30), st.floats(0, 2e9)
    ),
    max_size=80,
)


@given(OPERATIONS)
def test_the_bound_holds_whatever_happens(operations):
    sizes = []
    book = PeerBook(allow_local=False, rng=random.Random(1))
    for number in range(MAX_KNOWN - 5):
        book.learn(place(1000 + number))
    for what, number, now in operations:
        if what == "failed":
            book.failed(place(number), now)
        elif what == "pick":
            picked = book.pick(number, {place(3)}, now)
            assert len(picked) == len(set(picked)) <= number
            assert place(3) not in picked
        else:
            getattr(book, what)(place(number))
        sizes.append(len(book.known))
        assert all(abs(peer.score) <= MAX_SCORE for peer in book.known.values())
    assert max(sizes, default=0) <= MAX_KNOWN


# --- who is dialled --------------------------------------------------------------------------------------


def test_only_what_is_due_and_not_held(book):
    for address in (GOOD, OTHER, ("9.9.9.9", 9999)):
        book.learn(address)
    book.failed(GOOD, NOW)
    assert set(book.pick(10, set(), NOW)) == {OTHER, ("9.9.9.9", 9999)}
    assert book.pick(10, {OTHER}, NOW) == [("9.9.9.9", 9999)]
    assert set(book.pick(10, {OTHER}, NOW + FIRST_PAUSE)) == {GOOD, ("9.9.9.9", 9999)}
    assert len(book.pick(1, set(), NOW)) == 1
    assert book.pick(0, set(), NOW) == []
    assert PeerBook(False, random.Random(1)).pick(10, set(), NOW) == []


def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_years(book):
    book.learn(GOOD)
    book.failed(GOOD, NOW)
    assert book.pick(1, set(), NOW - 10 * 365 * 86400) == [GOOD]


def test_the_best_first_with_some_luck(book):
    book.learn(OTHER)
    for _ in range(5):
        book.useful(GOOD)
    assert all(book.pick(1, set(), NOW) == [GOOD] for _ in range(50))
    book.known[GOOD].score = 1.0
    assert {book.pick(1, set(), NOW)[0] for _ in range(50)} == {GOOD, OTHER}


def test_nobody_gets_all_connections_with_many_addresses_of_one_network(book):
    for number in range(500):
        book.learn(("1.2.3.4", 2000 + number))
        book.learn((f"1.2.{number % 250}.9", 9999))
        book.learn((f"2a00:1::{number:x}", 9999))
    book.learn(OTHER)
    assert len(book.pick(20, set(), NOW)) == 3
    assert set(book.pick(20, {("1.2.200.200", 1), ("2a00:1:ffff::1", 1)}, NOW)) == {OTHER}


def test_on_a_test_network_of_ones_own_all_are_neighbours():
    book = PeerBook(allow_local=True, rng=random.Random(1))
    for number in range(30):
        book.learn(("127.0.0.1", 20_000 + number))
    assert len(book.pick(20, {("127.0.0.1", 20_000)}, NOW)) == 20


# --- between runs ----------------------------------------------------------------------------------------


def entry(host: Any = "1.2.3.4", port: Any = 9999, score: Any = 1.0, worked: Any = True) -> dict[str, Any]:
    return {"host": host, "port": port, "score": score, "worked": worked}


def restored(document: Any, allow_local: bool = False) -> PeerBook:
    book = PeerBook(allow_local, random.Random(1))
    book.restore(peer_entries(document))
    return book


def test_what_was_learned_survives(book):
    for number in range(MAX_KNOWN - 1):
        book.learn(place(number))
    book.worked(place(1))
    book.useful(place(1))
    book.failed(place(2), NOW)
    book.learn(("2a00::1", 9999))
    after = restored(orjson.loads(orjson.dumps(book.dump())))
    assert set(after.known) == set(book.known)
    assert (after.known[place(1)].score, after.known[place(1)].worked) == (1.0, True)
    assert (after.known[place(2)].score, after.known[place(2)].worked) == (-1.0, False)
    assert after.known[place(2)].next_try == 0  # a new run, a new try


@pytest.mark.parametrize(
    "document", [None, 5, "text", [], [entry()], {}, {"peers": None}, {"peers": {}}, {"peers": "x"}, {"other": []}]
)
def test_what_is_no_list_of_peers_is_an_error(document):
    with pytest.raises(ParseError, match="no list of peers"):
        restored(document)


def deep() -> Any:
    value: Any = 1
    for _ in range(sys.getrecursionlimit()):
        value = [value]
    return value


@pytest.mark.parametrize(
    "bad",
    [
        None,
        5,
        "text",
        [],
        {},
        {"host": "1.2.3.4"},
        entry(host=None),
        entry(host=16909060),
        entry(host=["1.2.3.4"]),
        entry(host=deep()),
        entry(host="127.0.0.1"),
        entry(host="dash.example"),
        entry(host="9" * 100_000),
        entry(port="9999"),
        entry(port=9999.0),
        entry(port=-1),
        entry(port=10**30),
        entry(port=True),
        entry(port=None),
        entry(port=deep()),
        entry(score=None),
        entry(score="1"),
        entry(score=float("nan")),
        entry(score=float("inf")),
        entry(score=-1e300),
        entry(score=10**400),
        entry(score=MAX_SCORE + 0.1),
        entry(score=deep()),
    ],
    ids=range(28),
)
def test_entries_that_say_nothing_usable_are_passed_over(bad):
    book = restored({"peers": [bad, entry("5.6.7.8", score=2, worked="yes"), bad]})
    assert list(book.known) == [OTHER]
    assert (book.known[OTHER].score, book.known[OTHER].worked) == (2.0, False)


def test_addresses_of_a_test_network_are_no_use_to_another():
    local = {"peers": [entry("127.0.0.1"), entry("10.0.0.1")]}
    assert not restored(local).known
    assert len(restored(local, allow_local=True).known) == 2


def test_a_huge_list_is_taken_in_part():
    book = restored({"peers": [entry(place(number)[0]) for number in range(20 * MAX_KNOWN)]})
    assert len(book.known) <= MAX_KNOWN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {
        "host": JSON | st.ip_addresses().map(str),
        "port": JSON | st.integers(0, 70_000),
        "score": JSON | st.floats(-12, 12),
        "worked": JSON,
    }
)


@given(st.fixed_dictionaries({"peers": st.lists(ENTRY | JSON, max_size=8)}) | JSON)
def test_whatever_stands_in_the_file(document):
    try:
        book = restored(document)
    except ParseError:
        return
    for address, peer in book.known.items():
        assert usable_address(*address, allow_local=False) == address
        assert abs(peer.score) <= MAX_SCORE
    book.pick(5, set(), NOW)
    assert set(restored(orjson.loads(orjson.dumps(book.dump()))).known) == set(book.known)


# --- what is shown -------------------------------------------------------------------------------------------


def test_who_named_an_address_first(book):
    book.learn(place(1), FROM_DASHD)
    book.learn(place(1))
    book.learn(place(2))
    book.restore([{"host": place(3)[0], "port": 9999, "score": 1, "worked": True}])
    assert book.sources() == {"dashd": 1, "network": 1, "remembered": 1}


def test_addresses_that_rest(book):
    for number in range(MAX_RESTING + 5):
        book.learn(place(number))
        book.failed(place(number), NOW - number / 10)
    book.failed(place(0), NOW)
    book.learn(place(999))
    resting = book.resting(NOW)
    assert len(resting) == MAX_RESTING
    assert [each.remaining for each in resting] == sorted(each.remaining for each in resting)
    host, port = place(MAX_RESTING + 4)
    soonest = RestingAddress(host, port, 1, pytest.approx(FIRST_PAUSE - 5.4), FIRST_PAUSE)
    assert resting[0] == soonest
    assert book.resting(NOW + 2 * FIRST_PAUSE) == ()
    (last,) = book.resting(NOW + FIRST_PAUSE + 1)
    assert (last.host, last.failures, last.pause) == (place(0)[0], 2, 2 * FIRST_PAUSE)
