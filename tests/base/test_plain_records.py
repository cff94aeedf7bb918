"""Records that travel as JSON: what is read is what was written, and nothing else is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.base.plain_records import MAX_NUMBER_DIGITS, form_of, from_plain, to_plain


class Pair(NamedTuple):
    left: bytes
    right: int


@dataclass(frozen=True, slots=True)
class Inner:
    text: str
    flag: bool


@dataclass(frozen=True, slots=True)
class Outer:
    number: int
    ratio: float
    maybe: int | None
    data: bytes
    inner: Inner
    pair: Pair
    many: tuple[Inner, ...]
    both: tuple[bytes, float | None]
    table: Mapping[bytes, int]


numbers = st.integers(-(2**256), 2**256)
floats = st.floats(allow_nan=False)
inners = st.builds(Inner, text=st.text(), flag=st.booleans())
outers = st.builds(
    Outer,
    number=numbers,
    ratio=floats,
    maybe=st.none() | numbers,
    data=st.binary(),
    inner=inners,
    pair=st.builds(Pair, left=st.binary(), right=numbers),
    many=st.lists(inners, max_size=3).map(tuple),
    both=st.tuples(st.binary(), st.none() | floats),
    table=st.dictionaries(st.binary(), numbers, max_size=3),
)


@given(outers)
def test_what_is_read_is_what_was_written(outer):
    read = from_plain(Outer, orjson.loads(orjson.dumps(to_plain(outer))))
    assert read == outer
    assert isinstance(read.pair, Pair)
    assert to_plain(read) == to_plain(outer)


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain_values)
def test_anything_else_is_an_error(plain):
    with pytest.raises(ParseError):
        from_plain(Outer, plain)


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (int, True),
        (int, 1.0),
        (int, "12"),
        (int, "0x"),
        (int, "0x" + "f" * MAX_NUMBER_DIGITS),
        (float, "nan"),
        (float, None),
        (bytes, "0"),
        (bytes, [1]),
        (bool, 1),
        (str, 1),
        (Inner, ["a"]),
        (Inner, ["a", True, 1]),
        (Pair, ["00"]),
        (Mapping[bytes, int], [["00", 1], ["00", 2]]),
        (Mapping[bytes, int], {"00": 1}),
        (tuple[int, int], [1]),
    ],
)
def test_nearly_right_is_wrong(kind, plain):
    with pytest.raises(ParseError):
        from_plain(kind, plain)


def test_an_infinite_float_is_a_text():
    assert to_plain(math.inf) == "inf"
    assert from_plain(float, "-inf") == -math.inf


def test_other_fields_are_another_form():
    @dataclass(frozen=True, slots=True)
    class Renamed:
        words: str
        flag: bool

    @dataclass(frozen=True, slots=True)
    class Retyped:
        text: str
        flag: int

    assert len({form_of(Inner), form_of(Renamed), form_of(Retyped), form_of(Outer)}) == 4


def test_what_has_no_plain_form_is_a_bug():
    with pytest.raises(TypeError):
        to_plain(object())
    with pytest.raises(TypeError):
        from_plain(list, [])
