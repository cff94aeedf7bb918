"""Has one router forward one port, and keeps it so: when to ask, repeat, renew and check. Pure; `router_port` is
its socket.

PCP comes first, and NAT-PMP if the router knows that only. A mapping is renewed at half of its time. In between,
the router is asked every CHECK_PERIOD for how long it has run: one that was restarted has lost the mapping, which
is then made again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from p2pool.base.errors import ParseError
from p2pool.net.port_control import Answer, Dialect, NatPmp, Operation, Pcp

LEASE: Final = 3600
"""Seconds for which a mapping is asked: one that is forgotten in a crash goes away."""
SHORTEST_LEASE, LONGEST_LEASE = 120.0, 86_400.0
"""Seconds; what a router says beyond that is not believed."""
CHECK_PERIOD: Final = 300.0
_RELEASE_WAIT, _RELEASE_TRIES = 0.25, 2
"""Seconds until a release is repeated: a node that stops cannot wait for long."""
_SPREAD = 0.1
"""The part by which waits differ by chance."""


class Mapping(NamedTuple):
    """A port that a router forwards: by which protocol, its outside address and port, and when that ends by the
    clock of the client."""

    method: str
    host: str
    port: int
    expires: float


@dataclass(slots=True)
class _Request:
    operation: Operation
    packet: bytes
    wait: float
    tries: int
    """How often it may still be sent."""


class PortClient:
    """Asks a router to forward `port` to the host at `client`. Times (`now`, `due`) are seconds of a clock that
    never jumps.

    `write` gets datagrams for the router; `changed` is called when there is a mapping, another one, or none any
    more; `ignored` gets the reason for each datagram that is no answer to what was asked.
    """

    def __init__(
        self,
        client: IPv4Address | IPv6Address,
        port: int,
        nonce: bytes,
        *,
        chance: random.Random,
        write: Callable[[bytes], None],
        changed: Callable[[], None],
        ignored: Callable[[str], None],
    ) -> None:
        self.mapping: Mapping | None = None
        self.problem: str | None = None
        """Why there is no mapping, and nothing more is done for one; None until that is so."""
        self.due: float | None = None
        """When `tick` has to be called; None for never."""
        self._is_ipv4 = client.version == 4
        self._port = port
        self._chance = chance
        self._write = write
        self._changed = changed
        self._ignored = ignored
        self._dialect: Dialect = Pcp(client, port, nonce)
        self._request: _Request | None = None
        self._releases = False
        self._host = ""
        """The outside address by NAT-PMP."""
        self._suggested = "", port
        """The outside address and port that are asked for: those that the mapping had."""
        self._epoch: tuple[int, float] | None = None
        """That of the last answer, and when it came."""
        self._renew_at = 0.0

    def begin(self, now: float) -> None:
        """Ask for the mapping."""
        self._ask(self._dialect.begins_with, now)

    def release(self, now: float) -> bool:
        """Ask that the port is no longer forwarded. Return whether that takes an answer: it has come, or no longer
        matters, once `due` is None."""
        self._request = self.due = None
        if self.mapping is None:
            return False
        self._releases = True
        packet = self._dialect.map(0, "", 0)
        self._request = _Request(Operation.MAP, packet, _RELEASE_WAIT, _RELEASE_TRIES)
        self._send(self._request, now)
        return True

    # --- requests ----------------------------------------------------------------------------------------

    def _ask(self, operation: Operation, now: float) -> None:
        dialect = self._dialect
        packet = dialect.check() if operation is Operation.CHECK else dialect.map(LEASE, *self._suggested)
        self._request = _Request(operation, packet, dialect.first_wait, dialect.tries)
        self._send(self._request, now)

    def _send(self, request: _Request, now: float) -> None:
        request.tries -= 1
        self.due = now + request.wait * (1 + self._chance.uniform(-_SPREAD, _SPREAD))
        request.wait *= 2
        self._write(request.packet)

    def tick(self, now: float) -> None:
        """Do what is due by now."""
        if self.due is None or now < self.due:
            return
        if self._request is None:
            self._ask(Operation.MAP if now >= self._renew_at else Operation.CHECK, now)
        elif self._request.tries:
            self._send(self._request, now)
        else:
            self._unanswered("no answer", now)

    def refused(self, now: float) -> None:
        """Take note that nothing listens on the router's port."""
        if self._request is not None:
            self._unanswered("the router does not offer it", now)

    def _unanswered(self, why: str, now: float) -> None:
        request, self._request = self._request, None
        if self._releases:
            self.due = None
        elif self.mapping is None or now >= self.mapping.expires:
            self._fail(why)
        else:
            if request is not None and request.operation is Operation.MAP:
                self._renew_at = now + max((self.mapping.expires - now) / 2, SHORTEST_LEASE / 4)
            self._plan(now)

    def _plan(self, now: float) -> None:
        self.due = min(self._renew_at, now + CHECK_PERIOD)

    def _fail(self, why: str) -> None:
        self.mapping = self.due = self._request = None
        self.problem = f"{self._dialect.name}: {why}"
        self._changed()

    # --- answers -----------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Take a datagram from the router's address. One that is not asked for does nothing."""
        if self._request is None:
            return  # an answer to a request that was sent twice
        try:
            answer = self._dialect.read(data)
            if answer.operation is not self._request.operation:
                return
            is_mapping = answer.operation is Operation.MAP and not (answer.problem or answer.refuses_version)
            if is_mapping and not self._releases and not (answer.port and answer.lifetime):
                raise ParseError(f"a mapping to port {answer.port} for {answer.lifetime} s")
        except ParseError as error:
            self._ignored(str(error))
            return
        self._request = None
        self._take(answer, now)

    def _take(self, answer: Answer, now: float) -> None:
        before, self._epoch = self._epoch, (answer.epoch, now)
        if self._releases:
            self.due = None
        elif answer.refuses_version:
            self._begin_nat_pmp(now)
        elif answer.operation is Operation.CHECK:
            restarted = before is not None and self._dialect.has_restarted(before, self._epoch)
            self._checked(answer, restarted, now)
        elif answer.problem:
            self._fail(answer.problem)
        else:
            self._mapped(answer, now)

    def _begin_nat_pmp(self, now: float) -> None:
        if self.mapping is not None or not self._is_ipv4:
            self._fail("the router does not offer it")  # if there was a mapping, it is another router
            return
        self._dialect, self._epoch = NatPmp(self._port), None
        self._ask(self._dialect.begins_with, now)

    def _checked(self, answer: Answer, restarted: bool, now: float) -> None:
        moved = answer.host not in ("", self._host)
        self._host = answer.host or self._host
        if self.mapping is None and answer.problem:
            self._fail(answer.problem)
        elif self.mapping is None or restarted or moved:
            self._ask(Operation.MAP, now)
        else:  # a router need not know the question
            self._plan(now)

    def _mapped(self, answer: Answer, now: float) -> None:
        before = self.mapping
        lifetime = min(max(float(answer.lifetime), SHORTEST_LEASE), LONGEST_LEASE)
        host = answer.host or self._host
        self.mapping = Mapping(self._dialect.name, host, answer.port, now + lifetime)
        self._suggested = host, answer.port
        # As RFC 6887 has it: many hosts that began together do not renew together.
        self._renew_at = now + lifetime * self._chance.uniform(1 / 2, 5 / 8)
        self._plan(now)
        if before is None or before[:3] != self.mapping[:3]:
            self._changed()
