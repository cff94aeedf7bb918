"""The reputation of hosts and connections: what each offence costs, and what each has been charged.

A cost decays. A host's costs are divided by the number of its good connections, so that a few broken rigs do not
get a farm behind the same address banned; each connection is judged by itself as well. `guard` decides about bans.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

from p2pool.base.acyclic import never_in_cycles
from p2pool.base.bounded import BoundedDict
from p2pool.base.hosts import site_key

BAN_COST: Final = 100.0
"""A host whose cost reaches this is banned or limited; a connection whose own cost reaches it is closed."""
HALF_LIFE: Final = 60.0
"""Seconds in which a cost halves."""
PEAK_HALF_LIFE: Final = 600.0
"""Seconds in which the memory of how many miners a host had working halves: long enough for a farm to come back
after a power cut, and not a permanent licence."""
JUDGED_SUBMISSIONS: Final = 100
"""Submissions of a connection after which they are judged together."""
MAX_UNPROVEN_WEIGHT: Final = 20
"""Authorized connections without an accepted submission that count as good ones of their host, at most: anybody
can hold idle connections open."""
SETTLED_AFTER: Final = 60.0
"""Seconds after which an authorized connection without an offence of its own counts as settled."""
REPEATED_LOGIN_COST: Final = 1.0
"""What a rejected authorize costs if the same address was rejected before: a mistyped setting, retried by
software."""
_MAX_REFUSED_LOGINS: Final = 16
_LOGIN_MEMORY: Final = 600.0
"""Seconds for which a rejected login is remembered."""
_MAX_LOGIN_NAME: Final = 128
_SEPARATOR: Final = re.compile(r"[._+/]")
_LEAST_RATE, _LEAST_BURST = 0.2, 3.0
"""New connections of a limited host: the rate per second, and the burst."""
_TIME_FOR_ALL: Final = 60.0
"""Seconds within which all miners of a limited host can reconnect."""


class Offence(Enum):
    """What a host is charged for, and the cost before it is divided by the number of its good connections."""

    MALFORMED = "malformed lines", 20.0
    LOGIN = "refused authorizes", 10.0
    RECONNECT = "reconnecting too fast", 5.0
    SUBMISSIONS = "more than half of its submissions refused", BAN_COST

    def __init__(self, text: str, cost: float) -> None:
        self.text = text
        self.cost = cost


class Standing(Enum):
    """What a connection counts as for its host.

    ::

        NOT_COUNTED --authorized--> IDLE --first accepted submission--> PROVEN
             ^                       |                                    |
             +------- an offence, or the end of the connection -----------+

    A connection whose offence is forgiven counts again.
    """

    NOT_COUNTED = "not authorized, charged with an offence, or over"

    IDLE = "no accepted submission"
    PROVEN = "an accepted submission"

    __hash__ = object.__hash__  # Enum's own is a Python function, and counts have them as keys


class Decaying:
    """A number that halves every `half_life` seconds."""

    __slots__ = ("_half_life", "_value", "updated")

    def __init__(self, half_life: float, now: float) -> None:
        self._half_life = half_life
        self._value = 0.0
        self.updated = now
        never_in_cycles(self)

    def __bool__(self) -> bool:
        return self._value > 0

    def at(self, now: float) -> float:
        """Return what is left at `now`; a clock that was set back makes it no larger."""
        return float(self._value * 2.0 ** -(max(0.0, now - self.updated) / self._half_life))

    def add(self, amount: float, now: float) -> float:
        """Add an amount, and return the sum."""
        return self.set(self.at(now) + amount, now)

    def raise_to(self, least: float, now: float) -> float:
        """Raise the number to `least` if it is lower; return the result."""
        value = self.at(now)
        return value if value >= least else self.set(least, now)

    def set(self, value: float, now: float) -> float:
        """Set the number to `value`, and return it."""
        self._value, self.updated = value, now
        return value


class HostReputation:
    """The reputation of one host. Bound: its connections, and _MAX_REFUSED_LOGINS texts."""

    __slots__ = (
        "_admissions",
        "_admitted_at",
        "_good_peak",
        "_refused_logins",
        "_working_peak",
        "carried",
        "carried_refused",
        "connections",
        "cost",
        "counts",
        "key",
        "limited_until",
        "refused",
        "site",
        "submissions",
        "vouched_until",
        "working",
    )

    def __init__(self, key: str, now: float) -> None:
        self.key = key
        self.site = site_key(key)
        self.connections: dict[ConnectionReputation, None] = {}
        """The connections of this host, the oldest first."""
        self.working = 0
        """How many of its connections are authorized."""
        self.counts = dict.fromkeys(Standing, 0)
        """How many of its connections have each standing."""
        self.submissions = self.refused = 0
        """Submissions that are not judged yet, for display."""
        self.carried = self.carried_refused = 0
        """Submissions whose connections ended before they were judged."""
        self.cost = Decaying(HALF_LIFE, now)
        self.limited_until = 0.0
        self.vouched_until = 0.0
        """Until when another gateway's word counts that connections of this host are settled there."""
        self._admissions, self._admitted_at = 0.0, now
        self._working_peak = Decaying(PEAK_HALF_LIFE, now)
        self._good_peak = Decaying(PEAK_HALF_LIFE, now)
        self._refused_logins: BoundedDict[str, float] = BoundedDict(_MAX_REFUSED_LOGINS)

    def add(self, connection: ConnectionReputation) -> None:
        """Add a new connection of this host."""
        self.connections[connection] = None
        self.counts[connection.counted] += 1

    def remove(self, connection: ConnectionReputation) -> None:
        """Remove a connection that ended."""
        del self.connections[connection]
        connection.is_over = True
        self.recount(connection)
        self.counts[connection.counted] -= 1

    def weight(self, now: float) -> float:
        """Return the divisor of this host's costs: the good connections that it has or lately had, at least 1."""
        idle = min(self.counts[Standing.IDLE], MAX_UNPROVEN_WEIGHT)
        return max(1.0, self._good_peak.raise_to(self.counts[Standing.PROVEN] + idle, now))

    def working_weight(self, now: float) -> float:
        """Return the divisor of the cost of reconnects of authorized connections: a whole farm that reconnects at
        once costs as much as one miner."""
        return max(1.0, self._working_peak.raise_to(self.working, now))

    def is_worth_remembering(self, now: float) -> bool:
        """Return whether anything would be lost if it were forgotten."""
        return (
            self.cost.at(now) >= 0.1
            or self.carried > 0
            or now < self.limited_until
            or self.weight(now) > 1
            or self.working_weight(now) > 1
        )

    def login_cost(self, username: str, now: float) -> float:
        """Return what a rejected authorize costs: little if the same address was rejected lately."""
        address = _SEPARATOR.split(username, maxsplit=1)[0]
        before = self._refused_logins.pop(address, None)
        self._refused_logins[address] = now
        if before is None or not 0 <= now - before < _LOGIN_MEMORY:
            return Offence.LOGIN.cost
        return REPEATED_LOGIN_COST

    @property
    def peaks(self) -> tuple[Decaying, Decaying]:
        """Return the decaying peaks of its working and of its good connections."""
        return self._working_peak, self._good_peak

    @property
    def refused_logins(self) -> BoundedDict[str, float]:
        """Return the addresses of rejected logins, and when each was rejected last."""
        return self._refused_logins

    def admits(self, now: float) -> bool:
        """Return whether a limited host may open one more connection now, and count it."""
        weight = self.weight(now)
        rate, burst = max(_LEAST_RATE, weight / _TIME_FOR_ALL), max(_LEAST_BURST, weight / 4)
        self._admissions = min(burst, self._admissions + max(0.0, now - self._admitted_at) * rate)
        self._admitted_at = now
        if self._admissions < 1:
            return False
        self._admissions -= 1
        return True

    def has_settled(self, now: float) -> bool:
        """Return whether any of its connections is settled, here or at another gateway of the pool, so that it
        must not suffer for the others."""
        if now < self.vouched_until:
            return True
        return self.working > 0 and any(connection.is_settled(now) for connection in self.connections)

    def forgive(self, now: float) -> None:
        """Reset the costs and submission counts of this host and of all its connections."""
        self.cost.set(0.0, now)
        self.carried = self.carried_refused = 0
        self.submissions = self.refused = 0
        self.limited_until = 0.0
        for connection in self.connections:
            connection.forgive(now)
            self.recount(connection)

    def recount(self, connection: ConnectionReputation) -> None:
        """Update the counts after the standing of a connection may have changed."""
        before, connection.counted = connection.counted, connection.standing
        self.counts[before] -= 1
        self.counts[connection.counted] += 1


