"""Secrets from files of their own and from the environment: every secret has both."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pool.app.config import Config, load_config
from p2pool.app.secret_sources import MAX_FILE
from p2pool.app.settings import GROUPS, all_settings
from p2pool.base.errors import OperatorError
from p2pool.base.settings import Shown
from p2pool.web.auth import find_key

KEY = "0123456789abcdef"
DATA = Path("/somewhere/data")
SECRETS = [setting for setting in all_settings().values() if setting.secret is not None]
VALUES = {
    "api_key": KEY,
    "web_password": "me:hunter2",
    "rpcpassword": "hunter2",
    "dashd": "http://u:hunter2@h:1",
    "merged": "http://u:hunter2@h:2",
    "proxy": "socks5://u:hunter2@h",
    "dashd_proxy": "socks5://u:hunter2@h",
    "tor_control_password": "hunter2",
    "stats_db": "/hunter2.sqlite",
    "broker": "redis://:hunter2@h",
    "webhook": "https://h.example/hunter2",
    "block_webhook": "https://h.example/hunter2",
    "webhook_secret": "hunter2hunter2",
    "alert_url": "json://hunter2.example",
    "alert_smtp_password": "hunter2",
}
OTHERS = {
    "webhook_secret": ("--webhook", "https://h.example/"),
    "alert_smtp_password": ("--alert-email=a@b.example", "--alert-smtp-server=h", "--alert-smtp-user=u"),
}


def load(*argv: str, **environment: str) -> Config:
    return load_config(["--net", "simnet", *argv], DATA, environment)


def refusal(*argv: str, **environment: str) -> str:
    with pytest.raises(OperatorError) as caught:
        load(*argv, **environment)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def comparable(config: Config) -> dict:
    """Without hashes, whose salts differ."""
    values = {name: value for name, value in vars(config).items() if name not in ("api_keys", "web_password")}
    return values | {"keys": len(config.api_keys), "has password": config.web_password is not None}


def test_what_is_called_like_a_secret_is_declared_as_one():
    for group in GROUPS:
        for setting in group.settings:
            if re.search("password|secret|key|token", setting.key) or "PASSWORD" in setting.help:
                named = ("api_key_endpoints", "ssl_key", "web_ssl_key", "rpcuser", "web_host", "dashd_config_path")
                assert setting.secret is not None or setting.key in named, setting.flag
    assert set(VALUES) == {setting.key for setting in SECRETS}
    assert all(setting.shown is not Shown.VALUE for setting in SECRETS)


@pytest.mark.parametrize("setting", SECRETS, ids=lambda setting: setting.key)
def test_flag_file_settings_file_and_environment_give_the_same(setting, tmp_path):
    value, others = VALUES[setting.key], OTHERS.get(setting.key, ())
    (tmp_path / "secret").write_text(f"\ufeff{value}\n", "utf-8")
    (tmp_path / "one.toml").write_text(f'{setting.key} = "{value}"')
    (tmp_path / "two.toml").write_text(f'{setting.key}-file = "{tmp_path}/secret"')
    by_flag = load(*others, f"{setting.flag}={value}")
    assert comparable(by_flag) != comparable(load())
    assert "hunter2" not in repr(by_flag).replace("hunter2.sqlite", "")
    for flags, environment in (
        ((setting.file_flag, str(tmp_path / "secret")), {}),
        (("--config", str(tmp_path / "one.toml")), {}),
        (("--config", str(tmp_path / "two.toml")), {}),
        ((), {setting.secret.variable: value}),
    ):
        assert comparable(load(*others, *flags, **environment)) == comparable(by_flag)


def test_keys_of_all_sources_count_each_once(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# comment\n\n  {KEY}1  \r\n{KEY}2\n")
    config = load(
        *("--api-key", f"{KEY}2", "--api-key", f"{KEY}3", "--api-key", f"{KEY}3", "--api-key-file", str(file)),
        P2POOL_API_KEYS=f"{KEY}4, {KEY}1\n{KEY}5",
    )
    assert len(config.api_keys) == 5
    assert all(find_key(config.api_keys, f"{KEY}{number}".encode()) is not None for number in range(1, 6))
    assert load(P2POOL_API_KEYS="  ").api_keys == ()


def test_the_flag_counts_before_the_environment(tmp_path):
    (tmp_path / "secret").write_text("of the file")
    said = {"P2POOL_RPC_PASSWORD": "of the environment"}
    assert load(**said).rpc_arguments == ("of the environment",)
    assert load("--rpcuser", "me", **said).rpc_arguments == ("me", "of the environment")
    assert load("--rpcpassword", "of the flag", **said).rpc_arguments == ("of the flag",)
    assert load("--rpcpassword-file", str(tmp_path / "secret"), **said).rpc_arguments == ("of the file",)
    assert load("me", "as words", **said).rpc_arguments == ("me", "as words")
    (tmp_path / "p2pool.toml").write_text('rpcuser = "me"')
    config = load("--config", str(tmp_path / "p2pool.toml"), **said)
    assert config.rpc_arguments == ("me", "of the environment")


def test_a_variable_for_what_is_not_used_does_no_harm():
    assert load(P2POOL_ALERT_SMTP_PASSWORD="").alerts.mail is None


@pytest.mark.parametrize("flag", ["--api-key-file", "--rpcpassword-file", "--dashd-file"])
@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "No such file"),
        (b"", ""),
        (b"\xff" * 20, "not text"),
        (b"k" * (MAX_FILE + 1), f"more than {MAX_FILE} bytes"),
    ],
)
def test_files_that_have_no_secret(tmp_path, flag, content, part):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    text = refusal(flag, str(file))
    assert text.startswith(flag)
    assert part in text
    assert str(file) in text
    assert "; give " in text


def test_lists_and_single_secrets(tmp_path):
    file = tmp_path / "secret"
    file.write_text("# only a comment\n")
    assert "there is no value in it; give one per line" in refusal("--api-key-file", str(file))
    assert load("--alert-url-file", str(file)).alerts.destinations == ()
    file.write_text("one\ntwo\n")
    assert "more than one line" in refusal("--rpcpassword-file", str(file))
    assert "P2POOL_RPC_PASSWORD: it is empty" in refusal(P2POOL_RPC_PASSWORD="")
    assert "P2POOL_WEB_PASSWORD: it is empty" in refusal(P2POOL_WEB_PASSWORD="")
    assert "both given" in refusal("--rpcpassword", "x", "--rpcpassword-file", str(file))


@pytest.mark.parametrize(
    "setting", [each for each in SECRETS if not each.is_list], ids=lambda setting: setting.key
)
def test_a_flag_wins_over_the_settings_file_wherever_each_has_the_secret(setting, tmp_path):
    value, others = VALUES[setting.key], OTHERS.get(setting.key, ())
    (tmp_path / "secret").write_text(value)
    (tmp_path / "other").write_text(f"{value}other")
    by_flag, by_file = f"{setting.flag}={value}", f"{setting.file_flag}={tmp_path}/secret"
    in_file, named_in_file = f'{setting.key} = "{value}other"', f'{setting.key}-file = "{tmp_path}/other"'
    for flag, text in ((by_flag, in_file), (by_flag, named_in_file), (by_file, in_file), (by_file, named_in_file)):
        (tmp_path / "settings.toml").write_text(text)
        config = load(*others, flag, "--config", f"{tmp_path}/settings.toml")
        assert comparable(config) == comparable(load(*others, by_flag))
    (tmp_path / "settings.toml").write_text(f"{in_file}\n{named_in_file}")
    assert "both given" in refusal(*others, "--config", f"{tmp_path}/settings.toml")
    assert "both given" in refusal(*others, by_flag, by_file)
