"""The settings of the miners' ports: their defaults, their limits, and which of them belong together."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from p2pool.app.config import Config, load_config
from p2pool.base.errors import OperatorError

DATA = Path("/somewhere/data")


def load(*argv: str) -> Config:
    return load_config(("--net", "simnet", *argv), DATA)


def refusal(*argv: str) -> str:
    with pytest.raises(OperatorError) as caught:
        load(*argv)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_status == 2
    return text


def test_the_defaults_are_those_of_the_protocol_description():
    config = load()
    assert (config.max_difficulty, config.share_rate) == (1_000_000, 10)
    assert (config.max_connections, config.max_connections_per_ip) == (10_000, 1000)
    assert (config.session_timeout, config.login_time, config.ban_duration) == (3600, 30, 300)
    assert (config.max_line, config.max_unsent, config.keepalive) == (8 << 10, 256 << 10, 60)
    assert config.stratum_proxy_protocol == config.ban_allow == ()
    assert config.stratum_ssl_port is None
    assert not config.ssl_self_signed


@pytest.mark.parametrize(
    ("flag", "low", "high"),
    [
        ("--max-connections", 1, 1_000_000),
        ("--max-connections-per-ip", 1, 1_000_000),
        ("--session-timeout", 0, 30 * 86400),
        ("--ban-duration", 1, 366 * 86400),
        ("--login-time", 1, 3600),
        ("--max-line", 1024, 1 << 20),
        ("--max-unsent", 16384, 1 << 30),
        ("--keepalive", 5, 7200),
    ],
)
def test_limits_have_limits(flag, low, high):
    name = flag[2:].replace("-", "_")
    for value in (low, high):
        assert getattr(load(flag, str(value)), name) == value
    for value in (low - 1, high + 1):
        text = refusal(f"{flag}={value}")
        assert text.startswith(f"{flag} ")
        assert f"between {low} and {high}" in text


def test_the_lowest_difficulty_is_not_above_the_highest():
    assert load("--min-difficulty", "5", "--max-difficulty", "5").max_difficulty == 5
    text = refusal("--min-difficulty", "6", "--max-difficulty", "5")
    assert "--min-difficulty 6" in text
    assert "--max-difficulty 5" in text
    assert "--max-difficulty 1000000" in refusal("--min-difficulty", "2e6")


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--stratum-proxy-protocol", "stratum_proxy_protocol"),
        ("--ban-allow", "ban_allow"),
    ],
)
def test_networks_may_be_given_several_times_and_as_addresses(flag, name):
    config = load(flag, "10.1.2.3/8", flag, "2001:db8::1")
    assert getattr(config, name) == (ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128"))
    for wrong in ("example.com", "10.0.0.0/33", "10.0.0"):
        text = refusal(flag, wrong)
        assert text.startswith(f"{flag} {wrong}: ")


def test_a_tls_port_and_where_it_listens():
    both = ("--ssl-cert", "c.pem", "--ssl-key", "k.pem")
    config = load("--stratum-ssl-port", "7904", *both)
    assert config.stratum_ssl_port == ("", 7904)
    assert (config.ssl_cert, config.ssl_key) == (Path("c.pem"), Path("k.pem"))
    config = load("--stratum-ssl-port", "[::1]:7904", "--ssl-self-signed")
    assert config.stratum_ssl_port == ("::1", 7904)
    assert config.ssl_cert is None
    assert config.ssl_self_signed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stratum-ssl-port", "1"], ["--stratum-ssl-port", "--ssl-cert", "--ssl-self-signed"]),
        (["--stratum-ssl-port", "1", "--ssl-cert", "c"], ["--ssl-cert", "--ssl-key", "both"]),
        (["--stratum-ssl-port", "1", "--ssl-key", "k"], ["--ssl-cert", "--ssl-key", "both"]),
        (["--stratum-ssl-port", "1", "--ssl-key", "k", "--ssl-self-signed"], ["both"]),
        (["--ssl-cert", "c", "--ssl-key", "k"], ["--ssl-cert without --stratum-ssl-port"]),
        (["--ssl-self-signed"], ["--ssl-self-signed without --stratum-ssl-port"]),
        (["--stratum-ssl-port", "x", "--ssl-self-signed"], ["--stratum-ssl-port x", "ADDR:PORT"]),
        (["--stratum-ssl-port", "65536", "--ssl-self-signed"], ["--stratum-ssl-port 65536"]),
    ],
)
def test_tls_settings_that_do_not_fit_together(arguments, words):
    text = refusal(*arguments)
    for word in words:
        assert word in text
