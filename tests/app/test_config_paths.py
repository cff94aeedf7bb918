"""Settings that name files, and the file with the settings: a malformed one is a sentence, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from p2pool.app import cli
from p2pool.app.config import load_config
from p2pool.app.dashd import daemon_addresses
from p2pool.app.settings_file import MAX_FILE
from p2pool.base.errors import OperatorError
from p2pool.dashd.credentials import read_dash_conf
from p2pool.networks import NETWORKS

DATA = Path("/somewhere/data")
MAIL = 'alert-email = ["a@b.example"]\nalert-smtp-server = "h.example"\n'
SETTINGS = {
    **{name: f'{name} = "PATH"' for name in ("datadir", "logfile", "web-static", "import-shares", "stats-db")},
    **{name: f'{name} = "PATH"' for name in ("dashd-config-path", "api-key-file", "alert-url-file")},
    "ssl-cert": 'ssl-cert = "PATH"\nssl-key = "/k"\nstratum-ssl-port = 1',
    "ssl-key": 'ssl-key = "PATH"\nssl-cert = "/c"\nstratum-ssl-port = 1',
    "web-ssl-cert": 'web-ssl-cert = "PATH"\nweb-ssl-key = "/k"\nweb-port = 1',
    "web-ssl-key": 'web-ssl-key = "PATH"\nweb-ssl-cert = "/c"\nweb-port = 1',
    "webhook-secret-file": 'webhook-secret-file = "PATH"\nwebhook = ["http://127.0.0.1:1/"]',
    "alert-smtp-password-file": MAIL + 'alert-smtp-user = "u"\nalert-smtp-password-file = "PATH"',
    "alert-smtp-ca": MAIL + 'alert-smtp-ca = "PATH"',
    "dashd": 'dashd = ["http://127.0.0.1:1/?cookie=PATH"]',
    "merged": 'merged = ["http://127.0.0.1:1/?cookie=PATH"]',
}


def load(directory: Path, text: str | bytes):
    file = directory / "p2pool.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(["--net", "simnet", "--config", str(file)], DATA, {})


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    ("path", "words"),
    [("/a\\u0000b", "NUL"), ("a\\u0000b", "NUL"), ("~nosuchuser/x", ""), ("/" + "a" * 300, "255 bytes")],
)
def test_a_path_that_no_file_can_have(tmp_path, name, path, words):
    if name in ("dashd", "merged"):
        path = path.replace("\\u0000", "%00")
    with pytest.raises(OperatorError) as caught:
        load(tmp_path, SETTINGS[name].replace("PATH", path))
    assert f"--{name}" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        *('worker-port = "127.0.0.1\\u0000:80"', 'web-port = "a b:80"', 'p2pool-port = "\\n:80"'),
        *('p2pool-node = ["a\\u0000b"]', 'p2pool-node = ["a b:1"]', 'external-ip = "a\\u0000"'),
        *('dashd-address = "a\\u0000"', 'web-host = ["a\\u0000"]', 'stats-node = "a\\u0000"'),
    ],
)
def test_a_host_with_a_character_that_none_has(tmp_path, setting):
    with pytest.raises(OperatorError, match="--" + setting.partition(" ")[0]):
        load(tmp_path, setting)


def test_a_file_with_a_byte_order_mark(tmp_path):
    assert load(tmp_path, b"\xef\xbb\xbffee = 2\r\n").fee == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("fee = 2\n".encode("utf-16"), "it is not UTF-8 text"),
        (b'datadir = "\xe4"\n', "it is not UTF-8 text"),
        (b"fee = \x00\n", "is not TOML"),
        (b"fee\n", "is not TOML"),
        (b"fee = " + b"[" * 20_000, "nested too deeply"),
        (b"#" * (MAX_FILE + 1), f"more than {MAX_FILE} bytes"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path, data, words):
    with pytest.raises(OperatorError) as caught:
        load(tmp_path, data)
    assert str(caught.value).startswith("--config: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("path", ["DIRECTORY", "DIRECTORY/nothing", "FILE/x", "a\0b", "", "~nosuchuser/x"])
def test_a_config_that_is_no_file(tmp_path, path):
    (tmp_path / "file").touch()
    given = path.replace("DIRECTORY", str(tmp_path)).replace("FILE", str(tmp_path / "file"))
    with pytest.raises(OperatorError, match="--config"):
        load_config(["--config", given], DATA, {})


def test_keys_and_dash_conf_with_a_byte_order_mark(tmp_path):
    (tmp_path / "keys").write_bytes(b"\xef\xbb\xbf0123456789abcdef\r\n")
    assert len(load(tmp_path, f'api-key-file = "{tmp_path}/keys"').api_keys) == 1
    (tmp_path / "dash.conf").write_bytes(b"\xef\xbb\xbfrpcuser=u\r\nrpcpassword=p\r\n")
    conf = read_dash_conf(tmp_path / "dash.conf", NETWORKS["dash"].parent, required=True)
    assert conf.settings["rpcuser"] == "u"


def test_a_cookie_path_in_dash_conf_that_no_file_can_have(tmp_path):
    (tmp_path / "dash.conf").write_bytes(b"rpccookiefile=a\x00b\n")
    config = load_config(
        ["--net", "dash_regtest", "--dashd-config-path", str(tmp_path / "dash.conf")], tmp_path / "data", {}
    )
    [address] = daemon_addresses(config)
    with pytest.raises(OperatorError, match="NUL"):
        address.credentials.read()


@pytest.mark.parametrize("home", ["", "nowhere"])
def test_without_a_home_directory_the_program_says_so(monkeypatch, capsys, home):
    monkeypatch.setenv("HOME", home)
    monkeypatch.chdir("/")
    assert cli.main(["--net", "simnet"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("p2pool-dash: --datadir ~/.p2pool-dash: HOME in the environment ")
    assert said.count("\n") == 1
    assert not os.path.exists("/.p2pool-dash")


def test_a_data_directory_that_is_given_needs_no_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "")
    config = load_config(["--net", "dash_regtest", "--datadir", str(tmp_path), "u", "p"], DATA, {})
    assert [address.url for address in daemon_addresses(config)]
