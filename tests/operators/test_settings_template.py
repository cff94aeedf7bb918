"""`config init`: what it writes sets nothing, and each of its lines can be used."""

from __future__ import annotations

import re
import stat
import tomllib

import pytest

from p2pool.__main__ import main
from p2pool.app.config import load_config
from p2pool.app.settings import GROUPS, all_settings
from p2pool.base.errors import OperatorError
from p2pool.operators.settings_template import settings_template, write_template

LINES = [line[1:] for line in settings_template().splitlines() if re.match(r"#[a-z]", line)]
LEGACY = {each.key for group in GROUPS if group.name == "legacy" for each in group.settings}
IN_FILE = {each.key: each for each in all_settings().values() if each.in_file and each.key not in LEGACY}


def key(line: str) -> str:
    return line.partition(" = ")[0].replace("-", "_")


def test_it_has_every_setting_once():
    keys = [key(line) for line in LINES]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(IN_FILE) | {each.file_key for each in IN_FILE.values() if each.secret is not None}


def test_it_sets_nothing_and_is_accepted(tmp_path):
    assert tomllib.loads(settings_template()) == {}
    path = tmp_path / "p2pool.toml"
    write_template(path)
    assert load_config(["--config", str(path)], tmp_path, {}) == load_config([], tmp_path, {})


def test_all_lines_are_toml_together():
    table = tomllib.loads("\n".join(LINES))
    assert len(table) == len(LINES)
    assert all(isinstance(table[each.flag[2:]], list) == each.is_list for each in IN_FILE.values())


@pytest.mark.parametrize("line", [line for line in LINES if IN_FILE.get(key(line)) and "[A-Z]" not in line])
def test_a_default_that_is_set_changes_nothing(line, tmp_path):
    setting = IN_FILE[key(line)]
    path = tmp_path / "p2pool.toml"
    path.write_text(line + "\n")
    default = setting.default
    if not setting.is_switch and not isinstance(default, int | float | str):
        assert f'"{setting.metavar}"' in line
        return
    network = ["--net", "simnet" if line.startswith("simnet") else "dash"]
    config = load_config([*network, "--config", str(path)], tmp_path, {})
    plain = load_config(network, tmp_path, {})
    assert {name: value for name, value in vars(config).items() if name != "notices"} == {
        name: value for name, value in vars(plain).items() if name != "notices"
    }


def test_it_says_default_limits_and_where_a_secret_can_be():
    text = " ".join(settings_template().replace("\n# ", " ").split())
    assert "(default: 10) (between 0.1 and 3600 seconds) #share-rate = 10.0" in text
    assert "also in the environment as P2POOL_RPC_PASSWORD" in text
    assert '#rpcpassword-file = "FILE"' in text


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "p2pool.toml"
    path.write_text("fee = 1\n")
    with pytest.raises(OperatorError, match="exists, and is not overwritten"):
        write_template(path)
    assert path.read_text() == "fee = 1\n"
    with pytest.raises(OperatorError, match=r"cannot write .*: No such file or directory"):
        write_template(tmp_path / "nowhere" / "p2pool.toml")


def test_the_command(tmp_path, capsys):
    path = tmp_path / "p2pool.toml"
    assert main(["config", "init", str(path)], tmp_path) == 0
    assert path.read_text("utf-8") == settings_template()
    assert not stat.S_IMODE(path.stat().st_mode) & 0o007
    assert f"--config {path}" in capsys.readouterr().out
    assert main(["config", "init", str(path)], tmp_path) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["config", "init"], tmp_path) == 0
    assert capsys.readouterr().out == settings_template()
