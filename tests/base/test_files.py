"""Files that are whole or not there."""

from __future__ import annotations

import os

import pytest

from p2pool.base.files import NewFile, write_file


def test_a_file_is_made_with_its_directory_and_replaced(tmp_path):
    path = tmp_path / "a" / "b" / "file.hex"
    write_file(path, b"first")
    write_file(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.hex"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_file(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]  # half a file would fill the disk even more


def test_a_file_in_two_steps_is_whole_under_another_name_until_the_second(tmp_path):
    path = tmp_path / "a" / "file"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file.new").write_bytes(b"left by a crash, and longer")
    new = NewFile(path, mode=0o600)
    new.write(b"data")
    assert (tmp_path / "a" / "file.new").read_bytes() == b"data"
    assert not path.exists()
    new.commit()
    assert path.read_bytes() == b"data"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_file_that_was_not_written_cannot_be_committed(tmp_path):
    with pytest.raises(ValueError, match="nothing is written"):
        NewFile(tmp_path / "file").commit()


def test_a_first_step_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "file.new").symlink_to("/dev/full")
    new = NewFile(tmp_path / "file")
    new._open = lambda: os.open("/dev/full", os.O_WRONLY)  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space left"):
        new.write(b"data")
    assert list(tmp_path.iterdir()) == []
