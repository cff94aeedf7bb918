"""Dash Cores that say what is wrong, and a Dash chain that goes back on its blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from p2pool.dash.hashes import hash_hex
from p2pool.dashd.rpc import RpcError, RpcTimeout, RpcUnavailable
from tests.simulation.dash_daemon import DaemonState, SimulatedDaemon
from tests.simulation.fault import Fault, Happen

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

GARBAGE: Final[tuple[Any, ...]] = (None, [], {}, "", "0" * 64, -1, 1e300, True, [[]], {"height": "1"}, "\ud800")


class Lie:
    """A habit of answering calls; `chance` draws what is drawn of it."""

    def __init__(self, simulation: Simulation, daemon: SimulatedDaemon, number: int) -> None:
        self.daemon = daemon
        self.chance = simulation.events.chance(f"lie {number}")

    def __call__(self, method: str, params: tuple[Any, ...]) -> Any:
        """Return what is answered to a call, right or wrong. Raises RpcError, RpcTimeout, RpcUnavailable."""
        raise NotImplementedError

    def right(self, method: str, params: tuple[Any, ...]) -> Any:
        """Return the right answer."""
        return self.daemon.right_answer(method, params)


class Garbage(Lie):
    """Half of all answers are well-formed JSON that nobody asked for."""

    def __call__(self, method: str, params: tuple[Any, ...]) -> Any:
        return self.chance.choice(GARBAGE) if self.chance.random() < 0.5 else self.right(method, params)


class GarbageTemplates(Lie):
    """Of templates a field is missing, or has the wrong kind of value."""

    def __call__(self, method: str, params: tuple[Any, ...]) -> Any:
        answer = self.right(method, params)
        if isinstance(answer, dict):
            name = self.chance.choice(list(answer))
            answer[name] = self.chance.choice(GARBAGE)
            if answer[name] is None:
                del answer[name]
        return answer


class Errors(Lie):
    """Calls end in errors of all kinds."""

    def __call__(self, method: str, params: tuple[Any, ...]) -> Any:
        errors: tuple[Exception, ...] = (
            RpcError(-28, "Loading block index..."),
            RpcError(-9, "Dash Core is not connected!"),
            RpcError(-1, "boost::bad_alloc"),
            RpcUnavailable(f"{self.daemon.name}: 503 Service Unavailable"),
        )
        raise self.chance.choice(errors)


class RefusedBlocks(Lie):
    """Blocks are answered with an error, and not taken."""

    def __call__(self, method: str, params: tuple[Any, ...]) -> Any:
        if method == "submitblock":
            raise RpcError(-1, "std::exception")
        return self.right(method, params)


class LostAnswers(Lie):
    """Blocks are taken, and nobody hears of it."""

    def __call__(self, method: str, params: tuple[Any, ...]) -> Any:
        answer = self.right(method, params)
        if method == "submitblock":
            raise RpcTimeout(f"{self.daemon.name} did not answer submitblock within 15 s")
        return answer


class WrongTemplates(Lie):
    """Templates have one wrong field: bits of a tenth or of ten times the difficulty, another height, or a
    previous block that nobody knows."""

    def __init__(self, simulation: Simulation, daemon: SimulatedDaemon, number: int) -> None:
        super().__init__(simulation, daemon, number)
        bits = simulation.dash.chain.bits
        self.changes: dict[str, Any] = self.chance.choice(
            (
                {"bits": f"{bits + (1 << 24):08x}"},
                {"bits": f"{bits - (1 << 24):08x}"},
                {"height": 5000},
                {"height": 7},
                {"previousblockhash": hash_hex(self.chance.getrandbits(240))},
                {"curtime": 2**31, "mintime": 2**31},
                {"curtime": 1_000_000, "mintime": 1_000_000},
            )
        )
        daemon.network.liars += 1

    def __call__(self, method: str, params: tuple[Any, ...]) -> Any:
        answer = self.right(method, params)
        if isinstance(answer, dict) and "bits" in answer:
            answer |= self.changes
        return answer


LIES: Final[tuple[type[Lie], ...]] = (
    Garbage,
    GarbageTemplates,
    Errors,
    RefusedBlocks,
    LostAnswers,
    WrongTemplates,
)


def dashd_wrong(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """Dash Core answers, and wrongly."""
    daemon = machine.daemon
    if daemon.lie is not None or daemon.state is not DaemonState.RUNNING:
        return
    kind = LIES[int(fault.size * len(LIES))]
    lie = daemon.lie = kind(simulation, daemon, fault.number)
    simulation.trace.note("world", f"{daemon.name}: {kind.__name__}")

    def end() -> None:
        if daemon.lie is lie:
            daemon.lie = None

    fault.later(simulation, end)


def reorganisation(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """The last blocks of Dash's chain, up to three of them, are replaced by a longer chain."""
    dash, daemon = simulation.dash, machine.daemon
    if daemon.state is not DaemonState.RUNNING:
        return
    depth = 1 + int(3 * fault.size)
    block = dash.chain.ancestor(daemon.tip, max(dash.chain.genesis.height, daemon.tip.height - depth))
    assert block is not None
    height = daemon.tip.height
    while block.height <= height:
        block = dash.anonymous(block, daemon)
    daemon.take(block)


DASHD_FAULTS: Final[dict[str, tuple[Happen, tuple[float, float]]]] = {
    "dashd_wrong": (dashd_wrong, (30, 1200)),
    "reorganisation": (reorganisation, (1, 2)),
}
"""By kind: what lets it happen, and the seconds that it lasts, from and to."""
