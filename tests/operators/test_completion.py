"""Completion in shells and the manual page: they have all commands and flags, and are understood."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from p2pool.app.child_settings import GATEWAY
from p2pool.app.commands import COMMANDS
from p2pool.app.flags import build_parser
from p2pool.base.errors import OperatorError
from p2pool.networks import NETWORKS
from p2pool.operators.completion import SCRIPTS, bash, completion, fish, zsh
from p2pool.operators.manual import manual


def every_flag() -> set[str]:
    """The flags that the real parser knows, and those that commands have of their own."""
    actions: list[argparse.Action] = build_parser(Path("data"))._actions
    of_node = {name for action in actions for name in action.option_strings}
    return of_node | {flag.name for command in COMMANDS.values() for flag in command.flags}


def test_the_manual_and_all_scripts_have_every_command_and_flag():
    words = {*every_flag(), *COMMANDS, GATEWAY}
    assert len(words) > 130
    in_fish = re.sub(r" -l ", " --", re.sub(r" -s (\w)", r" -\1", fish()))
    for text in (bash(), zsh(), in_fish, manual().replace("\\-", "-")):
        # A word begins after a space or a quote, or as macros of roff make it bold.
        assert words - set(re.findall(r"(?:(?<=[\s'\"(*])|(?<=\\fB))-{0,2}\w[\w-]*", text)) == set()


def test_another_shell_is_refused(capsys):
    with pytest.raises(OperatorError, match="give one of bash, zsh, fish"):
        completion(["tcsh"], Path("data"))
    assert completion(["fish"], Path("data")) == 0
    assert capsys.readouterr().out == fish()


def run(program: str, *arguments: str, text: str = "") -> str:
    """The output of a program that reads a text; skips if it is not installed, and fails if it complains."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    result = subprocess.run(
        [program, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("shell", SCRIPTS)
def test_shells_understand_the_scripts(shell, tmp_path):
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell]())
    run(shell, "-n", str(script))


LINES = {
    "p2pool-dash st": {"status"},
    "p2pool-dash --net ": set(NETWORKS),
    "p2pool-dash status --net sim": {"simnet"},
    "p2pool-dash gateway --log-format ": {"text", "json"},
    "p2pool-dash completion ": set(SCRIPTS),
    "p2pool-dash config ": {"init"},
    "p2pool-dash check g": {"gateway"},
    "p2pool-dash status --js": {"--json"},
    "p2pool-dash check --js": set(),
    "p2pool-dash restore --rep": {"--replace"},
    "p2pool-dash completion bash --net": set(),
    "p2pool-dash gateway --fe": set(),
    "p2pool-dash --fe": {"--fee"},
    "p2pool-dash --fee ": set(),
    "p2pool-dash backup some": {"somewhere"},
    "p2pool-dash check --config some": {"somewhere", "some.toml"},
    "p2pool-dash --datadir some": {"somewhere"},
}


@cache
def bash_script() -> str:
    return bash()


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    """The current directory has a directory and a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "some.toml").touch()


@pytest.mark.parametrize("line", LINES)
def test_bash_completes(line, somewhere):
    *words, current = line.split(" ")
    given = " ".join(f'"{each}"' for each in (*words, current))
    complete = f"COMP_WORDS=({given}) COMP_CWORD={len(words)}; compopt() {{ :; }}; _p2pool_dash"
    shown = run("bash", text=f'{bash_script()}\n{complete}\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n')
    assert set(shown.split()) == LINES[line]


def test_bash_completes_after_an_equals_sign():
    complete = 'COMP_WORDS=("p2pool-dash" "--net" "=" "si") COMP_CWORD=3; _p2pool_dash'
    assert run("bash", text=f"{bash()}\n{complete}\necho ${{COMPREPLY[@]}}\n").split() == ["simnet"]


def test_fish_completes(somewhere):
    asked = "".join(f"complete -C '{line}' | string replace -r '\\t.*' ''; echo =\n" for line in LINES)
    found = run("fish", "--no-config", text=f"{fish()}\n{asked}").split("=\n")[:-1]
    assert [{word.rstrip("/") for word in each.split()} for each in found] == list(LINES.values())


def test_man_understands_the_manual(tmp_path):
    page = tmp_path / "p2pool-dash.1"
    page.write_text(manual())
    if shutil.which("mandoc") is not None:
        lint = ["mandoc", "-T", "lint", "-W", "warning", str(page)]
        lines = subprocess.run(lint, capture_output=True, text=True, check=False).stdout.splitlines()
        assert [line for line in lines if "missing date" not in line] == []
    text = run("man", "--warnings", "-l", str(page))
    assert "p2pool-dash explain SHARE|BLOCK|ADDRESS [OPTIONS]" in text
