"""/api/v1/history: what the database tells, as JSON and as CSV, and in which ways it does not."""

from __future__ import annotations

import csv
import io

import pytest
from twisted.internet.defer import Deferred, ensureDeferred

from p2pool.history.database import HistoryDatabase, parse_database_location
from p2pool.history.records import POOL_FIGURES, SERIES_FIGURES, HistoryBusy, HistoryProblem
from p2pool.history.restoring import read_restored
from p2pool.pool_stats import EventKind, EventRecord, ShareRecord
from p2pool.web.api import history_question
from p2pool.web.api.endpoint import MAX_QUESTIONS_PER_HOST
from p2pool.web.api.payout_book import income_rows
from p2pool.web.luck import PoolBlock
from p2pool.web.samples import Samples, restored_samples
from tests.logged import logged
from tests.web.busy import ALICE, NOBODY, busy_pool, payee
from tests.web.pages import Pool, take_apart


@pytest.fixture(scope="module")
def busy() -> Pool:
    return busy_pool()


def table_of(answer) -> list[list[str]]:
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.body.decode())))


def test_series_of_the_pool(busy):
    told = busy.ask("/api/v1/history/series?range=hour").json
    assert set(told["figures"]) == set(POOL_FIGURES)
    named = busy.ask("/api/v1/history/series?range=hour&figures=" + ",".join(POOL_FIGURES)).json
    assert named["figures"] == told["figures"]
    assert (told["of"], told["name"], told["step"]) == ("pool", None, 10)
    assert len(told["times"]) == len(told["figures"]["workers"]) == 361
    known = [each for each in told["figures"]["connections"] if each is not None]
    assert len(known) == 8
    assert known[-1] == busy.ask("/api/v1/samples?figure=connections").json["points"][-1][1]


@pytest.mark.parametrize("range_", ["hour", "day", "week", "month", "year", "all"])
@pytest.mark.parametrize("points", [10, 1000])
def test_every_range_shows_what_there_is(busy, range_, points):
    told = busy.ask(f"/api/v1/history/series?range={range_}&points={points}&figures=pool_hash_rate").json
    assert len(told["times"]) <= points + 1
    assert any(told["figures"]["pool_hash_rate"])


def test_series_of_a_worker_and_its_address(busy):
    for of, name in (("worker", f"{ALICE}.rig1"), ("address", ALICE)):
        told = busy.ask(f"/api/v1/history/series?of={of}&name={name}&range=hour").json
        assert set(told["figures"]) == set(SERIES_FIGURES)
        assert sum(each or 0 for each in told["figures"]["accepted"]) == (5 if of == "worker" else 10)
        assert sum(each or 0 for each in told["figures"]["low_difficulty"]) == 1
    rate = busy.ask(f"/api/v1/history/series?of=worker&name={ALICE}.rig1&range=hour&figures=hash_rate").json
    (now,) = [each for each in busy.ask("/api/v1/workers").json["workers"] if each["name"] == f"{ALICE}.rig1"]
    assert [each for each in rate["figures"]["hash_rate"] if each][-1] == pytest.approx(now["hash_rate"])


def test_a_time_of_ones_own(busy):
    end = busy.now
    told = busy.ask(f"/api/v1/history/series?from={end - 45}&to={end - 5.5}&figures=workers").json
    assert (told["from"], told["to"]) == (end - 45, end - 5.5)
    assert [time for time in told["times"] if time >= end - 5.5] == []
    assert busy.ask(f"/api/v1/history/series?to={end + 10**6}&figures=workers").json["to"] <= end


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("series?of=worker", 400, "name_missing"),
        ("series?of=worker&name=nobody", 404, "unknown_name"),
        ("series?of=address&name=" + "x" * 201, 400, "bad_name"),
        ("series?of=coin", 400, "bad_of"),
        ("series?figures=hash_rate", 400, "bad_figures"),
        ("series?figures=workers,;", 400, "bad_figures"),
        ("series?figures=" + ",".join(["memory"] * 33), 400, "bad_figures"),
        ("series?from=5&to=4", 400, "bad_range"),
        ("series?from=99999999999", 400, "bad_range"),
        ("series?from=-1", 400, "bad_from"),
        ("series?to=nan", 400, "bad_to"),
        ("series?to=1e9", 400, "bad_to"),
        ("series?range=decade", 400, "bad_range"),
        ("series?points=5", 400, "bad_points"),
        ("series?node=other", 404, "unknown_node"),
        ("top?of=pool", 400, "bad_of"),
        ("top?limit=1000", 400, "bad_limit"),
        ("blocks?limit=501", 400, "bad_limit"),
        ("events?kind=party", 400, "bad_kind"),
        ("shares.csv?limit=10001", 400, "bad_limit"),
        ("series.csv?of=worker&name=nobody", 404, "unknown_name"),
    ],
)
def test_what_makes_no_sense(busy, query, status, code):
    with logged() as log:
        answer = busy.ask("/api/v1/history/" + query)
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert not log.tracebacks


