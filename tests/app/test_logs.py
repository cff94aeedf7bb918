"""Log lines: one an event, whatever the event holds."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
from io import FileIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel, globalLogBeginner
from twisted.python.failure import Failure

from p2pool.app import logs
from p2pool.app.logs import FORMATS, format_json, format_line, start_logging
from p2pool.app.settings import STANDARD_OUTPUT
from p2pool.base.errors import OperatorError

ANY_TEXT = st.text(st.characters(exclude_categories=()))
HEAD = re.compile(r"2023-11-14 22:13:20\.120Z info  \[node\] ")


def event(text: str = "text", **fields):
    return {
        "log_time": 1_700_000_000.12,
        "log_level": LogLevel.info,
        "log_namespace": "p2pool.node",
        "log_format": "{text}",
        "text": text,
    } | fields


def test_a_line():
    assert format_line(event("share 5 accepted")) == "2023-11-14 22:13:20.120Z info  [node] share 5 accepted\n"
    assert format_line(event(log_level=LogLevel.critical)).split()[2] == "critical"
    assert "[twisted.web]" in format_line(event(log_namespace="twisted.web"))


def test_an_event_with_nothing_in_it_is_a_line():
    assert format_line({}) == "1970-01-01 00:00:00.000Z info  [-] \n"
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
        raise ValueError(f"{text}\n2023-11-14 22:13:20.120Z info  [node] forged")
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

    def start(path, debug=False, terminal=None, form="text"):
        start_logging(path, debug, terminal or io.StringIO(), form=FORMATS[form])
        return taken[-1]

    return start


def test_terminal_and_file_have_the_same_lines(observer, tmp_path):
    terminal, path = io.StringIO(), tmp_path / "log"
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


def test_a_file_renamed_by_another_program_is_begun_anew_and_stays_bounded(observer, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LOG_SIZE", 500)
    observe = observer(tmp_path / "log")
    observe(event("before"))
    (tmp_path / "log").rename(tmp_path / "log-20231114")
    observe(event("after"))
    assert "after" not in (tmp_path / "log-20231114").read_text()
    assert "after" in (tmp_path / "log").read_text()
    (tmp_path / "log").unlink()
    for number in range(200):
        observe(event(f"line {number}"))
    assert (tmp_path / f"log.{logs.LOG_FILES}").exists()
    assert all(path.stat().st_size < 700 for path in tmp_path.iterdir())


def test_a_file_cut_by_another_program_goes_on_at_its_beginning(observer, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LOG_SIZE", 500)
    observe = observer(tmp_path / "log")
    for _ in range(6):
        observe(event("before the cut"))
        with open(tmp_path / "log", "r+b") as file:  # as logrotate does with `copytruncate`
            file.truncate(0)
    observe(event("after"))
    assert (tmp_path / "log").read_bytes().startswith(b"2023-11-14")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_reopening_follows_the_name_and_survives_what_stands_there(monkeypatch, tmp_path):
    taken: list = []
    monkeypatch.setattr(globalLogBeginner, "beginLoggingTo", lambda observers, **options: taken.extend(observers))
    logging = start_logging(tmp_path / "log", False, io.StringIO())
    (tmp_path / "log").rename(tmp_path / "old")
    logging.reopen()
    assert (tmp_path / "log").read_text() == ""
    (tmp_path / "log").unlink()
    (tmp_path / "log").mkdir()
    logging.reopen()
    taken[0](event("goes on in the open file"))
    (tmp_path / "log").rmdir()
    taken[0](event("in a new one"))
    assert "in a new one" in (tmp_path / "log").read_text()


class FullDisk(FileIO):
    """Takes five bytes of each write, then none."""

    full = True

    def write(self, data):
        return super().write(data[:5] if self.full else data)


def test_a_full_disk_costs_whole_lines_which_are_counted(observer, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "FileIO", FullDisk)
    observe = observer(tmp_path / "log")
    monkeypatch.setattr(FullDisk, "full", False)
    observe(event("first"))
    monkeypatch.setattr(FullDisk, "full", True)
    observe(event("lost"))
    observe(event("lost"))
    monkeypatch.setattr(FullDisk, "full", False)
    observe(event("last"))
    first, missing, last = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("] first")
    assert missing == "(2 lines are missing here: they could not be written)"
    assert last.endswith("] last")


class NoRoomForNewFiles:
    """os.open on a disk without inodes: renaming works, making a file does not."""

    def __init__(self) -> None:
        self.lasts = False
        self._open = os.open

    def __call__(self, path, *arguments):
        if self.lasts and not os.path.exists(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._open(path, *arguments)


def test_a_rotation_without_room_for_a_new_file_pushes_out_no_older_files(observer, tmp_path, monkeypatch):
    no_room = NoRoomForNewFiles()
    monkeypatch.setattr(os, "open", no_room)
    monkeypatch.setattr(logs, "LOG_SIZE", 500)
    observe = observer(tmp_path / "log")
    for number in range(1, logs.LOG_FILES + 1):
        (tmp_path / f"log.{number}").write_text(f"older file {number}\n")
    no_room.lasts = True
    for number in range(20):
        observe(event(f"line {number}"))
    assert (tmp_path / "log.2").read_text() == "older file 1\n"
    assert (tmp_path / f"log.{logs.LOG_FILES}").read_text() == f"older file {logs.LOG_FILES - 1}\n"
    no_room.lasts = False
    observe(event("room again"))
    assert "line 19" in (tmp_path / "log.1").read_text()
    assert "room again" in (tmp_path / "log").read_text()


def test_a_full_disk_cuts_no_lines_out_of_a_file_that_lost_its_name(observer, tmp_path, monkeypatch):
    no_room = NoRoomForNewFiles()
    monkeypatch.setattr(os, "open", no_room)
    monkeypatch.setattr(logs, "FileIO", FullDisk)
    monkeypatch.setattr(FullDisk, "full", False)
    observe = observer(tmp_path / "log")
    (tmp_path / "log").rename(tmp_path / "moved")
    no_room.lasts = True
    observe(event("after the move"))
    monkeypatch.setattr(FullDisk, "full", True)
    observe(event("lost"))
    assert "after the move" in (tmp_path / "moved").read_text()


def test_without_a_terminal_the_file_is_written(observer, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    taken: list = []
    monkeypatch.setattr(globalLogBeginner, "beginLoggingTo", lambda observers, **options: taken.extend(observers))
    start_logging(tmp_path / "log", False)
    taken[0](event("still there"))
    assert "still there" in (tmp_path / "log").read_text()


def test_details_are_lines_of_their_own_and_cannot_pass_for_another_event():
    text = format_line(event("stacks:", details="thread A:\n  2023-11-14 22:13:20.120Z info  [node] forged\n"))
    _, *below = text.splitlines()
    assert below == ["    thread A:", "      2023-11-14 22:13:20.120Z info  [node] forged"]


def test_a_file_that_cannot_be_written(observer, tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OperatorError, match=r"--logfile: cannot write .*taken/log"):
        observer(tmp_path / "taken" / "log")
    with pytest.raises(OperatorError, match="--logfile"):
        observer(tmp_path)
    with pytest.raises(OperatorError, match=r"--logfile: cannot write .*missing/log: No such file or directory"):
        observer(tmp_path / "missing" / "log")
    assert not (tmp_path / "missing").exists()


def test_the_level_can_be_changed_while_the_node_runs(monkeypatch, tmp_path):
    taken: list = []
    monkeypatch.setattr(globalLogBeginner, "beginLoggingTo", lambda observers, **options: taken.extend(observers))
    terminal = io.StringIO()
    set_level = start_logging(tmp_path / "log", False, terminal).set_level
    for level, shown in (("debug", 4), ("info", 3), ("warn", 2), ("critical", 0), ("error", 1)):
        set_level(level)
        terminal.truncate(0)
        terminal.seek(0)
        for each in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error):
            taken[0](event("x", log_level=each))
        assert len(terminal.getvalue().splitlines()) == shown, level
        taken[0](event("noise", log_level=LogLevel.debug, log_namespace="twisted.web"))
        assert "noise" not in terminal.getvalue()


# --- JSON --------------------------------------------------------------------------------------------------------


def test_an_event_as_json_has_stable_keys():
    line = format_json(event("share 5 accepted", height=5, rate=1.5, own=True, worker=None))
    assert line == (
        '{"time": "2023-11-14T22:13:20.120000Z", "level": "info", "namespace": "p2pool.node", '
        '"message": "share 5 accepted", "fields": '
        '{"text": "share 5 accepted", "height": 5, "rate": 1.5, "own": true, "worker": null}}\n'
    )
    assert list(json.loads(format_json({}))) == ["time", "level", "namespace", "message"]


def test_fields_that_json_does_not_have_are_left_out():
    odd = event("x", data=b"1", when=float("nan"), most=float("inf"), thing=object(), many=[1], level="mine")
    read = json.loads(format_json(odd))
    assert read["fields"] == {"text": "x", "level": "mine"}
    assert read["level"] == "info"


def test_tracebacks_and_details_are_keys_of_their_own():
    try:
        raise ValueError("a\nb")
    except ValueError:
        read = json.loads(format_json(event("it failed", log_failure=Failure(), details="1\n2")))
    assert "ValueError: a\nb" in read["traceback"]
    assert read["details"] == "1\n2"
    assert set(read["fields"]) == {"text"}


@given(ANY_TEXT)
def test_any_text_stays_one_object_on_one_line(text):
    line = format_json(event(text, other=text))
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    assert json.loads(line)["fields"]["other"] == text


def test_file_and_terminal_get_json(observer, tmp_path):
    terminal, path = io.StringIO(), tmp_path / "log"
    observe = observer(path, terminal=terminal, form="json")
    observe(event("one"))
    assert json.loads(path.read_text())["message"] == "one"
    assert path.read_text() == terminal.getvalue()


def test_the_line_about_missing_lines_is_an_object_too():
    line = FORMATS["json"].missing(3, "the output was not read")
    assert line.endswith("}\n")
    assert json.loads(line)["message"] == "3 lines are missing here: the output was not read"


def test_standard_output_alone(observer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    logging: list = []
    monkeypatch.setattr(
        globalLogBeginner, "beginLoggingTo", lambda observers, **options: logging.extend(observers)
    )
    reopened = start_logging(STANDARD_OUTPUT, False)
    logging[0](event("to standard output"))
    assert "to standard output" in out.getvalue()
    assert err.getvalue() == ""
    assert list(tmp_path.iterdir()) == []
    reopened.reopen()
    assert list(tmp_path.iterdir()) == []
