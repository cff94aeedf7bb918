"""One worker with a rig at each gateway of a pool: what was accepted, and what the node has counted of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.gateway_pool import GatewayPool, address_of
from tests.e2e.process import wait_for
from tests.e2e.stratum_client import Refused, StratumClient

RIG = f"{address_of(10)}.rig"
STALE = 21


class Rigs:
    """One worker with a rig at each gateway, nearly every hash of which is a submission; and how many of them were
    accepted since the node started."""

    def __init__(self, pool: GatewayPool) -> None:
        self.accepted = 0
        self.total = 0
        """All that were accepted and counted while an earlier node ran."""
        self.absent: set[int] = set()
        """Gateways that are not running."""
        self._pool = pool
        self._clients: dict[int, StratumClient] = {}

    def submit(self, number: int, count: int) -> None:
        """Have so many submissions accepted by a gateway."""
        goal = self.accepted + count
        while self.accepted < goal:
            client = self._client(number)
            client.read_all()
            try:
                self.accepted += client.mine() is True
            except Refused as error:
                if error.code != STALE:  # a block came in between
                    raise

    def submit_everywhere(self, count: int) -> None:
        """Have so many submissions accepted by each gateway."""
        for number in range(len(self._pool.gateways)):
            if number not in self.absent:
                self.submit(number, count)

    def _client(self, number: int) -> StratumClient:
        if number not in self._clients:
            client = StratumClient(self._pool.gateways[number].port)
            self._clients[number] = client.login(f"{RIG}+1e-9", password="x")
        return self._clients[number]

    def leave(self, number: int) -> None:
        """End the connection to a gateway."""
        if number in self._clients:
            self._clients.pop(number).close()

    def check(self) -> None:
        """Each accepted submission is counted once, on the worker's page and on that of all workers."""
        wait_for("the worker's figures", lambda: counted(self._pool, RIG) >= self.accepted, 60)
        assert counted(self._pool, RIG) == self.accepted
        workers = self._pool.node.get("stratum_stats")["workers"]
        assert self.accepted == (workers[RIG]["accepted"] if RIG in workers else 0)

    def node_ended(self) -> None:
        """Begin anew: a node counts what came since its start. Call it after `check`."""
        self.total += self.accepted
        self.accepted = 0


class SteadyRigs:
    """Rigs that submit a few times a second to each gateway, in a thread."""

    def __init__(self, rigs: Rigs) -> None:
        self._rigs = rigs
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="rigs", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopped.wait(0.2):
                with self._lock:
                    self._rigs.submit_everywhere(1)
        except BaseException as error:
            self._failures.append(error)

    @contextmanager
    def settled(self) -> Iterator[Rigs]:
        """The rigs at rest, all that they submitted being counted: a process that is killed now loses nothing of
        it. Raises what ended them, and AssertionError if something is counted twice or not at all."""
        with self._lock:
            if self._failures:
                raise self._failures[0]
            self._rigs.check()
            yield self._rigs

    def stop(self) -> int:
        """End them; return how many submissions were accepted and counted."""
        with self.settled() as rigs:
            self._stopped.set()
            rigs.node_ended()
        self._thread.join()
        return rigs.total


def counted(pool: GatewayPool, worker: str) -> int:
    """How many submissions of a worker the node has counted."""
    row = pool.node.try_get(f"api/v1/workers/{worker}")
    return 0 if row is None else int(row["accepted"])
