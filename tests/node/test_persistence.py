"""Shares on disk, from the node's side: loading, writing, importing, announcing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from p2pool.base.errors import OperatorError
from p2pool.node import Node, NodeSettings
from p2pool.node.persistence import FLUSH_PERIOD, Persistence
from p2pool.pool_stats import PoolStats
from p2pool.share.parsing import parse_shares
from p2pool.sharechain import store
from p2pool.sharechain.archive import ShareArchive
from p2pool.sharechain.store import ShareDatabase, StoredShare
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW, easy_network, grow_chain
from tests.environment import PostponingReactor, ThreadlessClock, make_environment
from tests.logged import logged
from tests.support import TESTS, make_template, network_of, vectors

NETWORK = easy_network(20)
SHARES = grow_chain(Tracker(NETWORK), make_template(), 30, 3)
LATER = NOW + 3600


def starting_lines(disk) -> list[str]:
    """What is logged while a node starts and stops."""
    with logged() as log:
        disk.start().stop()
    return log.lines


@pytest.mark.parametrize("how", ["emptied", "removed", "removed, with its journal left"])
def test_a_store_that_is_gone_is_reported(tmp_path, how):
    disk = Disk(tmp_path)
    assert not [line for line in starting_lines(disk) if "shares.sqlite" in line], "a first start is no loss"
    assert not [line for line in starting_lines(disk) if "shares.sqlite" in line], "nor is an ordinary one"
    store = tmp_path / "shares.sqlite"
    if how == "emptied":
        store.write_bytes(b"")
    else:
        store.unlink()
    if "journal" in how:
        (tmp_path / "databases.json").unlink()
        (tmp_path / "shares.sqlite-wal").write_bytes(b"pages that SQLite would delete")
    (line,) = [line for line in starting_lines(disk) if "shares.sqlite" in line]
    assert ("is empty (0 bytes)" if how == "emptied" else "is missing") in line
    assert "restore a backup" in line
    kept = list(tmp_path.glob("shares.sqlite.damaged-*-wal"))
    assert [path.read_bytes() for path in kept] == [b"pages that SQLite would delete"] * ("journal" in how)
    assert not [line for line in starting_lines(disk) if "shares.sqlite" in line], "it is reported once"


class Disk:
    """A data directory, and nodes that start on it one after another. Threads are calls, at once."""

    def __init__(self, directory, network=NETWORK) -> None:
        self.directory = directory
        self.network = network
        self.clock = ThreadlessClock()
        self.hanging: list[Any] | None = None

    def run(self, function: Any) -> Deferred[Any]:
        if self.hanging is not None:
            result: Deferred[Any] = Deferred()
            self.hanging.append(lambda: result.callback(function()))
            return result
        try:
            return succeed(function())
        except Exception:
            return fail(Failure())

    def start(self, *, preloaded: Callable[[], None] | None = None, **options: Any) -> Disk:
        """Start a node; `preloaded` is called between loading in advance and the start."""
        self.soon: list = []
        settings = NodeSettings(lambda: b"\x01" * 20, 0.0, 655)
        self.node = Node(
            make_environment(PostponingReactor(self.soon.append), clock=lambda: LATER),
            self.network,
            tracker=Tracker(self.network),
            settings=settings,
            stats=PoolStats(LATER),
        )
        environment = make_environment(self.clock, clock=lambda: LATER, run_in_thread=self.run)
        self.persistence = Persistence(environment, self.node, self.directory, **options)
        self.announced: list = []
        self.persistence.announce.subscribe(self.announced.append)
        ended: list = []
        if preloaded is not None:
            assert Deferred.fromCoroutine(self.persistence.preload()).called
            preloaded()
        Deferred.fromCoroutine(self.persistence.start()).addBoth(ended.append)
        if ended and isinstance(ended[0], Failure):
            ended[0].raiseException()
        return self

    def think(self) -> Disk:
        while self.soon:
            self.soon.pop(0)()
        return self

    def stop(self) -> Disk:
        stopped = Deferred.fromCoroutine(self.persistence.stop())
        assert stopped.called
        assert self.clock.getDelayedCalls() == []
        return self

    @property
    def rows(self) -> dict[int, bool]:
        """Share hash -> verified, of the file."""
        database = ShareDatabase(self.directory / "shares.sqlite")
        rows = {stored.share.hash: stored.verified for stored in database.read(self.network)}
        database.close()
        return rows


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


def hashes(shares) -> list[int]:
    return [share.hash for share in shares]


def test_a_restart_goes_on_from_the_same_best_share(disk):
    disk.start()
    disk.node.add_shares(SHARES, "peer")
    disk.think().stop()
    assert set(disk.rows) == set(hashes(SHARES))
    verified = [share_hash for share_hash, known in disk.rows.items() if known]
    assert verified == hashes(SHARES[-len(verified) :])
    assert len(verified) >= NETWORK.chain_length
    disk.start()
    assert disk.node.best_share == SHARES[-1].hash
    assert set(disk.node.tracker.verified.nodes) == set(verified)
    assert disk.announced == []
    disk.stop()


def test_a_share_is_written_within_the_flush_period(disk):
    disk.start()
    disk.node.add_shares(SHARES[:1], "peer")
    assert disk.rows == {}
    disk.think().clock.advance(FLUSH_PERIOD)
    assert disk.rows == {SHARES[0].hash: True}


def test_what_loading_verifies_and_refuses_is_remembered(disk):
    disk.start()
    disk.node.add_shares(SHARES, None)  # and no thinking before the end
    disk.stop()
    assert not any(disk.rows.values())
    disk.start().think().stop()
    assert all(list(disk.rows.values())[-20:])


def test_a_share_is_announced_at_once_and_a_blocks_share_when_it_is_on_disk(disk, monkeypatch):
    disk.start()
    disk.hanging = []
    disk.node.add_shares(SHARES[:1], "peer")
    assert disk.announced == [(SHARES[0], False)]
    monkeypatch.setattr(type(SHARES[1]), "is_block", True)
    disk.node.add_shares(SHARES[1:2], "peer")
    assert len(disk.announced) == 1
    write, disk.hanging = disk.hanging.pop(), None
    write()
    assert disk.announced[1:] == [(SHARES[1], False)]
    assert set(disk.rows) == set(hashes(SHARES[:2]))


def test_a_blocks_share_that_went_while_it_was_written_is_not_announced(disk, monkeypatch):
    disk.start()
    disk.hanging = []
    monkeypatch.setattr(type(SHARES[0]), "is_block", True)
    disk.node.add_shares(SHARES[:1], "peer")
    disk.node.tracker.remove(SHARES[0].hash)
    write, disk.hanging = disk.hanging.pop(), None
    write()
    assert disk.announced == []


def test_a_disk_that_fails_does_not_keep_a_block_from_the_world(disk, monkeypatch):
    disk.start()
    monkeypatch.setattr(type(SHARES[0]), "is_block", True)
    for error in (sqlite3.OperationalError("full"), ZeroDivisionError()):

        def fails(function: Any, error: Exception = error) -> Deferred[Any]:
            return fail(error)

        disk.persistence._store._run_in_thread = fails
        with logged():
            disk.node.add_shares(SHARES[len(disk.announced) :][:1], "peer")
    assert [share for share, _ in disk.announced] == SHARES[:2]


def test_without_any_store_the_node_works_and_says_so(disk):
    (disk.directory / "shares.sqlite").mkdir()
    with logged() as log:
        disk.start()
        disk.node.add_shares(SHARES, "peer")
        disk.think().clock.pump([FLUSH_PERIOD] * 5)
    assert disk.node.best_share == SHARES[-1].hash
    assert len(disk.announced) == 30
    assert "cannot open the share store" in (disk.persistence.problem or "")
    assert len([line for line in log.lines if "share store" in line]) == 1
    assert log.tracebacks == []
    disk.stop()


def test_a_hole_in_the_store_leaves_a_node_that_works(disk):
    """What lies above a missing share could not be checked: it must not be built upon."""
    disk.start()
    disk.node.add_shares(SHARES, "peer")
    disk.think().stop()
    sqlite3.connect(disk.directory / "shares.sqlite", isolation_level=None).execute(
        "DELETE FROM shares WHERE absheight = 15"
    )
    disk.start()
    assert disk.node.best_share == SHARES[13].hash
    assert disk.node.wanted == [SHARES[14].hash]
    disk.node.add_shares([SHARES[14]], "peer")
    disk.think()
    assert disk.node.best_share == SHARES[-1].hash
    disk.stop()


def test_a_part_of_a_chain_is_kept_until_its_parents_could_be_fetched(disk):
    """A node that was stopped while it fetched its chain goes on there."""
    disk.start()
    disk.node.load(StoredShare(share, NOW, verified=False, own=False) for share in SHARES[15:])
    disk.node.loaded()
    assert disk.node.wanted == [SHARES[14].hash]
    assert len(disk.node.tracker) == 15


def test_shares_that_come_while_the_store_is_being_opened_are_stored_and_announced(disk):
    disk.hanging = []
    disk.start()
    disk.node.add_shares(SHARES, "peer")  # other nodes are connected by now
    assert len(disk.announced) == len(SHARES)
    disk.think()
    while disk.hanging:
        disk.hanging.pop()()
    disk.hanging = None
    disk.think().stop()
    assert set(disk.rows) == set(hashes(SHARES))
    verified = disk.node.tracker.verified.nodes
    assert {share_hash for share_hash, known in disk.rows.items() if known} == set(verified)


def test_stopping_while_it_loads_waits_for_what_reads(disk):
    disk.start()
    disk.node.add_shares(SHARES, "peer")
    disk.think().stop()
    disk.hanging = []
    disk.start()
    stopped = Deferred.fromCoroutine(disk.persistence.stop())
    while disk.hanging:
        assert not stopped.called
        disk.hanging.pop()()
    assert stopped.called
    assert disk.node.best_share is None
    assert disk.clock.getDelayedCalls() == []


def test_old_shares_move_to_the_archive(disk, monkeypatch):
    monkeypatch.setattr("p2pool.sharechain.store.ARCHIVE_BATCH", 5)
    shares = grow_chain(Tracker(NETWORK), make_template(), 60, 3)
    disk.start()
    for share in shares:
        disk.node.add_shares([share], "peer")
        disk.think()
    disk.stop()
    assert set(disk.rows) == set(hashes(shares[10:]))
    assert len(list((disk.directory / "share-archive").iterdir())) == 2
    disk.start(archive=False)
    assert disk.node.best_share == shares[-1].hash


def old_directory(tmp_path):
    directory = tmp_path / "old"
    shutil.copytree(TESTS / "vectors" / "sharestore", directory)
    with open(directory / "shares.0", "ab") as file:
        file.write(b"5 00ff\n")
    return directory


def vector_disk(tmp_path) -> Disk:
    home = tmp_path / "home"
    home.mkdir()
    return Disk(home, network_of(vectors("shares")["net"]))


def test_share_files_of_the_other_software_are_imported_when_asked_for(tmp_path):
    disk, old = vector_disk(tmp_path), old_directory(tmp_path)
    with logged() as log:
        disk.start(import_from=old).think()
    expected = {int(text, 16) for text in vectors("sharestore")["share_hashes"]}
    assert set(disk.node.tracker.forest.nodes) == expected
    assert disk.node.best_share is not None
    (line,) = [line for line in log.lines if "share files" in line]
    assert line.startswith(
        f"read 1 share files: {len(expected)} shares, 1 corrupt lines (the first: shares.0 line "
    )
    disk.stop()
    assert set(disk.rows) == expected
    assert any(disk.rows.values())
    again = disk.start(import_from=old)
    assert set(again.node.tracker.forest.nodes) == expected
    again.stop()


def test_share_files_in_the_data_directory_are_imported_once(tmp_path):
    disk, old = vector_disk(tmp_path), old_directory(tmp_path)
    shutil.copy(old / "shares.0", disk.directory / "shares.0")
    before = (disk.directory / "shares.0").read_bytes()
    disk.start().stop()
    assert len(disk.rows) == len(vectors("sharestore")["share_hashes"])
    (disk.directory / "shares.sqlite").rename(tmp_path / "kept")
    disk.start().stop()
    assert len(disk.rows) == len(vectors("sharestore")["share_hashes"])
    with logged() as log:
        disk.start().stop()
    assert not [line for line in log.lines if "share files" in line]
    assert (disk.directory / "shares.0").read_bytes() == before


def test_our_archive_can_be_imported(disk, tmp_path):
    directory = tmp_path / "archive"
    ShareArchive(directory).write(1, [(16, share.contents) for share in SHARES])
    disk.start(import_from=directory).think()
    assert disk.node.best_share == SHARES[-1].hash


def test_a_directory_that_cannot_be_imported_is_an_operators_error(disk, tmp_path):
    with pytest.raises(OperatorError, match=r"--import-shares: cannot read .*nowhere"):
        disk.start(import_from=tmp_path / "nowhere")


def test_a_restart_knows_which_shares_came_live(disk):
    """A chain that is downloaded and goes on live, and the same after a restart."""
    disk.start()
    disk.node.add_shares(SHARES[:20], "peer", requested=True)
    for share in SHARES[20:]:
        disk.node.add_shares([share], "peer")
    disk.think()
    best = disk.node.best_share
    live = [disk.node.tracker.arrival(share.hash).live for share in SHARES]
    assert live == [False] * 20 + [True] * 10
    disk.stop().start()
    disk.think()
    assert disk.node.best_share == best
    assert [disk.node.tracker.arrival(share.hash).live for share in SHARES] == live


# --- loading while another process writes -------------------------------------------------------------------


def write_now(disk: Disk) -> None:
    disk.think()
    assert Deferred.fromCoroutine(disk.persistence.flush()).called


def test_a_store_in_use_is_loaded_in_advance(tmp_path, monkeypatch):
    """Then the start loads what came since, and takes for verified what was verified since. The path has
    characters that mean something in a URI."""
    tmp_path = tmp_path / "100%?#ä"
    tmp_path.mkdir()
    old, new = Disk(tmp_path).start(), Disk(tmp_path)
    old.node.add_shares(SHARES[:20], "peer")
    Deferred.fromCoroutine(old.persistence.flush())  # without a thought: not verified yet
    parsed: list[Any] = []
    monkeypatch.setattr(
        store, "parse_shares", lambda packed, net: parsed.extend(packed) or parse_shares(packed, net)
    )

    def go_on() -> None:
        assert len(new.node.tracker) == 20
        assert not new.node.tracker.verified.nodes
        write_now(old)
        old.node.add_shares(SHARES[20:25], "peer")
        write_now(old)
        old.stop()

    new.start(preloaded=go_on)
    assert len(parsed) == 25, "no share is read twice"
    assert set(new.node.tracker.forest.nodes) == set(hashes(SHARES[:25]))
    assert set(new.node.tracker.verified.nodes) == set(old.node.tracker.verified.nodes)
    assert new.node.best_share == SHARES[24].hash
    new.node.add_shares(SHARES[25:], "peer")
    new.think().stop()
    assert set(new.rows) == set(hashes(SHARES))


def test_what_is_removed_from_a_store_in_use_stays_until_it_is_judged(tmp_path):
    old, new = Disk(tmp_path).start(), Disk(tmp_path)
    old.node.add_shares(SHARES[:25], "peer")
    write_now(old)

    def go_on() -> None:
        old.persistence._store.remove(SHARES[24].hash)
        old.stop()

    new.start(preloaded=go_on)
    assert SHARES[24].hash in new.node.tracker
    assert SHARES[24].hash not in new.rows
    new.stop()


@pytest.mark.parametrize("version", [None, 2])
def test_a_store_that_cannot_be_read_in_advance_is_loaded_at_the_start(tmp_path, version):
    disk = Disk(tmp_path)
    if version is not None:
        disk.start().stop()
        connection = sqlite3.connect(tmp_path / "shares.sqlite")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
    with logged() as log, pytest.raises(Stopped):
        disk.start(preloaded=stop_here)
    assert [line for line in log.lines if "cannot load shares in advance" in line]
    assert (tmp_path / "shares.sqlite").exists() is (version is not None), "it makes no file"


class Stopped(Exception):
    """Ends a start after what is loaded in advance."""


def stop_here() -> None:
    raise Stopped
