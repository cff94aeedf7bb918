"""The front end of legacy p2pool-dash (its `web-static`), served by our node with --web-static: every page of it
works in a real browser, without an error of any kind, and shows the node's own figures.

It is not part of this software: `P2POOL_LEGACY_WEB=DIR` says where a checkout of github.com/frstrtr/p2pool-dash
is, or its web-static; without it these tests are skipped. Its pages load the library Highcharts from another site;
a stand-in that keeps what it is given takes its place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.pages.browser import Browser, View, running_browser, skip_without_chromium
from tests.e2e.pages.pool import FIRST, HOSTILE, MARKUP, SECOND, Pool, running_pool
from tests.e2e.process import wait_for

pytestmark = pytest.mark.e2e
PAGES = ("dashboard", "graphs", "index", "miner", "miners", "share", "stratum")
PERIODS = ("hour", "day", "week", "month", "year")
RATE = re.compile(r"^[\d.]+ ?[kKMGTP]?H/s$")
HIGHCHARTS = """
(() => {
  const drawn = (window.drawn = {});
  const axis = () => ({ update() {} });
  function chart(holder, options) {
    const name = typeof holder === "string" ? holder : holder.id;
    const made = {
      series: options.series.map((each) => ({
        name: each.name,
        visible: each.visible !== false,
        points: (each.data ?? []).map((point) => ({ plotX: 1, plotY: 1, block: point.block })),
        show() {}, hide() {}, setVisible() {},
      })),
      yAxis: [axis(), axis(), axis(), axis()],
      xAxis: [axis()],
      plotTop: 0, plotLeft: 0, plotHeight: 100, plotWidth: 100,
      renderer: { rect: () => ({ attr() { return this; }, add() { return this; }, destroy() {} }) },
      update() {}, redraw() {}, reflow() {}, destroy() { delete drawn[name]; },
    };
    drawn[name] = options.series.map((each) => ({ name: each.name, data: each.data ?? [] }));
    options.chart?.events?.load?.call(made);
    options.chart?.events?.render?.call(made);
    return made;
  }
  window.Highcharts = { chart, setOptions() {}, dateFormat: () => "", numberFormat: String, charts: [] };
})();
"""


def _checkout() -> Path:
    given = os.environ.get("P2POOL_LEGACY_WEB")
    if not given:
        pytest.skip("P2POOL_LEGACY_WEB does not say where the web-static of legacy p2pool-dash is")
    directory = Path(given)
    if (directory / "web-static").is_dir():
        directory /= "web-static"
    missing = [page for page in PAGES if not (directory / f"{page}.html").is_file()]
    assert not missing, f"P2POOL_LEGACY_WEB={directory} has no {', '.join(missing)}"
    return directory


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Iterator[Pool]:
    """A pool whose first node serves the legacy pages."""
    checkout = _checkout()
    skip_without_chromium()
    with running_pool(tmp_path_factory.mktemp("legacy"), "--web-static", str(checkout), daemons=2) as pool:
        wait_for("two blocks", lambda: len(pool.get("recent_blocks")) > 1)
        wait_for("a node of the Dash network", lambda: pool.get("broadcaster_status")["connected"])
        yield pool


@pytest.fixture(scope="module")
def _browser(pool) -> Iterator[Browser]:
    with running_browser(pool.url) as browser:
        yield browser


@pytest.fixture
def browser(_browser, request) -> Iterator[Browser]:
    yield _browser
    for view in _browser.views:
        view.picture(f"legacy-{request.node.name}")
    _browser.close()


def opened(browser: Browser, path: str) -> View:
    """A legacy page, with a stand-in for the library of another site."""

    def prepare(view: View) -> None:
        view.page.route(
            "https://code.highcharts.com/**",
            lambda route: route.fulfill(body=HIGHCHARTS, content_type="text/javascript"),
        )

    return browser.open(path, prepare=prepare)


def is_well(view: View) -> None:
    """All that was asked for was answered, and nothing was complained of."""
    view.page.wait_for_load_state("networkidle")
    view.pause(0.5)
    assert view.record.trouble == []


def svg_text(view: View, holder: str) -> str:
    """All that is written in a graph."""
    return " ".join(view.page.locator(f"#{holder} text").all_text_contents())


def drawn(view: View, holder: str) -> dict[str, Any]:
    """The lines of a chart by their names."""
    view.wait_for(f"chart {holder}", lambda: view.tell("(name) => window.drawn[name]", holder))
    return {line["name"]: line["data"] for line in view.tell("(name) => window.drawn[name]", holder)}


def test_every_page_is_known(pool):
    """A newer checkout may have more: they would go untested."""
    assert {path.stem for path in _checkout().glob("*.html")} == set(PAGES)


def test_the_classic_page(pool, browser):
    view = opened(browser, "index.html")
    view.wait_for("payouts", lambda: len(view.texts("#payouts tr")) > 2)
    view.wait_for("blocks", lambda: len(view.texts("#blocks tr")) > 1)
    is_well(view)
    stats = pool.get("global_stats")
    assert view.text("#version") == pool.get("web/version")
    assert RATE.match(view.text("#pool_rate").replace(" ", ""))
    assert view.text("#difficulty") != ""
    assert view.text("#peers_in") == "1"
    assert float(view.text("#block_value")) > float(view.text("#block_value_miner")) > 0
    assert view.text(".symbol") == stats["symbol"]
    assert "Confirmed" in view.text("#blocks") or "Pending" in view.text("#blocks")
    assert re.search(r"\d+%", view.text("#blocks"))
    for holder in ("#best_share", "#heads", "#verified_heads", "#tails", "#my_share_hashes"):
        assert re.fullmatch(r"[0-9a-f]{8}( [0-9a-f]{8})*", view.text(holder)), holder
    assert view.texts("#payouts tr")[-1].startswith("Total ")


def test_the_dashboard(pool, browser):
    view = opened(browser, "dashboard.html")
    view.wait_for("miners", lambda: len(view.texts("#active_miners tbody tr.miner-row")) == 3)
    view.wait_for("blocks", lambda: view.texts("#blocks tbody tr"))
    view.wait_for("peers", lambda: "Incoming" in view.text("#peers_tbody"))
    view.wait_for("the broadcaster", lambda: view.text("#broadcaster_connections") == "1 / 20")
    lines = drawn(view, "hashrate-graph")
    is_well(view)
    assert RATE.match(view.text("#pool_rate"))
    assert RATE.match(view.text("#local_rate"))
    assert view.text("#peers_total") == "1"
    assert MARKUP in view.text("#active_miners tbody")
    assert view.text("#active_miners_count") == "3"
    assert re.search(r"[⏳✓]", view.text("#blocks tbody"))
    assert re.search(r"\d+%", view.text("#blocks tbody"))
    assert "undefined" not in view.text("body")
    assert "NaN" not in view.text("body")
    assert int(view.text("#broadcaster_database_size")) >= 1
    assert view.text("#broadcaster_success_rate") == "100.0%"
    assert re.match(r"[1-9]\d* / 0 \(100.0%\)", view.text("#broadcaster_broadcasts"))
    assert re.match(r"127.0.0.1:\d+ [\d.]+ dashd 100.0% \d+ / 0 ", view.text("#broadcaster_peers_tbody"))
    assert float(view.text("#payouts_total")) > 0
    assert re.fullmatch(r"Round: (\d+%|-)", view.text("#luck_current_round"))
    assert re.fullmatch(r"7d: \d+%", view.text("#luck_seven_days"))
    assert view.text("#best_share") != ""
    assert any(value > 0 for _, value in lines["Hashrate"])


def test_what_the_dashboard_reacts_to(pool, browser):
    view = opened(browser, "dashboard.html")
    drawn(view, "hashrate-graph")
    for period in PERIODS:
        with view.page.expect_response(re.compile(f"pool_rates/last_{period}")):
            view.page.click(f"button.time-btn[data-period={period}] >> nth=0")
        drawn(view, "hashrate-graph")

    def blocks() -> list[Any]:
        """Those of the chart, which ends in the middle of its newest bin."""
        view.page.click("button.time-btn[data-period=hour] >> nth=0")
        view.pause(1)
        return drawn(view, "hashrate-graph")["Blocks"]

    (newest, *_) = view.wait_for("blocks in the chart", blocks)
    assert newest["block"]["status"] in ("pending", "confirmed", "orphaned")
    for series in ("doa", "workers", "lucktrend", "netdiff"):
        view.page.click(f".legend-item[data-series={series}] >> nth=0")
    with view.page.expect_response(re.compile("local_stats")):
        view.page.click("text=🔄 Refresh")
    view.page.click("#auto-refresh-btn")
    view.page.click("button.fullscreen-btn")
    view.wait_for("full screen", lambda: len(view.tell("() => Object.keys(window.drawn)")) == 2)
    view.page.click("button.fullscreen-close")
    view.page.click("tr.miner-row >> nth=0")
    is_well(view)


@pytest.mark.parametrize("period", [period.capitalize() for period in PERIODS])
def test_graphs(pool, browser, period):
    view = opened(browser, f"graphs.html?{period}")
    for holder in ("local", "local_shares", "payout", "pool", "peers", "traffic_rate", "memory_usage"):
        view.wait_for(f"graph {holder}", lambda holder=holder: view.page.query_selector(f"#{holder} path"))
    view.wait_for("graphs of miners", lambda: len(view.texts("#miners h3")) == 3)
    is_well(view)
    labels = svg_text(view, "traffic_rate")
    assert "p2p/in" in labels
    assert "p2p/out" in labels
    assert "incoming" in svg_text(view, "peers")
    assert "Total" in svg_text(view, "local")
    assert sorted(view.texts("#miners h3")) == sorted(pool.get("web/graph_data/current_payouts/last_hour")[0][1])
    lines = view.tell("() => [...document.querySelectorAll('path')].map((path) => path.getAttribute('d'))")
    assert not any("NaN" in line or "Infinity" in line for line in lines)


def test_graphs_without_a_period_show_a_day(pool, browser):
    view = opened(browser, "graphs.html")
    view.page.wait_for_url("**/graphs.html?Day")
    view.wait_for("graph", lambda: view.page.query_selector("#memory_usage path"))
    is_well(view)


def test_stratum(pool, browser):
    view = opened(browser, "stratum.html")
    view.wait_for("workers", lambda: len(view.texts("#workers-table tbody tr")) > 6)
    view.wait_for("the threat level", lambda: view.text("#threat-badge") not in ("", "-"))
    is_well(view)
    figures = pool.get("stratum_stats")
    assert int(view.text("#connections")) == figures["pool"]["connections"]
    assert int(view.text("#workers")) == len(figures["workers"])
    assert int(view.text("#total_accepted").replace(",", "")) > 0
    rows = view.texts("#workers-table tbody tr")
    assert all(re.search(r" \d+s ago [\d.]+ (seconds|minutes)$", row) for row in rows), rows
    assert view.tell("(name) => !!document.querySelector(`td[title='${name}']`)", HOSTILE)
    assert [row.split(" ", 2)[:2] for row in view.texts("#ip-connections-table tbody tr")] == [["host", "1"]]
    assert "(7 workers)" in view.text("#ip-connections-table tbody")
    assert re.fullmatch(r"[\d.]+", view.text("#rate_10s"))
    assert re.fullmatch(r"[\d.]+x", view.text("#burst_ratio"))
    assert re.fullmatch(r"[\d.]+%", view.text("#rate_limit_pct"))
    assert view.text("#max_conn_per_ip") == "1000"
    assert int(view.text("#shares_total").replace(",", "")) > 0
    assert "NaN" not in view.text("body")
    view.page.click("text=🔄 Refresh")
    view.page.click("#auto-refresh-btn")
    view.page.click("text=Banned Workers")
    is_well(view)


def test_miners(pool, browser):
    view = opened(browser, "miners.html")
    view.wait_for("cards", lambda: len(view.texts(".miner-card")) == 3)
    is_well(view)
    assert RATE.match(view.text("#total_hashrate"))
    assert view.text("#total_miners") == "3"
    assert MARKUP in view.text("#miners_grid")
    assert view.text("#version") == pool.get("web/version")
    view.page.click(f"a[href='miner.html?address={SECOND}']")
    view.wait_for("the miner", lambda: SECOND in view.text("#miner_address"))
    is_well(view)


def test_a_miner(pool, browser):
    wait_for("a block that pays it", lambda: pool.get(f"miner_payouts/{FIRST}")["blocks"])
    view = opened(browser, f"miner.html?address={FIRST}")
    view.wait_for("blocks", lambda: view.texts("#blocks_tbody tr"))
    lines = drawn(view, "combined_chart")
    is_well(view)
    assert FIRST in view.text("#miner_address")
    assert RATE.match(view.text("#current_hashrate"))
    assert RATE.match(view.text("#avg_24h_hashrate"))
    assert float(view.text("#current_payout").split()[0]) > 0
    assert float(view.text("#share_difficulty")) > 0
    assert any(word in view.text("#blocks_tbody") for word in ("PENDING", "CONFIRMED"))
    assert all(value > 0 for _, value in lines["Hashrate"])
    assert drawn(view, "payout_chart")["Payout"]
    for label in ("1 Day", "1 Week", "1 Month", "1 Hour"):
        view.page.click(f"button:text-is('{label}')")
    is_well(view)


@pytest.mark.parametrize("address", ["yNobody", "<img src=x onerror=alert(1)>", ""])
def test_an_unknown_miner(pool, browser, address):
    view = opened(browser, f"miner.html?address={address}")
    told = view.wait_for("the error", lambda: view.text("#miner_error"))
    is_well(view)
    assert told == ("Miner not found" if address else told)


def test_shares(pool, browser):
    best, first = pool.get("web/best_share_hash"), pool.get("web/tails")[0]
    view = opened(browser, f"share.html#{best}")
    view.wait_for("the share", lambda: "Payout address:" in view.text("body"))
    text = view.text("body")
    assert f"Share {best[-8:]}" in text
    assert "Verified: true" in text
    assert "Coinbase (raw): 0" in text
    assert re.search(r"Value: [\d.]+ ", text)
    for hash_, expected in ((first, "Parent: None"), ("1" * 64, "share not found")):
        view.tell("(hash) => { location.hash = hash; }", hash_)
        view.wait_for(expected, lambda expected=expected: expected in view.text("body"))
    is_well(view)
