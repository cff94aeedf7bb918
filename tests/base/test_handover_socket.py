"""The Unix socket of a take-over: only its user may use it, from the moment that it has a name."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from p2pool.base import handover_socket


@pytest.mark.parametrize("directory", [".", "x" * 150])
def test_only_its_user_may_use_it_and_files_of_other_threads_keep_their_permissions(
    tmp_path, monkeypatch, directory
):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is that of all threads"))
    path = tmp_path / directory / "take-over"
    path.parent.mkdir(exist_ok=True)
    listening = handover_socket.listen(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listening.close()
    handover_socket.listen(path).close()  # in place of an earlier one


def test_it_is_known_when_the_process_at_the_other_end_is_gone(tmp_path):
    """The child connects to nothing: it listens, so that the kernel names it, and ends when its input does."""
    path = tmp_path / "socket"
    code = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        f"s.bind({str(path)!r})\n"
        "s.listen()\n"
        "print('listens', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        end = handover_socket.connect(path, 5.0)
        assert not end.wait_for_exit(0.0)
        child.stdin.close()
        assert end.wait_for_exit(30.0)
        child.wait()
        assert end.wait_for_exit(0.0)
        end.close()
