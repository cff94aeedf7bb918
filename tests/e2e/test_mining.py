"""The promise of `make run`: one process mines shares and blocks, pays everybody, stops, and goes on later."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pool.app.config import SIMNET_ADDRESS
from p2pool.dash.address import encode_address, payee_script
from p2pool.dash.transaction import Transaction, parse_transaction
from p2pool.networks import SIMNET
from p2pool.share.payouts import DONATION_SCRIPT
from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain.store import ShareDatabase
from p2pool.sharechain.tracker import Tracker
from tests.e2e.process import NodeProcess, Process, wait_for

pytestmark = pytest.mark.e2e
MINER_ADDRESS = encode_address(SIMNET.parent.addresses.pubkey_hash, b"\x42" * 20)


def accepted_blocks(node: NodeProcess) -> list[dict]:
    return [b for b in node.try_get("recent_blocks") or [] if b["detailed_status"] == "accepted"]


def test_mine_stop_and_go_on(tmp_path):
    with NodeProcess(tmp_path, "--simnet-miners", "1", "--simnet-block-period", "2") as node:
        node.wait_for_line("miners (X11) connect to stratum+tcp://")
        wait_for("share", lambda: node.try_get("recent_shares"))
        # any stratum miner can be pointed at it, and is paid
        with Process(
            [
                *("-m", "p2pool.simnet.miner", "-o", f"stratum+tcp://127.0.0.1:{node.port}"),
                *("-u", f"{MINER_ADDRESS}.other", "-p", "d=0.00001"),
            ],
            tmp_path / "miner.log",
        ) as miner:
            wait_for("two blocks", lambda: len(accepted_blocks(node)) >= 2)
            wait_for("payout", lambda: MINER_ADDRESS in node.get("current_payouts"))
            assert miner.interrupt() < 5
        stopped = check_running_node(node)
        assert node.interrupt() < 5
    check_store(tmp_path, stopped)
    with NodeProcess(tmp_path, "--simnet-miners", "0", "--simnet-block-period", "2", log="again.log") as node:
        wait_for("work", lambda: (node.try_get("global_stats") or {}).get("block_height"))
        stats = wait_for(
            "shares", lambda: node.get("global_stats") if node.get("global_stats")["shares_held"] else 0
        )
        assert stats["block_height"] >= stopped["height"]
        assert stats["shares_held"] >= stopped["shares"]
        for block in stopped["blocks"]:
            assert node.rpc("getblock", block["hash"])["confirmations"] >= 1
            assert node.get(f"web/share/{block['share']}")["local"]["verified"]
        assert node.interrupt() < 5


def check_running_node(node: NodeProcess) -> dict:
    """The simulated chain holds the blocks, and their coinbases pay what the share chain says."""
    blocks = [b for b in accepted_blocks(node) if b["share"] is not None]
    assert blocks
    for block in blocks:
        found = node.rpc("getblock", block["hash"], 2)
        assert found["height"] == block["number"]
        details = node.get(f"web/share/{block['share']}")
        gentx = parse_transaction(bytes.fromhex(details["block"]["gentx"]["raw"]))
        coinbase = found["tx"][0]
        assert f"{gentx.hash:064x}" == coinbase["txid"]
        assert [o["valueSat"] for o in coinbase["vout"]] == [o.value for o in gentx.outputs]
        assert any(o["scriptPubKey"]["hex"] == "6a" for o in coinbase["vout"])  # the platform's part
    wait_for("the other miner to be gone", lambda: node.get("local_stats")["connections"] == 1, 10)
    stats = node.get("local_stats")
    assert stats["warnings"] == []
    assert sum(stats["submissions"]["refused"].values()) <= 2
    return {
        "height": node.get("global_stats")["block_height"],
        "shares": node.get("global_stats")["shares_held"],
        "blocks": blocks,
    }


def check_store(directory: Path, stopped: dict) -> None:
    """Every share is on disk, checks, and pays what a sum over the chain, done here, says."""
    database = ShareDatabase(directory / "data" / "simnet" / "shares.sqlite")
    tracker = Tracker(SIMNET)
    stored = list(database.read(SIMNET))
    database.close()
    assert len(stored) >= stopped["shares"]
    for item in stored:
        tracker.add(item.share, item.time_seen)
    for item in stored:
        rebuilt = tracker.check(item.share)
        assert_pays_the_chain(tracker, item.share, parse_transaction(rebuilt.gentx))


def assert_pays_the_chain(tracker: Tracker, share, gentx: Transaction) -> None:
    """The share-chain format's payouts, straight from its text (no limit of length cuts these short chains)."""
    versions = SIMNET.parent.addresses
    weights: dict[bytes, int] = {}
    total = 0
    before = list(tracker.ancestors(share.previous_hash, 10_000))[1:]
    limit = WEIGHT_UNIT * SIMNET.spread * (2**256 // (share.block_target + 1))
    for ancestor in before:
        attempts = min(ancestor.attempts, (limit - total) // WEIGHT_UNIT)
        weight = attempts * (WEIGHT_UNIT - ancestor.donation)
        if weight:
            weights[ancestor.script] = weights.get(ancestor.script, 0) + weight
        total = min(total + ancestor.attempts * WEIGHT_UNIT, limit)
    paid = [(payee_script(p, versions), a) for p, a in share.payments]
    payout = share.subsidy - sum(a for _, a in paid)
    amounts = {s: payout * 49 * w // (50 * total) for s, w in weights.items()} if total else {}
    amounts[share.script] = amounts.get(share.script, 0) + payout // 50
    expected = [(s, amounts[s]) for s in sorted(amounts) if amounts[s]] + paid
    expected.append((DONATION_SCRIPT, payout - sum(amounts.values())))
    assert [(o.script, o.value) for o in gentx.outputs[:-1]] == expected
    assert gentx.outputs[-1].value == 0


def test_a_second_node_can_mine_on_the_same_simulated_dash(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with NodeProcess(tmp_path / "one", "--simnet-miners", "0") as first:
        first.wait_for_line("dashd at")
        (cookie,) = (tmp_path / "one").glob("data/simnet/simulated-dash*/.cookie")
        user, _, password = cookie.read_text().partition(":")
        arguments = ("-a", SIMNET_ADDRESS, "--dashd-address", "127.0.0.1")
        second = Process(
            [
                *("run_p2pool.py", "--net", "simnet", "--datadir", str(tmp_path / "two"), "-w", "127.0.0.1:0"),
                *arguments,
                *("--dashd-rpc-port", str(first.rpc_port), user, password),
            ],
            tmp_path / "two.log",
        )
        with second:
            second.wait_for_line("on chain regtest, height 0")
            assert second.interrupt() < 5
