"""What operators write after --dashd and --merged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import OperatorError
from p2pool.dashd.daemon_url import DaemonUrl, check_zmq_address, parse_daemon_url


def test_user_password_host_and_port():
    url = parse_daemon_url("--dashd", "http://me:p%40ss%3A@10.0.0.7:9998")
    assert url == DaemonUrl("http", "10.0.0.7", 9998, "me", "p@ss:")
    assert url.address(1) == "http://10.0.0.7:9998/"
    assert "p@ss" not in repr(url)


def test_a_cookie_and_all_options():
    url = parse_daemon_url("--dashd", "https://[::1]/?cookie=/var/dash/.cookie&p2p=9999&zmq=tcp://127.0.0.1:28332")
    assert url.cookie == Path("/var/dash/.cookie")
    assert (url.p2p_port, url.zmq, url.user, url.password) == (9999, "tcp://127.0.0.1:28332", None, None)
    assert url.address(19998) == "https://[::1]:19998/"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0.7:9998", "neither http"),
        ("ftp://10.0.0.7", "neither http"),
        ("u:secret@host:9998", "neither http"),
        ("http:/u:secret@host:9998", "names no host"),
        ("http://u:sec/secret@host:9998", "%2F, %3F, %23"),
        ("http://u:1/secret@host:9998", "names no host"),
        ("http://u:1?secret@host:9998", "no option (only"),
        ("http://u:1#secret@host:9998", "names no host"),
        ("http://u:secret@dash_core:9998", "this is not a host name"),
        ("http://u:secret@a..b:9998", "this is not a host name"),
        ("http://u:secret@h\xe9:9998", "this is not a host name"),
        ("http://", "names no host"),
        ("http://u:secret@host:0", "names no host"),
        ("http://u:secret@host:99999", "not a URL"),
        ("http://u:secret@host:9998/wallet", "more than a host"),
        ("http://u:secret@host/?wallet=x", "no option 'wallet'"),
        ("http://u@host", "without a password"),
        ("http://u:secret@host/?cookie=/x", "either user and password"),
        ("http://host/?cookie=", "either user and password"),
        ("http://u:secret@host/?p2p=0", "not a port"),
        ("http://u:secret@host/?p2p=x", "not a port"),
        ("http://u:secret@host/?zmq=ipc:///tmp/x", "tcp://HOST:PORT"),
        ("http://u:se/secret@host:9998", "port between"),
        ("http://u:se?secret@host:9998", "port between"),
        ("http://u:se#secret@host:9998", "port between"),
        ("http://u:se@secret@host:9998/x", "more than a host"),
        ("http://u:secret\n@host:9998/x", "more than a host"),
        ("http://u:secret", "port between"),
        ("http://u:9secret", "port between"),
        ("http://[::1", "not a URL"),
        ("http://[zz]:9998", "not a URL"),
        ("http://host/#x", "more than a host"),
        ("http://u:secret@host/?p2p=1&p2p=99999", "not a port"),
        ("http://u:secret@host/?p2p=٩", "not a port"),
        ("http://u:secret@host/?p2p=" + "9" * 5000, "not a port"),
        ("http://u:secret@host/?p2p", "not a port"),
        ("http://u:1/secret@host:9998", "more than a host"),
        ("http://u:/?secret@host:9998", "there is no option"),
        ("http://u:/?secret=x@host:9998", "there is no option"),
        ("http://u:/?p2p=secret@host:9998", "not a port"),
        ("http://u:/?zmq=secret@host:9998", "tcp://HOST:PORT"),
        ("", "neither http"),
    ],
)
def test_what_is_refused_says_why_and_shows_no_password(text, why):
    with pytest.raises(OperatorError) as caught:
        parse_daemon_url("--dashd", text)
    message = str(caught.value)
    assert message.startswith("--dashd")
    assert why in message
    assert "secret" not in message


def test_a_path_is_taken_as_it_is_written():
    assert parse_daemon_url("--dashd", "http://h/?cookie=/a+b/%2Bc%20d").cookie == Path("/a+b/+c d")


def test_a_password_may_be_empty_or_odd():
    assert parse_daemon_url("--dashd", "http://me:@host").password == ""
    odd = parse_daemon_url("--dashd", "http://%ff:%fe%2f@host").password
    assert odd is not None
    assert odd.encode("utf-8", "surrogateescape") == b"\xfe/"


@pytest.mark.parametrize(
    "text",
    ["tcp://127.0.0.1:28332", "tcp://[::1]:1", "tcp://[2a00::7.7.7.7]:65535", "tcp://dash-node_1.lan:28332"],
)
def test_zmq_addresses(text):
    assert check_zmq_address("--dashd-zmq", text) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "tcp://",
            "tcp://h",
            "tcp://h:",
            "tcp://h:0",
            "tcp://h:65536",
            "tcp://h:1\n",
            "tcp://h:1/x",
            "TCP://h:1",
        ),
        *("ipc:///tmp/x", "tcp://*:1", "tcp://-h:1", "tcp://_:1", "tcp://[]:1", "tcp://[::1:1", "tcp://[::::]:1"),
        *(
            "tcp://[::1%eth0]:1",
            "tcp://[1.2.3.4]:1",
            "tcp://u:p@h:1",
            "tcp://h:١",
            "tcp://h;1.2.3.4:1",
            "tcp://é:1",
        ),
    ],
)
def test_what_is_no_zmq_address(text):
    with pytest.raises(OperatorError, match=r"--dashd-zmq: .* is not tcp://HOST:PORT"):
        check_zmq_address("--dashd-zmq", text)


@given(
    st.text(max_size=50), st.sampled_from(["", "http://", "http://u:", "http://h:1/?p2p=", "http://h/?zmq=tcp://"])
)
def test_any_text_is_a_url_or_an_operators_error(text, start):
    try:
        url = parse_daemon_url("--dashd", start + text)
    except OperatorError:
        return
    assert url.host
    assert url.address(9998).startswith(url.scheme + "://")


@given(st.from_regex(r"[a-zA-Z0-9/?#@:%=&\[\] ]{0,20}", fullmatch=True))
def test_whatever_surrounds_it_a_password_is_never_shown(around):
    with pytest.raises(OperatorError) as caught:
        parse_daemon_url("--dashd", f"http://user:{around}S3CRET@host:1/not/allowed")
    assert "S3CRET" not in str(caught.value)
