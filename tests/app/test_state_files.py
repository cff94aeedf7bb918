"""Every state file of the node: hostile contents, newer versions, and that none is forgotten."""

from __future__ import annotations

import ast
import importlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.alerts import last_run
from p2pool.alerts.miners.file import parse_stored
from p2pool.alerts.miners.settings import MinerChannel
from p2pool.alerts.miners.subscriptions import Subscriptions
from p2pool.alerts.miners.watch import PayoutWatch
from p2pool.app.state_files import DATABASES, STATE_FILES, check_state_files
from p2pool.base import known_databases
from p2pool.base.database_format import DatabaseFormat
from p2pool.base.errors import ParseError
from p2pool.base.state_file import NewerFile, StateFormat
from p2pool.dashd import block_store, network_peers, payout_addresses
from p2pool.networks import SIMNET
from p2pool.peers import service
from p2pool.peers.addresses import Bans
from p2pool.peers.dialling import Dialler
from p2pool.stratum import ban_file
from tests.support import ROOT, parse_module

TEXTS = {"cached_payout_address", "node-name"}
"""They have no version: legacy p2pool-dash has the first, too."""


def read_peers(document: Any) -> None:
    kept = service.read_kept_peers(document, random.Random(1), 1e9)
    Bans().read_json(kept.bans, 1e9)
    Dialler.take_anchors(SimpleNamespace(_anchors=[]), kept.anchors)  # type: ignore[arg-type]


def read_miner_alerts(document: Any) -> None:
    stored = parse_stored({"key": "00" * 32} | document if isinstance(document, dict) else document)
    Subscriptions().restore(stored.subscriptions, frozenset(MinerChannel))
    PayoutWatch({}.get, symbol="DASH", period=150.0).restore(stored.blocks)


PARSERS: dict[str, Callable[[Any], object]] = {
    "peers.json": read_peers,
    "stratum-bans.json": ban_file._rows,
    "broadcaster-peers.json": network_peers.peer_entries,
    "blocks.json": block_store._records,
    "dynamic-addresses.json": lambda document: payout_addresses.parse_dynamic(document, SIMNET),
    "last-run.json": last_run._parse,
    "databases.json": known_databases._paths,
    "miner_alerts.json": read_miner_alerts,
}


def declared_formats() -> set[str]:
    """The names of all StateFormats that modules of the package declare."""
    found = set()
    for path in (ROOT / "p2pool").rglob("*.py"):
        for node in parse_module(path).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Call):
                continue
            if getattr(node.value.func, "id", "") == "StateFormat":
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found.add(getattr(importlib.import_module(name), target.id).name)  # type: ignore[attr-defined]
    return found


def test_every_state_file_is_checked_before_the_start():
    assert {form.name for form in STATE_FILES} | TEXTS == declared_formats()
    assert {form.name for form in STATE_FILES} == set(PARSERS)


@pytest.mark.parametrize("form", STATE_FILES, ids=lambda form: form.name)
def test_a_newer_version_of_any_ends_the_start(tmp_path: Path, form: StateFormat):
    (tmp_path / form.name).write_bytes(orjson.dumps({"version": form.version + 1}))
    with pytest.raises(NewerFile, match=f"{form.name} has version {form.version + 1} of its format"):
        check_state_files(tmp_path)


@pytest.mark.parametrize("form", DATABASES, ids=lambda form: form.name)
@pytest.mark.parametrize("where", ["file", "write-ahead log"])
def test_a_newer_database_ends_the_start_and_is_not_touched(tmp_path: Path, form: DatabaseFormat, where: str):
    """The newer version was stopped, or killed just after it had migrated the file."""
    path = tmp_path / "theirs" / form.name
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA user_version = {form.version}")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute(f"PRAGMA user_version = {form.version + 1}")
        if where != "file":
            shutil.copytree(path.parent, tmp_path / "killed")
            path = tmp_path / "killed" / form.name
    before = {each.name: each.read_bytes() for each in path.parent.iterdir() if not each.name.endswith("-shm")}
    assert (f"{form.name}-wal" in before) is (where != "file")
    with pytest.raises(NewerFile, match=f"{form.name} has version {form.version + 1} of its format"):
        check_state_files(path.parent)
    after = {each.name: each.read_bytes() for each in path.parent.iterdir() if not each.name.endswith("-shm")}
    assert after == before


def test_the_check_of_databases_ignores_what_is_none(tmp_path: Path):
    check_state_files(tmp_path / "missing")
    for form in DATABASES:
        for data in (b"", b"no database at all " * 100):
            (tmp_path / form.name).write_bytes(data)
            check_state_files(tmp_path)
            assert (tmp_path / form.name).read_bytes() == data


NAMES = st.sampled_from(
    [
        "version",
        "addresses",
        "address_key",
        "anchors",
        "bans",
        "peers",
        "blocks",
        "paths",
        "time",
        "orderly",
        "host",
        "port",
        "score",
        "worked",
        "subscriptions",
        "waiting",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**64) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("name", PARSERS)
@given(document=JSON)
def test_any_json_is_taken_or_refused(name, document):
    try:
        PARSERS[name](document)
    except ParseError:
        pass
