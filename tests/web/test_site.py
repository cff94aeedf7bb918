"""The web site over HTTP in memory: answers, errors as JSON, files that stay in their place, hostile clients."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.web.server import NOT_DONE_YET

from p2pool.pool_stats import ShareRecord
from p2pool.web.request import ANSWER_TIME, IDLE_TIME, REQUEST_TIME, client_host
from p2pool.web.resources import GetResource
from p2pool.web.static_files import MAX_KEPT_FILE
from p2pool.web.views import VIEWS
from tests.logged import logged
from tests.support import make_template
from tests.web.pages import Pool, take_apart

SECRET = b"nobody may read this"


@pytest.fixture
def pool(tmp_path):
    """With pages to serve and a file beside them that is none."""
    pages = tmp_path / "pages"
    (pages / "sub").mkdir(parents=True)
    (pages / "index.html").write_text("<p>first page</p>")
    (pages / "app.js").write_text("1")
    (pages / "sub" / "x.txt").write_text("x")
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "pages-secret").write_bytes(SECRET)
    pool = Pool(5, make_template(), pages)
    pool.refresh()
    return pool


def code(answer) -> str:
    """The code of an error, which is always JSON of one shape."""
    error = answer.json["error"]
    assert set(error) == {"code", "message"}
    return error["code"]


@pytest.mark.parametrize("path", list(VIEWS))
def test_every_view_is_served_as_rendered(pool, path):
    answer = pool.ask("/" + path)
    assert answer.status == 200
    assert answer.json == json.loads(pool.views.rendered[path])
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert pool.ask(f"/{path}?a=<b>&c").json == answer.json


def test_looking_makes_no_work(pool):
    pool.views.refresh = None
    pool.node.stats = None
    assert pool.ask("/local_stats").status == 200
    assert pool.ask("/metrics").status == 200


def test_metrics(pool):
    answer = pool.ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.body == pool.views.metrics


def test_before_the_first_figures():
    pool = Pool()
    for path in (*VIEWS, "metrics"):
        answer = pool.ask("/" + path)
        assert answer.status == 503
        assert code(answer) == "starting"


def test_a_share(pool):
    share = pool.shares[2]
    for digits in (f"{share.hash:064x}", f"{share.hash:064X}"):
        answer = pool.ask(f"/web/share/{digits}")
        assert answer.status == 200
        assert answer.json["hash"] == f"{share.hash:064x}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/nothing", "not_found"),
        ("/local_stats/more", "not_found"),
        ("/web", "not_found"),
        ("/web/", "not_found"),
        ("/web/nothing", "not_found"),
        ("//", "not_found"),
        ("/%00", "not_found"),
        ("/%ff%fe", "not_found"),
        ("/<script>", "not_found"),
        ("/web/share/", "not_a_hash"),
        ("/web/share/12", "not_a_hash"),
        ("/web/share/" + "g" * 64, "not_a_hash"),
        ("/web/share/" + "%20" + "1" * 63, "not_a_hash"),
        ("/web/share/" + "%c2%b2" + "1" * 62, "not_a_hash"),
        ("/web/share/0x" + "1" * 62, "not_a_hash"),
        ("/web/share/" + "1" * 64 + "/", "not_a_hash"),
        ("/api/v1/shares/" + "1" * 64, "unknown_share"),
        ("/static/nothing.js", "not_found"),
        ("/static/sub/", "not_found"),
        ("/static/index.html/more", "not_found"),
        ("/static/" + "a" * 3000, "not_found"),
        ("/static/%ff", "not_found"),
        ("/static/%00", "not_found"),
        ("/static/index.html%00", "not_found"),
    ],
)
def test_what_is_not_there_is_a_json_404_without_a_log_line(pool, path, expected):
    with logged() as log:
        answer = pool.ask(path)
    assert answer.status == (200 if expected is None else 404)
    if expected is not None:
        assert code(answer) == expected
        assert b"<" not in answer.body
    assert not log.lines
    assert not log.tracebacks


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret",
        "/static/%2e%2e/secret",
        "/static/..%2fsecret",
        "/static/%2e%2e%2fsecret",
        "/static/sub/../../secret",
        "/static/sub/..%2f..%2fsecret",
        "/static/..%5csecret",
        "/static/..",
        "/static/../pages-secret",
        "/static/..%2fpages-secret",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/%252e%252e/secret",
        "/../secret",
        "/static/./../secret",
    ],
)
def test_no_path_leads_out_of_the_pages(pool, path):
    answer = pool.ask(path)
    assert answer.status == 404
    assert SECRET not in answer.body
    assert code(answer) == "not_found"


def test_pages_and_their_types(pool):
    for path, kind, body in (
        ("/static/", "text/html", b"<p>first page</p>"),
        ("/static/index.html", "text/html", b"<p>first page</p>"),
        ("/static/app.js", "text/javascript", b"1"),
        ("/static/sub/x.txt", "text/plain", b"x"),
    ):
        answer = pool.ask(path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
        assert answer.body == body


def test_the_bare_address_leads_to_the_first_page(pool):
    answer = pool.ask("/")
    assert answer.status == 302
    assert answer.headers["location"] == "static/index.html"


@pytest.mark.parametrize("path", ["/", "/local_stats", "/nothing", "/static/app.js", "/web/share/1", "/metrics"])
def test_every_answer_protects_the_page_and_names_no_software(pool, path):
    for method in ("GET", "HEAD", "POST"):
        headers = pool.ask(path, method).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert "server" not in headers


@pytest.mark.parametrize("path", ["/", "/local_stats", "/nothing", "/static/app.js", "/web/share/1", "/metrics"])
def test_head_is_get_without_the_body(pool, path):
    get = pool.ask(path)
    with logged() as log:
        head = pool.ask(path, "HEAD")
    assert head.body == b""
    assert head.status == get.status
    for name in ("content-length", "content-type"):
        assert head.headers.get(name) == get.headers.get(name)
    assert list(log) == []


@pytest.mark.parametrize("path", ["/", "/local_stats", "/nothing", "/static/app.js", "/web/share/1", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get", "<b>"])
def test_other_methods_are_refused_alike_everywhere(pool, path, method):
    with logged() as log:
        answer = pool.ask(path, method)
    if answer.status != 400:  # what HTTP does not take for a method at all
        if path == "/nothing":
            assert (answer.status, code(answer)) == (404, "not_found")
        else:
            assert (answer.status, code(answer)) == (405, "method_not_allowed")
            assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
        assert b"<" not in answer.body
    assert not log.lines
    assert not log.tracebacks


def test_names_of_miners_never_become_markup(pool):
    name = "yX.<img src=x onerror=alert(1)>\"'"
    pool.stats.record_worker_on(name, difficulty=1.0, now=pool.now)
    pool.stats.record_refused(name, 23, pool.now)
    pool.stats.record_share(ShareRecord(pool.now, 1, name, False, 1))
    pool.refresh()
    local, shares = pool.ask("/local_stats"), pool.ask("/recent_shares")
    assert name in local.json["miner_last_difficulties"]
    assert shares.json[0]["miner"] == name
    for answer in (local, shares):  # a browser will not take it for a page
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"
    metrics = pool.ask("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert metrics.headers["x-content-type-options"] == "nosniff"


# --- hostile clients ---------------------------------------------------------------------------------------------


def send(pool: Pool, *pieces: bytes):
    """(transport, log) after sending raw bytes on one connection."""
    protocol, transport = pool.connect()
    with logged() as log:
        for piece in pieces:
            if not transport.disconnecting:  # a socket is not read any more then
                protocol.dataReceived(piece)
    assert not log.tracebacks
    return transport, log


@pytest.mark.parametrize(
    "request_head",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n",
        b"GET /fee HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET /fee HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /fee HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST /fee HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /fee HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /fee HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    ],
)
def test_what_is_no_http_ends_the_connection_quietly(pool, request_head):
    transport, log = send(pool, request_head)
    assert transport.disconnecting
    answer = take_apart(transport.value())
    assert answer.status == (431 if b"X: y" in request_head else 400)
    assert code(answer) in ("bad_request", "headers_too_large")
    assert answer.headers["connection"] == "close"
    assert len(log.lines) <= 1


def test_headers_without_end(pool):
    for pieces, status in (
        ([b"GET /fee HTTP/1.1\r\n", *[b"X: " + b"y" * 1000 + b"\r\n"] * 100], 431),
        ([b"GET /fee HTTP/1.1\r\n", b"X: " + b"y" * 100_000], 431),
        ([b"G" * 100_000], 414),
        ([b"GET /" + b"g" * 20_000 + b" HTTP/1.1\r\n\r\n"], 414),
    ):
        transport, _ = send(pool, *pieces)
        assert transport.disconnecting
        assert take_apart(transport.value()).status == status


@pytest.mark.parametrize(
    "pieces",
    [
        [b"POST /fee HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", b"x" * 65537],
        [
            b"POST /fee HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            *[b"8000\r\n" + b"x" * 0x8000 + b"\r\n"] * 3,
        ],
        [
            b"POST /fee HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"fffff\r\n" + b"x" * 0xFFFFF + b"\r\n0\r\n\r\n",
        ],
        [b"GET /fee HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"],
    ],
)
def test_a_large_body_is_not_taken_in(pool, pieces):
    transport, _ = send(pool, *pieces)
    assert take_apart(transport.value()).status == 413
    assert transport.value().count(b"HTTP/1.1") == 1
    assert transport.disconnecting


def test_a_small_body_is_passed_over(pool):
    head = b"POST /fee HTTP/1.1\r\nContent-Length: 65536\r\n\r\n"
    transport, _ = send(pool, head, b"x" * 65535)
    assert transport.value() == b""
    transport, _ = send(pool, head, b"x" * 65536)
    assert take_apart(transport.value()).status == 405
    assert not transport.disconnecting
    form = b"POST /fee HTTP/1.1\r\nContent-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc"
    transport, _ = send(pool, form)
    assert transport.value().startswith((b"HTTP/1.1 400", b"HTTP/1.1 405"))


def test_one_connection_serves_one_request_after_the_other(pool):
    request = b"GET /fee HTTP/1.1\r\nHost: x\r\n\r\n"
    transport, _ = send(pool, request * 3)
    assert transport.value().count(b"HTTP/1.1 200 OK") == 3
    assert not transport.disconnecting


def test_silence_ends_in_time_counted_from_the_last_answer(pool):
    protocol, transport = pool.connect()
    pool.clock.advance(IDLE_TIME - 1)
    protocol.dataReceived(b"GET /fee HTTP/1.1\r\n\r\n")
    transport.clear()
    pool.clock.advance(IDLE_TIME - 1)
    assert not transport.disconnecting
    pool.clock.advance(1)
    assert transport.disconnecting
    assert transport.value() == b""


def test_a_request_sent_byte_by_byte_is_not_waited_for_without_end(pool):
    protocol, transport = pool.connect()
    for byte in b"GET /fee HTTP/1.1\r\n" + b"X: y\r\n" * 100:
        protocol.dataReceived(bytes([byte]))
        pool.clock.advance(1)
        if transport.disconnecting:
            break
    assert transport.disconnecting
    assert pool.clock.seconds() <= REQUEST_TIME
    assert code(take_apart(transport.value())) == "too_slow"


def test_a_request_that_begins_late_has_its_time_and_no_more(pool):
    protocol, transport = pool.connect()
    for _ in range(3):  # also where the connection was used before
        pool.clock.advance(IDLE_TIME - 1)
        protocol.dataReceived(b"GET /fee HTTP/1.1\r\n")
        pool.clock.advance(REQUEST_TIME - 1)
        protocol.dataReceived(b"\r\n")
        assert take_apart(transport.value()).status == 200
        transport.clear()
    protocol.dataReceived(b"POST /fee HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
    for _ in range(REQUEST_TIME):
        assert not transport.disconnecting
        pool.clock.advance(1)
    assert take_apart(transport.value()).status == 408
    assert transport.disconnecting


def test_an_answer_that_is_not_taken_ends(tmp_path):
    (tmp_path / "large.bin").write_bytes(b"x" * (MAX_KEPT_FILE + 1))
    pool = Pool(web_static=tmp_path)
    protocol, transport = pool.connect()
    protocol.dataReceived(b"GET /static/large.bin HTTP/1.1\r\n\r\n")
    protocol._requestProducer._producer.resumeProducing()
    assert transport.value().startswith(b"HTTP/1.1 200 OK\r\n")
    pool.clock.advance(ANSWER_TIME - 1)
    assert not transport.disconnecting
    pool.clock.advance(1)
    assert transport.disconnecting
    protocol.connectionLost(None)
    assert not pool.clock.getDelayedCalls()


def test_what_answers_later_or_becomes_another_protocol_has_no_time_limit(pool):
    class Taking(GetResource):
        def render_GET(self, request):
            self.host = client_host(request)
            return NOT_DONE_YET

    taking = Taking()
    pool.site.resource.putChild(b"ws", taking)
    protocol, transport = pool.connect()
    protocol.dataReceived(b"GET /ws HTTP/1.1\r\n\r\n")
    pool.clock.advance(100_000)
    assert not transport.disconnecting
    assert taking.host == "10.0.0.1"


def test_a_connection_that_goes_leaves_no_timers(pool):
    protocol, _ = pool.connect()
    protocol.dataReceived(b"GET /fee HTT")
    protocol.connectionLost(None)
    assert not pool.clock.getDelayedCalls()


HOSTILE_POOL = Pool(3, make_template())
HOSTILE_POOL.refresh()


@settings(max_examples=150)
@given(st.binary(max_size=60), st.sampled_from(["GET", "HEAD", "POST"]), st.booleans())
def test_no_path_makes_a_traceback(path, method, encoded):
    text = "".join(f"%{byte:02x}" for byte in path) if encoded else path.decode("latin-1")
    with logged() as log:
        protocol, transport = HOSTILE_POOL.connect()
        for prefix in (
            "/",
            "/static/",
            "/web/share/",
            "/web/share_data/",
            "/web/chain?",
            "/web/chain?from=",
            "/fee/",
        ):
            if not transport.disconnecting:
                protocol.dataReceived(f"{method} {prefix}{text} HTTP/1.1\r\n\r\n".encode("latin-1"))
    assert not log.tracebacks
