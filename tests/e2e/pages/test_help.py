"""The help page with this node's figures, and the terms that other pages explain by it, by keyboard and touch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.pages.browser import PICTURES, View
from tests.e2e.pages.layout import faults
from tests.e2e.pages.places import address_of
from tests.e2e.pages.shown import agrees
from tests.e2e.pages.test_looks import serious, violations

pytestmark = pytest.mark.e2e
GLOSSARY = """[...document.querySelectorAll("#glossary > div")].map((each) => [...each.children].map(
    (part) => part.textContent.trim()))"""
BOX = """() => {
    const box = document.querySelector(".term-box:popover-open");
    if (box === null) return null;
    const { left, right, top, bottom } = box.getBoundingClientRect();
    const [name, text] = [...box.children].map((part) => part.textContent);
    return { name, text, isInView: left >= 0 && right <= innerWidth && top >= 0 && bottom <= innerHeight };
}"""


def box(view: View) -> Any:
    """The open explanation; None if there is none."""
    return view.tell(BOX)


def test_it_shows_how_to_connect_to_this_node(pool, browser):
    view = browser.open("help.html", width=360).wait_until_live()
    node = pool.get("api/v1/node")
    url = f"stratum+tcp://127.0.0.1:{node['worker_port']}"
    view.wait_for("the URL", lambda: view.text("#h-pool") == url)
    assert view.text("#c-url") == url
    assert f"-o {url} -u ADDRESS.worker" in view.text("#c-command")
    assert agrees(view.text("#h-fee"), node["fee"])
    view.wait_for(
        "the share difficulty, which follows the chain",
        lambda: agrees(view.text("#h-share"), pool.get("api/v1/pool")["share_difficulty"]),
    )
    for question in view.page.locator("#questions summary").all():
        question.click()
    assert faults(view) == []
    assert serious(violations(view)) == []
    view.picture("help-questions-360")


@pytest.mark.parametrize("page", ["index", "worker", "miners", "blocks", "graphs"])
def test_terms_are_explained(page, pool, browser):
    view = browser.open("help.html").wait_until_live()
    glossary = dict(view.tell(GLOSSARY))
    view = browser.open(address_of(page, pool), width=360).wait_until_live()
    terms = view.page.locator(".term").filter(visible=True)
    assert terms.count() > 0
    for term in terms.all():
        term.focus()
        view.page.keyboard.press("Enter")
        view.wait_for("its text", lambda: (box(view) or {}).get("text") not in (None, "…"))
        shown = box(view)
        assert glossary[shown["name"]] == shown["text"]
        view.wait_for(f"sight of {shown}", lambda: box(view)["isInView"], 10)
        assert term.evaluate("node => node === document.activeElement")
        view.page.keyboard.press("Escape")
        assert box(view) is None
        assert term.evaluate("node => node === document.activeElement")
    terms.first.click()
    view.wait_for("its text", lambda: (box(view) or {}).get("text") not in (None, "…"))
    assert serious(violations(view)) == []
    view.page.screenshot(path=PICTURES / f"term-{page}-360.png", animations="disabled")
    view.page.keyboard.press("Tab")
    assert view.tell("document.activeElement.textContent") == "All terms"
    view.page.keyboard.press("Enter")
    view.page.wait_for_url("**/help.html#*")
