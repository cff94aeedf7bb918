"""The bans of miners' hosts that all processes of a pool share.

A ban that one process makes is written to the broker's table and announced in the stream of actions at once; the
others take it over with the time that it has left. The table is for those that come later, and is compared with
the own bans every SYNC seconds: what the broker lost is written again. A process never bans its own allow-list.

One bad miner must not get a farm banned whose good miners are at other gateways. So a process where they work
turns a ban that was made by another one's guard, not by an operator, into a limit of new connections for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.hosts import host_key, parse_address
from p2pool.base.text import printable
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnOnce
from p2pool.broker.connection import BrokerError, leave_to_broker
from p2pool.broker.operations import Action
from p2pool.broker.shared import News, add_rows, drop_rows, read_table, set_row
from p2pool.gateway.action_messages import KEPT_ACTIONS, ActionMessage, Ban, BanRow, Limit, Unban
from p2pool.gateway.messages import pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.pool_stats import BanRecord
from p2pool.stratum.guard import MAX_BANS, MAX_REASON, MAX_SOURCE, Guard

_log = Logger(namespace="p2pool.gateway")

SYNC: Final = 30.0
"""Seconds between two comparisons of the own bans with the broker's table."""
PORTION: Final = 100
"""Bans that are taken over at a time."""
SLACK: Final = 5.0
"""Seconds by which the ends of the same ban may differ in two processes."""
LIFTED_TIME: Final = 86_400.0
"""Seconds for which the table remembers that a ban was lifted, at most."""


