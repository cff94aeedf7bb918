"""A found block reaches a node of the network that none of our daemons is needed for, with real processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.daemons import DashProcess
from tests.e2e.process import NodeProcess, Process, wait_for

pytestmark = pytest.mark.e2e


def blocks_from_pool(daemon: DashProcess) -> int:
    """Bytes of blocks that the pool's node sent it by p2p."""
    return sum(
        peer["bytesrecv_per_msg"].get("block", 0)
        for peer in daemon.rpc("getpeerinfo")
        if peer["subver"].startswith("/p2pool-dash")
    )


def accepted(node: NodeProcess) -> list[Any]:
    return [block for block in node.try_get("recent_blocks") or [] if block["detailed_status"] == "accepted"]


def test_blocks_go_to_our_daemon_and_to_a_node_of_the_network(tmp_path):
    with (
        DashProcess(tmp_path, "other") as other,
        DashProcess(tmp_path, "ours", "--connect", other.peer) as ours,
        NodeProcess(
            *(tmp_path, "--dashd-address", "127.0.0.1"),
            *("--dashd-rpc-port", str(ours.rpc_port), "--dashd-p2p-port", str(ours.p2p_port)),
            *("--dashd-zmq", f"tcp://127.0.0.1:{ours.zmq_port}", "u", "p"),
        ) as node,
    ):
        (peer,) = wait_for(
            "peer", lambda: (node.try_get("broadcaster_status") or {"peers": {}})["peers"].get("active")
        )
        assert (peer["host"], peer["port"]) == ("127.0.0.1", other.p2p_port)
        assert peer["version"] == "/Dash Core:23.1.2/"
        miner = ("-m", "p2pool.simnet.miner", "-o", f"stratum+tcp://127.0.0.1:{node.port}")
        address = wait_for("payout address", lambda: node.try_get("payout_addr"))
        with Process([*miner, "-u", address, "-p", "d=0.00001"], tmp_path / "miner.log"):
            wait_for("accepted block", lambda: accepted(node))
            wait_for("block at the other node", lambda: blocks_from_pool(other))
            wait_for("block at our daemon", lambda: blocks_from_pool(ours))
        assert node.interrupt() < 5
        other.wait_for_tip(ours.rpc("getbestblockhash"))
        assert "Traceback" not in node.output
        remembered = json.loads((tmp_path / "data" / "simnet" / "broadcaster-peers.json").read_text())
        assert ("127.0.0.1", other.p2p_port) in {(peer["host"], peer["port"]) for peer in remembered["peers"]}
        for daemon in (ours, other):
            assert "Traceback" not in daemon.output
