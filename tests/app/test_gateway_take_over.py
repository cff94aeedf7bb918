"""The composition root of a gateway, as far as it needs no sockets."""

from __future__ import annotations

from dataclasses import replace

from p2pool.app.config import load_config
from p2pool.app.gateway import GatewayApp
from p2pool.app.handover import HandedOver, HandoverRecord
from p2pool.stratum.handover_export import export_miners
from tests.environment import make_environment
from tests.stratum.miner import NOW, Miner


def test_transactions_of_work_that_miners_still_have_are_fetched_those_of_the_newest_first(tmp_path, monkeypatch):
    """What is requested last is fetched first."""
    app = GatewayApp(load_config(["--net", "simnet", "--broker", "redis://h"], tmp_path, {}), make_environment())
    asked: list[bytes] = []
    monkeypatch.setattr(app.work.transactions, "request", lambda previous_block, key: asked.append(key))
    miner = Miner()
    miner.login()
    record = export_miners(miner.context, [(miner.session, "10.0.0.1", b"", b"")], NOW)
    (context,) = record.jobs.contexts
    contexts = (
        replace(context, created=2.0, transactions_key=b"newer"),
        replace(context, created=1.0, transactions_key=b"older"),
    )
    record = replace(record, jobs=replace(record.jobs, contexts=contexts))
    app.fetch_transactions(HandedOver(HandoverRecord(NOW, (), (), record), (object(),)))
    assert asked == [b"older", b"newer"]
