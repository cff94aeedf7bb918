"""Dash Cores on bad days, with real processes: miners keep the newest work that any healthy daemon has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.daemons import DashProcess, Miner, PoolNode
from tests.e2e.process import wait_for

pytestmark = pytest.mark.e2e

SLACK = 3.0
"""Seconds that a busy machine may add to the two in which another daemon has to serve."""


class Two(NamedTuple):
    """Two daemons that follow one chain, a node that the first one serves, and a miner."""

    first: DashProcess
    second: DashProcess
    node: PoolNode
    miner: Miner

    def serves_from_second(self) -> float:
        """Seconds until the second daemon serves."""
        start = time.monotonic()
        wait_for("switch", lambda: self.node.serving == str(self.second.rpc_port))
        return time.monotonic() - start

    def block_reaches_the_miner(self) -> None:
        """The second daemon has a new block: there is work on it."""
        (block,) = self.second.rpc("simnet_findblock")
        self.miner.wait_for_job_on(block)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    with (
        DashProcess(tmp_path, "a") as a,
        DashProcess(tmp_path, "b", "--connect", a.peer) as b,
    ):
        for daemon in (a, b):
            daemon.ready()
        tip = a.rpc("simnet_findblock", 3)[-1]
        b.wait_for_tip(tip)
        with PoolNode(tmp_path, [a, b]) as node:
            node.ready()
            wait_for("both daemons", lambda: all(d["height"] == 3 for d in node.get("dashd_status")["daemons"]))
            serving = node.serving  # whichever answered first
            with node.miner() as miner:
                yield Two(*((a, b) if serving == str(a.rpc_port) else (b, a)), node, miner)
            for daemon in (a, b):
                if daemon.process.poll() is None:
                    daemon.thaw()
            assert "Traceback" not in node.output
            assert node.interrupt() < 10


def test_killed(two: Two, tmp_path: Path):
    two.first.kill()
    assert two.serves_from_second() < 2 + SLACK
    two.block_reaches_the_miner()
    with DashProcess(tmp_path, two.first.data.name, "--connect", two.second.peer, like=two.first) as again:
        again.ready()
        again.wait_for_tip(two.second.rpc("getbestblockhash"))
        wait_for("no warnings", lambda: not two.node.get("local_stats")["warnings"])
        two.second.kill()
        wait_for("the first to serve", lambda: two.node.serving == str(again.rpc_port))
        (block,) = again.rpc("simnet_findblock")
        two.miner.wait_for_job_on(block)


def test_frozen(two: Two):
    two.first.freeze()
    assert two.serves_from_second() < 2 + SLACK
    two.block_reaches_the_miner()
    two.first.thaw()
    two.first.wait_for_tip(two.second.rpc("getbestblockhash"))
    wait_for("no warnings", lambda: not two.node.get("local_stats")["warnings"])


def test_five_seconds_an_answer(two: Two):
    two.first.rpc("simnet_delay", 5)
    assert two.serves_from_second() < 2 + SLACK
    two.block_reaches_the_miner()


def test_answering_errors(two: Two):
    two.first.rpc("simnet_error", 10_000, "internal")
    assert two.serves_from_second() < 2 + SLACK
    two.block_reaches_the_miner()


def test_up_but_stuck(two: Two):
    two.first.rpc("simnet_freeze_tip", True)
    two.block_reaches_the_miner()
    assert two.serves_from_second() < 2 + SLACK
    line = two.node.wait_for_line("is stuck at height 3", 60)
    assert "others are at 4" in line
    wait_for("warning", lambda: "stuck at height 3" in "".join(two.node.get("local_stats")["warnings"]))


def test_three_blocks_reorganised(two: Two):
    blocks = two.first.rpc("simnet_findblock", 4, 3)
    two.miner.wait_for_job_on(blocks[-1])
    two.second.wait_for_tip(blocks[-1])


def test_warnings_reach_the_page_and_the_log(two: Two):
    two.first.rpc("simnet_warnings", "the disk is nearly full")
    wait_for(
        "dashd's warning",
        lambda: any("the disk is nearly full" in text for text in two.node.get("local_stats")["warnings"]),
    )
    two.node.wait_for_line("warns: the disk is nearly full")


def test_a_restart_with_another_cookie(tmp_path: Path):
    with DashProcess(tmp_path, "dash", cookie=True) as first:
        first.ready()
        with PoolNode(tmp_path, [first]) as node:
            node.ready()
            with node.miner() as miner:
                (block,) = first.rpc("simnet_findblock")
                miner.wait_for_job_on(block)
                before = (first.data / ".cookie").read_text()
                first.kill()
                node.wait_for_line("retrying")
                with DashProcess(tmp_path, "dash", like=first, cookie=True) as second:
                    second.ready()
                    assert (second.data / ".cookie").read_text() != before
                    (block,) = second.rpc("simnet_findblock")
                    miner.wait_for_job_on(block)
                    wait_for("no warnings", lambda: not node.get("local_stats")["warnings"])
                    assert node.interrupt() < 10
            assert "Traceback" not in node.output
