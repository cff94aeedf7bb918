"""A broker without sockets, threads and time: Redis' behaviour by fakeredis, answers at once."""

from __future__ import annotations

from typing import Any

import fakeredis
from redis.exceptions import RedisError
from twisted.internet.defer import Deferred, fail, succeed

from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import Entry


class FakeBroker:
    """One process's connection to a server that several may share."""

    def __init__(self, server: fakeredis.FakeServer | None = None) -> None:
        self.server = server or fakeredis.FakeServer()
        self.client = fakeredis.FakeRedis(server=self.server)
        self.problem: str | None = None
        self.followers: list[tuple[Any, Any]] = []

    def ask(self, action: Any) -> Deferred[Any]:
        if self.problem is not None:
            return fail(BrokerError(self.problem))
        try:
            return succeed(action(self.client))
        except RedisError as error:
            return fail(BrokerError(str(error)))

    def follow(self, read: Any, take: Any) -> None:
        self.followers.append((read, take))

    def turn(self) -> list[Entry]:
        """Let all that follow read and take once, and return what they read."""
        read_all: list[Entry] = []
        if self.problem is None:
            for read, take in self.followers:
                entries = read(self.client)
                if entries:
                    take(entries)
                read_all += entries
        return read_all


def unblocked(monkeypatch: Any) -> None:
    """Let reads return at once where they would wait."""
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
