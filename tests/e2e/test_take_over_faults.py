"""A take-over in which a process dies, or that two processes try at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pool.app.config import SIMNET_ADDRESS
from tests.e2e.daemons import DashProcess, PoolNode
from tests.e2e.gateway_pool import GatewayProcess
from tests.e2e.process import free_port, wait_for
from tests.e2e.redis_server import RedisServer
from tests.e2e.stratum_client import StratumClient
from tests.e2e.test_take_over import EASY, Farm, replace
from tests.support import ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[DashProcess]:
    with DashProcess(tmp_path, "dash", "--initial-attempts", "100000") as process:
        yield process.ready()


def test_of_two_at_once_one_takes_over(tmp_path, dash):
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        with (
            Farm(old.port, 5) as farm,
            replace(tmp_path, dash, old) as first,
            replace(tmp_path, dash, old) as second,
        ):
            assert old.wait_for_end() == 0
            both = [first, second]
            wait_for("end of one", lambda: any(node.process.poll() is not None for node in both))
            (loser,) = [node for node in both if node.process.poll() is not None]
            (winner,) = [node for node in both if node is not loser]
            if loser.process.returncode == 0:  # the other one began so late that it took over from this one
                assert "took over 5 miners" in loser.output
                assert f"process {winner.process.pid} serves the miners now" in loser.output
            else:
                assert loser.process.returncode == 2
                assert f"is in use by process {winner.process.pid}" in loser.output
            assert "took over 5 miners" in winner.output
            farm.work_on()


def test_an_old_process_that_dies_before_it_handed_over_is_replaced_as_usual(tmp_path, dash):
    dying = ("-m", "tests.e2e.dying_handover", "before")
    with PoolNode(tmp_path, [dash], *EASY, program=dying) as old:
        old.ready()
        with (
            StratumClient(old.port).login(f"{SIMNET_ADDRESS}.a+1e-9") as miner,
            replace(tmp_path, dash, old) as new,
        ):
            miner.wait_for_the_end()
            new.wait_for_line("starting as usual")
            new.ready()
            with StratumClient(new.port).login(miner.username) as back:
                assert back.mine() is True
            assert "Traceback" not in new.output


def test_an_old_process_that_dies_after_it_handed_over_leaves_the_miners_to_the_new_one(tmp_path, dash):
    dying = ("-m", "tests.e2e.dying_handover", "after")
    with PoolNode(tmp_path, [dash], *EASY, program=dying) as old:
        old.ready()
        with Farm(old.port, 5) as farm, replace(tmp_path, dash, old) as new:
            new.wait_for_line("took over 5 miners")
            assert old.wait_for_end() == -9
            farm.work_on()


def test_without_dash_core_the_old_process_is_not_asked(tmp_path, dash):
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        wrong = ("--dashd", f"http://u:p@127.0.0.1:{free_port()}/")
        with Farm(old.port, 2) as farm, PoolNode(tmp_path, [], "--take-over", *EASY, *wrong, port=old.port) as new:
            assert new.wait_for_end() == 1
            assert "no Dash Core answers" in new.output
            assert "Traceback" not in new.output
            farm.work_on()
        assert "takes over" not in old.output


def test_a_socket_that_a_killed_process_left_is_no_process(tmp_path, dash):
    with PoolNode(tmp_path, [dash], *EASY) as killed:
        killed.ready()
    assert (tmp_path / "data" / "simnet" / "take-over").exists()
    with PoolNode(tmp_path, [dash], "--take-over", *EASY) as new:
        new.wait_for_line("no process to take over from; starting as usual")
        new.ready()
        with StratumClient(new.port).login(f"{SIMNET_ADDRESS}.a+1e-9") as miner:
            assert miner.mine() is True


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_without_a_broker_the_old_gateway_is_not_asked(tmp_path, dash):
    with (
        RedisServer(tmp_path / "redis") as redis,
        PoolNode(tmp_path, [dash], "--broker", redis.url, *EASY) as node,
        GatewayProcess(tmp_path / "gateway", redis.url, *EASY) as old,
    ):
        node.ready()
        wait_for("work of the gateway", old.has_work)
        with Farm(old.port, 2) as farm:
            farm.work_on()
            redis.kill()
            flags = (*EASY, "--take-over")
            with GatewayProcess(tmp_path / "gateway", redis.url, *flags, port=old.port) as new:
                assert new.wait_for_end() == 1
                assert "the broker does not answer" in new.output
                assert "Traceback" not in new.output
            farm.work_on()
        assert "takes over" not in old.output


def test_too_few_file_descriptors_leave_the_miners_to_the_old_process():
    """In a process of its own, since it lowers the limit for all."""
    code = """
import os, resource, socket, threading
from p2pool.base.errors import ParseError
from p2pool.base.handover_socket import HandoverSocket
left, right = socket.socketpair()
mine, theirs = HandoverSocket(left), HandoverSocket(right)
mine.set_deadline(10); theirs.set_deadline(10)
sockets = [socket.socket() for _ in range(300)]
used = max(each.fileno() for each in sockets)
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50, used + 50))
sender = threading.Thread(target=mine.send_sockets, args=(sockets,))
sender.start()
try:
    theirs.receive_sockets(300)
except ParseError as error:
    print(error)
sender.join()
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50, used + 50))
print(len([os.dup(0) for _ in range(45)]))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    said, free = run.stdout.splitlines()
    assert "raise the limit with ulimit -n" in said
    assert free == "45", "what came is closed again"