def test_who_was_strongest(busy):
    rows = busy.ask("/api/v1/history/top?range=hour").json["rows"]
    rates = [row["hash_rate"] for row in rows]
    assert len(rows) == 3
    assert rates == sorted(rates, reverse=True)
    (alice,) = [row for row in rows if row["name"] == f"{ALICE}.rig1"]
    assert (alice["accepted"], alice["refused"], alice["dead"]) == (5, 1, 1)
    assert len(busy.ask("/api/v1/history/top?range=hour&limit=1").json["rows"]) == 1
    assert table_of(busy.ask("/api/v1/history/top.csv?range=hour"))[1][0] == rows[0]["name"]


def test_blocks_shares_and_events(busy):
    blocks = busy.ask("/api/v1/history/blocks").json
    live = busy.ask("/api/v1/blocks").json["blocks"]
    assert blocks["total"] == len(live) == 4
    for was, now in zip(blocks["blocks"], live, strict=True):
        assert {name: was[name] for name in was if name not in ("round", "network_difficulty")} == {
            name: now[name] for name in was if name not in ("round", "network_difficulty")
        }
        if was["round"]["luck"] is not None:
            assert was["round"] == pytest.approx(now["round"])
    assert any(block["round"]["luck"] for block in blocks["blocks"])
    shares = busy.ask(f"/api/v1/history/shares?worker={ALICE}").json
    assert [share["attempts"] for share in shares["shares"]] == [700]
    # Blocks are kept for longer than samples.
    everything = busy.ask("/api/v1/history/blocks?range=all").json
    assert everything["from"] == everything["blocks"][-1]["time"]
    assert everything["from"] < busy.ask("/api/v1/history/series?range=all").json["from"]
    events = busy.ask("/api/v1/history/events?kind=ban").json
    assert [event["details"] for event in events["events"]] == [{"seconds": 5}]
    assert busy.ask("/api/v1/history/events?kind=node_up").json["events"] == []
    assert busy.ask("/api/v1/history/blocks?offset=3&limit=1").json["blocks"] == blocks["blocks"][3:]


def test_what_blocks_paid_an_address(busy):
    told = busy.ask(f"/api/v1/history/payouts/{ALICE}?range=all").json
    assert told["total"] == 1
    (payout,) = told["payouts"]
    assert (payout["amount"]["duffs"], payout["status"], payout["spendable"]) == (1234, "confirmed", True)
    assert (payout["height"], payout["spendable_in"]) == (110, 0)
    assert payout["transaction"] == f"{0x7A:064x}"
    miner = busy.ask(f"/miner_payouts/{payee(busy)}").json
    book = busy.ask(f"/api/v1/history/payouts/{payee(busy)}?range=all").json
    (waiting,) = (each for each in book["payouts"] if each["status"] == "sent")
    assert waiting["amount"]["dash"] in [each["payout"] for each in miner["blocks"]]
    assert (waiting["spendable"], waiting["spendable_in"]) == (False, 100 * busy.node.network.parent.block_period)
    names, row = table_of(busy.ask(f"/api/v1/history/payouts.csv/{ALICE}?range=all"))
    assert dict(zip(names, row, strict=True))["amount"] == "0.00001234"
    assert busy.ask(f"/api/v1/history/payouts/{NOBODY}?range=all").json["total"] == 0
    refused = busy.ask("/api/v1/history/payouts/nonsense")
    assert (refused.status, refused.json["error"]["code"]) == (404, "not_an_address")


