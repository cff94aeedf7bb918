"""What pages show and do, in a real browser on a running node: the node's own figures, live, to nobody's harm, and
with the keyboard alone."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.pages.browser import HEIGHT, PICTURES, View
from tests.e2e.pages.layout import faults
from tests.e2e.pages.places import PAGES, address_of
from tests.e2e.pages.pool import CONTROL, FIRST, HOSTILE, LONG, MARKUP, RIGHT_TO_LEFT, SECOND, THIRD, WORKERS
from tests.e2e.pages.shown import Figure, agrees, differences, settled

pytestmark = pytest.mark.e2e
NODE, POOL, STRATUM = "api/v1/node", "api/v1/pool", "api/v1/stratum"
WORKER = f"api/v1/workers/{quote(HOSTILE, safe='')}"
TRANSITION = "api/v1/transition"
FIGURES = {
    "index": (
        Figure("#f-pool", POOL, ("observed_hash_rate",)),
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
    "worker": (
        Figure("#f-rate", WORKER, ("hash_rate",)),
        Figure("#f-accepted", WORKER, ("accepted",)),
        Figure("#f-shares", WORKER, ("shares",)),
        Figure("#f-difficulty", WORKER, ("difficulty",)),
    ),
    "stratum": (
        Figure("#f-connections", STRATUM, ("connections",)),
        Figure("#f-workers", STRATUM, ("workers",)),
        Figure("#f-banned", STRATUM, ("banned_hosts",)),
        Figure("#f-submissions-note", STRATUM, ("accepted",)),
    ),
    "blocks": (Figure("#f-blocks", "api/v1/blocks", ("total",)),),
    "payouts": (
        Figure("#f-total", "api/v1/coinbase", ("total", "dash")),
        Figure("#f-miners", "api/v1/payouts", ("total", "dash")),
        Figure("#f-finder", "api/v1/payouts", ("finder", "dash")),
    ),
    "chain": (Figure("#f-length", POOL, ("share_chain_height",)),),
    "peers": (
        Figure("#f-in", "api/v1/peers", ("incoming",)),
        Figure("#f-out", "api/v1/peers", ("outgoing",)),
        Figure("#peers-body [data-label=Protocol]", "api/v1/peers", ("peers", 0, "protocol")),
    ),
    "transition": (
        Figure("#f-own", TRANSITION, ("votes", "own")),
        Figure("#f-parent", TRANSITION, ("votes", "parent")),
        Figure("#f-chain", TRANSITION, ("votes", "chain", "newer_work")),
        Figure("#votes-body tbody th", TRANSITION, ("votes", "chain", "versions", 0, "version")),
    ),
    "node": (Figure("#daemons-body [data-label=Height]", "api/v1/dashd", ("daemons", 0, "height")),),
    "events": (Figure("#events-count", "api/v1/history/events?range=week", ("total",)),),
}
NEWS = {
    "index": "#h-accepted",
    "miners": "#f-shares",
    "worker": "#f-accepted",
    "stratum": "#f-submissions-note",
    "blocks": "#f-blocks",
    "payouts": "#payees-body",
    "chain": "#f-length",
    "node": "#daemons-body [data-label=Height]",
}
"""What changes with a share or a block."""
SHOW_NAMES = {"index": "<", "miners": MARKUP, "worker": MARKUP}
"""What can be read on a page of those names; the newest shares are those of two of them sooner or later."""
BEFORE_THE_PAINT = {"js/theme.js", "style.css"}
"""All that a page may wait for before it shows anything: the scripts that fill it come later."""
BLOCKING = """
    performance.getEntriesByType("resource")
        .filter(each => each.renderBlockingStatus === "blocking").map(each => each.name)
