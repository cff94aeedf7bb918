"""Simulated miners: real stratum, and hashes that come at random as those of a machine do."""

from __future__ import annotations

import random

import orjson
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from p2pool.simnet.miner_events import (
    HandshakeRefused,
    ReconnectRequested,
    ServerFault,
    ShareAccepted,
    ShareRefused,
    Subscribed,
    WorkChanged,
)
from p2pool.simnet.miner_session import MinerSession
from p2pool.simnet.miner_work import FoundShare, MiningJob, Work, parse_notify
from tests.simulation import cheap_work
from tests.simulation.events import SimulatedCall
from tests.simulation.reactor import SimulatedReactor

_WHOLE = float(2**256)
_NOTIFY = b'{"id":null,"method":"mining.notify"'
FIRST_WAIT, LAST_WAIT = 1.0, 60.0
SILENCE = 300.0
"""Seconds without a line after which a miner takes its connection for dead: a machine that has lost its power does
not say so."""


class SimulatedMiner:
    """A machine of `hash_rate` hashes a second that works for `username` at the first of `pools` that takes it."""

    def __init__(
        self,
        reactor: SimulatedReactor,
        username: str,
        *,
        hash_rate: float,
        pools: list[tuple[str, int]],
        chance: random.Random,
    ) -> None:
        self.reactor = reactor
        self.username = username
        self.hash_rate = hash_rate
        self.accepted = 0
        self.accepted_attempts = 0.0
        self.submitted_attempts = 0.0
        self.refused: dict[int, int] = {}
        self.pools = pools
        self._pool = 0
        self._chance = chance
        self._wait = FIRST_WAIT
        self._session_id: str | None = None
        self._connection: _MinerProtocol | None = None
        self._work: Work | None = None
        self._next: SimulatedCall | None = None
        self._extranonce2 = chance.getrandbits(24)
        self._nonce = 0
        self._prefix: bytes | None = None

    @property
    def pool(self) -> tuple[str, int]:
        """Return the address and port of the pool that it works for, or tries to."""
        return self.pools[self._pool]

    def start(self) -> None:
        """Connect."""
        host, port = self.pools[self._pool]
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        self.reactor.connectTCP(host, port, _MinerFactory(self), timeout=10)

    def again(self) -> None:
        """Connect again, in a while, to the next pool."""
        self._set_work(None)
        self._connection = None
        self._pool = (self._pool + 1) % len(self.pools)
        wait, self._wait = self._wait, min(2 * self._wait, LAST_WAIT)
        self.reactor.callLater(wait * (0.5 + self._chance.random()), self.start)

    def connected(self, connection: _MinerProtocol) -> MinerSession:
        """Return the session of a new connection."""
        self._connection = connection
        return MinerSession(self.username, previous_session=self._session_id)

    def happened(self, event: object) -> None:
        """Handle what the server said."""
        if isinstance(event, WorkChanged):
            self._set_work(event.work)
        elif isinstance(event, ShareAccepted):
            self._wait = FIRST_WAIT
            self.accepted += 1
            self.accepted_attempts += _WHOLE / event.share.work.target
        elif isinstance(event, ShareRefused):
            self.refused[event.code] = self.refused.get(event.code, 0) + 1
        elif isinstance(event, Subscribed):
            self._session_id = event.session_id
        elif _is_the_end(event) and self._connection is not None:
            self._connection.close()

    @property
    def difficulty(self) -> float | None:
        """Return the difficulty of the job under way; None if there is none."""
        return None if self._work is None else self._work.difficulty

    @property
    def previous_block(self) -> int | None:
        """Return the hash of the block on which it works, also of a job that it has not read yet; None without."""
        if self._work is None or self._connection is None:
            return None
        unread = self._connection.unread_job()
        return int.from_bytes((unread or self._work.job).previous_block, "little")

    # --- hashing -----------------------------------------------------------------------------------------

    def _set_work(self, work: Work | None) -> None:
        former, self._work = self._work, work
        if work is None or former is None or work.target != former.target:
            if self._next is not None and self._next.active():
                self._next.cancel()
            self._next = None
        if work is None:
            return
        size = work.extranonce2_size
        self._extranonce2 += 1
        self._extranonce2_bytes = (self._extranonce2 % (1 << 8 * size)).to_bytes(size, "big")
        self._prefix = None
        self._nonce = 0
        if self._next is None:
            self._wait_for_share()

    def _wait_for_share(self) -> None:
        """Draw when the next share is found. It need not be drawn again for a new job: a miner that has hashed in
        vain is no nearer to a share."""
        assert self._work is not None
        attempts = _WHOLE / self._work.target
        self._next = self.reactor.callLater(self._chance.expovariate(self.hash_rate / attempts), self._found)

    def _found(self) -> None:
        """Submit a share. The time until it is found was drawn; the nonce is looked for now."""
        this = self._next
        if self._connection is not None:
            self._connection.read()
        work = self._work
        if work is None or self._connection is None or self._next is not this:
            return  # there is nothing to work on, or it has become harder or easier
        if self._prefix is None:
            self._prefix = work.header(self._extranonce2_bytes)[:76]
        target, digest, prefix, nonce = work.target, cheap_work.digest, self._prefix, self._nonce
        while int.from_bytes(digest(prefix + nonce.to_bytes(4, "little")), "little") > target:
            nonce += 1
        self._nonce = nonce + 1
        self.submitted_attempts += _WHOLE / target
        self._connection.submit(FoundShare(work, self._extranonce2_bytes, nonce))
        self._wait_for_share()


