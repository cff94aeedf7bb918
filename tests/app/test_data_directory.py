"""The data directory's lock."""

from __future__ import annotations

import os
import stat

import pytest

from p2pool.app import data_directory as datadir
from p2pool.app.data_directory import DataDirectory
from p2pool.base.errors import OperatorError


def test_it_is_made_and_says_who_holds_it(tmp_path):
    path = tmp_path / "deep" / "below"
    directory = DataDirectory(path)
    assert stat.S_ISDIR(path.stat().st_mode)
    assert (path / "lock").read_text() == f"{os.getpid()}\n"
    directory.release()


def test_a_second_holder_is_refused_by_name_and_does_not_spoil_the_lock(tmp_path):
    first = DataDirectory(tmp_path)
    for _ in range(2):
        with pytest.raises(OperatorError, match=f"in use by process {os.getpid()}:") as refused:
            DataDirectory(tmp_path)
        assert str(tmp_path) in str(refused.value)
        assert "--datadir" in str(refused.value)
    first.release()


def test_released_it_can_be_used_again(tmp_path):
    DataDirectory(tmp_path).release()
    (tmp_path / "lock").write_text("99999999 and more than this process's number\n")
    directory = DataDirectory(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    directory.release()


def test_a_lock_without_a_name_in_it(tmp_path):
    first = DataDirectory(tmp_path)
    (tmp_path / "lock").write_bytes(b"\xff\xfe" * 4)
    with pytest.raises(OperatorError, match="in use by process"):
        DataDirectory(tmp_path)
    (tmp_path / "lock").write_bytes(b"")
    with pytest.raises(OperatorError, match="another process"):
        DataDirectory(tmp_path)
    first.release()


def test_a_file_where_the_directory_should_be(tmp_path):
    path = tmp_path / "taken"
    path.write_text("x")
    with pytest.raises(OperatorError, match=r"cannot use .*taken: .*exists"):
        DataDirectory(path)
    with pytest.raises(OperatorError, match=r"cannot use .*Not a directory"):
        DataDirectory(path / "below")


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def no_locks(file, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(datadir.fcntl, "flock", no_locks)
    with pytest.raises(OperatorError, match=r"cannot lock .*lock: No locks available"):
        DataDirectory(tmp_path)


def test_a_full_disk_leaves_no_lock_behind(tmp_path, monkeypatch):
    def full() -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(datadir.os, "getpid", full)
        with pytest.raises(OperatorError, match=r"cannot write to .*No space left") as refused:
            DataDirectory(tmp_path)
        held = refused.traceback[-1].frame  # the directory lives on in it: its file must be closed all the same
    assert held
    DataDirectory(tmp_path).release()
