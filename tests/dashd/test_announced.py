"""Heights that headers prove, and claims that prove nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash.block import BlockHeader
from p2pool.dash.target import bits_to_target
from p2pool.dashd import announced
from p2pool.dashd.announced import EASIER, MAX_BLOCKS, MAX_HEADERS, AnnouncedChain
from tests.dashd.talk import EASY, header_on, headers_on

TIP = 0xAB
TARGET = bits_to_target(EASY)


@pytest.fixture
def chain() -> AnnouncedChain:
    """A template stands on block 100."""
    chain = AnnouncedChain()
    chain.learn(TIP, 100, TARGET)
    return chain


def test_before_any_template_headers_prove_nothing():
    chain = AnnouncedChain()
    assert chain.headers((header_on(TIP), header_on(0))) is None
    assert chain.height == 0
    assert not chain.knows(TIP)


def test_headers_on_a_known_block_add_to_it(chain):
    assert chain.height == 0  # what a daemon says of itself is no proof
    first, second, third = headers_on(TIP, 3).headers
    assert chain.headers((first,)) == first.hash()
    assert chain.height == 101
    assert chain.headers((first, second, third)) == third.hash()
    assert chain.height == 103
    assert chain.headers((first, second, third)) is None  # no news
    assert all(chain.knows(header.hash()) for header in (first, second, third))


def test_headers_on_an_unknown_block_end_the_list(chain):
    first, second, third = headers_on(TIP, 3).headers
    assert chain.headers((second, third)) is None
    assert chain.headers((first, third, second)) == first.hash()
    assert chain.height == 101
    assert chain.headers(()) is None


def test_a_rival_of_a_lower_height_is_news_and_changes_no_height(chain):
    first, second = headers_on(TIP, 2).headers
    chain.headers((first, second))
    rival = header_on(TIP, salt=99)
    assert chain.headers((rival,)) == rival.hash()
    assert chain.height == 102


def test_a_header_without_the_work_that_it_claims_is_an_error(chain):
    first = header_on(TIP)
    worthless = header_on(first.hash(), works=False)
    with pytest.raises(ParseError, match=f"{worthless.hash():064x} has too little work"):
        chain.headers((first, worthless))
    assert chain.height == 101  # what came before it stands
    assert not chain.knows(worthless.hash())


@pytest.mark.parametrize("bits", [0, 1, 0x00FFFFFF, 0x01000000, 0x1B00FFFF, 0x207F0000])
def test_a_harder_target_must_be_met_as_well(chain, bits):
    with pytest.raises(ParseError):
        chain.headers((header_on(TIP, bits, works=False),))


@pytest.mark.parametrize("bits", [0x21008000, 0xFF7FFFFF, 0xFFFFFFFF, 0x22000001])
def test_what_is_much_too_easy_proves_nothing_and_is_no_error(bits):
    """On a test network a block is easy now and then."""
    chain = AnnouncedChain()
    chain.learn(TIP, 100, bits_to_target(0x1E00FFFF))
    assert chain.headers((header_on(TIP, bits), header_on(TIP))) is None
    assert chain.height == 0


def test_how_much_easier_a_block_may_be():
    for factor, known in ((EASIER, True), (EASIER + 1, False)):
        chain = AnnouncedChain()
        chain.learn(TIP, 100, TARGET // factor)
        assert (chain.headers((header_on(TIP),)) is not None) is known


def test_only_so_many_headers_of_a_message_are_hashed(chain, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        announced.BlockHeader, "hash", lambda header: hashed.append(1) or header.previous_block + 1
    )
    chain.learn(1, 5, TARGET)
    headers = tuple(BlockHeader(1, number, 3, 4, EASY, 5) for number in range(1, 2000))
    assert chain.headers(headers) == MAX_HEADERS + 1
    assert len(hashed) == MAX_HEADERS
    assert chain.height == 5 + MAX_HEADERS
    assert chain.headers(headers[MAX_HEADERS:]) is not None  # the next message goes on from there


def test_memory_is_bounded(chain):
    for number in range(3 * MAX_BLOCKS):
        chain.learn(number << 8, number, TARGET)
    assert len(chain._heights) == MAX_BLOCKS
    assert not chain.knows(0)
    assert chain.knows((3 * MAX_BLOCKS - 1) << 8)


NUMBERS = st.integers(0, 2**32 - 1)


@given(
    st.lists(st.builds(BlockHeader, NUMBERS, st.sampled_from([TIP, 0, 7]), NUMBERS, NUMBERS, NUMBERS, NUMBERS)),
)
def test_whatever_comes_is_a_parse_error_or_proven(headers):
    chain = AnnouncedChain()
    chain.learn(TIP, 100, 0xFFFF << 208)
    try:
        chain.headers(headers)
    except ParseError:
        pass
    proven = [
        header
        for header in headers
        if header.previous_block == TIP
        and header.hash() <= min(bits_to_target(header.bits), EASIER * 0xFFFF << 208)
    ]
    assert chain.height == (101 if any(chain.knows(header.hash()) for header in proven) else 0)
