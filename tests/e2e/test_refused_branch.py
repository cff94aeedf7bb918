"""A peer whose rules are laxer than this node's, as c2pool-dash's are, with the majority of the network's work."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest
import requests

from p2pool.networks import SIMNET
from p2pool.peers.messages import (
    GOOD,
    MAX_PAYLOAD,
    Envelope,
    Message,
    PeerAddress,
    PeerVersion,
    ShareReply,
    ShareReq,
    Shares,
    parse_message,
)
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from p2pool.wire.framer import Framer, frame
from tests.e2e.alert_servers import hook_server
from tests.e2e.process import NodeProcess, wait_for
from tests.share.builder import share_of, valid_draft

pytestmark = pytest.mark.e2e

SOFTWARE = "c2pool"
REASON = "wrong absheight"


class LaxPeer:
    """A connection to a node; what the node asks for is answered with nothing."""

    def __init__(self, port: int) -> None:
        self._framer = Framer(SIMNET.prefix, MAX_PAYLOAD)
        self.asked: list[int] = []
        """Shares that the node asked for."""
        self._socket = socket.create_connection(("127.0.0.1", port))
        here = PeerAddress("127.0.0.1", 8999)
        self.say(PeerVersion(3600, 1, here, here, 0xC2, SOFTWARE.encode(), 1, None))
        threading.Thread(target=self._listen, daemon=True).start()

    def say(self, message: Message) -> None:
        self._socket.sendall(frame(SIMNET.prefix, message.command, message.pack()))

    def give(self, *shares: Share) -> None:
        self.say(Shares(tuple(Envelope(16, share.contents) for share in shares)))

    def _listen(self) -> None:
        with suppress(OSError):
            while data := self._socket.recv(65536):
                for command, payload in self._framer.feed(data):
                    message = parse_message(command, payload)
                    if isinstance(message, ShareReq):
                        self.asked += message.hashes
                        self.say(ShareReply(message.id, GOOD, ()))

    def close(self) -> None:
        self._socket.close()


def chain(tracker: Tracker, count: int, best: int | None, seen: int, **fields: object) -> list[Share]:
    """So many shares with work, on headers of that time; the first one with these fields changed."""
    shares = []
    for _ in range(count):
        start = {"timestamp": seen} if best is None else {}
        draft = valid_draft(tracker, best, header_timestamp=seen, **start)
        share = share_of(replace(draft, **fields))
        tracker.add(share, float(seen))
        shares.append(share)
        best, fields = share.hash, {}
    return shares


def test_the_operator_is_notified_within_a_minute_and_nobody_is_dropped(tmp_path):
    tracker, now = Tracker(SIMNET), int(time.time())
    ours = chain(tracker, 6, None, now - 900)
    tip = f"{ours[-1].hash:064x}"
    with (
        hook_server() as server,
        NodeProcess(tmp_path, "--simnet-miners", "0", "--webhook", server.url("all")) as node,
    ):
        node.wait_for_line("dashd at")
        peer = LaxPeer(node.p2pool_port)
        peer.give(*ours)
        wait_for("chain", lambda: (node.try_get("api/v1/transition") or {}).get("refused", {}).get("heard"))
        bad, *others = chain(tracker, 4, ours[-1].hash, now, absheight=99)
        began = time.monotonic()
        for share in (bad, *others):
            peer.give(share)
        event = wait_for("event", lambda: next((p.json for p in server.to("all") if told(p.json)), None), 60)
        assert time.monotonic() - began < 60
        assert (event["reason"], event["first_share"], event["software"]) == (REASON, f"{bad.hash:064x}", SOFTWARE)
        refused = node.get("api/v1/transition")["refused"]
        assert refused["split"]
        assert [(each["first_share"], each["shares"], each["software"]) for each in refused["branches"]] == [
            (f"{bad.hash:064x}", 4, {SOFTWARE: 4})
        ]
        assert any(REASON in text for text in node.get("api/v1/node")["warnings"])
        node.wait_for_line(f"is on shares that this node rejects: {REASON}", 60)
        metrics = requests.get(f"http://127.0.0.1:{node.port}/metrics", timeout=10).text
        assert "\np2pool_chain_split 1.0\n" in metrics
        assert [each["software"] for each in node.get("api/v1/peers")["peers"]] == [SOFTWARE]
        assert f"{bad.hash:064x}" not in [f"{share_hash:064x}" for share_hash in peer.asked]
        assert node.get("web/best_share_hash") == tip
        assert node.interrupt() < 5
        assert "Traceback" not in node.output
        peer.close()


def told(event: dict[str, object]) -> bool:
    return event["event"] == "chain_split"
