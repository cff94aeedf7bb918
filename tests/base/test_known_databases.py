"""Which databases this node used, whatever their paths are."""

from __future__ import annotations

import os

from p2pool.base.known_databases import KnownDatabases


def test_a_path_that_is_no_text_is_remembered(tmp_path):
    directory = tmp_path / os.fsdecode(b"caf\xe9")  # as Latin-1 writes it
    path = directory / "shares.sqlite"
    KnownDatabases(directory).opened(path)
    problem = KnownDatabases(directory).before_opening(path, "20231114")
    assert problem is not None
    assert "is missing, although this node has used it" in problem
