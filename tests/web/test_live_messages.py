"""Live messages as bytes, what clients may say, and whose pages may listen."""

from __future__ import annotations

import json
import struct

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.web.live_messages import (
    MAX_FRAME,
    MAX_SUBSCRIBED,
    ClientPing,
    Subscribe,
    TokenAllowance,
    is_allowed_origin,
    join_views,
    message_frames,
    parse_client_message,
)

KNOWN = frozenset({"local_stats", "global_stats"})


def take_apart(frame: bytes) -> tuple[int, bytes]:
    """(first byte, payload) of one unmasked frame."""
    first, length = frame[0], frame[1]
    rest = frame[2:]
    if length == 126:
        (length,) = struct.unpack(">H", rest[:2])
        assert length >= 126
        rest = rest[2:]
    assert len(rest) == length < 65536
    return first, rest


@pytest.mark.parametrize(
    "size", [0, 1, 125, 126, 127, 1000, MAX_FRAME - 1, MAX_FRAME, MAX_FRAME + 1, 3 * MAX_FRAME]
)
def test_a_message_in_frames(size):
    payload = bytes(n % 251 for n in range(size))
    parts = [take_apart(frame) for frame in message_frames(payload)]
    assert b"".join(part for _, part in parts) == payload
    assert len(parts) == max(1, -(-size // MAX_FRAME))
    firsts = [first for first, _ in parts]
    assert [first & 15 for first in firsts] == [1] + [0] * (len(parts) - 1)
    assert [first >> 7 for first in firsts] == [0] * (len(parts) - 1) + [1]
    assert not any(first & 0x70 for first in firsts)


def test_views_are_joined_as_they_are():
    bodies = {"b": b'{"x":1}', "a": b"null", "c": b"3"}
    assert json.loads(join_views("snapshot", time=1.5, bodies=bodies, views={"a", "b", "absent"})) == {
        "type": "snapshot",
        "time": 1.5,
        "views": {"a": None, "b": {"x": 1}},
    }


def test_what_a_client_may_say():
    assert parse_client_message(b'{"type": "ping", "id": 7}', KNOWN) == ClientPing()
    asked = b'{"type": "subscribe", "views": ["local_stats", "local_stats"]}'
    assert parse_client_message(asked, KNOWN) == Subscribe(frozenset({"local_stats"}))


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 4000, "is not JSON"),
        (b"{}", "neither a ping nor"),
        (b"[]", "neither a ping nor"),
        (b"7", "neither a ping nor"),
        (b'{"type": "subscribe"}', "neither a ping nor"),
        (b'{"type": "subscribe", "views": "local_stats"}', "neither a ping nor"),
        (b'{"type": "subscribe", "views": []}', "0 views"),
        (b'{"type": "subscribe", "views": ["nothing"]}', "unknown view 'nothing'"),
        (b'{"type": "subscribe", "views": [["local_stats"]]}', "unknown view"),
        (b'{"type": "subscribe", "views": [{}]}', "unknown view"),
        (orjson.dumps({"type": "subscribe", "views": ["local_stats"] * (MAX_SUBSCRIBED + 1)}), "65 views"),
    ],
)
def test_what_it_may_not(payload, said):
    with pytest.raises(ParseError) as caught:
        parse_client_message(payload, KNOWN)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(payload):
    try:
        parse_client_message(payload, KNOWN)
    except ParseError:
        pass


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        (None, "a.example:7903", True),
        (None, None, True),
        ("http://a.example:7903", "a.example:7903", True),
        ("http://A.example:7903", "a.EXAMPLE:7903", True),
        ("http://a.example", "a.example", True),
        ("http://a.example", "a.example:80", True),
        ("http://a.example:80", "a.example", True),
        ("https://a.example", "a.example", True),
        ("https://a.example", "a.example:443", True),
        ("http://[::1]:7903", "[::1]:7903", True),
        ("https://friend.example", "a.example", True),
        ("https://friend.example:443", "a.example", True),
        ("http://friend.example", "a.example", False),
        ("https://friend.example:8443", "a.example", False),
        ("http://b.example:7903", "a.example:7903", False),
        ("http://a.example:7904", "a.example:7903", False),
        ("http://a.example.evil.example", "a.example", False),
        ("http://evil@a.example", "a.example", False),
        ("http://a.example/path", "a.example", False),
        ("null", "null", False),
        ("", "", False),
        ("file://", "", False),
        ("http://", "", False),
        ("ftp://a.example", "a.example", False),
        ("http://a.example:x", "a.example:x", False),
        ("http://a.example", "a.example:x", False),
        ("http://a.example", None, False),
        ("http://[", "[", False),
    ],
)
def test_whose_pages_may_listen(origin, host, expected):
    assert is_allowed_origin(origin, host, frozenset({"https://friend.example"})) is expected


def test_an_allowance():
    allowance = TokenAllowance(3, 0.5, 10.0)
    assert [allowance.take(1, 10.0) for _ in range(4)] == [True, True, True, False]
    assert not allowance.take(1, 11.0)
    assert allowance.take(1, 12.0)
    assert not allowance.take(1, 12.0)
    assert not allowance.take(1, 5.0)  # a clock that is set back gives nothing, and takes nothing
    assert allowance.take(1, 7.0)
    assert allowance.take(3, 1000.0)
    assert not allowance.take(1, 1000.0)
