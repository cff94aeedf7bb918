"""What the documents say is so: flags, settings, paths, pages, links, and texts that people shall look for."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from p2pool.app.commands import COMMANDS
from p2pool.app.config import load_config
from p2pool.app.environment_settings import variable_of
from p2pool.app.settings import all_settings, flag_names
from p2pool.operators.main import run_command
from p2pool.stratum.reputation import REPEATED_LOGIN_COST, Offence
from p2pool.web.admin import admin_actions
from p2pool.web.api.miner_alerts import POSTS
from p2pool.web.api.table import ENDPOINTS
from tests.support import ROOT, parse_module

PAGES = tuple(sorted((ROOT / "docs").rglob("*.md")))
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
DOCUMENTS = (*(ROOT / name for name in TOP), *PAGES)
GUIDES = (
    ROOT / "README.md",
    *(
        ROOT / "docs" / name
        for name in (
            "alerts.md",
            "first-evening.md",
            "miners.md",
            "operators.md",
            "scaling.md",
            "troubleshooting.md",
        )
    ),
)
MODULES = (
    *("p2pool.simnet", "p2pool.simnet.miner", "p2pool.simnet.aux_daemon", "p2pool.simnet.swarm"),
    "tests.bench",
)
"""Programs of ours beside the node."""
FOREIGN = ("/bin", "/dev", "/etc", "/home", "/mnt", "/opt", "/tmp", "/usr", "/var")
"""What begins so is a file."""
ADDRESS = "XdgF55wEHBRWwbuBniNYH4GvvaoYMgL84u"


_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?![\w-])")
_URL = re.compile(r"https?://(?:THIS_MACHINE|NODE|127\.0\.0\.1)(?::(?:7903|19783|PORT))?(/[^\s'\"`<>)|?]*)")
"""On the node's own ports."""
_PATH = re.compile(r"(/[a-z_][\w./{}<>*-]*)(?:\?\S*)?")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Document:
    """A document's parts: what is said, its `inline code`, indented commands, and fenced code by language."""

    prose: str
    spans: list[str]
    commands: list[str]
    fences: list[tuple[str, str]]


@cache
def read(path: Path) -> Document:
    text = path.read_text("utf-8")
    fences = _FENCE.findall(text)
    text = _FENCE.sub("", text)
    indented = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    commands = "\n".join(indented).replace("\\\n", " ").splitlines()
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    return Document(prose, spans, [line.removeprefix("# ").strip() for line in commands], fences)


def of(*paths: Path):
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


# --- flags and settings ------------------------------------------------------------------------------------


def help_of(module: str, monkeypatch, capsys) -> set[str]:
    """The flags of one of our other programs."""
    name = module if module.count(".") == 2 else f"{module}.__main__"
    monkeypatch.setattr("sys.argv", [module, "--help"])
    with pytest.raises(SystemExit):
        importlib.import_module(name).main()
    return set(_FLAG.findall(capsys.readouterr().out))


def flags_of_commands(capsys) -> set[str]:
    """The flags that commands for operators have besides those of the node."""
    found: set[str] = set()
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            run_command(command, ["--help"])
        found |= set(_FLAG.findall(capsys.readouterr().out))
    return found


@of(*DOCUMENTS)
def test_every_flag_that_is_named_exists(path, monkeypatch, capsys):
    known = flag_names().union(*(help_of(module, monkeypatch, capsys) for module in MODULES))
    known |= flags_of_commands(capsys)
    named = {flag for span in read(path).spans for flag in _FLAG.findall(span)}
    assert named - known - _FLAGS_OF_TOOLS == set()


@of(*GUIDES)
def test_settings_in_toml_are_settings(path, tmp_path):
    for number, (language, text) in enumerate(read(path).fences):
        if language == "toml":
            (tmp_path / "smtp-password").write_text("a password")
            (tmp_path / "broker").write_text("redis://127.0.0.1")
            file = tmp_path / f"{number}.toml"
            for secret in ("smtp-password", "broker"):
                text = text.replace(f"/etc/p2pool-dash/{secret}", str(tmp_path / secret))
            text = text.replace("YOUR_DASH_ADDRESS", ADDRESS)
            file.write_text(text)
            load_config(["--config", str(file)], tmp_path, {})


