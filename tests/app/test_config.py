"""Flags and TOML: what wins, what is refused with which sentence, and that secrets are not shown."""

from __future__ import annotations

import platform
import random
import sys
from importlib import metadata
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.hazmat.backends.openssl import backend
from hypothesis import example, given
from hypothesis import strategies as st

from p2pool import __version__
from p2pool.alerts.channel import Destination, DestinationKind
from p2pool.alerts.settings import AlertSettings
from p2pool.app import cli, process
from p2pool.app.compiled import describe
from p2pool.app.config import SIMNET_ADDRESS, Config, load_config
from p2pool.app.payouts import payout_addresses
from p2pool.app.settings import all_settings, flag_names
from p2pool.base.errors import OperatorError
from p2pool.base.hosts import NetworkKind
from p2pool.base.socks import Proxy
from p2pool.broker.settings import BrokerAddress
from p2pool.dash.address import encode_address
from p2pool.dash.pow import PROVIDER
from p2pool.dashd.daemon_url import DaemonUrl
from p2pool.dashd.payout_addresses import PayoutMode
from p2pool.history.database import parse_database_location
from p2pool.networks import DASH, DASH_REGTEST, NETWORKS, SIMNET
from p2pool.pool_stats import EventKind

KEY_HASH = bytes(range(20))
MAIN = encode_address(DASH.parent.addresses.pubkey_hash, KEY_HASH)
TEST = encode_address(DASH_REGTEST.parent.addresses.pubkey_hash, KEY_HASH)
P2SH = encode_address(DASH.parent.addresses.script_hash, KEY_HASH)
DATA = Path("/somewhere/data")


def load(*argv: str) -> Config:
    return load_config(argv, DATA)


def refusal(*argv: str) -> str:
    with pytest.raises(OperatorError) as caught:
        load(*argv)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_status == 2
    return text


@pytest.fixture
def toml(tmp_path):
    """Writes a file and gives the flags that name it."""

    def write(text: str) -> tuple[str, str]:
        path = tmp_path / "p2pool.toml"
        path.write_text(text, "utf-8")
        return "--config", str(path)

    return write


def test_defaults():
    config = load("-a", MAIN)
    assert config == Config(
        network=DASH,
        payout_address=MAIN,
        key_hash=KEY_HASH,
        datadir=DATA / "dash",
        stats_db=parse_database_location("--stats-db", str(DATA / "dash" / "history.sqlite")),
        worker_endpoint=("", 7903),
        p2pool_endpoint=("", 8999),
    )
    assert (config.fee, config.give_author, config.share_rate) == (0, 1, 10)
    assert config.donation == 655
    assert not config.embeds_simnet


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_has_ports_and_a_directory_of_its_own(name):
    network = NETWORKS[name]
    address = encode_address(network.parent.addresses.pubkey_hash, KEY_HASH)
    config = load("--net", name, "-a", address)
    assert (config.worker_port, config.p2pool_port) == (network.worker_port, network.p2p_port)
    assert config.datadir == DATA / name
    assert config.key_hash == KEY_HASH


def test_simnet_needs_nothing_and_embeds_its_dashd_unless_one_is_named():
    config = load("--net", "simnet")
    assert (config.network, config.payout_address) == (SIMNET, SIMNET_ADDRESS)
    assert config.embeds_simnet
    assert not load("--net", "simnet", "--dashd-address", "127.0.0.1").embeds_simnet


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["-a", TEST], "not an address of the network dash"),
        (["-a", P2SH], "P2SH"),
        (["-a", MAIN[:-1] + "1"], "checksum"),
        (["-a", "me"], "25 bytes"),
        (["-a", ""], "25 bytes"),
        (["-a", MAIN + "."], "base58"),
        (["--net", "dash_regtest", "-a", MAIN], "not an address of the network dash_regtest"),
    ],
)
def test_a_payout_address_that_cannot_be_paid(arguments, part):
    text = refusal(*arguments)
    assert part in text
    assert arguments[-1] in text
    assert "dynamic" in text


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "simnet"])
def test_without_an_address_dashd_s_wallet_is_asked(name):
    config = load("--net", name)
    assert config.payout_mode is PayoutMode.WALLET
    assert (config.payout_address, config.key_hash) == (None, None)
    assert list(payout_addresses(config, random.Random(1)).addresses) == []
    assert payout_addresses(config, random.Random(1)).wanted == 1


