"""Pages of nodes in states that an operator sees seldom, and a new one sees first: without Dash Core, without a
share or a peer, and with ten thousand workers. Pictures are kept as build/screenshots/STATE-PAGE-WIDTH.png; those
of a busy node with hostile, long and right-to-left names are of `test_looks`."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.pages.browser import Browser, View, running_browser, skip_without_chromium
from tests.e2e.pages.layout import faults
from tests.e2e.pages.pool import CROWD_ADDRESSES, FIRST
from tests.e2e.process import NodeProcess, free_port, wait_for

pytestmark = pytest.mark.e2e
WIDTHS = (360, 1440)
EMPTY_PAGES = (
    *("index", "miners", f"worker.html?name={FIRST}", "stratum", "blocks", "payouts", "chain", "peers", "graphs"),
    *("node", "events", "help"),
)
CROWDED_PAGES = (
    "index",
    "miners",
    f"worker.html?name={FIRST}",
    f"worker.html?name={FIRST}.rig-7",
    "stratum",
    "peers",
)
WORKERS = 10_000
WORKERS_OF_A_CONNECTION = 250
NO_FIGURE = re.compile(r"\b(?:NaN|undefined|null|Infinity)\b|\[object|∞")
"""What a figure that is not known must not be shown as."""
MAX_LOAD = 150_000
"""Bytes that a page may load, however many miners there are."""


@contextmanager
def without_dashd(directory: Path) -> Iterator[NodeProcess]:
    """A node whose Dash Core does not run."""
    daemon = ("--dashd-address", "127.0.0.1", "--dashd-rpc-port", str(free_port()))
    daemon += ("--dashd-p2p-port", str(free_port()), "u", "p")
    with NodeProcess(directory, *daemon, embedded=False) as node:
        node.wait_for_line("dashboard: ")
        yield node


@contextmanager
def empty(directory: Path) -> Iterator[NodeProcess]:
    """A node that has just started: no miner, no share, no peer."""
    with NodeProcess(directory, "--simnet-miners", "0") as node:
        wait_for("figures", lambda: node.try_get("api/v1/pool"))
        yield node


@contextmanager
def crowded(directory: Path) -> Iterator[NodeProcess]:
    """A node without a peer, with ten thousand workers that only log in."""
    with empty(directory) as node, ExitStack() as stack:
        for number in range(WORKERS // WORKERS_OF_A_CONNECTION):
            miner = stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
            address = CROWD_ADDRESSES[number % len(CROWD_ADDRESSES)]
            names = (
                f"{address}.rig-{number // len(CROWD_ADDRESSES) * WORKERS_OF_A_CONNECTION + n}"
                for n in range(WORKERS_OF_A_CONNECTION)
            )
            requests = [
                ("mining.subscribe", ["crowd/1.0"]),
                *(("mining.authorize", [name, "x"]) for name in names),
            ]
            lines = (
                json.dumps({"id": id, "method": method, "params": params})
                for id, (method, params) in enumerate(requests)
            )
            miner.sendall("".join(f"{line}\n" for line in lines).encode())
        wait_for("all workers", lambda: (node.try_get("api/v1/stratum") or {}).get("workers") == WORKERS)
        yield node


STATES: dict[str, tuple[Callable[[Path], AbstractContextManager[NodeProcess]], tuple[str, ...]]] = {
    "without-dashd": (without_dashd, EMPTY_PAGES),
    "empty": (empty, EMPTY_PAGES),
    "crowded": (crowded, CROWDED_PAGES),
}


def _open(browser: Browser, address: str, width: int, loaded: list[int]) -> View:
    def count(view: View) -> None:
        session = view.page.context.new_cdp_session(view.page)
        session.send("Network.enable")
        session.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))

    view = browser.open(address, width=width, prepare=count)
    view.page.wait_for_selector("#live:is([data-state=live], [data-state=polling])")
    view.pause(1.5)
    return view


@pytest.mark.parametrize("state", STATES)
def test_pages_in_a_rare_state(state, tmp_path):
    skip_without_chromium()
    run, pages = STATES[state]
    wrong: dict[tuple[str, int], list[str]] = {}
    with run(tmp_path) as node, running_browser(f"http://127.0.0.1:{node.port}/static/") as browser:
        for page in pages:
            name = re.sub(r"\.html\?name=.*?(?=\.|$)", "", page)
            for width in WIDTHS:
                loaded: list[int] = []
                view = _open(browser, page if "." in page else f"{page}.html", width, loaded)
                view.picture(f"{state}-{name}-{width}")
                found = [*faults(view), *NO_FIGURE.findall(view.text("main"))]
                if state == "crowded" and sum(loaded) > MAX_LOAD:
                    found.append(f"{sum(loaded)} bytes")
                found += [each for each in view.record.trouble if "503" not in each and "404" not in each]
                wrong[name, width] = found
                browser.close()
    assert {where: found for where, found in wrong.items() if found} == {}
    assert len(wrong) == len(WIDTHS) * len(pages)