"""


# --- figures and news --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", FIGURES)
def test_figures_are_those_of_the_node(page, pool, tour):
    assert differences(tour[page], pool, FIGURES[page]) == []


def test_tables_are_those_of_the_node(pool, tour):
    """Row by row: miners, blocks, and who is paid what."""

    def miners() -> dict[str, str]:
        told = {each["name"]: each for each in pool.get("api/v1/workers")["workers"]}
        wrong = dict.fromkeys(told, "no row")
        for row in tour["miners"].rows("workers-body"):
            one = told[row["Worker"]]
            figures = (row["Hash rate"], one["hash_rate"]), (row["Accepted"], one["accepted"])
            shown = all(agrees(text, value) for text, value in figures)
            wrong[row["Worker"]] = "" if shown else f"shown {row}, told {one}"
        return wrong

    def blocks() -> dict[int, str]:
        told = {each["height"]: each for each in pool.get("api/v1/blocks?limit=5")["blocks"]}
        rows = {int(row["Height"]): row for row in tour["blocks"].rows("blocks-body")}
        return {height: _wrong_block(rows.get(height, {}), one) for height, one in told.items()}

    def payouts() -> dict[str, str]:
        told = {each["address"]: each["in_coinbase"]["dash"] for each in pool.get("api/v1/payouts")["payouts"]}
        rows = {row["Payee"]: row["In the next block"] for row in tour["payouts"].rows("payees-body")}
        return {who: "" if rows.get(who) == amount else f"shown {rows.get(who)}" for who, amount in told.items()}

    assert settled(tour["miners"], miners) == []
    assert settled(tour["blocks"], blocks) == []
    assert settled(tour["payouts"], payouts) == []


def _wrong_block(row: dict[str, str], told: dict[str, Any]) -> str:
    """What a row says otherwise than the node; "" if nothing."""
    shown = row.get("Block hash"), row.get("Found by"), row.get("Value"), row.get("Status", "").partition(",")[0]
    said = f"…{told['hash'][-8:]}", told["worker"], f"{told['value']['dash']} sDASH", told["status"]
    return "" if shown == said else f"shown {shown}, told {said}"


def test_a_share_is_reported_in_full(pool, tour):
    view = tour["share"]
    hash_ = view.page.url.rpartition("=")[2]
    told, text = pool.get(f"web/share/{hash_}"), view.text("main")
    data = told["share_data"]
    for value in (
        hash_,
        told["parent"],
        data["payout_address"],
        f"Height {data['absheight']:,}",
        told["block"]["gentx"]["hash"],
    ):
        assert value in text
    assert f"{data['abswork']:,}" in text


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
    view.wait_for_change("#h-accepted")
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


def test_the_first_paint_waits_for_little(tour):
    """How long it took is kept in build/screenshots/first-paint.txt: under a second, where nothing else runs."""
    lines, waited_for = [], set()
    for page, view in tour.items():
        paint = view.tell("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        lines.append(f"{page}: first paint after {paint / 1000:.2f} s")
        waited_for |= set(view.tell(BLOCKING))
    (PICTURES / "first-paint.txt").write_text("\n".join(lines) + "\n", "utf-8")
    assert {address.partition("/static/")[2] for address in waited_for} == BEFORE_THE_PAINT


# --- names that do harm where they are taken for markup ----------------------------------------------------------

NAMES_OF_ROWS = """
    [...document.querySelectorAll("#workers-body tbody th")]
        .map((cell) => (cell.querySelector(".is-long") ?? cell).textContent)