def test_income_by_day_and_month(busy):
    told = busy.ask(f"/api/v1/history/income/{ALICE}?range=all").json
    month = busy.ask(f"/api/v1/history/income/{ALICE}?range=all&by=month").json
    assert (told["blocks"], told["amount"]["duffs"], told["maturing"]["duffs"]) == (1, 1234, 0)
    assert [len(told["periods"][0]["period"]), len(month["periods"][0]["period"])] == [10, 7]
    assert told["periods"][0]["period"].startswith(month["periods"][0]["period"])
    names, row = table_of(busy.ask(f"/api/v1/history/income.csv/{ALICE}?range=all"))
    assert (names, row[1:]) == (["period", "blocks", "amount", "maturing"], ["1", "0.00001234", "0.00000000"])


def test_what_was_lost_is_no_income():
    day = 1_796_000_000 // 86400 * 86400
    days = [
        {"day": day, "status": "sent", "blocks": 1, "amount": 5},
        {"day": day, "status": "orphaned", "blocks": 2, "amount": 100},
        {"day": day, "status": "confirmed", "blocks": 3, "amount": 70},
        {"day": day - 86400, "status": "refused", "blocks": 1, "amount": 100},
        {"day": day - 40 * 86400, "status": "confirmed", "blocks": 1, "amount": 1},
    ]
    rows = [tuple(row.values()) for row in income_rows(days, "day")]
    assert rows == [("2026-11-30", 4, 75, 5), ("2026-10-21", 1, 1, 0)]
    assert [row["period"] for row in income_rows(days, "month")] == ["2026-11", "2026-10"]


def test_tables_say_the_same(busy):
    series = busy.ask("/api/v1/history/series?range=hour&figures=workers,connections").json
    names, *rows = table_of(busy.ask("/api/v1/history/series.csv?range=hour&figures=workers,connections"))
    assert names == ["time", "workers", "connections"]
    assert [int(row[0]) for row in rows] == series["times"]
    assert [float(row[1]) if row[1] else None for row in rows] == series["figures"]["workers"]
    names, *rows = table_of(busy.ask("/api/v1/history/blocks.csv"))
    assert names[:4] == ["time", "hash", "height", "share"]
    assert "luck" in names
    assert rows[0][names.index("value")] == "500.00000000"
    names, *rows = table_of(busy.ask("/api/v1/history/events.csv"))
    assert rows[0][names.index("details")] == '{"seconds":5}'


def test_a_name_is_no_formula_in_a_spreadsheet():
    pool = busy_pool(40)
    evil = '=HYPERLINK("http://evil")'
    pool.stats.record_share(ShareRecord(pool.now, 7, evil, False, 1))
    pool.sources.history.record_event(EventRecord(pool.now, EventKind.BAN, "@SUM(1)", '-1+"x",\n'))
    pool.now += 10
    pool.refresh()
    ensureDeferred(pool.sources.history.flush())
    rows = table_of(pool.ask("/api/v1/history/shares.csv"))
    assert [row[2] for row in rows if "HYPERLINK" in row[2]] == ["'" + evil]
    rows = table_of(pool.ask("/api/v1/history/events.csv"))
    assert ["'@SUM(1)", '\'-1+"x",\n'] in [row[2:4] for row in rows]


# --- ways of not answering ------------------------------------------------------------------------------------


def test_where_no_history_is_kept():
    pool = Pool(2)
    pool.refresh()
    answer = pool.ask("/api/v1/history/series")
    assert (answer.status, answer.json["error"]["code"]) == (503, "no_history")
    assert answer.json["error"]["message"] == "no history is kept (--stats-db none)"
    status = pool.ask("/api/v1/history/status").json
    assert status["problem"] == "no history is kept (--stats-db none)"
    assert status["database"] is None


class Slow:
    """A history whose answers come when they are told to."""

    def __init__(self) -> None:
        self.answers: list[Deferred[bytes]] = []

    async def ask(self, question) -> bytes:
        self.answers.append(Deferred())
        return await self.answers[-1]


@pytest.fixture
def slow(busy):
    """A busy pool whose history is slow."""
    real, made = busy.sources.history, Slow()
    object.__setattr__(busy.sources, "history", made)
    yield made
    object.__setattr__(busy.sources, "history", real)


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (HistoryProblem("postgresql://u@10.0.0.7/db: no such user u"), history_question.OUT_OF_ORDER),
        (HistoryBusy("try again in a moment"), "try again in a moment"),
    ],
)
def test_history_that_cannot_be_asked_says_so_and_names_no_host(busy, slow, problem, told):
    protocol, transport = busy.connect()
    protocol.dataReceived(b"GET /api/v1/history/top HTTP/1.1\r\nHost: x\r\n\r\n")
    slow.answers[0].errback(problem)
    answer = take_apart(transport.value())
    assert (answer.status, answer.json["error"]) == (503, {"code": "no_history", "message": told})


