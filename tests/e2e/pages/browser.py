"""The system's Chromium, driven by Playwright: pages in tabs of their own, a record of all that they do, and
pictures of them under build/screenshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import wait_for
from tests.support import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
PICTURES = ROOT / "build" / "screenshots"
HEIGHT = 900
WIDTHS = (360, 768, 1440)
PATIENCE = 120.0
"""Seconds that a page may take for anything on a busy machine. An idle one has news of the pool every few."""
MILLISECONDS = 1000.0


_ROWS = """(holder) => [...document.querySelectorAll(`#${holder} tbody tr[role=row]`)].map((row) =>
    Object.fromEntries([...row.cells].map((cell) => {
        const text = (cell.querySelector(".is-long") ?? cell).textContent;
        return [cell.dataset.label, text.replaceAll("\\u00a0", " ")];
    })))
"""


class Record:
    """What a page did so far. `trouble`: whatever it, or the browser, complained of."""

    def __init__(self, page: Any) -> None:
        self.requests: list[str] = []
        self.sockets: list[str] = []
        self.trouble: list[str] = []
        self.documents = 0
        page.on("request", self._asked)
        page.on("websocket", lambda socket: self.sockets.append(socket.url))
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.trouble.append(f"exception: {error}"))
        page.on("dialog", self._popped_up)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _asked(self, request: Any) -> None:
        self.requests.append(request.url)
        self.documents += request.is_navigation_request()

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.trouble.append(f"console: {message.text} ({message.location['url']})")

    def _popped_up(self, dialog: Any) -> None:
        self.trouble.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page itself gave up, on its way elsewhere
            self.trouble.append(f"failed: {request.url}: {request.failure}")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.trouble.append(f"refused: {response.url}: {response.status}")


_LAY_OUT = """(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(".panel { content-visibility: visible !important; }");
    document.adoptedStyleSheets = [sheet];
})()"""


class View:
    """A page in a tab of its own. `page` is Playwright's."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.record = Record(page)

    def text(self, selector: str) -> str:
        """What an element says, as read; blanks are ordinary ones. Empty while it is not there."""
        found = self.page.query_selector(selector)
        return "" if found is None else " ".join(found.inner_text().split())

    def texts(self, selector: str) -> list[str]:
        """What each of several elements says."""
        return [" ".join(text.split()) for text in self.page.locator(selector).all_inner_texts()]

    def rows(self, holder: str) -> list[dict[str, str]]:
        """What stands in a table, by its columns' names: of texts in a long and a short form the long one."""
        return self.tell(_ROWS, holder)

    def tell(self, expression: str, *argument: Any) -> Any:
        """The value of an expression on the page."""
        return self.page.evaluate(expression, *argument)

    def lay_out(self) -> None:
        """All of it at once, as if the reader had been everywhere: phones skip what is far away until then."""
        self.page.evaluate(_LAY_OUT)

    def pause(self, seconds: float) -> None:
        """Let the page go on."""
        self.page.wait_for_timeout(seconds * MILLISECONDS)

    def wait_for(self, what: str, look: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """The first true value of `look()`, while the page goes on."""
        return wait_for(what, look, patience)

    def wait_until_live(self) -> View:
        """It follows the node, and nothing that is seen waits for an answer any more."""
        self.page.wait_for_selector("#live[data-state=live]", timeout=PATIENCE * MILLISECONDS)
        waiting = self.page.get_by_text("Loading…").filter(visible=True)
        self.wait_for("answers", lambda: waiting.count() == 0)
        return self

    def wait_for_change(self, selector: str) -> None:
        """An element says something else than now."""
        before = self.text(selector)
        self.wait_for(f"change of {selector}", lambda: self.text(selector) != before)

    def picture(self, name: str) -> Path:
        """All of the page, kept as an artefact."""
        self.lay_out()
        path = PICTURES / f"{name}.png"
        self.page.screenshot(path=path, full_page=True, animations="disabled")
        return path

    def keep(self, name: str) -> None:
        """A picture, complaints and requests, for who looks into a failure."""
        picture = self.picture(name)
        lines = [self.page.url, "", *self.record.trouble, "", *self.record.requests]
        picture.with_suffix(".txt").write_text("\n".join(lines) + "\n", "utf-8")


class Browser:
    """Opens pages below `url`. Playwright's own `engine` is one process for all of them."""

    def __init__(self, engine: Any, url: str) -> None:
        self._engine = engine
        self._url = url
        self.views: list[View] = []
        """The open ones."""

    def open(
        self,
        path: str,
        width: int = 1440,
        scheme: str = "light",
        prepare: Callable[[View], None] = lambda _: None,
        locale: str = "en-GB",
        is_whole: bool = True,
    ) -> View:
        """A page of the node, in a profile without a past. `prepare` is done before it is asked for.

        Unless `is_whole`, a phone lays out what is far away when the reader comes near, and texts there are empty.
        """
        context = self._engine.new_context(
            viewport={"width": width, "height": HEIGHT},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale=locale,
            timezone_id="Europe/Berlin",
        )
        context.set_default_timeout(PATIENCE * MILLISECONDS)
        view = View(context.new_page())
        if is_whole:
            view.page.add_init_script(_LAY_OUT)
        self.views.append(view)
        prepare(view)
        view.page.goto(self._url + path)
        return view

    def another(self) -> Browser:
        """The same, with pages of its own."""
        return Browser(self._engine, self._url)

    def close(self) -> None:
        """Closes all pages."""
        for view in self.views:
            view.page.context.close()
        self.views.clear()


def skip_without_chromium() -> None:
    """The test that asks for it, or for a browser, is skipped where the machine has none."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt install chromium)")


class _Shared:
    """The one Playwright of this process: it cannot be started a second time while it runs."""

    def __init__(self) -> None:
        self._playwright: Any = None
        self._users = 0

    def __enter__(self) -> Any:
        from playwright.sync_api import sync_playwright

        if not self._users:
            self._playwright = sync_playwright().start()
        self._users += 1
        return self._playwright

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            self._playwright.stop()


_shared = _Shared()


@contextmanager
def running_browser(url: str) -> Iterator[Browser]:
    """A browser. Several may run at once."""
    skip_without_chromium()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with _shared as playwright:
        engine = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield Browser(engine, url)
        finally:
            engine.close()
