"""Graphs: what the reader chooses is in the page's address; blocks, averages and a miner are drawn in them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.e2e.pages.browser import View
from tests.e2e.pages.layout import shifts, watch_shifts

pytestmark = pytest.mark.e2e

PRESSED = "button[data-range][aria-pressed=true]"


@pytest.mark.parametrize(
    ("query", "pressed"),
    [
        ("?range=week", "Week"),
        ("?Month", "Month"),
        ("?hour&average=1", "Hour"),
        ("?range=nothing&range=year", "Hour"),
    ],
)
def test_the_address_chooses_the_range(query, pressed, browser):
    """A range that does not exist is none; a node that has just started shows the last hour then."""
    view = browser.open(f"graphs.html{query}").wait_until_live()
    view.wait_for("the range", lambda: view.text(PRESSED) == pressed)


def test_what_is_chosen_is_in_the_address(pool, browser):
    view = browser.open("graphs.html?Day&theirs=1").wait_until_live()
    page = view.page
    page.get_by_role("button", name="Hour", exact=True).click()
    page.get_by_role("button", name="Average and peak").click()
    page.get_by_role("button", name="Blocks", exact=True).click()
    [worker, *_] = (each["name"] for each in pool.get("api/v1/workers")["workers"])
    page.get_by_label("Miner", exact=True).fill(worker)
    page.get_by_role("button", name="Compare").click()
    expected = [("theirs", "1"), ("range", "hour"), ("average", "1"), ("blocks", "0"), ("miner", worker)]
    view.wait_for("the address", lambda: parse_qsl(urlsplit(page.url).query, keep_blank_values=True) == expected)
    legend = page.locator("#g-pool .legend")
    view.wait_for("the miner's line", lambda: "Miner (right axis)" in legend.inner_text())
    page.reload()
    view.wait_for("the same again", lambda: "Miner (right axis)" in legend.inner_text())
    pressed = page.locator("#graph-tools button[aria-pressed=true]").all_inner_texts()
    assert pressed == ["Hour", "Average and peak"]
    page.get_by_label("Miner", exact=True).fill("")
    page.get_by_role("button", name="Compare").click()
    view.wait_for("the pool alone", lambda: "Miner" not in legend.inner_text())
    assert "miner=" not in page.url


def test_a_miner_without_history_is_named_as_such(browser):
    view = browser.open("graphs.html?range=hour&miner=nobody").wait_until_live()
    view.wait_for("the reason", lambda: view.text(".graph-problem") == "History has no data for this name yet.")


def test_blocks_are_told_in_words_too(pool, browser):
    view = browser.open("graphs.html?range=hour").wait_until_live()
    view.page.locator("#g-pool summary").click()

    def count() -> bool:
        total = pool.get("api/v1/history/blocks?range=hour")["total"]
        return total > 0 and view.text("#g-pool .graph-blocks").startswith(f"Blocks found: {total} (")

    view.wait_for("the blocks", count, 60)
    view.page.get_by_role("button", name="Blocks", exact=True).click()
    view.wait_for("no blocks", lambda: not view.page.locator("#g-pool .graph-blocks").is_visible())


def test_a_graph_fills_the_screen_and_comes_back(browser):
    view = browser.open("graphs.html?range=hour").wait_until_live()
    canvas = view.page.locator("#g-pool canvas")
    view.wait_for("the graph", canvas.is_visible)
    before = canvas.bounding_box()["height"]
    button = view.page.get_by_role("button", name="Pool hash rate: full screen")
    button.click()
    view.wait_for("a larger one", lambda: canvas.bounding_box()["height"] > 1.5 * before)
    button.click()
    view.wait_for("the former size", lambda: canvas.bounding_box()["height"] == before)


def test_a_graph_is_drawn_once_the_reader_comes_near(browser):
    """Drawing all of them at once would keep a phone busy, and most readers do not look at the last ones."""
    view = browser.open("graphs.html?range=hour", width=360, is_whole=False).wait_until_live()
    first, last = view.page.locator("#g-pool canvas"), view.page.locator("#g-memory canvas")
    view.wait_for("the first graph", first.is_visible)
    legend = view.page.locator("#g-memory .legend")
    view.wait_for("the values of the last one", lambda: "unknown" not in (legend.text_content() or "unknown"))
    assert last.count() == 0
    view.page.locator("#g-memory").scroll_into_view_if_needed()
    view.wait_for("the last graph", last.is_visible)


@pytest.mark.parametrize("page", ["stratum.html", "index.html"])
def test_nothing_moves_when_there_is_nothing_to_draw(page, browser):
    """A node that has just started, or one whose history is busy, says so where the graph would be."""

    def without_history(view: View) -> None:
        watch_shifts(view)
        view.page.route("**/api/v1/history/series*", lambda route: route.fulfill(status=503, body="{}"))

    view = browser.open(page, width=1440, prepare=without_history).wait_until_live()
    view.wait_for("the reason", lambda: "Everything else still works." in view.text("#main"))
    assert shifts(view) == []
