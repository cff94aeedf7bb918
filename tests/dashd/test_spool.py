"""Found blocks on disk: whole or not there, whatever the disk and whoever was there before does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from errno import EIO, ENOSPC, EROFS
from pathlib import Path
from typing import Any

import orjson
import pytest
from twisted.internet.defer import CancelledError, Deferred

from p2pool.dash.block import parse_block
from p2pool.dashd import spool as module
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.spool import MAX_READ, UNKNOWN, BlockSpool
from tests.dashd.blocks import Disk
from tests.logged import Log, logged
from tests.support import ROOT

DATA = bytes(range(256)) * 4
HEX = DATA.hex().encode()
BLOCK = FoundBlock(0xAB, 7, DATA, "me.rig", 0xCD, 500, 1.7e9)
LEFT = FoundBlock(0xAB, 7, DATA, UNKNOWN, None, 0)
"""What is known of it without its details: the data is no real block's."""
FULL = OSError(ENOSPC, "No space left on device")


@pytest.fixture
def log() -> Iterator[Log]:
    """All that is logged; never a traceback."""
    with logged() as log:
        yield log
    assert not log.tracebacks


class Spool(BlockSpool):
    """A spool on a disk of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.disk = Disk()
        super().__init__(directory / "blocks", self.disk.run)
        self.pending = self.directory / f"7-{0xAB:064x}.pending"
        self.details = self.pending.with_suffix(".json")
        self.kept = self.directory / f"{0xAB:064x}.hex"

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


def result_of(coroutine: Any) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    (result,) = results
    return result


@pytest.fixture
def spool(tmp_path, log) -> Spool:
    return Spool(tmp_path)


# --- one block -------------------------------------------------------------------------------------------


def test_a_block_is_kept_as_submitblock_takes_it(spool):
    assert result_of(spool.keep(BLOCK)) is True
    assert spool.pending.read_bytes() == DATA.hex().encode() + b"\n"
    assert spool.files() == [spool.details.name, spool.pending.name]
    assert spool.problem is None


def test_it_is_on_disk_when_it_is_said_to_be(spool):
    spool.disk.hangs = True
    keeping = Deferred.fromCoroutine(spool.keep(BLOCK))
    assert not keeping.called
    spool.disk.go_on()
    assert keeping.called


def test_a_block_that_is_forgotten_is_gone(spool):
    result_of(spool.forget(7, 0xAB))  # never was there
    result_of(spool.keep(BLOCK))
    result_of(spool.forget(7, 0xAB))
    assert spool.files() == []
    assert spool.problem is None


def test_a_block_that_is_refused_stays_for_people_only(spool):
    result_of(spool.keep(BLOCK))
    assert result_of(spool.quarantine(7, 0xAB)) == spool.kept
    assert spool.files() == [spool.kept.name]
    assert result_of(spool.load()) == []


def test_a_block_that_is_not_on_disk_cannot_be_quarantined(spool, log):
    """The disk was full when it was found: that was said then."""
    assert result_of(spool.quarantine(7, 0xAB)) is None
    assert log.lines == []
    assert spool.problem is None


@pytest.mark.parametrize("error", [FULL, OSError(EROFS, "Read-only file system"), OSError("odd")])
def test_a_disk_that_fails_is_said_once_and_shown_until_it_works(spool, log, error):
    spool.disk.error = error
    for _ in range(5):
        assert result_of(spool.keep(BLOCK)) is False
    assert len(log.lines) == 1
    assert str(spool.pending) in log.lines[0]
    assert "check the disk and its free space" in log.lines[0]
    assert str(error.strerror or error) in spool.problem
    assert result_of(spool.quarantine(7, 0xAB)) is None
    spool.disk.error = None
    assert result_of(spool.keep(BLOCK)) is True
    assert spool.problem is None
    spool.disk.error = error
    assert result_of(spool.keep(BLOCK)) is False
    assert len(log.lines) == 2


def test_the_warning_goes_as_soon_as_there_is_room_for_what_did_not_fit(spool, log, monkeypatch):
    result_of(spool.check_room())
    assert not spool.directory.exists()  # nothing is written while all is well
    spool.disk.error = FULL
    assert result_of(spool.keep(BLOCK)) is False
    result_of(spool.check_room())
    assert spool.problem is not None
    spool.disk.error = None
    written: list[tuple[str, int]] = []

    def write(path: Path, data: bytes) -> None:
        written.append((path.name, len(data)))
        path.touch()

    monkeypatch.setattr(module, "write_file", write)
    spool.directory.mkdir()
    result_of(spool.check_room())
    assert spool.problem is None
    assert written == [(".room", 2 * len(DATA) + 1)]
    assert spool.files() == []
    assert log.lines[1:] == ["found blocks can be written to disk again"]


def test_the_warning_goes_after_a_file_could_not_be_removed(spool):
    """The next found block may be months away."""
    result_of(spool.keep(BLOCK))
    spool.disk.error = OSError(EROFS, "Read-only file system")
    result_of(spool.forget(7, 0xAB))
    result_of(spool.check_room())
    assert spool.problem is not None
    spool.disk.error = None
    result_of(spool.check_room())
    assert spool.problem is None


def test_what_does_not_pass_by_itself_is_not_tried(spool):
    """Or the warning would come and go with each attempt."""
    spool.directory.write_text("in the way")
    assert result_of(spool.keep(BLOCK)) is False
    result_of(spool.check_room())
    assert spool.problem is not None


def test_half_a_file_is_not_left_on_a_full_disk(spool, monkeypatch):
    def full(descriptor: int) -> None:
        raise FULL

    monkeypatch.setattr("os.fsync", full)
    assert result_of(spool.keep(BLOCK)) is False
    assert spool.files() == []


def test_a_file_where_the_directory_should_be(spool, log):
    spool.directory.write_text("in the way")
    assert result_of(spool.keep(BLOCK)) is False
    assert len(log.lines) == 1
    assert result_of(spool.load()) == []


# --- a slow disk -----------------------------------------------------------------------------------------


def test_what_was_begun_first_is_done_first(spool):
    """Or a block that is settled would come back at the next start."""
    spool.disk.hangs = True
    keeping = Deferred.fromCoroutine(spool.keep(BLOCK))
    forgetting = Deferred.fromCoroutine(spool.forget(7, 0xAB))
    assert len(spool.disk.waiting) == 1
    spool.disk.go_on()
    assert keeping.called
    assert forgetting.called
    assert spool.files() == []
    assert spool._under_way == {}


def test_one_block_does_not_wait_for_another(spool):
    spool.disk.hangs = True
    for number in range(5):
        Deferred.fromCoroutine(spool.keep(FoundBlock(number, 7, DATA, "", None, 0)))
    assert len(spool.disk.waiting) == 5
    spool.disk.go_on()
    assert len(list(spool.directory.glob("*.pending"))) == 5


def test_trouble_and_giving_up_leave_nothing_locked(spool):
    spool.disk.error = FULL
    result_of(spool.keep(BLOCK))
    spool.disk.error, spool.disk.hangs = None, True
    first = Deferred.fromCoroutine(spool.keep(BLOCK))
    second = Deferred.fromCoroutine(spool.keep(BLOCK))
    third = Deferred.fromCoroutine(spool.forget(7, 0xAB))
    for waiting in (second, third):
        waiting.cancel()
        waiting.addErrback(lambda failure: failure.trap(CancelledError) and None)
    spool.disk.go_on()
    assert first.called
    assert spool.files() == [spool.details.name, spool.pending.name]
    assert spool._under_way == {}
    assert result_of(spool.keep(BLOCK)) is True


# --- the next run ----------------------------------------------------------------------------------------


def write(spool: Spool, name: str, data: bytes = DATA.hex().encode()) -> Path:
    spool.directory.mkdir(exist_ok=True)
    path = spool.directory / name
    path.write_bytes(data)
    return path


def test_what_an_earlier_run_left_the_lowest_first(spool, log, tmp_path):
    blocks = [FoundBlock(number, height, DATA, "", None, 0) for number, height in ((1, 1000), (2, 999), (3, 5))]
    for block in blocks:
        result_of(spool.keep(block))
    write(spool, f"{9:064x}.hex")
    write(spool, f"7-{9:064x}.pending.new")
    write(spool, "README")
    left = result_of(Spool(tmp_path).load())
    assert [(block.block_hash, block.height) for block in left] == [(3, 5), (2, 999), (1, 1000)]
    assert {block.data for block in left} == {DATA}
    assert log.lines == []


def test_a_block_comes_back_as_it_was(spool):
    for block in (BLOCK, replace(BLOCK, worker="another node", share_hash=None, time=None, subsidy=0)):
        result_of(spool.keep(block))
        assert result_of(spool.load()) == [block]
    assert result_of(spool.forget(BLOCK.height, BLOCK.block_hash)) is None
    assert spool.files() == []


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (DATA.hex().encode() + b"\n", True),
        (DATA.hex().encode(), False),
        (b"\n", False),
        (b"", False),
        (b"zz\n", False),
    ],
)
def test_a_block_whose_node_was_killed_while_it_waited_for_the_disk_is_taken_over(spool, log, data, whole):
    result_of(spool.keep(BLOCK))
    spool.pending.unlink()
    write(spool, f"{spool.pending.name}.new", data)
    assert result_of(spool.load()) == ([BLOCK] if whole else [])
    assert spool.pending.exists() is whole
    assert log.lines == []


def test_an_unfinished_file_does_not_take_the_place_of_a_whole_one(spool):
    result_of(spool.keep(BLOCK))
    write(spool, f"{spool.pending.name}.new", b"abcd\n")
    assert result_of(spool.load()) == [BLOCK]


def test_details_of_a_block_that_is_gone_are_removed(spool):
    result_of(spool.keep(BLOCK))
    spool.pending.unlink()
    write(spool, "notes.json")
    assert result_of(spool.load()) == []
    assert spool.files() == ["notes.json"]


WELL = {"version": 1, "found": 1.7e9, "worker": "me.rig", "share_hash": f"{0xCD:064x}", "value_duffs": 500}
HOSTILE = [
    None,
    b"",
    b"{",
    b"[" * 4000,
    b"\xff\xfe",
    b'{"a":' * 800,
    *(
        orjson.dumps(each)
        for each in (
            [],
            5,
            WELL | {"version": 2},
            WELL | {"found": -1.0},
            WELL | {"found": 1e300},
            WELL | {"found": "now"},
            WELL | {"worker": 5},
            WELL | {"worker": "x" * 10_000},
            WELL | {"share_hash": "AB" * 32},
            WELL | {"share_hash": "ab" * 31},
            WELL | {"share_hash": 5},
            WELL | {"value_duffs": -1},
            WELL | {"value_duffs": 2**63},
            WELL | {"value_duffs": 1.5},
            {name: each for name, each in WELL.items() if name != "worker"},
        )
    ),
]


@pytest.mark.parametrize("data", HOSTILE)
def test_details_that_make_no_sense_cost_no_block(spool, log, data):
    result_of(spool.keep(BLOCK))
    spool.details.unlink()
    if data is not None:
        spool.details.write_bytes(data)
    assert result_of(spool.load()) == [LEFT]
    assert log.lines == []


def test_a_name_from_the_details_is_fit_for_logs_and_pages(spool):
    result_of(spool.keep(BLOCK))
    spool.details.write_bytes(orjson.dumps(WELL | {"worker": "a\nb\x1b[31m"}))
    (left,) = result_of(spool.load())
    assert left.worker == "a?b?[31m"


def test_a_pipe_or_directory_where_a_file_should_be_holds_up_nothing(spool, log):
    result_of(spool.keep(BLOCK))
    for make in (os.mkfifo, os.mkdir):
        spool.details.unlink()
        make(spool.details)
        assert result_of(spool.load()) == [LEFT]
    assert result_of(spool.keep(BLOCK)) is True
    spool.pending.unlink()
    os.mkfifo(spool.pending)
    assert result_of(spool.load()) == []
    (line,) = log.lines
    assert "it is not a regular file" in line


def test_without_details_the_block_itself_has_to_do(spool):
    """After a power cut: time and value stand in every block."""
    capture = orjson.loads((ROOT / "tests" / "captures" / "40_submitblock_accepted.json").read_bytes())
    (hexadecimal,) = capture["request"]["params"]
    block = replace(BLOCK, data=bytes.fromhex(hexadecimal))
    result_of(spool.keep(block))
    spool.details.unlink()
    (left,) = result_of(spool.load())
    parsed = parse_block(block.data)
    assert left.time == parsed.header.timestamp > 1.5e9
    assert left.subsidy == sum(output.value for output in parsed.transactions[0].outputs) > 10**8
    assert (left.worker, left.share_hash, left.data) == (UNKNOWN, None, block.data)


def test_without_a_directory_there_is_nothing(spool, log):
    assert result_of(spool.load()) == []
    assert log.lines == []


HASH = f"{0xAB:064x}"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (f"7-{HASH}.pending", b""),
        (f"7-{HASH}.pending", b"\n"),
        (f"7-{HASH}.pending", b"abc"),
        (f"7-{HASH}.pending", b"zz" * 40),
        (f"7-{HASH}.pending", b"\xff\xfe"),
        (f"7-{HASH}.pending", bytes(1000)),
        (f"-{HASH}.pending", None),
        (f"x-{HASH}.pending", None),
        (f"-7-{HASH}.pending", None),
        (f"07-{HASH}.pending", None),
        (f"7_0-{HASH}.pending", None),
        (f"{'9' * 60}-{HASH}.pending", None),
        (f"7-{HASH.upper()}.pending", None),
        (f"7-{HASH[1:]}.pending", None),
        (f"7-0{HASH}.pending", None),
        (f"7--{HASH[1:]}.pending", None),
        (f"7-{HASH} .pending", None),
        ("7-.pending", None),
        ("7.pending", None),
        (".pending", None),
    ],
)
def test_what_is_no_block_stays_where_it_is_with_a_line(spool, log, name, data):
    result_of(spool.keep(FoundBlock(5, 6, DATA, "", None, 0)))
    path = write(spool, name) if data is None else write(spool, name, data)
    assert [block.height for block in result_of(spool.load())] == [6]
    assert len(log.lines) == 1
    assert str(path) in log.lines[0]
    assert path.exists()


def test_a_directory_and_a_dangling_link_are_no_blocks(spool, log):
    spool.pending.mkdir(parents=True)
    (spool.directory / f"8-{HASH}.pending").symlink_to("nowhere")
    assert result_of(spool.load()) == []
    assert len(log.lines) == 2


def test_a_file_that_is_too_large_is_not_cut_into_a_block(spool, log, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILE", 2 * len(DATA))
    write(spool, spool.pending.name, DATA.hex().encode())
    write(spool, f"8-{HASH}.pending", DATA[:-1].hex().encode())
    assert [block.height for block in result_of(spool.load())] == [8]
    assert len(log.lines) == 1


def test_of_too_many_the_newest_are_taken(spool, log):
    for number in range(MAX_READ + 20):
        write(spool, f"{990 + number}-{number:064x}.pending")
    heights = [block.height for block in result_of(spool.load())]
    assert heights == list(range(990 + 20, 990 + 20 + MAX_READ))
    assert len(spool.files()) == MAX_READ + 20


def test_a_directory_that_cannot_be_read_costs_a_line(spool, log):
    spool.disk.error = OSError(EIO, "Input/output error")
    assert result_of(spool.load()) == []
    assert log.lines == [f"cannot load a found block: {spool.directory} cannot be read: Input/output error"]
