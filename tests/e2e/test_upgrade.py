"""A node starts on the data directory of each released version, and on none of a newer one."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from p2pool.base.state_file import StateFormat
from p2pool.dash.hashes import short_hash
from p2pool.peers.service import PEERS_FILE
from tests.data_directories import Expected, build, expected, versions
from tests.e2e.process import NodeProcess, wait_for


def shares_held(node: NodeProcess) -> int:
    """How many shares the node has, once it answers."""
    held: int = (node.try_get("global_stats") or {}).get("shares_held", 0)
    return held


def parents(node: NodeProcess, share: str) -> set[str]:
    """The shares from the best one back to `share`, without it."""
    found: set[str] = set()
    each = node.get("web/best_share_hash")
    while each != share:
        found.add(each)
        each = node.get(f"web/share/{each}")["parent"]
    return found


@pytest.mark.parametrize("version", versions())
def test_a_node_goes_on_where_an_earlier_version_stopped(tmp_path: Path, version: str) -> None:
    what = expected(version)
    build(version, tmp_path / "data")
    with NodeProcess(tmp_path, *what.arguments, "--simnet-miners", "1", hash_rate=None) as node:
        node.wait_for_line(f"{what.shares} shares loaded in")
        node.wait_for_line(f"best share {short_hash(int(what.best_share, 16))}, height")
        wait_for("a new share", lambda: shares_held(node) > what.shares)
        wait_for("a share on top", lambda: parents(node, what.best_share))
        check_pages(node, what)
        assert node.interrupt() < 10
        assert "Traceback" not in node.output
        assert "damaged" not in node.output


def check_pages(node: NodeProcess, what: Expected) -> None:
    """What the earlier version knew is shown: addresses, blocks, history."""
    assert set(node.get("payout_addrs")) == set(what.payout_addresses)
    shown = {block["hash"] for block in node.get("recent_blocks")}
    assert set(what.blocks) <= shown
    wait_for("history", lambda: set(what.blocks) <= {each["hash"] for each in kept_blocks(node)})
    for block in what.blocks:
        assert node.rpc("getblock", block)["confirmations"] >= 1


def kept_blocks(node: NodeProcess) -> list[dict[str, str]]:
    answer = node.try_get("api/v1/history/blocks") or {}
    blocks: list[dict[str, str]] = answer.get("blocks", [])
    return blocks


def newer_json(form: StateFormat) -> Callable[[Path], None]:
    def change(data: Path) -> None:
        path = data / form.name
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "version": 99}))

    return change


def newer_database(name: str) -> Callable[[Path], None]:
    def change(data: Path) -> None:
        with closing(sqlite3.connect(data / name)) as database:
            database.execute("PRAGMA user_version = 99")

    return change


def digests(data: Path) -> dict[str, str]:
    """The files of a data directory but for those that each start writes."""
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in data.rglob("*")
        if path.is_file() and path.name not in {"lock", "log"}
    }


NEWER = {
    PEERS_FILE.name: newer_json(PEERS_FILE),
    "shares.sqlite": newer_database("shares.sqlite"),
}


def test_files_of_a_newer_version_end_the_start_and_stay_as_they_are(tmp_path: Path) -> None:
    for name, change in NEWER.items():
        directory = tmp_path / name
        data = build(versions()[-1], directory / "data")
        change(data)
        before = digests(data)
        with NodeProcess(directory, "--simnet-miners", "0") as node:
            assert node.wait_for_end(60) == 2
            (line,) = [line for line in node.output.splitlines() if "version 99" in line]
        assert re.search(rf"{name} has version 99 of its format, and this program knows versions up to \d", line)
        assert "Install that version again, or restore a backup from before the upgrade" in line
        assert "Traceback" not in node.output
        assert digests(data) == before


def test_a_newer_history_is_left_alone_and_mining_goes_on(tmp_path: Path) -> None:
    version = versions()[-1]
    data = build(version, tmp_path / "data")
    with closing(sqlite3.connect(data / "history.sqlite")) as database, database:
        database.execute("UPDATE facts SET value = '99' WHERE name = 'schema_version'")
    before = digests(data)["history.sqlite"]
    arguments = expected(version).arguments
    with NodeProcess(tmp_path, *arguments, "--simnet-miners", "1", hash_rate=None) as node:
        node.wait_for_line("history.sqlite: the history database has schema version 99")
        wait_for("a share", lambda: shares_held(node) > expected(version).shares)
        assert node.interrupt() < 10
    assert digests(data)["history.sqlite"] == before
    assert sorted(path.name for path in data.glob("history.sqlite*")) == ["history.sqlite"]
