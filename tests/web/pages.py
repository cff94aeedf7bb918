"""A web site in memory: requests as bytes in, answers taken apart."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from p2pool.dashd.broadcaster import BroadcasterPeer
from p2pool.dashd.figures import DashCoreFigures
from p2pool.dashd.payout_addresses import OwnAddress, PayoutAddresses
from p2pool.dashd.pool import DaemonFigures
from p2pool.dashd.template import BlockTemplate
from p2pool.history.database import parse_database_location
from p2pool.history.service import History
from p2pool.node import Node, NodeSettings
from p2pool.peers.figures import PeerFigures
from p2pool.pool_stats import PoolStats
from p2pool.sharechain.tracker import Tracker
from p2pool.web.samples import restored_samples
from p2pool.web.site import WebSite
from p2pool.web.sources import Snapshot, Sources
from p2pool.web.views import Views
from tests.chains import NOW, easy_network, grow_chain
from tests.environment import PostponingReactor, make_environment
from tests.support import make_template


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        assert self.headers["content-type"] == "application/json; charset=utf-8"
        return json.loads(self.body)


def take_apart(data: bytes) -> Answer:
    """The one answer that `data` is."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


class Pool:
    """A node at the end of a chain of `count` shares, its views and its site. `problem` is dashd's; `vote` gives
    the version that a share of the chain votes for, by its number."""

    miner: str
    short: Any
    late: Any
    fork: Any
    detached: Any
    orphans: Any
    """What those who make one give it besides."""

    def __init__(
        self,
        count: int = 0,
        template: BlockTemplate | None = None,
        web_static: Path = Path("/nowhere"),
        chain_length: int = 200,
        keeps_history: bool = False,
        custom_pages: bool = False,
        vote: Callable[[int], int] | None = None,
        pace: float = 20.0,
    ) -> None:
        network = easy_network(chain_length)
        self.tracker = Tracker(network)
        self.shares = grow_chain(self.tracker, template or make_template(), count, 3, vote=vote, pace=pace)
        self.now = NOW + count * pace + 5
        self.stats = PoolStats(NOW)
        settings = NodeSettings(lambda: b"\x01" * 20, 0.5, 655)
        self.node = Node(
            make_environment(
                PostponingReactor(lambda call: call()), clock=lambda: self.now, chance=random.Random(2)
            ),
            network,
            tracker=self.tracker,
            settings=settings,
            stats=self.stats,
        )
        self.node.loaded()
        if template is not None:
            self.node.set_template(template)
        self.problem: str | None = None
        self.daemons: list[DaemonFigures] = []
        self.broadcaster: list[BroadcasterPeer] = []
        self.payouts = PayoutAddresses(random.Random(3), (OwnAddress("yAddress", b"\x01" * 20),))
        self.peers: list[PeerFigures] = []
        self.sources = Sources(
            self.node,
            self.stats,
            self.dashd_figures,
            lambda: None,
            lambda: self.peers,
            0.5,
            1.0,
            self.payouts,
            "1.2.3",
            history=self._history() if keeps_history else None,
        )
        if self.sources.history is not None:
            self.sources.history.restored.subscribe(
                lambda restored: self.sources.cache.restore(restored_samples(restored.samples), restored.rounds)
            )
        self.views = Views(self.sources)
        self.host = "10.0.0.1"
        """Who asks."""
        self.clock = Clock()
        self.site = WebSite(make_environment(self.clock), self.views, web_static, custom_pages=custom_pages)

    def _history(self) -> History:
        """In a file that goes with this object; its threads are this one."""
        self.directory = TemporaryDirectory()
        target = parse_database_location("--stats-db", f"{self.directory.name}/history.sqlite")
        environment = make_environment(clock=lambda: self.now)
        return History(environment, target, node_name="node", retention=30 * 86400)

    def dashd_figures(self) -> DashCoreFigures:
        warnings = [] if self.problem is None else [f"dashd: {self.problem}"]
        return DashCoreFigures(self.problem, warnings, self.daemons, self.broadcaster)

    @property
    def view_snapshot(self) -> Snapshot:
        return Snapshot(self.sources, self.stats.snapshot(self.now))

    def refresh(self) -> None:
        self.views.refresh(self.now)

    def connect(self) -> tuple:
        protocol, transport = self.site.buildProtocol(IPv4Address("TCP", self.host, 1)), StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, path: str, method: str = "GET", *headers: str) -> Answer:
        protocol, transport = self.connect()
        request = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""])
        protocol.dataReceived(request.encode("latin-1"))
        while protocol._requestProducer is not None:  # files are sent piece by piece
            protocol._requestProducer._producer.resumeProducing()
        return take_apart(transport.value())
