"""State files: whatever is in one, the start goes on, and nothing is deleted."""

from __future__ import annotations

import os
import stat
from errno import EACCES, EMFILE, ENOSPC
from pathlib import Path
from unittest.mock import patch

import orjson
import pytest

from p2pool.base import state_file
from p2pool.base.errors import ParseError
from p2pool.base.state_file import NewerFile, StateFile, StateFormat
from tests.logged import logged

FORM = StateFormat("things.json", "all things", 10_000, version=3)


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "data" / FORM.name, FORM)


def things(document: object) -> list[object]:
    value = document.get("things") if isinstance(document, dict) else document
    if not isinstance(value, list):
        raise ParseError("it holds no things")
    return value


def test_what_was_written_comes_back_with_a_version_for_its_owner_only(file):
    assert file.read(things) is None
    file.write({"things": [1, "zwölf"]})
    assert file.read(things) == [1, "zwölf"]
    assert orjson.loads(file.path.read_bytes()) == {"version": 3, "things": [1, "zwölf"]}
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    file.path.chmod(0o644)
    file.path.with_name("things.json.new").write_text("half of it, of a crash")
    file.write({"things": []})
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == ["things.json"]


def test_older_formats_are_read(file):
    file.path.parent.mkdir()
    for data in (b"[5]", b'{"things": [5]}', b'{"version": 0, "things": [5]}', b'{"version": 2, "things": [5]}'):
        file.path.write_bytes(data)
        assert file.read(things) == [5]


HOSTILE = {
    "empty": b"",
    "blank": b" \n",
    "text": b"nonsense",
    "zeros": bytes(500),
    "not UTF-8": b"\xff\xfe",
    "half": b'{"version": 3, "things": [',
    "deep": b"[" * 9_999,
    "deep and closed": b"[" * 4000 + b"]" * 4000,
    "deep inside": b'{"things":' + b"[" * 4000 + b"]" * 4000 + b"}",
    "large": b"[" + b" " * 10_000 + b"]",
    "other shape": b'{"things": 5}',
    "number": b"7",
    "null": b"null",
    "digits": b"[" + b"9" * 5000 + b"]",
    "no version": b'{"version": "new", "things": []}',
    "true version": b'{"version": true, "things": []}',
    "negative version": b'{"version": -1, "things": []}',
    "fraction of a version": b'{"version": 3.5, "things": []}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_used_is_quarantined_with_one_line(file, data):
    file.path.parent.mkdir()
    for number in range(1, 4):
        file.path.write_bytes(data)
        with logged() as log:
            assert file.read(things) is None
        (line,) = log.lines
        moved = "things.json.damaged" + (f"-{number}" if number > 1 else "")
        assert str(file.path) in line
        assert f"quarantined as {moved}; starting without all things" in line
        assert not log.tracebacks
        assert file.path.with_name(moved).read_bytes() == data
        assert not file.path.exists()
    file.write({"things": [1]})
    assert file.read(things) == [1]


def test_a_pipe_or_a_directory_is_no_file(file):
    file.path.parent.mkdir()
    os.mkfifo(file.path)
    with logged() as log:
        assert file.read(things) is None
        file.path.mkdir()
        assert file.read(things) is None
    assert ["regular" in line or "directory" in line for line in log.lines] == [True, True]
    file.write({"things": []})


def test_what_cannot_be_quarantined_is_not_written_over(file):
    file.path.parent.mkdir()
    file.path.write_text("nonsense")
    with (
        logged() as log,
        patch.object(state_file, "quarantine", side_effect=OSError(EACCES, "Permission denied")),
    ):
        assert file.read(things) is None
    (line,) = log.lines
    assert "cannot be quarantined (Permission denied)" in line
    with pytest.raises(OSError, match="could not be quarantined"):
        file.write({"things": []})
    assert file.path.read_text() == "nonsense"


def test_a_file_that_the_system_has_no_means_to_read_stays_as_it_is(file):
    """Too many open files, say: it is not corrupt."""
    file.write({"things": [1]})
    with (
        patch.object(state_file.os, "open", side_effect=OSError(EMFILE, "Too many open files")),
        logged() as log,
    ):
        assert file.read(things) is None
    (line,) = log.lines
    assert "things.json cannot be read now (Too many open files): starting without all things" in line
    with pytest.raises(OSError, match="could not be read"):
        file.write({"things": []})
    assert StateFile(file.path, FORM).read(things) == [1]


def test_a_full_disk_leaves_the_old_file(file):
    file.write({"things": [1]})
    with (
        patch.object(os, "fsync", side_effect=OSError(ENOSPC, "No space left")),
        pytest.raises(OSError, match="space"),
    ):
        file.write({"things": [2]})
    assert file.read(things) == [1]
    assert [path.name for path in file.path.parent.iterdir()] == ["things.json"]


@pytest.mark.parametrize("version", [4, 10**9])
def test_a_newer_version_stops_the_start_and_stays_as_it_is(file, version):
    file.path.parent.mkdir()
    data = orjson.dumps({"version": version, "what": "ever"})
    file.path.write_bytes(data)
    sentence = (
        rf"{file.path} has version {version} of its format, and this program knows versions up to 3: .* without"
    )
    with pytest.raises(NewerFile, match=sentence):
        file.read(things)
    with pytest.raises(NewerFile, match=sentence):
        FORM.check(file.path.parent)
    assert file.path.read_bytes() == data


def test_the_check_of_versions_passes_over_all_else(file):
    FORM.check(file.path.parent)
    file.path.parent.mkdir()
    for data in HOSTILE.values():
        file.path.write_bytes(data)
        FORM.check(file.path.parent)
        assert file.path.read_bytes() == data


def test_texts_are_kept_in_the_same_way(file):
    file.write_bytes(b"a name\n")
    assert file.read_bytes(bytes.upper) == b"A NAME\n"
    file.path.write_bytes(bytes(10_001))
    with logged() as log:
        assert file.read_bytes(bytes.upper) is None
    assert "more than 10000 bytes" in log.lines[0]


def test_a_disk_that_fails_is_logged_once_until_a_write_succeeds(tmp_path):
    file = StateFile(tmp_path / "things" / FORM.name, FORM)
    file.path.parent.write_text("a file where the directory should be")
    with logged() as log:
        assert [file.save({"a": 1}) for _ in range(3)] == [False] * 3
        file.path.parent.unlink()
        assert file.save({"a": 2})
        assert file.read(lambda document: document["a"]) == 2
        file.path.unlink()
        file.path.parent.rmdir()
        file.path.parent.write_text("a file again")
        assert not file.save({"a": 3})
    assert len(log.lines) == 2
    assert all("cannot write" in line and str(file.path) in line for line in log.lines)