@pytest.mark.parametrize("name", list(NETWORKS))
def test_fresh_addresses(name, toml):
    config = load("--net", name, "-a", "dynamic")
    assert config.payout_mode is PayoutMode.DYNAMIC
    assert (config.payout_address, config.key_hash) == (None, None)
    assert (config.numaddresses, config.timeaddresses) == (2, 172_800)
    asked = load("--net", name, "-a", "dynamic", "-i", "7", "-t", "60.5")
    assert (asked.numaddresses, asked.timeaddresses) == (7, 60.5)
    assert asked == load("--net", name, "--address=dynamic", "--numaddresses=7", "--timeaddresses=60.5")
    text = 'address = "dynamic"\nnumaddresses = 7\ntimeaddresses = 60.5'
    assert asked == load(*toml(text), "--net", name)
    payouts = payout_addresses(asked, random.Random(1))
    assert (payouts.wanted, list(payouts.addresses)) == (7, [])


def test_a_given_address_is_the_only_one():
    (own,) = payout_addresses(load("-a", MAIN), random.Random(1)).addresses
    assert (own.address, own.key_hash) == (MAIN, KEY_HASH)
    (own,) = payout_addresses(load("--net", "simnet"), random.Random(1)).addresses
    assert own.address == SIMNET_ADDRESS
    assert load("--net", "simnet").payout_mode is PayoutMode.GIVEN


@pytest.mark.parametrize("others", [(), ("-a", MAIN)])
def test_numbers_of_fresh_addresses_without_any_may_be_out_of_range(others):
    """Legacy p2pool-dash took any number there, so command lines with one must still start the node."""
    config = load("-i", "0", "-t", "1e12", *others)
    assert (config.numaddresses, config.timeaddresses) == (2, 172_800)
    assert [notice.partition(" ")[0] for notice in config.notices] == ["-i/--numaddresses", "-t/--timeaddresses"]
    assert "not a whole number" in refusal("-i", "many", *others)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["-a", "dynamic", "-i", "0"], "--numaddresses 0: must be between 1 and 100"),
        (["-a", "dynamic", "-i", "101"], "--numaddresses 101"),
        (["-a", "dynamic", "-t", "0.5"], "--timeaddresses 0.5: must be between 1 and"),
        (["-a", "dynamic", "-t", "nan"], "--timeaddresses nan"),
        (["-a", "dynamic", "-t", "inf"], "--timeaddresses inf"),
        (["-a", "Dynamic"], "'dynamic'"),
    ],
)
def test_what_cannot_be_with_fresh_addresses(arguments, part):
    assert part in refusal(*arguments)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--fee", "-1"], "--fee -1: must be between 0 and 100"),
        (["--fee", "100.1"], "--fee"),
        (["--fee", "nan"], "--fee"),
        (["--give-author", "101"], "--give-author"),
        (["--share-rate", "0"], "--share-rate"),
        (["--share-rate", "inf"], "--share-rate"),
        (["--simnet-miners", "65"], "--simnet-miners"),
        (["--simnet-miners", "1"], "--simnet-miners is for --net simnet"),
        (["--simnet-block-period", "0"], "--simnet-block-period"),
        (["--simnet-hash-rate", "0"], "--simnet-hash-rate"),
        (["--simnet-rules", "v25"], "--simnet-rules: v25 is not v23, v24 or v24@HEIGHT"),
        (["--simnet-rules", "v23@5"], "--simnet-rules: v23@5 is not v23, v24 or v24@HEIGHT"),
        (["--simnet-rules", "v24@0"], "--simnet-rules: 0 is not a height from 1 to 10000000"),
        (["--simnet-rules", "v24@"], "--simnet-rules: nothing is not a height"),
        (["--max-conns", "-1"], "--max-conns -1: must be between 0 and 1000"),
        (["--outgoing-conns", "101"], "--outgoing-conns 101: must be between 0 and 100"),
        (["--metrics-max-workers", "1001"], "--metrics-max-workers 1001: must be between 0 and 1000"),
        (["--dashd-rpc-port", "65536"], "--dashd-rpc-port 65536"),
        (["--dashd-p2p-port", "-5"], "--dashd-p2p-port"),
        (["-w", "65536"], "ADDR:PORT"),
        (["-w", "host:"], "ADDR:PORT"),
        (["-w", "port"], "ADDR:PORT"),
        (["-w", ""], "ADDR:PORT"),
        (["-w", "\u00b2"], "ADDR:PORT"),
        (["-w", "9" * 5000], "ADDR:PORT"),
        (["--web-static", "/no/such/place"], "not a directory"),
        (["-w", "::1"], "-w/--worker-port ::1: give PORT or ADDR:PORT, an IPv6 address in brackets: [::1]:7903"),
        (["-w", "[::1"], "give PORT or ADDR:PORT"),
        (["--p2pool-port", "[a.example]:1"], "--p2pool-port [a.example]:1: give PORT or ADDR:PORT"),
        (["--ws-allow-origin", "example.org"], "--ws-allow-origin example.org: give a site like https://"),
        (["--ws-allow-origin", "https://example.org/page"], "give a site like https://"),
        (["--datadir", "~nobody-of-this-name/x"], "--datadir ~nobody-of-this-name/x"),
        (["--logfile", "~nobody-of-this-name/x"], "--logfile"),
        (["a", "b", "c"], "3 RPC arguments"),
    ],
)
def test_values_out_of_range(arguments, part):
    assert part in refusal("-a", MAIN, *arguments)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--dashd", "http://u:p@h", "--simnet-miners", "1"], "--simnet-miners is for the simulated Dash Core"),
        (["--dashd", "http://u:p@h", "--simnet-miners", "2"], "which --dashd replaces"),
        (["--dashd-address", "h", "--simnet-block-period", "5"], "which --dashd-address replaces"),
        (["--dashd-address", "h", "--simnet-rules", "v24"], "which --dashd-address replaces"),
    ],
)
def test_flags_of_the_simulation_that_is_not_there_do_not_pass_in_silence(arguments, part):
    assert part in refusal("--net", "simnet", *arguments)


