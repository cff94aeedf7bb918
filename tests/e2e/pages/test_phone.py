"""What phones need: QR codes, and a page of its own when the node does not answer."""

from __future__ import annotations

import json

import pytest

from tests.e2e.pages.browser import running_browser
from tests.e2e.process import NodeProcess, wait_for

pytestmark = pytest.mark.e2e

FINDER = "1111111" + "1000001" + "1011101" * 3 + "1000001" + "1111111"
"""The square of seven by seven modules in three corners of every QR code."""
MODULES = """(canvas) => {
    const context = canvas.getContext("2d");
    let modules = "";
    for (let y = 0; y < 7; y++) {
        for (let x = 0; x < 7; x++) {
            const [red] = context.getImageData((x + 4) * 8 + 4, (y + 4) * 8 + 4, 1, 1).data;
            modules += red === 0 ? "1" : "0";
        }
    }
    return modules;
}"""


def test_the_url_for_miners_is_a_qr_code(browser):
    view = browser.open("index.html", width=360).wait_until_live()
    button = view.page.get_by_role("button", name="QR code of the URL")
    button.click()
    dialog = view.page.get_by_role("dialog", name="QR code of the URL")
    view.wait_for("the code", dialog.is_visible)
    assert dialog.locator("canvas").evaluate(MODULES) == FINDER
    assert dialog.locator("p").inner_text() == view.text("#c-url")
    view.keep("qr-code")
    view.page.keyboard.press("Escape")
    view.wait_for("no dialog", lambda: view.page.locator("dialog").count() == 0)
    assert button.evaluate("node => node === document.activeElement")


def test_without_the_node_there_is_a_page_that_says_so(tmp_path):
    with NodeProcess(tmp_path) as node, running_browser(f"http://127.0.0.1:{node.port}/static/") as browser:
        wait_for("the node", lambda: node.try_get("local_stats"))
        view = browser.open("index.html", width=360).wait_until_live()
        active = "navigator.serviceWorker.ready.then((found) => found.active.state)"
        view.wait_for("the service worker", lambda: view.page.evaluate(active) == "activated")
        manifest = view.page.evaluate("fetch('manifest.webmanifest').then((answer) => answer.text())")
        assert json.loads(manifest)["start_url"] == "index.html"
        node.interrupt()
        view.page.goto(view.page.url)
        assert view.text("h1") == "The node does not answer"
        assert view.page.locator("body").evaluate("node => getComputedStyle(node).margin") == "0px"
        view.keep("offline")


SPY = """
window.told = [];
class Spy {
    static permission = "granted";
    static requestPermission = async () => "granted";
    constructor(title, options) { window.told.push([title, options.body]); }
}
window.Notification = Spy;
navigator.serviceWorker.getRegistration = async () => undefined;
"""
NEWS = """([kind, subject]) => import("./js/notify.js").then(
    ({ notify }) => notify({ event: "happened", kind, subject, text: `${kind} of ${subject}` }))"""


def test_notifications_are_of_what_was_wished(browser):
    view = browser.open(
        "index.html", width=360, prepare=lambda view: view.page.add_init_script(SPY)
    ).wait_until_live()
    page = view.page

    def told(*events: tuple[str, str]) -> list[list[str]]:
        page.evaluate("window.told.length = 0")
        for event in events:
            page.evaluate(NEWS, list(event))
        return page.evaluate("new Promise((done) => setTimeout(() => done(window.told), 100))")

    block, silent, other = ("block_found", "00ab"), ("worker_down", "yMine.rig1"), ("worker_down", "yOther.rig1")
    # The pool of this test finds blocks of its own: only what is told of these is looked at.
    assert [each for each in told(block, silent) if each[1].endswith(("00ab", "rig1"))] == []
    page.get_by_label("My miner went silent").check()
    assert "Remember as my miner" in view.text("#wishes p")
    assert told(silent) == []
    page.evaluate("localStorage.setItem('miner', 'yMine')")
    assert told(silent, other) == [["Miner silent", "worker_down of yMine.rig1"]]
    page.get_by_label("A block was found").check()
    page.reload()
    view.wait_until_live()
    assert page.get_by_label("A block was found").is_checked()
    assert ["Block found", "block_found of 00ab"] in told(block, other)
    page.get_by_label("A block was found").uncheck()
    page.get_by_label("My miner went silent").uncheck()
    assert [each for each in told(block, silent) if each[1].endswith(("00ab", "rig1"))] == []
