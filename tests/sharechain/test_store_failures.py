"""The share store while the disk fails or hangs, at its bounds, and with files that are not its own."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from p2pool.base.errors import OperatorError
from p2pool.sharechain.archive import ShareArchive
from p2pool.sharechain.store import Batch, PackedShare, ShareDatabase, ShareStore, open_database
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW, easy_network, grow_chain
from tests.logged import logged
from tests.support import make_template

NETWORK = easy_network(20)
SHARES = grow_chain(Tracker(NETWORK), make_template(), 8, 3)
BROKEN = sqlite3.OperationalError("disk I/O error")


class Disk:
    """Runs what is to run in a thread at once, or, while it hangs, when the test says so."""

    def __init__(self) -> None:
        self.hangs = False
        self.runs = 0
        self.waiting: list[tuple[Any, Deferred[Any]]] = []

    def run(self, function: Any) -> Deferred[Any]:
        self.runs += 1
        if not self.hangs:
            return succeed(function())
        self.waiting.append((function, Deferred()))
        return self.waiting[-1][1]

    def go_on(self) -> None:
        self.hangs = False
        function, result = self.waiting.pop()
        result.callback(function())

    def fail(self) -> None:
        self.hangs = False
        self.waiting.pop()[1].errback(BROKEN)


class Stored:
    """A store on a disk, and what is in its file: (verified, pruned) by share, numbered."""

    def __init__(self, path, archive: ShareArchive | None = None) -> None:
        self.path, self.disk = path, Disk()
        self.database = ShareDatabase(path)
        self.store = ShareStore(self.database, self.disk.run, archive)

    def add(self, *numbers: int) -> None:
        for number in numbers:
            self.store.add(SHARES[number], NOW, own=False)

    def flush(self) -> None:
        done = Deferred.fromCoroutine(self.store.flush())
        assert done.called is not self.disk.hangs

    @property
    def rows(self) -> dict[int, tuple[bool, bool]]:
        connection = sqlite3.connect(self.path)
        rows = connection.execute("SELECT hash, verified, pruned FROM shares").fetchall()
        connection.close()
        number_of = {share.hash.to_bytes(32, "little"): number for number, share in enumerate(SHARES)}
        return {number_of[key]: (bool(verified), bool(pruned)) for key, verified, pruned in rows}


@pytest.fixture
def stored(tmp_path) -> Stored:
    return Stored(tmp_path / "shares.sqlite")


@pytest.fixture
def archiving(tmp_path) -> Stored:
    return Stored(tmp_path / "shares.sqlite", ShareArchive(tmp_path / "archive"))


# --- marks -----------------------------------------------------------------------------------------------


def test_what_is_verified_later_is_written_by_itself(stored):
    stored.add(0)
    stored.flush()
    stored.store.mark_verified(SHARES[0].hash)
    stored.flush()
    assert stored.rows == {0: (True, False)}


def test_a_share_that_was_removed_and_comes_again_has_to_be_verified_again(stored):
    stored.add(0)
    stored.store.mark_verified(SHARES[0].hash)
    stored.store.remove(SHARES[0].hash)
    stored.add(0)
    stored.flush()
    assert stored.rows == {0: (False, False)}


def test_nothing_to_write_costs_no_thread(stored, archiving):
    for each in (stored, archiving):
        each.flush()
        assert each.disk.runs == 0
        each.add(0)
        each.flush()
        assert each.disk.runs == 1


# --- what happens while a write fails --------------------------------------------------------------------


def test_what_comes_while_a_write_fails_is_newer_than_what_it_was_to_write(archiving):
    stored, store = archiving, archiving.store
    stored.add(0, 1, 2, 3, 4)
    for number in (2, 3, 4):
        store.mark_verified(SHARES[number].hash)
    store.prune(SHARES[3].hash)
    store.prune(SHARES[4].hash)
    stored.disk.hangs = True
    stored.flush()
    stored.add(4, 5)  # 4 is part of the chain again
    store.mark_verified(SHARES[0].hash)
    store.remove(SHARES[1].hash)
    store.prune(SHARES[2].hash)
    with logged() as log:
        stored.disk.fail()
    assert store.problem == f"cannot write shares to {stored.path}: disk I/O error"
    assert log.lines == [f"{store.problem}; continuing in memory; a restart would lose them"]
    assert stored.rows == {}
    stored.flush()
    assert stored.rows == {0: (True, False), 2: (True, True), 3: (True, True), 4: (True, False), 5: (False, False)}


def test_a_write_that_fails_halfway_leaves_nothing_of_it_and_the_next_one_works(stored):
    stored.add(0, 1)
    stored.flush()
    broken = PackedShare.of(SHARES[2], NOW, own=False)._replace(absheight=None)
    with pytest.raises(sqlite3.IntegrityError):
        stored.database.write(Batch(removed={SHARES[0].hash}, shares={SHARES[2].hash: broken}))
    assert set(stored.rows) == {0, 1}
    stored.database.write(Batch(removed={SHARES[1].hash}))
    assert set(stored.rows) == {0}


@pytest.mark.parametrize("most", [1, 3])
def test_of_what_waits_for_the_disk_the_newest_shares_are_kept(archiving, monkeypatch, most):
    monkeypatch.setattr(ShareStore, "MAX_PENDING", most)
    store, pending = archiving.store, lambda: archiving.store._pending

    def counts() -> tuple[int, int, int]:
        return len(pending().verified), len(pending().removed), len(pending().pruned)

    for number in range(6):
        archiving.add(number)
        first = max(0, number + 1 - most)
        assert list(pending().shares) == [share.hash for share in SHARES[first : number + 1]]
    for count in range(1, 6):
        store.mark_verified(SHARES[count].hash)
        assert counts() == (min(count, most), 0, min(count - 1, most))
        store.prune(SHARES[count].hash)
        assert counts() == (min(count, most), 0, min(count, most))
    for count in range(1, 6):
        store.remove(count)
        assert counts() == (most, min(count, most), most)
    archiving.disk.hangs = True
    archiving.flush()
    for number in (6, 7):
        archiving.add(number)
        store.mark_verified(SHARES[number].hash)
        store.prune(1000 + number)
        store.remove(2000 + number)
    with logged():
        archiving.disk.fail()
    assert counts() == (most, most, most)
    assert list(pending().shares)[-1] == SHARES[7].hash
    assert len(pending().shares) == most


def test_each_time_that_the_archive_fails_is_reported_once(archiving, monkeypatch):
    monkeypatch.setattr("p2pool.sharechain.store.ARCHIVE_BATCH", 1)
    failing = True
    write = ShareArchive.write

    def written(archive: ShareArchive, *given: Any) -> Any:
        if failing:
            raise PermissionError("no")
        return write(archive, *given)

    monkeypatch.setattr(ShareArchive, "write", written)
    archiving.disk.run = _called  # type: ignore[method-assign]
    alarms = []
    for number, failing in enumerate((True, True, False, True, True, False)):  # noqa: B007
        archiving.add(number)
        archiving.store.mark_verified(SHARES[number].hash)
        archiving.store.prune(SHARES[number].hash)
        with logged() as log:
            Deferred.fromCoroutine(archiving.store.flush())
        alarms.append(sum("cannot archive old shares" in line for line in log.lines))
    assert alarms == [1, 0, 0, 1, 0, 0]


def _called(function: Any) -> Deferred[Any]:
    try:
        return succeed(function())
    except OSError as error:
        return fail(error)


# --- the file --------------------------------------------------------------------------------------------


def test_it_is_made_in_one_thread_and_used_in_others(stored):
    results: list[Any] = []

    def use() -> None:
        stored.database.write(Batch(shares={SHARES[0].hash: PackedShare.of(SHARES[0], NOW, own=False)}))
        results.append(stored.database.count())

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert results == [1]


def test_a_file_that_cannot_be_opened_is_not_taken_for_a_corrupt_one(tmp_path):
    """It may be there again in a moment, and what is quarantined is not read again."""
    path = tmp_path / "shares.sqlite"
    path.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        open_database(path, "20260101-000000")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_used_is_closed(stored, monkeypatch):
    stored.database.close()
    connection = sqlite3.connect(stored.path)
    connection.execute("PRAGMA user_version=99")
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **more: opened.append(connect(*args, **more)) or opened[-1]
    )
    with pytest.raises(OperatorError):
        ShareDatabase(stored.path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")
