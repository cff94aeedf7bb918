"""What operators write after --dashd and --merged."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pool.base.errors import OperatorError
from p2pool.dashd.daemon_url import DaemonUrl, parse_daemon_url


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
    ],
)
def test_what_is_refused_says_why_and_shows_no_password(text, why):
    with pytest.raises(OperatorError) as caught:
        parse_daemon_url("--dashd", text)
    message = str(caught.value)
    assert message.startswith("--dashd")
    assert why in message
    assert "secret" not in message
