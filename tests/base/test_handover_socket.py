"""The Unix socket of a take-over: only its user may use it, from the moment that it has a name."""

from __future__ import annotations

import os
import stat

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