def _is_the_end(event: object) -> bool:
    if isinstance(event, ServerFault):
        return event.fatal
    return isinstance(event, HandshakeRefused | ReconnectRequested)


class _MinerFactory(Factory):
    noisy = False

    def __init__(self, miner: SimulatedMiner) -> None:
        self.miner = miner

    def startedConnecting(self, connector: object) -> None:
        """Nothing to do yet."""

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Return the protocol of a connection."""
        return _MinerProtocol(self.miner)

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        """Try another pool."""
        self.miner.again()

    def clientConnectionLost(self, connector: object, reason: Failure) -> None:
        """Try another pool."""
        self.miner.again()


class _MinerProtocol(Protocol):
    def __init__(self, miner: SimulatedMiner) -> None:
        self._miner = miner
        self._job = b""
        """The newest job, not read yet: most are replaced before the miner finds anything."""

    def connectionMade(self) -> None:
        self._session = self._miner.connected(self)
        self._write(self._session.connected())
        self._heard = self._miner.reactor.seconds()
        self._watch = self._miner.reactor.callLater(SILENCE, self._look)

    def _look(self) -> None:
        """End a connection from which nothing has come for long."""
        left = SILENCE - (self._miner.reactor.seconds() - self._heard)
        if left > 1.0:  # less may be too little for the clock to move
            self._watch = self._miner.reactor.callLater(left, self._look)
        elif self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def dataReceived(self, data: bytes) -> None:
        self._heard = self._miner.reactor.seconds()
        same = self._miner.difficulty == self._session.difficulty
        if same and data.startswith(_NOTIFY) and data.find(b"\n") == len(data) - 1:
            self._job = data
            return
        self.read()
        self._read(data)

    def read(self) -> None:
        """Read the newest job."""
        if self._job:
            job, self._job = self._job, b""
            self._read(job)

    def unread_job(self) -> MiningJob | None:
        """Return the newest job if it is not read yet."""
        return parse_notify(orjson.loads(self._job)["params"]) if self._job else None

    def _read(self, data: bytes) -> None:
        output, events = self._session.receive(data, self._miner.reactor.seconds())
        self._write(output)
        for event in events:
            self._miner.happened(event)

    def submit(self, share: FoundShare) -> None:
        """Send a share."""
        self._write(self._session.submit(share, self._miner.reactor.seconds()))

    def close(self) -> None:
        """End the connection."""
        if self.transport is not None:
            self.transport.loseConnection()

    def _write(self, data: bytes) -> None:
        if data and self.transport is not None:
            self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._watch.active():
            self._watch.cancel()
