"""The audit log's files: in order, bounded, and what happens where the disk does not take them."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import ensureDeferred

from p2pool.web import audit
from p2pool.web.audit import OLD_FILES, AuditLog, append_rotated
from tests.logged import logged
from tests.web.guarded import Threads


@pytest.fixture
def threads():
    return Threads()


@pytest.fixture
def log(tmp_path, threads):
    return AuditLog(tmp_path / "made" / "audit.log", lambda: 1000.12345, threads)


def record(log: AuditLog, *numbers: int) -> None:
    for number in numbers:
        log.record(client="10.0.0.1", key="abcd", action="unban", parameters={"number": number}, outcome="done")


def numbers(*paths) -> list[int]:
    return [json.loads(line)["parameters"]["number"] for path in paths for line in path.read_bytes().splitlines()]


def test_lines_come_in_their_order_one_write_at_a_time(log, threads):
    threads.held = True
    record(log, 1, 2, 3)
    assert threads.calls == 1
    threads.release()
    assert threads.calls == 2  # what came meanwhile goes together
    threads.release()
    assert numbers(log._path) == [1, 2, 3]
    assert json.loads(log._path.read_bytes().splitlines()[0])["time"] == 1000.123
    assert log._path.stat().st_mode & 0o777 == 0o600


def test_texts_cannot_break_a_line(log):
    log.record(
        client="evil\nclient",
        key="abcd",
        action="message",
        parameters={"text": "a\nb\r\u2028"},
        outcome="refused:\nx",
    )
    (line,) = log._path.read_text("utf-8").split("\n")[:-1]
    assert json.loads(line)["client"] == "evil?client"
    assert json.loads(line)["outcome"] == "refused:?x"


def test_a_file_that_grows_is_renamed_and_the_oldest_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "MAX_FILE", 100)
    path = tmp_path / "audit.log"
    for number in range(20):
        append_rotated(path, b'{"parameters": {"number": %2d}}\n' % number * 3)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 1 + OLD_FILES
    assert all(file.stat().st_size <= 100 for file in files)
    kept = numbers(*(path.with_name(f"audit.log.{old}") for old in range(OLD_FILES, 0, -1)), path)
    assert kept == [number for number in range(14, 20) for _ in range(3)]


def test_a_file_renamed_by_another_program_is_begun_anew(log):
    record(log, 1)
    log._path.rename(log._path.with_name("audit.log-20261129"))
    record(log, 2)
    assert numbers(log._path) == [2]


def test_a_disk_that_does_not_take_it_is_a_warning_and_nothing_is_lost(log, threads):
    log._path.parent.write_text("a file where the directory should be")
    with logged() as lines:
        record(log, 1, 2, 3)
    assert len(lines.lines) == 1
    assert f"cannot write {log._path}: " in lines.lines[0]
    log._path.parent.unlink()
    record(log, 4)
    assert numbers(log._path) == [1, 2, 3, 4]


def test_so_many_wait_and_the_log_says_which_are_lost(tmp_path, threads, monkeypatch):
    monkeypatch.setattr(audit, "MAX_WAITING", 3)
    log = AuditLog(tmp_path / "file" / "audit.log", lambda: 1.0, threads)
    (tmp_path / "file").write_text("")
    with logged() as lines:
        record(log, 1, 2, 3, 4, 5)
    assert [line for line in lines.lines if "is lost" in line and '"number":1' in line]
    assert len(log._waiting) == 3
    (tmp_path / "file").unlink()
    record(log, 6)
    assert numbers(log._path) == [4, 5, 6]


def test_lines_lost_while_others_are_written_do_not_take_newer_ones_with_them(tmp_path, threads, monkeypatch):
    monkeypatch.setattr(audit, "MAX_WAITING", 3)
    log = AuditLog(tmp_path / "audit.log", lambda: 1.0, threads)
    threads.held = True
    record(log, 1, 2, 3, 4, 5)  # 1 is being written, and 2 makes room for 5
    threads.held = False
    threads.release()
    assert numbers(log._path) == [1, 3, 4, 5]


def test_a_line_that_was_written_in_part_spoils_no_other(log, monkeypatch):
    record(log, 1)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, logged() as lines:
        patched.setattr(audit.os, "fsync", full)
        record(log, 2)
    assert "No space left" in lines.lines[0]
    assert numbers(log._path) == [1]
    record(log, 3)
    assert numbers(log._path) == [1, 2, 3]


def test_stopping_waits_for_what_is_under_way(log, threads):
    threads.held = True
    record(log, 1, 2)
    stopped = ensureDeferred(log.stop())
    threads.release()
    assert not stopped.called
    threads.release()
    assert stopped.called
    assert numbers(log._path) == [1, 2]
    assert ensureDeferred(log.stop()).called


def test_stopping_does_not_wait_for_a_disk_that_is_broken(log, threads):
    log._path.parent.write_text("")
    record(log, 1)
    assert ensureDeferred(log.stop()).called
