"""The promise of a pool without an operator: nodes that come, go, are parted and meet again keep one share chain,
and each block pays everybody who worked in it. The tests follow each other on one ring and leave it whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests

from tests.e2e.process import NodeProcess, Process, wait_for
from tests.e2e.swarm import FIRST_HALF, MINERS, NODES, SECOND_HALF, Swarm, miner_address

pytestmark = pytest.mark.e2e
HARD_WORK = 12_000
BLOCKS = 5
SINCE_CUT = 3
"""Shares that each half makes alone at least."""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory) -> Iterator[Swarm]:
    with ExitStack() as stack:
        yield Swarm(tmp_path_factory.mktemp("swarm"), stack)


def peers_of(node: NodeProcess) -> list[int] | None:
    """[incoming, outgoing] connections."""
    stats = node.try_get("local_stats")
    return None if stats is None else [stats["peers"]["incoming"], stats["peers"]["outgoing"]]


def test_all_reach_the_same_best_share(swarm):
    wait_for("closed ring", lambda: all(peers_of(node) == [1, 1] for node in swarm.nodes))
    swarm.wait_agreed("agreement", above=5)
    node = swarm.nodes[0]
    addresses = {miner_address(number) for number in MINERS}
    wait_for("shares of all miners", lambda: addresses <= set(node.get("current_payouts")))
    assert all(address.startswith("127.0.0.1") for address in node.get("peer_addresses").split())
    assert {peer["incoming"] for peer in node.get("peer_list")} == {False, True}


def test_a_killed_node_comes_back(swarm):
    before = swarm.wait_agreed("agreement")
    swarm.kill(2)
    others = (0, 1, 3, 4)
    # The ring is a line now, and its ends still agree on what comes.
    later = swarm.wait_agreed("agreement of the others", others, above=before["held"] + 1)
    swarm.nodes[2] = swarm.start_node(2, "node2-again.log")
    swarm.wait_agreed("agreement with the one that came back", above=later["held"])
    again = {row["hash"] for row in swarm.chain(swarm.nodes[2], swarm.nodes[2].get("web/best_share_hash"))}
    assert {before["best_share"], later["best_share"]} <= again
    wait_for("closed ring", lambda: all(peers_of(node) == [1, 1] for node in swarm.nodes))


def test_two_halves_mine_on_and_become_one(swarm):
    swarm.wait_agreed("agreement")
    for forwarder in swarm.forwarders.values():
        forwarder.cut()
    ends = {0: [0, 1], 2: [1, 0], 3: [0, 1], 4: [1, 0]}
    wait_for("cut", lambda: all(peers_of(swarm.nodes[number]) == counts for number, counts in ends.items()))
    before = blocks_of(swarm, tuple(range(NODES)))
    held = max(state["held"] for state in swarm.states(tuple(range(NODES))))
    # More work on both sides, so that both soon have shares that the other does not know.
    for number in (1, 4):
        swarm.start_miner(number, miner_address(number), HARD_WORK)
    swarm.wait_agreed("first half", FIRST_HALF, held + SINCE_CUT)
    swarm.wait_agreed("second half", SECOND_HALF, held + SINCE_CUT)
    parted = [since_cut(swarm.nodes[half[0]]) for half in (FIRST_HALF, SECOND_HALF)]
    assert not parted[0] & parted[1]
    for half in (FIRST_HALF, SECOND_HALF):
        wait_for("block of each half", lambda half=half: blocks_of(swarm, half) - before)
    check_blocks(swarm)
    for forwarder in swarm.forwarders.values():
        forwarder.heal()
    healed = swarm.wait_agreed("one chain", above=held + SINCE_CUT)
    chains = [swarm.chain(node, healed["best_share"]) for node in swarm.nodes]
    hashes = {row["hash"] for row in chains[0]}
    assert all({row["hash"] for row in chain} == hashes for chain in chains)
    # One half's chain is the pool's now, the other's is not.
    assert [bool(half & hashes) for half in parted].count(True) == 1
    wait_for("closed ring", lambda: all(peers_of(node) == [1, 1] for node in swarm.nodes))


def since_cut(node: NodeProcess) -> set[str]:
    """The newest shares of a half that has made so many."""
    return {row["hash"] for row in node.get(f"web/chain?count={SINCE_CUT}")["shares"]}


def blocks_of(swarm: Swarm, numbers: tuple[int, ...]) -> set[str]:
    """The blocks that these nodes' miners found."""
    return {block["hash"] for number in numbers for block in swarm.nodes[number].get("recent_blocks")}


