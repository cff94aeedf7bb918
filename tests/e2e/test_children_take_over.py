"""A node with gateways of its own that is replaced while miners submit: no gateway ends before another has its
miners."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.daemons import DashProcess, Miner, PoolNode
from tests.e2e.process import free_port, wait_for
from tests.e2e.redis_server import RedisServer
from tests.e2e.stratum_client import ConnectionEnded, StratumClient
from tests.e2e.test_take_over import SIMNET_ADDRESS, Farm

pytestmark = pytest.mark.e2e

MINERS = 12


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[DashProcess]:
    with DashProcess(tmp_path, "dash", "--initial-attempts", "100000") as process:
        yield process.ready()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


class Pool:
    """Where the nodes of one test are: a data directory, a worker port, a port for browsers."""

    def __init__(self, directory: Path, dash: DashProcess, redis: RedisServer) -> None:
        self.directory, self.dash, self.redis = directory, dash, redis
        self.port, self.web_port = free_port(), free_port()

    def node(self, *arguments: str, gateways: int = 2) -> PoolNode:
        """A node with gateways."""
        return PoolNode(
            self.directory,
            [self.dash],
            *("--broker", self.redis.url, "--gateways", str(gateways), "--min-difficulty", "1e-9"),
            *("--web-port", f"127.0.0.1:{self.web_port}", *arguments),
            port=self.port,
        )

    def connections(self) -> dict[str, int]:
        """The connections of each gateway that answers on the worker port."""
        found: dict[str, int] = {}
        for _ in range(12):
            try:
                answer = requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).json()
            except requests.RequestException:
                continue
            if answer["work"]:
                found[answer["gateway"]] = answer["connections"]
        return found

    def wait_for_gateways(self, count: int) -> None:
        """Until so many gateways have work."""
        wait_for(f"{count} gateways with work", lambda: len(self.connections()) == count)

    def log(self, number: int) -> str:
        """What a gateway has logged."""
        return (self.directory / "data" / "simnet" / "gateways" / str(number) / "log").read_text()


@pytest.fixture
def pool(tmp_path: Path, dash: DashProcess, redis: RedisServer) -> Pool:
    return Pool(tmp_path, dash, redis)


def children(node: PoolNode) -> dict[int, int]:
    """The newest process of each gateway that a node and its successors started."""
    found = re.findall(r"started gateway (\d+) as process (\d+)", node.output)
    return {int(number): int(process) for number, process in found}


def has_taken_over(pool: Pool, count: int, times: int) -> Any:
    """Whether each gateway was replaced so many times; the miners that it took over."""
    taken = [re.findall(r"took over (\d+) miners", pool.log(number)) for number in range(1, count + 1)]
    return [each[-1] for each in taken] if all(len(each) == times for each in taken) else None


def test_miners_do_not_notice_that_the_node_is_replaced_twice(pool):
    with pool.node() as first:
        pool.wait_for_gateways(2)
        with Farm(pool.port, MINERS) as farm:
            assert min(wait_for("miners at both", pool.connections).values()) > 0
            farm.work_on()
            with pool.node("--take-over") as second:
                taken = wait_for("the first take-over", lambda: has_taken_over(pool, 2, 1))
                assert sum(map(int, taken)) == MINERS
                assert first.wait_for_end(60) == 0
                farm.work_on()
                before = children(second)

                second.process.send_signal(signal.SIGUSR2)
                line = second.wait_for_line("serves the miners now")
                (third,) = [int(word) for word in re.findall(r"process (\d+) serves", line)]
                try:
                    wait_for("the second take-over", lambda: has_taken_over(pool, 2, 2))
                    assert second.wait_for_end(60) == 0
                    farm.work_on()
                    farm.check()
                    assert set(children(second).values()).isdisjoint(before.values())
                finally:
                    os.kill(third, signal.SIGTERM)
                wait_for("the end of all", lambda: not any(Path(f"/proc/{each}").exists() for each in (third,)))
        assert sum(rig.refused for rig in farm.rigs) == 0
        assert first.output.count("has ended: another process has its miners") == 2
        assert "killing it" not in first.output + second.output


def test_a_node_that_fails_leaves_the_gateways_of_the_former_one(pool):
    with pool.node() as old:
        pool.wait_for_gateways(2)
        before = children(old)
        with Farm(pool.port, 4) as farm:
            farm.work_on()
            # It takes over, and then cannot listen for other nodes: the port is the dashd's.
            with pool.node("--take-over", "--p2pool-port", f"127.0.0.1:{pool.dash.rpc_port}") as new:
                assert new.wait_for_end(90) == 2
            old.wait_for_line("took over from the former process")
            farm.work_on()
            farm.check()
            assert children(old) == before
            # It watches them again.
            os.kill(before[1], signal.SIGKILL)
            old.wait_for_line("gateway 1 (process")
            wait_for("another process", lambda: children(old)[1] != before[1])
        assert old.interrupt() < 30
        assert not any(Path(f"/proc/{process}").exists() for process in children(old).values())


def test_gateways_that_are_not_needed_any_more_send_their_miners_to_the_others(pool):
    with pool.node(gateways=3) as old:
        pool.wait_for_gateways(3)
        surplus = children(old)[3]
        clients = [StratumClient(pool.port).login(f"{SIMNET_ADDRESS}.{n}+1e-9") for n in range(MINERS)]
        # A solution that no node has stored: this one cannot be read, so that the first gateway names it.
        left = pool.directory / "data" / "simnet" / "gateways" / "3" / "simnet" / "solutions"
        left.mkdir(exist_ok=True)
        (left / f"{'ab' * 32}.solution").write_bytes(b"nonsense")
        with pool.node("--take-over", gateways=2) as new:
            new.wait_for_line("gateway 3 is not needed any more")
            assert old.wait_for_end(60) == 0
            wait_for("the take-over", lambda: has_taken_over(pool, 2, 1))
            assert not Path(f"/proc/{surplus}").exists()
            ended = 0
            for client in clients:
                try:
                    client.mine()
                except ConnectionEnded:
                    ended += 1
                client.close()
            assert 0 < ended < MINERS
            assert "asking miners to reconnect" in pool.log(3)
            assert "gateway 1 sends 1 solutions that gateway 3 left" in new.output
            assert f"{'ab' * 32}.solution is no solution: " in pool.log(1)
        with pool.node("--take-over", gateways=3) as more:
            pool.wait_for_gateways(3)
            assert len(children(more)) == 3


def test_a_block_reaches_the_chain_while_the_node_hangs(tmp_path, redis):
    with DashProcess(tmp_path, "dash") as dash:
        pool = Pool(tmp_path, dash.ready(), redis)
        with pool.node(gateways=1) as node:
            pool.wait_for_gateways(1)
            (child,) = children(node).values()
            assert dash.url not in Path(f"/proc/{child}/cmdline").read_text()
            with Miner(pool.port).login_as_rig() as miner:
                node.process.send_signal(signal.SIGSTOP)
                height = dash.rpc("getblockcount")
                assert miner.mine() is True
                wait_for("the block", lambda: dash.rpc("getblockcount") > height)
                node.process.send_signal(signal.SIGCONT)
                wait_for("the block at the node", lambda: "BLOCK" in node.output)
                wait_for(
                    "the node to store it",
                    lambda: (
                        (requests.get(f"http://127.0.0.1:{pool.port}/healthz", timeout=5).json())[
                            "unsent_solutions"
                        ]
                        == 0
                    ),
                )
