"""The settings that are public: every setting declares whether it is, and no secret is among them."""

from __future__ import annotations

import json
from dataclasses import field, fields, make_dataclass
from pathlib import Path

import pytest

from p2pool.app.config import Config, load_config
from p2pool.app.settings import GROUPS, flag_names
from p2pool.app.shown_settings import shown_settings
from p2pool.base.settings import Shown, settings_of, shown_of

SECRETS = ("hunter2-rpc", "hunter2-url", "hunter2-aux", "hunter2-web", "0123456789abcdef", "fedcba9876543210")
DATA = Path("/home/hunter2-home/data")


def config(*argv: str, **environment: str) -> Config:
    return load_config(argv, DATA, environment)


def everything() -> Config:
    return config(
        *("--net", "dash_regtest", "--dashd", "http://bob:hunter2-url@10.0.0.5:9998/?p2p=9999"),
        *("--dashd", "http://10.0.0.6/?cookie=/mnt/hunter2-home/.cookie&zmq=tcp://10.0.0.6:28332"),
        *("--merged", "http://bob:hunter2-aux@10.0.0.7:1000", "--dashd-address", "10.0.0.8"),
        *(
            "--web-password",
            "alice:hunter2-web",
            "--api-key",
            "0123456789abcdef",
            "--api-key-endpoints",
            "/metrics",
        ),
        *("--ban-allow", "192.168.0.0/16", "--ws-allow-origin", "https://b.example", "--fee", "0.5"),
        *("--ws-allow-origin", "https://a.example", "-n", "10.0.0.1", "-n", "[2001:db8::1]:9000"),
        *("--external-ip", "192.0.2.1", "--logfile", "/tmp/hunter2-home/log", "--web-port", "127.0.0.1:8080"),
        *("--stats-db", "postgresql://bob:hunter2-db@10.0.0.9/p2pool", "--stats-node", "north"),
        *("-w", "127.0.0.1:7903", "bob", "hunter2-rpc"),
        P2POOL_API_KEYS="fedcba9876543210",
    )


def test_every_setting_declares_how_much_of_it_is_public():
    assert set(shown_of(Config)) == {each.name for each in fields(Config)}
    undecided = make_dataclass("Undecided", [("surprise", str, field(default=""))], bases=(Config,), frozen=True)
    with pytest.raises(KeyError):
        shown_of(undecided)


def test_secrets_and_paths_are_never_shown_as_they_are():
    for setting in (each for group in GROUPS for each in group.settings):
        is_path = setting.metavar in ("FILE", "DIR")
        assert setting.shown is not Shown.VALUE or not (setting.secret or is_path), setting.flag


def test_every_setting_is_part_of_the_configuration_or_of_the_options_that_make_it():
    options = {each for group in GROUPS for each in group.classes}
    assert set(Config.__bases__) <= options
    for each in options - set(Config.__bases__):
        assert all(setting.shown is Shown.NEVER for setting in settings_of(each))


def test_what_is_shown_in_another_form_is_shown():
    shown = shown_settings(config("--net", "simnet"))
    others = {"network": "net", "worker_endpoint": "worker-port", "p2pool_endpoint": "p2pool-port"}
    for name, how in shown_of(Config).items():
        key = others.get(name, name.replace("_", "-"))
        assert (key in shown) == (how is not Shown.NEVER)


def test_what_is_called_like_a_secret_is_withheld():
    for name in (name for name, how in shown_of(Config).items() if how is Shown.VALUE):
        assert not {"key", "keys", "password", "secret", "token", "cookie"} & set(name.split("_")) or name in (
            "api_key_endpoints",
        )


def test_no_secret_and_no_path_is_shown():
    text = json.dumps(shown_settings(everything()))
    for secret in (*SECRETS, "hunter2-home", "hunter2", "bob", "alice"):
        assert secret not in text
    fingerprints = [key.fingerprint for key in everything().api_keys]
    assert not any(each in text for each in fingerprints)


def test_settings_as_they_are_shown():
    shown = shown_settings(everything())
    assert list(shown) == sorted(shown)
    assert (shown["stats-db"], shown["stats-node"]) == ("postgresql", "north")
    assert shown["net"] == "dash_regtest"
    assert shown["dashd"] == ["http://10.0.0.5:9998/?p2p=9999", "http://10.0.0.6:19898/?zmq=tcp://10.0.0.6:28332"]
    assert shown["merged"] == ["http://10.0.0.7:1000/"]
    assert shown["worker-port"] == "127.0.0.1:7903"
    assert shown["p2pool-port"] == str(everything().p2pool_port)
    assert shown["p2pool-nodes"] == ["10.0.0.1", "[2001:db8::1]:9000"]
    assert shown["external-ip"] == "192.0.2.1"
    assert shown["web-port"] == "127.0.0.1:8080"
    assert shown["ban-allow"] == ["192.168.0.0/16"]
    assert shown["ws-allow-origin"] == ["https://a.example", "https://b.example"]
    assert (shown["fee"], shown["payout-mode"], shown["stratum-ssl-port"]) == (0.5, "wallet", None)
    assert [shown[name] for name in ("api-keys", "web-password", "rpc-arguments", "logfile")] == ["set"] * 4
    assert shown["ssl-key"] is None


def test_defaults_can_be_shown_too():
    shown = shown_settings(config("--net", "simnet"))
    assert (shown["api-keys"], shown["web-password"], shown["logfile"]) == (None, None, None)
    assert shown["stats-db"] == "sqlite"
    assert shown_settings(config("--net", "simnet", "--stats-db", "none"))["stats-db"] == "none"
    assert shown["dashd"] == []
    json.dumps(shown)


def test_names_are_the_flags():
    """As far as there is a flag of the setting's own name: some are named in the singular, or by two."""
    others = {"payout-address", "payout-mode", "p2pool-nodes", "api-keys", "rpc-arguments", "alerts"}
    assert {
        name for name in shown_settings(config("--net", "simnet")) if f"--{name}" not in flag_names()
    } == others
