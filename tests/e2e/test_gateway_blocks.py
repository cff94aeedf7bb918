"""A block that a gateway finds ends in the chain, though node and broker are dead: real processes and Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemons import DashProcess, Miner, PoolNode
from tests.e2e.gateway_pool import GatewayProcess
from tests.e2e.process import wait_for
from tests.e2e.redis_server import RedisServer

pytestmark = pytest.mark.e2e


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[DashProcess]:
    with DashProcess(tmp_path, "a") as daemon:
        daemon.ready()
        daemon.rpc("simnet_findblock", 3)
        yield daemon


def start_gateway(directory: Path, broker: str, *arguments: str) -> GatewayProcess:
    """A gateway on one and the same data directory."""
    return GatewayProcess(directory / "gateway", broker, *arguments)


def miner_at(gateway: GatewayProcess) -> Miner:
    """A miner that is logged in and has work; the gateway's daemons answer."""

    def is_ready() -> bool:
        health = gateway.health()
        return health is not None and health["work"] and health["dashd"] is None

    wait_for("the gateway's work", is_ready)
    return Miner(gateway.port).login_as_rig()


def height(dash: DashProcess) -> int:
    return int(dash.rpc("getblockcount"))


def test_node_and_broker_are_dead(tmp_path: Path, dash: DashProcess, redis: RedisServer):
    with PoolNode(tmp_path, [dash], "--broker", redis.url) as node:
        node.ready()
        with start_gateway(tmp_path, redis.url, "--dashd", dash.url) as gateway, miner_at(gateway) as miner:
            before = height(dash)
            assert miner.mine() is True
            wait_for("the first block", lambda: height(dash) == before + 1)  # both sent it
            wait_for("the node's record", lambda: [b for b in node.blocks() if b["detailed_status"] == "accepted"])
            miner.wait_for_job_on(dash.rpc("getbestblockhash"))
            node.kill()
            redis.kill()
            assert miner.mine() is True
            wait_for("the second block", lambda: height(dash) == before + 2)
            assert "Traceback" not in gateway.output


def test_the_gateway_is_killed_before_it_could_send_it(tmp_path: Path, dash: DashProcess, redis: RedisServer):
    with PoolNode(tmp_path, [dash], "--broker", redis.url) as node:
        node.ready()
        with start_gateway(tmp_path, redis.url, "--dashd", dash.url) as gateway, miner_at(gateway) as miner:
            before = height(dash)
            for process in (node, redis, dash):
                process.kill()
            assert miner.mine() is True
            blocks = gateway.directory / "data" / "simnet" / "blocks"
            wait_for("the file", lambda: list(blocks.glob("*.pending")))
            gateway.kill()
        with (
            DashProcess(tmp_path, "a", like=dash) as again,
            start_gateway(tmp_path, redis.url, "--dashd", again.url) as restarted,
        ):
            again.ready()
            wait_for("the block", lambda: height(again) == before + 1)
            assert "Traceback" not in restarted.output


def test_a_gateway_without_a_daemon_polls_none(tmp_path: Path, redis: RedisServer):
    with start_gateway(tmp_path, redis.url) as gateway:
        gateway.wait_for_line("no --dashd: found blocks go to the node")
        assert not (gateway.directory / "data" / "simnet" / "blocks").exists()
        assert "cannot reach" not in gateway.output