def test_settings_in_toml_are_found():
    fences = read(ROOT / "docs" / "operators.md").fences
    assert sum(language == "toml" for language, _ in fences) >= 5


# --- paths, pages, links -----------------------------------------------------------------------------------


def named_paths(document: Document) -> set[str]:
    """Paths of the node's web that are named, without questions."""
    whole = [match[1] for span in document.spans if (match := _PATH.fullmatch(span))]
    everything = "\n".join([document.prose, *document.commands, *(text for _, text in document.fences)])
    return {path for path in (*whole, *_URL.findall(everything)) if path != "/" and not path.startswith(FOREIGN)}


@cache
def served() -> list[re.Pattern[str]]:
    """The paths of the node."""
    actions = [f"/api/v1/admin/{name}" for name in admin_actions(None, None, None)] + ["/api/v1/admin/alert-test"]
    files = [f"/static/{path.name}" for path in (ROOT / "web-static").iterdir()]
    paths = [
        *(each.path for each in ENDPOINTS),
        *(each.path for each in POSTS),
        *actions,
        *files,
        "/metrics",
        "/ws",
        "/api/openapi.json",
    ]
    return [re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in paths]


def is_served(path: str) -> bool:
    """A path that ends with / or stands for all below it is one where something is below."""
    beginning = re.fullmatch(r"(.*/)(?:\.\.\.|\*)?", path)
    if beginning:
        return any(pattern.pattern.startswith(beginning[1]) for pattern in served())
    return any(pattern.fullmatch(path) for pattern in served())


@of(*DOCUMENTS)
def test_every_path_that_is_named_is_served(path):
    assert {each for each in named_paths(read(path)) if not is_served(each)} == set()


def test_paths_are_found_and_judged():
    found = named_paths(read(ROOT / "docs" / "operators.md"))
    assert {"/api/v1/admin/unban", "/dashd_status", "/api/v1/history/series"} <= found
    assert not is_served("/api/v1/nothing")
    assert not is_served("/static/nothing.html")
    assert not is_served("/nothing/...")


@of(*DOCUMENTS)
def test_every_page_that_is_named_exists(path):
    named = set(re.findall(r"\b(\w+\.html)\b", path.read_text("utf-8")))
    assert {page for page in named if not (ROOT / "web-static" / page).is_file()} == set()


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@of(*DOCUMENTS)
def test_every_link_leads_somewhere(path):
    for link in _LINK.findall(read(path).prose):
        if not link.startswith(("http://", "https://")):
            file, _, anchor = link.partition("#")
            target = path.parent / file if file else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_page_is_reached_from_the_readme():
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path not in reached and path.suffix == ".md":
            reached.add(path)
            files = [link.partition("#")[0] for link in _LINK.findall(read(path).prose)]
            waiting += [(path.parent / file).resolve() for file in files if file and "://" not in file]
    assert set(DOCUMENTS) - reached == set()


_FLAGS_OF_TOOLS = {"--upgrade"}
"""Flags of programs for engineers that the documents name."""
_OF_OTHERS = {"p2pool/dash/stratum.py"}
"""Files of legacy p2pool-dash that the documents name."""


@of(ROOT / "CONTRIBUTING.md", *PAGES)
def test_every_file_that_is_named_exists(path):
    named = set(re.findall(r"`((?:p2pool|tests)/[\w/-]+\.(?:py|sh|c))\b", path.read_text("utf-8"))) - _OF_OTHERS
    assert {file for file in named if not (ROOT / file).is_file()} == set()


@of(ROOT / "docs" / "architecture.md", *sorted((ROOT / "docs" / "design").glob("*.md")))
def test_every_part_of_the_code_that_is_named_exists(path):
    packages = {each.name for each in (ROOT / "p2pool").iterdir() if each.is_dir()}
    names = re.findall(r"`([a-z_]+(?:\.[a-z0-9_]+)+(?:\.[A-Z]\w+)*)(?:\(\))?`", path.read_text("utf-8"))
    ours = {name for name in names if name.split(".")[0] in packages and not name.endswith((".json", ".sqlite"))}
    assert {name for name in ours if not is_part(name)} == set()


def is_part(name: str) -> bool:
    """Return whether p2pool has a module, or something in a module, of this dotted name."""
    *parents, last = f"p2pool.{name}".split(".")
    try:
        return importlib.util.find_spec(".".join([*parents, last])) is not None or hasattr(
            importlib.import_module(".".join(parents)), last
        )
    except ModuleNotFoundError:
        return hasattr(importlib.import_module(".".join(parents)), last)


