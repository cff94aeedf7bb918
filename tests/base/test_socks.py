"""What is said to a SOCKS5 proxy, byte by byte, and which proxies can be named."""

from __future__ import annotations

import random

import pytest

from p2pool.base.errors import OperatorError
from p2pool.base.settings import Given
from p2pool.base.socks import Command, Proxy, SocksError, SocksHandshake, read_proxy

OPEN = Proxy("127.0.0.1", 9050)
LOGIN = Proxy("127.0.0.1", 9050, "me", "secret")
CHANCE = random.Random(1)
GREETING = b"\x05\x02\x00\x02"
DONE = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"
V6 = bytes.fromhex("20010db8000000000000000000000001")
TO_NAME = b"\x05\x01\x00\x03\x0cnode.example\x23\x27"


def said(handshake: SocksHandshake, answers: bytes, size: int) -> bytes:
    output = handshake.begin()
    for at in range(0, len(answers), size):
        output += handshake.receive(answers[at : at + size])
    return output


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("proxy", "host", "command", "answers", "sent", "address"),
    [
        (OPEN, "node.example", Command.CONNECT, b"\x05\x00" + DONE, TO_NAME, "127.0.0.1"),
        (
            OPEN,
            "198.51.100.7",
            Command.CONNECT,
            b"\x05\x00" + DONE,
            b"\x05\x01\x00\x01\xc6\x33\x64\x07\x23\x27",
            None,
        ),
        (OPEN, "2001:db8::1", Command.CONNECT, b"\x05\x00" + DONE, b"\x05\x01\x00\x04" + V6 + b"\x23\x27", None),
        (LOGIN, "node.example", Command.CONNECT, b"\x05\x00" + DONE, TO_NAME, None),
        (
            *(LOGIN, "node.example", Command.CONNECT, b"\x05\x02\x01\x00" + DONE),
            *(b"\x01\x02me\x06secret" + TO_NAME, None),
        ),
        (
            *(OPEN, "node.example", Command.RESOLVE, b"\x05\x00\x05\x00\x00\x04" + V6 + b"\x00\x00"),
            *(b"\x05\xf0" + TO_NAME[2:], "2001:db8::1"),
        ),
        (OPEN, "node.example", Command.CONNECT, b"\x05\x00\x05\x00\x00\x03\x02hi\x00\x00", TO_NAME, ""),
    ],
    ids=["name", "ipv4", "ipv6", "login not asked for", "login", "resolve", "reply with a name"],
)
def test_dialogues(proxy, host, command, answers, sent, address, size):
    handshake = SocksHandshake(proxy, host, 0x2327, command=command, chance=CHANCE)
    assert said(handshake, answers + b"hello", size)[: len(GREETING + sent)] == GREETING + sent
    assert handshake.done
    assert b"hello".startswith(handshake.rest)
    if address is not None:
        assert handshake.address == address


def test_what_follows_the_reply_is_kept():
    handshake = SocksHandshake(OPEN, "node.example", 1, chance=CHANCE)
    said(handshake, b"\x05\x00" + DONE + b"hello", 1000)
    assert handshake.rest == b"hello"


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (b"H", "not a SOCKS5 proxy"),
        (b"\x04\x5b", "not a SOCKS5 proxy"),
        (b"\x05\xff", "another login"),
        (b"\x05\x02\x01\x01", "rejects user and password"),
        (b"\x05\x00\x05\x05", "connection refused"),
        (b"\x05\x00\x05\x04\x00\x01", "host unreachable"),
        (b"\x05\x00\x05\xf2", "reply 0xf2"),
        (b"\x05\x00\x04\x00", "malformed reply"),
        (b"\x05\x00\x05\x00\x00\x02\x00", "malformed reply"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_a_proxy_may_answer_else(answers, why, size):
    handshake = SocksHandshake(LOGIN, "node.example", 1, chance=CHANCE)
    with pytest.raises(SocksError, match=why) as caught:
        said(handshake, answers, size)
    assert not handshake.done
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["", "x" * 256, "ü" * 100])
def test_what_is_no_host(host):
    with pytest.raises(SocksError, match="not the name of a host"):
        SocksHandshake(OPEN, host, 1, chance=CHANCE)


def test_each_connection_has_a_login_of_its_own_unless_one_is_given():
    """Tor then uses another circuit for each."""
    logins = {OPEN.login(CHANCE) for _ in range(5)}
    assert len(logins) == 5
    assert all(user and password for user, password in logins)
    assert LOGIN.login(CHANCE) == (b"me", b"secret")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("socks5://127.0.0.1", OPEN),
        ("socks5h://127.0.0.1:9050/", OPEN),
        ("socks5://me:secret@127.0.0.1:9050", LOGIN),
        ("socks5://a%40b:c%2Fd@[::1]:1080", Proxy("::1", 1080, "a@b", "c/d")),
    ],
)
def test_proxies(url, proxy):
    assert read_proxy(Given("--proxy", url)) == proxy
    assert "@" not in str(proxy)
    assert "secret" not in repr(proxy)


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1:9050", "http://127.0.0.1", "socks4://127.0.0.1", "socks5://", "socks5://h:x"),
        *("socks5://h:99999", "socks5://h/path", "socks5://h?x", "socks5://me@h", f"socks5://me:{'x' * 256}@h"),
    ],
)
def test_what_is_no_proxy(url):
    with pytest.raises(OperatorError, match="socks5://"):
        read_proxy(Given("--proxy", url))
