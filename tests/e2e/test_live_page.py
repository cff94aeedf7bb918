"""The first page in a browser, live: it asks for no view while the WebSocket stands, asks where that is blocked,
and comes back after the node was away. Skipped where there is no Chromium, or no Node.js, to try it with."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from p2pool.web.live_patch import difference
from tests.e2e.process import PATIENCE, NodeProcess, free_port, wait_for
from tests.e2e.websocket_client import WebSocket
from tests.support import ROOT

pytestmark = pytest.mark.e2e
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NODE_JS = shutil.which("node")
BLOCK = """
    window.WebSocket = class {
        constructor() { setTimeout(() => this.onclose?.({}), 20); }
        close() {}
    };
"""
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


class Page:
    """A page, through the browser's debugging port."""

    def __init__(self, port: int) -> None:
        def look() -> str | None:
            try:
                targets = requests.get(f"http://127.0.0.1:{port}/json", timeout=5).json()
            except requests.RequestException:
                return None
            return next((each["webSocketDebuggerUrl"] for each in targets if each["type"] == "page"), None)

        path = wait_for("a page", look).partition(str(port))[2]
        self._link = WebSocket(port, path, patience=PATIENCE)
        self._number = 0

    def ask(self, method: str, **params: Any) -> Any:
        """A command of the debugging protocol."""
        self._number += 1
        self._link.send({"id": self._number, "method": method, "params": params})
        return self._link.wait_for(id=self._number)["result"]

    def tell(self, expression: str) -> Any:
        """The value of an expression on the page."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def text(self, element: str) -> str:
        """What an element says."""
        return self.tell(f"document.getElementById('{element}')?.textContent ?? ''")

    def asked_for(self) -> list[str]:
        """The views that the page fetched so far; history, which its graph is of, is no view."""
        names = "performance.getEntriesByType('resource').map((e) => [e.initiatorType, e.name])"
        fetched = json.loads(self.tell(f"JSON.stringify({names})"))
        return [name.rpartition("/")[2] for kind, name in fetched if kind == "fetch" and "/history/" not in name]

    def wait_for_change(self, element: str) -> None:
        """An element says something else than now."""
        before = self.text(element)
        wait_for(f"change of {element}", lambda: self.text(element) != before)


@contextmanager
def browser(directory: Path) -> Iterator[Page]:
    """A browser with an empty page."""
    port = free_port()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update"]
    flags += [f"--user-data-dir={directory / 'profile'}", f"--remote-debugging-port={port}", "about:blank"]
    with open(directory / "browser.log", "wb") as log:
        process = subprocess.Popen([str(CHROMIUM), *flags], stdout=log, stderr=log)
    try:
        yield Page(port)
    finally:
        process.terminate()
        process.wait(PATIENCE)


@needs_chromium
def test_a_page_is_live_without_asking_and_comes_back(tmp_path):
    port = free_port()
    arguments = ("--simnet-miners", "1", "--simnet-block-period", "5")
    with browser(tmp_path) as page:
        with NodeProcess(tmp_path, *arguments, port=port) as node:
            wait_for("figures", lambda: node.try_get("local_stats"))
            page.ask("Page.navigate", url=f"http://127.0.0.1:{port}/")
            wait_for("live page", lambda: page.text("live").startswith("Live, "))
            for _ in range(4):
                page.wait_for_change("n-uptime")
            wait_for("a share", lambda: page.text("shares-count") not in ("", "0"))
            assert page.asked_for() == []
            node.interrupt()
        wait_for("the banner", lambda: "No connection to the node" in page.text("banner"))
        assert set(page.asked_for()) >= {"node"}
        with NodeProcess(tmp_path, *arguments, port=port, log="again.log"):
            wait_for("live page", lambda: "No connection" not in page.text("banner"))
            wait_for("live updates", lambda: _asks_no_more(page))
            page.wait_for_change("n-uptime")


def _asks_no_more(page: Page) -> bool:
    """For five changes, of which there is one a second: it would have asked twice."""
    before = len(page.asked_for())
    for _ in range(5):
        page.wait_for_change("n-uptime")
    return len(page.asked_for()) == before


@needs_chromium
def test_where_the_way_is_blocked_the_page_asks(tmp_path):
    with browser(tmp_path) as page, NodeProcess(tmp_path, "--simnet-miners", "1") as node:
        wait_for("figures", lambda: node.try_get("local_stats"))
        page.ask("Page.enable")
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=BLOCK)
        page.ask("Page.navigate", url=f"http://127.0.0.1:{node.port}/")
        wait_for("live page", lambda: page.text("live").startswith("Live, "))
        for _ in range(3):
            page.wait_for_change("n-uptime")
        wait_for("a share", lambda: page.text("shares-count") not in ("", "0"))
        assert page.asked_for().count("node") >= 3


# --- patches in the page's own language --------------------------------------------------------------------------


def _some_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(6 if depth < 4 else 3)
    if kind == 0:
        return rng.choice([None, "", "a", 'ü"'])
    if kind < 3:
        return rng.choice([rng.randrange(5), rng.random()])
    if kind == 3:
        return [_some_value(rng, depth + 1) for _ in range(rng.randrange(6))]
    keys = ["a", "b", "c", "0", "__proto__", "constructor", "toString", "value", "keep", "length"]
    return {key: _some_value(rng, depth + 1) for key in rng.sample(keys, rng.randrange(len(keys)))}


def _changed(rng: random.Random, value: Any) -> Any:
    """The value with something else in it."""
    if isinstance(value, list) and value and rng.random() < 0.8:
        if rng.random() < 0.5:
            return [_some_value(rng, 3), *value][: rng.randint(1, len(value) + 1)]
        at = rng.randrange(len(value))
        return [*value[:at], _changed(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        rest = {name: each for name, each in value.items() if name != key}
        return rest if rng.random() < 0.3 else {**rest, key: _changed(rng, value[key])}
    return _some_value(rng)


@pytest.mark.skipif(NODE_JS is None, reason="there is no Node.js on this machine")
def test_the_page_applies_patches_as_they_are_meant(tmp_path):
    rng = random.Random(11)
    cases = []
    while len(cases) < 2000:
        old = _some_value(rng)
        new = _changed(rng, old)
        patch = difference(old, new)
        if patch is not None:
            cases.append([old, patch, new])
    assert {name for _, patch, _ in cases for name in patch} == {"value", "set", "in", "gone", "first", "keep"}
    for name in ("live.js", "api.js", "language.js"):
        shutil.copy(ROOT / "web-static" / "js" / name, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    (tmp_path / "try.js").write_text("""
        import { readFileSync } from "node:fs";
        import { isDeepStrictEqual } from "node:util";
        import { applyPatch } from "./live.js";
        const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
        const wrong = cases.filter(([old, patch, wanted]) => !isDeepStrictEqual(applyPatch(old, patch), wanted));
        console.log(JSON.stringify([cases.length, wrong.slice(0, 3)]));
    """)
    command = [str(NODE_JS), str(tmp_path / "try.js"), str(tmp_path / "cases.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [2000, []]
