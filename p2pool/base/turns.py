"""Fair scheduling of the reactor among connections whose other side determines how much work there is.

Pure; the clock is passed in.
A client's input is processed at once while there is time left in this turn of the reactor. When that is used up,
clients are paused, and the next turns go to the host that has had the least time so far. Between two turns the
reactor serves everybody else: miners, browsers, Dash Core. Called by `peers` and by `dashd.broadcaster`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from p2pool.base.bounded import BoundedDict
from p2pool.base.ordered_set import OrderedSet

TURN_TIME = 0.010
"""Seconds of a turn of the reactor that all clients together get. The last step of them may take longer."""
SLICE_TIME = 0.002
"""Seconds that one client gets before another one that waits."""
SLICE_STEPS = 50
"""Steps of one slice, however short they are."""
CREDIT = TURN_TIME
"""Seconds by which a host that was idle is served before those that wait already: so much work is done soon."""
CARRIED = 0.001
"""Seconds of work that may count for a later turn as well: so little is not worth a call when the turn begins."""
_STEP_CHARGE = 1e-6
"""Seconds that a step costs at least: even a step too short to be measured is work."""
_REMEMBERED_HOSTS = 1024


class Client(Protocol):
    """A connection. Its host is charged: several connections of one host have one share together."""

    @property
    def host_key(self) -> str:
        """Return the host that is charged, as `base.hosts.host_key` gives it."""

    def step(self) -> bool:
        """Do a bounded piece of the pending work, in order; return False if nothing is left."""

    def hold(self, held: bool) -> None:
        """Stop reading input while the client waits for its turn (`held`), or resume it."""

    def failed(self, error: Exception) -> None:
        """Handle an error that a step in a later turn raised."""


class Turns:
    """Divides the reactor's time among clients. `clock` gives seconds, `call_soon` runs a callable in the
    reactor's next turn.

    Bound: a client waits once; what it holds meanwhile is bounded by itself, as it is held.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
        *,
        turn_time: float = TURN_TIME,
        slice_time: float = SLICE_TIME,
    ) -> None:
        self._clock = clock
        self._call_soon = call_soon
        self._turn_time = turn_time
        self._slice_time = slice_time
        self._waiting: dict[str, deque[Client]] = {}
        """By host."""
        self._held: OrderedSet[Client] = OrderedSet()
        self._spent: BoundedDict[str, float] = BoundedDict(_REMEMBERED_HOSTS)
        """By host: seconds used. An idle host does not save them up: it begins a little below `_level`."""
        self._level = 0.0
        """The least that any of the waiting hosts has used."""
        self._used = 0.0
        """Seconds of this turn, and up to CARRIED of those before it."""
        self._due = False

    def __len__(self) -> int:
        return len(self._held)

    def submit(self, client: Client) -> None:
        """Note that a client has work. Some of it is done at once if nobody waits and this turn has time left;
        what its steps raise then is raised to the caller."""
        if client in self._held:
            return
        host = client.host_key
        spent, least = self._spent.get(host), max(0.0, self._level - CREDIT)
        if spent is None or spent < least:
            self._spent[host] = least
        if not self._waiting and self._used < self._turn_time:
            try:
                if not self._serve(client):
                    return
            finally:
                if self._used > CARRIED:
                    self._schedule()
        self._schedule()
        self._held.add(client)
        self._waiting.setdefault(host, deque()).append(client)
        client.hold(True)

    def forget(self, client: Client) -> None:
        """Forget a client that has ended."""
        if client in self._held:
            self._held.discard(client)
            queue = self._waiting[client.host_key]
            queue.remove(client)
            if not queue:
                del self._waiting[client.host_key]

    def _schedule(self) -> None:
        if not self._due:
            self._due = True
            self._call_soon(self._turn)

    def _turn(self) -> None:
        self._due, self._used = False, 0.0
        try:
            while self._waiting and self._used < self._turn_time:
                self._serve_next()
        finally:  # whatever went wrong with one client, the others go on
            if self._waiting:
                self._schedule()

    def _serve_next(self) -> None:
        """Give a slice to a client of the host that has had the least time."""
        host = min(self._waiting, key=self._has_used)
        client = self._waiting[host][0]
        try:
            more = self._serve(client)
        except Exception as error:
            self.forget(client)
            client.failed(error)
            return
        if client not in self._held:
            return  # it ended meanwhile
        if more:
            self._waiting[host].rotate(-1)
        else:
            self.forget(client)
            client.hold(False)

    def _has_used(self, host: str) -> float:
        return self._spent.get(host, self._level)

    def _serve(self, client: Client) -> bool:
        """Do one slice of a client's work, and return whether more is pending. The host is charged in any case."""
        host = client.host_key
        spent = self._has_used(host)
        self._level = max(self._level, spent)
        start, steps, more = self._clock(), 0, True
        elapsed = 0.0
        try:
            while more and steps < SLICE_STEPS and elapsed < self._slice_time:
                steps += 1
                more = client.step()
                elapsed = self._clock() - start
        finally:
            cost = max(self._clock() - start, steps * _STEP_CHARGE)
            self._used += cost
            self._spent[host] = spent + cost
        return more
