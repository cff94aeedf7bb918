"""Backups of data directories, and what is restored of them."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from p2pool.__main__ import main
from p2pool.app.config import Config, load_config
from p2pool.app.data_directory import DataDirectory
from p2pool.base.errors import OperatorError
from p2pool.operators.backup import make_backup, restore_backup
from p2pool.operators.data_files import Manifest, listed_files, read_manifest

NOW = 1_700_000_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Of a node whose data directory has a bit of everything."""
    found = load_config([], tmp_path / "data", {})
    directory = found.datadir
    (directory / "blocks").mkdir(parents=True)
    (directory / "blocks" / "7-ab.pending").write_bytes(b"a block")
    (directory / "peers.json").write_text('{"version": 1}')
    key = directory / "web-key.pem"
    key.write_text("a key")
    key.chmod(0o600)
    for name in ("lock", "log", "log.1", "peers.json.new"):
        (directory / name).write_text("not saved")
    os.mkfifo(directory / "take-over")
    return found


def database(path: Path) -> sqlite3.Connection:
    """One that is in use, with a row that only its journal has."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("INSERT INTO t VALUES (1)")
    return connection


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def other(config: Config, tmp_path: Path) -> Config:
    return load_config(["--net", config.network.name], tmp_path / "other", {})


def test_a_round_trip_while_a_node_runs(config, tmp_path):
    held = DataDirectory(config.datadir)
    with closing(database(config.datadir / "shares.sqlite")) as used:
        used.execute("BEGIN IMMEDIATE")
        used.execute("INSERT INTO t VALUES (2)")
        manifest = make_backup(config, tmp_path / "saved", NOW)
        used.execute("COMMIT")
    held.release()
    assert set(manifest.files) == {"blocks/7-ab.pending", "peers.json", "web-key.pem", "shares.sqlite"}
    assert read_manifest(tmp_path / "saved") == manifest
    assert [each.name for each in tmp_path.iterdir() if "incomplete" in each.name] == []
    new = other(config, tmp_path)
    assert restore_backup(new, tmp_path / "saved", manifest, replace=False) is None
    restored = contents(new.datadir)
    restored.pop("lock")
    assert restored == contents(tmp_path / "saved" / "files")
    assert stat.S_IMODE((new.datadir / "web-key.pem").stat().st_mode) == 0o600
    with closing(sqlite3.connect(new.datadir / "shares.sqlite")) as copy:
        assert copy.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_a_found_block_that_is_not_synced_yet_is_saved(config, tmp_path, monkeypatch):
    """It is saved under one name or the other, or both, whenever the node syncs and renames it."""
    name = f"8-{'0' * 64}.pending"
    new = config.datadir / "blocks" / f"{name}.new"
    new.write_bytes(b"ab\n")
    make_backup(config, tmp_path / "unsynced", NOW)
    assert contents(tmp_path / "unsynced" / "files" / "blocks") == {"7-ab.pending": b"a block", new.name: b"ab\n"}
    listed = list(listed_files(config.datadir))
    monkeypatch.setattr("p2pool.operators.backup.listed_files", lambda _: iter(listed))
    new.rename(new.with_suffix(""))
    make_backup(config, tmp_path / "renamed", NOW)
    assert contents(tmp_path / "renamed" / "files" / "blocks") == {"7-ab.pending": b"a block", name: b"ab\n"}


def test_files_behind_links_are_saved(config, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "1.gz").write_bytes(b"shares")
    (config.datadir / "share-archive").symlink_to(tmp_path / "disk")
    (config.datadir / "bootstrap.txt").symlink_to(tmp_path / "disk" / "1.gz")
    manifest = make_backup(config, tmp_path / "saved", NOW)
    assert {"share-archive/1.gz", "bootstrap.txt"} <= set(manifest.files)
    assert (tmp_path / "saved" / "files" / "bootstrap.txt").read_bytes() == b"shares"


def test_a_node_that_runs_is_left_alone(config, tmp_path):
    manifest = make_backup(config, tmp_path / "saved", NOW)
    before = contents(config.datadir)
    held = DataDirectory(config.datadir)
    with pytest.raises(OperatorError, match="in use by process"):
        restore_backup(config, tmp_path / "saved", manifest, replace=True)
    held.release()
    (config.datadir / "lock").write_text("not saved")
    assert contents(config.datadir) == before


def test_nothing_is_replaced_unasked_and_nothing_is_deleted(config, tmp_path):
    manifest = make_backup(config, tmp_path / "saved", NOW)
    (config.datadir / "peers.json").write_text("newer")
    before = contents(config.datadir)
    with pytest.raises(OperatorError, match=r"has files already.*--replace"):
        restore_backup(config, tmp_path / "saved", manifest, replace=False)
    before.pop("lock")
    for number in ("", "-2"):
        aside = restore_backup(config, tmp_path / "saved", manifest, replace=True)
        assert aside == config.datadir.with_name("dash.replaced" + number)
    assert contents(config.datadir.with_name("dash.replaced")) == before
    assert (config.datadir / "peers.json").read_text() == '{"version": 1}'
    assert sorted(each.name for each in config.datadir.parent.iterdir()) == [
        "dash",
        "dash.replaced",
        "dash.replaced-2",
    ]


@pytest.mark.parametrize("spoil", ["changed", "shorter", "gone"])
def test_a_spoilt_backup_changes_nothing(spoil, config, tmp_path):
    manifest = make_backup(config, tmp_path / "saved", NOW)
    path = tmp_path / "saved" / "files" / "blocks" / "7-ab.pending"
    if spoil == "gone":
        path.unlink()
    else:
        path.write_bytes(b"A block" if spoil == "changed" else b"a")
    new = other(config, tmp_path)
    with pytest.raises(OperatorError, match="not complete" if spoil == "gone" else "corrupt"):
        restore_backup(new, tmp_path / "saved", manifest, replace=False)
    assert not new.datadir.exists()


def test_a_corrupt_database_is_named_and_leaves_no_backup(config, tmp_path):
    (config.datadir / "history.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(OperatorError, match=r"history\.sqlite"):
        make_backup(config, tmp_path / "saved", NOW)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data"]


def test_where_a_backup_cannot_be(config, tmp_path):
    (tmp_path / "there").mkdir()
    cases = {
        tmp_path / "there": "exists, and is not overwritten",
        config.datadir / "saved": "in the data directory itself",
        tmp_path / "no" / "saved": "No such file or directory",
    }
    for target, words in cases.items():
        with pytest.raises(OperatorError, match=words):
            make_backup(config, target, NOW)
    with pytest.raises(OperatorError, match="there is no data directory"):
        make_backup(other(config, tmp_path), tmp_path / "saved", NOW)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "has version 2"),
        ({"files": {"../x": {"bytes": 1, "sha256": ""}}}, "outside of the data directory"),
        ({"files": {"/etc/x": {"bytes": 1, "sha256": ""}}}, "outside of the data directory"),
        ({"files": [1]}, "is no manifest"),
        ({"created": "yesterday"}, "is no manifest"),
    ],
)
def test_manifests_that_cannot_be_used(changes, words, config, tmp_path):
    make_backup(config, tmp_path / "saved", NOW)
    path = tmp_path / "saved" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(OperatorError, match=words):
        read_manifest(tmp_path / "saved")


def test_what_is_no_backup(config, tmp_path):
    with pytest.raises(OperatorError, match="is no backup"):
        read_manifest(tmp_path)
    manifest = make_backup(config, tmp_path / "saved", NOW)
    foreign = Manifest("simnet", manifest.program, NOW, manifest.files)
    with pytest.raises(OperatorError, match="of the network simnet, not of dash: choose --net"):
        restore_backup(config, tmp_path / "saved", foreign, replace=True)


def test_the_commands(config, tmp_path, capsys):
    data = ["--datadir", str(config.datadir.parent), "--stats-db", "none"]
    assert main(["backup", str(tmp_path / "saved"), *data]) == 0
    assert "saved 3 files" in capsys.readouterr().out
    assert main(["backup", str(tmp_path / "saved"), *data]) == 2
    assert main(["restore", str(tmp_path / "saved"), *data]) == 2
    assert "--replace" in capsys.readouterr().err
    assert main(["restore", str(tmp_path / "saved"), "--replace", *data]) == 0
    assert f"moved the former files to {config.datadir}.replaced" in capsys.readouterr().out
    elsewhere = ["--datadir", str(config.datadir.parent), "--stats-db", str(tmp_path / "h.sqlite")]
    assert main(["backup", str(tmp_path / "saved2"), *elsewhere]) == 0
    assert "history is not in the backup" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["backup", "--net", "dash"])
    assert end.value.code == 2
