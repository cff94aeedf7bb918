"""HTTP to a simulated daemon without a socket."""

from __future__ import annotations

import base64
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport

from p2pool.simnet.rpc_server import RpcResource, RpcSite


def authorization(credentials: str) -> str:
    """The header for user:password."""
    return "Authorization: Basic " + base64.b64encode(credentials.encode()).decode()


AUTHORIZED = authorization("u:p")


class HttpWire:
    """One HTTP connection. The daemon's user is u, its password p, as in the captures."""

    def __init__(self, simulation: Any) -> None:
        clock = simulation.clock
        resource = RpcResource(
            simulation.dispatcher,
            user="u",
            password="p",
            sleep=lambda seconds: deferLater(clock, seconds, lambda: None),
        )
        self.site = RpcSite(resource, clock)
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection  # type: ignore[method-assign]
        self.protocol = self.site.buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def send(self, body: bytes, *headers: str, method: str = "POST") -> None:
        """Send a request."""
        lines = [f"{method} / HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
        self.protocol.dataReceived("\r\n".join(lines).encode() + body)

    def take(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the one answer that came."""
        head, _, body = self.transport.value().partition(b"\r\n\r\n")
        self.transport.clear()
        status, *headers = head.decode().split("\r\n")
        return int(status.split()[1]), dict(line.split(": ", 1) for line in headers), body
