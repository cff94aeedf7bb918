"""The node's name in a database that others may write into, too."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from p2pool.app.history import NODE_NAME_FILE, HistoryAssembly, node_name
from p2pool.history.records import POOL_FIGURES
from p2pool.history.restoring import Restored, RestoredSample
from p2pool.web.view_cache import ViewCache
from tests.app.test_config import MAIN, load
from tests.environment import make_environment
from tests.logged import logged

ENVIRONMENT = make_environment()


def test_a_name_is_chosen_once(tmp_path):
    name = node_name(tmp_path, ENVIRONMENT)
    assert len(name) == 16
    assert node_name(tmp_path, ENVIRONMENT) == name
    assert node_name(tmp_path / "other", ENVIRONMENT) != name


def test_a_file_that_holds_none_is_reported_and_replaced(tmp_path):
    (tmp_path / NODE_NAME_FILE.name).write_bytes(b"\xff\x00 what is this?")
    with logged() as log:
        name = node_name(tmp_path, ENVIRONMENT)
    assert len(log.lines) == 1
    assert "does not hold the name of a node" in log.lines[0]
    assert node_name(tmp_path, ENVIRONMENT) == name


def test_where_it_cannot_be_kept_the_node_goes_on(tmp_path):
    (tmp_path / "file").write_text("")
    with logged() as log:
        assert len(node_name(tmp_path / "file", ENVIRONMENT)) == 16
    assert len(log.lines) == 1
    assert "after a restart" in log.lines[0]


def test_none_is_kept_where_none_is_wanted():
    assert HistoryAssembly(make_environment(), load("-a", MAIN, "--stats-db", "none")).history is None


def test_what_earlier_runs_left_is_put_together_in_a_thread(tmp_path, monkeypatch):
    waiting = []

    def run(function):
        waiting.append((function, Deferred()))
        return waiting[-1][1]

    config = load("-a", MAIN, "--datadir", str(tmp_path), "--stats-node", "here")
    here, memory = HistoryAssembly(make_environment(run_in_daemon_thread=run), config), ViewCache()
    here.start(memory)
    waiting.clear()  # the database is being opened
    left = RestoredSample(990.0, [1.0] * len(POOL_FIGURES), {"rig": 5.0}, {}, {}, {})
    here.history.restored.fire(Restored({10: [left]}, []))
    assert memory.samples.hour.samples() == []
    ((function, result),) = waiting
    result.callback(function())
    (sample,) = memory.samples.hour.samples()
    assert (sample.start, dict(sample.of("worker_hash_rates").items())) == (990.0, {"rig": 5.0})
