"""How much an answer may have: measured byte by byte as it comes, without trusting where its pieces are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.http_client import MAX_HEAD, MAX_HEADERS, MAX_INTERIM, ResponseMeter

WELL = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"


def problem_of(data: bytes, cuts: list[int], max_body: int = 100) -> str | None:
    """What the meter says first of this answer in pieces."""
    meter = ResponseMeter(max_body)
    ends = [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    start = 0
    for end in ends:
        problem = meter.take(data[start:end])
        if problem is not None:
            return problem
        start = end
    return None


ANSWERS = [
    (WELL, None),
    (WELL + b"x" * 100, None),
    (WELL + b"x" * 101, "more than 100 bytes"),
    (b"HTTP/1.1 200\n\n" + b"\n" * 100, None),
    (b"HTTP/1.1 100 C\r\n\r\n" * MAX_INTERIM + WELL + b"x" * 100, None),
    (b"HTTP/1.1 100 C\r\n\r\n" * (MAX_INTERIM + 1), f"more than {MAX_INTERIM} interim responses"),
    (b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * MAX_HEADERS, f"more than {MAX_HEADERS} headers"),
    (b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * (MAX_HEADERS - 2) + b"\r\n", None),
    (b"HTTP/1.1 200 " + b"x" * MAX_HEAD, f"more than {MAX_HEAD} bytes of headers"),
    (b"HTTP/1.1 200 OK\r\nA: " + b"x" * (MAX_HEAD - 19) + b"\r\n", f"more than {MAX_HEAD} bytes of headers"),
    (b"\r\n" * 300, "more than 100 bytes"),  # whoever parses it hangs up at once
    (b"", None),
]


@pytest.mark.parametrize(("answer", "problem"), ANSWERS)
@given(cuts=st.lists(st.integers(0, 2**20), max_size=12))
def test_wherever_it_is_cut_it_is_judged_the_same(answer, problem, cuts):
    assert problem_of(answer, cuts) == problem


def test_a_byte_at_a_time():
    assert problem_of(WELL + b"x" * 100, list(range(200))) is None


def test_each_request_begins_anew():
    meter = ResponseMeter(100)
    for _ in range(50):
        assert meter.take(WELL + b"x" * 100) is None
        meter.begin()


@given(st.lists(st.binary(max_size=200)))
def test_any_bytes(pieces):
    meter = ResponseMeter(1000)
    for piece in pieces:
        if meter.take(piece) is not None:
            break
