"""History in a real PostgreSQL: everything that SQLite does, nodes that share it, and a server that goes away
while a node mines. Skipped where PostgreSQL's server is not installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from p2pool.history.database import HistoryDatabase, parse_database_location
from p2pool.history.records import HistoryProblem
from tests.e2e.postgresql import Server, postgresql_server
from tests.e2e.process import NodeProcess, wait_for
from tests.history import scenarios
from tests.history.scenarios import Open

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql_server() as running:
        yield running


@pytest.fixture
def open_database(server, request) -> Iterator[Open]:
    url = server.create(request.node.name[:60])
    opened: list[HistoryDatabase] = []

    def open_it(name: str = "node") -> HistoryDatabase:
        opened.append(HistoryDatabase(parse_database_location("--stats-db", url), name, "0"))
        return opened[-1]

    yield open_it
    for database in opened:
        database.close()


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda each: each.__name__)
def test_on_postgresql(open_database, scenario):
    scenario(open_database)


def test_no_such_server_or_database(server):
    for url in (server.url("nowhere"), "postgresql://p2pool@127.0.0.1:1/x"):
        with pytest.raises(HistoryProblem, match="postgresql"):
            HistoryDatabase(parse_database_location("--stats-db", url), "node", "0")


def test_a_server_that_goes_away_costs_history_and_never_mining(server, tmp_path):
    url = server.create("mining")
    arguments = ("--stats-db", url, "--stats-node", "here", "--simnet-miners", "1", "--simnet-block-period", "5")

    def points(node: NodeProcess) -> int:
        told = node.try_get("api/v1/history/series?range=hour&figures=workers&node=here")
        return 0 if told is None else sum(each is not None for each in told["figures"]["workers"])

    with NodeProcess(tmp_path, *arguments) as node:
        wait_for("points", lambda: points(node) >= 2)
        server.stop()
        before = node.get("local_stats")["shares"]["total"]
        node.wait_for_line("cannot write history")
        wait_for("shares without a database", lambda: node.get("local_stats")["shares"]["total"] > before)
        wait_for("the problem on pages", lambda: node.get("api/v1/history/status")["problem"])
        server.start()
        node.wait_for_line("history is written again")
        wait_for("points from before and after", lambda: points(node) >= 6)
        assert "Traceback" not in node.output
        node.interrupt()
    with NodeProcess(tmp_path, *arguments, log="again.log") as node:
        wait_for("what the first run wrote", lambda: points(node) >= 6)
        node.interrupt()
