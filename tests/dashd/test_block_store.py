"""The pool's blocks between runs: written when something changed, and no file is lost or in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from errno import EACCES, ENOSPC, EROFS
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from p2pool.base import state_file
from p2pool.dashd.block_store import BLOCKS_FILE, MAX_BLOCKS, BlockStore
from p2pool.pool_stats import BlockRecord, BlockStatus
from tests.dashd.blocks import Disk
from tests.failing_disk import failing_disk
from tests.logged import Log, logged

RECORD = BlockRecord(
    time=1_700_000_000.5,
    block_hash=0xAB,
    height=7,
    worker="me.rig",
    share_hash=0xCD,
    subsidy=500_000_000,
    status=BlockStatus.ACCEPTED,
    reason="",
    confirmations=3,
    chainlocked=True,
)
OTHER = BlockRecord(1.0, 2**256 - 1, 0, "zwölf", None, 0, BlockStatus.REFUSED, "bad-cb-amount")


@pytest.fixture
def log() -> Iterator[Log]:
    """All that is logged; never a traceback."""
    with logged() as log:
        yield log
    assert not log.tracebacks


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "data" / "blocks.json"


class Store(BlockStore):
    """A store on a disk of the test's own."""

    def __init__(self, path: Path) -> None:
        self.disk = Disk()
        super().__init__(path, self.disk.run)


def done(coroutine: Any) -> None:
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    assert results == [None]


def loaded(path: Path) -> Store:
    store = Store(path)
    done(store.load())
    return store


def saved(path: Path, *records: BlockRecord) -> Store:
    store = Store(path)
    for record in records:
        store.put(record)
    done(store.save())
    return store


def aside_of(path: Path) -> Path:
    return path.with_name("blocks.json.damaged")


# --- in memory -------------------------------------------------------------------------------------------


def test_changes_are_reported_once(path):
    store, told = Store(path), []
    store.changed.subscribe(told.append)
    store.put(RECORD)
    store.put(RECORD)
    newer = replace(RECORD, confirmations=4)
    store.put(newer)
    assert told == [RECORD, newer]
    assert list(store.records.values()) == [newer]


def test_memory_is_bounded_and_the_oldest_go_first(path):
    store = Store(path)
    for number in range(3 * MAX_BLOCKS):
        store.put(replace(RECORD, block_hash=number))
    assert list(store.records) == list(range(2 * MAX_BLOCKS, 3 * MAX_BLOCKS))


# --- on disk ---------------------------------------------------------------------------------------------


def test_what_became_of_blocks_survives(path, log):
    saved(path, OTHER, RECORD)
    store, told = Store(path), []
    store.changed.subscribe(told.append)
    done(store.load())
    assert list(store.records.values()) == [OTHER, RECORD]
    assert told == []  # it is known
    assert log.lines == []
    assert [entry.name for entry in path.parent.iterdir()] == ["blocks.json"]


def test_a_full_book_fits_into_the_file(path):
    """With the longest texts that are taken."""
    record = replace(RECORD, worker="\U0001f600" * 200, reason="\U0001f600" * 200, status=BlockStatus.CONFIRMED)
    saved(path, *[replace(record, block_hash=2**255 + number) for number in range(MAX_BLOCKS)])
    assert path.stat().st_size < BLOCKS_FILE.max_bytes
    assert len(loaded(path).records) == MAX_BLOCKS


def test_an_absurd_value_of_a_peers_block_does_not_spoil_the_file(path, log):
    """A share can say any 64 bits."""
    absurd = replace(OTHER, subsidy=2**64 - 1)
    saved(path, RECORD, absurd)
    assert list(loaded(path).records) == [RECORD.block_hash, absurd.block_hash]
    assert log.lines == []


def test_without_a_file_there_are_no_blocks_and_no_complaint(path, log):
    assert not loaded(path).records
    assert log.lines == []
    assert not path.parent.exists()


def test_it_is_written_only_when_something_changed(path):
    store = saved(path, RECORD)
    path.unlink()
    done(store.save())
    store.put(RECORD)
    done(store.save())
    assert not path.exists()
    store.put(OTHER)
    done(store.save())
    assert len(loaded(path).records) == 2
    done(loaded(path).save())