def test_no_miners_are_fine_on_any_network(tmp_path):
    for more in (["--net", "simnet", "--dashd", "http://u:p@h"], ["-a", MAIN]):
        assert load_config([*more, "--simnet-miners", "0"], tmp_path).simnet_miners == 0


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("1234", ("", 1234)),
        ("0", ("", 0)),
        (":1234", ("", 1234)),
        ("10.0.0.1:1234", ("10.0.0.1", 1234)),
        ("[::1]:1234", ("::1", 1234)),
    ],
)
def test_where_to_listen(text, endpoint):
    config = load("-a", MAIN, "-w", text)
    assert (config.worker_host, config.worker_port) == endpoint


@given(st.text(max_size=12))
@example("--")
def test_any_text_for_the_worker_port_is_taken_or_refused_in_words(text):
    try:
        port, sentence = load("-a", MAIN, f"--worker-port={text}").worker_port, None
    except OperatorError as error:
        port, sentence = 0, str(error)
    assert sentence is None or "--worker-port" in sentence
    assert 0 <= port <= 65535


@pytest.mark.parametrize(("percent", "donation"), [("0", 0), ("0.5", 328), ("100", 65535)])
def test_the_donation_field(percent, donation):
    assert load("-a", MAIN, "--give-author", percent).donation == donation


def test_paths_may_start_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pages").mkdir()
    (tmp_path / "c.toml").write_text('datadir = "~/d"')
    config = load(
        "-a", MAIN, "--config=~/c.toml", "--web-static=~/pages", "--dashd-config-path=~/x", "--logfile=~/l"
    )
    assert config.datadir == tmp_path / "d" / "dash"
    assert (config.web_static, config.logfile) == (tmp_path / "pages", tmp_path / "l")
    assert config.dashd_config_path == tmp_path / "x"


# --- TOML ------------------------------------------------------------------------------------------------------


