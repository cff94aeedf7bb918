"""What a miner's owner is told, in a browser on a running node: is it all right, and what will it earn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from p2pool.dash.address import encode_address
from p2pool.networks import SIMNET
from tests.e2e.pages.browser import View
from tests.e2e.pages.layout import faults
from tests.e2e.pages.pool import FIRST, SECOND
from tests.e2e.stratum_client import Refused, StratumClient

pytestmark = pytest.mark.e2e
BROKEN = encode_address(SIMNET.parent.addresses.pubkey_hash, bytes([9]) * 20) + ".broken"
"""Its submissions are all wrong."""


def page_of(name: str) -> str:
    return f"worker.html?name={quote(name, safe='')}"


def wait_for_state(view: View, *states: str) -> None:
    view.wait_for(" or ".join(states), lambda: view.text("#v-state") in states)


@pytest.fixture
def broken(pool) -> Iterator[StratumClient]:
    with StratumClient(pool.node.port) as client:
        client.login(BROKEN, password="d=1000")
        for nonce in range(6):
            with pytest.raises(Refused):
                job = client.jobs[-1]
                client.call(
                    "mining.submit", BROKEN, job.job_id, "00000000", f"{job.timestamp:08x}", f"{nonce:08x}"
                )
        yield client


def test_a_good_miner_is_ok_and_is_told_what_it_will_earn(pool, browser):
    view = browser.open(page_of(FIRST), width=360).wait_until_live()
    wait_for_state(view, "OK", "Starting")
    told = pool.get(f"api/v1/miners/{FIRST}")["expected"]
    assert told["payout_time"] < 3600
    for tile in ("submission", "share", "payout", "day", "month", "week"):
        view.wait_for(f"{tile} in figures", lambda tile=tile: view.text(f"#e-{tile}")[:1].isdigit())
    assert "with 80% probability" in view.text("#e-month-note")
    view.wait_for("its difficulty's reason", lambda: view.text("#f-difficulty-note").endswith("."))
    assert faults(view) == []


def test_a_refused_miner_and_one_that_left(broken, browser):
    view = browser.open(page_of(BROKEN)).wait_until_live()
    wait_for_state(view, "Rejected")
    why = "6 of its last 6 submissions were rejected"  # they come one after the other
    view.wait_for("the reason", lambda: why in view.text("#v-why"))
    assert "X11" in view.text("#v-advice")
    broken.close()
    wait_for_state(view, "Offline")
    assert "Check the power and the network" in view.text("#v-advice")
    miners = browser.open("miners.html").wait_until_live()
    for group, is_shown in (("Offline", True), ("OK", False)):
        miners.page.get_by_role("button", name=group, exact=True).click()

        def is_as_chosen(is_shown: bool = is_shown) -> bool:
            return (BROKEN in [row["Worker"] for row in miners.rows("workers-body")]) == is_shown

        miners.wait_for(f"the workers that are {group}", is_as_chosen)


def test_the_payment_window_is_drawn_and_told_in_words(pool, browser):
    view = browser.open(page_of(FIRST), width=360).wait_until_live()
    view.wait_for("its shares", lambda: "belong to this address" in view.text("#w-now"))
    label = view.page.get_attribute("#w-strip [role=img]", "aria-label")
    assert view.text("#w-now") in " ".join(label.split())
    assert view.page.locator("#w-strip .strip-bar").count() > 0
    assert view.text("#w-next").startswith("One more share would add about 0.")
    view.page.get_by_text("As a table").click()
    rows = view.rows("window-body")
    told = sum(int(row["Shares"]) for row in rows)
    assert 0 < told == int(view.text("#w-now").split()[0])
    assert faults(view) == []


def test_a_mistyped_address_is_told_why(browser):
    view = browser.open(page_of(f"{FIRST[:-1]}1.rig"), width=360).wait_until_live()
    wait_for_state(view, "Rejected")
    assert "copy the address again" in view.text("#v-why")
    assert faults(view) == []


@pytest.mark.parametrize(("state", "word"), [("slow", "Slow"), ("silent", "Silent")])
def test_other_states(state, word, pool, browser):
    """As the node would tell them of a miner after minutes."""
    told: dict[str, Any] = pool.get(f"api/v1/miners/{SECOND}") | {"state": state, "why": "W" * 99, "advice": "A b"}
    told["expected"] = None

    def tell_so(view: View) -> None:
        view.page.route("**/api/v1/miners/**", lambda route: route.fulfill(body=json.dumps(told)))

    view = browser.open(page_of(SECOND), width=360, prepare=tell_so).wait_until_live()
    wait_for_state(view, word)
    assert (view.text("#v-advice"), view.text("#e-payout"), view.text("#e-day")) == ("A b", "–", "–")
    assert faults(view) == []


def test_the_browser_remembers_a_miner_and_forgets_it(browser):
    view = browser.open(page_of(FIRST)).wait_until_live()
    view.page.get_by_role("button", name="Remember as my miner").click()
    assert view.page.get_by_role("button", name="Forget my miner").is_visible()
    dashboard = view.page.url.partition("worker.html")[0] + "index.html"
    view.page.goto(dashboard)
    view.wait_until_live()
    wait_for_state(view, "OK", "Starting")
    assert view.text("#mine-name") == FIRST
    own, pools = (view.page.locator(each).bounding_box()["y"] for each in ("#m-rate", "#f-pool"))
    assert own < pools
    view.page.get_by_role("button", name="Forget my miner").click()
    view.wait_for("the dashboard without it", lambda: not view.page.is_visible("#mine"))
    assert view.tell("localStorage.getItem('miner')") is None


@pytest.mark.parametrize("page", ["index", "help"])
def test_the_calculator_answers_whether_the_pool_suits_a_miner(page, pool, browser):
    view = browser.open(f"{page}.html", width=360).wait_until_live()
    form = view.page.locator(".calc")
    form.get_by_role("button", name="Calculate").click()
    assert view.text(".answer") == "Enter a hash rate, such as 1.5."
    form.get_by_label("Hash rate of all your miners").fill("0,5")
    form.get_by_label("Unit").select_option("kH/s")
    form.get_by_role("button", name="Calculate").click()
    view.wait_for("an answer", lambda: view.page.locator(".compare").count() == 1)
    # With times, which change: the beginning is the same.
    assert view.text(".answer").split()[:3] == pool.get("api/v1/calculator?hash_rate=500")["answer"].split()[:3]
    rows = view.texts(".compare tbody th")
    assert rows[0] == "Time to a share"
    assert len(view.texts(".compare tbody td.number")) == 2 * len(rows)
    assert faults(view) == []
