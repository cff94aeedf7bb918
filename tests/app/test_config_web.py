"""Settings of the web: its port, and access control."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from p2pool.app.config import Config, load_config
from p2pool.base.errors import OperatorError
from p2pool.web.auth import find_key

KEY = "0123456789abcdef"
DATA = Path("/somewhere/data")


def load(*argv: str, **environment: str) -> Config:
    return load_config(["--net", "simnet", *argv], DATA, environment)


def refusal(*argv: str, **environment: str) -> str:
    with pytest.raises(OperatorError) as caught:
        load(*argv, **environment)
    assert caught.value.exit_status == 2
    return str(caught.value)


def test_by_default_the_web_is_on_the_worker_port_and_open():
    config = load()
    assert (config.web_port, config.web_password, config.api_keys, config.api_key_endpoints) == (
        None,
        None,
        (),
        (),
    )
    assert config.web_rate_limit == 200
    assert config.web_trusted_proxy == ()


def test_a_port_of_its_own_plain_or_through_tls():
    assert load("--web-port", "7904").web_port == ("", 7904)
    assert load("--web-port", "[::1]:7904").web_port == ("::1", 7904)
    config = load("--web-port", "1", "--web-ssl-cert", "c.pem", "--web-ssl-key", "k.pem")
    assert (config.web_ssl_cert, config.web_ssl_key, config.web_ssl_self_signed) == (
        Path("c.pem"),
        Path("k.pem"),
        False,
    )
    assert load("--web-port", "1", "--web-ssl-self-signed").web_ssl_self_signed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--web-ssl-self-signed"], ["--web-ssl-self-signed without --web-port"]),
        (["--web-ssl-cert", "c", "--web-ssl-key", "k"], ["--web-ssl-cert without --web-port"]),
        (["--web-port", "1", "--web-ssl-cert", "c"], ["--web-ssl-cert", "--web-ssl-key", "both"]),
        (["--web-port", "1", "--web-ssl-key", "k", "--web-ssl-self-signed"], ["both"]),
        (["--web-port", "x"], ["--web-port x", "ADDR:PORT"]),
        (["--web-port", "65536"], ["--web-port 65536"]),
        (["--web-trusted-proxy", "nginx"], ["--web-trusted-proxy nginx", "192.168.0.0/16"]),
        (
            ["--web-host", "https://pool.example.org"],
            ["--web-host 'https://pool.example.org'", "without https://"],
        ),
        (["--web-host", "pool.example.org:443"], ["--web-host 'pool.example.org:443'", "and port"]),
        (["--web-host", "*.example.org"], ["--web-host '*.example.org'"]),
        (["--web-host", ""], ["--web-host ''"]),
        (["--web-rate-limit", "-1"], ["--web-rate-limit -1", "between 0"]),
        (["--web-rate-limit", "nan"], ["--web-rate-limit nan"]),
        (["--web-password", "nocolon"], ["--web-password", "USER:PASSWORD"]),
        (["--api-key", "short"], ["--api-key", "16 to 256"]),
        (["--api-key-file", "/nowhere/keys"], ["--api-key-file", "/nowhere/keys", "No such file"]),
        (["--api-key-endpoints", "/metrics"], ["--api-key-endpoints", "--api-key KEY", "P2POOL_API_KEYS"]),
        (["--api-key", KEY, "--api-key-endpoints", "metrics"], ["--api-key-endpoints metrics", "slash"]),
        (["--api-key", KEY, "--api-key-endpoints", "/a,,/b"], ["--api-key-endpoints /a,,/b"]),
        (["--api-key", KEY, "--api-key-endpoints", ""], ["--api-key-endpoints"]),
    ],
)
def test_settings_that_make_no_sense(arguments, words):
    text = refusal(*arguments)
    for word in words:
        assert word in text


def test_keys_come_from_flags_file_and_environment_and_are_kept_hashed(tmp_path):
    (tmp_path / "keys").write_text(f"{KEY}-file\n")
    config = load(
        *("--api-key", f"{KEY}-flag", "--api-key", f"{KEY}-too", "--api-key-file", str(tmp_path / "keys")),
        *("--api-key-endpoints", "/metrics, /api/v1/*"),
        P2POOL_API_KEYS=f"{KEY}-one,{KEY}-two",
    )
    for name in ("flag", "too", "file", "one", "two"):
        assert find_key(config.api_keys, f"{KEY}-{name}".encode()) is not None
    assert len(config.api_keys) == 5
    assert config.api_key_endpoints == ("/metrics", "/api/v1/*")
    assert KEY not in repr(config)
    assert refusal(P2POOL_API_KEYS="short").startswith("P2POOL_API_KEYS: ")


def test_the_password_is_not_shown():
    config = load("--web-password", "me:topsecret:x")
    assert config.web_password is not None
    assert config.web_password.matches(b"me:topsecret:x")
    assert "topsecret" not in repr(config)
    # Each start has a salt of its own.
    other = load("--web-password", "me:topsecret:x").web_password
    assert other is not None
    assert other.digest != config.web_password.digest


def test_trusted_proxies():
    config = load("--web-trusted-proxy", "10.1.2.3/8", "--web-trusted-proxy", "2001:db8::1")
    assert config.web_trusted_proxy == (ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128"))
