"""Two nodes mine across the activation of Dash Core 24; one of the two daemons of the first was not upgraded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.daemons import DashProcess, Miner, PoolNode
from tests.e2e.process import wait_for

pytestmark = pytest.mark.e2e

HEIGHT = 6
PAYLOAD_SIZE = 207
"""Bytes of a coinbase payload of version 4 without a ChainLock."""


def find_block(node: PoolNode, miner: Miner, daemon: DashProcess) -> str:
    """The miner's next share on its newest job is a block, which the daemon takes; its hash."""
    before = daemon.rpc("getbestblockhash")
    miner.wait_for_job_on(before)
    assert miner.mine() is True
    found = wait_for(
        "the block", lambda: next((tip for tip in [daemon.rpc("getbestblockhash")] if tip != before), None)
    )
    wait_for("verdict", lambda: node.block(found).get("detailed_status") == "accepted")
    return str(found)


def test_blocks_before_at_and_after_the_activation(tmp_path: Path):
    rules = ("--rules", f"v24@{HEIGHT}", "--owner-payouts", "8")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        DashProcess(tmp_path, "upgraded", *rules) as new,
        DashProcess(tmp_path, "old", "--connect", new.ready().peer) as old,
    ):
        [*_, tip] = new.rpc("simnet_findblock", HEIGHT - 2)
        old.ready().wait_for_tip(tip)
        with (
            PoolNode(tmp_path / "one", [old, new]) as one,
            PoolNode(tmp_path / "two", [new], "-n", f"127.0.0.1:{one.p2pool_port}") as two,
            one.ready().miner() as miner,
        ):
            _cross(one, miner, new, old)
            two.ready()
            wait_for("one best share", lambda: two.get("web/best_share_hash") == one.get("web/best_share_hash"))
            assert "Traceback" not in one.output + two.output
            assert one.interrupt() < 10
            assert two.interrupt() < 10


def _cross(node: PoolNode, miner: Miner, new: DashProcess, old: DashProcess) -> None:
    from_before = miner.jobs[-1]
    before = find_block(node, miner, new)
    old.wait_for_tip(before)
    at_the_activation = miner.wait_for_job_on(before)
    assert at_the_activation.clean_jobs
    # Work on the block before is still taken, as a share.
    assert miner.mine(from_before) is True
    node.wait_for_line("follows outdated rules")
    while miner.jobs[-1].coinbase_end[-PAYLOAD_SIZE:][:2] != b"\x04\x00":
        miner.read()  # the one that was not upgraded may have been first with the block
    found = [before]
    for index in range(2):
        new.rpc("simnet_special", 9, index)
        new.rpc("simnet_special", 9, index)  # signed again
        found.append(find_block(node, miner, new))
    blocks = [new.rpc("getblock", hash_, 2) for hash_ in found]
    assert [block["height"] for block in blocks] == [HEIGHT - 1, HEIGHT, HEIGHT + 1]
    assert [block["cbTx"]["version"] for block in blocks] == [3, 4, 4]
    payments = [len(block["tx"][0]["vout"]) for block in blocks]
    assert payments[1] - payments[0] >= 7  # eight owners for one
    assert old.rpc("getbestblockhash") == before
    assert "REJECTED by dashd" in node.output
    assert {block["detailed_status"] for block in map(node.block, found)} == {"accepted"}
    assert node.serving == str(new.rpc_port)
    [problem] = [text for text in node.get("local_stats")["warnings"] if "outdated rules" in text]
    assert f":{old.rpc_port}/" in problem
    # A block need not be a share: the share chain is harder by now.
    shares_at_first = 2
    # Each is waited for: what is found on the work before it is dead.
    wait_for("a share", lambda: find_block(node, miner, new) and _shares(node)["total"] > shares_at_first)
    assert _shares(node)["dead"] <= 1  # the one from before


def _shares(node: PoolNode) -> dict[str, int]:
    counts: dict[str, int] = node.get("local_stats")["shares"]
    return counts
