"""The one part of a file that may be asked for; and large files that are sent from the disk."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.web.byte_range import UNSATISFIABLE, parse_byte_range
from p2pool.web.static_files import MAX_KEPT_FILE, MAX_SENT, MAX_SENT_PER_HOST
from tests.logged import logged
from tests.web.guarded import KEY, Guarded, secret
from tests.web.pages import Pool, take_apart


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"bytes=0-0", (0, 1)),
        (b"bytes=0-99", (0, 100)),
        (b"bytes=0-100", (0, 100)),
        (b"bytes=0-99999999999", (0, 100)),
        (b"bytes=40-", (40, 60)),
        (b"bytes = 40-49", (40, 10)),
        (b"bytes=-1", (99, 1)),
        (b"bytes=-1000", (0, 100)),
        (b"bytes=-0", UNSATISFIABLE),
        (b"bytes=100-", UNSATISFIABLE),
        (b"bytes=100-200", UNSATISFIABLE),
        (b"bytes=5-4", None),
        (b"bytes=-", None),
        (b"bytes=", None),
        (b"bytes=0-1,2-3", None),
        (b"bytes=0-,0-", None),
        (b"bytes=+1-", None),
        (b"bytes=1_0-", None),
        (b"bytes=\xff-", None),
        (b"bytes=" + b"9" * 5000 + b"-", None),
        (b"lines=0-1", None),
        (b"", None),
    ],
)
def test_a_range(header, expected):
    assert parse_byte_range(header, 100) == expected


@given(st.one_of(st.binary(max_size=40), st.from_regex(rb"bytes=[0-9]{0,4}-[0-9]{0,4}\Z")), st.integers(0, 3000))
def test_no_range_is_longer_than_the_file(header, size):
    found = parse_byte_range(header, size)
    if found not in (None, UNSATISFIABLE):
        offset, length = found
        assert 0 <= offset < size
        assert 0 < length <= size - offset


SIZE = MAX_KEPT_FILE + 1000


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "large.bin").write_bytes(os.urandom(SIZE))
    return Pool(web_static=tmp_path)


def test_a_part_of_a_large_file(pool, tmp_path):
    whole = (tmp_path / "large.bin").read_bytes()
    answer = pool.ask("/static/large.bin", "GET", "Range: bytes=500000-")
    assert (answer.status, answer.body) == (206, whole[500_000:])
    assert answer.headers["content-range"] == f"bytes 500000-{SIZE - 1}/{SIZE}"
    assert pool.ask("/static/large.bin", "GET", "Range: bytes=-99999999").body == whole
    answer = pool.ask("/static/large.bin", "GET", f"Range: bytes={SIZE}-")
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    modified = pool.ask("/static/large.bin", "HEAD").headers["last-modified"]
    for condition, status in ((modified, 206), ("Sun, 01 Jan 2006 00:00:00 GMT", 200), ('"tag"', 200)):
        headers = f"If-Range: {condition}", "Range: bytes=0-9"
        assert pool.ask("/static/large.bin", "GET", *headers).status == status


@pytest.mark.parametrize(
    "ranges",
    ["bytes=" + ",".join(["0-"] * 1300), "bytes=" + ",".join(["0-0"] * 900), "bytes=0-9,20-29", "bytes=\xff\xfe-"],
)
def test_no_answer_is_longer_than_the_file_however_many_ranges_are_asked_for(pool, ranges):
    with logged() as log:
        answer = pool.ask("/static/large.bin", "GET", f"Range: {ranges}")
    assert (answer.status, len(answer.body)) == (200, SIZE)
    assert int(answer.headers["content-length"]) == SIZE
    assert not log.tracebacks
    assert not log.lines


def begin(pool: Pool, host: str, path: str = "/static/large.bin"):
    """(connection, transport) of a client that asks and then reads nothing."""
    pool.host = host
    protocol, transport = pool.connect()
    protocol.dataReceived(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return protocol, transport


def test_who_takes_no_answer_holds_a_few_files_open_and_leaves_the_rest_to_others(pool):
    """Each is a file descriptor that a miner may need."""
    sent = pool.site.resource.children[b"static"].sent
    slow = [begin(pool, "10.0.0.1") for _ in range(MAX_SENT_PER_HOST + 1)]
    refused = take_apart(slow[-1][1].value())
    assert (refused.status, refused.json["error"]["code"]) == (503, "busy")
    assert sent.count == MAX_SENT_PER_HOST
    others = [begin(pool, f"10.0.1.{number // 4}") for number in range(MAX_SENT - MAX_SENT_PER_HOST)]
    assert sent.count == MAX_SENT
    assert take_apart(begin(pool, "10.0.0.2")[1].value()).status == 503
    slow[0][0].connectionLost(None)
    pool.host = "10.0.0.2"
    assert len(pool.ask("/static/large.bin").body) == SIZE
    for protocol, _ in (*slow[1:], *others):
        protocol.connectionLost(None)
    assert (sent.count, len(sent)) == (0, 0)
    assert pool.ask("/static/large.bin", "HEAD").status == 200
    assert sent.count == 0


def test_caches_keep_a_large_file_as_they_keep_a_small_one(pool, tmp_path):
    """Without a word, a proxy's cache may give a file that needs a key to those who have none."""
    assert pool.ask("/static/large.bin").headers["cache-control"] == "no-cache"
    guarded = Guarded(tmp_path, keys=(secret(KEY),), key_endpoints=("/static",))
    for method in ("GET", "HEAD"):
        answer = guarded.ask("/static/large.bin", method, f"X-API-Key: {KEY}")
        assert (answer.status, answer.headers["cache-control"]) == (200, "private, no-cache")