def test_a_file_may_set_everything(toml, tmp_path):
    (tmp_path / "keys").write_text("f" * 16)
    config = load(
        *toml(f"""
            net = "dash_regtest"
            address = "{TEST}"
            datadir = "{tmp_path}"
            logfile = "{tmp_path}/log"
            log-format = "json"
            debug = true
            bench = false
            give-author = 2
            fee = 0.5
            share_rate = 5.5
            worker-port = "0.0.0.0:7"
            p2pool-port = "127.0.0.1:8"
            p2pool-node = ["a.example", "[::1]:9"]
            bootstrap = ["b.example:8", "::2"]
            connect-only = true
            max-conns = 5
            outgoing-conns = 3
            external-ip = "203.0.113.5:77"
            peer-patience = 90
            proxy = "socks5://me:secret@127.0.0.1"
            onlynet = ["ipv6", "onion"]
            dashd-proxy = "socks5://[::1]:1080"
            onion = true
            onion-stratum = true
            onion-web = true
            tor-control = "192.168.0.2"
            tor-control-password = "of tor"
            disable-advertise = true
            disable-upnp = true
            start-difficulty = 8
            min-difficulty = 0.5
            max-difficulty = 1e5
            max-connections = 200
            max-connections-per-ip = 20
            session-timeout = 60
            ban-duration = 30
            ban-allow = ["10.0.0.0/8", "2001:db8::1"]
            login-time = 12
            max-line = 4096
            max-unsent = 65536
            keepalive = 30
            stratum-ssl-port = "127.0.0.1:11"
            ssl-cert = "{tmp_path}/cert"
            ssl-key = "{tmp_path}/key"
            ssl-self-signed = true
            stratum-proxy-protocol = ["192.0.2.1"]
            web-static = "{tmp_path}"
            web-port = "[::1]:12"
            web-ssl-cert = "{tmp_path}/web-cert"
            web-ssl-key = "{tmp_path}/web-key"
            web-ssl-self-signed = true
            web-password = "me:secret"
            web-trusted-proxy = ["192.0.2.2", "2001:db8::/32"]
            web-host = ["Pool.Example.org", "node"]
            web-rate-limit = 5
            api-key = ["0123456789abcdef", "{"k" * 20}"]
            api-key-file = "{tmp_path}/keys"
            api-key-endpoints = "/metrics, /api/v1/*"
            webhook = ["https://a.example/hook"]
            webhook-events = "ban, node_up"
            webhook-allow-private = true
            ws-allow-origin = ["https://a.example", "http://[::1]:8080"]
            import-shares = "{tmp_path}/old"
            disable-share-archive = true
            no-console = true
            metrics-max-workers = 12
            dashd-address = "h"
            dashd-rpc-port = 9
            dashd-rpc-ssl = true
            dashd-p2p-port = 10
            dashd-config-path = "{tmp_path}/dash.conf"
            dashd-zmq = "tcp://127.0.0.1:28332"
            dashd = ["http://a:b@c:1/?p2p=2", "https://d"]
            broadcaster-max-peers = 7
            disable-broadcaster = true
            rpcuser = "-u"
            rpcpassword = 1234
            merged = ["http://u:p@127.0.0.1:12", "https://h:13?cookie=/c"]
            simnet-miners = 0
            simnet-hash-rate = 5000
            simnet-block-period = 7.5
            simnet-rules = "v24@150"
            stats-db = "postgresql://u:p@h/d"
            broker = "rediss://u:p@h:7/3"
            gateway-name = "north"
            gateways = 2
            share-port = true
            supervised = true
            stats-retention = 400
            stats-node = "home-1"
        """)
    )
    assert config == Config(
        network=DASH_REGTEST,
        payout_address=TEST,
        key_hash=KEY_HASH,
        datadir=tmp_path / "dash_regtest",
        logfile=tmp_path / "log",
        log_format="json",
        debug=True,
        bench=False,
        worker_endpoint=("0.0.0.0", 7),
        p2pool_endpoint=("127.0.0.1", 8),
        p2pool_nodes=(("a.example", 0), ("::1", 9)),
        bootstrap=(("b.example", 8), ("::2", 0)),
        max_conns=5,
        outgoing_conns=3,
        connect_only=True,
        external_ip=("203.0.113.5", 77),
        peer_patience=90,
        proxy=Proxy("127.0.0.1", 9050, "me", "secret"),
        onlynet=frozenset({NetworkKind.IPV6, NetworkKind.ONION}),
        dashd_proxy=Proxy("::1", 1080),
        onion=True,
        onion_stratum=True,
        onion_web=True,
        tor_control=("192.168.0.2", 9051),
        tor_control_password="of tor",
        disable_advertise=True,
        disable_upnp=True,
        fee=0.5,
        give_author=2,
        share_rate=5.5,
        start_difficulty=8,
        min_difficulty=0.5,
        max_difficulty=1e5,
        max_connections=200,
        max_connections_per_ip=20,
        session_timeout=60,
        ban_duration=30,
        ban_allow=(ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128")),
        login_time=12,
        max_line=4096,
        max_unsent=65536,
        keepalive=30,
        stratum_ssl_port=("127.0.0.1", 11),
        ssl_cert=tmp_path / "cert",
        ssl_key=tmp_path / "key",
        ssl_self_signed=True,
        stratum_proxy_protocol=(ip_network("192.0.2.1/32"),),
        web_static=tmp_path,
        metrics_max_workers=12,
        web_port=("::1", 12),
        web_ssl_cert=tmp_path / "web-cert",
        web_ssl_key=tmp_path / "web-key",
        web_ssl_self_signed=True,
        web_password=config.web_password,
        web_trusted_proxy=(ip_network("192.0.2.2"), ip_network("2001:db8::/32")),
        web_host=frozenset({"pool.example.org", "node"}),
        web_rate_limit=5,
        api_keys=config.api_keys,
        api_key_endpoints=("/metrics", "/api/v1/*"),
        alerts=AlertSettings(
            destinations=(
                Destination(
                    "webhook-a.example",
                    DestinationKind.WEBHOOK,
                    "a.example",
                    "https://a.example/hook",
                    frozenset({EventKind.BAN, EventKind.NODE_UP}),
                ),
            ),
            allow_private=True,
        ),
        ws_allow_origin=frozenset({"https://a.example", "http://[::1]:8080"}),
        import_shares=tmp_path / "old",
        disable_share_archive=True,
        no_console=True,
        dashd_address="h",
        dashd_rpc_port=9,
        dashd_rpc_ssl=True,
        dashd_p2p_port=10,
        dashd_config_path=tmp_path / "dash.conf",
        rpc_arguments=("-u", "1234"),
        dashd_zmq="tcp://127.0.0.1:28332",
        dashd=(DaemonUrl("http", "c", 1, "a", "b", p2p_port=2), DaemonUrl("https", "d", None)),
        broadcaster_max_peers=7,
        disable_broadcaster=True,
        merged=(
            DaemonUrl("http", "127.0.0.1", 12, "u", "p"),
            DaemonUrl("https", "h", 13, cookie=Path("/c")),
        ),
        simnet_miners=0,
        simnet_hash_rate=5000,
        simnet_block_period=7.5,
        simnet_rules="v24@150",
        stats_db=parse_database_location("", "postgresql://u:p@h/d"),
        broker=BrokerAddress(hosts=(("h", 7),), database=3, tls=True, user="u", password="p"),
        gateway_name="north",
        gateways=2,
        share_port=True,
        supervised=True,
        given=config.given,
        notices=(
            "--bootstrap has no effect with --connect-only: the node looks for no other nodes",
            "--proxy: the broker at h is connected to directly",
            "--proxy: the database of --stats-db is connected to directly",
        ),
        stats_retention=400,
        stats_node="home-1",
    )
    assert config.web_password is not None
    assert config.web_password.matches(b"me:secret")
    assert len(config.api_keys) == 3
    settable = set(Config.__dataclass_fields__) - {"key_hash", "payout_mode"}
    settable -= {"numaddresses", "timeaddresses"}  # they go with another address, see above
    settable -= {"notices", "given", "take_over"}  # the latter is for a single start
    assert len(settable) == 86, "a new setting: does the file know it?"


def test_a_list_may_be_in_the_file_under_both_spellings_of_its_name(toml):
    file = toml('web-host = "a.example"\nweb_host = ["b.example", "c.example"]')
    assert load(*file).web_host == {"a.example", "b.example", "c.example"}
    assert load(*file, "--web-host", "d.example").web_host == {"d.example"}
    assert load(*toml("max-line = 2048\nmax_line = 4096")).max_line == 4096


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(toml):
    config = load(
        *toml(f'address = "{MAIN}"\nfee = 3\nshare-rate = 7\nrpcpassword = "x"'), "--fee", "1", "me", "pw"
    )
    assert (config.fee, config.share_rate, config.give_author) == (1, 7, 1)
    assert config.rpc_arguments == ("me", "pw")
    assert load(*toml('rpcpassword = "x"'), "-a", MAIN).rpc_arguments == ("x",)
    assert load(*toml("debug = false"), "-a", MAIN, "--debug").debug is True


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("fee = true", "fee cannot be a bool"),
        ("fee = false", "fee cannot be a bool"),
        ("address = false", "address cannot be a bool"),
        ("fee = [1, 2]", "fee cannot be a list"),
        ("fee = {a = 1}", "fee cannot be a dict"),
        ("fee = 2026-01-01", "fee cannot be a date"),
        ('fee = "much"', "--fee much: this is not a number"),
        ("dashd-rpc-port = 8999.5", "--dashd-rpc-port 8999.5: this is not a whole number"),
        ("debug = 1", "debug must be true or false"),
        ('debug = "u:pw@h"', "debug must be true or false"),
        ('debug = "yes"', "debug must be true or false"),
        ('net = "bitcoin"', "--net bitcoin: give one of dash, dash_testnet, dash_regtest, simnet"),
        ("fees = 1", "unknown setting 'fees'"),
        ("a = 1", "unknown setting 'a'"),
        ('"" = 1', "unknown setting ''"),
        ("[dash]\nfee = 1", "unknown setting 'dash'"),
        ('config = "x"', "unknown setting 'config'"),
        ("help = true", "unknown setting 'help'"),
        ("version = true", "unknown setting 'version'"),
        ('rpc_arguments = ["u", "p"]', "unknown setting 'rpc_arguments'"),
        ('rpcuser = true\nrpcpassword = "x"', "rpcuser cannot be a bool"),
        ('rpcpassword = ["secret"]', "rpcpassword cannot be a list"),
        ('rpcuser = "u"', "rpcuser without rpcpassword"),
        ("fee = ", "is not TOML"),
        ("fee = " + "[" * 100_000, "is nested too deeply"),
        ("fee = 1\nfee = 2", "is not TOML"),
    ],
)
def test_what_a_file_gets_wrong(toml, text, part):
    flags = toml(text)
    message = refusal(*flags, "-a", MAIN)
    assert message.startswith("--config: ")
    assert flags[1] in message
    assert part in message
    assert "secret" not in message