def test_what_changes_while_it_is_written_is_written_next(path):
    store = Store(path)
    store.put(RECORD)
    store.disk.hangs = True
    first, second = Deferred.fromCoroutine(store.save()), None
    store.put(OTHER)
    second = Deferred.fromCoroutine(store.save())  # as at the end of a run, while the timer's is under way
    assert len(store.disk.waiting) == 1
    store.disk.go_on()
    assert first.called
    assert second.called
    assert len(loaded(path).records) == 2


def test_the_end_waits_for_what_is_being_written(path):
    store = Store(path)
    store.put(RECORD)
    store.disk.hangs = True
    Deferred.fromCoroutine(store.save())
    last = Deferred.fromCoroutine(store.save())
    assert not last.called
    store.disk.go_on()
    assert last.called
    assert RECORD.block_hash in loaded(path).records


@pytest.mark.parametrize(
    "error", [OSError(ENOSPC, "No space left on device"), OSError(EROFS, "Read-only"), OSError()]
)
def test_a_disk_that_fails_is_said_once_and_tried_again(path, log, error):
    store = Store(path)
    store.put(RECORD)
    with failing_disk(error):
        for _ in range(5):
            done(store.save())
    assert len(log.lines) == 1
    assert f"cannot write {path}: " in log.lines[0]
    done(store.save())
    assert RECORD.block_hash in loaded(path).records
    store.put(OTHER)
    with failing_disk(error):
        done(store.save())
    assert len(log.lines) == 2  # another trouble


# --- files that are not what they should be --------------------------------------------------------------


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "time": 1.5,
        "block_hash": f"{0xAB:064x}",
        "height": 7,
        "worker": "me",
        "share_hash": None,
        "subsidy": 5,
        "status": "accepted",
        "reason": "",
        "confirmations": 1,
        "chainlocked": False,
    } | changes


def of(*entries: Any) -> bytes:
    return orjson.dumps({"version": 1, "blocks": list(entries)})


def deep_inside(name: str) -> bytes:
    return of(entry(**{name: "?"})).replace(b'"?"', b"[" * 900 + b"]" * 900)