"""
MADE_OF_MARKUP = "document.querySelectorAll('[onerror], img[src=x], main script, main iframe, main b > b').length"


@pytest.mark.parametrize("page", PAGES)
def test_a_workers_name_is_only_text(page, tour):
    view = tour[page]
    assert view.tell(MADE_OF_MARKUP) == 0
    assert not [text for text in view.record.trouble if "dialog" in text]
    if page in SHOW_NAMES:
        text = "document.querySelector('main').textContent"
        view.wait_for(SHOW_NAMES[page], lambda: SHOW_NAMES[page] in view.tell(text))


def test_miners_are_called_as_they_call_themselves(pool, tour):
    """`__proto__`, long names, and letters that are read from the right are names like any other."""
    known = {*WORKERS, CONTROL.replace("\u202e", "?")}
    assert known <= {worker["name"] for worker in pool.get("api/v1/workers")["workers"]}
    titles = tour["miners"].tell(
        "[...document.querySelectorAll('#workers-body tbody th')].map((e) => e.textContent)"
    )
    for name in known:
        assert [title for title in titles if name in title], name


@pytest.mark.parametrize(
    "path",
    [
        "worker.html?name={}",
        "miner.html?address={}",
        "share.html?hash={}",
        "chain.html?from={}",
        "miners.html?search={}",
        "payouts.html?search={}",
        "graphs.html?range={}",
        "blocks.html#{}",
        "worker.html?name=__proto__&address={}",
        "worker.html?name=constructor.__proto__&x={}",
    ],
)
def test_an_address_that_does_harm_is_only_text(path, browser):
    view = browser.open(path.format(quote(f"'\"><script>alert(1)</script>{MARKUP}", safe=""))).wait_until_live()
    assert view.tell(MADE_OF_MARKUP) == 0
    assert [each for each in view.record.trouble if "dialog" in each or "exception" in each] == []


@pytest.mark.parametrize("name", [f"{SECOND}.{LONG}", f"{THIRD}.{RIGHT_TO_LEFT}", f"{SECOND}.__proto__", SECOND])
def test_any_name_has_a_page_of_its_own(name, browser):
    view = browser.open(f"worker.html?name={quote(name, safe='')}", width=360).wait_until_live()
    view.wait_for("its figures", lambda: view.text("#f-accepted") not in ("", "–"))
    assert name.partition(".")[2] in view.tell("document.querySelector('h1').textContent")
    assert not view.page.is_visible("#unknown")
    assert faults(view) == []


# --- old addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("../", "index.html"),
        ("./", ""),
        ("dashboard.html", "index.html"),
        (f"miner.html?address={FIRST}", f"worker.html?address={FIRST}"),
        (f"miner.html?id={FIRST}", f"worker.html?id={FIRST}"),
    ],
)
def test_old_addresses_lead_to_the_right_page(old, new, pool, browser):
    view = browser.open(old).wait_until_live()
    assert view.page.url == pool.url + new
    if "worker" in new:
        view.wait_for("figures", lambda: view.text("#f-accepted") not in ("", "–"))
        assert FIRST in view.text("h1")
    assert view.record.trouble == []


# --- the keyboard alone ------------------------------------------------------------------------------------------

FOCUS = """() => {
    const node = document.activeElement;
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    return {
        tag: node.tagName.toLowerCase(),
        text: (node.getAttribute("aria-label") ?? node.innerText ?? "").trim(),
        id: node.id,
        // A part of a field that the browser itself draws has its own mark; in drawings it is a line.
        isMarked: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || !node.matches(":focus")
            || [...node.children].some((part) => getComputedStyle(part).strokeWidth === "2px"),
        isInView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    };
}"""
MOST_STOPS = 400


def test_the_skip_link_is_first_and_leads_to_the_content(browser):
    view = browser.open("index.html").wait_until_live()
    view.page.keyboard.press("Tab")
    focus = view.tell(FOCUS)
    assert focus["text"].startswith("Skip")
    assert focus["isInView"]
    view.page.keyboard.press("Enter")
    assert view.tell("document.activeElement.id") == "main"
    view.page.keyboard.press("Tab")
    assert view.tell("document.querySelector('main').contains(document.activeElement)")


def test_navigation_by_keyboard(pool, browser):
    view = browser.open("index.html").wait_until_live()
    for _ in range(20):
        view.page.keyboard.press("Tab")
        focus = view.tell(FOCUS)
        assert focus["isMarked"], focus
        assert focus["isInView"], focus
        if focus["text"] == "Miners":
            break
    view.page.keyboard.press("Enter")
    view.page.wait_for_url(pool.url + "miners.html")
    view.wait_until_live()
    assert view.text("nav [aria-current=page]") == "Miners"


@pytest.mark.parametrize("page", PAGES)
def test_tab_goes_through_a_page_and_out_again(page, tour):
    """Every stop can be seen, and says what it is."""
    view = tour[page]
    view.tell("document.activeElement.blur()")
    stops = 0
    while stops < MOST_STOPS:
        view.page.keyboard.press("Tab")
        focus = view.tell(FOCUS)
        if focus["tag"] == "body":
            break
        named = focus["text"] or view.tell("document.activeElement.labels?.length ?? 0")
        assert named, focus
        assert focus["isMarked"], focus
        # News may have pushed it out of view just now: the page brings it back before it is painted.
        view.wait_for(f"sight of {focus}", lambda: view.tell(FOCUS)["isInView"])
        stops += 1
    assert 10 < stops < MOST_STOPS


def test_news_above_leaves_the_focus_in_view(browser):
    """At the top of a page, where the browser itself does not keep the place; not if the reader scrolled away."""
    view = browser.open("index.html").wait_until_live()
    grow = """(pixels) => {
        const more = document.createElement("div");
        more.style.height = `${pixels}px`;
        document.querySelector("main").prepend(more);
    }"""
    while not view.tell("document.querySelector('main').contains(document.activeElement)"):
        view.page.keyboard.press("Tab")
    view.tell("scrollTo(0, 0)")
    view.tell(grow, 2 * HEIGHT)
    view.wait_for("sight of the focus", lambda: view.tell(FOCUS)["isInView"])

    view.tell("scrollTo(0, 0)")
    view.pause(0.2)
    view.tell(grow, HEIGHT)
    view.pause(0.2)
    assert not view.tell(FOCUS)["isInView"]


def test_a_list_that_moves_on_leaves_the_focus_in_view(browser):
    """What comes at its top goes at its end: its length stays. Nothing else moves without the node."""
    view = browser.open("index.html").wait_until_live()
    view.page.context.set_offline(True)
    view.wait_for("a word about it", lambda: view.page.locator("#banner #offline").is_visible())
    view.tell("document.documentElement.style.overflowAnchor = 'none'")
    view.tell(
        """(pixels) => {
            window.filler = document.createElement("div");
            window.filler.style.height = `${pixels}px`;
            document.querySelector("main").append(window.filler);
        }""",
        2 * HEIGHT,
    )
    while not view.tell("document.querySelector('main').contains(document.activeElement)"):
        view.page.keyboard.press("Tab")
    view.pause(0.5)
    view.tell("document.querySelector('main').prepend(window.filler)")
    view.wait_for("sight of the focus", lambda: view.tell(FOCUS)["isInView"], 5)


def test_miners_are_sorted_and_searched_by_keyboard(browser):
    view = browser.open("miners.html").wait_until_live()
    rows = "#workers-body tbody th"
    view.wait_for("all workers", lambda: len(view.texts(rows)) > len(WORKERS))
    view.page.get_by_role("button", name="Worker", exact=True).focus()
    orders = []
    for _ in range(2):
        view.page.keyboard.press("Enter")
        sort = view.page.get_attribute("#workers-body .col-name", "aria-sort")

        def is_sorted(sort: str | None = sort) -> bool:
            names = view.tell(NAMES_OF_ROWS)
            return names == sorted(names, reverse=sort == "descending")

        view.wait_for(f"the names, {sort}", is_sorted)
        orders.append(sort)
    assert set(orders) == {"ascending", "descending"}
    view.page.get_by_label("Search").focus()
    view.page.keyboard.type("onerror")
    view.wait_for("one of them", lambda: len(view.texts(rows)) == 1)
    view.page.keyboard.press("Control+A")
    view.page.keyboard.type("nobody is called so")
    view.wait_for("none of them", lambda: view.texts(rows) == [] or not view.page.is_visible(rows))


# --- history -----------------------------------------------------------------------------------------------------


def _away(view: View) -> None:
    body = '{"error": {"code": "no_history", "message": "the database is away"}}'
    view.page.route("**/api/v1/history/**", lambda route: route.fulfill(status=503, body=body))


@pytest.mark.parametrize("page", ["index", "graphs", "worker", "stratum", "blocks", "events"])
def test_without_history_a_page_says_so_and_goes_on(page, pool, browser):
    view = browser.open(address_of(page, pool), prepare=_away).wait_until_live()
    view.wait_for("a word about it", lambda: "istory" in view.text("main"))
    assert view.page.locator(".graph").filter(visible=True).count() == 0
    view.wait_for_change("#live")
    if page in FIGURES and page != "events":
        assert differences(view, pool, FIGURES[page]) == []
    assert [each for each in view.record.trouble if "503" not in each] == []


DRAWN = """(canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const pixels = new Uint32Array(data.buffer);
    return new Set(pixels).size;
}"""


@pytest.mark.parametrize("page", ["index", "graphs", "worker", "stratum"])
def test_graphs_have_points(page, tour):
    """In the last hour: drawn, and read by the arrow keys."""
    view = tour[page]
    view.page.get_by_role("button", name="Hour").first.click()
    graphs = view.page.locator(".graph")
    view.wait_for("graphs", lambda: graphs.filter(visible=True).count() == graphs.count() > 0)
    for graph in graphs.all():
        slider = graph.get_by_role("slider")
        canvas, told = slider.locator("canvas"), lambda slider=slider: slider.get_attribute("aria-valuetext")
        # Graphs are drawn one after another.
        view.wait_for("points", lambda slider=slider: int(slider.get_attribute("aria-valuemax")) > 0)
        view.wait_for("lines", lambda canvas=canvas: canvas.evaluate(DRAWN) > 3)
        slider.focus()
        latest = view.wait_for("the latest point", told)
        view.page.keyboard.press("Home")
        view.wait_for("the first point", lambda told=told, latest=latest: told() != latest)


def test_a_graph_tells_what_the_node_remembers(pool, tour):
    view = tour["graphs"]
    view.page.get_by_role("button", name="Hour").first.click()
    for holder, figure in (("g-pool", "pool_hash_rate"), ("g-miners", "workers"), ("g-memory", "memory")):
        view.page.locator(f"#{holder} summary").click()

        def agree(holder: str = holder, figure: str = figure) -> bool:
            series = pool.get(f"api/v1/history/series?of=pool&figures={figure}&range=hour&points=500")
            told = [value for value in series["figures"][figure] if value is not None]
            cells = view.texts(f"#{holder} details tbody tr:first-child td")
            return len(cells) == 4 and agrees(cells[2], max(told)) and agrees(cells[3], told[-1])

        view.wait_for(f"{figure} in figures", agree, 60)
