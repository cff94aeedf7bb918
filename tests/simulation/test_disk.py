"""Simulated disks: a power cut takes what was not synced and nothing else, a kill takes nothing. They replace
functions of the whole process, so that each test has one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

BEGIN = """
import os, random, sqlite3, sys
from pathlib import Path
from tests.simulation import disk as disks
disks.install()
disk = disks.Disk(Path(sys.argv[1]) / "disk", random.Random(0))
file = disk.directory / "file"

def write(data, *, sync, sync_directory):
    new = file.with_suffix(".new")
    with open(new, "wb") as opened:
        opened.write(data)
        opened.flush()
        if sync:
            os.fsync(opened.fileno())
    os.replace(new, file)
    if sync_directory:
        descriptor = os.open(disk.directory, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

def connect(level):
    database = sqlite3.connect(disk.directory / "database", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(f"PRAGMA synchronous={level}")
    return database

def count():
    database = sqlite3.connect(disk.directory / "database")
    return database.execute("SELECT count(*) FROM t").fetchone()[0]
"""


def check(directory: Path, code: str) -> None:
    """Run code with a simulated disk; what it asserts must hold."""
    words = [sys.executable, "-c", BEGIN + code, str(directory)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("end", ["killed", "cut_power"])
def test_synced_file_survives(tmp_path: Path, end: str) -> None:
    check(
        tmp_path,
        f"""
write(b"old", sync=True, sync_directory=True)
write(b"newer", sync=True, sync_directory=True)
disk.{end}()
assert file.read_bytes() == b"newer"
""",
    )


def test_power_cut_empties_what_was_renamed_unsynced(tmp_path: Path) -> None:
    check(
        tmp_path,
        """
write(b"data", sync=False, sync_directory=True)
disk.cut_power()
assert file.read_bytes() == b""
""",
    )


def test_power_cut_takes_part_of_what_was_neither_synced_nor_renamed(tmp_path: Path) -> None:
    check(
        tmp_path,
        """
sizes = set()
for _ in range(50):
    new = file.with_suffix(".new")
    new.write_bytes(bytes(10))
    disk.cut_power()
    sizes.add(new.stat().st_size)
assert min(sizes) == 0
assert len(sizes) > 5
""",
    )


def test_power_cut_spares_what_was_synced_and_not_renamed(tmp_path: Path) -> None:
    check(
        tmp_path,
        """
new = file.with_suffix(".new")
with open(new, "wb") as opened:
    opened.write(bytes(10))
    opened.flush()
    os.fsync(opened.fileno())
disk.cut_power()
assert new.read_bytes() == bytes(10)
""",
    )


def test_kill_takes_nothing_that_was_written(tmp_path: Path) -> None:
    check(
        tmp_path,
        """
write(b"data", sync=False, sync_directory=False)
disk.killed()
assert file.read_bytes() == b"data"
""",
    )


def test_rename_in_an_unsynced_directory_is_undone_or_not(tmp_path: Path) -> None:
    check(
        tmp_path,
        """
found = set()
for _ in range(20):
    write(b"old", sync=True, sync_directory=True)
    write(b"newer", sync=True, sync_directory=False)
    disk.cut_power()
    found.add(file.read_bytes())
assert found == {b"old", b"newer"}
""",
    )


@pytest.mark.parametrize(
    ("level", "end", "left"),
    [
        ("FULL", "cut_power", 2),
        ("OFF", "cut_power", 0),
        ("NORMAL", "cut_power", 0),
        ("OFF", "killed", 2),
    ],
)
def test_commits_survive_if_they_are_synced(tmp_path: Path, level: str, end: str, left: int) -> None:
    check(
        tmp_path,
        f"""
database = connect("FULL")
database.execute("CREATE TABLE t (x)")
database.close()
database = connect("{level}")
for number in range(2):
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO t VALUES (?)", (number,))
    database.execute("COMMIT")
disk.{end}()
assert count() == {left}, count()
""",
    )


def test_full_disk_takes_no_writes(tmp_path: Path) -> None:
    check(
        tmp_path,
        """
database = connect("FULL")
database.execute("CREATE TABLE t (x)")
disk.full = True
for action in ("write(b'data', sync=True, sync_directory=True)", "database.execute('INSERT INTO t VALUES (1)')"):
    try:
        eval(action)
    except (OSError, sqlite3.OperationalError) as error:
        assert "full" in str(error) or "space" in str(error)
    else:
        raise AssertionError("a full disk took a write")
disk.full = False
database.execute("INSERT INTO t VALUES (1)")
""",
    )
