"""Bans between runs: written when something changed, and no file is lost or in the way."""

from __future__ import annotations

import json
from errno import EACCES
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, maybeDeferred

from p2pool.stratum.ban_file import BANS_FILE, BanFile
from p2pool.stratum.guard import Guard, GuardSettings
from tests.failing_disk import failing_disk
from tests.logged import logged
from tests.stratum.miner import NOW, FakeStats


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "data" / "bans.json"


def make(path: Path, run_in_thread=maybeDeferred) -> tuple[Guard, BanFile]:
    guard = Guard(GuardSettings(), FakeStats())
    return guard, BanFile(guard, path, run_in_thread)


def save(file: BanFile) -> None:
    results: list = []
    Deferred.fromCoroutine(file.save()).addBoth(results.append)
    assert results == [None]


def hosts(guard: Guard) -> list[str]:
    return [ban.host for ban in guard.bans()]


def test_bans_survive_a_restart(path):
    guard, file = make(path)
    guard.ban("10.0.0.1", now=NOW, seconds=100, reason="one")
    guard.ban("2001:db8::1", now=NOW, seconds=200, reason="zwölf")
    save(file)
    assert len(list(path.parent.iterdir())) == 1
    after, other = make(path)
    with logged() as log:
        other.load(NOW + 50)
    assert after.bans() == guard.bans()
    assert log.lines == [f"restored 2 bans of miners' hosts from {path}"]
    later, other = make(path)
    other.load(NOW + 150)
    assert hosts(later) == ["2001:db8::/64"]


def test_it_is_written_only_when_something_changed(path):
    writes: list = []

    def run(call):
        writes.append(None)
        return maybeDeferred(call)

    guard, file = make(path, run)
    save(file)
    assert not path.exists()
    guard.ban("10.0.0.1", now=NOW, seconds=100, reason="one")
    guard.ban("10.0.0.2", now=NOW, seconds=200, reason="two")
    save(file)
    save(file)
    assert len(writes) == 1
    guard.unban("10.0.0.1")
    save(file)
    guard.tick(NOW + 200)
    save(file)
    assert len(writes) == 3
    assert json.loads(path.read_bytes()) == {"version": 1, "bans": []}


def test_what_changes_while_it_is_written_is_written_next_time(path):
    calls: list = []
    waiting: Deferred = Deferred()

    def run(call):
        calls.append(call)
        return waiting if len(calls) == 1 else maybeDeferred(call)

    guard, file = make(path, run)
    guard.ban("10.0.0.1", now=NOW, seconds=100, reason="one")
    first = Deferred.fromCoroutine(file.save())
    guard.ban("10.0.0.2", now=NOW, seconds=100, reason="two")
    calls[0]()
    waiting.callback(None)
    assert first.called
    assert len(json.loads(path.read_bytes())["bans"]) == 1
    save(file)
    assert len(json.loads(path.read_bytes())["bans"]) == 2


def test_without_a_file_there_are_no_bans_and_no_complaint(path):
    guard, file = make(path)
    with logged() as log:
        file.load(NOW)
    assert log.lines == []
    assert hosts(guard) == []
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"10.0.0.1": 5}',
        b"7",
        b"[" + b"9" * 5000 + b"]",
        b"[" + b" " * BANS_FILE.max_bytes + b"]",
    ],
    ids=["empty", "text", "bytes", "deep", "object", "number", "digits", "large"],
)
def test_what_cannot_be_read_is_quarantined(path, data):
    path.parent.mkdir()
    path.write_bytes(data)
    guard, file = make(path)
    with logged() as log:
        file.load(NOW)
    assert hosts(guard) == []
    assert len(log.lines) == 1
    assert not log.tracebacks
    aside = path.with_name("bans.json.damaged")
    assert aside.read_bytes() == data
    assert not path.exists()
    guard.ban("10.0.0.1", now=NOW, seconds=100, reason="one")
    save(file)
    assert aside.read_bytes() == data
    assert len(json.loads(path.read_bytes())["bans"]) == 1


def test_a_file_that_cannot_even_be_quarantined_stops_nothing(path):
    path.mkdir(parents=True)  # a directory where the file should be
    guard, file = make(path)
    with logged() as log, failing_disk(OSError(EACCES, "Permission denied")):
        file.load(NOW)
    assert len(log.lines) == 1
    assert not log.tracebacks
    guard.ban("10.0.0.1", now=NOW, seconds=100, reason="one")
    save(file)
    assert path.is_dir()


def test_rows_that_say_nothing_are_passed_over(path):
    path.parent.mkdir()
    rows = [
        *(None, 5, "x", [], {}, ["10.0.0.1"], ["10.0.0.1", "a", "b", "c"], [1, 2, 3, 4]),
        ["10.0.0.2", NOW, 10**18, "beyond all clocks"],
        ["127.0.0.1", NOW, NOW + 9, "loopback"],
        ["10.0.0.3", NOW, NOW + 9, "good"],
    ]
    path.write_text(json.dumps(rows))
    guard, file = make(path)
    with logged() as log:
        file.load(NOW)
    assert hosts(guard) == ["10.0.0.3"]
    assert log.lines == [f"restored 1 bans of miners' hosts from {path}"]


def test_bans_of_the_format_before_versions_are_taken_over(path):
    path.parent.mkdir()
    path.write_text(json.dumps([["10.0.0.3", NOW, NOW + 9, "good"]]))
    guard, file = make(path)
    file.load(NOW)
    assert hosts(guard) == ["10.0.0.3"]


def test_a_disk_that_fails_is_said_once_and_tried_again(path):
    path.parent.write_text("a file where the directory should be")
    guard, file = make(path)
    guard.ban("10.0.0.1", now=NOW, seconds=100, reason="one")
    with logged() as log:
        for _ in range(5):
            save(file)
    assert len(log.lines) == 1
    assert str(path) in log.lines[0]
    path.parent.unlink()
    save(file)
    assert len(json.loads(path.read_bytes())["bans"]) == 1
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("again")
    guard.unban("10.0.0.1")
    with logged() as log:
        save(file)
        save(file)
    assert len([line for line in log.lines if f"cannot write {path}" in line]) == 1
