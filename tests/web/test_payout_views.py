"""Who would get what, and sums shared out by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.dashd.payout_addresses import OwnAddress
from p2pool.pool_stats import ShareRecord
from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain.weights import WeightWindows
from p2pool.web.api import payouts
from p2pool.web.sources import script_to_text
from tests.support import ROOT, make_template
from tests.web.busy import PAYMENTS, SUBSIDY, busy_pool
from tests.web.pages import Pool


@pytest.fixture(scope="module")
def pool() -> Pool:
    return busy_pool()


def test_both_interfaces_tell_the_same(pool):
    old, new = pool.ask("/current_payouts").json, pool.ask("/api/v1/payouts").json
    assert [each["address"] for each in new["payouts"]] == list(old)
    for each in new["payouts"]:
        assert each["amount"]["duffs"] == round(old[each["address"]] * 1e8)
        assert each["amount"]["dash"] == f"{each['amount']['duffs'] / 1e8:.8f}"
    assert new["total"]["duffs"] == sum(each["amount"]["duffs"] for each in new["payouts"]) == SUBSIDY - PAYMENTS
    assert sum(each["part"] for each in new["payouts"]) == pytest.approx(1)


def test_the_node_tells_what_its_own_addresses_get():
    pool = busy_pool()
    pool.refresh()
    amounts = {each["address"]: each["amount"]["duffs"] for each in pool.ask("/api/v1/payouts").json["payouts"]}
    first, second, *others = amounts
    assert others
    pool.payouts.addresses = tuple(OwnAddress(each, b"", None) for each in (first, second, "nobody"))
    pool.refresh()
    duffs = amounts[first] + amounts[second]
    assert pool.ask("/api/v1/node").json["next_payout"] == {"dash": f"{duffs / 1e8:.8f}", "duffs": duffs}


def test_fee_and_own_mining_of_the_node_s_own_address_are_told_apart():
    pool = Pool(6, make_template())
    pool.refresh()
    assert pool.ask("/api/v1/node").json["own_work"] == {"fee": 0, "own_mining": 0}
    own = script_to_text(pool.node, pool.shares[-1].script)
    pool.payouts.addresses = (OwnAddress(own, b"", None),)
    ours = [share for share in pool.shares if share.script == pool.shares[-1].script]
    for share, worker in zip(pool.shares[-3:], ("yOther.rig", "yOther.rig", f"{own}.rig"), strict=True):
        pool.stats.record_share(ShareRecord(pool.now, share.hash, worker, False, 10))
    pool.refresh()
    paid = [share for share in pool.shares[-3:] if share in ours]
    assert pool.ask("/api/v1/node").json["own_work"] == {"fee": 10 * (len(paid) - 1), "own_mining": 10}


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_without_a_fee_nothing_is_called_a_fee():
    cases = [(0, 0, 0), (0, 0, 5), (0.01, 0, 0), (0.01, 5, 0), (0.01, 5, 15)]
    nodes = [{"fee": fee, "own_work": {"fee": paid, "own_mining": mined}} for fee, paid, mined in cases]
    module = (ROOT / "web-static" / "js" / "coinbase.js").as_uri()
    script = f"import {{ ownText }} from '{module}'; console.log({json.dumps(nodes)}.map(ownText).join('\\n'));"
    ran = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    assert ran.stdout.replace("this node’s own address ", "").splitlines() == [
        "(own mining)",
        "(own mining)",
        "(fee or own mining)",
        "(fee)",
        "(latest shares: 25% fee, the rest own mining)",
    ]


def test_they_are_worked_out_once_for_each_tip(pool, monkeypatch):
    pool.refresh()
    monkeypatch.setattr(payouts, "expected_payouts", lambda *_, **__: 1 / 0)
    before = pool.views.rendered["current_payouts"]
    pool.now += 1
    pool.refresh()
    assert pool.views.rendered["current_payouts"] == before


def test_users_have_the_parts_of_their_work():
    pool = Pool(30, make_template())
    pool.refresh()
    told = pool.ask("/users").json
    total = sum(share.attempts for share in pool.shares) * WEIGHT_UNIT
    for address, part in told.items():
        work = sum(
            share.attempts * (WEIGHT_UNIT - share.donation)
            for share in pool.shares
            if script_to_text(pool.node, share.script) == address
        )
        assert part == pytest.approx(work / total)
    assert len(told) == 3
    assert list(told.values()) == sorted(told.values())


def test_users_do_not_move_the_windows_that_jobs_are_made_with(monkeypatch):
    pool = Pool(30, make_template())
    monkeypatch.setattr(WeightWindows, "weights", lambda *arguments: 1 / 0)
    assert len(payouts.user_parts(pool.node)) == 3


def test_users_stales():
    pool = Pool(30, make_template())
    mine = [share for share in pool.shares if share.script == pool.shares[0].script]
    for share in mine[:5]:
        share.stale_info = 253
    pool.refresh()
    told = pool.ask("/user_stales").json
    assert told[script_to_text(pool.node, pool.shares[0].script)] == pytest.approx(5 / (10 + 5))
    assert sorted(told.values())[:2] == [0, 0]


def sent(pool: Pool, path: str) -> dict[str, int]:
    """Duffs by address."""
    answer = pool.ask(path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return {address: round(amount * 1e8) for address, amount in json.loads(answer.body).items()}


@settings(max_examples=60)
@given(total=st.integers(1, 10**12), least=st.integers(1, 10**11))
def test_every_duff_is_shared_out(pool, total, least):
    asked = f"/patron_sendmany/{total / 1e8:.8f}/{least / 1e8:.8f}"
    if total > payouts.MAX_TOTAL * 10**8:
        assert pool.ask(asked).status == 404
        return
    parts = sent(pool, asked)
    assert sum(parts.values()) == total
    assert all(duffs > 0 for duffs in parts.values())
    assert sent(pool, asked) == parts  # asking again draws the same
    whole = sum(each["amount"]["duffs"] for each in pool.ask("/api/v1/payouts").json["payouts"])
    shares = {
        e["address"]: e["amount"]["duffs"] * total // whole for e in pool.ask("/api/v1/payouts").json["payouts"]
    }
    small = {address for address, duffs in shares.items() if duffs < least}
    assert len(small & set(parts)) <= 1  # of those too small for an output one is drawn
    for address in set(shares) - small:
        assert abs(parts[address] - shares[address]) <= len(shares)


def test_amounts_as_people_write_them(pool):
    assert sent(pool, "/patron_sendmany/5") == sent(pool, "/patron_sendmany/5.0/0.01")
    assert sum(sent(pool, "/patron_sendmany/00000005.10000000").values()) == 510_000_000
    assert sum(sent(pool, "/patron_sendmany/0.00000001").values()) == 1


def test_the_draw_is_fair():
    """Over many tips each small address wins as often as its part says."""
    wins: dict[str, int] = {}
    amounts = {"a": 30, "b": 10, "big": 960}
    for tip in range(400):
        node = SimpleNamespace(best_share=tip)
        context = SimpleNamespace(snapshot=SimpleNamespace(per_tip=lambda make: amounts), node=node)
        told = json.loads(payouts.patron_sendmany(context, {"total": 10**8, "trunc": 5 * 10**6}))
        (winner,) = set(told) - {"big"}
        wins[winner] = wins.get(winner, 0) + 1
    assert wins["a"] / 400 == pytest.approx(0.75, abs=0.08)


def test_without_shares_there_is_nobody_to_send_to():
    pool = Pool()
    pool.refresh()
    answer = pool.ask("/patron_sendmany/5")
    assert (answer.status, answer.json["error"]["code"]) == (404, "no_payouts")
