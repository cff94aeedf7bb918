"""Equal labels mean equal values: what each figure of the pages shows, by its label and the field of the API."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pool.web.openapi import document
from tests.support import make_template
from tests.web.pages import Pool

PAGES = Path(__file__).parents[2] / "web-static"
NODE, MINER = "node", "miner"
"""Whom a page is about: the same label means the same on all pages of one subject."""
ABOUT = {"worker": MINER, "payoutbook": MINER}
FIELDS: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    # (subject, label): (field, {page: id of the element})
    (NODE, "Accepted submissions"): ("api/v1/stratum accepted", {"index": "h-accepted"}),
    (NODE, "Addresses paid"): ("api/v1/coinbase outputs", {"payouts": "f-payees"}),
    (NODE, "Banned hosts"): ("api/v1/stratum banned_hosts", {"stratum": "f-banned"}),
    (NODE, "Best share"): ("api/v1/pool best_share", {"chain": "f-best"}),
    (NODE, "Best share votes for"): ("api/v1/transition votes", {"transition": "f-parent"}),
    (NODE, "Block height"): ("api/v1/pool block_height", {"index": "f-height"}),
    (NODE, "Block reward"): ("api/v1/coinbase outputs", {"payouts": "f-total"}),
    (NODE, "Blocks found"): ("api/v1/luck blocks", {"blocks": "f-blocks"}),
    (NODE, "Connected"): ("api/v1/peers peers", {"peers": "f-all"}),
    (NODE, "Connections"): ("api/v1/stratum connections", {"miners": "f-connections", "stratum": "f-connections"}),
    (NODE, "Current round"): ("api/v1/luck current_round", {"blocks": "f-round"}),
    (NODE, "Current round: work done vs. expected"): ("api/v1/luck current_round", {"index": "l-round"}),
    (NODE, "Dash Core"): ("dashd_status", {"node": "f-dashd"}),
    (NODE, "Dash Platform"): ("api/v1/coinbase outputs", {"payouts": "f-platform"}),
    (NODE, "Dead on arrival"): ("api/v1/node shares", {"index": "h-dead"}),
    (NODE, "Dead on arrival (DOA)"): ("api/v1/stratum dead_hash_rate", {"miners": "f-dead"}),
    (NODE, "Donation"): ("api/v1/node donation", {"index": "n-donation"}),
    (NODE, "Efficiency"): ("api/v1/node efficiency", {"index": "h-eff"}),
    (NODE, "Efficiency with perfect miners"): ("api/v1/node efficiency_if_miner_perfect", {"index": "h-perfect"}),
    (NODE, "Expected payout"): ("api/v1/node next_payout", {"index": "f-payout"}),
    (NODE, "Expected time to block"): ("api/v1/pool observed_time_to_block", {"index": "f-time"}),
    (NODE, "Fee"): ("api/v1/node fee", {"index": "n-fee"}),
    (NODE, "Finder’s bonus"): ("api/v1/coinbase finder", {"payouts": "f-finder"}),
    (NODE, "Hash rate"): ("api/v1/stratum hash_rate", {"miners": "f-rate"}),
    (NODE, "Heads"): ("web/heads", {"chain": "f-heads"}),
    (NODE, "Incoming"): ("api/v1/peers incoming", {"peers": "f-in"}),
    (NODE, "Known addresses"): ("api/v1/known_nodes total", {"peers": "f-known"}),
    (NODE, "Last 30 days"): ("api/v1/luck periods", {"index": "l-30"}),
    (NODE, "Last 7 days"): ("api/v1/luck periods", {"index": "l-7"}),
    (NODE, "Last day"): ("api/v1/luck periods", {"index": "l-1"}),
    (NODE, "Length"): ("api/v1/pool share_chain_height", {"chain": "f-length"}),
    (NODE, "Longest stall"): ("api/v1/process reactor_delay", {"node": "f-delay"}),
    (NODE, "Luck, 1 day"): ("api/v1/luck periods", {"blocks": "f-luck-1"}),
    (NODE, "Luck, 30 days"): ("api/v1/luck periods", {"blocks": "f-luck-30"}),
    (NODE, "Luck, 7 days"): ("api/v1/luck periods", {"blocks": "f-luck-7"}),
    (NODE, "Masternodes, treasury"): ("api/v1/coinbase outputs", {"payouts": "f-masternodes"}),
    (NODE, "Memory"): ("api/v1/process memory", {"node": "f-memory"}),
    (NODE, "My hash rate"): ("api/v1/miners/{name} hash_rate", {"index": "m-rate"}),
    (NODE, "My income a day"): ("api/v1/miners/{name} expected", {"index": "m-day"}),
    (NODE, "My income in 30 days"): ("api/v1/miners/{name} expected", {"index": "m-month"}),
    (NODE, "My payouts in 7 days"): ("api/v1/miners/{name} expected", {"index": "m-week"}),
    (NODE, "My time to next payout"): ("api/v1/miners/{name} expected", {"index": "m-payout"}),
    (NODE, "My time to next share"): ("api/v1/miners/{name} expected", {"index": "m-share"}),
    (NODE, "Network difficulty"): ("api/v1/pool network_difficulty", {"index": "f-diff"}),
    (NODE, "New block to new job"): ("api/v1/process", {"node": "f-block"}),
    (NODE, "Newer votes, last hour"): ("api/v1/transition", {"transition": "f-recent"}),
    (NODE, "Newer votes, oldest tenth"): ("api/v1/transition", {"transition": "f-window"}),
    (NODE, "Newer votes, whole chain"): ("api/v1/transition", {"transition": "f-chain"}),
    (NODE, "Orphan"): ("api/v1/node shares", {"index": "h-orphan"}),
    (NODE, "Outgoing"): ("api/v1/peers outgoing", {"peers": "f-out"}),
    (NODE, "Paid to miners"): ("api/v1/coinbase outputs", {"payouts": "f-miners"}),
    (NODE, "Peers"): ("api/v1/node peers", {"index": "n-peers"}),
    (NODE, "Pool hash rate"): ("api/v1/pool observed_hash_rate", {"index": "f-pool"}),
    (NODE, "Pool stale rate"): ("api/v1/pool stale_proportion", {"index": "h-stale"}),
    (NODE, "Rejected"): ("api/v1/stratum refused", {"stratum": "f-refused"}),
    (NODE, "Rejected connections"): ("api/v1/stratum turned_away", {"stratum": "f-turned"}),
    (NODE, "Round trip"): ("api/v1/peers peers", {"peers": "f-trip"}),
    (NODE, "Share chain height"): ("api/v1/pool share_chain_height", {"index": "f-chain"}),
    (NODE, "Shares"): ("api/v1/stratum shares", {"miners": "f-shares"}),
    (NODE, "Submissions"): ("api/v1/stratum submissions_per_second", {"stratum": "f-submissions"}),
    (NODE, "Tails"): ("web/tails", {"chain": "f-tails"}),
    (NODE, "This node votes for"): ("api/v1/transition votes", {"transition": "f-own"}),
    (NODE, "This node’s hash rate"): ("api/v1/node hash_rate", {"index": "f-local"}),
    (NODE, "This node’s shares"): ("api/v1/node shares", {"index": "h-total"}),
    (NODE, "Time to next block"): ("api/v1/luck current_round", {"blocks": "f-next"}),
    (NODE, "Transaction memory"): ("api/v1/peers peers", {"peers": "f-kept"}),
    (NODE, "Uptime"): ("api/v1/node uptime", {"index": "n-uptime", "node": "f-uptime"}),
    (NODE, "Verified heads"): ("web/verified_heads", {"chain": "f-verified-heads"}),
    (NODE, "Verified tails"): ("web/verified_tails", {"chain": "f-verified-tails"}),
    (NODE, "Version"): ("api/v1/node version", {"index": "n-version", "node": "f-version"}),
    (NODE, "Workers"): ("api/v1/stratum workers", {"miners": "f-workers", "stratum": "f-workers"}),
    (MINER, "Accepted"): ("api/v1/workers/{name} accepted", {"worker": "f-accepted"}),
    (MINER, "Blocks found"): ("miner_payouts/{address} blocks_found", {"worker": "p-found"}),
    (MINER, "Blocks in this range"): ("api/v1/history/income/{address} blocks", {"payoutbook": "b-blocks"}),
    (MINER, "Blocks that paid the address"): ("miner_payouts/{address} blocks_paid", {"worker": "p-paid"}),
    (MINER, "Confirmed payouts"): ("miner_payouts/{address} confirmed_rewards", {"worker": "p-confirmed"}),
    (MINER, "Dead on arrival (DOA)"): ("api/v1/workers/{name} dead_hash_rate", {"worker": "f-dead"}),
    (MINER, "Difficulty"): ("api/v1/workers/{name} difficulty", {"worker": "f-difficulty"}),
    (MINER, "Hash rate"): ("api/v1/workers/{name} hash_rate", {"worker": "f-rate"}),
    (MINER, "Income a day"): ("api/v1/miners/{name} expected", {"worker": "e-day"}),
    (MINER, "Income in 30 days"): ("api/v1/miners/{name} expected", {"worker": "e-month"}),
    (MINER, "Last accepted"): ("api/v1/workers/{name} last_share", {"worker": "f-last"}),
    (MINER, "Maturing payouts"): ("miner_payouts/{address} maturing_rewards", {"worker": "p-maturing"}),
    (MINER, "Next payout to the address"): ("api/v1/addresses/{address} next_payout", {"worker": "f-payout"}),
    (MINER, "Not spendable yet"): ("api/v1/history/income/{address} maturing", {"payoutbook": "b-maturing"}),
    (MINER, "Paid in this range"): ("api/v1/history/income/{address} amount", {"payoutbook": "b-amount"}),
    (MINER, "Payouts in 7 days"): ("api/v1/miners/{name} expected", {"worker": "e-week"}),
    (MINER, "Rejected"): ("api/v1/workers/{name} refused", {"worker": "f-refused"}),
    (MINER, "Shares"): ("api/v1/workers/{name} shares", {"worker": "f-shares"}),
    (MINER, "Time to next payout"): ("api/v1/miners/{name} expected", {"worker": "e-payout"}),
    (MINER, "Time to next share"): ("api/v1/miners/{name} expected", {"worker": "e-share"}),
    (MINER, "Time to next submission"): ("api/v1/miners/{name} expected", {"worker": "e-submission"}),
}
_FIGURE = re.compile(r'<dt>([^<]*).*?</dt>\s*<dd(?: id="([^"]+)")?[^>]*>(?:\s*<b id="([^"]+)")?')
SAME = {
    # What graphs show, and what tiles and the API say at that moment.
    "workers": ("/api/v1/stratum", "workers"),
    "connections": ("/api/v1/stratum", "connections"),
    "local_hash_rate": ("/api/v1/node", "hash_rate"),
    "local_dead_hash_rate": ("/api/v1/node", "dead_hash_rate"),
    "pool_hash_rate": ("/api/v1/pool", "observed_hash_rate"),
    "pool_stale_proportion": ("/api/v1/pool", "stale_proportion"),
    "network_difficulty": ("/api/v1/pool", "network_difficulty"),
}


def figures(page: str) -> set[tuple[str, str, str]]:
    """Return (subject, label, id) of each figure in a page."""
    found = _FIGURE.findall((PAGES / f"{page}.html").read_text("utf-8"))
    return {(ABOUT.get(page, NODE), label.strip(), own or inner) for label, own, inner in found if own or inner}


def test_each_label_of_the_pages_means_one_field():
    pages = [path.stem for path in PAGES.glob("*.html")]
    shown = {(*figure, page) for page in pages for figure in figures(page)}
    listed = {(*key, where[page], page) for key, (_, where) in FIELDS.items() for page in where}
    assert shown == listed


def test_each_field_is_in_the_api_and_in_the_script_of_its_page():
    paths = document("0")["paths"]
    for (_, label), (field, where) in FIELDS.items():
        path, _, name = field.partition(" ")
        described = paths[f"/{path}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert not name or f"'{name}': " in str(described), (label, field)
        for page, element in where.items():
            script = (PAGES / "pages" / f"{page}.js").read_text("utf-8")
            made = f"`{element[:2]}${{", f"`{element.rpartition('-')[0]}-${{"
            assert any(each in script for each in (f'"{element}"', *made)), (page, element)
            rate = "estimatedRate(" if name == "hash_rate" else name
            assert rate in script, (page, label, name)


@pytest.fixture
def pool():
    pool = Pool(60, make_template())
    for number in range(3):
        pool.stats.record_worker_on(f"yA.{number}", difficulty=1.0, now=pool.now)
        pool.stats.record_connected(pool.now)
    for name in ("yA.0", "yA.1", "yGone"):
        pool.stats.record_accepted(name, attempts=1e15, difficulty=1.0, dead=name == "yA.1", now=pool.now)
    return pool


def test_graphs_show_what_tiles_and_the_api_say(pool):
    pool.refresh()
    sample = pool.sources.cache.samples.hour.samples()[-1]
    for figure, (path, field) in SAME.items():
        assert sample.scalar(figure) == pytest.approx(pool.ask(path).json[field]), figure
    assert pool.ask("/api/v1/stratum").json["workers"] == 3


def test_the_pool_is_never_slower_than_this_node(pool):
    pool.refresh()
    node, whole = (pool.ask(f"/api/v1/{view}").json for view in ("node", "pool"))
    assert node["hash_rate"] > 0
    assert whole["observed_hash_rate"] >= node["hash_rate"]
    told = {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", pool.views.metrics.decode(), re.M)}
    assert told["p2pool_pool_observed_hashrate"] >= told["p2pool_local_hashrate"]
