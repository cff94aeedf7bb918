"""Which hosts are let in, banned or limited, and why.

A host is an IPv4 address or an IPv6 network of 64 bits (what one customer gets). A farm of a thousand miners may
be behind one address, so `reputation` divides a host's costs by its good connections, and judges each connection
by itself. A host whose cost reaches the limit is banned if no connection works there; otherwise its working
connections stay, and the rate of new ones is limited. Loopback and the operator's own networks are never banned.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from twisted.logger import Logger

from p2pool.base.fair import FairDict, FairQueue
from p2pool.base.hosts import host_key, site_key
from p2pool.base.observable import Event
from p2pool.base.text import printable
from p2pool.pool_stats import BanRecord, HostRecord
from p2pool.stratum.eviction_queue import EvictionQueue
from p2pool.stratum.ports import StatsPort
from p2pool.stratum.reputation import BAN_COST, JUDGED_SUBMISSIONS, ConnectionReputation, HostReputation, Offence
from p2pool.stratum.settings import StratumSettings

_log = Logger(namespace="p2pool.stratum")

IPNetwork = IPv4Network | IPv6Network

_SHORT_LIFE = 10.0
"""Seconds. A connection that ends sooner, without an accepted submission, counts as reconnecting too fast."""
BANNED = "banned"
"""Why a banned host is turned away; the ban itself was logged."""
LIMITED = "new connections of its host are limited"
"""Why a host that misbehaved, but has working connections, is turned away; the limit was logged."""
TOO_MANY_OF_HOST = "too many connections of one host"
MAX_BANS = 10_000
"""Bans in force. Beyond it the site with most bans loses its oldest one."""
MAX_REASON = 100
"""Characters of a ban's reason."""
MAX_SOURCE = 100
"""Characters of the name of the process that banned a host."""
_MAX_TIME = 1e11
"""Unix seconds; no clock of this century shows more."""
MAX_ABSENT_HOSTS = 10_000
"""Hosts without a connection whose cost is remembered. Beyond it the site that has most of them loses one."""
_SHOWN_HOSTS = 50
_NAMED = 5
"""Hosts that are logged one by one of those that are banned together."""
_LOGGED_HOSTS = 1000
"""Hosts and kinds of log lines that are remembered. Beyond it the site with most of them loses one."""
_LOG_PERIOD = 60.0
"""Seconds between two log lines of one kind about connections of one host."""


@lru_cache(maxsize=4096)
def _is_exempt(key: str, allowed: tuple[IPNetwork, ...]) -> bool:
    try:
        network = ip_network(key)
    except ValueError:
        return False
    if network.is_loopback or key == "::/64":  # ::1 is the only address in use in this network
        return True
    return any(
        network.version == other.version and network.overlaps(other)  # a part of the /64 is enough
        for other in allowed
    )


def _log_ban(ban: BanRecord) -> None:
    _log.warn(
        "banned {host} for {seconds:.0f} s: {reason}{whose}",
        host=ban.host,
        seconds=ban.until - ban.since,
        reason=ban.reason,
        whose=f" (banned by {ban.source})" if ban.source else "",
    )


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """The settings of the guard: `ban_duration` in seconds; `allowed` networks are never banned."""

    ban_duration: float = StratumSettings.ban_duration
    allowed: tuple[IPNetwork, ...] = ()
    max_connections_per_host: int = StratumSettings.max_connections_per_ip


