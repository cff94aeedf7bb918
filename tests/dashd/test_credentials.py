"""Where the RPC password comes from, read as Dash Core reads its own files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import OperatorError
from p2pool.dashd import credentials as credentials_module
from p2pool.dashd.credentials import (
    Credentials,
    DashConf,
    credential_source,
    read_dash_conf,
)
from p2pool.networks import DASH, DASH_REGTEST, DASH_TESTNET

MAIN, TEST, REGTEST = DASH.parent, DASH_TESTNET.parent, DASH_REGTEST.parent


def conf_of(tmp_path: Path, text: str | bytes, parent=MAIN) -> DashConf:
    path = tmp_path / "dash.conf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_dash_conf(path, parent, required=True)


def read(tmp_path: Path, text: str | bytes, parent=MAIN, arguments=()) -> Credentials:
    return credential_source(arguments, conf_of(tmp_path, text, parent), parent).read()


# --- dash.conf -------------------------------------------------------------------------------------------

SECTIONS = """
# a comment: rpcport=1
rpcuser = common   # another
rpcpassword=half#not-a-comment
#rpcpassword=commented out
rpcport=1111
rpcuser=second
test.rpcuser=tester
[test]
rpcpassword=of the test network
rpcpassword=of the test network, once more
rpcport=2222
main.rpcuser=nobody
[regtest]  # the last one
rpcport=3333
[other]
rpcpassword=of something else
"""


def test_the_main_network_takes_the_common_part(tmp_path):
    conf = conf_of(tmp_path, SECTIONS)
    assert (conf.settings["rpcuser"], conf.settings["rpcpassword"]) == ("common", "half#not-a-comment")
    assert conf.port("rpcport") == 1111


def test_a_test_network_has_its_own_section_and_ports(tmp_path):
    conf = conf_of(tmp_path, SECTIONS, TEST)
    assert (conf.settings["rpcuser"], conf.settings["rpcpassword"]) == ("tester", "of the test network")
    assert conf.port("rpcport") == 2222
    conf = conf_of(tmp_path, SECTIONS, REGTEST)
    assert (conf.settings["rpcuser"], conf.settings["rpcpassword"]) == ("common", "half#not-a-comment")
    assert conf.port("rpcport") == 3333
    assert conf_of(tmp_path, "rpcport=5\n", REGTEST).port("rpcport") is None


def test_a_prefix_inside_another_section_is_another_name(tmp_path):
    text = "[regtest]\ntest.rpcport=4444\nregtest.rpcport=5555\n"
    assert conf_of(tmp_path, text, TEST).port("rpcport") is None
    assert conf_of(tmp_path, text, REGTEST).port("rpcport") is None
    assert conf_of(tmp_path, "main.rpcport=6\nrpcport=7", MAIN).port("rpcport") == 6


def test_line_ends_and_blanks_are_those_of_dash_core(tmp_path):
    conf = conf_of(tmp_path, "  rpcuser\t=  a b \r\nrpcpassword=x\x0by\x85z\u2028\r\n=\nnonsense\n[\n]\n[]\n")
    assert conf.settings["rpcuser"] == "a b"
    assert conf.settings["rpcpassword"] == "x\x0by\x85z\u2028"


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "1.0", "²", "١", "9" * 5000, "00000000080", "http"])
def test_what_is_no_port(tmp_path, text):
    assert conf_of(tmp_path, f"rpcport={text}\n").port("rpcport") is None


def test_ports():
    assert DashConf(Path("x"), {"rpcport": "65535"}).port("rpcport") == 65535
    assert DashConf(Path("x"), {"rpcport": "1"}).port("rpcport") == 1
    assert DashConf(Path("x"), {}).port("rpcport") is None


def test_a_missing_file_is_an_error_only_where_it_was_named(tmp_path):
    path = tmp_path / "dash.conf"
    assert read_dash_conf(path, MAIN, required=False) == DashConf(path, {})
    with pytest.raises(OperatorError, match="--dashd-config-path") as error:
        read_dash_conf(path, MAIN, required=True)
    assert str(path) in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(OperatorError, match="cannot read"):
        read_dash_conf(tmp_path, MAIN, required=False)


def test_a_huge_file_is_read_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr(credentials_module, "_MAX_FILE", 30)
    conf = conf_of(tmp_path, "rpcuser=first\n" + "#" * 30 + "\nrpcpassword=beyond\n")
    assert conf.settings == {"rpcuser": "first"}


@given(st.binary(max_size=200))
def test_no_file_is_more_than_settings(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("conf") / "dash.conf"
    path.write_bytes(data)
    conf = read_dash_conf(path, REGTEST, required=True)
    assert all(isinstance(text, str) for item in conf.settings.items() for text in item)
    credential_source((), conf, REGTEST)


# --- which of them ---------------------------------------------------------------------------------------


def test_arguments_win_over_the_file(tmp_path):
    text = "rpcuser=u\nrpcpassword=p\n"
    assert read(tmp_path, text, arguments=["me", "secret"]) == Credentials(
        "me", "secret", "given on the command line"
    )
    assert read(tmp_path, text, arguments=["secret"]).user == ""
    assert read(tmp_path, text, arguments=["secret"]).password == "secret"


def test_the_file_wins_over_the_cookie(tmp_path):
    (tmp_path / ".cookie").write_text("__cookie__:abc")
    found = read(tmp_path, "rpcpassword=p\n")
    assert found == Credentials("", "p", f"from {tmp_path / 'dash.conf'}")
    assert read(tmp_path, "rpcuser=only\nrpcpassword=\n").user == "__cookie__"


def test_a_password_is_not_shown():
    assert "secret" not in repr(Credentials("user", "secret", "from somewhere"))


def test_a_password_in_another_encoding_keeps_its_bytes(tmp_path):
    found = read(tmp_path, b"rpcpassword=stra\xdfe\n")
    assert found.password.encode("utf-8", "surrogateescape") == b"stra\xdfe"


# --- the cookie ------------------------------------------------------------------------------------------


def test_the_cookie_is_read_anew_each_time(tmp_path):
    source = credential_source((), conf_of(tmp_path, ""), MAIN)
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:first\n")
    assert source.read() == Credentials("__cookie__", "first", f"from the cookie file {cookie}")
    cookie.write_text("__cookie__:second:with a colon")
    assert source.read().password == "second:with a colon"


@pytest.mark.parametrize(
    ("parent", "text", "where"),
    [
        (MAIN, "", ".cookie"),
        (TEST, "", "testnet3/.cookie"),
        (REGTEST, "", "regtest/.cookie"),
        (REGTEST, "datadir={}/elsewhere", "elsewhere/regtest/.cookie"),
        (REGTEST, "rpccookiefile=biscuit", "regtest/biscuit"),
        (REGTEST, "rpccookiefile={}/biscuit", "biscuit"),
        (MAIN, "datadir=\nrpccookiefile=\n", ".cookie"),
    ],
)
def test_where_the_cookie_lies(tmp_path, parent, text, where):
    cookie = tmp_path / where
    cookie.parent.mkdir(parents=True, exist_ok=True)
    cookie.write_text("__cookie__:x")
    assert read(tmp_path, text.format(tmp_path), parent).origin.endswith(str(cookie))


def test_a_home_that_there_is_not(tmp_path):
    with pytest.raises(OperatorError, match=r"~nobody-at-all/\.cookie cannot be read"):
        read(tmp_path, "datadir=~nobody-at-all\n")


def test_no_cookie_says_all_that_was_looked_at(tmp_path):
    with pytest.raises(OperatorError) as error:
        read(tmp_path, "")
    for part in (str(tmp_path / "dash.conf"), str(tmp_path / ".cookie"), "No such file", "RPCUSER RPCPASS"):
        assert part in str(error.value)


@pytest.mark.parametrize("text", ["", "no separator"])
def test_a_cookie_that_is_none(tmp_path, text):
    (tmp_path / ".cookie").write_text(text)
    with pytest.raises(OperatorError, match="does not contain user:password"):
        read(tmp_path, "")