def test_a_fresh_node_downloads_everything(swarm):
    before = swarm.wait_agreed("agreement")
    fresh = swarm.start_at(NODES, swarm.peer_ports[0], "fresh.log")

    def same_chain() -> list[dict] | None:
        best = fresh.try_get("web/best_share_hash")
        if best is None or best != swarm.nodes[0].get("web/best_share_hash"):
            return None
        rows = swarm.chain(fresh, best)
        complete = rows == swarm.chain(swarm.nodes[0], best) and all(row["verified"] for row in rows)
        return rows if complete else None

    rows = wait_for("the pool's chain on the fresh node", same_chain)
    assert len(rows) >= before["held"]
    in_chain = {row["hash"] for row in rows}
    for block_hash in swarm.block_hashes() & in_chain:
        check_block(swarm, fresh, block_hash)
    assert fresh.interrupt() < 5


def test_every_block_pays_all_who_worked(swarm):
    everybody = {miner_address(number) for number in MINERS}

    def enough() -> bool:
        check_blocks(swarm)
        return len(swarm.paid) >= BLOCKS and any(everybody <= set(amounts) for amounts in swarm.paid.values())

    wait_for("blocks, one of them to all", enough)
    for node in swarm.nodes:
        assert node.get("local_stats")["warnings"] == []
        assert "Traceback" not in node.output
        assert " rejected: " not in node.output
        assert "banned" not in node.output


def test_all_stop_in_time(swarm):
    for node in swarm.nodes:
        assert node.interrupt() < 5


def test_the_command_shows_nodes_that_agree_and_ends_all_of_them(tmp_path):
    arguments = ["-m", "p2pool.simnet.swarm", "--nodes", "2", "--max-hash-rate", "3000"]
    with Process([*arguments, "--datadir", str(tmp_path / "data")], tmp_path / "swarm.log") as command:
        command.wait_for_line("all 2 on the same best share")
        pages = set(re.findall(r"http://127\.0\.0\.1:[0-9]+/", command.output))
        assert len(pages) == 2
        assert all(requests.get(page, timeout=10).ok for page in pages)
        assert command.interrupt() < 5
    for page in pages:
        with pytest.raises(requests.ConnectionError):
            requests.get(page, timeout=10)
    logs = list((tmp_path / "data").glob("node*/output.log"))
    assert len(logs) == 2
    assert all("Traceback" not in log.read_text("utf-8") for log in logs)


# --- blocks ---------------------------------------------------------------------------------------------------


def check_blocks(swarm: Swarm) -> None:
    """Check all blocks that were not checked yet."""
    for block_hash in swarm.block_hashes() - set(swarm.paid) - blocks_without_share(swarm):
        swarm.paid[block_hash] = check_block(swarm, holder_of(swarm, block_hash), block_hash)


def blocks_without_share(swarm: Swarm) -> set[str]:
    """Blocks that were too easy for a share, as their finders say: only Dash Core has them."""
    return {b["hash"] for node in swarm.nodes for b in node.get("recent_blocks") if b["share"] is None}


def holder_of(swarm: Swarm, block_hash: str) -> NodeProcess:
    """A node that has the block's share: after a cut perhaps those of one half only. There must be one."""
    return wait_for(
        f"node with block {block_hash}",
        lambda: next((node for node in swarm.nodes if node.try_get(f"web/share/{block_hash}")), None),
        10,
    )


def check_block(swarm: Swarm, node: NodeProcess, block_hash: str) -> dict[str, int]:
    """One block against its share, and against the payout addresses in the chain below it. Returns what it pays,
    in duffs by address."""
    share = node.get(f"web/share/{block_hash}")
    coinbase = swarm.rpc("getblock", block_hash, 2)["tx"][0]
    assert share["block"]["gentx"]["hash"] == coinbase["txid"]
    assert share["block"]["gentx"]["raw"] == coinbase["hex"]
    amounts: dict[str, int] = {}
    for output in coinbase["vout"]:
        address = output["scriptPubKey"].get("address")
        if address is not None:
            amounts[address] = amounts.get(address, 0) + output["valueSat"]
    # The window begins at the share's grandparent; the share itself is paid as the block's finder.
    below = [] if share["parent"] in (None, "None") else swarm.chain(node, share["parent"])[1:]
    worked = {row["payout_address"] for row in below} | {share["share_data"]["payout_address"]}
    assert {address for address in worked if not amounts.get(address)} == set(), (block_hash, amounts)
    return amounts
