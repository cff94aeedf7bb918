"""What pages show and do, in a real browser on a running node: the node's own figures, live, to nobody's harm, and
with the keyboard alone."""

from __future__ import annotations

import pytest

from tests.e2e.pages.browser import PICTURES
from tests.e2e.pages.places import PAGES
from tests.e2e.pages.shown import Figure, differences

pytestmark = pytest.mark.e2e
NODE, POOL, STRATUM = "api/v1/node", "api/v1/pool", "api/v1/stratum"
FIGURES = {
    "index": (
        Figure("#f-pool", POOL, ("hash_rate",)),
        Figure("#f-local", NODE, ("hash_rate",)),
        Figure("#f-diff", POOL, ("network_difficulty",)),
        Figure("#f-height", POOL, ("block_height",)),
        Figure("#f-chain", POOL, ("share_chain_height",)),
        Figure("#h-eff", NODE, ("efficiency",)),
        Figure("#h-total", NODE, ("shares", "total")),
        Figure("#h-accepted", STRATUM, ("accepted",)),
        Figure("#n-donation", NODE, ("donation",)),
    ),
    "miners": (
        Figure("#f-rate", STRATUM, ("hash_rate",)),
        Figure("#f-workers", STRATUM, ("workers",)),
        Figure("#f-connections", STRATUM, ("connections",)),
        Figure("#f-shares", STRATUM, ("shares",)),
    ),
    "blocks": (Figure("#f-blocks", "api/v1/blocks", ("total",)),),
    "chain": (Figure("#f-length", POOL, ("share_chain_height",)),),
}
NEWS = {
    "index": "#f-chain",
    "miners": "#f-shares",
    "blocks": "#f-blocks",
    "chain": "#f-length",
}
"""What changes with a share or a block."""
SLOW_PAINT = 5.0
"""Seconds to the first paint that even a busy machine does not need. It is meant to be under one."""


# --- figures and news --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", FIGURES)
def test_figures_are_those_of_the_node(page, pool, tour):
    assert differences(tour[page], pool, FIGURES[page]) == []


def test_pages_are_live(tour):
    """The tick of the clock and news, without another request for a page, in every tab at the same time."""
    ticks = {page: view.text("#live") for page, view in tour.items()}
    news = {page: tour[page].text(selector) for page, selector in NEWS.items()}
    for page, view in tour.items():
        view.wait_for(f"tick of {page}", lambda page=page, view=view: view.text("#live") != ticks[page])
    for page, selector in NEWS.items():
        tour[page].wait_for(f"news on {page}", lambda: tour[page].text(selector) != news[page])  # noqa: B023
    assert {page: view.record.documents for page, view in tour.items()} == dict.fromkeys(PAGES, 1)
    assert {page: len(view.record.sockets) for page, view in tour.items()} == dict.fromkeys(PAGES, 1)


def test_the_dashboard_asks_for_no_figure_while_it_is_live(tour):
    view = tour["index"]
    view.wait_for_change("#f-chain")
    asked = [url for url in view.record.requests if "/static/" not in url and "/history/" not in url]
    assert asked == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_asks_nobody_but_the_node_and_has_no_complaint(page, pool, tour):
    view, here = tour[page], f"127.0.0.1:{pool.node.port}/"
    elsewhere = [url for url in view.record.requests if not url.startswith((f"http://{here}", "data:"))]
    assert elsewhere == []
    assert [url.partition("?")[0] for url in view.record.sockets] == [f"ws://{here}ws"]
    assert view.record.trouble == []
    assert view.page.title() not in ("", "p2pool-dash")


def test_the_first_paint_comes_soon(tour):
    """Kept in build/screenshots/first-paint.txt: meant to be under a second."""
    expression = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    seconds = {page: view.tell(expression) / 1000 for page, view in tour.items()}
    lines = [f"{page}: first paint after {paint:.2f} s" for page, paint in seconds.items()]
    print("\n".join(lines))
    (PICTURES / "first-paint.txt").write_text("\n".join(lines) + "\n", "utf-8")
    assert max(seconds.values()) < SLOW_PAINT
