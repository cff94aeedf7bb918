"""Settings from the environment: what wins, what is an error, what is only a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pool.app.config import load_config
from p2pool.app.environment_settings import variable_of
from p2pool.app.settings import all_settings
from p2pool.base.errors import OperatorError

DATA = Path("/somewhere/data")


def load(environment: dict[str, str], *flags: str):
    return load_config(["--net", "simnet", *flags], DATA, environment)


def test_each_setting_that_is_no_secret_has_a_variable_of_its_own():
    names = [variable_of(each) for each in all_settings().values() if each.secret is None]
    secrets = {each.secret.variable for each in all_settings().values() if each.secret is not None}
    assert "P2POOL_SHARE_RATE" in names
    assert len(set(names)) == len(names)
    assert not secrets.intersection(names)


def test_numbers_texts_lists_and_switches():
    config = load(
        {
            "P2POOL_SHARE_RATE": " 5 ",
            "P2POOL_DATADIR": "/my data",
            "P2POOL_BAN_ALLOW": "10.0.0.0/8  192.0.2.1",
            "P2POOL_DEBUG": "true",
            "P2POOL_DISABLE_UPNP": "no",
            "P2POOL_FEE": "",
        }
    )
    assert config.share_rate == 5
    assert config.datadir == Path("/my data/simnet")
    assert len(config.ban_allow) == 2
    assert config.debug
    assert not config.disable_upnp
    assert config.fee == 0
    assert config.notices == ()


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("share-rate = 3\nfee = 1\n")
    environment = {"P2POOL_CONFIG": str(file), "P2POOL_SHARE_RATE": "5"}
    config = load(environment)
    assert (config.share_rate, config.fee) == (5, 1)
    assert load(environment, "--share-rate", "7").share_rate == 7


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("P2POOL_DEBUG", "maybe", "P2POOL_DEBUG maybe: give true or false"),
        ("P2POOL_SHARE_RATE", "fast", "P2POOL_SHARE_RATE fast: this is not a number"),
        ("P2POOL_SHARE_RATE", "0", "P2POOL_SHARE_RATE 0: must be between 0.1 and 3600"),
    ],
)
def test_an_error_names_the_variable(name, value, message):
    with pytest.raises(OperatorError) as error:
        load({name: value})
    assert str(error.value).startswith(message)


def test_a_variable_that_looks_like_a_setting_and_is_none_is_warned_of():
    config = load({"P2POOL_SHARERATE": "5", "P2POOL_SERVICE_HOST": "10.0.0.1", "P2POOL_COMPILE": "1", "PATH": "/"})
    assert config.notices == (
        "the variable P2POOL_SHARERATE in the environment is not a setting: see docs/settings.md",
    )


def test_secrets_keep_their_own_variables():
    environment = {"P2POOL_API_KEYS": "a-key-of-sixteen-characters", "P2POOL_RPC_PASSWORD": "secret"}
    config = load(environment)
    assert config.api_keys
    assert config.notices == ()
