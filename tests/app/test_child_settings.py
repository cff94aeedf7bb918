"""What a gateway that the node starts is given, and what it is not given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from p2pool.app.child_settings import child_command, passed_environment
from p2pool.app.config import Config, load_config
from p2pool.app.dashd import daemon_addresses
from p2pool.app.gateway import GatewayApp
from p2pool.base.errors import OperatorError
from tests.environment import make_environment

DATA = Path("/somewhere/data")
REAL = ("--net", "dash")
"""A network whose daemon is on this machine by default."""
SECRETS = {
    "P2POOL_BROKER": "redis://:broker-secret@h",
    "P2POOL_DASHD_URLS": "http://u:dashd-secret@h1:1 http://h2:2/?cookie=/my%20dir/c",
    "P2POOL_API_KEYS": "a" * 16,
    "P2POOL_WEB_PASSWORD": "admin:web-secret",
    "PGPASSWORD": "database-secret",
    "NOTIFY_SOCKET": "/run/systemd/notify",
}


def node(*flags: str, environment: dict[str, str] | None = None) -> Config:
    return load_config(
        ["--net", "simnet", "--broker", "redis://h", "--web-port", "127.0.0.1:7900", "--gateways", "2", *flags],
        DATA,
        environment or {},
    )


@dataclass(frozen=True)
class Child:
    """A gateway's command, and what it makes of it."""

    config: Config
    line: str
    environment: dict[str, str]


def child(config: Config, number: int = 1, port: int = 7903, tls_port: int | None = None) -> Child:
    command = child_command(config, number, port=port, tls_port=tls_port, environment={"HOME": "/h", **SECRETS})
    word, *arguments = command.arguments
    assert word == "gateway"
    return Child(load_config(arguments, DATA, command.environment), " ".join(arguments), command.environment)


def test_a_child_has_the_node_s_settings_of_miners_and_places_of_its_own():
    flags = ("--share-rate", "5", "--ban-allow", "10.0.0.0/8", "--ban-allow", "::1", "--debug")
    config = node(*flags, "-w", "127.0.0.1:0", "--datadir", "/d")
    one, two = (child(config, number).config for number in (1, 2))
    for each in (one, two):
        assert (each.share_rate, each.ban_allow, each.debug) == (5, config.ban_allow, True)
        assert (each.network, each.broker) == (config.network, config.broker)
        assert (each.worker_endpoint, each.gateways) == (("127.0.0.1", 7903), 0)
        assert (each.share_port, each.supervised, each.no_console, each.take_over) == (True,) * 4
        assert each.gateway_name is not None
        GatewayApp(each, make_environment())
    assert one.datadir == Path("/d/simnet/gateways/1/simnet")
    assert one.log_path == Path("/d/simnet/gateways/1/log")
    assert len({config.datadir, one.datadir, two.datadir}) == 3
    assert len({config.log_path, one.log_path, two.log_path}) == 3
    assert one.gateway_name != two.gateway_name


def test_values_that_begin_with_a_dash_and_interfaces_of_ipv6():
    assert child(node("--max-difficulty=1e9", "-w", "[::1]:7903")).config.worker_endpoint == ("::1", 7903)


def test_settings_of_a_file_reach_a_child_without_the_file(tmp_path):
    path = tmp_path / "p2pool.toml"
    path.write_text('share-rate = 7\nweb-password = "admin:file-secret"\nmax-connections-per-ip = 9\n')
    one = child(node("--config", str(path), "--max-connections-per-ip", "8"))
    assert (one.config.share_rate, one.config.max_connections_per_ip) == (7, 8)
    assert str(path) not in one.line
    assert one.config.web_password is None


