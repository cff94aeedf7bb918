"""How miners behave: what an offence costs, what a host and each of its connections have on their account.

A cost decays. A host's costs are divided by what works there, so that a few broken rigs do not get a farm behind
the same address banned; each connection is judged by itself as well. `guard` decides what follows from it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

from p2pool.base.bounded import BoundedDict
from p2pool.base.hosts import site_key

BAN_COST: Final = 100.0
"""A host whose cost reaches this is banned or limited; a connection whose own cost reaches it is closed."""
HALF_LIFE: Final = 60.0
"""Seconds in which a cost halves."""
PEAK_HALF_LIFE: Final = 600.0
"""Seconds in which the memory of how many machines a host had working halves: long enough for a farm to come back
after a power cut, and no licence for ever."""
JUDGED_SUBMISSIONS: Final = 100
"""Submissions of a connection after which they are judged together."""
MAX_UNPROVEN_WEIGHT: Final = 20
"""Authorized connections without an accepted submission that count as good ones of their host: anybody can hold
idle connections."""
SETTLED_AFTER: Final = 60.0
"""Seconds after which an authorized connection without an offence of its own counts as settled."""
REPEATED_LOGIN_COST: Final = 1.0
"""What a refused authorize costs where the same address was refused before: a mistyped setting, retried by
software."""
_MAX_REFUSED_LOGINS: Final = 16
_LOGIN_MEMORY: Final = 600.0
"""Seconds for which a refused login is remembered."""
_MAX_LOGIN_NAME: Final = 128
_SEPARATOR: Final = re.compile(r"[._+/]")
_LEAST_RATE, _LEAST_BURST = 0.2, 3.0
"""New connections of a limited host: a second, and at once."""
_TIME_FOR_ALL: Final = 60.0
"""Seconds within which all machines of a limited host can come back."""


class Offence(Enum):
    """What costs a host, and how much before it is divided by what works there."""

    MALFORMED = "malformed lines", 20.0
    LOGIN = "refused authorizes", 10.0
    RECONNECT = "reconnecting too fast", 5.0
    SUBMISSIONS = "more than half of its submissions refused", BAN_COST

    def __init__(self, text: str, cost: float) -> None:
        self.text = text
        self.cost = cost


class Standing(Enum):
    """What an authorized connection without an offence counts as."""

    IDLE = "no accepted submission"
    PROVEN = "an accepted submission"


class Decaying:
    """A number that halves in so many seconds."""

    __slots__ = ("_half_life", "_value", "updated")

    def __init__(self, half_life: float, now: float) -> None:
        self._half_life = half_life
        self._value = 0.0
        self.updated = now

    def __bool__(self) -> bool:
        return self._value > 0

    def at(self, now: float) -> float:
        """Return what is left at `now`; a clock that was set back makes it no larger."""
        return float(self._value * 2.0 ** -(max(0.0, now - self.updated) / self._half_life))

    def add(self, amount: float, now: float) -> float:
        """Add to it; return the sum."""
        return self.set(self.at(now) + amount, now)

    def raise_to(self, least: float, now: float) -> float:
        """Make it at least `least`; return what it is."""
        value = self.at(now)
        return value if value >= least else self.set(least, now)

    def set(self, value: float, now: float) -> float:
        """Make it `value`."""
        self._value, self.updated = value, now
        return value


class Host:
    """One host's behaviour. Bound: its connections, and _MAX_REFUSED_LOGINS texts."""

    __slots__ = (
        "_admissions",
        "_admitted_at",
        "_good_peak",
        "_refused_logins",
        "_working_peak",
        "carried",
        "carried_refused",
        "cost",
        "good",
        "key",
        "limited_until",
        "members",
        "refused",
        "site",
        "submissions",
        "working",
    )

    def __init__(self, key: str, now: float) -> None:
        self.key = key
        self.site = site_key(key)
        self.members: dict[Conduct, None] = {}
        """Its connections, the oldest first."""
        self.working = 0
        """The authorized ones."""
        self.good = {Standing.IDLE: 0, Standing.PROVEN: 0}
        """Of these, those without an offence of their own."""
        self.submissions = self.refused = 0
        """Submissions that are not judged yet, for display."""
        self.carried = self.carried_refused = 0
        """The part of them whose connections ended before they were judged."""
        self.cost = Decaying(HALF_LIFE, now)
        self.limited_until = 0.0
        self._admissions, self._admitted_at = 0.0, now
        self._working_peak = Decaying(PEAK_HALF_LIFE, now)
        self._good_peak = Decaying(PEAK_HALF_LIFE, now)
        self._refused_logins: BoundedDict[str, float] = BoundedDict(_MAX_REFUSED_LOGINS)

    @property
    def connections(self) -> int:
        """How many connections it has."""
        return len(self.members)

    def weight(self, now: float) -> float:
        """Return by what its offences are divided: the good connections that it has or lately had, at least 1."""
        idle = min(self.good[Standing.IDLE], MAX_UNPROVEN_WEIGHT)
        return max(1.0, self._good_peak.raise_to(self.good[Standing.PROVEN] + idle, now))

    def working_weight(self, now: float) -> float:
        """Return by what reconnects of authorized connections are divided: a whole farm that comes back at once
        costs as much as one machine."""
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
        """Return what a refused authorize costs: little where the same address was refused lately."""
        address = _SEPARATOR.split(username, maxsplit=1)[0]
        before = self._refused_logins.pop(address, None)
        self._refused_logins[address] = now
        if before is None or not 0 <= now - before < _LOGIN_MEMORY:
            return Offence.LOGIN.cost
        return REPEATED_LOGIN_COST

    def admits(self, now: float) -> bool:
        """Return whether one more connection of a limited host is let in now, and count it."""
        weight = self.weight(now)
        rate, burst = max(_LEAST_RATE, weight / _TIME_FOR_ALL), max(_LEAST_BURST, weight / 4)
        self._admissions = min(burst, self._admissions + max(0.0, now - self._admitted_at) * rate)
        self._admitted_at = now
        if self._admissions < 1:
            return False
        self._admissions -= 1
        return True

    def has_settled(self, now: float) -> bool:
        """Return whether any of its connections must not suffer for the others."""
        return self.working > 0 and any(member.is_settled(now) for member in self.members)

    def forgive(self, now: float) -> None:
        """Begin anew."""
        self.cost.set(0.0, now)
        self.carried = self.carried_refused = 0
        self.submissions = self.refused = 0
        self.limited_until = 0.0
        for member in self.members:
            member.forgive(now)
            self.recount(member)

    def recount(self, member: Conduct) -> None:
        """Count a connection anew whose standing may have changed."""
        before, member.counted = member.counted, member.standing
        if before is not None:
            self.good[before] -= 1
        if member.counted is not None:
            self.good[member.counted] += 1


