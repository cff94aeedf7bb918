"""Who is kept out, and what happens to those who misbehave.

A host is an IPv4 address or an IPv6 network of 64 bits (what one customer gets). A farm of a thousand machines may
be behind one address, so `conduct` divides a host's costs by what works there, and judges each connection by
itself. A host whose cost reaches the limit is banned if nothing works there; else its working connections stay and
new ones are limited to a trickle. Loopback and the operator's own networks are never banned.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from twisted.logger import Logger

from p2pool.base.fair import FairDict, FairQueue
from p2pool.base.hosts import host_key, site_key
from p2pool.base.observable import Event
from p2pool.base.text import printable
from p2pool.pool_stats import BanRecord, HostRecord
from p2pool.stratum.conduct import BAN_COST, JUDGED_SUBMISSIONS, Conduct, Host, Offence
from p2pool.stratum.places import Places
from p2pool.stratum.ports import StatsPort
from p2pool.stratum.settings import StratumSettings

_log = Logger(namespace="p2pool.stratum")

Network = IPv4Network | IPv6Network

_SHORT_LIFE = 10.0
"""A connection that ends sooner, without an accepted submission, came too fast."""
BANNED = "banned"
"""Why a banned host is turned away; the ban itself was logged."""
LIMITED = "new connections of its host are limited"
"""Why a connection of a host that misbehaved is turned away although others of it work; the limit was logged."""
TOO_MANY_OF_HOST = "too many connections of one host"
MAX_BANS = 10_000
"""Bans in force. Beyond it the site with most bans loses its oldest one."""
MAX_REASON = 100
"""Characters of a ban's reason."""
_MAX_TIME = 1e11
"""Unix seconds beyond any clock."""
MAX_ABSENT_HOSTS = 10_000
"""Hosts without a connection whose cost is remembered. Beyond it the site with most of them loses one."""
_SHOWN_HOSTS = 50
_LOGGED_HOSTS = 1000
"""Hosts and kinds of log lines that are remembered. Beyond it the site with most of them loses one."""
_LOG_PERIOD = 60.0
"""Seconds between two log lines of one kind about connections of one host."""


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

    ban_duration: float = StratumSettings.ban_duration
    allowed: tuple[Network, ...] = ()
    max_connections_per_host: int = StratumSettings.max_connections_per_ip


