"""A web site in memory whose access is restricted, with an operator behind its admin actions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from p2pool.pool_stats import BanRecord
from p2pool.web.access import Access, AccessSettings
from p2pool.web.admin import AdminResource, admin_actions
from p2pool.web.audit import AuditLog
from p2pool.web.auth import HashedSecret
from p2pool.web.site import WebSite
from tests.chains import NOW
from tests.environment import make_environment
from tests.support import make_template
from tests.web.pages import Answer, Pool, take_apart

KEY, OTHER_KEY = "0123456789abcdef-key", "0123456789abcdef-other"
LOGIN = "me:sécret:with colons"
SALT = b"s" * 16


class FakeOperator:
    """Remembers what it was asked to do."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.refusal: Exception | None = None

    def _do(self, *what: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(what)

    def show_message(self, text: str, worker: str | None = None) -> int:
        self._do("message", text, worker)
        return 3

    def reconnect(self, *, host: str = "", port: int = 0, wait: int = 0, worker: str | None = None) -> int:
        self._do("reconnect", host, port, wait, worker)
        return 2

    def set_version_mask(self, mask: int) -> int:
        self._do("version-mask", mask)
        return 1

    def ban(self, host: str, seconds: float, reason: str = "by the operator") -> BanRecord:
        self._do("ban", host, seconds, reason)
        return BanRecord(host, NOW, NOW + seconds, reason)

    def unban(self, host: str) -> bool:
        self._do("unban", host)
        return True

    def set_log_level(self, level: str) -> None:
        self._do("log-level", level)


class Threads:
    """Runs at once what is for a thread; `held` keeps it back until `release`."""

    def __init__(self) -> None:
        self.held = False
        self.calls = 0
        self._waiting: list[tuple[Any, Deferred[Any]]] = []

    def __call__(self, function: Any) -> Deferred[Any]:
        self.calls += 1
        result: Deferred[Any] = Deferred()
        self._waiting.append((function, result))
        if not self.held:
            self.release()
        return result

    def release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for function, result in waiting:
            try:
                value = function()
            except Exception as error:
                result.errback(error)
            else:
                result.callback(value)


def secret(text: str) -> HashedSecret:
    return HashedSecret.of(text.encode(), SALT)


class Guarded(Pool):
    """With AccessSettings; without limit of rate where none is given."""

    def __init__(self, directory: Path, shares: int = 3, **settings: Any) -> None:
        super().__init__(shares, make_template(), directory)
        self.refresh()
        self.operator, self.threads = FakeOperator(), Threads()
        self.audit = AuditLog(directory / "audit.log", lambda: NOW, self.threads)
        actions = admin_actions(self.operator, self.operator.set_log_level)
        self.access = Access(AccessSettings(**{"rate_limit": 0, "host_names": frozenset({"x"}), **settings}))
        self.site = WebSite(
            make_environment(self.clock, run_in_thread=self.threads),
            self.views,
            directory,
            access=self.access,
            admin={name: AdminResource(name, action, self.audit) for name, action in actions.items()},
        )
        self.host = "10.0.0.1"

    def connect(self) -> tuple:
        kind = IPv6Address if ":" in self.host else IPv4Address
        protocol, transport = self.site.buildProtocol(kind("TCP", self.host, 1)), StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def post(self, action: str, parameters: Any, *headers: str, key: str | None = KEY) -> Answer:
        """An admin action; `parameters` as JSON, or bytes as they are."""
        body = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
        lines = [f"POST /api/v1/admin/{action} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
        if key is not None:
            lines.append(f"X-API-Key: {key}")
        if not any(line.lower().startswith("content-type") for line in headers):
            lines.append("Content-Type: application/json")
        protocol, transport = self.connect()
        protocol.dataReceived("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return take_apart(transport.value())

    def audited(self) -> list[dict[str, Any]]:
        """The audit log's lines."""
        path = self.audit._path
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
