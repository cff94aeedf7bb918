"""Commands in the documents: each of ours is understood as it is written, and each of other programs is listed
here with the reason why no test runs it."""

from __future__ import annotations

import importlib.util
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from p2pool.app.child_settings import GATEWAY
from p2pool.app.commands import COMMANDS
from p2pool.app.flags import parse_command_line
from p2pool.app.settings import all_settings
from p2pool.base.errors import OperatorError
from p2pool.operators.arguments import read_arguments
from tests.support import ROOT
from tests.test_docs import DOCUMENTS

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*=")
UNITS = tuple(sorted((ROOT / "docs" / "systemd").glob("*.service")))
_SHELL = ("", "sh", "bash", "console")

NO_COMMANDS = (
    *("people", "dashd --BlockTemplate", "miners ", "miners:", "pool.example.org.", "rediss+sentinel:"),
    *("n  ", "number of", "to its finder's", "payout  ", "bench:", "SIGHUP:", "nodes that I know", "!/bin/sh"),
    *("startupProbe:", "server=1", "bind ", "/var/lib/p2pool-dash/*/log"),
)
"""How blocks begin that are no commands: diagrams, formulas, lines of a log, and files."""

NOT_OURS = ("p2pool-dash VERSION on NETWORK", "p2pool-dash COMMAND ")
"""What only looks like a command: a line of the log, and what stands for any command."""

_DATABASE = "needs the database of the guide; tests/e2e/test_postgresql.py has one"
_BROKER = "needs the servers of the guide; tests/e2e/test_broker.py has one"
_MACHINE = "changes the machine"
_SERVICE = "needs root, or systemd"
NOT_RUN = {
    **dict.fromkeys(("apt", "pip", "venv", "git", "cd"), _MACHINE),
    **dict.fromkeys(("systemctl", "journalctl", "useradd", "install", "chown", "cp", "echo"), _SERVICE),
    **dict.fromkeys(("podman", "docker"), "no image can be fetched here; tests/test_deploy.py checks the files"),
    **dict.fromkeys(("createuser", "createdb", "psql", "pg_dump", "pg_restore"), _DATABASE),
    "promtool": "tests/e2e/test_prometheus.py runs it on the same files",
    **dict.fromkeys(("redis-server", "redis-cli"), _BROKER),
    "sqlite3": "is not installed everywhere",
    "curl": "tests/e2e/test_api.py asks the same paths in Python",
    "openssl": "makes keys of the reader's own names; tests/e2e/test_stratum.py connects as s_client does",
    "cpuminer": "is other people's software; tests/e2e/test_mining.py mines with one of ours",
    "dashd": "is other people's software: docs/interop.md says how it was run",
}
"""Programs of others, or tools, and why no test runs them as the documents do."""

RUN_BY = {
    "": "tests/e2e/test_mining.py",
    GATEWAY: "tests/e2e/test_gateways.py",
    "backup": "tests/e2e/test_operator_commands.py",
    "check": "tests/e2e/test_check.py",
    "completion": "tests/operators/test_completion.py",
    "config": "tests/operators/test_settings_template.py",
    "explain": "tests/e2e/test_operator_commands.py",
    "man": "tests/operators/test_completion.py",
    "restore": "tests/e2e/test_operator_commands.py",
    "status": "tests/e2e/test_operator_commands.py",
    "top": "tests/e2e/test_top.py",
}
"""The test that runs each command of ours."""

TARGETS_NOT_RUN = {
    "run": "does not end; its program is that of tests/e2e/test_mining.py",
    "swarm": "does not end; tests/e2e/test_swarm.py runs its module",
    **dict.fromkeys(("simulate", "simulate-many"), "tests/simulation runs the module"),
    "test": "is test-fast and test-e2e in one",
    "clean": "removes what tests need",
    "bench": "takes long; tests/test_bench.py runs its parts",
    "format": "changes files",
    "interpreted": "removes what test-pythons compiles",
    "man": "tests/operators/test_completion.py makes the same texts",
    **dict.fromkeys(("dist", "deb"), "tests/e2e/test_distributions.py makes the same packages"),
    "fast": "test-pythons compiles by itself",
    "test-compiled": "test-pythons runs the same tests",
}
"""Targets of the Makefile that the gate (.ci/run) does not make, and why."""


