"""The node's name in a database that others may write into, too."""

from __future__ import annotations

from p2pool.recording import NODE_NAME_FILE, Recording, node_name
from tests.logged import logged
from tests.test_config import MAIN, load


def test_a_name_is_chosen_once(tmp_path):
    name = node_name(tmp_path)
    assert len(name) == 16
    assert node_name(tmp_path) == name
    assert node_name(tmp_path / "other") != name


def test_a_file_that_holds_none_is_told_of_and_replaced(tmp_path):
    (tmp_path / NODE_NAME_FILE).write_bytes(b"\xff\x00 what is this?")
    with logged() as log:
        name = node_name(tmp_path)
    assert len(log.lines) == 1
    assert "holds no name of a node" in log.lines[0]
    assert node_name(tmp_path) == name


def test_where_it_cannot_be_kept_the_node_goes_on(tmp_path):
    (tmp_path / "file").write_text("")
    with logged() as log:
        assert len(node_name(tmp_path / "file")) == 16
    assert len(log.lines) == 1
    assert "after a restart" in log.lines[0]


def test_none_is_kept_where_none_is_wanted():
    assert Recording(None, load("-a", MAIN, "--stats-db", "none"), float).history is None