class SharedBans:
    """Shares the bans of a guard. `name` is this process's, by which others call it. Bound: MAX_BANS rows in the
    broker, and the guard's own."""

    def __init__(
        self, environment: Environment, broker: BrokerPort, *, names: Names, guard: Guard, name: str
    ) -> None:
        self.last_id = 0
        """The id of the announcement that was made last."""
        self._environment = environment
        self._clock = environment.clock
        self._broker = broker
        self._names = names
        self._guard = guard
        self._name = name
        self._is_taking = False
        """Whether the guard is banning a host because another process did."""
        self._unreadable = WarnOnce()
        self._timer: Timer | None = None
        guard.banned.subscribe(self._banned)

    def start(self) -> None:
        """Compare the bans with the table from now on."""
        self._timer = Timer(
            self._environment.reactor, SYNC, self.compare, name="compare the bans with the broker's"
        )

    def stop(self) -> None:
        """Stop comparing the bans."""
        if self._timer is not None:
            self._timer.stop()

    # --- out ---------------------------------------------------------------------------------------------

    def _banned(self, host: str) -> None:
        record = self._guard.ban_of(host)
        if record is not None and not self._is_taking:
            now = self._clock()
            action = Ban(
                host=host,
                seconds=max(record.until - now, 1.0),
                reason=record.reason,
                automatic=record.is_automatic,
            )
            row, news = self._row(record, now), self._news(action)
            self._ask(set_row(self._names.bans, record.host, row, most=MAX_BANS, news=news))

    def lift(self, host: str) -> None:
        """Announce that the ban of a host (an address, or a key as bans are listed) was lifted here."""
        host = host_key(host.partition("/")[0])
        self._set_lifted(host, Unban(host=host), LIFTED_TIME)

    def _set_lifted(self, host: str, action: Unban | Limit, seconds: float) -> None:
        """Announce why a host is not banned, and remember it for those who still have the ban."""

        def row(now: float) -> bytes:
            until = now + seconds
            return pack_message(BanRow(since=now, until=until, reason="", source=self._name, lifted=True))

        self._ask(set_row(self._names.bans, host, row, most=MAX_BANS, news=self._news(action)))

    def _row(self, record: BanRecord, now: float) -> Callable[[float], bytes]:
        """Return what makes the row of an own ban for the time of the broker."""
        age, rest = now - record.since, record.until - now

        def row(server_now: float) -> bytes:
            return pack_message(
                BanRow(
                    since=server_now - age,
                    until=server_now + rest,
                    reason=record.reason,
                    source=record.source or self._name,
                    automatic=record.is_automatic,
                )
            )

        return row

    def _news(self, action: Ban | Limit | Unban) -> News:
        self.last_id = self._environment.nonce() >> 1
        message = ActionMessage(id=self.last_id, origin=self._name, action=action)
        return News(self._names.actions, pack_message(message), KEPT_ACTIONS)

    def _ask(self, action: object) -> None:
        """Ask the broker. If that fails, the next comparison does it again."""
        self._broker.ask(action).addErrback(  # type: ignore[arg-type]
            leave_to_broker
        )

    # --- in ----------------------------------------------------------------------------------------------

    def take(self, ban: Ban, source: str) -> int:
        """Take over a ban that another process announced. Return how many connections it ends."""
        return self._take(ban, source)

    def take_limit(self, limit: Limit) -> None:
        """Limit a host instead of banning it, as a process announced where some of its miners work."""
        self._guard.vouched_for(limit.host, now=self._clock(), seconds=limit.seconds)

    def take_lifted(self, host: str) -> None:
        """Lift a ban because another process did."""
        self._guard.unban(host)

    def _take(self, ban: Ban, source: str) -> int:
        if not self._strikes(ban):
            return 0
        count = len(self._guard.connections_of(ban.host))
        self._is_taking = True
        try:
            self._guard.ban(
                ban.host,
                now=self._clock(),
                seconds=ban.seconds,
                reason=printable(ban.reason, MAX_REASON),
                source=printable(source, MAX_SOURCE),
                is_automatic=ban.automatic,
            )
        finally:
            self._is_taking = False
        return count

    def _strikes(self, ban: Ban) -> bool:
        """Return whether a ban of another process holds here. A host of good miners is limited instead, at all
        processes."""
        guard, host = self._guard, ban.host
        if parse_address(host.partition("/")[0]) is None or guard.never_banned(host):
            return False
        reason = printable(ban.reason, MAX_REASON)
        if ban.automatic and guard.limit_settled(host, now=self._clock(), seconds=ban.seconds, reason=reason):
            self._set_lifted(host, Limit(host=host, seconds=ban.seconds), ban.seconds)
            return False
        return True

    # --- the table ---------------------------------------------------------------------------------------

    async def compare(self) -> None:
        """Take over the bans of the table that are missing here, and add those that are missing there. Many are
        taken in portions, between which others have their turn."""
        try:
            await self._compare()
        except BrokerError:
            return  # the next comparison does it again

    async def _compare(self) -> None:
        table = await self._broker.ask(read_bans(self._names.bans))
        for problem in self._unreadable.new(table.problems[:1]):
            _log.error("cannot read a ban in the broker: {problem}", problem=problem)
        ahead = table.now - self._clock()
        own = {record.host: record for record in self._guard.bans()}
        missing = [(host, row) for host, row in table.rows.items() if _is_missing(row, own.get(host), ahead)]
        for start in range(0, len(missing), PORTION):
            self._take_rows(missing[start : start + PORTION], ahead)
            if start + PORTION < len(missing):
                await deferLater(self._environment.reactor, 0.0, lambda: None)
        now = self._clock()
        unknown = {
            record.host: self._row(record, now)
            for record in self._guard.bans()
            if record.host not in table.rows and record.until - now > SLACK
        }
        if unknown:
            await self._broker.ask(add_rows(self._names.bans, unknown, most=MAX_BANS))
        if table.over:
            await self._broker.ask(drop_rows(self._names.bans, table.over))

    def _take_rows(self, rows: Iterable[tuple[str, BanRow]], ahead: float) -> None:
        """Take over bans, and that bans were lifted."""
        now, bans = self._clock(), []
        for host, row in rows:
            until = row.until - ahead
            ban = Ban(host=host, seconds=until - now, reason=row.reason, automatic=row.automatic)
            if row.lifted:
                self._guard.unban(host)
            elif self._strikes(ban):
                reason, source = printable(row.reason, MAX_REASON), printable(row.source, MAX_SOURCE)
                bans.append(BanRecord(host_key(host), now, until, reason, source, row.automatic))
        self._is_taking = True
        try:
            self._guard.take_bans(bans)
        finally:
            self._is_taking = False


def _is_missing(row: BanRow, own: BanRecord | None, ahead: float) -> bool:
    """Return whether what a row of the table says is not known here; the broker's clock is `ahead` of the own
    one."""
    if row.lifted:
        return own is not None and own.since + ahead <= row.since + SLACK
    return own is None or own.until + ahead < row.until - SLACK


@dataclass(frozen=True, slots=True)
class BanTable:
    """The rows of the broker's table by host, read at `now` by its clock; those that are `over` or cannot be read,
    and why."""

    now: float
    rows: dict[str, BanRow]
    over: list[str]
    problems: list[str]


def read_bans(table: str) -> Action[BanTable]:
    """Return the bans in the broker; they are parsed in its thread."""

    def act(client: Any) -> BanTable:
        raw = read_table(table)(client)
        found = BanTable(raw.now, {}, [], [])
        for host, data in raw.rows.items():
            try:
                row = parse_message(BanRow, data)
            except ParseError as error:
                found.problems.append(str(error))
                found.over.append(host)
                continue
            if row.until > raw.now and len(found.rows) < 2 * MAX_BANS:
                found.rows[host] = row
            else:
                found.over.append(host)
        return found

    return act