@dataclass(frozen=True)
class Line:
    """A command as it is written in a document."""

    text: str
    in_block: bool

    @property
    def words(self) -> list[str]:
        """Return the words without what is before the program: variables, and who it runs as."""
        words = shlex.split(self.text, comments=True)
        while words and (_VARIABLE.match(words[0]) or words[0] == "sudo"):
            del words[0]
        if words[:1] == ["runuser"] and "--" in words:
            del words[: words.index("--") + 1]
        return words


def lines_of(path: Path) -> Iterator[Line]:
    """Yield the commands of a document."""
    text = path.read_text("utf-8")
    blocks = [textwrap.dedent(body) for _, language, body in _FENCE.findall(text) if language in _SHELL]
    text = _FENCE.sub("", text)
    blocks += [textwrap.dedent(block) for block in _INDENTED.findall(text)]
    for block in blocks:
        lines = block.replace("\\\n", " ").splitlines()
        commands = [line.strip().removeprefix("$ ").removeprefix("# ").removeprefix("#").strip() for line in lines]
        if not commands[0].startswith(NO_COMMANDS):
            for command in filter(None, commands):
                for part in re.split(r" && | \| ", command):
                    yield Line(part, in_block=True)
    for span in re.findall(r"`([^`]+)`", _INDENTED.sub("", text)):
        yield Line(" ".join(span.split()), in_block=False)


@cache
def every_line() -> list[tuple[Path, Line]]:
    """Return the commands in blocks, and those in the text that begin with a program of ours."""
    ours = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\S*/)?(?:p2pool-dash|run_p2pool\.py|make|python3?) [\w.-]")
    return [
        (path, line) for path in DOCUMENTS for line in lines_of(path) if line.in_block or ours.match(line.text)
    ]


def node_words(words: list[str]) -> list[str] | None:
    """Return what p2pool-dash is given; None if the program is another one."""
    if words[0].rpartition("/")[2].startswith("python") and words[1:2] == ["run_p2pool.py"]:
        words = words[1:]
    is_node = words[0].rpartition("/")[2] in ("p2pool-dash", "run_p2pool.py")
    return words[1:] if is_node else None


def without_redirection(words: list[str]) -> list[str]:
    place = next((place for place, word in enumerate(words) if word in (">", "<", "2>")), len(words))
    return words[:place]


def understood(words: list[str]) -> None:
    """Fails unless the real parsers take what p2pool-dash is given. SystemExit is how they refuse."""
    words = without_redirection(words)
    gateway = words[:1] == [GATEWAY]
    assert words[:1] == [] or words[0].startswith("-") or gateway or words[0] in COMMANDS, words
    if words[:1] and words[0] in COMMANDS:
        words = list(read_arguments(words[0], words[1:], Path("data")).rest)
    elif gateway:
        words = words[1:]
    words = ["general" if word == "GROUP" else word for word in words]
    try:
        given, _ = parse_command_line(words, Path("data"))
    except SystemExit as end:
        if end.code == 0:  # --help and --version
            return
        raise
    for key, setting in all_settings().items():
        if key in given and (setting.limits is not None or key == "net") and not given[key][-1].text.isupper():
            setting.parse(given[key])


@cache
def targets() -> set[str]:
    text = (ROOT / "Makefile").read_text("utf-8").replace("$(VENV)", ".venv")
    return {name for line in re.findall(r"^([\w./ -]+):(?!=)", text, re.MULTILINE) for name in line.split()}


def made(words: list[str]) -> None:
    """Fails unless `make` knows the targets and variables."""
    text = (ROOT / "Makefile").read_text("utf-8")
    for word in without_redirection(words):
        name, equals, _ = word.partition("=")
        if equals:
            assert re.search(rf"\$\({name}\)", text) or name in ("COMPILE_NEWEST", "PYTHON"), word
        else:
            assert word in targets(), word