def test_values_of_the_file_are_checked_like_flags(toml):
    assert "--fee 101" in refusal(*toml("fee = 101"), "-a", MAIN)
    assert "checksum" in refusal(*toml(f'address = "{MAIN[:-1]}1"'))


def test_a_value_of_the_wrong_type_is_refused_even_if_a_flag_replaces_it(toml):
    assert "--fee much: this is not a number" in refusal(*toml('fee = "much"'), "-a", MAIN, "--fee", "1")
    assert load(*toml("fee = 101"), "-a", MAIN, "--fee", "1").fee == 1


def test_a_wrong_network_in_the_file_is_refused_even_if_a_flag_replaces_it(toml):
    message = refusal(*toml('net = "dahs"'), "-a", MAIN, "--net", "dash")
    assert message.endswith("--net dahs: give one of dash, dash_testnet, dash_regtest, simnet")
    assert load(*toml('net = "dash"'), "--net", "simnet").network.name == "simnet"


def test_files_that_cannot_be_read(tmp_path):
    assert "No such file" in refusal("--config", str(tmp_path / "none"), "-a", MAIN)
    assert "Is a directory" in refusal("--config", str(tmp_path), "-a", MAIN)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert "is not TOML" in refusal("--config", str(binary), "-a", MAIN)


