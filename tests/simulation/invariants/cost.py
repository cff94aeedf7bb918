"""What a node has to do for what others send it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from typing_extensions import override

from p2pool.base.turns import Client, Turns
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

T = TypeVar("T")
MOST: Final = 250_000
"""Calls of functions in one step: about 50 ms. They are counted, not timed, to be the same in every run."""


class StepsAreShort(Invariant):
    """In a world with malicious peers no honest node has to do more than MOST at a time, for what one of them sent
    or to choose the best share. A step is what nothing else can come between: after it, the reactor may serve
    miners. Counting takes time, so it is done on one node: the last one, which all malicious peers know.
    """

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.most: dict[str, int] = {}
        """Calls of the longest step, by what it was for."""
        honest = [machine for machine in simulation.machines if machine.honest]
        self._honest = {machine.host.address for machine in honest}
        self._counted = honest[-1] if simulation.adversaries else None

    def started(self, machine: Machine) -> None:
        process = machine.process
        if process is None or machine is not self._counted:
            return
        hub, node = process.peers.hub, process.node
        hub.turns = _CountedTurns(self, hub.monotonic, process.environment.call_soon)
        think = node._think
        node._think = lambda: self.count("the choice of the best share", think)  # type: ignore[method-assign]

    def sender(self, client: Client) -> str | None:
        """Return the name of a malicious host; None for an honest one."""
        if client.host_key in self._honest:
            return None
        host = self.simulation.internet.hosts.get(client.host_key)
        return client.host_key if host is None else host.name

    def count(self, purpose: str, function: Callable[[], T]) -> T:
        """Return what a function does, and count its calls."""
        calls, before = 0, sys.getprofile()

        def called(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(called)
        try:
            return function()
        finally:
            sys.setprofile(before)
            self.most[purpose] = max(calls, self.most.get(purpose, 0))

    def each_minute(self) -> None:
        for purpose, calls in self.most.items():
            if calls > MOST:
                raise Violation(f"{calls} calls in one step for {purpose}")

    def summary(self) -> Iterator[str]:
        if self.most:
            purpose = max(self.most, key=lambda each: self.most[each])
            yield f"at most {self.most[purpose]} calls in one step, for {purpose}"


class _CountedTurns(Turns):
    """Turns that count what malicious peers need."""

    def __init__(self, costs: StepsAreShort, clock: Callable[[], float], call_soon: Callable[..., Any]) -> None:
        super().__init__(clock, call_soon)
        self._costs = costs

    @override
    def _serve(self, client: Client) -> bool:
        sender = self._costs.sender(client)
        return super()._serve(client if sender is None else _Counted(client, f"what {sender} sent", self._costs))


class _Counted:
    """A client, as far as turns need it to serve it, whose steps are counted."""

    def __init__(self, client: Client, purpose: str, costs: StepsAreShort) -> None:
        self.host_key = client.host_key
        self.hold, self.failed = client.hold, client.failed
        self._client = client
        self._purpose = purpose
        self._costs = costs

    def step(self) -> bool:
        """Do a step, and count the calls in it."""
        return self._costs.count(self._purpose, self._client.step)