class Guard:
    """All hosts. `banned` fires with the key of a host that has just been banned."""

    def __init__(self, settings: GuardSettings, stats: StatsPort) -> None:
        self.settings = settings
        self.banned: Event[str] = Event()
        self.misbehaved: Event[Conduct] = Event()
        """A connection has to be closed; its `closing` says why."""
        self.bans_changed: Event[None] = Event()
        self.places = Places()
        """Which connections make room for others."""
        self._stats = stats
        self._hosts: dict[str, Host] = {}
        """Those with connections. Bound: the server's connections."""
        self._absent: FairDict[str, Host, str] = FairDict(MAX_ABSENT_HOSTS)
        self._bans: dict[str, BanRecord] = {}
        self._bans_by_site: FairQueue[str, str] = FairQueue()
        """The keys of `_bans`."""
        self._logged: FairDict[tuple[str, str], float, str] = FairDict(_LOGGED_HOSTS)

    # --- connections -------------------------------------------------------------------------------------

    def turned_away(self, host: str, now: float) -> str | None:
        """Return why a new connection of `host` is not let in; None if it is welcome."""
        key = host_key(host)
        if self._bans and self.is_banned(key, now):
            return BANNED
        known = self._hosts.get(key) or self._absent.get(key)
        if known is None:
            return None
        if known.connections >= self.settings.max_connections_per_host:
            return TOO_MANY_OF_HOST
        return LIMITED if now < known.limited_until and not known.admits(now) else None

    def connected(self, host: str, now: float) -> Conduct:
        """Account for a connection that was let in."""
        key = host_key(host)
        known = self._hosts.get(key)
        if known is None:
            known = self._absent.pop(key) or Host(key, now)
            self._hosts[key] = known
        conduct = Conduct(known, now)
        known.members[conduct] = None
        self.places.opened(conduct)
        return conduct

    def authorized(self, conduct: Conduct, now: float) -> None:
        """Note that a connection came as far as working."""
        conduct.authorized_at = now
        conduct.host.working += 1
        conduct.host.recount(conduct)
        self.places.authorized(conduct)

    def disconnected(self, conduct: Conduct, lasted: float, authorized: bool, earned: bool, now: float) -> None:
        """Account for the end of a connection after so many seconds. Those that never got as far as working, and
        those that were gone at once, are what a reconnect storm is made of."""
        host = conduct.host
        good, working = host.weight(now), host.working_weight(now)
        del host.members[conduct]
        host.working -= authorized
        conduct.is_over = True
        host.recount(conduct)
        self.places.closed(conduct)
        host.carried += conduct.submissions
        host.carried_refused += conduct.refused
        if conduct.cost or conduct.excused:
            pass  # it has paid for something worse, or the server ended it
        elif not authorized:
            self._charge(conduct, Offence.RECONNECT, Offence.RECONNECT.cost / good, now)
        elif lasted < _SHORT_LIFE and not earned:
            self._charge(conduct, Offence.RECONNECT, Offence.RECONNECT.cost / working, now)
        self._judge_carried(conduct, now)
        if not host.members and self._hosts.pop(host.key, None) is not None and host.is_worth_remembering(now):
            self._absent.put(host.key, host, host.site)

    def connections_of(self, key: str) -> list[Conduct]:
        """Return the connections of a host, the oldest first."""
        host = self._hosts.get(key)
        return [] if host is None else list(host.members)

    def make_room(self, host: str, now: float) -> Conduct | None:
        """Return the connection to close so that one of `host` has a place; None where all have worked."""
        return self.places.candidate(site_key(host), now)

    def may_log(self, host: str, what: str, now: float) -> bool:
        """Return whether it is time for a log line of this kind about `host`: a storm gets one a minute."""
        key = host_key(host), what
        logged = self._logged.get(key)
        if logged is not None and 0 <= now - logged < _LOG_PERIOD:
            return False
        self._logged.put(key, now, site_key(host))
        return True

    # --- behaviour ---------------------------------------------------------------------------------------

    def offence(self, conduct: Conduct, offence: Offence, now: float) -> None:
        """Charge something that a connection did."""
        self._charge_own(conduct, offence, offence.cost, now)

    def login_refused(self, conduct: Conduct, username: object, now: float) -> None:
        """Charge a refused authorize: little where the same address was refused before, since software repeats a
        mistyped setting for hours."""
        cost = conduct.login_cost(username, now)
        self._charge_own(conduct, Offence.LOGIN, cost, now)

    def submission(self, conduct: Conduct, refused: bool, now: float) -> None:
        """Account for a submission that was judged."""
        host = conduct.host
        host.submissions += 1
        conduct.submissions += 1
        if refused:
            host.refused += 1
            conduct.refused += 1
        elif not conduct.accepted:
            conduct.accepted = True
            host.recount(conduct)
            self.places.worked(conduct)
        if conduct.submissions >= JUDGED_SUBMISSIONS:
            is_bad = conduct.refused * 2 > conduct.submissions
            host.submissions -= conduct.submissions
            host.refused -= conduct.refused
            conduct.submissions = conduct.refused = 0
            if is_bad:
                self.offence(conduct, Offence.SUBMISSIONS, now)

    def _judge_carried(self, conduct: Conduct, now: float) -> None:
        """Judge what ended connections left: reconnecting before each judgement must not help."""
        host = conduct.host
        if host.carried >= JUDGED_SUBMISSIONS:
            is_bad = host.carried_refused * 2 > host.carried
            host.submissions -= host.carried
            host.refused -= host.carried_refused
            host.carried = host.carried_refused = 0
            if is_bad:
                self._charge(conduct, Offence.SUBMISSIONS, Offence.SUBMISSIONS.cost / host.weight(now), now)

    def _charge_own(self, conduct: Conduct, offence: Offence, cost: float, now: float) -> None:
        """Charge the connection, which no longer counts as a good one of its host then, and the host."""
        host = conduct.host
        is_too_much = conduct.cost.add(cost, now) >= BAN_COST
        host.recount(conduct)
        if is_too_much and conduct.closing is None and not self.never_banned(host.key):
            conduct.closing = offence.text
            self.misbehaved.fire(conduct)
        self._charge(conduct, offence, cost / host.weight(now), now)

    def _charge(self, conduct: Conduct, offence: Offence, cost: float, now: float) -> None:
        """Charge the host."""
        self._stats.record_offence(offence.text)
        host = conduct.host
        if host.key in self._bans:
            return  # what it had sent before it was banned is still judged
        if host.cost.add(cost, now) < BAN_COST or self.never_banned(host.key):
            return
        has_settled = host.has_settled(now)
        host.forgive(now)
        if not has_settled:
            self.ban(host.key, now, self.settings.ban_duration, offence.text)
            return
        host.limited_until = now + self.settings.ban_duration
        if self.may_log(host.key, LIMITED, now):
            _log.warn(
                "{host}: {reason}; its {count} working connections stay, new ones are limited for {seconds:.0f} s",
                host=host.key,
                reason=offence.text,
                count=host.working,
                seconds=self.settings.ban_duration,
            )

    # --- bans --------------------------------------------------------------------------------------------

    def ban(self, host: str, now: float, seconds: float, reason: str) -> BanRecord:
        """Keep a host (an address, or a key as bans are listed) out for `seconds` from now."""
        key = host_key(host)
        self._bans.pop(key, None)  # the newest is the last
        record = BanRecord(key, now, now + seconds, reason)
        self._keep_ban(record)
        self._changed()
        _log.warn("{host} is banned for {seconds:.0f} s: {reason}", host=key, seconds=seconds, reason=reason)
        self.banned.fire(key)
        return record

    def _keep_ban(self, record: BanRecord) -> None:
        """Keep a ban, at the cost of the oldest one of the site with most bans if there are too many."""
        site = site_key(record.host)
        if record.host not in self._bans_by_site and len(self._bans_by_site) >= MAX_BANS:
            victim = self._bans_by_site.candidate(site)
            if victim is not None:
                self._bans_by_site.discard(victim)
                del self._bans[victim]
        self._bans[record.host] = record
        self._bans_by_site.add(record.host, site)

    def unban(self, host: str) -> bool:
        """Let a host in again; whether it was banned."""
        key = host_key(host)
        if self._bans.pop(key, None) is None:
            return False
        self._bans_by_site.discard(key)
        known = self._hosts.get(key) or self._absent.get(key)
        if known is not None:
            known.forgive(now=known.cost.updated)
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
            self._bans_by_site.discard(key)
        if over:
            self._changed()
        self._stats.record_hosts(self._worst(now))

    def _worst(self, now: float) -> list[HostRecord]:
        costly = [
            (host.cost.at(now), host)
            for hosts in (self._hosts.values(), self._absent.values())
            for host in hosts
            if host.cost
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
                        self._keep_ban(BanRecord(key, float(since), float(until), reason))
                        taken += 1
        self._stats.record_bans(self._bans.values())
        return taken