class Guard:
    """Decides which hosts may connect. It keeps the reputation of all hosts, and their bans.

    The server reports what connections do (`connected`, `authorized`, `submission`, `offence`, `disconnected`);
    the guard fires `banned` with the key of a host that has just been banned, and `misbehaved` with a connection
    that has to be closed. Bound: the server's connections, MAX_ABSENT_HOSTS and MAX_BANS.
    """

    def __init__(self, settings: GuardSettings, stats: StatsPort) -> None:
        self.settings = settings
        self.elsewhere: Mapping[str, int] = {}
        """How many connections each host has at other gateways of the pool, as far as is known."""
        self.banned: Event[str] = Event()
        self.misbehaved: Event[ConnectionReputation] = Event()
        """Fires with a connection that has to be closed; its `closing` says why."""
        self.bans_changed: Event[None] = Event()
        """Fires after a ban was added, lifted or has ended."""
        self.eviction_queue = EvictionQueue()
        """The connections that may be closed to make room for others."""
        self._stats = stats
        self._hosts: dict[str, HostReputation] = {}
        """Hosts with connections. Bound: the server's connections."""
        self._absent: FairDict[str, HostReputation, str] = FairDict(MAX_ABSENT_HOSTS)
        self._bans: dict[str, BanRecord] = {}
        self._bans_by_site: FairQueue[str, str] = FairQueue()
        """The keys of `_bans`, grouped by site."""
        self._logged: FairDict[tuple[str, str], float, str] = FairDict(_LOGGED_HOSTS)

    # --- connections -------------------------------------------------------------------------------------

    def turned_away(self, host: str, now: float) -> str | None:
        """Return why a new connection of `host` is rejected; None if it is let in."""
        key = host_key(host)
        if self._bans and self.is_banned(key, now):
            return BANNED
        known = self._hosts.get(key) or self._absent.get(key)
        elsewhere = self.elsewhere.get(key, 0)
        if known is None and not elsewhere:
            return None
        here = 0 if known is None else len(known.connections)
        if here + elsewhere >= self.settings.max_connections_per_host:
            return TOO_MANY_OF_HOST
        if known is None:
            return None
        return LIMITED if now < known.limited_until and not known.admits(now) else None

    def connected(self, host: str, now: float) -> ConnectionReputation:
        """Add a connection that was let in, and return its reputation."""
        key = host_key(host)
        known = self._hosts.get(key)
        if known is None:
            known = self._absent.pop(key) or HostReputation(key, now)
            self._hosts[key] = known
        connection = ConnectionReputation(known, now)
        known.add(connection)
        self.eviction_queue.opened(connection)
        return connection

    def restore_host(self, host: HostReputation) -> None:
        """Remember the reputation that a host has in an earlier process; its connections follow."""
        self._absent.put(host.key, host, host.site)

    def restored(self, connection: ConnectionReputation) -> None:
        """Count a connection of an earlier process by what it did there."""
        if connection.authorized_at is not None:
            connection.host.working += 1
            self.eviction_queue.authorized(connection)
        if connection.accepted:
            self.eviction_queue.remove(connection)
        connection.host.recount(connection)

    def hosts(self) -> list[HostReputation]:
        """Return the reputations of all hosts, those without connections first."""
        return [*self._absent.values(), *self._hosts.values()]

    def authorized(self, connection: ConnectionReputation, now: float) -> None:
        """Note that a miner was authorized on a connection for the first time."""
        connection.authorized_at = now
        connection.host.working += 1
        connection.host.recount(connection)
        self.eviction_queue.authorized(connection)

    def disconnected(
        self, connection: ConnectionReputation, *, lasted: float, authorized: bool, earned: bool, now: float
    ) -> None:
        """Account for the end of a connection that lasted so many seconds.

        Connections that were never authorized, and those that ended at once, make up a reconnect storm, so they
        are charged.
        """
        host = connection.host
        good, working = host.weight(now), host.working_weight(now)
        host.working -= authorized
        host.remove(connection)
        self.eviction_queue.remove(connection)
        host.carried += connection.submissions
        host.carried_refused += connection.refused
        if connection.is_charged or connection.excused:
            pass  # it was charged for something worse, or the server ended it
        elif not authorized:
            self._charge(connection, Offence.RECONNECT, cost=Offence.RECONNECT.cost / good, now=now)
        elif lasted < _SHORT_LIFE and not earned:
            self._charge(connection, Offence.RECONNECT, cost=Offence.RECONNECT.cost / working, now=now)
        self._judge_carried(connection, now)
        if not host.connections and self._hosts.pop(host.key, None) is not None and host.is_worth_remembering(now):
            self._absent.put(host.key, host, host.site)

    def connection_counts(self, least: int) -> dict[str, int]:
        """Return how many connections each host has, of hosts that have at least `least`."""
        return {key: count for key, host in self._hosts.items() if (count := len(host.connections)) >= least}

    def connections_of(self, key: str) -> list[ConnectionReputation]:
        """Return the connections of a host, the oldest first."""
        host = self._hosts.get(key)
        return [] if host is None else list(host.connections)

    def make_room(self, host: str, now: float) -> ConnectionReputation | None:
        """Return the connection to close for a new one of `host`; None if all connections have worked."""
        return self.eviction_queue.candidate(site_key(host), now)

    def may_log(self, host: str, what: str, now: float) -> bool:
        """Return whether a log line of this kind about `host` is due: during a storm, one is logged a minute."""
        key = host_key(host), what
        logged = self._logged.get(key)
        if logged is not None and 0 <= now - logged < _LOG_PERIOD:
            return False
        self._logged.put(key, now, site_key(host))
        return True

    # --- behaviour ---------------------------------------------------------------------------------------

    def offence(self, connection: ConnectionReputation, offence: Offence, now: float) -> None:
        """Charge a connection and its host for an offence."""
        self._charge_own(connection, offence, cost=offence.cost, now=now)

    def login_refused(self, connection: ConnectionReputation, username: object, now: float) -> None:
        """Charge for a rejected authorize: little if the same address was rejected before, since software repeats
        a mistyped setting for hours."""
        cost = connection.login_cost(username, now)
        self._charge_own(connection, Offence.LOGIN, cost=cost, now=now)

    def submission(self, connection: ConnectionReputation, refused: bool, now: float) -> None:
        """Account for a submission that was accepted or rejected."""
        host = connection.host
        host.submissions += 1
        connection.submissions += 1
        if refused:
            host.refused += 1
            connection.refused += 1
        elif not connection.accepted:
            connection.accepted = True
            host.recount(connection)
            self.eviction_queue.remove(connection)
        if connection.submissions >= JUDGED_SUBMISSIONS:
            is_bad = connection.refused * 2 > connection.submissions
            host.submissions -= connection.submissions
            host.refused -= connection.refused
            connection.submissions = connection.refused = 0
            if is_bad:
                self.offence(connection, Offence.SUBMISSIONS, now)

    def _judge_carried(self, connection: ConnectionReputation, now: float) -> None:
        """Judge the submissions of connections that ended: reconnecting before each judgement must not help."""
        host = connection.host
        if host.carried >= JUDGED_SUBMISSIONS:
            is_bad = host.carried_refused * 2 > host.carried
            host.submissions -= host.carried
            host.refused -= host.carried_refused
            host.carried = host.carried_refused = 0
            if is_bad:
                cost = Offence.SUBMISSIONS.cost / host.weight(now)
                self._charge(connection, Offence.SUBMISSIONS, cost=cost, now=now)

    def _charge_own(self, connection: ConnectionReputation, offence: Offence, *, cost: float, now: float) -> None:
        """Charge the connection, which then no longer counts as a good one of its host, and the host."""
        host = connection.host
        is_too_much = connection.cost.add(cost, now) >= BAN_COST
        host.recount(connection)
        if is_too_much and connection.closing is None and not self.never_banned(host.key):
            connection.closing = offence.text
            self.misbehaved.fire(connection)
        self._charge(connection, offence, cost=cost / host.weight(now), now=now)

    def _charge(self, connection: ConnectionReputation, offence: Offence, *, cost: float, now: float) -> None:
        """Charge the host of a connection, and ban or limit it if its cost reaches the limit."""
        self._stats.record_offence(offence.text)
        host = connection.host
        if host.key in self._bans:
            return  # submissions that it sent before the ban are still judged
        if host.cost.add(cost, now) < BAN_COST or self.never_banned(host.key):
            return
        has_settled = host.has_settled(now)
        host.forgive(now)
        seconds = self.settings.ban_duration
        if has_settled:
            self._limit(host, now=now, seconds=seconds, reason=offence.text)
        else:
            self.ban(host.key, now=now, seconds=seconds, reason=offence.text, is_automatic=True)

    def _limit(self, host: HostReputation, *, now: float, seconds: float, reason: str) -> None:
        host.limited_until = now + seconds
        if self.may_log(host.key, LIMITED, now):
            _log.warn(
                "limiting new connections from {host} for {seconds:.0f} s: {reason}. "
                "Its {count} working connections stay",
                host=host.key,
                reason=reason,
                count=host.working,
                seconds=seconds,
            )

    def limit_settled(self, key: str, *, now: float, seconds: float, reason: str) -> bool:
        """Limit new connections of a host that misbehaved at another gateway if it has settled connections here.
        Return False if it has none: it can be banned then."""
        host = self._hosts.get(key)
        if host is None or not host.has_settled(now):
            return False
        self._limit(host, now=now, seconds=seconds, reason=reason)
        return True

    def vouched_for(self, key: str, *, now: float, seconds: float) -> None:
        """Take another gateway's word that connections of a host are settled there: for so many seconds it is
        limited here, not banned, unless an operator banned it."""
        record = self._bans.get(key)
        if record is not None and not record.is_automatic:
            return
        known = self._hosts.get(key) or self._absent.get(key)
        if record is not None:
            if known is None:
                known = HostReputation(key, now)
                self._absent.put(key, known, known.site)
            self.unban(key)
            known.limited_until = now + seconds
        if known is not None:
            known.vouched_until = now + seconds

    # --- bans --------------------------------------------------------------------------------------------

    def ban(
        self,
        host: str,
        *,
        now: float,
        seconds: float,
        reason: str,
        source: str = "",
        is_automatic: bool = False,
    ) -> BanRecord:
        """Ban a host (an address, or a key as bans are listed) for `seconds` from now. `source` is the process
        that decided it, "" for this one; `is_automatic` if no operator did."""
        key = host_key(host)
        self._bans.pop(key, None)  # the newest ban is the last
        record = BanRecord(key, now, now + seconds, reason, source, is_automatic)
        self._keep_ban(record)
        self._changed()
        _log_ban(record)
        self.banned.fire(key)
        return record

    def take_bans(self, records: Sequence[BanRecord]) -> None:
        """Take over many bans at once; none of them may be of an exempt host."""
        if not records:
            return
        for record in records:
            self._bans.pop(record.host, None)
            self._keep_ban(record)
        self._changed()
        for record in records[:_NAMED]:
            _log_ban(record)
        if len(records) > _NAMED:
            _log.warn("banned {count} more hosts, as other gateways did", count=len(records) - _NAMED)
        for record in records:
            self.banned.fire(record.host)

    def _keep_ban(self, record: BanRecord) -> None:
        """Store a ban. If there are too many, the oldest one of the site with most bans is dropped."""
        site = site_key(record.host)
        if record.host not in self._bans_by_site and len(self._bans_by_site) >= MAX_BANS:
            victim = self._bans_by_site.candidate(site)
            if victim is not None:
                self._bans_by_site.discard(victim)
                del self._bans[victim]
        self._bans[record.host] = record
        self._bans_by_site.add(record.host, site)

    def unban(self, host: str) -> bool:
        """Lift the ban of a host. Return whether it was banned."""
        key = host_key(host)
        if self._bans.pop(key, None) is None:
            return False
        self._bans_by_site.discard(key)
        known = self._hosts.get(key) or self._absent.get(key)
        if known is not None:
            known.forgive(now=known.cost.updated)
        self._changed()
        _log.info("lifted the ban of {host}", host=key)
        return True

    def ban_of(self, host: str) -> BanRecord | None:
        """Return the ban of a host; None if it is not banned."""
        return self._bans.get(host_key(host))

    def never_banned(self, host: str) -> bool:
        """Return whether a host is loopback or on the allow-list."""
        return _is_exempt(host_key(host), self.settings.allowed)

    def allow(self, networks: tuple[IPNetwork, ...]) -> None:
        """Never ban these networks from now on, and lift the bans of hosts in them."""
        self.settings = replace(self.settings, allowed=networks)
        for key in [key for key in self._bans if _is_exempt(key, networks)]:
            self.unban(key)

    def is_banned(self, key: str, now: float) -> bool:
        """Return whether a host is banned at `now`."""
        record = self._bans.get(key)
        return record is not None and now < record.until

    def _changed(self) -> None:
        self._stats.record_bans(self._bans.values())
        self.bans_changed.fire(None)

    def tick(self, now: float) -> None:
        """End bans that are over, and update the figures of hosts; call it every few seconds."""
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
            HostRecord(
                host.key,
                len(host.connections),
                cost,
                host.submissions,
                host.refused,
                never_banned=self.never_banned(host.key),
            )
            for cost, host in worst
            if cost >= 0.1
        ]

    # --- between runs ------------------------------------------------------------------------------------

    def bans(self) -> Sequence[BanRecord]:
        """Return the bans in force, the oldest first."""
        return tuple(self._bans.values())

    def to_json(self) -> list[list[object]]:
        """Return the bans for a file: [host, since, until, reason] each, and the source if it is another one."""
        return [
            [ban.host, ban.since, ban.until, ban.reason, *([ban.source] if ban.source else [])]
            for ban in self._bans.values()
        ]

    def read_json(self, rows: object, now: float) -> int:
        """Restore bans from what `to_json` gave. Skip rows of another form, and bans that are over or whose host
        is exempt by now. Return how many bans were restored."""
        taken = 0
        for row in rows if isinstance(rows, list) else []:
            match row:
                case [str(host), int() | float() as since, int() | float() as until, str(reason), *more]:
                    key = host_key(host[:64])
                    if not (0 <= since <= _MAX_TIME and now < until <= _MAX_TIME):
                        continue
                    if len(self._bans) < MAX_BANS and not self.never_banned(key):
                        reason = printable(reason, MAX_REASON)
                        source = printable(more[0], MAX_SOURCE) if more and isinstance(more[0], str) else ""
                        self._keep_ban(BanRecord(key, float(since), float(until), reason, source))
                        taken += 1
        self._stats.record_bans(self._bans.values())
        return taken
