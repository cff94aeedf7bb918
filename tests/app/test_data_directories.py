"""The data directories of released versions are read by the code that a node reads them with, and lose nothing."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from twisted.internet.defer import ensureDeferred, maybeDeferred

from p2pool.alerts.last_run import LAST_RUN_FILE, read_last_run
from p2pool.alerts.miners.file import MINERS_FILE, parse_stored
from p2pool.alerts.miners.settings import MinerChannel
from p2pool.alerts.miners.subscriptions import Subscriptions
from p2pool.alerts.outbox_file import OUTBOX_FILE, OutboxFile
from p2pool.app.history import node_name
from p2pool.app.state_files import DATABASES, STATE_FILES, check_state_files
from p2pool.base.known_databases import DATABASES_FILE, _paths
from p2pool.base.state_file import StateFile, StateFormat
from p2pool.dash.hashes import hash_hex
from p2pool.dashd.block_store import BLOCKS_FILE, BlockStore
from p2pool.dashd.broadcaster import NETWORK_PEERS_FILE
from p2pool.dashd.network_peers import peer_entries
from p2pool.dashd.payout_addresses import parse_dynamic
from p2pool.dashd.payout_service import DYNAMIC_FILE
from p2pool.dashd.spool import BlockSpool
from p2pool.gateway.messages import SCHEMA, SolutionMessage, parse_message
from p2pool.gateway.solution_spool import SolutionSpool
from p2pool.history.database import HistoryDatabase, parse_database_location
from p2pool.history.reading import Span, find_node, read_blocks
from p2pool.history.schema import SCHEMA_VERSION
from p2pool.networks import SIMNET
from p2pool.peers.addresses import Bans
from p2pool.peers.service import PEERS_FILE, read_kept_peers
from p2pool.sharechain.importing import ImportCounts, read_share_files, share_files
from p2pool.sharechain.store import SHARES_FILE, StoredShare, open_database
from p2pool.stratum.ban_file import BANS_FILE, _rows
from tests.data_directories import HERE, NETWORK, Expected, build, expected, versions
from tests.data_directories.__main__ import BANNED
from tests.environment import make_environment

STAMP = "20270101-000000"
Read = Callable[[Path, Expected], None]


def result_of(coroutine: Any) -> Any:
    results: list[Any] = []
    ensureDeferred(coroutine).addBoth(results.append)
    return results[0]


def json(data: Path, form: StateFormat) -> Any:
    return StateFile(data / form.name, form).read(lambda document: document)


def shares(data: Path, what: Expected) -> None:
    database, quarantined = open_database(data / SHARES_FILE.name, STAMP)
    with closing(database):
        stored = [each for each in database.read(SIMNET) if isinstance(each, StoredShare)]
    assert quarantined is None
    assert len(stored) == what.shares
    assert all(each.verified and each.own and each.live for each in stored)
    assert hash_hex(stored[-1].share.hash) == what.best_share
    assert max(each.time_seen for each in stored) == what.time


def history(data: Path, what: Expected) -> None:
    assert node_name(data, make_environment()) == what.node_name
    location = parse_database_location("--stats-db", str(data / "history.sqlite"))
    with closing(HistoryDatabase(location, what.node_name, STAMP)) as database:
        assert database.quarantined_as is None
        assert find_node(database, None) == find_node(database, what.node_name) == 1
        span = Span(database.node, 0, what.time + 3600, what.time + 3600)
        page = read_blocks(database, span, offset=0, limit=10)
    hashes = [row["hash"] for row in reversed(page.rows)]  # those since the last sample come after the next start
    assert hashes == what.blocks[: len(hashes)]
    assert hashes


def blocks(data: Path, what: Expected) -> None:
    store = BlockStore(data / BLOCKS_FILE.name, maybeDeferred)
    result_of(store.load())
    assert [hash_hex(each) for each in store.records] == what.blocks
    assert {record.status.value for record in store.records.values()} == {"accepted"}
    found = result_of(BlockSpool(data / "blocks", maybeDeferred).load())
    assert [hash_hex(block.block_hash) for block in found] == what.blocks
    assert all(block.worker.endswith(".cpu1") and block.subsidy > 0 for block in found)


def alerts(data: Path, what: Expected) -> None:
    entries, state, problem = OutboxFile(data / OUTBOX_FILE.name).load()
    assert problem is None
    assert [(each.id, each.destination, each.attempts) for each in entries] == [("1", "operator", 2)]
    assert state == {"sent": {}}
    last = read_last_run(data / LAST_RUN_FILE.name)
    assert last is not None
    assert last.orderly
    assert abs(last.time - what.time) < 3600


def peers(data: Path, what: Expected) -> None:
    kept, bans = read_kept_peers(json(data, PEERS_FILE), random.Random(1), what.time), Bans()
    assert len(kept.book) == 1
    bans.read_json(kept.bans, what.time)
    assert bans.is_banned(BANNED, what.time)
    (ban,) = _rows(json(data, BANS_FILE))
    assert isinstance(ban, list)
    assert ban[0] == BANNED
    (peer,) = peer_entries(json(data, NETWORK_PEERS_FILE))
    assert peer["worked"]


def addresses(data: Path, what: Expected) -> None:
    own, refused = parse_dynamic(json(data, DYNAMIC_FILE), SIMNET)
    assert ([each.address for each in own], refused) == (what.payout_addresses, [])
    assert (data / "cached_payout_address").read_text("ascii").strip() in what.payout_addresses
    assert [Path(path).name for path in _paths(json(data, DATABASES_FILE))] == ["shares.sqlite", "history.sqlite"]


def share_data(data: Path, what: Expected) -> None:
    counts = ImportCounts()
    archived = list(read_share_files(share_files(data / "share-archive"), SIMNET, counts))
    assert (len(archived), counts.files, counts.damaged) == (2, 1, 0)
    (left,) = SolutionSpool(data / "solutions").load(10)
    assert isinstance(left.content, bytes)
    assert parse_message(SolutionMessage, left.content).hash == left.solution_hash
    assert left.solution_hash == archived[1].hash.to_bytes(32, "little")


def alerts_of_miners(data: Path, what: Expected) -> None:
    stored, table = parse_stored(json(data, MINERS_FILE)), Subscriptions()
    assert table.restore(stored.subscriptions, frozenset(MinerChannel)) == 0
    assert [(each.address, each.confirmed) for each in table] == [(what.payout_addresses[0], what.time)]


PARTS: tuple[Read, ...] = (shares, history, blocks, alerts, alerts_of_miners, peers, addresses, share_data)


@pytest.mark.parametrize("version", versions())
def test_all_of_a_data_directory_is_read(tmp_path, version):
    data = build(version, tmp_path)
    check_state_files(data)
    for _ in range(2):  # the second time, files are of today's version
        for read in PARTS:
            read(data, expected(version))
    assert list(data.rglob("*.damaged*")) == []


@pytest.mark.parametrize("version", versions())
def test_tables_are_those_of_a_new_file(tmp_path, version):
    """Whatever `ALTER TABLE` made of an old one."""
    data = build(version, tmp_path)
    (tmp_path / "new").mkdir()
    found = []
    for place in (data, tmp_path / "new"):
        open_database(place / SHARES_FILE.name, STAMP)[0].close()
        OutboxFile(place / OUTBOX_FILE.name).load()
        for form in DATABASES:
            with closing(sqlite3.connect(place / form.name)) as database:
                found.append(sorted(database.execute("SELECT name, type, pk FROM pragma_table_info('shares')")))
                found.append(database.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall())
    half = len(found) // 2
    assert found[:half] == found[half:]


def test_there_is_a_data_directory_of_the_formats_of_today():
    """If this fails, a format has changed: make one of the next release, python -m tests.data_directories VERSION,
    and keep those that are there."""
    kept = HERE / versions()[-1] / NETWORK
    for form in STATE_FILES:
        assert orjson.loads((kept / form.name).read_bytes())["version"] == form.version, form.name
    for database in DATABASES:
        lines = (kept / f"{database.name}.sql").read_text("utf-8").splitlines()
        assert f"PRAGMA user_version={database.version};" in lines, database.name
    lines = (kept / "history.sqlite.sql").read_text("utf-8").splitlines()
    assert f"INSERT INTO \"facts\" VALUES('schema_version','{SCHEMA_VERSION}');" in lines
    (solution,) = (kept / "solutions").iterdir()
    assert parse_message(SolutionMessage, bytes.fromhex(solution.read_text("ascii"))).schema == SCHEMA


BEFORE_VERSIONS: dict[StateFormat, Callable[[Any], Any]] = {
    BANS_FILE: lambda document: document["bans"],
    DYNAMIC_FILE: lambda document: document["addresses"],
}
"""What files had the content for themselves; others had the same fields, but no version."""


def test_files_from_before_versions_are_read(tmp_path):
    version = versions()[0]
    data = build(version, tmp_path)
    for form in STATE_FILES:
        document = orjson.loads((data / form.name).read_bytes())
        del document["version"]
        plain = BEFORE_VERSIONS.get(form, lambda document: document)(document)
        (data / form.name).write_bytes(orjson.dumps(plain))
    with closing(sqlite3.connect(data / OUTBOX_FILE.name)) as database:
        database.execute("PRAGMA user_version = 0")
    check_state_files(data)
    own, _ = parse_dynamic(json(data, DYNAMIC_FILE), SIMNET)
    assert [each.address for each in own] == expected(version).payout_addresses
    assert _rows(json(data, BANS_FILE))
    for read in (blocks, alerts):
        read(data, expected(version))


def test_garbage_is_quarantined_and_kept(tmp_path):
    version = versions()[-1]
    data = build(version, tmp_path)
    garbage = b"garbage " * 100
    names = [
        *(form.name for form in STATE_FILES),
        *(form.name for form in DATABASES),
        "history.sqlite",
        "node-name",
    ]
    for name in names:
        (data / name).write_bytes(garbage)
    check_state_files(data)
    for form in STATE_FILES:
        assert json(data, form) is None
    open_database(data / SHARES_FILE.name, STAMP)[0].close()
    OutboxFile(data / OUTBOX_FILE.name).load()
    location = parse_database_location("--stats-db", str(data / "history.sqlite"))
    HistoryDatabase(location, node_name(data, make_environment()), STAMP).close()
    kept = {path.name.partition(".damaged")[0]: path.read_bytes() for path in data.glob("*.damaged*")}
    assert kept == dict.fromkeys(names, garbage)
