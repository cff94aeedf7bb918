"""The alerts panel of an address, in a browser on a running node."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.pages.browser import View
from tests.e2e.pages.layout import faults
from tests.e2e.pages.pool import FIRST, HOSTILE
from tests.e2e.pages.test_looks import serious, violations
from tests.e2e.pages.test_my_miner import page_of

pytestmark = pytest.mark.e2e
STATUS = "#alerts form > p[role=status]"


def open_panel(browser: Any, fragment: str = "") -> View:
    view = browser.open(page_of(FIRST) + fragment, width=360).wait_until_live()
    view.page.wait_for_selector("#alerts form")
    return view


def test_the_panel_is_there_for_addresses_only_and_fits_a_phone(pool, browser):
    view = open_panel(browser)
    assert view.page.get_by_label("Send messages by").locator("option").all_inner_texts() == ["ntfy", "Webhook"]
    assert faults(view) == []
    assert serious(violations(view)) == []
    worker = browser.open(page_of(HOSTILE)).wait_until_live()
    assert not worker.page.is_visible("#alerts")


def test_what_the_node_is_sent_and_what_it_answers(pool, browser):
    view = open_panel(browser)
    page, sent = view.page, []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    page.get_by_label("URL of the topic").fill("https://ntfy.sh/my-topic")
    page.get_by_label("Many submissions are rejected").uncheck()
    page.get_by_label("Secret", exact=True).fill("not the secret")
    page.get_by_label("Secret", exact=True).press("Enter")  # by keyboard
    view.wait_for("answer", lambda: "No miner of this address is connected with this secret" in view.text(STATUS))
    assert json.loads(sent[0].post_data) == {
        "address": FIRST,
        "channel": "ntfy",
        "destination": "https://ntfy.sh/my-topic",
        "events": ["silent", "block"],
        "proof": "secret",
        "secret": "not the secret",
    }
    page.get_by_label("A message signed with the wallet").check()
    page.get_by_role("button", name="Get the text to sign").click()
    page.wait_for_selector("#alerts .wrapped")
    assert view.text("#alerts .wrapped").startswith(
        f"p2pool-dash on pool.example.org: send alerts about {FIRST} to ntfy"
    )
    page.get_by_label("Signature").fill("AAAA")
    page.get_by_role("button", name="Set alerts").click()
    view.wait_for("answer", lambda: "This is not a signature of a message" in view.text(STATUS))
    page.get_by_label("Send messages by").select_option("webhook")
    assert page.locator("#alerts .wrapped").count() == 0  # the text was for another destination
    for box in page.locator("#alerts input[type=checkbox]").all():
        box.uncheck()
    page.get_by_role("button", name="Set alerts").click()
    view.wait_for("answer", lambda: view.text(STATUS) == "Choose at least one event.")


@pytest.mark.parametrize(("purpose", "button"), [("confirm", "Confirm alerts"), ("unsubscribe", "End alerts")])
def test_a_link_asks_before_it_does_anything(purpose, button, pool, browser):
    sent: list[Any] = []
    view = open_panel(browser, f"#{purpose}={'ab' * 24}")
    view.page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    view.wait_for("focus", lambda: view.tell("document.activeElement.tagName") == "H3")
    assert sent == []
    assert faults(view) == []
    view.page.get_by_role("button", name=button).click()
    said = "#alerts-link [role=status]"
    view.wait_for(
        "answer", lambda: view.text(said) == "This link is not valid: it has expired, or these alerts have ended."
    )
    assert [each.url.rpartition("/")[2] for each in sent] == [purpose]
