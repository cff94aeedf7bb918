"""The payment window of one address: where its shares are, what they pay, and when they leave."""

from __future__ import annotations

import time

import pytest

from p2pool.share.weights import WEIGHT_UNIT
from p2pool.web.api.window import BINS, FADES, window_bins
from p2pool.web.payment_window import AddressShares, PaymentWindow, payment_window
from tests.support import make_template
from tests.web.busy import NOBODY, busy_pool, payee
from tests.web.pages import Pool


@pytest.fixture(scope="module")
def busy() -> Pool:
    return busy_pool()


def ask(pool: Pool, address: str) -> dict:
    answer = pool.ask(f"/api/v1/window/{address}")
    assert answer.status == 200, answer.body
    return answer.json


def test_the_window_has_each_share_once_and_pays_as_the_payouts(busy):
    window = payment_window(busy.node)
    positions = sorted(p for shares in window.by_address.values() for p in shares.positions)
    assert positions == list(range(window.shares))
    payouts = {each["address"]: each["part"] for each in busy.ask("/api/v1/payouts").json["payouts"]}
    for address, shares in window.by_address.items():
        assert sum(shares.weights) / window.total_weight == pytest.approx(payouts[address], rel=1e-3)
        assert shares.positions == sorted(shares.positions)
    assert window.length >= window.shares
    assert window.paid_for(NOBODY) == 0


def test_an_address_is_told_where_its_shares_are(busy):
    window = payment_window(busy.node)
    for address in (payee(busy), payee(busy, 1)):
        told, own = ask(busy, address), window.by_address[address]
        assert (told["own_shares"], told["found_here"]) == (len(own.positions), sum(own.here))
        assert sum(each["shares"] for each in told["bins"]) == told["own_shares"] > 0
        assert sum(each["found_here"] for each in told["bins"]) == told["found_here"]
        paid = sum(each["payout"]["duffs"] for each in told["bins"])
        assert paid == pytest.approx(told["next_payout"]["duffs"], rel=1e-6)
        assert told["next_to_leave"] == pytest.approx((told["length"] - own.positions[-1]) * told["pace"])
        leaving = [each["leave_until"] for each in told["bins"]]
        assert leaving == sorted(leaving, reverse=True)
        for each in told["bins"]:
            assert 0 < each["leave_from"] <= each["leave_until"] <= told["length"] * told["pace"]
            # Those of a part leave while it passes the end of the window.
            assert (
                each["leave_until"]
                <= (BINS - each["bin"]) * told["length"] / BINS * told["pace"] + 2 * told["pace"]
            )
    assert any(sum(shares.here) for shares in window.by_address.values())
    here = {share.hash for share in busy.shares[::3]}
    assert sum(sum(shares.here) for shares in window.by_address.values()) <= len(here)


def test_payouts_fade_without_shares_and_grow_with_one_more(busy):
    told = ask(busy, payee(busy))
    fades = [each["payout"]["duffs"] for each in told["fades"]]
    seconds = told["length"] * told["pace"]
    assert [each["after"] for each in told["fades"]] == pytest.approx([part * seconds for part in FADES])
    assert told["next_payout"]["duffs"] >= fades[0]
    assert fades == sorted(fades, reverse=True)
    assert fades[-1] == 0
    assert told["one_more_share"]["duffs"] > 0


def test_who_has_no_share_is_told_so(busy):
    told = ask(busy, NOBODY)
    assert (told["own_shares"], told["bins"], told["next_to_leave"]) == (0, [], None)
    assert told["next_payout"]["duffs"] == 0
    for pool in (Pool(), Pool(0, make_template())):
        pool.refresh()
        told = ask(pool, NOBODY)
        assert (told["shares"], told["one_more_share"]["duffs"], told["fades"][0]["payout"]["duffs"]) == (0, 0, 0)
    assert busy.ask("/api/v1/window/rig1").status == 404


def test_an_address_with_the_whole_window_is_told_in_bins():
    count = 8640
    own = AddressShares(list(range(count)), [1000] * count, [1000 * WEIGHT_UNIT] * count, [True] * count)
    window = PaymentWindow(count, count, 20.0, 1000 * WEIGHT_UNIT * count, {"X": own})
    begun = time.process_time()
    told = window_bins(window, own, 1_000_000)
    assert time.process_time() - begun < 0.025
    assert [each["shares"] for each in told] == [count // BINS] * BINS
    assert sum(each["payout"]["duffs"] for each in told) == pytest.approx(1_000_000, abs=BINS)


def test_an_answer_is_made_once_for_each_tip(busy, monkeypatch):
    ask(busy, payee(busy))
    monkeypatch.setattr("p2pool.web.api.window.window_bins", lambda *_: 1 / 0)
    ask(busy, payee(busy))