def test_secrets_are_never_on_the_command_line_and_only_those_that_it_uses_are_in_its_environment(tmp_path):
    urls = tmp_path / "urls"
    urls.write_text("http://u:file-secret@h3:3\n")
    config = load_config(
        [
            *(*REAL, "--web-port", "7900", "--gateways", "2", "--dashd-file", str(urls), "--dashd-rpc-port", "9"),
            *("--alert-url", "tgram://1:alert-secret/2", "rpcuser", "rpc-secret"),
        ],
        DATA,
        SECRETS,
    )
    one = child(config)
    assert "secret" not in one.line
    assert set(one.environment) == {"HOME", "P2POOL_BROKER", "P2POOL_DASHD_URLS", "P2POOL_RPC_PASSWORD"}
    for word in ("web-secret", "alert-secret", "database-secret", "a" * 16):
        assert word not in "".join(one.environment.values())
    assert one.config.broker == config.broker
    assert daemon_addresses(one.config, local=False) == daemon_addresses(config)
    assert "secret" not in repr(config)
    assert "secret" not in repr(child_command(config, 1, port=1, tls_port=None))


def test_the_dashd_on_this_machine_is_the_child_s_too():
    config = load_config([*REAL, "--web-port", "7900", "--gateways", "4", "--broker", "redis://h"], DATA, {})
    assert not config.names_daemons
    one = child(config).config
    assert daemon_addresses(one, local=False) == daemon_addresses(config)
    assert one.broadcaster_max_peers == config.broadcaster_max_peers // 4


@pytest.mark.parametrize(("given", "count", "own"), [("20", "2", 10), ("20", "64", 2), ("1", "2", 1)])
def test_children_have_the_nodes_of_the_network_among_them(given, count, own):
    flags = ("--dashd", "http://u:p@h:1", "--broadcaster-max-peers", given, "--gateways", count)
    assert child(node(*flags)).config.broadcaster_max_peers == own
    assert child(node(*flags, "--disable-broadcaster")).config.disable_broadcaster is True


def test_the_simulated_network_in_the_node_is_not_for_children():
    one = child(node("--dashd-rpc-port", "1000", "--simnet-miners", "2")).config
    assert daemon_addresses(one, local=False) == []


def test_white_space_in_a_url_does_not_separate_urls():
    one = child(node("--dashd", "http://h:1/?cookie=/my dir/c", "--dashd", "http://u:p@h:2"))
    assert [str(each.cookie) for each in one.config.dashd] == ["/my dir/c", "None"]


def test_of_the_node_s_environment_a_child_gets_what_programs_need():
    needed = {"PATH": "/bin", "LC_ALL": "C", "PYTHONHASHSEED": "0", "HOME": "/h", "TZ": "UTC"}
    assert passed_environment(needed | SECRETS) == needed
    assert "PATH" in passed_environment(os.environ)


def test_children_use_one_certificate():
    config = node("--stratum-ssl-port", "0", "--ssl-self-signed")
    one = child(config, tls_port=7904).config
    assert one.stratum_ssl_port == ("", 7904)
    assert one.ssl_cert == config.datadir / "stratum-cert.pem"
    own = node("--stratum-ssl-port", "[::1]:0", "--ssl-cert", "/c.pem", "--ssl-key", "/k.pem")
    assert child(own, tls_port=7904).config.ssl_cert == Path("/c.pem")
    assert child(own, tls_port=7904).config.stratum_ssl_port == ("::1", 7904)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--gateways", "2", "--web-port", "1"), "--gateways needs --broker"),
        (("--gateways", "2", "--broker", "redis://h"), "give --web-port"),
        (("--gateways", "65", "--broker", "redis://h", "--web-port", "1"), "between 0 and 64"),
        (("--gateway-name", ""), "printable"),
        (("--gateway-name", "a\tb"), "printable"),
    ],
)
def test_settings_that_make_no_sense(flags, text):
    with pytest.raises(OperatorError, match=text):
        load_config(["--net", "simnet", *flags], DATA, {})


def test_a_gateway_starts_no_gateways():
    with pytest.raises(OperatorError, match="leave it out"):
        GatewayApp(node(), make_environment())
