"""What is wrong with the broker, as operators read it."""

from __future__ import annotations

import pytest
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)
from redis.sentinel import MasterNotFoundError

from p2pool.broker.problems import FORGET, MAX_REPORTED, MAX_TEXT, Problems, describe


def failed(problems: Problems, error: Exception, operation: str = "append", now: float = 0.0) -> bool:
    text = describe(error, 5.0)
    return problems.failed(error, connection="requests", operation=operation, text=text, now=now)


def succeeded(problems: Problems, operation: str = "append", now: float = 0.0) -> bool:
    return problems.succeeded(connection="requests", operation=operation, now=now)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionError("Error 111 connecting to a:1."), "Error 111 connecting to a:1."),
        (TimeoutError("Timeout reading from socket"), "no answer within 5 s"),
        (
            TimeoutError("Timeout connecting to server"),
            "no answer within 5 s: check host, port and firewall, and whether the server has TLS if the broker's "
            "URL begins with rediss://",
        ),
        (
            AuthenticationError("HELLO must be called with the client already authenticated, otherwise the HELLO"),
            "Redis requires a password; check user and password in the broker's URL",
        ),
        (
            AuthenticationError("Authentication required."),
            "Redis requires a password; check user and password in the broker's URL",
        ),
        (
            ConnectionError("(1, '[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] required')"),
            "(1, '[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] required'); give ?cert=FILE&key=FILE, or set "
            "tls-auth-clients no in Redis",
        ),
        (
            ConnectionError("EOF occurred in violation of protocol (_ssl.c:2427)."),
            "EOF occurred in violation of protocol (_ssl.c:2427).; check whether the server has TLS (rediss://), "
            "and its certificate (?ca=FILE)",
        ),
        (
            MasterNotFoundError("No master found for 'pool'"),
            "No master found for 'pool'; the Sentinels know no such master that is up: wait for a failover, or "
            "check the name at the end of the broker's URL",
        ),
        (
            MasterNotFoundError("No master found for 'pool' : Redis(password=hunter2) - network:ConnectionError"),
            "No master found for 'pool'; no Sentinel answers: check their hosts and ports in the broker's URL",
        ),
        (
            MasterNotFoundError("No master found for 'pool' : Redis(password=hunter2) - auth:AuthenticationError"),
            "No master found for 'pool'; the Sentinels reject the password in the broker's URL (requirepass in "
            "sentinel.conf)",
        ),
        (AuthenticationError("invalid password"), "invalid password; check user and password in the broker's URL"),
        (NoPermissionError("no XADD"), "no XADD; allow it to this user in Redis (ACL SETUSER)"),
        (
            ReadOnlyError("read only"),
            "read only; this is a replica: name the master in the broker's URL, or use redis+sentinel://",
        ),
        (OutOfMemoryError("maxmemory"), "maxmemory; Redis is full: raise its maxmemory"),
        (
            OutOfMemoryError("Command # 1 (HSET key field x) of pipeline caused error: maxmemory"),
            "maxmemory; Redis is full: raise its maxmemory",
        ),
        (
            ConnectionError("[SSL: WRONG_VERSION_NUMBER] wrong"),
            "[SSL: WRONG_VERSION_NUMBER] wrong; check whether the server has TLS (rediss://), and its certificate "
            "(?ca=FILE)",
        ),
        (
            InvalidResponse("Protocol Error: b'HTTP/1.1'"),
            "the server does not answer as Redis does: Protocol Error: b'HTTP/1.1'; check host and port in the "
            "broker's URL",
        ),
        (
            ValueError("no number"),
            "the server does not answer as Redis does: no number; check host and port in the broker's URL",
        ),
        (OSError(), "OSError"),
    ],
)
def test_a_problem_says_what_to_do(error, text):
    assert describe(error, 5.0) == text


def test_what_a_strange_server_answers_is_cut_and_made_printable():
    text = describe(InvalidResponse("\x1b[2J" + "x" * 1_000_000), 5.0)
    assert text.isprintable()
    assert len(text) < MAX_TEXT + 150


def test_before_the_first_answer_there_is_a_problem():
    problems = Problems()
    assert problems.current == "not connected yet"
    assert succeeded(problems) is True
    assert problems.current is None
    assert succeeded(problems) is False


def test_the_first_failure_is_news():
    problems = Problems()
    assert failed(problems, ConnectionError("refused")) is True
    assert problems.current == "refused"


def test_each_text_of_an_outage_is_news_once():
    problems = Problems()
    news = [failed(problems, ConnectionError(text)) for text in ("refused", "reset", "refused", "reset")]
    assert news == [True, True, False, False]
    assert succeeded(problems) is True
    assert failed(problems, ConnectionError("refused")) is True


def test_the_texts_that_are_remembered_are_bounded():
    problems = Problems()
    assert sum(failed(problems, ConnectionError(f"error {number}")) for number in range(100)) == MAX_REPORTED


def test_a_full_broker_stays_a_problem_though_it_can_be_read():
    problems = Problems()
    failed(problems, OutOfMemoryError("full"))
    assert succeeded(problems, "newest") is False
    assert "full" in str(problems.current)
    assert failed(problems, OutOfMemoryError("full"), "put") is False
    assert succeeded(problems, "put") is True  # what was refused is taken: so will be the other one
    assert problems.current is None


def test_a_refusal_that_is_not_repeated_is_forgotten():
    problems = Problems()
    failed(problems, ResponseError("WRONGTYPE"), "lease", now=10.0)
    assert succeeded(problems, now=9.0 + FORGET) is False
    assert succeeded(problems, now=10.0 + FORGET) is True


def test_one_thread_s_connection_says_nothing_about_another_s():
    problems = Problems()
    failed(problems, ConnectionError("refused"))
    assert problems.succeeded(connection="streams", operation="reader", now=0.0) is False
    assert problems.current == "refused"


def test_a_refusal_is_an_answer_the_connection_is_back():
    problems = Problems()
    failed(problems, ConnectionError("refused"))
    failed(problems, ReadOnlyError("replica"))
    assert str(problems.current).startswith("replica")
