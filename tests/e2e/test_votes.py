"""Rehearsal of votes with real processes: on a chain whose work votes mostly for version 36, shares of this node
vote 16, other nodes accept all of them, and API, metrics and log say what is going on."""

from __future__ import annotations

import pytest
import requests

from p2pool.dash.address import encode_address
from p2pool.networks import DASH_REGTEST
from tests.e2e.process import NodeProcess, wait_for
from tests.e2e.stratum_client import StratumClient
from tests.e2e.votes import votes, voting_nodes

pytestmark = pytest.mark.e2e
MINER = encode_address(DASH_REGTEST.parent.addresses.pubkey_hash, b"\x07" * 20)
TRANSITION = "api/v1/transition"


def metric(node: NodeProcess, name: str) -> float | None:
    """The value of a sample, by its name with labels."""
    text = requests.get(f"http://127.0.0.1:{node.port}/metrics", timeout=10).text
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(values[0]) if values else None


def test_a_chain_that_votes_36(tmp_path):
    with voting_nodes(tmp_path, lambda number: 16 if number % 25 == 0 else 36, 2) as nodes:  # 96 %
        first, second = nodes
        told = first.get(TRANSITION)
        assert told["votes"]["parent"] == 36
        assert told["votes"]["chain"]["newer_work"] == 0.96
        assert told["votes"]["window"]["wanted"] == told["votes"]["window"]["shares"] == 10
        assert [level["chain"] for level in told["votes"]["levels"]] == [True] * 5
        assert told["next"]["own_shares_refused"] is True
        assert told["next"]["own_share_now"] is not None
        # The other node has verified each share by itself, and counts the same.
        assert second.get(TRANSITION)["votes"]["chain"] == told["votes"]["chain"]
        for node in (first, second):
            (warning,) = [text for text in node.get("api/v1/node")["warnings"] if text.startswith("votes: ")]
            assert "c2pool-dash rejects this node's shares, which vote for 16" in warning
            assert metric(node, 'p2pool_newer_votes_ratio{span="chain"}') == 0.96
            assert metric(node, "p2pool_own_votes_refused") == 1
        # A share of ours votes 16 nevertheless, and the other node accepts it.
        best = first.get("api/v1/pool")["best_share"]
        with StratumClient(first.port) as miner:
            miner.subscribe()
            miner.login(MINER)
            assert miner.mine() is True
        wait_for("a new share", lambda: all(node.get("api/v1/pool")["best_share"] != best for node in nodes))
        wait_for("its vote", lambda: all(votes(node)["parent"] == 16 for node in nodes))
        own = first.get(TRANSITION)
        assert (own["votes"]["own"], own["next"]["own_share_now"]) == (16, None)
        first.wait_for_line("% of the share chain's work votes for share version 36")