DAMAGED = {
    "empty": b"",
    "text": b"nonsense",
    "bytes": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "lists": b"[" * 1000 + b"]" * 1000,
    "null": b"null",
    "number": b"7",
    "no blocks": b"{}",
    "blocks null": b'{"blocks": null}',
    "blocks object": b'{"blocks": {"a": 1}}',
    "blocks text": b'{"blocks": "abc"}',
    "large": b'{"blocks": []' + b" " * BLOCKS_FILE.max_bytes + b"}",
    "row null": of(None),
    "row list": of([]),
    "row empty": of({}),
    "one of many": of(entry(), {}, entry()),
    "time text": of(entry(time="nan")),
    "time null": of(entry(time=None)),
    "time huge": of(entry(time=1e300)),
    "time nan": of(entry(time=0)).replace(b'"time":0', b'"time":NaN'),
    "time infinite": of(entry(time=0)).replace(b'"time":0', b'"time":1e999'),
    "hash short": of(entry(block_hash="ab")),
    "hash long": of(entry(block_hash="0" * 65)),
    "hash negative": of(entry(block_hash="-" + "0" * 62 + "5")),
    "hash underscores": of(entry(block_hash="0_" * 32)),
    "hash number": of(entry(block_hash=5)),
    "share": of(entry(share_hash="x" * 64)),
    "height text": of(entry(height="7")),
    "height float": of(entry(height=7.5)),
    "height huge": of(entry(height=2**60)),
    "height beyond": of(entry(height=0)).replace(b'"height":0', b'"height":' + b"9" * 400),
    "subsidy": of(entry(subsidy=2**53)),
    "status": of(entry(status="lost")),
    "status list": of(entry(status=[])),
    "worker": of(entry(worker=5)),
    "worker deep": deep_inside("worker"),
    "reason deep": deep_inside("reason"),
    "status deep": deep_inside("status"),
    "chainlocked": of(entry(chainlocked=1)),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_corrupt_file_is_quarantined(path, log, data):
    path.parent.mkdir()
    path.write_bytes(data)
    store = loaded(path)
    assert not store.records
    assert len(log.lines) == 1
    assert "blocks.json.damaged" in log.lines[0]
    assert len(log.lines[0]) < 600
    assert aside_of(path).read_bytes() == data
    store.put(RECORD)
    done(store.save())
    assert list(loaded(path).records) == [RECORD.block_hash]
    assert aside_of(path).read_bytes() == data


def test_texts_are_made_printable(path, log):
    path.parent.mkdir()
    path.write_bytes(of(entry(worker="a\x1b[31m\n" * 100, reason="r\n" * 1000)))
    (record,) = loaded(path).records.values()
    assert record.worker.isprintable()
    assert record.reason.isprintable()
    assert max(len(record.worker), len(record.reason)) <= 200


def test_a_list_that_is_too_long_is_taken_in_part(path, log):
    path.parent.mkdir()
    path.write_bytes(of(*[entry(block_hash=f"{number:064x}") for number in range(3 * MAX_BLOCKS)]))
    assert list(loaded(path).records) == list(range(2 * MAX_BLOCKS, 3 * MAX_BLOCKS))


def test_a_directory_where_the_file_should_be_is_quarantined(path, log):
    path.mkdir(parents=True)
    store = loaded(path)
    store.put(RECORD)
    done(store.save())
    assert list(loaded(path).records) == [RECORD.block_hash]
    assert aside_of(path).is_dir()
    assert len(log.lines) == 1


def test_a_file_that_may_not_be_read_is_not_overwritten(path, log):
    saved(path, OTHER)
    store = Store(path)
    with failing_disk(OSError(EACCES, "Permission denied")):
        done(store.load())  # neither read nor quarantined
    assert len(log.lines) == 1
    assert log.lines[0].count("Permission denied") == 2
    store.put(RECORD)
    done(store.save())
    assert OTHER.block_hash in loaded(path).records


def test_a_file_that_cannot_even_be_quarantined_stops_nothing(path, log):
    path.parent.mkdir()
    path.write_bytes(b"nonsense")
    with patch.object(state_file, "quarantine", side_effect=OSError(EACCES, "Permission denied")):
        store = loaded(path)
    assert len(log.lines) == 1
    store.put(RECORD)
    done(store.save())
    assert path.read_bytes() == b"nonsense"


RECORDS = st.builds(
    BlockRecord,
    time=st.floats(0, 2**52),
    block_hash=st.integers(0, 2**256 - 1),
    height=st.integers(0, 2**32),
    worker=st.text(max_size=20).filter(str.isprintable),
    share_hash=st.none() | st.integers(0, 2**256 - 1),
    subsidy=st.integers(0, 2**50),
    status=st.sampled_from(BlockStatus),
    reason=st.text(max_size=20).filter(str.isprintable),
    confirmations=st.integers(0, 2**31),
    chainlocked=st.booleans(),
)


@given(st.lists(RECORDS, max_size=5, unique_by=lambda record: record.block_hash))
def test_round_trip(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("store") / "blocks.json"
    saved(path, *records)
    assert list(loaded(path).records.values()) == records


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**63) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ENTRY = st.fixed_dictionaries({name: st.just(value) | JSON for name, value in entry().items()})


@given(st.lists(ENTRY | JSON, max_size=3) | JSON)
def test_whatever_stands_in_the_file(tmp_path_factory, blocks):
    path = tmp_path_factory.mktemp("store") / "blocks.json"
    try:
        path.write_bytes(orjson.dumps({"blocks": blocks}))
    except TypeError:  # a number that JSON of this kind cannot hold
        return
    with logged() as log:
        store = loaded(path)
        store.put(OTHER)
        done(store.save())
        assert set(loaded(path).records) == set(store.records)
    assert not log.tracebacks
    assert len(log.lines) == (1 if aside_of(path).exists() else 0)
