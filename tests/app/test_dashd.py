"""Which daemons the configuration names, and with which credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pool.app.config import load_config
from p2pool.app.dashd import daemon_addresses
from p2pool.base.errors import OperatorError
from p2pool.dashd.settings import MAX_DAEMONS

ADDRESS = "yWYgxGLCVD2uLjQP9awGC8Y1TySKxg47yU"


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "dash.conf"
    path.write_text("[regtest]\nrpcuser=me\nrpcpassword=secret\nrpcport=7001\n")
    return path


def addresses(conf: Path, *arguments: str):
    flags = ["--net", "dash_regtest", "-a", ADDRESS, "--dashd-config-path", str(conf), *arguments]
    return daemon_addresses(load_config(flags, conf.parent))


def test_without_a_flag_it_is_the_local_one(conf):
    (only,) = addresses(conf)
    assert (only.url, only.host, only.p2p_port, only.zmq) == ("http://127.0.0.1:7001/", "127.0.0.1", 19899, None)
    credentials = only.credentials.read()
    assert (credentials.user, credentials.password) == ("me", "secret")


def test_the_flags_for_a_single_one(conf):
    (only,) = addresses(
        *(conf, "--dashd-address", "10.0.0.5", "--dashd-rpc-port", "1", "--dashd-p2p-port", "2"),
        *("--dashd-rpc-ssl", "--dashd-zmq", "tcp://10.0.0.5:3", "u", "p"),
    )
    assert (only.url, only.host, only.p2p_port) == ("https://10.0.0.5:1/", "10.0.0.5", 2)
    assert only.zmq == "tcp://10.0.0.5:3"
    assert only.credentials.read().password == "p"


def test_urls_stand_in_its_place(conf, tmp_path):
    cookie = tmp_path / "cookie"
    cookie.write_text("__cookie__:abc")
    first, second, third = addresses(
        *(conf, "--dashd", "http://a:b@h:1/?p2p=2&zmq=tcp://h:3"),
        *("--dashd", f"https://[::1]/?cookie={cookie}", "--dashd", "http://10.0.0.7"),
    )
    assert (first.url, first.host, first.p2p_port, first.zmq) == ("http://h:1/", "h", 2, "tcp://h:3")
    assert first.credentials.read().password == "b"
    assert (second.url, second.host, second.p2p_port) == ("https://[::1]:19898/", "::1", 19899)
    assert second.credentials.read().password == "abc"
    assert third.url == "http://10.0.0.7:19898/"
    assert third.credentials.read().password == "secret"  # as for the local one


@pytest.mark.parametrize(
    "flag",
    [
        ("--dashd-address", "127.0.0.1"),
        ("--dashd-rpc-port", "9"),
        ("--dashd-zmq", "tcp://127.0.0.1:1"),
        ("u", "p"),
    ],
)
def test_urls_stand_beside_it_where_its_flags_are_given_too(conf, flag):
    single, other = addresses(conf, "--dashd", "http://a:b@h:1", *flag)
    assert single.host == "127.0.0.1"
    assert other.host == "h"


def test_a_missing_cookie_is_reported_when_it_is_needed(conf, tmp_path):
    (only,) = addresses(conf, "--dashd", f"http://h/?cookie={tmp_path}/nothing")
    with pytest.raises(OperatorError, match="cannot be read"):
        only.credentials.read()


def test_so_many_daemons_at_most(conf):
    urls = [part for n in range(MAX_DAEMONS + 1) for part in ("--dashd", f"http://a:b@h{n}")]
    with pytest.raises(OperatorError, match="at most 16"):
        addresses(conf, *urls)


@pytest.mark.parametrize(
    "argv",
    [
        ("--dashd", "http://u:p@h:9", "--dashd", "http://u:secret@h:9/"),
        ("--dashd", "http://u:secret@127.0.0.1:7001", "secret"),
    ],
)
def test_one_that_is_named_twice_is_refused(conf, argv):
    """It would be asked twice, and each of its metrics would be there twice, which Prometheus refuses."""
    with pytest.raises(OperatorError, match="more than once") as caught:
        addresses(conf, *argv)
    assert "secret" not in str(caught.value)


def test_simnet_is_embedded_unless_a_daemon_is_named(tmp_path):
    def embeds(*arguments: str) -> bool:
        return load_config(["--net", "simnet", *arguments], tmp_path).embeds_simnet

    assert embeds()
    assert embeds("--dashd-rpc-port", "5")
    assert not embeds("--dashd-address", "127.0.0.1")
    assert not embeds("--dashd", "http://a:b@127.0.0.1:1")