# --- the program -------------------------------------------------------------------------------------------------


def test_the_password_is_not_shown():
    config = load("-a", MAIN, "user", "hunter2")
    assert config.rpc_arguments == ("user", "hunter2")
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize("directory", ["/x/data", "/x/100%/%(prog)s"])
def test_help_names_every_flag_and_the_default_directory(capsys, directory):
    with pytest.raises(SystemExit) as caught:
        load_config(["--help"], Path(directory))
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert directory in "".join(text.split())
    words = set(text.replace(",", " ").split())
    assert flag_names() <= words
    assert all(setting.help for setting in all_settings().values())


@pytest.mark.parametrize("package", ["redis", "msgspec"])
def test_a_missing_package_of_the_broker_is_named_with_the_command_that_installs_it(
    monkeypatch, capsys, tmp_path, package
):
    def run_gateway(config, load):
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    monkeypatch.setattr(process, "run_gateway", run_gateway)
    assert cli.main(["gateway", "--broker", "redis://h"], tmp_path) == 2
    assert capsys.readouterr().err == (
        f"p2pool-dash: No module named '{package}': gateways and --broker need it; install it with "
        f"{sys.executable} -m pip install redis msgspec\n"
    )


def test_version_and_unknown_flags(capsys):
    with pytest.raises(SystemExit) as caught:
        load("--version")
    assert caught.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        f"p2pool-dash {__version__}",
        f"Python {platform.python_version()}",
        f"Twisted {metadata.version('twisted')}",
        backend.openssl_version_text(),
        f"X11 provider: {PROVIDER}",
        f"compiled: {describe()}",
    ]
    assert refusal("--net", "x") == "--net x: give one of dash, dash_testnet, dash_regtest, simnet"
    for flags in (["--fees", "1"], ["--debu"]):
        with pytest.raises(SystemExit) as caught:
            load(*flags)
        assert caught.value.code == 2