class Conduct:
    """One connection's behaviour. Constant space."""

    __slots__ = (
        "accepted",
        "authorized_at",
        "closing",
        "connected_at",
        "cost",
        "counted",
        "excused",
        "host",
        "is_over",
        "login_refused",
        "owner",
        "refused",
        "submissions",
    )

    def __init__(self, host: Host, now: float) -> None:
        self.host = host
        self.connected_at = now
        self.authorized_at: float | None = None
        self.accepted = False
        """Whether any of its submissions was accepted."""
        self.closing: str | None = None
        """Why its connection has to be closed; None while it is fine."""
        self.counted: Standing | None = None
        """What its host counts it as."""
        self.is_over = False
        self.excused = False
        """Whether the server ends it for reasons of its own: then its end is no offence."""
        self.login_refused: object = None
        """The username that was refused last; None while none was."""
        self.submissions = self.refused = 0
        """Since they were judged last."""
        self.cost = Decaying(HALF_LIFE, now)
        self.owner: Any = None
        """What the server closes to make room; it alone sets and uses it."""

    @property
    def key(self) -> str:
        """The host's key."""
        return self.host.key

    @property
    def site(self) -> str:
        """The host's site."""
        return self.host.site

    @property
    def standing(self) -> Standing | None:
        """What it counts as now; None if it is not authorized, was charged, or is over."""
        if self.authorized_at is None or self.cost or self.closing is not None or self.is_over:
            return None
        return Standing.PROVEN if self.accepted else Standing.IDLE

    def login_cost(self, username: object, now: float) -> float:
        """Return what a refused authorize costs: little where its address was refused before, in full where this
        connection sends the same again, as no software in its senses does."""
        username = username[:_MAX_LOGIN_NAME] if isinstance(username, str) else ""
        cost = self.host.login_cost(username, now)
        again, self.login_refused = username == self.login_refused, username
        return Offence.LOGIN.cost if again else cost

    def is_settled(self, now: float) -> bool:
        """Return whether it works without an offence and has done so for a while."""
        if self.authorized_at is None or self.closing is not None or self.cost.at(now) >= 1.0:
            return False
        return self.accepted or abs(now - self.authorized_at) >= SETTLED_AFTER

    def forgive(self, now: float) -> None:
        """Begin anew."""
        self.cost.set(0.0, now)
        self.submissions = self.refused = 0
