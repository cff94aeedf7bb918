"""Log lines: one an event, whatever the event holds."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel, globalLogBeginner
from twisted.python.failure import Failure

from p2pool import logs
from p2pool.base.errors import OperatorError
from p2pool.logs import format_line, start_logging

ANY_TEXT = st.text(st.characters(exclude_categories=()))
HEAD = re.compile(r"2023-11-14 22:13:20\.120 info  \[node\] ")


def event(text: str = "text", **fields):
    return {
        "log_time": 1_700_000_000.12,
        "log_level": LogLevel.info,
        "log_namespace": "p2pool.node",
        "log_format": "{text}",
        "text": text,
    } | fields


def test_a_line():
    assert format_line(event("share 5 accepted")) == "2023-11-14 22:13:20.120 info  [node] share 5 accepted\n"
    assert format_line(event(log_level=LogLevel.critical)).split()[2] == "critical"
    assert "[twisted.web]" in format_line(event(log_namespace="twisted.web"))


def test_an_event_with_nothing_in_it_is_a_line():
    assert format_line({}) == "1970-01-01 00:00:00.000 info  [-] \n"
    assert format_line({"log_format": "{missing}"}).count("\n") == 1


@given(ANY_TEXT)
def test_any_text_stays_one_line_that_can_be_written(text):
    line = format_line(event(text))
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert line[:-1].isprintable()
    assert HEAD.match(line)
    line.encode("utf-8")


def test_what_cannot_be_printed_is_shown_escaped():
    line = format_line(event("a\r\nb\x1b[2Jc\x85d\u2028e\ud800f\u202eg"))
    assert line.endswith(r"] a  b\x1b[2Jc\x85d\u2028e\ud800f\u202eg" + "\n")
    assert format_line(event("Ärger ⛏")).endswith("] Ärger ⛏\n")


@given(ANY_TEXT)
def test_a_traceback_cannot_pass_for_another_event(text):
    try:
        raise ValueError(f"{text}\n2023-11-14 22:13:20.120 info  [node] forged")
    except ValueError:
        lines = format_line(event("it failed", log_failure=Failure()))
    first, *others = lines.splitlines()
    assert first.endswith("] it failed")
    assert any("Traceback" in line for line in others)
    assert any("forged" in line for line in others)
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    lines.encode("utf-8")


@pytest.fixture
def observer(monkeypatch):
    """Starts logging without touching the process's own; returns the observer that Twisted would call."""
    taken: list = []

    def begin(observers, **options):
        taken.extend(observers)

    monkeypatch.setattr(globalLogBeginner, "beginLoggingTo", begin)

    def start(path, debug=False, terminal=None):
        start_logging(path, debug, terminal or io.StringIO())
        return taken[-1]

    return start


def test_terminal_and_file_have_the_same_lines(observer, tmp_path):
    terminal, path = io.StringIO(), tmp_path / "new" / "log"
    observe = observer(path, terminal=terminal)
    observe(event("one \ud800"))
    observe(event("two"))
    text = path.read_text("utf-8")
    assert text == terminal.getvalue()
    assert [line.split("] ")[1] for line in text.splitlines()] == [r"one \ud800", "two"]


@pytest.mark.parametrize(
    ("namespace", "level", "debug", "shown"),
    [
        ("p2pool.node", LogLevel.info, False, True),
        ("p2pool.node", LogLevel.debug, False, False),
        ("p2pool.node", LogLevel.debug, True, True),
        ("twisted.internet.protocol.Factory", LogLevel.info, True, False),
        ("twisted.web", LogLevel.warn, False, True),
        ("log_legacy", LogLevel.info, True, False),
        ("log_legacy", LogLevel.critical, False, True),
    ],
)
def test_what_is_shown(observer, tmp_path, namespace, level, debug, shown):
    terminal = io.StringIO()
    observe = observer(tmp_path / "log", debug, terminal)
    observe(event(log_namespace=namespace, log_level=level))
    assert bool(terminal.getvalue()) == shown


class BrokenStream(io.StringIO):
    """A terminal that went away."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_went_away_does_not_cost_the_file_its_lines(observer, tmp_path):
    observe = observer(tmp_path / "log", terminal=BrokenStream())
    observe(event("still there"))
    assert "still there" in (tmp_path / "log").read_text()
    closed = io.StringIO()
    closed.close()
    observe = observer(tmp_path / "log", terminal=closed)
    observe(event("there again"))
    assert "there again" in (tmp_path / "log").read_text()


def test_the_files_are_bounded(observer, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LOG_SIZE", 500)
    observe = observer(tmp_path / "log")
    for number in range(200):
        observe(event(f"line {number}"))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["log", *(f"log.{n}" for n in range(1, logs.LOG_FILES + 1))]
    assert all(path.stat().st_size < 700 for path in tmp_path.iterdir())
    assert "line 199" in (tmp_path / "log").read_text() + (tmp_path / "log.1").read_text()


def test_a_file_that_cannot_be_written(observer, tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OperatorError, match=r"--logfile: cannot write .*taken/log"):
        observer(tmp_path / "taken" / "log")
    with pytest.raises(OperatorError, match="--logfile"):
        observer(tmp_path)


def test_the_level_can_be_changed_while_the_node_runs(monkeypatch, tmp_path):
    taken: list = []
    monkeypatch.setattr(globalLogBeginner, "beginLoggingTo", lambda observers, **options: taken.extend(observers))
    terminal = io.StringIO()
    set_level = start_logging(tmp_path / "log", False, terminal)
    for level, shown in (("debug", 4), ("info", 3), ("warn", 2), ("critical", 0), ("error", 1)):
        set_level(level)
        terminal.truncate(0)
        terminal.seek(0)
        for each in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error):
            taken[0](event("x", log_level=each))
        assert len(terminal.getvalue().splitlines()) == shown, level
        taken[0](event("noise", log_level=LogLevel.debug, log_namespace="twisted.web"))
        assert "noise" not in terminal.getvalue()
