"""ETag and gzip: made once a rendering, told apart by what is sent, and left out where a client has it or cannot
take it."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from p2pool.web import rendering
from p2pool.web.rendering import MIN_COMPRESSED, THREAD_SIZE, Rendering, is_compressible, is_known, takes_gzip
from p2pool.web.static_files import MAX_KEPT_FILE
from tests.logged import logged
from tests.web.guarded import Guarded, Threads
from tests.web.pages import take_apart

GZIP = "Accept-Encoding: gzip"


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("br", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip; q=0.001", True),
        ("gzip;q=0, *", False),
        ("identity, br;q=1", False),
        ("gzip;q=nonsense", False),
        ("gzip;q=2", False),
        ("," * 5000 + "gzip", False),
    ],
)
def test_who_takes_gzip(header, takes):
    assert takes_gzip(header) == takes


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, False),
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        ('"x","y"', False),
        ("*", True),
        ("abc", False),
        ('"ABC"', False),
        ('"abc-gzip"', False),
        ('"', False),
        ('"a\x01bc"', False),
        (",".join(['"x"'] * 5000) + ',"abc"', False),
    ],
)
def test_who_has_it(header, known):
    assert is_known(header, b'"abc"') == known


@given(st.text(max_size=50))
def test_headers_of_any_kind_are_looked_at_without_trouble(text):
    assert takes_gzip(text) in (True, False)
    assert is_known(text, b'"abc"') in (True, False)


@pytest.mark.parametrize(
    ("kind", "compressible"),
    [
        (b"text/html", True),
        (b"application/json; charset=utf-8", True),
        (b"image/svg+xml", True),
        (b"image/png", False),
        (b"application/octet-stream", False),
        (b"font/woff2", False),
    ],
)
def test_what_is_worth_compressing(kind, compressible):
    assert is_compressible(kind) == compressible


def test_tag_and_compressed_form_are_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(rendering, "_compress", lambda body: made.append(body) or b"small")
    one = Rendering(b"x" * 1000)
    assert one.compressed(None) == one.compressed(None) == b"small"
    assert len(made) == 1
    assert one.tag(False) == Rendering(b"x" * 1000).tag(False)
    assert len({one.tag(False), one.tag(True), Rendering(b"y" * 1000).tag(False)}) == 3


def test_large_ones_are_compressed_in_a_thread_once_for_all_who_wait():
    threads = Threads()
    threads.held = True
    one, results = Rendering(b"x" * THREAD_SIZE), []
    for _ in range(3):
        one.compressed(threads).addCallback(results.append)
    assert threads.calls == 1
    assert results == []
    threads.release()
    assert len(results) == 3
    assert gzip.decompress(results[0]) == one.body
    assert one.compressed(threads) == results[0]
    assert threads.calls == 1


# --- over HTTP ---------------------------------------------------------------------------------------------------


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "page.html").write_text("<p>page</p>" * 200)
    (tmp_path / "small.js").write_text("1")
    (tmp_path / "picture.png").write_bytes(os.urandom(2000))
    (tmp_path / "ready.svg.gz").write_bytes(gzip.compress(b"<svg/>" * 300))
    (tmp_path / "sub").mkdir()
    pool = Guarded(tmp_path, shares=5)
    pool.views.rendered["local_stats"] = json.dumps(["x"] * 1000).encode()
    return pool


@pytest.mark.parametrize("path", ["/local_stats", "/metrics", "/static/page.html"])
def test_compressed_or_not_it_is_the_same(pool, path):
    plain, small = pool.ask(path), pool.ask(path, "GET", GZIP)
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(small.body) == plain.body
    assert len(small.body) < len(plain.body)
    for answer in (plain, small):
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-length"] == str(len(answer.body))
    assert plain.headers["etag"] != small.headers["etag"]
    head = pool.ask(path, "HEAD", GZIP)
    assert head.body == b""
    for name in ("etag", "content-length", "content-encoding", "content-type"):
        assert head.headers[name] == small.headers[name]


@pytest.mark.parametrize("path", ["/local_stats", "/rate", "/metrics", "/static/page.html", "/static/small.js"])
@pytest.mark.parametrize("headers", [(), (GZIP,)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_it_is_told_so(pool, path, headers, method):
    first = pool.ask(path, method, *headers)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = pool.ask(path, method, *headers, f"If-None-Match: {known}")
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers.get("vary") == first.headers.get("vary")
        assert "content-length" not in again.headers
        assert "content-encoding" not in again.headers
    assert pool.ask(path, method, *headers, 'If-None-Match: "other"').status == 200


def test_a_new_rendering_has_a_tag_of_its_own(pool):
    pool.views.rendered["rate"] = b"1.5"
    tag = pool.ask("/rate").headers["etag"]
    pool.views.rendered["rate"] = bytes(bytearray(b"1.5"))  # made anew, and the same
    assert pool.ask("/rate", "GET", f"If-None-Match: {tag}").status == 304
    pool.views.rendered["rate"] = b"1.6"
    answer = pool.ask("/rate", "GET", f"If-None-Match: {tag}")
    assert (answer.status, answer.body) == (200, b"1.6")


def test_many_requests_make_one_tag_and_one_compression(pool, monkeypatch):
    made = []
    real = rendering._compress
    monkeypatch.setattr(rendering, "_compress", lambda body: made.append(1) or real(body))
    hashed = []
    monkeypatch.setattr(
        rendering.hashlib,
        "blake2b",
        lambda *a, real=rendering.hashlib.blake2b, **k: hashed.append(1) or real(*a, **k),
    )
    for _ in range(20):
        for path in ("/local_stats", "/metrics", "/static/page.html"):
            pool.ask(path, "GET", GZIP)
    assert (len(made), len(hashed)) == (3, 3)


def test_a_look_up_is_compressed_for_who_takes_that(pool):
    name = "x" * 100
    for number in range(10):
        pool.stats.record_worker_on(f"y{name}.{number}", difficulty=1.0, now=pool.now)
    pool.refresh()
    path = "/api/v1/workers?sort=name"
    plain, small = pool.ask(path), pool.ask(path, "GET", GZIP)
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == small.headers["vary"] == "Accept-Encoding"
    assert small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(small.body) == plain.body
    assert small.headers["content-length"] == str(len(small.body))
    head = pool.ask(path, "HEAD", GZIP)
    assert (head.body, head.headers["content-length"]) == (b"", str(len(small.body)))
    assert "content-encoding" not in pool.ask("/api/v1/workers/nobody", "GET", GZIP).headers


def test_what_is_small_or_does_not_shrink_is_sent_as_it_is(pool):
    for path in ("/rate", "/static/small.js", "/static/picture.png"):
        answer = pool.ask(path, "GET", GZIP)
        assert "content-encoding" not in answer.headers
        assert "vary" not in answer.headers
        assert "etag" in answer.headers
    assert len(pool.ask("/rate").body) < MIN_COMPRESSED


def test_errors_have_no_tag(pool):
    pool.views.rendered.clear()
    for path in ("/local_stats", "/nothing", "/static/nothing.js"):
        answer = pool.ask(path, "GET", GZIP, "If-None-Match: *")
        assert answer.status in (404, 503)
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"


def test_a_large_answer_waits_for_its_thread(pool):
    pool.views.rendered["local_stats"] = json.dumps(list(range(100_000))).encode()
    pool.threads.held = True
    request = f"GET /local_stats HTTP/1.1\r\n{GZIP}\r\n\r\n".encode()
    waiting, gone = pool.connect(), pool.connect()
    for protocol, transport in (waiting, gone):
        protocol.dataReceived(request)
        assert transport.value() == b""
    assert pool.ask("/local_stats").status == 200  # plain: at once
    gone[0].connectionLost(Failure(ConnectionDone()))
    with logged() as log:
        pool.threads.release()
    assert not log.tracebacks
    assert gzip.decompress(take_apart(waiting[1].value()).body) == pool.views.rendered["local_stats"]
    assert gone[1].value() == b""
    waiting[1].clear()
    waiting[0].dataReceived(request)
    assert take_apart(waiting[1].value()).status == 200


def test_a_thread_that_fails_is_a_500_and_not_the_end(pool, monkeypatch):
    pool.views.rendered["local_stats"] = json.dumps(list(range(100_000))).encode()
    with monkeypatch.context() as patched, logged() as log:
        patched.setattr(rendering, "_compress", lambda body: 1 / 0)
        answer = pool.ask("/local_stats", "GET", GZIP)
    assert answer.status == 500
    assert answer.json["error"]["code"] == "internal"
    assert "etag" not in answer.headers
    assert log.tracebacks
    assert pool.ask("/local_stats", "GET", GZIP).status == 200


# --- files -------------------------------------------------------------------------------------------------------


def test_a_file_that_changes_is_read_anew(pool, tmp_path):
    first = pool.ask("/static/small.js")
    (tmp_path / "small.js").write_text("22")
    second = pool.ask("/static/small.js", "GET", f"If-None-Match: {first.headers['etag']}")
    assert (second.status, second.body) == (200, b"22")
    os.utime(tmp_path / "small.js", (5, 5))
    assert pool.ask("/static/small.js", "GET", f"If-None-Match: {second.headers['etag']}").status == 304
    (tmp_path / "small.js").unlink()
    assert pool.ask("/static/small.js").status == 404


def test_a_large_file_is_sent_from_the_disk(pool, tmp_path):
    (tmp_path / "large.bin").write_bytes(b"x" * (MAX_KEPT_FILE + 1))
    answer = pool.ask("/static/large.bin")
    assert answer.status == 200
    assert len(answer.body) == MAX_KEPT_FILE + 1
    assert "etag" not in answer.headers
    head = pool.ask("/static/large.bin", "HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", str(MAX_KEPT_FILE + 1))


def test_a_file_that_is_compressed_already_stays_as_it_is(pool, tmp_path):
    answer = pool.ask("/static/ready.svg.gz", "GET", GZIP)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.body == (tmp_path / "ready.svg.gz").read_bytes()


@pytest.mark.parametrize(
    ("path", "location"), [("/static/sub", "sub/"), ("/static/sub?x=%ff", "sub/?x=%ff"), ("/static", "static/")]
)
def test_a_directory_without_its_slash_leads_to_the_one_with_it(pool, path, location):
    with logged() as log:
        answer = pool.ask(path)
    assert answer.status == 302
    assert answer.headers["location"] == location
    assert not log.tracebacks


def test_only_so_many_files_are_kept(pool, tmp_path, monkeypatch):
    kept = pool.site.resource.children[b"static"].kept
    for number in range(kept.limit + 10):
        (tmp_path / f"{number}.txt").write_text(str(number))
        assert pool.ask(f"/static/{number}.txt").body == str(number).encode()
    assert len(kept) == kept.limit
