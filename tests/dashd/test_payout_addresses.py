"""Which address is next, when a new one is due, and what files may say."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash.address import encode_address
from p2pool.dashd.payout_addresses import (
    MAX_ADDRESSES,
    OwnAddress,
    PayoutAddresses,
    own_address,
    parse_cached,
    parse_dynamic,
    render_cached,
    render_dynamic,
)
from p2pool.dashd.payout_service import DYNAMIC_FILE
from p2pool.networks import DASH, DASH_REGTEST

NOW = 1_700_000_000.0
VERSIONS = DASH_REGTEST.parent.addresses
MAIN = encode_address(DASH.parent.addresses.pubkey_hash, b"\x01" * 20)
P2SH = encode_address(VERSIONS.script_hash, b"\x01" * 20)


def own(number: int, taken: float | None = None) -> OwnAddress:
    key_hash = bytes([number]) * 20
    return OwnAddress(encode_address(VERSIONS.pubkey_hash, key_hash), key_hash, taken)


def numbers(payouts: PayoutAddresses) -> list[int]:
    return [address.key_hash[0] for address in payouts.addresses]


def test_without_any_there_is_nothing_to_pay():
    payouts = PayoutAddresses(random.Random(1))
    assert payouts.key_hash() is None
    assert payouts.newest is None
    assert payouts.seconds_until_due(NOW) == 0


def test_one_is_kept_for_good():
    payouts = PayoutAddresses(random.Random(1))
    payouts.take(own(1))
    assert {payouts.key_hash() for _ in range(20)} == {b"\x01" * 20}
    assert payouts.seconds_until_due(NOW + 1e9) is None


def test_each_is_as_likely():
    payouts = PayoutAddresses(random.Random(1), wanted=4, lifetime=10)
    for number in range(4):
        payouts.take(own(number, NOW))
    counts = Counter(payouts.key_hash() for _ in range(4000))
    assert len(counts) == 4
    assert all(850 < count < 1150 for count in counts.values())


def test_a_new_one_replaces_the_oldest():
    payouts = PayoutAddresses(random.Random(1), wanted=2, lifetime=100)
    payouts.take(own(1, NOW))
    assert payouts.seconds_until_due(NOW + 5) == 0
    payouts.take(own(2, NOW + 5))
    assert payouts.seconds_until_due(NOW + 5) == 100
    assert payouts.seconds_until_due(NOW + 104.5) == 0.5
    assert payouts.seconds_until_due(NOW + 105) == payouts.seconds_until_due(NOW + 1e6) == 0
    payouts.take(own(3, NOW + 105))
    assert numbers(payouts) == [2, 3]
    assert payouts.newest == own(3, NOW + 105)
    assert payouts.seconds_until_due(NOW + 105) == 100


def test_one_that_is_in_use_is_not_new():
    payouts = PayoutAddresses(random.Random(1), wanted=2)
    payouts.take(own(1))
    with pytest.raises(ParseError, match="in use already"):
        payouts.take(own(1, NOW))
    assert payouts.addresses == (own(1),)


def test_a_clock_that_is_set_back_begins_the_lifetime_anew():
    payouts = PayoutAddresses(random.Random(1), wanted=2, lifetime=100)
    payouts.restore([own(1, NOW - 50), own(2, NOW + 1e6)], NOW + 1e6)
    assert payouts.seconds_until_due(NOW) == 100
    assert payouts.seconds_until_due(NOW + 60) == 40
    assert payouts.addresses == (own(1, NOW - 50), own(2, NOW))


def test_of_an_earlier_run_the_newest_go_on_each_once():
    payouts = PayoutAddresses(random.Random(1), wanted=2, lifetime=100)
    payouts.restore([own(3, NOW - 1), own(1, NOW - 9), own(2, NOW - 5), own(3, NOW - 2)], NOW)
    assert numbers(payouts) == [2, 3]
    payouts.restore([own(1, NOW - 9)], NOW)
    assert numbers(payouts) == [1]
    assert payouts.seconds_until_due(NOW) == 0


STEPS = st.tuples(st.sampled_from(["take", "restore", "look"]), st.integers(0, 9), st.floats(0, 2e9))


@given(st.integers(1, 5), st.lists(STEPS, max_size=30))
def test_never_more_than_wanted_and_never_one_twice(wanted, steps):
    payouts = PayoutAddresses(random.Random(1), wanted=wanted, lifetime=1000)
    for what, number, now in steps:
        if what == "restore":
            payouts.restore([own(number, now), own(number + 1, now), *payouts.addresses], now)
        elif what == "look":
            due = payouts.seconds_until_due(now)
            assert 0 <= due <= 1000
        elif number not in numbers(payouts):
            payouts.take(own(number, now))
        assert len(set(numbers(payouts))) == len(payouts.addresses) <= wanted
        if payouts.addresses:
            assert payouts.key_hash()[0] in numbers(payouts)


# --- on disk -----------------------------------------------------------------------------------------------------


def test_the_older_software_s_file():
    text = own(7).address
    for data in (text, text + "\n", text + "\r\n"):
        assert parse_cached(data.encode(), DASH_REGTEST) == own(7)
    assert render_cached(own(7, NOW)) == text.encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "25 bytes"),
        (b"\xff\xfe", "not a line"),
        (MAIN.encode(), "not an address of the network dash_regtest"),
        (P2SH.encode(), "P2SH"),
        (own(1).address.encode() + b"x", "this one 26"),
        ((own(1).address + "\n" + own(2).address).encode(), "base58"),
        (b"y" * 60_000, "60000 characters"),
    ],
)
def test_a_line_that_cannot_be_paid(data, part):
    with pytest.raises(ParseError, match=part):
        parse_cached(data, DASH_REGTEST)


def test_a_list_comes_back_as_it_was():
    addresses = [own(number, NOW + number / 3) for number in range(MAX_ADDRESSES)]
    document = json.loads(json.dumps(render_dynamic(addresses)))
    assert parse_dynamic(document, DASH_REGTEST) == (addresses, [])
    assert len(json.dumps(document)) < DYNAMIC_FILE.max_bytes / 3


@pytest.mark.parametrize("document", ["nonsense", {}, 7, None, {"addresses": {}}])
def test_what_is_no_list(document):
    with pytest.raises(ParseError, match="it holds no list"):
        parse_dynamic(document, DASH_REGTEST)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        (None, "not an object"),
        ([], "not an object"),
        ({}, "when it was taken"),
        ({"address": own(1).address}, "when it was taken"),
        ({"address": own(1).address, "taken": True}, "when it was taken"),
        ({"address": own(1).address, "taken": -1}, "when it was taken"),
        ({"address": own(1).address, "taken": "5"}, "when it was taken"),
        ({"taken": 5}, "not text"),
        ({"address": 5, "taken": 5}, "not text"),
        ({"address": P2SH, "taken": 5}, "P2SH"),
        ({"address": MAIN, "taken": 5}, "network dash_regtest"),
        ({"address": own(1).address[:-1] + "1", "taken": 5}, "checksum"),
    ],
)
def test_a_row_that_cannot_be_used_is_passed_over(row, part):
    good = {"address": own(2).address, "taken": 7}
    usable, (refused,) = parse_dynamic([row, good], DASH_REGTEST)
    assert usable == [own(2, 7)]
    assert part in refused


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["address", "taken", "x"]), inner),
)


@given(JSON)
def test_any_json_is_read_or_refused(value):
    try:
        usable, _ = parse_dynamic(value, DASH_REGTEST)
    except ParseError:
        usable = []
    assert usable == []


@pytest.mark.parametrize("value", [None, 5, True, [], {}, "", "x" * 10_000_000, "\ud800", "y" * 34])
def test_answers_that_are_no_address(value):
    with pytest.raises(ParseError) as caught:
        own_address(value, DASH_REGTEST)
    assert len(str(caught.value)) < 120
