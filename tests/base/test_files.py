"""Files that are whole or not there."""

from __future__ import annotations

import os

import pytest

from p2pool.base.files import write_file


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
