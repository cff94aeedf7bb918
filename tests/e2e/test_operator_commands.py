"""Commands for operators beside a node that runs: status, and a backup from which another node goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from p2pool.app.config import SIMNET_ADDRESS
from tests.e2e.forked_command import Result, run_command
from tests.e2e.process import NodeProcess, wait_for

pytestmark = pytest.mark.e2e
ENOUGH_SHARES = 3


def command(node: NodeProcess, *words: str) -> Result:
    """Run a command with the settings of a node."""
    flags = ("--net", "simnet", "--datadir", str(node.directory / "data"), "-w", f"127.0.0.1:{node.port}")
    return run_command([*words, *flags], node.directory, {"HOME": str(node.directory), "PATH": os.environ["PATH"]})


def directory(path: Path) -> Path:
    """Make a directory."""
    path.mkdir()
    return path


def test_status_backup_and_restore(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with NodeProcess(directory(tmp_path / "first")) as first:
        height = wait_for("shares", lambda: enough_shares(first))
        shown = command(first, "status")
        assert shown.status == 0, shown.errors
        assert "on simnet, up" in shown.output
        assert "height" in shown.output
        views = json.loads(command(first, "status", "--json").output)
        assert views["pool"]["share_chain_height"] >= height
        best = views["pool"]["best_share"]
        told = command(first, "explain", best)
        assert told.output.startswith(f"share {best}\n"), told.errors
        assert command(first, "explain", SIMNET_ADDRESS).output.startswith(f"address {SIMNET_ADDRESS}\n")
        made = command(first, "backup", str(saved))
        assert made.status == 0, made.errors
        refused = command(first, "restore", str(saved))
        assert refused.status == 2
        assert f"in use by process {first.process.pid}" in refused.errors
        former = directory(tmp_path / "second") / "data" / "simnet" / "peers.json"
        former.parent.mkdir(parents=True)
        former.write_text("{}")
        flags = ("--net", "simnet", "--datadir", str(tmp_path / "second" / "data"))
        assert "--replace" in run_command(["restore", str(saved), *flags], tmp_path, {}).errors
        done = run_command(["restore", str(saved), "--replace", *flags], tmp_path, {})
        assert done.status == 0, done.errors
        with NodeProcess(tmp_path / "second", "--simnet-miners", "0") as second:
            wait_for("the stored shares", lambda: enough_shares(second))
            pool = second.get("api/v1/pool")
            assert pool["share_chain_height"] >= height
            # The same chain: the first node has the best share of the second one in its own.
            assert first.get(f"api/v1/shares/{pool['best_share']}")["hash"] == pool["best_share"]
            assert second.get("api/v1/node")["shares"]["total"] >= height
            second.interrupt()
        first.interrupt()
    gone = command(first, "status")
    assert gone.status == 1
    assert "no node answers" in gone.errors


def enough_shares(node: NodeProcess) -> int:
    """The number of shares in the chain once they are enough; else 0."""
    pool = node.try_get("api/v1/pool")
    height = 0 if pool is None else pool["share_chain_height"]
    return height if height >= ENOUGH_SHARES else 0
