"""Commands for operators: which words they are, their help, and mistakes in calling them."""

from __future__ import annotations

import ast
import sys

import pytest

from p2pool.__main__ import main
from p2pool.app.commands import COMMANDS
from p2pool.operators import main as operators
from p2pool.operators.arguments import read_arguments
from tests.support import ROOT, parse_module


def ended(capsys, *words: str) -> tuple[int, str]:
    """The exit status and all that was printed."""
    try:
        status = main(words, ROOT / "nowhere")
    except SystemExit as end:
        status = end.code
    return status, "".join(capsys.readouterr())


def test_every_command_is_carried_out():
    assert set(operators._MODULES) == set(COMMANDS)
    assert all(callable(operators._find(command)) for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command, capsys):
    status, text = ended(capsys, command, "--help")
    assert status == 0
    assert text.startswith(f"usage: p2pool-dash {command}")
    assert f"{command}: {COMMANDS[command].help.split()[0]} " in text
    assert all(flag.name in text for flag in COMMANDS[command].flags)


def test_help_of_the_node_lists_the_commands(capsys):
    _, text = ended(capsys, "--help")
    for name, command in COMMANDS.items():
        assert f"  {name} {command.usage}".rstrip() + f": {command.help}\n" in text


def test_a_command_is_the_first_word_or_none(capsys):
    status, text = ended(capsys, "--debug", "config")
    assert status == 2
    assert "write it as the first word" in text


def test_two_words_are_a_login_still(capsys):
    """Whoever is called `rpc` may have the password `config`, but then no more than that."""
    status, text = ended(capsys, "rpc", "config", "--net", "nonsense")
    assert status == 2
    assert "--net nonsense" in text


def test_the_node_does_not_import_the_commands():
    importing = [
        path
        for path in (ROOT / "p2pool").rglob("*.py")
        if "operators" not in path.parts and path.stem != "__main__"
        for node in ast.walk(parse_module(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("p2pool.operators")
    ]
    assert importing == []


def test_top_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    status, text = ended(capsys, "top", "--net", "simnet")
    assert status == 2
    assert "-m pip install rich" in text


def test_an_optional_word_is_not_taken_for_another():
    assert read_arguments("check", ["gateway", "--debug"], ROOT).words == ("gateway",)
    given = read_arguments("check", ["rpcuser", "rpcpassword", "--debug"], ROOT)
    assert (given.words, given.rest) == ((), ("rpcuser", "rpcpassword", "--debug"))
    assert read_arguments("config", ["init", "file"], ROOT).words == ("init", "file")


def test_usage_errors(capsys):
    assert ended(capsys, "config")[0] == 2
    status, text = ended(capsys, "config", "initialise")
    assert status == 2
    assert "config init" in text
    assert ended(capsys, "config", "init", "a", "b")[0] == 2