def test_an_answer_comes_when_it_is_made(busy, slow):
    protocol, transport = busy.connect()
    protocol.dataReceived(b"GET /api/v1/history/top HTTP/1.1\r\nHost: x\r\n\r\n")
    assert transport.value() == b""
    slow.answers[0].callback(b'{"late": true}')
    answer = take_apart(transport.value())
    assert (answer.status, answer.json, answer.headers["cache-control"]) == (200, {"late": True}, "no-store")


def test_one_host_has_so_many_questions_at_a_time_and_leaves_the_rest_to_others(busy, slow, monkeypatch):
    def asked(host: str):
        monkeypatch.setattr(busy, "host", host)
        protocol, transport = busy.connect()
        protocol.dataReceived(b"GET /api/v1/history/top HTTP/1.1\r\nHost: x\r\n\r\n")
        return transport

    first, *_ = [asked("10.0.0.7") for _ in range(MAX_QUESTIONS_PER_HOST)]
    refused = take_apart(asked("10.0.0.7").value())
    assert (refused.status, refused.json["error"]["code"]) == (503, "no_history")
    assert len(slow.answers) == MAX_QUESTIONS_PER_HOST
    asked("10.0.0.8")
    assert len(slow.answers) == MAX_QUESTIONS_PER_HOST + 1
    for answer in slow.answers:
        answer.callback(b"1")
    assert take_apart(first.value()).status == 200
    assert len(busy.views.context.questions) == 0
    asked("10.0.0.7")
    slow.answers[-1].errback(HistoryProblem("gone"))
    assert len(busy.views.context.questions) == 0


def test_a_head_has_no_body(busy, slow):
    protocol, transport = busy.connect()
    protocol.dataReceived(b"HEAD /api/v1/history/top HTTP/1.1\r\nHost: x\r\n\r\n")
    slow.answers[0].callback(b"12345")
    answer = take_apart(transport.value())
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "5")


def test_a_client_that_went_away_is_no_internal_error(busy, slow):
    from twisted.internet.error import ConnectionLost
    from twisted.python.failure import Failure

    protocol, _ = busy.connect()
    protocol.dataReceived(b"GET /api/v1/history/top HTTP/1.1\r\nHost: x\r\n\r\n")
    protocol.connectionLost(Failure(ConnectionLost()))
    with logged() as log:
        slow.answers[0].callback(b"{}")
    assert not log.tracebacks


def test_an_internal_error_is_logged_and_reported_as_one(busy, slow):
    protocol, transport = busy.connect()
    protocol.dataReceived(b"GET /api/v1/history/series.csv HTTP/1.1\r\nHost: x\r\n\r\n")
    with logged() as log:
        slow.answers[0].errback(ZeroDivisionError("ours"))
    answer = take_apart(transport.value())
    assert (answer.status, answer.json["error"]["code"]) == (500, "internal")
    assert len(log.tracebacks) == 1


def test_a_restart_goes_on_with_graphs_and_luck():
    before = busy_pool()
    known = before.ask("/api/v1/luck").json
    assert known["known_rounds"] >= 2
    ensureDeferred(before.sources.history.stop())
    database = HistoryDatabase(parse_database_location("", f"{before.directory.name}/history.sqlite"), "node", "0")
    restored = read_restored(database, before.now)
    database.close()
    after = Pool(0, None)
    cache = after.sources.cache
    cache.restore(restored_samples(restored.samples), restored.rounds)
    assert len(cache.samples.hour.samples()) >= 8
    assert cache.samples.work_between(before.now - 60, before.now - 20) is not None
    # The shares are gone: the rounds are known all the same.
    blocks = [PoolBlock(each["time"], int(each["hash"], 16), None) for each in reversed(known["rounds"])]
    again = cache.luck.rounds(
        after.tracker, best=None, blocks=blocks, stale=0.0, samples=Samples(), now=before.now
    )
    lucks = [each.luck for each in again.rounds]
    assert [luck for luck in lucks if luck] == [each["luck"] for each in reversed(known["rounds"]) if each["luck"]]
