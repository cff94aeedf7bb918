"""Live updates of a real node: shares and blocks as they come, many browsers, slow and rude ones, pages of other
sites."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time

import pytest

from p2pool.web.live import PAGE_VIEWS
from tests.e2e.process import PATIENCE, NodeProcess, wait_for
from tests.e2e.stratum_client import StratumClient
from tests.e2e.websocket_client import PING, Closed, Refused, WebSocket, masked
from tests.web.test_live_patch import patched

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    directory = tmp_path_factory.mktemp("live")
    arguments = (
        "--simnet-miners",
        "1",
        "--simnet-block-period",
        "5",
        "--ws-allow-origin",
        "https://friend.example",
    )
    with NodeProcess(directory, *arguments) as node:
        wait_for("figures", lambda: node.try_get("local_stats"))
        yield node
        assert "Traceback" not in node.output
        with WebSocket(node.port) as last:
            last.wait_for(type="snapshot")
            assert node.interrupt() < 10
            with pytest.raises(Closed) as closed:
                last.wait_for(type="never")
        assert closed.value.code == 1001


def test_shares_and_blocks_come_at_once_and_views_within_a_second(node):
    with WebSocket(node.port) as browser:
        first = browser.message()
        assert (first["type"], set(first["views"])) == ("snapshot", PAGE_VIEWS)
        values = first["views"]
        share = block = height = None
        while share is None or block is None or height is None:
            message = browser.message()
            if message.get("event") == "dashd":  # a new block of the chain
                height = message.get("height", height)
            elif message["type"] == "changes":
                for view, patch in message["views"].items():
                    values[view] = patched(values[view], patch)
            elif message["event"] == "share":
                share = message
                assert abs(time.time() - share["time"]) < 10  # on a busy machine, too
                assert node.get(f"web/share/{share['hash']}")["hash"] == share["hash"]
            elif message["event"] == "block" and message["status"] == "accepted":
                block = message
        assert share["own"] is True

        def apply_until(view: str, hashes: set[str]) -> None:
            while not hashes <= {entry["hash"] for entry in values[view]}:
                message = browser.message()
                if message["type"] == "changes":
                    for name, patch in message["views"].items():
                        values[name] = patched(values[name], patch)

        apply_until("recent_shares", {share["hash"]})
        apply_until("recent_blocks", {block["hash"]})
        assert block["hash"] in [each["hash"] for each in node.get("recent_blocks")]
        wait_for("the height in its view", lambda: height <= node.get("global_stats")["block_height"])


def test_what_is_live_is_what_is_polled(node):
    """The sum of all changes is what a new snapshot says."""
    views = "local_stats,global_stats,recent_shares,current_payouts,stratum_stats,recent_blocks"
    with WebSocket(node.port, f"/ws?views={views}") as browser:
        values, moment = {}, 0.0
        until = time.monotonic() + 6
        while time.monotonic() < until:
            message = browser.message()
            if message["type"] == "snapshot":
                values = message["views"]
            elif message["type"] == "changes":
                for view, patch in message["views"].items():
                    values[view] = patched(values[view], patch)
            else:
                continue
            moment = message["time"]
        # A snapshot of the same second, or the one before or after it.
        for _ in range(20):
            with WebSocket(node.port, f"/ws?views={views}") as other:
                snapshot = other.wait_for(type="snapshot")
            while moment < snapshot["time"]:
                message = browser.message()
                if message["type"] == "changes":
                    for view, patch in message["views"].items():
                        values[view] = patched(values[view], patch)
                    moment = message["time"]
            if moment == snapshot["time"]:
                break
        assert moment == snapshot["time"]
        assert values == snapshot["views"]


def test_fifty_browsers(node):
    with contextlib.ExitStack() as stack:
        browsers = [stack.enter_context(WebSocket(node.port)) for _ in range(50)]
        for browser in browsers:
            assert browser.message()["type"] == "snapshot"
        # The first one after all of them were there: those before it came while others still connected.
        share = browsers[-1].wait_for(event="share")["hash"]
        for browser in browsers[:-1]:
            assert browser.wait_for(event="share", hash=share)
        for browser in browsers:
            browser.wait_for(type="changes")


def test_a_peer_that_comes_and_goes_is_reported(node, tmp_path):
    with WebSocket(node.port) as browser:
        browser.wait_for(type="snapshot")
        other = NodeProcess(
            tmp_path,
            *("--simnet-miners", "0", "--disable-upnp", "-n", f"127.0.0.1:{node.p2pool_port}"),
        )
        with other:
            peer = browser.wait_for(event="peer")
            assert (peer["connected"], peer["incoming"], peer["peers"]) == (True, True, 1)
            assert other.interrupt() < 10
        peer = browser.wait_for(event="peer")
        assert (peer["connected"], peer["peers"]) == (False, 0)


def test_pages_of_other_sites_may_not_listen(node):
    own = f"Origin: http://127.0.0.1:{node.port}"
    for allowed in (own, "Origin: https://friend.example"):
        with WebSocket(node.port, "/ws", allowed) as browser:
            assert browser.message()["type"] == "snapshot"
    for refused in ("Origin: https://evil.example", "Origin: null", f"Origin: http://127.0.0.1:{node.port + 1}"):
        with pytest.raises(Refused) as caught:
            WebSocket(node.port, "/ws", refused)
        assert caught.value.status == 403
        assert json.loads(caught.value.body)["error"]["code"] == "origin_not_allowed"


def test_one_address_may_have_so_many(node):
    with contextlib.ExitStack() as stack:
        with pytest.raises(Refused) as caught:
            for _ in range(150):
                stack.enter_context(WebSocket(node.port, "/ws?views=fee", source="127.0.0.9"))
        assert caught.value.status == 503
        with WebSocket(node.port, source="127.0.0.8") as browser:
            assert browser.message()["type"] == "snapshot"
    wait_for("room", lambda: _is_let_in(node))


def _is_let_in(node) -> bool:
    try:
        with WebSocket(node.port, source="127.0.0.9"):
            return True
    except Refused:
        return False


def test_a_rude_one_is_closed(node):
    with WebSocket(node.port) as browser:
        browser.wait_for(type="snapshot")
        browser.send({"type": "shutdown"})
        with pytest.raises(Closed) as closed:
            browser.wait_for(type="never")
        assert closed.value.code == 1008
        assert "neither a ping nor a subscription" in closed.value.reason
    with WebSocket(node.port) as browser:
        browser.wait_for(type="snapshot")
        with pytest.raises((Closed, OSError)):
            for _ in range(1000):
                browser.socket.sendall(masked(1, b"x" * 4000, final=False))
            browser.wait_for(type="never")


def test_a_slow_reader_is_closed_and_others_do_not_notice(node):
    """It asks for snapshots that are larger, all together, than what both kernels hold, and reads nothing."""
    address = "yWYgxGLCVD2uLjQP9awGC8Y1TySKxg47yU"
    asked = masked(1, b'{"type":"subscribe","views":["stratum_stats","local_stats"]}')
    with contextlib.ExitStack() as stack:
        for number in range(600):
            miner = stack.enter_context(StratumClient(node.port))
            miner.login(f"{address}.{'w' * 60}{number}")
        wait_for("many workers", lambda: node.get("stratum_stats")["pool"]["workers"] >= 600)
        quick = stack.enter_context(WebSocket(node.port))
        slow = stack.enter_context(WebSocket(node.port, "/ws?views=fee", receive_buffer=4096))
        for _ in range(9):
            slow.socket.sendall(asked)
            quick.wait_for(type="changes")
        deadline = time.monotonic() + PATIENCE
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < deadline:
                slow.socket.sendall(masked(PING, b""))
                quick.wait_for(type="changes")
        quick.wait_for(type="changes")


def test_the_worker_port_still_serves_both(node):
    """Connections that were WebSockets are given back: far more of them than may stand at a time."""
    for number in range(150):
        with WebSocket(node.port, "/ws?views=fee", source=f"127.0.0.{10 + number % 4}") as browser:
            if number % 2:
                browser.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                browser.message()
    assert node.get("local_stats")["connections"] >= 1
