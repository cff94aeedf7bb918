"""Who is kept out: a cost per host that decays, bans that survive a restart, and how many connections a host may
have.

A host is an IPv4 address or an IPv6 network of 64 bits (what one customer gets). A hall of a thousand machines may
stand behind one address: what its connections cost is measured by how many of them there are, and submissions are
judged together. Loopback and the operator's own networks are never banned.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.base.hosts import host_key
from p2pool.base.observable import Event
from p2pool.base.text import printable
from p2pool.pool_stats import BanRecord, HostRecord
from p2pool.stratum.ports import StatsPort

_log = Logger(namespace="p2pool.stratum")

Network = IPv4Network | IPv6Network

BAN_COST = 100.0
"""A host whose cost reaches this is banned."""
_HALF_LIFE = 60.0
"""Seconds in which a cost halves."""
_SHORT_LIFE = 10.0
"""A connection that ends sooner, without an accepted submission, came too fast."""
JUDGED_SUBMISSIONS = 100
"""Submissions of a host after which they are judged: more than half refused is a ban."""
BANNED = "banned"
"""Why a banned host is turned away; the ban itself was logged."""
MAX_BANS = 10_000
MAX_REASON = 100
"""Characters of a ban's reason."""
_MAX_TIME = 1e11
"""Unix seconds beyond any clock."""
MAX_ABSENT_HOSTS = 10_000
"""Hosts without a connection whose cost is remembered."""
_SHOWN_HOSTS = 50
_LOGGED_HOSTS = 1000
_LOG_PERIOD = 60.0
"""Seconds between two log lines of one kind about connections of one host."""


class Offence(Enum):
    """What costs a host, and how much. RECONNECT is divided by the connections that the host had at a time."""

    MALFORMED = "malformed lines", 20.0
    LOGIN = "refused authorizes", 10.0
    RECONNECT = "reconnecting too fast", 5.0
    SUBMISSIONS = "more than half of its submissions refused", BAN_COST

    def __init__(self, text: str, cost: float) -> None:
        self.text = text
        self.cost = cost


@lru_cache(maxsize=4096)
def _is_exempt(key: str, allowed: tuple[Network, ...]) -> bool:
    try:
        network = ip_network(key)
    except ValueError:
        return False
    if network.is_loopback or key == "::/64":  # ::1 is the only address in use there
        return True
    return any(
        network.version == other.version and network.overlaps(other)  # a part of its /64 is enough
        for other in allowed
    )


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """`ban_duration` in seconds; `allowed` networks are never banned."""

    ban_duration: float = 300.0
    allowed: tuple[Network, ...] = ()
    max_connections_per_host: int = 1000


class Host:
    """One host's behaviour. Constant space."""

    __slots__ = ("_cost", "_updated", "connections", "key", "peak", "refused", "submissions", "working")

    def __init__(self, key: str, now: float) -> None:
        self.key = key
        self.connections = 0
        self.working = 0
        """Of these, the authorized ones."""
        self.peak = 1
        """The most authorized connections that it had at a time."""
        self.submissions = self.refused = 0
        self._cost = 0.0
        self._updated = now

    def cost(self, now: float) -> float:
        """What is left of its cost."""
        return float(self._cost * 2.0 ** -(max(0.0, now - self._updated) / _HALF_LIFE))

    def charge(self, cost: float, now: float) -> float:
        """Add to it; returns the sum."""
        self._cost = self.cost(now) + cost
        self._updated = now
        return self._cost

    def forgive(self) -> None:
        """Begin anew."""
        self._cost = 0.0
        self.submissions = self.refused = 0


