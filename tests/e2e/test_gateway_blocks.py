"""A block that a gateway finds ends in the chain, though node and broker are dead: real processes and Redis."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.e2e.daemons import DashProcess, Miner, PoolNode
from tests.e2e.process import Process, free_port, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server"),
]


class Gateway(Process):
    """A gateway on a data directory of its own."""

    def __init__(self, directory: Path, broker: str, *arguments: str) -> None:
        self.port = free_port()
        self.data = directory / "gateway"
        number = len(list(directory.glob("gateway-*.log")))
        super().__init__(
            [
                *("run_p2pool.py", "gateway", "--net", "simnet", "--datadir", str(self.data)),
                *("-w", f"127.0.0.1:{self.port}", "--broker", broker, *arguments),
            ],
            directory / f"gateway-{number}.log",
        )

    def _has_work(self) -> bool:
        try:
            health = requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).json()
        except requests.RequestException:
            return False
        return health["work"] is True and health["dashd"] is None

    def miner(self) -> Miner:
        """A miner that is logged in and has work."""
        wait_for("the gateway's work", self._has_work)
        return Miner(self.port).login_as_rig()

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.wait()


@contextmanager
def redis_server(directory: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server that keeps nothing on disk, and its URL."""
    port = free_port()
    with open(directory / "redis.log", "wb") as log:
        process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)],
            stdout=log,
        )
    try:
        wait_for("redis", lambda: b"Ready to accept" in (directory / "redis.log").read_bytes())
        yield f"redis://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[DashProcess]:
    with DashProcess(tmp_path, "a") as daemon:
        daemon.ready()
        daemon.rpc("simnet_findblock", 3)
        yield daemon


def height(dash: DashProcess) -> int:
    return int(dash.rpc("getblockcount"))


def test_node_and_broker_are_dead(tmp_path: Path, dash: DashProcess):
    with redis_server(tmp_path) as (broker, redis), PoolNode(tmp_path, [dash], "--broker", broker) as node:
        node.ready()
        with Gateway(tmp_path, broker, "--dashd", dash.url) as gateway, gateway.miner() as miner:
            before = height(dash)
            assert miner.mine() is True
            wait_for("the first block", lambda: height(dash) == before + 1)  # both sent it
            wait_for("the node's record", lambda: [b for b in node.blocks() if b["detailed_status"] == "accepted"])
            miner.wait_for_job_on(dash.rpc("getbestblockhash"))
            node.process.kill()
            node.process.wait()
            redis.kill()
            redis.wait()
            assert miner.mine() is True
            wait_for("the second block", lambda: height(dash) == before + 2)
            assert "Traceback" not in gateway.output


def test_the_gateway_is_killed_before_it_could_send_it(tmp_path: Path, dash: DashProcess):
    with redis_server(tmp_path) as (broker, redis), PoolNode(tmp_path, [dash], "--broker", broker) as node:
        node.ready()
        with Gateway(tmp_path, broker, "--dashd", dash.url) as gateway, gateway.miner() as miner:
            before = height(dash)
            for process in (node.process, redis):
                process.kill()
                process.wait()
            dash.kill()
            assert miner.mine() is True
            blocks = gateway.data / "simnet" / "blocks"
            wait_for("the file", lambda: list(blocks.glob("*.pending")))
            gateway.kill()
        with (
            DashProcess(tmp_path, "a", like=dash) as again,
            Gateway(tmp_path, broker, "--dashd", again.url) as restarted,
        ):
            again.ready()
            wait_for("the block", lambda: height(again) == before + 1)
            assert "Traceback" not in restarted.output


def test_a_gateway_without_a_daemon_polls_none(tmp_path: Path, dash: DashProcess):
    with redis_server(tmp_path) as (broker, _), Gateway(tmp_path, broker) as gateway:
        gateway.wait_for_line("no --dashd: found blocks go to the node")
        assert not (gateway.data / "simnet" / "blocks").exists()
        assert "cannot reach" not in gateway.output
