"""Merged mining with real processes: a node, its CPU miner, and the daemons of two other chains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from p2pool.dash.auxpow import find_commitment
from p2pool.dash.transaction import parse_transaction
from p2pool.dashd.aux_submission import MAX_REFUSALS
from p2pool.networks import SIMNET
from p2pool.sharechain.store import ShareDatabase
from p2pool.sharechain.tracker import Tracker
from tests.e2e.process import NodeProcess, Process, free_port, rpc_call, wait_for

pytestmark = pytest.mark.e2e


class AuxDaemonProcess(Process):
    """`python -m p2pool.simnet.aux_daemon` on a port of its own."""

    def __init__(self, directory: Path, chain_id: int, attempts: int, port: int | None = None) -> None:
        self.port = port or free_port()
        self.chain_id = chain_id
        super().__init__(
            [
                *("-m", "p2pool.simnet.aux_daemon", "--rpc-port", str(self.port), "--chain-id", str(chain_id)),
                *("--attempts", str(attempts), "--rpc-user", "me", "--rpc-password", "p@ss"),
            ],
            directory / f"chain{chain_id}-{self.port}.log",
        )

    @property
    def flags(self) -> tuple[str, str]:
        """What the node is told."""
        return "--merged", f"http://me:p%40ss@127.0.0.1:{self.port}"

    def rpc(self, method: str, *params: Any) -> Any:
        """As any RPC user asks."""
        return rpc_call(self.port, ("me", "p@ss"), method, *params)

    @property
    def found(self) -> list[str]:
        """Hashes of the Dash headers whose work made blocks here."""
        return [line.split()[-1] for line in self.output.splitlines() if " found with the work of " in line]


def accepted_blocks(node: NodeProcess) -> list[dict]:
    return [b for b in node.try_get("recent_blocks") or [] if b["detailed_status"] == "accepted"]


def test_blocks_of_three_chains_with_the_same_work(tmp_path):
    with AuxDaemonProcess(tmp_path, 6, 1 << 14) as first, AuxDaemonProcess(tmp_path, 8, 1 << 16) as second:
        for daemon in (first, second):
            daemon.wait_for_line("simulated chain")
        arguments = ("--simnet-miners", "1", "--simnet-block-period", "2", *first.flags, *second.flags)
        with NodeProcess(tmp_path, *arguments, hash_rate=None) as node:
            node.wait_for_line("merged mining of chain 6")
            node.wait_for_line("merged mining of chain 8")
            wait_for("blocks of both chains", lambda: len(first.found) >= 3 and len(second.found) >= 2)
            wait_for("a Dash block", lambda: accepted_blocks(node), 600)  # a million hashes on average
            assert "NOT ACCEPTED" not in node.output
            # Somebody else's block: the work on ours is worthless, and the node goes on with the next one.
            first.rpc("simnet_findblock")
            before = len(first.found)
            wait_for("a block on somebody else's", lambda: len(first.found) > before)
            stats = node.get("local_stats")
            assert stats["warnings"] == []
            assert [(m["chain_id"], m["accepted"] > 0) for m in stats["merged_mining"]] == [(6, True), (8, True)]
            late, others = (m["refused"] for m in stats["merged_mining"])
            assert late <= MAX_REFUSALS  # of the block that had become worthless, until miners had the next job
            assert others == 0
            assert sum(stats["submissions"]["refused"].values()) <= 2
            for block in accepted_blocks(node):
                found = node.rpc("getblock", block["hash"], 2)
                assert found["confirmations"] >= 1
            tip = first.rpc("getblock", first.rpc("getbestblockhash"))
            assert tip["height"] >= 5
            assert tip["parentblock"] == first.found[-1]
            said = node.output  # before the end, which may come while a block is under way
            assert "REJECTED" not in said
            assert all("block hash unknown" in line for line in said.splitlines() if "NOT ACCEPTED" in line)
            assert node.interrupt() < 5
        assert "Traceback" not in node.output
        for daemon in (first, second):
            assert "refused" not in daemon.output
            assert daemon.interrupt() < 5
    check_shares(tmp_path)


def check_shares(directory: Path) -> None:
    """Every share on disk checks, and all but the first few carry the commitment in their coinbase."""
    database = ShareDatabase(directory / "data" / "simnet" / "shares.sqlite")
    tracker = Tracker(SIMNET)
    stored = list(database.read(SIMNET))
    database.close()
    for item in stored:
        tracker.add(item.share, item.time_seen)
    sizes = []
    for item in stored:
        rebuilt = tracker.check(item.share)
        script = parse_transaction(rebuilt.gentx).inputs[0].script
        assert script == item.share.coinbase
        if b"\xfa\xbemm" in script:
            sizes.append(find_commitment(script).size)
    # Chains 6 and 8 differ in the second-last bits of their ids: a tree of 4.
    assert sizes.count(4) >= len(stored) - 3
    assert sizes.count(4) >= 2


def test_a_node_whose_aux_daemons_are_dead_wrong_or_refuse_mines_all_the_same(tmp_path):
    dead = free_port()
    with AuxDaemonProcess(tmp_path, 6, 1 << 14) as there, AuxDaemonProcess(tmp_path, 6, 1 << 14) as twice:
        for daemon in (there, twice):
            daemon.wait_for_line("simulated chain")
        arguments = ("--simnet-miners", "1", "--simnet-block-period", "2")
        wrong = f"http://me:wrong@127.0.0.1:{twice.port}"
        with NodeProcess(
            tmp_path, *arguments, "--merged", f"http://a:b@127.0.0.1:{dead}", "--merged", wrong, *there.flags
        ) as node:
            node.wait_for_line("merged mining of chain 6")
            wait_for("a block of the chain", lambda: there.found)
            wait_for("a Dash block", lambda: accepted_blocks(node))
            warnings = node.get("local_stats")["warnings"]
            assert [w for w in warnings if f":{dead}/" in w]
            assert [w for w in warnings if f":{twice.port}/" in w and "rejects user 'me'" in w]
            assert len(warnings) == 2
            there.process.kill()
            before = len(accepted_blocks(node))
            wait_for("a Dash block without the daemon", lambda: len(accepted_blocks(node)) > before)
            wait_for("a third warning", lambda: len(node.get("local_stats")["warnings"]) == 3)
            assert node.interrupt() < 5
        lines = [line for line in node.output.splitlines() if "merged mining with" in line]
        assert len(lines) == 3
        assert "p@ss" not in node.output
        assert "wrong" not in node.output
        assert "Traceback" not in node.output


def test_a_daemon_s_url_that_makes_no_sense(tmp_path):
    with Process(
        [
            *("run_p2pool.py", "--net", "simnet", "--datadir", str(tmp_path / "data")),
            *("--merged", "http://me:secret@127.0.0.1"),
        ],
        tmp_path / "out",
    ) as process:
        assert process.wait_for_end(60) == 2
        assert process.output.count("\n") == 1
        assert "--merged" in process.output
        assert "secret" not in process.output