class Guard:
    """All hosts. `banned` fires with the key of a host that has just been banned."""

    def __init__(self, settings: GuardSettings, stats: StatsPort) -> None:
        self.settings = settings
        self.banned: Event[str] = Event()
        self.bans_changed: Event[None] = Event()
        self._stats = stats
        self._hosts: dict[str, Host] = {}
        """Those with connections. Bound: the server's connections."""
        self._absent: BoundedDict[str, Host] = BoundedDict(MAX_ABSENT_HOSTS)
        self._bans: dict[str, BanRecord] = {}
        self._logged: BoundedDict[str, float] = BoundedDict(_LOGGED_HOSTS)

    # --- connections -------------------------------------------------------------------------------------

    def turned_away(self, host: str, now: float) -> str | None:
        """Why a new connection of `host` is not let in; None where it is welcome."""
        key = host_key(host)
        if self._bans and self.is_banned(key, now):
            return BANNED
        known = self._hosts.get(key)
        if known is not None and known.connections >= self.settings.max_connections_per_host:
            return "too many connections of one host"
        return None

    def connected(self, host: str, now: float) -> Host:
        """A connection was let in."""
        key = host_key(host)
        known = self._hosts.get(key)
        if known is None:
            known = self._absent.pop(key, None) or Host(key, now)
            self._hosts[key] = known
        known.connections += 1
        return known

    def authorized(self, host: Host) -> None:
        """A connection came as far as working."""
        host.working += 1
        host.peak = max(host.peak, host.working)

    def disconnected(self, host: Host, lasted: float, authorized: bool, earned: bool, now: float) -> None:
        """A connection ended after so many seconds. Those that never got as far as working, and those that were
        gone at once, are what a reconnect storm is made of."""
        host.connections -= 1
        host.working -= authorized
        if not host.connections and self._hosts.pop(host.key, None) is not None:
            self._absent[host.key] = host
        if not authorized or (lasted < _SHORT_LIFE and not earned):
            self._charge(host, Offence.RECONNECT, Offence.RECONNECT.cost / host.peak, now)

    def may_log(self, host: str, what: str, now: float) -> bool:
        """Whether it is time for a log line of this kind about `host`: a storm gets one a minute."""
        key = f"{host_key(host)} {what}"
        due = not 0 <= now - self._logged.get(key, -_LOG_PERIOD) < _LOG_PERIOD
        if due:
            self._logged.pop(key, None)
            self._logged[key] = now
        return due

    # --- behaviour ---------------------------------------------------------------------------------------

    def offence(self, host: Host, offence: Offence, now: float) -> None:
        """It did something that costs it."""
        self._charge(host, offence, offence.cost, now)

    def submission(self, host: Host, refused: bool, now: float) -> None:
        """A submission was judged."""
        host.submissions += 1
        host.refused += refused
        if host.submissions >= JUDGED_SUBMISSIONS:
            bad = host.refused * 2 > host.submissions
            host.submissions = host.refused = 0
            if bad:
                self._charge(host, Offence.SUBMISSIONS, Offence.SUBMISSIONS.cost, now)

    def _charge(self, host: Host, offence: Offence, cost: float, now: float) -> None:
        self._stats.record_offence(offence.text)
        if host.key in self._bans:
            return  # what it had sent before it was banned is still judged
        if host.charge(cost, now) >= BAN_COST and not self.never_banned(host.key):
            host.forgive()
            self.ban(host.key, now, self.settings.ban_duration, offence.text)

    # --- bans --------------------------------------------------------------------------------------------

    def ban(self, host: str, now: float, seconds: float, reason: str) -> BanRecord:
        """Keep a host (an address, or a key as bans are listed) out for `seconds` from now."""
        key = host_key(host)
        self._bans.pop(key, None)  # the newest is the last
        if len(self._bans) >= MAX_BANS:
            del self._bans[min(self._bans, key=lambda banned: self._bans[banned].until)]
        record = BanRecord(key, now, now + seconds, reason)
        self._bans[key] = record
        self._changed()
        _log.warn("{host} is banned for {seconds:.0f} s: {reason}", host=key, seconds=seconds, reason=reason)
        self.banned.fire(key)
        return record

    def unban(self, host: str) -> bool:
        """Let a host in again; whether it was banned."""
        key = host_key(host)
        if self._bans.pop(key, None) is None:
            return False
        for hosts in (self._hosts, self._absent):
            if key in hosts:
                hosts[key].forgive()
        self._changed()
        _log.info("{host} is no longer banned", host=key)
        return True

    def ban_of(self, host: str) -> BanRecord | None:
        """The ban that keeps a host out; None where there is none."""
        return self._bans.get(host_key(host))

    def never_banned(self, host: str) -> bool:
        """Whether a host is loopback or on the allow-list."""
        return _is_exempt(host_key(host), self.settings.allowed)

    def is_banned(self, key: str, now: float) -> bool:
        """Whether a host is kept out."""
        record = self._bans.get(key)
        return record is not None and now < record.until

    def _changed(self) -> None:
        self._stats.record_bans(self._bans.values())
        self.bans_changed.fire(None)

    def tick(self, now: float) -> None:
        """Every few seconds: bans end, and what is shown is brought up to date."""
        over = [key for key, record in self._bans.items() if now >= record.until]
        for key in over:
            del self._bans[key]
        if over:
            self._changed()
        self._stats.record_hosts(self._worst(now))

    def _worst(self, now: float) -> list[HostRecord]:
        costly = [
            (host.cost(now), host)
            for hosts in (self._hosts, self._absent)
            for host in hosts.values()
            if host._cost
        ]
        worst = heapq.nlargest(_SHOWN_HOSTS, costly, key=lambda item: item[0])
        return [
            HostRecord(host.key, host.connections, cost, host.submissions, host.refused)
            for cost, host in worst
            if cost >= 0.1
        ]

    # --- between runs ------------------------------------------------------------------------------------

    def bans(self) -> Sequence[BanRecord]:
        """Those in force, the oldest first."""
        return tuple(self._bans.values())

    def to_json(self) -> list[list[object]]:
        """For a file: [host, since, until, reason] each."""
        return [[ban.host, ban.since, ban.until, ban.reason] for ban in self._bans.values()]

    def read_json(self, rows: object, now: float) -> int:
        """Take over what `to_json` gave; what is not of that form, over or exempt by now is passed over. Returns
        how many were taken."""
        taken = 0
        for row in rows if isinstance(rows, list) else []:
            match row:
                case [str(host), int() | float() as since, int() | float() as until, str(reason)]:
                    key = host_key(host[:64])
                    if not (0 <= since <= _MAX_TIME and now < until <= _MAX_TIME):
                        continue
                    if len(self._bans) < MAX_BANS and not self.never_banned(key):
                        reason = printable(reason, MAX_REASON)
                        self._bans[key] = BanRecord(key, float(since), float(until), reason)
                        taken += 1
        self._stats.record_bans(self._bans.values())
        return taken