def test_main_runs_what_it_was_told(monkeypatch, tmp_path):
    seen, again = [], []
    monkeypatch.setattr(process, "run", lambda config, load: (seen.append(config), again.append(load()), 7)[2])
    assert cli.main(["-a", MAIN], tmp_path) == 7
    assert seen[0].datadir == tmp_path / "dash"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["p2pool-dash", "--net", "simnet"])
    assert cli.main() == 7
    assert seen[1].datadir == tmp_path / ".p2pool-dash" / "simnet"
    assert again == seen


@pytest.mark.parametrize(
    ("error", "status"),
    [(OperatorError("it is so"), 2), (OperatorError("it is so", 1), 1), (ImportError("it is so"), 2)],
)
def test_main_says_one_line(monkeypatch, capsys, tmp_path, error, status):
    def run(config, load):
        raise error

    monkeypatch.setattr(process, "run", run)
    assert cli.main(["-a", MAIN], tmp_path) == status
    assert capsys.readouterr().err == "p2pool-dash: it is so\n"
    assert cli.main(["-a", "me"], tmp_path) == 2
    assert capsys.readouterr().err.startswith("p2pool-dash: -a me: ")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("node.example", ("node.example", 0)),
        ("node.example:7", ("node.example", 7)),
        ("192.0.2.1:65535", ("192.0.2.1", 65535)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("[2001:db8::1]:7", ("2001:db8::1", 7)),
    ],
)
def test_other_nodes(text, node):
    config = load(
        *("--net", "simnet", "-n", text, "--p2pool-node", "other", "--external-ip", text),
        *("--bootstrap", text, "--bootstrap", "other"),
    )
    assert config.p2pool_nodes == config.bootstrap == (node, ("other", 0))
    assert config.external_ip == node


@pytest.mark.parametrize("text", ["", ":7", "a:0", "a:65536", "a:b", "[::1", "a b:c:d", "[]:7"])
@pytest.mark.parametrize("flag", ["-n", "--external-ip"])
def test_what_is_no_node(flag, text):
    assert "give ADDR or ADDR:PORT" in refusal("--net", "simnet", flag, text)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://u:secret@127.0.0.1", "RPC port"),
        ("http://127.0.0.1:1", "no credentials"),
        ("http://u:secret@h:1?p2p=5", "Dash Core only"),
        ("http://u:secret@h:1?zmq=tcp://h:2", "Dash Core only"),
        ("ftp://u:secret@h:1", "http://"),
        ("http://u:secret@h:1/wallet", "more than a host"),
    ],
)
def test_a_daemon_to_mine_with_that_cannot_be_reached(url, part):
    text = refusal("-a", MAIN, "--merged", url)
    assert "--merged" in text
    assert part in text
    assert "secret" not in text


def test_the_number_of_daemons_is_bounded_and_each_is_named_once():
    flags = [f"--merged=http://u:p@h:{port}" for port in range(1, 18)]
    assert len(load("-a", MAIN, *flags[:16]).merged) == 16
    assert "at most 16" in refusal("-a", MAIN, *flags)
    assert "more than once" in refusal("-a", MAIN, flags[0], "--merged", "http://other:p@h:1/")
    assert "secret" not in repr(load("-a", MAIN, "--merged", "http://u:secret@h:1"))


@pytest.mark.parametrize("host", ["dash_core", "a..b", "[::1]", "h:1", ""])
def test_a_host_that_cannot_be_one(host):
    assert "neither an IP address nor the name of a host" in refusal("--dashd-address", host)


def test_a_log_needs_a_place(tmp_path):
    assert load_config(["-a", MAIN, "--logfile", "-"], tmp_path, {}).log_path == Path("-")
    with pytest.raises(OperatorError, match="--no-console with --logfile - would leave no log"):
        load_config(["-a", MAIN, "--logfile", "-", "--no-console"], tmp_path, {})
    with pytest.raises(OperatorError, match="--log-format xml: give one of text, json"):
        load_config(["-a", MAIN, "--log-format", "xml"], tmp_path, {})
