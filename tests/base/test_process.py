"""What the system says of this process."""

from __future__ import annotations

import os
import resource
import sys
import threading

import pytest

from p2pool.base import process
from p2pool.base.process import read_process_figures


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_this_process(tmp_path):
    before = read_process_figures()
    assert 5_000_000 < before.resident_bytes < 50_000_000_000
    assert before.cpu_seconds > 0
    assert before.max_files in (-1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    wait = threading.Event()
    helper = threading.Thread(target=wait.wait)
    helper.start()
    with open(tmp_path / "x", "w"):
        during = read_process_figures()
    wait.set()
    helper.join()
    assert (during.open_files, during.threads) == (before.open_files + 1, before.threads + 1)


def a_process(directory, statm: str = "1000 300 9 1 0 5 0", status: str = "Name:\tx\nThreads:\t12\n"):
    (directory / "statm").write_text(statm)
    (directory / "status").write_text(status)
    (directory / "fd").mkdir()
    for number in range(3):
        (directory / "fd" / str(number)).touch()
    return directory


def test_what_linux_says(tmp_path):
    figures = read_process_figures(a_process(tmp_path))
    assert figures.resident_bytes == 300 * os.sysconf("SC_PAGE_SIZE")
    assert figures.threads == 12
    assert figures.open_files > 0  # on a disk, a directory's size is something else


def test_open_files_are_listed_where_the_directory_s_size_does_not_tell(tmp_path, monkeypatch):
    a_process(tmp_path)
    monkeypatch.setattr(process.os, "stat", lambda path: type("Stat", (), {"st_size": 0}))
    assert read_process_figures(tmp_path).open_files == 3


@pytest.mark.parametrize(("statm", "status"), [("", ""), ("x y z", "Threads: many"), ("7", "Threads")])
def test_what_is_not_as_expected_is_passed_over(tmp_path, statm, status):
    figures = read_process_figures(a_process(tmp_path, statm, status))
    assert figures.threads == threading.active_count()
    assert figures.resident_bytes == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_system_that_has_no_such_files(tmp_path):
    figures = read_process_figures(tmp_path / "nothing")
    assert figures.open_files is None
    assert figures.threads == threading.active_count()
    assert figures.resident_bytes > 1_000_000
    assert figures.cpu_seconds > 0


def test_no_limit_of_open_files(tmp_path, monkeypatch):
    monkeypatch.setattr(process.resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
    assert read_process_figures(tmp_path).max_files == -1
