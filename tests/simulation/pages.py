"""An invariant about people: whatever happens to a node, each of its pages has an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from p2pool.dash.hashes import hash_hex
from p2pool.web.api.table import ENDPOINTS
from tests.simulation.invariants import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

PERIOD: Final = 3600.0
"""Seconds between two readings of all pages of all nodes."""
FIRST: Final = 600.0
_READER: Final = IPv4Address("TCP", "10.0.0.1", 1)
_EXPECTED: Final = (200, 400, 404, 503)
"""Statuses: 503 while the node starts, or if history is behind."""


class PagesAnswer(Invariant):
    """Every endpoint and /metrics answer within a minute, and not with an internal error."""

    def __init__(self, simulation: Any) -> None:
        super().__init__(simulation)
        self._next = FIRST
        self._asked: list[tuple[Machine, Any, str, StringTransport]] = []
        self.answers = 0

    def each_minute(self) -> None:
        self._check()
        if self.simulation.events.now < self._next or not self.simulation.world.surroundings:
            return
        self._next += PERIOD
        for machine in self.simulation.machines:
            process = machine.process
            if process is not None and process.app is not None and not process.reactor.frozen:
                process.reactor.call(self._ask_all, machine)

    def _ask_all(self, machine: Machine) -> None:
        process = machine.process
        assert process is not None
        assert process.app is not None
        site = process.app.web.site
        if site is None:
            return
        for path in [*(each.path for each in ENDPOINTS), "/metrics", "/static/index.html"]:
            channel, transport = site.buildProtocol(_READER), StringTransport()
            channel.makeConnection(transport)
            request = f"GET {self._filled(path, process)} HTTP/1.1\r\nHost: simulated\r\nConnection: close\r\n\r\n"
            channel.dataReceived(request.encode())
            self._asked.append((machine, process, path, transport))

    def _filled(self, path: str, process: Any) -> str:
        """Return a path with parameters that there may be an answer to."""
        best = process.node.best_share
        address = process.config.payout_address
        known = {
            "hash": "1" * 64 if best is None else hash_hex(best),
            "source": "pool_rates",
            "view": "last_day",
            "total": "12.5",
            "trunc": "0.5",
            "name": f"{address}.rig",
            "address": address,
        }
        return re.sub(r"\{(\w+)\}", lambda match: known[match[1]], path)

    def _check(self) -> None:
        asked, self._asked = self._asked, []
        for machine, process, path, transport in asked:
            if machine.process is not process or process.reactor.frozen or machine.disk.delay:
                continue
            words = transport.value().split(b" ", 2)
            status = int(words[1]) if len(words) > 1 else None
            if status not in _EXPECTED:
                raise Violation(f"{machine.name} answers {status} to GET {path}")
            self.answers += 1

    def summary(self) -> Iterator[str]:
        if self.answers:
            yield f"{self.answers} pages read"