def module_known(module: str, words: list[str]) -> None:
    """Fails unless a module of ours exists, and its package has the flags."""
    assert importlib.util.find_spec(module) is not None, module
    path = ROOT / module.replace(".", "/")
    sources = [*path.rglob("*.py")] if path.is_dir() else [path.with_suffix(".py"), *path.parent.glob("*.py")]
    texts = "\n".join(each.read_text("utf-8") for each in sources)
    for flag in _FLAG.findall(" ".join(words)):
        assert f'"{flag}"' in texts, f"{module} {flag}"


def check_line(line: Line) -> None:
    """Fails unless a command is one of ours that is understood, or listed as not run."""
    words = line.words
    if not words:
        return
    program = words[0].rpartition("/")[2]
    arguments = node_words(words)
    if arguments is not None:
        understood(arguments)
    elif program == "make":
        made(words[1:])
    elif program.startswith("python") and words[1:2] == ["-m"]:
        if words[2].startswith(("p2pool", "tests")):
            module_known(words[2], words[3:])
        else:
            assert words[2] in ("pip", "venv", "pytest", "build"), line.text
    elif (ROOT / words[0]).is_file():
        return
    elif line.in_block:
        assert program in NOT_RUN, f"{line.text}: run it in a test, or say in NOT_RUN why none does"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_understood_or_listed(path):
    for document, line in every_line():
        if document == path and not line.text.startswith(NOT_OURS):
            check_line(line)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_for_systemd_starts_a_node_or_a_gateway(path):
    text = path.read_text("utf-8").replace("\\\n", " ")
    (start,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    arguments = node_words(Line(start, in_block=True).words)
    assert arguments
    assert (arguments[0] == GATEWAY) == ("gateway" in path.name)
    understood(arguments)


def test_commands_are_found():
    found = [" ".join(line.words) for _, line in every_line()]
    assert len(found) > 150
    for command in (
        "p2pool-dash top --config /etc/p2pool-dash/p2pool.toml",
        "p2pool-dash gateway -w 7904 --datadir /var/lib/p2pool-gateway-2",
        "make test-e2e",
    ):
        assert command in found


@pytest.mark.parametrize(
    "text",
    [
        "p2pool-dash --no-such-flag",
        "p2pool-dash status --no-such-flag",
        "p2pool-dash status --replace",
        "p2pool-dash stats",
        "python run_p2pool.py --net nonsense",
        "P2POOL_NET=x p2pool-dash completion bash zsh",
        "make nothing",
        "make run NOTHING=1",
        "python -m p2pool.nothing",
        "python -m p2pool.simnet --nothing 1",
        "frobnicate --all",
    ],
)
def test_what_is_wrong_is_found(text, capsys):
    with pytest.raises((AssertionError, SystemExit, OperatorError)):
        check_line(Line(text, in_block=True))


def test_every_command_of_ours_is_run_by_a_test():
    assert set(RUN_BY) == {"", GATEWAY, *COMMANDS}
    for command, file in RUN_BY.items():
        assert re.search(rf"\b{command}\b", (ROOT / file).read_text("utf-8")), file


def test_targets_are_made_by_the_gate_or_listed():
    gate = (ROOT / ".ci" / "run").read_text("utf-8")
    in_gate = set(re.findall(r"^make ([\w./-]+)|make ([\w-]+)$", gate, re.MULTILINE))
    known = {name for pair in in_gate for name in pair if name} | {"docs", "lint-pages"}
    named = {word for _, line in every_line() for word in line.words[1:] if line.words[0] == "make"}
    named = {word for word in named if "=" not in word and "/" not in word and word in targets()}
    assert named - known - set(TARGETS_NOT_RUN) == set()
    assert set(TARGETS_NOT_RUN) <= targets()


def test_nothing_is_listed_in_vain():
    programs = {line.words[0].rpartition("/")[2] for _, line in every_line() if line.words}
    programs |= {line.words[2] for _, line in every_line() if line.words[1:2] == ["-m"]}
    assert set(NOT_RUN) - programs == set()