# --- texts -------------------------------------------------------------------------------------------------


@cache
def texts() -> list[str]:
    """All that the code can say: its strings, with what is put into them as {...}."""
    found = []
    for path in (ROOT / "p2pool").rglob("*.py"):
        for node in ast.walk(parse_module(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
                found.append("".join(map(str, parts)))
    return found


def is_said(quoted: str) -> bool:
    """Whether the code has one string with these words in this order; ... stands for anything."""
    pattern = re.compile(".*".join(re.escape(piece.strip()) for piece in quoted.split("...")), re.DOTALL)
    return any(pattern.search(text) for text in texts())


def table(path: Path, head: str) -> list[list[str]]:
    """The rows of the tables that begin with a head, as cells."""
    _, *found = path.read_text("utf-8").split(f"\n| {head} |")
    lines = [line for rest in found for line in rest.split("\n\n")[0].splitlines()[2:]]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@of(ROOT / "docs" / "troubleshooting.md", ROOT / "docs" / "miners.md")
def test_what_people_are_told_to_look_for_is_what_the_node_says(path):
    quoted = [text for cells in table(path, "message") for text in re.findall(r"`([^`]+)`", cells[0])]
    assert len(quoted) >= 9
    assert [text for text in quoted if not is_said(text)] == []
    assert not is_said("the moon ... is full")


@pytest.mark.parametrize("head", ["line of a gateway's log", "line of the node's log"])
def test_lines_about_gateways_are_what_is_logged(head):
    quoted = [re.findall(r"`([^`]+)`", cells[0]) for cells in table(ROOT / "docs" / "scaling.md", head)]
    assert len(quoted) >= 4
    assert [line for (line,) in quoted if not is_said(line)] == []


def test_offences_of_the_guide_are_those_that_the_node_charges():
    rows = table(ROOT / "docs" / "miners.md", "offence")
    listed = [(re.match(r"`([^`]+)`: ", row[0]), re.match(r"[0-9]+", row[1])) for row in rows]
    assert [(name and name[1], cost and float(cost[0])) for name, cost in listed] == [
        (offence.text, offence.cost) for offence in Offence
    ]
    assert rows[1][1].startswith(f"{Offence.LOGIN.cost:g}; {REPEATED_LOGIN_COST:g} if the same ")


def test_files_of_the_backup_are_files_of_the_node():
    cells = [row[0] for row in table(ROOT / "docs" / "operators.md", "file")]
    names = [name.rpartition("*")[2].rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert len(names) >= 20
    assert [name for name in names if not any(name in text for text in texts())] == []


@of(*GUIDES)
def test_variables_of_the_environment_are_read(path):
    named = set(re.findall(r"\bP2POOL_[A-Z_]+\b", path.read_text("utf-8")))
    built = {node.value for node in ast.walk(parse_module(ROOT / "setup.py")) if isinstance(node, ast.Constant)}
    settings = {variable_of(each) for each in all_settings().values()}
    assert {name for name in named - settings if name not in texts() and name not in built} == set()


def test_constants_that_limits_name_exist():
    """`module.NAME`, by the module's last name."""
    text = (ROOT / "docs" / "limits.md").read_text("utf-8")
    named = re.findall(r"`(?:(\w+)\.)?(_?[A-Z][A-Z_]+)`", text)
    assert len(named) >= 20
    modules = [(path.stem, defined_in(path)) for path in (ROOT / "p2pool").rglob("*.py")]
    assert [
        f"{module}.{name}"
        for module, name in named
        if not any(name in names and module in ("", stem) for stem, names in modules)
    ] == []


def defined_in(path: Path) -> set[str]:
    """Return the names that are assigned at the top of a module."""
    assigned = [node for node in parse_module(path).body if isinstance(node, ast.Assign | ast.AnnAssign)]
    targets = [target for node in assigned for target in getattr(node, "targets", [getattr(node, "target", None)])]
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def test_the_tests_that_limits_are_held_by_exist():
    text = (ROOT / "docs" / "limits.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert named
    for file, name in named:
        assert (f"def {name}(" if name else "def test_") in (ROOT / file).read_text("utf-8"), f"{file}::{name}"
