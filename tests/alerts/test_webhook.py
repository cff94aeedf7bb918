"""URLs, redirects and signatures, without a server (tests/e2e/test_alerts.py has those)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from p2pool.alerts.channel import DeliveryOutcome, OutboxEntry, without_secrets
from p2pool.alerts.webhook import (
    CONNECT_TIME,
    TOTAL_TIME,
    Webhook,
    _last,
    _redirect,
    _Rejected,
    _retry_after,
    parse_url,
    sign,
)
from p2pool.base.hosts import is_global
from p2pool.base.socks import Proxy
from tests.environment import make_environment

DELIVERY = OutboxEntry("id1", "hook", {"event": "test"}, 1e9)


@pytest.mark.parametrize(
    ("text", "url", "host", "port", "authorization"),
    [
        ("http://h.example/a?b=c#d", "http://h.example/a?b=c", "h.example", 80, None),
        ("https://H.example", "https://H.example", "h.example", 443, None),
        ("https://me:p%40ss@h.example:8443/", "https://h.example:8443/", "h.example", 8443, "Basic bWU6cEBzcw=="),
        ("http://[2001:db8::1]:81/x", "http://[2001:db8::1]:81/x", "2001:db8::1", 81, None),
    ],
)
def test_urls(text, url, host, port, authorization):
    target = parse_url(text)
    assert (target.url, target.host, target.port, target.authorization) == (url, host, port, authorization)
    assert "p%40ss" not in repr(target)


@pytest.mark.parametrize("login", ["me:s3cret/pw@", "me:[s3cret]@", "me:s3cret]@"])
def test_a_url_that_is_refused_is_not_repeated(login):
    with pytest.raises(ValueError, match="is malformed") as refused:
        parse_url(f"http://{login}h.example/")
    assert "s3cret" not in str(refused.value)


@given(st.text(max_size=40) | st.text(max_size=30).map(lambda text: f"http://{text}"))
def test_any_text_is_a_url_or_refused_in_words(text):
    try:
        target, refusal = parse_url(text), None
    except ValueError as error:
        target, refusal = None, str(error)
    assert target is not None or refusal
    assert target is None or (target.url.isascii() and 0 < target.port < 65536 and target.host)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        *(("93.184.216.34", True), ("2606:2800:220:1::1", True), ("::ffff:93.184.216.34", True)),
        *(("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False)),
        *(("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False)),
        *(("255.255.255.255", False), ("192.0.2.1", False), ("240.0.0.1", False), ("198.18.0.1", False)),
        *(("::1", False), ("::", False), ("fe80::1", False), ("fc00::1", False), ("fec0::1", False)),
        *(("ff02::1", False), ("2001:db8::1", False), ("::ffff:127.0.0.1", False)),
        *(("2002:7f00:1::", False), ("64:ff9b::7f00:1", False), ("64:ff9b::a9fe:a9fe", False)),
    ],
)
def test_addresses_of_the_internet_at_large(address, expected):
    assert is_global(ip_address(address)) is expected


@pytest.mark.parametrize(
    ("start", "location", "words"),
    [
        ("https://h.example/", "http://h.example/", "from https to http (h.example)"),
        ("http://h.example/", "ftp://h.example/", "it must begin with http"),
        ("http://h.example/", "http://me:pw@h.example/", "with a login in the address"),
        ("http://h.example/", "", "without a Location"),
        ("http://h.example/", "http://h.example/\x01", "cannot be used"),
        ("http://h.example/", "http://[::1", "cannot be used"),
        ("http://h.example/", "http://\xff/", "cannot be used"),
        ("http://h.example/", "https://a_b.example/", "no certificate can be issued for a_b.example"),
        ("http://h.example/", "https://xn--zzzzzz99.example/", "no certificate"),
    ],
)
def test_redirects_that_are_not_followed(start, location, words):
    with pytest.raises(_Rejected, match=r".") as refused:
        _redirect(parse_url(start), location, 302)
    assert words in str(refused.value)


def test_headers_may_be_any_bytes():
    headers = Headers({b"location": [b"http://\xff/"], b"retry-after": [b"5", b"\xff"]})
    assert _last(headers, b"location") == "http://\xff/"
    assert _retry_after(headers) == 0.0
    assert _retry_after(Headers({b"retry-after": [b"5"]})) == 5.0
    assert _last(headers, b"x") == ""


def test_redirects_that_are():
    assert _redirect(parse_url("http://h/a/b"), "c?d", 302).url == "http://h/a/c?d"
    assert _redirect(parse_url("https://u:p@h/a"), "//g/", 307).url == "https://g/"
    assert _redirect(parse_url("https://u:p@h/a"), "//g/", 307).authorization is None


def test_the_signature_is_the_one_that_everybody_computes():
    # RFC 4231, test case 2
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign("Jefe", b"what do ya want for nothing?") == f"sha256={expected}"


def test_what_is_shown_of_an_answer_has_no_part_of_the_url():
    target = parse_url("https://user:PASSW@h.example/hooks/T0KEN-1?key=K3YK3Y&x=1")
    said = without_secrets("no T0KEN-1 for user, PASSW or K3YK3Y\nat h.example", target.secret)
    assert said == "no ... for ..., ... or ... at h.example"


def test_nor_of_the_login_as_it_is_sent():
    target = parse_url("https://me:p%40SSWORD%2fRD@h.example/")
    said = without_secrets(f"Authorization: {target.authorization}; me, p@SSWORD/RD", target.secret)
    assert said == "Authorization: Basic ...=; me, p@.../RD"


# --- names -------------------------------------------------------------------------------------------------------


class Hook:
    """A webhook over a reactor in memory; `rows` are what the resolver finds."""

    def __init__(self, url: str, *addresses: str) -> None:
        self.reactor = MemoryReactorClock()
        self.found: Deferred = succeed([(0, 0, 0, "", (address, 80)) for address in addresses])
        self.hook = Webhook(
            make_environment(self.reactor, run_in_daemon_thread=lambda function: self.found),
            parse_url(url),
            secret=None,
            allow_private=False,
        )
        self.answers: list = []

    def deliver(self) -> None:
        ensureDeferred(self.hook.deliver(DELIVERY, 1e9)).addCallback(self.answers.append)


def test_the_connection_goes_to_the_address_that_was_found():
    hook = Hook("http://h.example:81/x", "192.168.0.5", "10.0.0.1")
    hook.deliver()
    hook.reactor.advance(0)
    assert [(each[0], each[1]) for each in hook.reactor.tcpClients] == [("192.168.0.5", 81)]


def test_the_next_address_is_tried_where_the_first_one_takes_no_connection():
    hook = Hook("http://localhost:81/x", "::1", "::1", "127.0.0.1")
    hook.deliver()
    for _ in range(2):
        factory = hook.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    assert [(each[0], each[1]) for each in hook.reactor.tcpClients] == [("::1", 81), ("127.0.0.1", 81)]
    assert sum(each[3] for each in hook.reactor.tcpClients) <= CONNECT_TIME
    assert [(each.outcome, "the connection failed" in each.text) for each in hook.answers] == [
        (DeliveryOutcome.RETRY, True)
    ]


def test_in_time_also_where_no_address_answers():
    hook = Hook("http://h.example/", "2001:db8::1", "192.0.2.1")
    hook.deliver()
    hook.reactor.advance(TOTAL_TIME)
    assert [each.text for each in hook.answers] == ["no answer within 15 s"]
    assert len(hook.reactor.tcpClients) == 1


def test_a_redirect_takes_the_global_one_of_several_addresses_and_only_that():
    hook = Hook("http://h.example/", "127.0.0.1", "93.184.216.34", "10.0.0.1")
    target = parse_url("http://other.example/")
    found: list = []
    ensureDeferred(hook.hook._poster._hosts_of(target, True)).addCallback(found.append)
    assert found == [["93.184.216.34"]]
    ensureDeferred(hook.hook._poster._hosts_of(target, False)).addCallback(found.append)
    assert found[1][0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("location", "way"),
    [
        ("http://h.example/other", ["h.example"]),
        ("http://other.example/", "whose address only the proxy knows"),
        ("http://10.0.0.1/", "not globally reachable"),
        ("http://93.184.216.34/", ["93.184.216.34"]),
    ],
)
def test_redirects_behind_a_proxy(location, way):
    hook = Hook("http://h.example/")
    hook.hook._poster._environment = replace(hook.hook._poster._environment, proxy=Proxy("127.0.0.1", 9050))
    found: list = []
    ensureDeferred(hook.hook._poster._hosts_of(parse_url(location), True)).addBoth(found.append)
    assert found == [way] if isinstance(way, list) else way in str(found[0].value)


def test_a_name_that_is_not_known_is_tried_again():
    hook = Hook("http://h.example/")
    hook.found = fail(OSError("no such name"))
    hook.deliver()
    assert [(each.outcome, each.text) for each in hook.answers] == [
        (DeliveryOutcome.RETRY, "the name h.example cannot be resolved")
    ]


def test_a_resolver_that_hangs_is_given_up_in_time():
    hook = Hook("http://h.example/")
    hook.found = Deferred()
    hook.deliver()
    hook.reactor.advance(TOTAL_TIME - 1)
    assert hook.answers == []
    hook.reactor.advance(1)
    assert [each.text for each in hook.answers] == ["no answer within 15 s"]
