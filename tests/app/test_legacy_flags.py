"""Command lines of legacy p2pool-dash start this node, too; and a slip does not pass for a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pool.networks import DASH, DASH_TESTNET
from tests.app.test_config import MAIN, TEST, load, refusal

FLAGS = (
    *(("--net", "dash"), ("--testnet",), ("--debug",), ("--bench",), ("-a", MAIN), ("--address", MAIN)),
    *(("-i", "3"), ("--numaddresses", "3"), ("-t", "172800"), ("--timeaddresses", "60")),
    *(("--datadir", "/x"), ("--logfile", "/x/log"), ("--no-console",), ("--web-static", "/usr")),
    *(("--web-password", "me:secret"), ("--merged", "http://ncuser:ncpass@127.0.0.1:10332/")),
    *(("--give-author", "1.0"), ("--iocp",), ("--irc-announce",), ("--no-bugreport",)),
    *(("--p2pool-port", "8999"), ("-n", "10.0.0.1"), ("--p2pool-node", "node.example:8999")),
    *(("--disable-upnp",), ("--max-conns", "40"), ("--outgoing-conns", "6"), ("--external-ip", "192.0.2.1:8999")),
    *(("--disable-advertise",), ("-w", "7903"), ("--worker-port", "127.0.0.1:7903"), ("-f", "0"), ("--fee", "1")),
    *(("-s", "10"), ("--share-rate", "10.5"), ("--dashd-config-path", "/x/dash.conf")),
    *(("--dashd-address", "127.0.0.1"), ("--dashd-rpc-port", "9998"), ("--dashd-rpc-ssl",)),
    *(("--dashd-p2p-port", "9999"), ("--disable-broadcaster",), ("--broadcaster-max-peers", "20")),
    *(("--broadcaster-min-peers", "5"), ("--compact-on-shutdown",), ("--disable-share-archive",)),
)
"""Every flag of legacy p2pool-dash but --help and --version, with a value that it takes."""
NO_EFFECT = {
    *("--iocp", "--irc-announce", "--no-bugreport", "--compact-on-shutdown", "--broadcaster-min-peers"),
    *("-i", "--numaddresses", "-t", "--timeaddresses"),
}


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag[0])
def test_every_flag_is_accepted_and_what_has_no_effect_is_said(flag):
    config = load(*flag)
    assert len(config.notices) == (flag[0] in NO_EFFECT | {"--testnet"})
    assert all(flag[0] in notice and len(notice) < 200 for notice in config.notices)


def test_all_of_them_at_once():
    config = load(*[word for flag in FLAGS if flag[0] not in ("-a", "--address", "--testnet") for word in flag])
    assert len(config.notices) == 7
    assert config.no_console


def test_a_file_of_settings_may_have_them(tmp_path):
    (tmp_path / "p2pool.toml").write_text(
        "testnet = true\niocp = true\nbroadcaster-min-peers = 5\nno-console = true"
    )
    config = load("--config", str(tmp_path / "p2pool.toml"))
    assert config.network is DASH_TESTNET
    assert len(config.notices) == 3


def test_the_testnet():
    assert load("--testnet", "-a", TEST).network is DASH_TESTNET
    assert load("--net", "dash", "--testnet", "-a", TEST).network is DASH_TESTNET
    assert load("--net", "dash_testnet", "--testnet", "-a", TEST).network is DASH_TESTNET
    assert load("--net", "dash", "-a", MAIN).network is DASH
    assert "--testnet: the network simnet has no testnet" in refusal("--net", "simnet", "--testnet")


@pytest.mark.parametrize(
    ("words", "credentials"),
    [
        ((), ()),
        (("-a", MAIN, "password"), ("password",)),
        (("user", "pw"), ("user", "pw")),
        (("", "pw"), ("", "pw")),
        (("dash", "dash"), ("dash", "dash")),
        (("miner", "x"), ("miner", "x")),
        (("user", "pw", "-a", MAIN), ("user", "pw")),
        (("--debug", "user", "pw"), ("user", "pw")),
        (("--", "-u", "-p"), ("-u", "-p")),
        (("--rpcpassword", "start"), ("start",)),
        (("--rpcuser", "me", "--rpcpassword=@x"), ("me", "@x")),
    ],
)
def test_credentials_as_words_or_flags(words, credentials):
    assert load(*words).rpc_arguments == credentials


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("start",), "there is no such command"),
        (("-a", MAIN, "START"), "there is no such command"),
        (("start", "now"), "there is no such command"),
        (("--debug", "restart"), "there is no such command"),
        (("help",), "there is no such command"),
        (("gateway",), "write gateway as the first word"),
        (("--debug", "Gateway", "now"), "write gateway as the first word"),
        (("gateways",), "--gateways N"),
        (("testnet",), "--testnet"),
        (("mainnet",), "--net"),
        (("simnet",), "--net, one of dash"),
        (("dash_testnet",), "--net"),
        ((MAIN,), f"-a {MAIN}"),
        ((TEST, "password"), f"-a {TEST}"),
        (("stratum+tcp://pool.example:7903",), "worker port"),
        (("http://me:pw@127.0.0.1:9998",), "--dashd"),
        (("p2pool.toml",), "--config p2pool.toml"),
        (("pw",), "very short"),
    ],
)
def test_a_word_that_is_no_password(words, advice):
    message = refusal(*words)
    assert advice in message
    assert "--rpcpassword" in message


def test_the_error_does_not_repeat_a_password():
    assert refusal("pw7").startswith("RPCPASS: a single word is dashd's RPC password, and this one is very short")
    message = refusal("http://me:hunter2@127.0.0.1:9998")
    assert message.startswith("http://...@127.0.0.1:9998: give the URL")
    for words in (("@u:hunter2@h",), ("u:hunter2@h.toml",), ("-a", "u:hunter2@h")):
        assert "hunter2" not in refusal(*words)
        assert "...@h" in refusal(*words)


def test_too_many_words_and_half_of_the_flags():
    assert "3 RPC arguments" in refusal("a", "b", "c")
    assert "--rpcuser without --rpcpassword" in refusal("--rpcuser", "me")


def test_files_of_arguments(tmp_path: Path):
    (tmp_path / "more").write_text(f"-a {MAIN}\n\n  --fee 2 user\npw")
    (tmp_path / "arguments").write_text(f"--debug @{tmp_path / 'more'}")
    config = load("-s", "5", f"@{tmp_path / 'arguments'}")
    assert (config.payout_address, config.fee, config.share_rate, config.debug) == (MAIN, 2, 5, True)
    assert config.rpc_arguments == ("user", "pw")
    assert "@/none: cannot read arguments from the file /none: No such file" in refusal("@/none")
    (tmp_path / "loop").write_text(f"@{tmp_path / 'loop'}")
    assert "argument files are nested more than 10 deep" in refusal(f"@{tmp_path / 'loop'}")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "cannot read" in refusal(f"@{tmp_path / 'binary'}")


def test_a_file_of_arguments_may_begin_with_a_byte_order_mark_but_is_never_cut(tmp_path: Path):
    (tmp_path / "marked").write_text(f"\ufeff-a {MAIN}", "utf-8")
    assert load(f"@{tmp_path / 'marked'}").payout_address == MAIN
    (tmp_path / "large").write_text(" " * (1 << 20) + f"-a {MAIN}")
    assert "it has more than" in refusal(f"@{tmp_path / 'large'}")
