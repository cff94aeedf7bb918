"""The first byte of extranonce1: each gateway leases one in the broker, so that extranonces never collide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnOnce
from p2pool.broker.connection import leave_to_broker
from p2pool.broker.leases import lease_one, mark_all, release_lease, renew_lease
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort

_log = Logger(namespace="p2pool.gateway")

NO_PREFIX: Final = 0
"""The prefix of gateways that have no lease. Their sessions stay where they are."""
PREFIXES: Final = range(1, 256)
LEASE: Final = 60.0
"""Seconds after which a lease that is not renewed is over."""
RENEWAL: Final = 10.0
"""Seconds between two renewals."""
CHECK: Final = 1.0
"""Seconds between two checks whether the lease must be renewed, or one must be taken."""

UsePrefix = Callable[[bytes], None]
"""Let new sessions and jobs begin with a prefix."""


class PrefixLease:
    """Leases a prefix, and says which one new sessions begin with.

    ::

        NONE --leased--> HELD --not renewed in time--> LAPSED --renewed--> HELD
          ^                |                             |
          +--taken by another gateway, found at renewal--+

    While there is no lease, or it lapsed because the broker is away, new sessions begin with NO_PREFIX. A prefix
    under which sessions may still exist is marked for as long as they can be resumed; it is leased again only if
    no other is free.
    """

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        token: str,
        keep: float,
        use: UsePrefix,
        in_use: Callable[[], Iterable[int]],
    ) -> None:
        """Take `keep`, the seconds for which sessions can be resumed, and `in_use`, which returns the prefixes of
        the sessions that are here."""
        self.prefix: int | None = None
        """The prefix that was leased last; None before the first one, and after another gateway took it."""
        self._environment = environment
        self._monotonic = environment.monotonic
        self._broker = broker
        self._names = names
        self._owner = token.encode()
        self._keep = max(keep, LEASE)
        self._use = use
        self._in_use = in_use
        self._used = NO_PREFIX
        self._until = 0.0
        """Until when the lease surely lasts, by the clock that never steps."""
        self._next_renewal = 0.0
        self._asking = False
        self._full = WarnOnce()
        self._timer: Timer | None = None

    @property
    def held(self) -> bool:
        """Return whether this gateway has a lease that has not lapsed."""
        return self.prefix is not None and self._monotonic() < self._until

    def start(self) -> Deferred[Any]:
        """Lease a prefix from now on. The Deferred fires when the broker has answered the first request."""
        self._use(bytes([NO_PREFIX]))
        self._timer = Timer(
            self._environment.reactor, CHECK, self._check, name="lease an extranonce1 prefix", now=False
        )
        return self._ask()

    def stop(self) -> Deferred[Any]:
        """Release the lease; what lives under the prefix stays marked."""
        if self._timer is not None:
            self._timer.stop()
        prefix, self.prefix = self.prefix, None
        if prefix is None:
            return succeed(None)
        return self._broker.ask(release_lease(self._names.prefix(prefix), self._owner)).addErrback(leave_to_broker)

    def _check(self) -> None:
        if not self.held:
            self._choose(NO_PREFIX)
        if not self._asking and (self.prefix is None or self._monotonic() >= self._next_renewal):
            self._ask()

    def _ask(self) -> Deferred[Any]:
        self._asking = True
        began = self._monotonic()
        self._next_renewal = began + RENEWAL
        asked = self._take(began) if self.prefix is None else self._renew(self.prefix, began)
        return asked.addErrback(leave_to_broker).addBoth(self._answered)

    def _answered(self, _: Any) -> None:
        self._asking = False

    def _take(self, began: float) -> Deferred[Any]:
        order = list(PREFIXES)
        self._environment.chance.shuffle(order)
        names = [self._names.prefix(prefix) for prefix in order]
        marks = [self._names.used_prefix(prefix) for prefix in order]
        asked = self._broker.ask(lease_one(names, self._owner, seconds=LEASE, last=marks))
        return asked.addCallback(
            lambda name: self._taken(None if name is None else order[names.index(name)], began)
        )

    def _taken(self, prefix: int | None, began: float) -> Deferred[Any] | None:
        problems = [] if prefix is not None else [f"all {len(PREFIXES)} prefixes of extranonce1 are leased"]
        for problem in self._full.new(problems):
            _log.error("{problem}: sessions of this gateway cannot move to other gateways", problem=problem)
        if prefix is None:
            return None
        self.prefix = prefix
        _log.info("leased prefix {prefix:02x} of extranonce1", prefix=prefix)
        return self._have_until(began)

    def _renew(self, prefix: int, began: float) -> Deferred[Any]:
        asked = self._broker.ask(renew_lease(self._names.prefix(prefix), self._owner, seconds=LEASE))
        return asked.addCallback(self._renewed, prefix, began)

    def _renewed(self, is_ours: bool, prefix: int, began: float) -> Deferred[Any] | None:
        if prefix != self.prefix:  # stopped meanwhile
            return None
        if is_ours:
            return self._have_until(began)
        _log.warn("another gateway has taken prefix {prefix:02x} of extranonce1: leasing another", prefix=prefix)
        self.prefix = None
        self._choose(NO_PREFIX)
        return self._take(self._monotonic())

    def _have_until(self, began: float) -> Deferred[Any]:
        """Use the lease, and mark the prefixes of all sessions that are here."""
        prefix = self.prefix or NO_PREFIX
        self._until = began + LEASE - RENEWAL
        self._choose(prefix)
        used = {*self._in_use(), prefix} - {NO_PREFIX}
        return self._broker.ask(mark_all(map(self._names.used_prefix, sorted(used)), seconds=LEASE + self._keep))

    def _choose(self, prefix: int) -> None:
        if prefix != self._used:
            self._used = prefix
            self._use(bytes([prefix]))
