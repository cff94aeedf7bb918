"""The gateways that serve miners of this node: what each one reports, and which of them are still there."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Final, Protocol

from p2pool.base.rates import RateEstimator
from p2pool.base.text import printable
from p2pool.pool_stats.records import GatewaySnapshot
from p2pool.pool_stats.workers import MAX_SOFTWARE, MAX_WORKERS, STEP, WorkerTable, address_of

MAX_GATEWAYS: Final = 256
"""Gateways remembered; beyond it the one that was heard longest ago is forgotten."""
MAX_GATEWAY_NAME: Final = 128
GATEWAY_SILENCE: Final = 60.0
"""Seconds without a report after which a gateway counts as gone, and its connections no longer count."""
FORGET: Final = 86400.0
"""Seconds without a report after which a gateway is no longer shown."""


class WorkerSums(Protocol):
    """What a gateway counted of one worker since its last report; `connections` are those of now. A worker without
    a name stands for submissions that belong to no worker that the gateway remembers."""

    @property
    def name(self) -> str: ...
    @property
    def site(self) -> str: ...
    @property
    def software(self) -> str: ...
    @property
    def difficulty(self) -> float: ...
    @property
    def connections(self) -> int: ...
    @property
    def accepted(self) -> int: ...
    @property
    def attempts(self) -> float: ...
    @property
    def dead(self) -> int: ...
    @property
    def dead_attempts(self) -> float: ...
    @property
    def refused(self) -> Mapping[int, int]: ...


class GatewaySums(Protocol):
    """What one gateway counted in `seconds` since its last report; `connections` are those of now. `run` is a
    random number of its process, `started` when that was started, in Unix seconds. A `whole` report names all
    workers with a connection, a `leaving` one is the last."""

    @property
    def gateway(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def run(self) -> int: ...
    @property
    def started(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def connections(self) -> int: ...
    @property
    def connected(self) -> int: ...
    @property
    def turned_away(self) -> Mapping[str, int]: ...
    @property
    def offences(self) -> Mapping[str, int]: ...
    @property
    def workers(self) -> Sequence[WorkerSums]: ...
    @property
    def whole(self) -> bool: ...
    @property
    def leaving(self) -> bool: ...


class _Gateway:
    """The figures of one gateway."""

    __slots__ = (
        "accepted",
        "address",
        "addresses",
        "connections",
        "dead",
        "last_heard",
        "name",
        "present",
        "rate",
        "refused",
        "run",
        "started",
        "version",
        "workers",
    )

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.address = self.version = ""
        self.run = -1
        self.started = self.last_heard = 0.0
        self.present = False
        self.connections = self.accepted = self.dead = self.refused = 0
        self.rate = RateEstimator(now)
        self.workers: dict[str, int] = {}
        """Connections by worker. Bound: MAX_WORKERS."""
        self.addresses: dict[str, int] = {}
        """Connections by payout address, the sums of `workers`."""

    def count(self, sums: GatewaySums, now: float) -> None:
        """Add what the gateway counted."""
        attempts = dead_attempts = 0.0
        before = self.accepted
        for worker in sums.workers:
            attempts += worker.attempts
            dead_attempts += worker.dead_attempts
            self.accepted += worker.accepted
            self.dead += worker.dead
            if worker.refused:
                self.refused += sum(worker.refused.values())
        if self.accepted > before:
            accepted = self.accepted - before
            self.rate.add(attempts, now, count=accepted, late=dead_attempts, span=sums.seconds)

    def snapshot(self, now: float) -> GatewaySnapshot:
        """Return the figures at `now`."""
        hash_rate, dead_rate, _, _ = self.rate.estimate(now, 0.0)
        return GatewaySnapshot(
            name=self.name,
            address=self.address,
            version=self.version,
            present=self.present,
            connections=self.connections if self.present else 0,
            workers=len(self.workers) if self.present else 0,
            hash_rate=hash_rate,
            dead_rate=dead_rate,
            accepted=self.accepted,
            dead=self.dead,
            refused=self.refused,
            last_heard=self.last_heard,
        )


class Gateways:
    """All gateways by name, and the connections of their workers. Bound: MAX_GATEWAYS."""

    def __init__(self, workers: WorkerTable) -> None:
        self._workers = workers
        self._gateways: dict[str, _Gateway] = {}
        """In the order in which they were last heard."""

    @property
    def connections(self) -> int:
        """Return the connections of all gateways that are present."""
        return sum(gateway.connections for gateway in self._gateways.values() if gateway.present)

    def take(self, sums: GatewaySums, now: float) -> None:
        """Take a gateway's report. If an earlier process of the same name sends what it still had, that is
        counted; the connections are those of the newer process."""
        name = printable(sums.gateway, MAX_GATEWAY_NAME)
        gateway = self._gateways.pop(name, None)
        if gateway is None:
            self._make_room()
            gateway = _Gateway(name, now)
        self._gateways[name] = gateway
        gateway.count(sums, now)
        if gateway.present and sums.started < gateway.started:
            return
        if sums.whole or sums.run != gateway.run:
            self._withdraw(gateway)
            gateway.workers, gateway.addresses = {}, {}
        gateway.run, gateway.started, gateway.last_heard = sums.run, sums.started, now
        gateway.address, gateway.version = printable(sums.address, 128), printable(sums.version, 64)
        if not gateway.present:
            gateway.present = True
            for worker, connections in gateway.workers.items():
                self._change(worker, connections)
        for each in sums.workers:
            if each.name:
                self._set_connections(gateway, each, now)
        gateway.connections = sums.connections
        if sums.leaving:
            self._withdraw(gateway)
            gateway.workers, gateway.addresses = {}, {}

    def _make_room(self) -> None:
        if len(self._gateways) >= MAX_GATEWAYS:
            self._forget(next(iter(self._gateways)))

    def _set_connections(self, gateway: _Gateway, sums: WorkerSums, now: float) -> None:
        """Set how many connections of a worker the gateway has."""
        connections = sums.connections
        before = gateway.workers.get(sums.name, 0)
        if connections == before or (not before and len(gateway.workers) >= MAX_WORKERS):
            return
        if connections:
            gateway.workers[sums.name] = connections
        else:
            del gateway.workers[sums.name]
        address = address_of(sums.name)
        together = gateway.addresses.get(address, 0) + connections - before
        if together > 0:
            gateway.addresses[address] = together
        else:
            gateway.addresses.pop(address, None)
        if connections > before:
            worker = self._workers.seen(sums.name, now, sums.site)
            worker.difficulty = sums.difficulty
            if sums.software:
                worker.software = printable(sums.software, MAX_SOFTWARE)
        self._change(sums.name, connections - before)

    def _change(self, name: str, difference: int) -> None:
        """Let a worker have more connections, or fewer."""
        worker = self._workers.get(name)
        if worker is None:
            return
        if difference > 0:
            self._workers.connected(worker, difference)
        else:
            self._workers.disconnected(worker, -difference)
        worker.changed()

    def _withdraw(self, gateway: _Gateway) -> None:
        """Let the connections of a gateway no longer count."""
        if gateway.present:
            gateway.present = False
            for worker, connections in gateway.workers.items():
                self._change(worker, -connections)

    def _forget(self, name: str) -> None:
        gateway = self._gateways.pop(name)
        self._withdraw(gateway)

    def forget_silent(self, now: float) -> Generator[None, None, None]:
        """Let the connections of silent gateways no longer count, and forget those that are silent for long. A
        clock that was set back by more than that keeps none."""
        for gateway in list(self._gateways.values()):
            silent = abs(now - gateway.last_heard)
            if silent > FORGET:
                self._forget(gateway.name)
            elif gateway.present and silent > GATEWAY_SILENCE:
                gateway.present = False
                for count, (worker, connections) in enumerate(list(gateway.workers.items()), 1):
                    self._change(worker, -connections)
                    if count % STEP == 0:
                        yield

    def shared_addresses(self) -> Iterable[str]:
        """Return the payout addresses that have connections both at a gateway and elsewhere."""
        most: dict[str, int] = {}
        for gateway in self._gateways.values():
            if gateway.present:
                for address, connections in gateway.addresses.items():
                    most[address] = max(most.get(address, 0), connections)
        return [address for address, here in most.items() if self._workers.address_connections(address) > here]

    def snapshot(self, now: float) -> tuple[GatewaySnapshot, ...]:
        """Return all gateways at `now`, by name."""
        return tuple(self._gateways[name].snapshot(now) for name in sorted(self._gateways))
