"""The share store: what is written comes back, and a disk that fails costs nothing that memory still holds."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from p2pool.base.errors import OperatorError
from p2pool.dash import pow
from p2pool.share import parsing
from p2pool.share.share import Share
from p2pool.sharechain import store as store_module
from p2pool.sharechain.archive import ShareArchive
from p2pool.sharechain.importing import ImportCounts, read_share_files, share_files
from p2pool.sharechain.store import Batch, PackedShare, ShareDatabase, ShareStore, StoredShare, open_database
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW, easy_network, grow_chain
from tests.logged import logged
from tests.support import make_template

NETWORK = easy_network(20)
SHARES = grow_chain(Tracker(NETWORK), make_template(), 30, 3)


def synchronously(function: Any) -> Deferred[Any]:
    try:
        return succeed(function())
    except Exception:
        return fail(Failure())


def done(coroutine: Any) -> Any:
    """The result of a coroutine that does not have to wait."""
    results: list = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    return result


def stored(path) -> dict[int, StoredShare]:
    """What a fresh look at the file finds."""
    database = ShareDatabase(path)
    shares = list(database.read(NETWORK))
    database.close()
    assert all(isinstance(share, StoredShare) for share in shares)
    assert [s.share.absheight for s in shares] == sorted(s.share.absheight for s in shares)
    return {share.share.hash: share for share in shares}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shares.sqlite"


@pytest.fixture
def store(path):
    return ShareStore(ShareDatabase(path), synchronously)


def test_what_is_written_comes_back_oldest_first(path, store):
    order = list(enumerate(SHARES))
    random.Random(1).shuffle(order)
    for number, share in order:
        store.add(share, NOW + number, own=number % 2 == 0)
    for share in SHARES[:10]:
        store.mark_verified(share.hash)
    done(store.flush())
    found = stored(path)
    assert [found[share.hash].share.contents for share in SHARES] == [share.contents for share in SHARES]
    assert [found[s.hash].time_seen for s in SHARES] == [NOW + number for number in range(30)]
    assert [found[s.hash].own for s in SHARES] == [number % 2 == 0 for number in range(30)]
    assert [found[s.hash].verified for s in SHARES] == [number < 10 for number in range(30)]


def test_closing_writes_what_is_left(path, store):
    store.add(SHARES[0], NOW, own=True)
    done(store.close())
    assert set(stored(path)) == {SHARES[0].hash}
    assert not path.with_name(path.name + "-wal").exists()


def test_a_commit_is_synchronous(path):
    database = ShareDatabase(path)
    assert database._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert database._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "verify", "remove", "prune", "flush"]), st.integers(0, 3)), max_size=40
)


@given(ACTIONS, st.booleans(), st.sets(st.integers(0, 40)))
def test_any_order_of_events_leaves_what_the_last_ones_say(tmp_path_factory, actions, archives, failures):
    """Against a model; flushes whose number is in `failures` find no disk."""
    directory = tmp_path_factory.mktemp("store")
    path = directory / "shares.sqlite"
    database = ShareDatabase(path)
    store = ShareStore(database, synchronously, ShareArchive(directory) if archives else None)
    model: dict[int, bool] = {}
    write = database.write
    for number, (action, which) in enumerate(actions):
        share = SHARES[which]
        if action == "add":
            store.add(share, NOW, own=False)
            model.setdefault(share.hash, False)
        elif action == "verify" and share.hash in model:
            store.mark_verified(share.hash)
            model[share.hash] = True
        elif action == "remove":
            store.remove(share.hash)
            model.pop(share.hash, None)
        elif action == "prune" and share.hash in model:
            store.prune(share.hash)
            model.pop(share.hash)
        elif action == "flush":
            database.write = broken_disk if number in failures else write
            done(store.flush())
            database.write = write
    done(store.close())
    found = stored(path)
    assert set(found) == set(model)
    # A share that was pruned or removed and came again may still be known as verified: it is the same share.
    assert all(found[share_hash].verified for share_hash, verified in model.items() if verified)


def broken_disk(batch: Batch) -> None:
    raise sqlite3.OperationalError("disk I/O error")


def test_a_full_disk_gives_one_alarm_and_costs_nothing(path):
    database = ShareDatabase(path)
    store = ShareStore(database, synchronously)
    execute = database._connection.execute
    (pages,) = execute("PRAGMA page_count").fetchone()
    execute(f"PRAGMA max_page_count={pages}")
    with logged() as log:
        for share in SHARES:
            store.add(share, NOW, own=False)
            done(store.flush())
    assert store.problem == f"cannot write shares to {path}: database or disk is full"
    assert len(log.lines) == 1
    assert str(path) in log.lines[0]
    assert log.tracebacks == []
    execute("PRAGMA max_page_count=1000000")
    with logged() as log:
        done(store.flush())
    assert store.problem is None
    assert len(log.lines) == 1
    done(store.close())
    assert set(stored(path)) == {share.hash for share in SHARES}


def test_a_read_only_disk_gives_one_alarm(path):
    ShareDatabase(path).close()
    database = ShareDatabase(path)
    database._connection.execute("PRAGMA query_only=1")
    store = ShareStore(database, synchronously)
    with logged() as log:
        for share in SHARES[:3]:
            store.add(share, NOW, own=False)
            done(store.flush())
    assert "readonly" in (store.problem or "")
    assert len(log.lines) == 1


def test_an_internal_error_while_writing_drops_nothing(path):
    database = ShareDatabase(path)
    store = ShareStore(database, synchronously)
    write, database.write = database.write, lambda batch: 1 / 0
    store.add(SHARES[0], NOW, own=False)
    with pytest.raises(ZeroDivisionError):
        done(store.flush())
    database.write = write
    done(store.close())
    assert set(stored(path)) == {SHARES[0].hash}


def test_what_waits_for_the_disk_has_a_bound(path, monkeypatch):
    monkeypatch.setattr(ShareStore, "MAX_PENDING", 10)
    database = ShareDatabase(path)
    store = ShareStore(database, synchronously)
    write, database.write = database.write, broken_disk
    for share in SHARES:
        store.add(share, NOW, own=False)
        store.mark_verified(share.hash)
        store.remove(share.previous_hash or 1)
        store.add(share, NOW, own=False)
        done(store.flush())
    database.write = write
    pending = store._pending
    assert max(map(len, (pending.shares, pending.verified, pending.removed, pending.pruned))) <= 10
    done(store.close())
    assert SHARES[-1].hash in stored(path)


def test_two_flushes_do_not_overlap(path):
    waiting: list[Any] = []

    def later(function: Any) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        waiting.append(lambda: result.callback(function()))
        return result

    store = ShareStore(ShareDatabase(path), later)
    store.add(SHARES[0], NOW, own=False)
    first = Deferred.fromCoroutine(store.flush())
    store.add(SHARES[1], NOW, own=False)
    second = Deferred.fromCoroutine(store.flush())
    assert len(waiting) == 1
    waiting.pop()()
    assert first.called
    assert not second.called
    waiting.pop()()
    assert second.called


def test_a_corrupt_row_is_passed_over_with_its_name(path, store):
    for share in SHARES[:3]:
        store.add(share, NOW, own=False)
    done(store.close())
    connection = sqlite3.connect(path)
    connection.execute("UPDATE shares SET contents = x'00' WHERE absheight = ?", (SHARES[0].absheight,))
    connection.execute(
        "UPDATE shares SET contents = ? WHERE absheight = ?", (SHARES[2].contents, SHARES[1].absheight)
    )
    connection.commit()
    connection.close()
    database = ShareDatabase(path)
    items = list(database.read(NETWORK))
    texts = [item for item in items if isinstance(item, str)]
    assert [f"{share.hash:064x}" in text for share, text in zip(SHARES, texts, strict=False)] == [True, True]
    assert [item.share.hash for item in items if not isinstance(item, str)] == [SHARES[2].hash]


@pytest.mark.parametrize(("together", "octets"), [(64, 1_000_000), (7, 1_000_000), (1, 1_000_000), (64, 1)])
def test_shares_that_are_parsed_together_come_back_in_order(path, store, monkeypatch, together, octets):
    """Their hashes are computed together, of so many, or so many bytes; between them may be corrupt ones."""
    monkeypatch.setattr(store_module, "_PARSED_TOGETHER", together)
    monkeypatch.setattr(store_module, "_BYTES_TOGETHER", octets)
    for number, share in enumerate(SHARES):
        store.add(share, NOW + number, own=number % 3 == 0)
    done(store.close())
    connection = sqlite3.connect(path)
    connection.execute("UPDATE shares SET contents = x'00' WHERE absheight = ?", (SHARES[4].absheight,))
    connection.execute("UPDATE shares SET type = 99 WHERE absheight = ?", (SHARES[13].absheight,))
    connection.commit()
    connection.close()
    many = []
    monkeypatch.setattr(
        parsing, "x11_digests", lambda headers: many.append(len(headers)) or pow.x11_digests(headers)
    )
    items = list(ShareDatabase(path).read(NETWORK))
    assert len(items) == len(SHARES)
    for number, (share, item) in enumerate(zip(SHARES, items, strict=True)):
        if number in (4, 13):
            assert isinstance(item, str)
            assert f"{share.hash:064x}" in item
        else:
            assert item == StoredShare(item.share, NOW + number, verified=False, own=number % 3 == 0)
            assert item.share.hash == share.hash
    assert "is of type 99, not 16" in items[13]
    assert max(many) == min(together if octets > 1 else 1, len(SHARES) - 2)


@pytest.mark.parametrize("version", [4, 99, -1])
def test_a_file_of_a_newer_version_is_left_alone(path, store, version):
    store.add(SHARES[0], NOW, own=False)
    done(store.close())
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()
    data = path.read_bytes()
    with pytest.raises(
        OperatorError, match=f"shares.sqlite has version {version} .* knows versions up to 3"
    ) as error:
        open_database(path, "20260101-000000")
    assert "restore a backup from before the upgrade, or move the file away" in str(error.value)
    assert path.read_bytes() == data
    assert list(path.parent.glob("*.damaged-*")) == []


def test_a_file_of_the_first_version_is_brought_up_to_date(path):
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE shares (
            hash BLOB PRIMARY KEY, absheight INTEGER NOT NULL, time_seen REAL NOT NULL, verified INTEGER NOT NULL,
            own INTEGER NOT NULL, contents BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX shares_by_height ON shares (absheight);
        PRAGMA user_version=1;
        """
    )
    rows = [(s.hash.to_bytes(32, "little"), s.absheight, NOW, 1, 0, s.contents) for s in SHARES]
    connection.executemany("INSERT INTO shares VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    database, aside = open_database(path, "20260101-000000")
    assert aside is None
    database.set_fact("a", "b")
    database.write(Batch(pruned={SHARES[0].hash}))
    assert database.count() == len(SHARES) - 1
    database.close()
    assert stored(path).keys() == {share.hash for share in SHARES[1:]}
    assert all(share.verified and not share.own for share in stored(path).values())


def test_shares_in_a_file_of_the_second_version_are_of_type_16(path):
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE IF NOT EXISTS shares (
            hash BLOB PRIMARY KEY,        -- 32 bytes, little-endian
            absheight INTEGER NOT NULL,   -- for reading oldest first
            time_seen REAL NOT NULL,      -- Unix seconds
            verified INTEGER NOT NULL,
            own INTEGER NOT NULL,         -- found by a miner of this node
            pruned INTEGER NOT NULL,      -- behind the chain, waits for the archive
            contents BLOB NOT NULL        -- as on the wire, without the envelope
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS shares_by_height ON shares (pruned, absheight);
        CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        PRAGMA user_version=2;
        """
    )
    rows = [(s.hash.to_bytes(32, "little"), s.absheight, NOW, 1, 0, 0, s.contents) for s in SHARES]
    connection.executemany("INSERT INTO shares VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    assert [item.share.version.type for item in stored(path).values()] == [16] * len(SHARES)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    assert connection.execute("SELECT DISTINCT type FROM shares").fetchall() == [(16,)]
    connection.close()
    database = ShareDatabase(path)
    database.write(Batch(shares={1: PackedShare(36, b"others", 1, NOW, False, False)}, removed={SHARES[0].hash}))
    assert f"stored share {1:064x} is of type 36, not 16" in list(database.read(NETWORK))
    database.close()


@pytest.mark.parametrize("damage", ["not a database", "half", "flipped"])
def test_a_corrupt_file_is_quarantined_and_not_deleted(path, store, damage):
    for share in SHARES:
        store.add(share, NOW, own=False)
    done(store.close())
    data = bytearray(path.read_bytes())
    if damage == "not a database":
        data = bytearray(b"no database at all, but long enough to look like one" * 100)
    elif damage == "half":
        data = data[: len(data) // 2]
    else:
        for at in range(4096, len(data), 64):
            data[at] ^= 0xFF
    path.write_bytes(data)
    database, aside = open_database(path, "20260101-000000")
    assert aside is not None
    assert aside.name == "shares.sqlite.damaged-20260101-000000"
    assert aside.read_bytes() == bytes(data)
    assert database.count() == 0
    database.write(Batch(shares={SHARES[0].hash: PackedShare.of(SHARES[0], NOW, own=False)}))
    database.close()


def archive_of(path, monkeypatch, batch: int) -> tuple[ShareStore, ShareArchive]:
    monkeypatch.setattr(store_module, "ARCHIVE_BATCH", batch)
    archive = ShareArchive(path.parent / "archive")
    store = ShareStore(ShareDatabase(path), synchronously, archive)
    for share in SHARES:
        store.add(share, NOW, own=False)
        store.mark_verified(share.hash)
    done(store.flush())
    return store, archive


def archived(archive: ShareArchive) -> list[Share]:
    counts = ImportCounts()
    shares = list(read_share_files(share_files(archive.directory), NETWORK, counts))
    assert counts.damaged == 0
    return shares


def test_pruned_shares_move_to_the_archive_in_whole_files(path, monkeypatch):
    store, archive = archive_of(path, monkeypatch, 10)
    for share in SHARES[:25]:
        store.prune(share.hash)
    done(store.flush())
    assert [share.hash for share in archived(archive)] == [share.hash for share in SHARES[:20]]
    names = sorted(file.name for file in archive.directory.iterdir())
    assert [name[:18] for name in names] == ["shares-0000000001-", "shares-0000000011-"]
    assert all(name.endswith(".gz") for name in names)
    done(store.close())
    assert set(stored(path)) == {share.hash for share in SHARES[25:]}


def test_shares_that_were_never_verified_are_not_archived(path, monkeypatch):
    store, archive = archive_of(path, monkeypatch, 1)
    other = grow_chain(Tracker(NETWORK), make_template(), 3, 3, seed=9)
    for share in other:
        store.add(share, NOW, own=False)
        store.prune(share.hash)
    done(store.flush())
    assert not archive.directory.exists()
    done(store.close())
    assert set(stored(path)) == {share.hash for share in SHARES}


def test_a_kill_between_archive_and_store_costs_nothing_and_doubles_nothing(path, monkeypatch):
    store, archive = archive_of(path, monkeypatch, 10)
    write = store._database.write

    def killed(batch: Batch) -> None:
        if batch.removed:
            raise sqlite3.OperationalError("killed")
        write(batch)

    store._database.write = killed
    for share in SHARES[:10]:
        store.prune(share.hash)
    done(store.flush())
    store._database.write = write
    store.prune(SHARES[10].hash)
    done(store.flush())
    assert [share.hash for share in archived(archive)] == [share.hash for share in SHARES[:10]]
    assert len(list(archive.directory.iterdir())) == 1


def test_an_archive_that_cannot_be_written_gives_one_alarm_and_loses_nothing(path, monkeypatch):
    store, archive = archive_of(path, monkeypatch, 5)
    archive.directory.write_text("a file where the directory should be")
    with logged() as log:
        for share in SHARES[:20]:
            store.prune(share.hash)
            done(store.flush())
    assert len(log.lines) == 1
    assert "cannot archive" in log.lines[0]
    assert store.problem is None
    archive.directory.unlink()
    store.prune(SHARES[20].hash)
    done(store.flush())
    assert [share.hash for share in archived(archive)] == [share.hash for share in SHARES[:20]]


def test_without_an_archive_pruned_shares_are_deleted(path, store):
    for share in SHARES[:3]:
        store.add(share, NOW, own=False)
        store.mark_verified(share.hash)
    done(store.flush())
    store.prune(SHARES[0].hash)
    done(store.close())
    assert set(stored(path)) == {share.hash for share in SHARES[1:3]}
    assert sqlite3.connect(path).execute("SELECT count(*) FROM shares").fetchone() == (2,)


def test_facts(path):
    database = ShareDatabase(path)
    assert database.fact("x") is None
    database.set_fact("x", "1")
    database.set_fact("x", "2")
    database.close()
    assert ShareDatabase(path).fact("x") == "2"


def test_whether_a_share_came_live_is_kept(path, store):
    store.add(SHARES[0], NOW, own=True, live=True)
    store.add(SHARES[1], NOW, own=False, live=True)
    store.add(SHARES[2], NOW, own=False)
    done(store.close())
    found = stored(path)
    assert [found[share.hash].live for share in SHARES[:3]] == [True, True, False]


def test_a_file_of_the_second_version_is_brought_up_to_date(path):
    """Which of others' shares came live was not kept: our own did."""
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE shares (
            hash BLOB PRIMARY KEY, absheight INTEGER NOT NULL, time_seen REAL NOT NULL, verified INTEGER NOT NULL,
            own INTEGER NOT NULL, pruned INTEGER NOT NULL, contents BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX shares_by_height ON shares (pruned, absheight);
        CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        PRAGMA user_version=2;
        """
    )
    rows = [
        (s.hash.to_bytes(32, "little"), s.absheight, NOW, 1, n % 2, 0, s.contents) for n, s in enumerate(SHARES)
    ]
    connection.executemany("INSERT INTO shares VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    database, aside = open_database(path, "20260101-000000")
    assert aside is None
    database.write(Batch(pruned={SHARES[0].hash}))
    database.close()
    found = stored(path)
    assert [found[share.hash].live for share in SHARES[1:]] == [n % 2 == 1 for n in range(1, len(SHARES))]
    assert all(share.time_seen == NOW for share in found.values())


def test_the_larger_cache_is_given_back_when_all_is_read(path, monkeypatch):
    monkeypatch.setattr(store_module, "_PARSED_TOGETHER", 1)
    database = ShareDatabase(path)
    database.write(Batch(shares={share.hash: PackedShare.of(share, NOW, own=False) for share in SHARES}))

    def cache() -> int:
        (size,) = database._connection.execute("PRAGMA cache_size").fetchone()
        return int(size)

    usual = cache()
    reading = database.read(NETWORK)
    next(reading)
    assert abs(cache()) > abs(usual)
    assert len(list(reading)) == len(SHARES) - 1
    assert cache() == usual
    database.close()