class ConnectionReputation:
    """The reputation of one connection. Constant space."""

    __slots__ = (
        "_cost",
        "accepted",
        "authorized_at",
        "closing",
        "connected_at",
        "counted",
        "excused",
        "host",
        "is_over",
        "login_refused",
        "owner",
        "refused",
        "submissions",
    )

    def __init__(self, host: HostReputation, now: float) -> None:
        self.host = host
        self.connected_at = now
        self.authorized_at: float | None = None
        self.accepted = False
        """Whether any of its submissions was accepted."""
        self.closing: str | None = None
        """Why this connection has to be closed; None while it may stay."""
        self.counted = Standing.NOT_COUNTED
        """The standing by which its host counts it."""
        self.is_over = False
        self.excused = False
        """Whether the server ends it for reasons of its own: then its end is not an offence."""
        self.login_refused: object = None
        """The username that was rejected last; None if none was."""
        self.submissions = self.refused = 0
        """Submissions since they were judged last."""
        self._cost: Decaying | None = None
        """None until it is asked for: most connections are never charged."""
        self.owner: Any = None
        """The session that the server closes to make room; only the server sets and uses it."""

    @property
    def key(self) -> str:
        """Return the key of its host: an IPv4 address, or an IPv6 network of 64 bits."""
        return self.host.key

    @property
    def site(self) -> str:
        """Return the site of its host: an IPv4 address, or an IPv6 network of 48 bits."""
        return self.host.site

    @property
    def cost(self) -> Decaying:
        """Return what this connection has been charged."""
        if self._cost is None:
            self._cost = Decaying(HALF_LIFE, self.connected_at)
        return self._cost

    @property
    def is_charged(self) -> bool:
        """Return whether this connection has been charged for anything that is not forgiven."""
        return bool(self._cost)

    @property
    def standing(self) -> Standing:
        """Return what this connection counts as now."""
        if self.authorized_at is None or self._cost or self.closing is not None or self.is_over:
            return Standing.NOT_COUNTED
        return Standing.PROVEN if self.accepted else Standing.IDLE

    def login_cost(self, username: object, now: float) -> float:
        """Return what a rejected authorize costs: little if its address was rejected before, in full if this
        connection sends the same username again, as no sane software does."""
        username = username[:_MAX_LOGIN_NAME] if isinstance(username, str) else ""
        cost = self.host.login_cost(username, now)
        again, self.login_refused = username == self.login_refused, username
        return Offence.LOGIN.cost if again else cost

    def is_settled(self, now: float) -> bool:
        """Return whether this connection has worked for a while without an offence."""
        cost = self._cost
        if self.authorized_at is None or self.closing is not None or (cost is not None and cost.at(now) >= 1.0):
            return False
        return self.accepted or abs(now - self.authorized_at) >= SETTLED_AFTER

    def forgive(self, now: float) -> None:
        """Reset the cost and the submission counts of this connection."""
        if self._cost is not None:
            self._cost.set(0.0, now)
        self.submissions = self.refused = 0
