"""What must hold in every world with gateways, in addition to the invariants of nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from p2pool.dash.hashes import hash_hex
from p2pool.gateway.remote_work import SILENCE
from p2pool.gateway.solution_spool import SUFFIX
from p2pool.stratum.work_patience import WORK_PATIENCE
from tests.simulation.invariants import Invariant, Violation
from tests.simulation.invariants.blocks import AT_ONCE
from tests.simulation.invariants.payouts import EverybodyIsPaid
from tests.simulation.invariants.storage import chain_of
from tests.simulation.invariants.tables import TablesStayBounded

if TYPE_CHECKING:
    from tests.simulation.gateway_process import GatewayMachine
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

ARRIVES: Final = 600.0
"""Seconds that a solution may take to the node when all is well again."""
REPORTED: Final = 120.0
"""Seconds within which what a gateway counted is counted by its node when all is well."""
NEAR: Final = 60.0
"""Seconds around a fault in which things may go wrong that it is not the only cause of."""


@dataclass
class _Found:
    """Something that a miner of a gateway solved."""

    gateway: str
    run: int
    time: float
    height: int
    excused: bool = False
    """Whether the gateway ended before any disk could have had it, or its disk had not taken it."""


class SolutionsArrive(Invariant):
    """Whatever a gateway's miner solved is delivered if the gateway's disk could take it: each share comes to a
    node, and each block to Dash's chain, or it is beaten there."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.shares: dict[int, _Found] = {}
        self.blocks: dict[int, _Found] = {}

    def gateway_started(self, gateway: GatewayMachine) -> None:
        assert gateway.process is not None
        paid = next(each for each in self.simulation.invariants if isinstance(each, EverybodyIsPaid))

        def solved(what: Any) -> None:
            outcome = what.outcome
            height = outcome.job.context.template.height
            found = _Found(gateway.name, gateway.runs, self.simulation.events.now, height)
            if outcome.meets_share:
                self.shares.setdefault(outcome.hash, found)
                paid.shares.setdefault(outcome.hash, outcome.share())  # its block may be there before it
            if outcome.meets_block:
                self.blocks.setdefault(outcome.hash, found)

        gateway.process.app.work.solved_work.subscribe(solved)

    def gateway_ending(self, gateway: GatewayMachine) -> None:
        assert gateway.process is not None
        sender, disk, now = gateway.process.app.sender, gateway.disk, self.simulation.events.now
        broken = disk.full or disk.delay > 0 or sender.disk.problem is not None
        for table in (self.shares, self.blocks):
            for solution_hash, found in table.items():
                waits = solution_hash.to_bytes(32, "little") in sender._untaken
                if waits and found.run == gateway.runs and found.gateway == gateway.name:
                    young = now - found.time < AT_ONCE
                    found.excused |= young or (broken and not _is_on_disk(gateway, solution_hash))

    def at_end(self) -> None:
        simulation = self.simulation
        chain, best = simulation.dash.chain, simulation.dash.best
        for block_hash, found in self._due(self.blocks):
            if block_hash not in chain.blocks:
                raise Violation(f"block {found.height} {hash_hex(block_hash)}{_by(found)} is lost")
            if chain.ancestor(best, found.height) is None:
                raise Violation(
                    f"block {found.height}{_by(found)} is known, and the chain does not reach its height"
                )
        for share_hash, found in self._due(self.shares):
            if share_hash not in simulation.share_seen:
                raise Violation(f"share {hash_hex(share_hash)}{_by(found)} is lost")

    def _due(self, table: dict[int, _Found]) -> Iterator[tuple[int, _Found]]:
        end = self.simulation.events.now
        for solution_hash, found in table.items():
            if end - found.time > ARRIVES and not found.excused:
                yield solution_hash, found

    def summary(self) -> Iterator[str]:
        excused = sum(each.excused for table in (self.shares, self.blocks) for each in table.values())
        yield (
            f"gateways found {len(self.shares)} shares and {len(self.blocks)} blocks; "
            f"{excused} ended with their gateway before a disk had them"
        )


def _is_on_disk(gateway: GatewayMachine, solution_hash: int) -> bool:
    """Return whether the file of a solution is there; its name is the hash as messages have it."""
    name = f"{solution_hash.to_bytes(32, 'little').hex()}{SUFFIX}"
    return next(gateway.disk.directory.rglob(name), None) is not None


def _by(found: _Found) -> str:
    return f" of {found.gateway}, found at {found.time:.1f} s,"


class AcknowledgedSharesSurvive(Invariant):
    """A share that a gateway has deleted, because its node reported it as stored, outlives whatever ends the node,
    if it is on the node's chain: others may be forgotten."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._acknowledged: dict[int, str] = {}
        """The gateway that deleted it, by hash of the share."""
        self._promised: dict[str, dict[int, None]] = {}
        """By node: what must be there once its shares are loaded."""
        self.kept = 0

    def gateway_started(self, gateway: GatewayMachine) -> None:
        assert gateway.process is not None
        sender: Any = gateway.process.app.sender
        forget = sender.taken

        def taken(solution_hash: bytes) -> None:
            self._acknowledged[int.from_bytes(solution_hash, "little")] = gateway.name
            forget(solution_hash)

        sender.taken = taken

    def ending(self, machine: Machine) -> None:
        assert machine.process is not None
        chain = chain_of(machine.process.node)
        promised = self._promised.setdefault(machine.name, {})
        promised.update((each, None) for each in self._acknowledged if each in chain)

    def data_lost(self, machine: Machine) -> None:
        self._promised.pop(machine.name, None)

    def started(self, machine: Machine) -> None:
        process = machine.process
        assert process is not None
        if process.gateways is not None:
            process.loaded.append(lambda: self._look(machine))

    def _look(self, machine: Machine) -> None:
        assert machine.process is not None
        promised = self._promised.pop(machine.name, {})
        for share_hash in promised:
            if share_hash not in machine.process.node.tracker:
                name = self._acknowledged[share_hash]
                self.report(f"{machine.name} has lost share {hash_hex(share_hash)}, which {name} has deleted")
        self.kept += len(promised)

    def summary(self) -> Iterator[str]:
        yield f"{self.kept} shares that gateways had deleted outlived the end of their node"


@dataclass
class _Run:
    """A run of a gateway, and what the node counted of it."""

    name: str
    stats: Any
    reports: dict[int, int] = field(default_factory=dict)
    """Accepted submissions by number of the report."""
    ended: float | None = None
    recorded: int = 0
    """Accepted submissions when it ended."""

    @property
    def counted(self) -> int:
        """Return how many of them the node has counted."""
        return sum(self.reports.values())

    def now_recorded(self) -> int:
        """Return how many submissions the gateway has accepted."""
        return self.recorded if self.ended is not None else int(self.stats._accepted)


class SubmissionsAreCountedOnce(Invariant):
    """The node's statistics are the sums of its gateways' reports, each counted once. Only a gateway that ends may
    keep something to itself: what it had not reported when it was killed, or could not report."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.runs: dict[int, _Run] = {}
        """By the random number of the run."""
        self._current: dict[str, int] = {}
        """The run of each gateway that runs."""
        self._counts: dict[str, int] = {}
        """Accepted submissions that the present process of each node has counted."""
        self._counted_at: dict[tuple[int, int], tuple[str, int, float]] = {}
        """(node, its run, time) when a report was counted, by run and number of the report."""
        self._before: dict[int, int] = {}
        """What each gateway had recorded REPORTED seconds before the end."""

    def gateway_started(self, gateway: GatewayMachine) -> None:
        assert gateway.process is not None
        app = gateway.process.app
        self._current[gateway.name] = app.sums._run
        self.runs[app.sums._run] = _Run(gateway.name, app.stats)

    def gateway_ending(self, gateway: GatewayMachine) -> None:
        run = self.runs[self._current.pop(gateway.name)]
        run.recorded = run.now_recorded()
        run.ended = self.simulation.events.now
        run.stats = None

    def started(self, machine: Machine) -> None:
        process = machine.process
        assert process is not None
        if process.gateways is None:
            return
        self._counts[machine.name] = 0
        stats: Any = process.stats
        count = stats.gateway_steps

        def counted(report: Any, now: float) -> Any:
            self._count(machine, report)
            return count(report, now)

        stats.gateway_steps = counted

    def _count(self, machine: Machine, report: Any) -> None:
        now, key = self.simulation.events.now, (report.run, report.number)
        accepted = sum(worker.accepted for worker in report.workers)
        self._counts[machine.name] += accepted
        before = self._counted_at.get(key)
        if before is not None:
            node, run, time = before
            if (node, run) == (machine.name, machine.runs):
                self.report(f"{node} has counted report {report.number} of {report.gateway} twice")
            elif not self._disturbed(time):
                self.report(f"{machine.name} counts report {report.number} of {report.gateway} after a restart")
        self._counted_at[key] = machine.name, machine.runs, now
        self.runs[report.run].reports[report.number] = accepted

    def _disturbed(self, time: float, *, without: str = "") -> bool:
        """Return whether something went wrong around a time, other than a fault of the kind `without`."""
        simulation = self.simulation
        return any(
            fault.time - NEAR < time < fault.time + 2 * fault.seconds + NEAR
            for fault in simulation.faults
            if fault.number not in simulation.without and fault.kind != without
        )

    def each_minute(self) -> None:
        simulation = self.simulation
        for machine in simulation.machines:
            if machine.process is None or machine.process.gateways is None:
                continue
            stats: Any = machine.process.stats
            if stats._accepted != self._counts[machine.name]:
                counted = self._counts[machine.name]
                raise Violation(f"{machine.name} shows {stats._accepted} submissions of {counted} that it counted")
        for number, run in self.runs.items():
            if run.counted > run.now_recorded():
                raise Violation(f"{run.name} accepted {run.now_recorded()} submissions, {run.counted} are counted")
            if simulation.events.now <= simulation.duration - REPORTED:
                self._before[number] = run.now_recorded()

    def at_end(self) -> None:
        seen = sum(miner.accepted for miner in self.simulation.miners)
        recorded = sum(run.now_recorded() for run in self.runs.values())
        if seen > recorded:
            raise Violation(f"miners saw {seen} submissions accepted, gateways accepted {recorded}")
        for number, run in self.runs.items():
            if run.ended is None and run.counted < self._before.get(number, 0):
                raise Violation(
                    f"{run.name} accepted {self._before[number]} submissions, {run.counted} are counted"
                )
            if run.ended is not None and not self._disturbed(run.ended, without="gateway_kill"):
                self._look_at_end(run)

    def _look_at_end(self, run: _Run) -> None:
        """Check a gateway that ended while all else was well: it had reported all but the last seconds."""
        lost = run.recorded - run.counted
        if lost > 0.1 * run.recorded + 5:
            raise Violation(
                f"{run.name} accepted {run.recorded} submissions until it ended, {lost} are not counted"
            )

    def summary(self) -> Iterator[str]:
        recorded = sum(run.now_recorded() for run in self.runs.values())
        counted = sum(run.counted for run in self.runs.values())
        yield f"gateways accepted {recorded} submissions in {len(self.runs)} runs, nodes counted {counted}"


class WorkIsFresh(Invariant):
    """No gateway has miners at work on a tip that its node left longer ago than miners have patience for."""

    LIMIT = SILENCE + WORK_PATIENCE + 30.0

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._current: dict[str, Any] = {}
        """The tip that each node works on."""
        self._left: dict[str, dict[Any, float]] = {}
        """When each node left a tip."""
        self._thawed: dict[str, float] = {}

    def started(self, machine: Machine) -> None:
        assert machine.process is not None
        if machine.process.gateways is None:
            return
        left = self._left.setdefault(machine.name, {})

        def changed(change: Any) -> None:
            former, tip = self._current.get(machine.name), change.context.tip
            if former is not None and former != tip:
                left[former] = self.simulation.events.now
            left.pop(tip, None)
            self._current[machine.name] = tip

        machine.process.node.work_changed.subscribe(changed)

    def ending(self, machine: Machine) -> None:
        tip = self._current.pop(machine.name, None)
        if tip is not None:
            self._left[machine.name][tip] = self.simulation.events.now

    def each_minute(self) -> None:
        now = self.simulation.events.now
        for gateway in self.simulation.gateways.machines:
            process = gateway.process
            if process is None or process.reactor.frozen:
                self._thawed[gateway.name] = now
                continue
            context = process.app.work.context
            if (
                context is None
                or not len(process.app.stratum.server)
                or now - self._thawed.get(gateway.name, 0) < 90
            ):
                continue
            left = self._left.get(f"n{gateway.node}", {}).get(context.tip)
            if left is not None and now - left > self.LIMIT:
                raise Violation(f"{gateway.name} has miners on work that its node left {now - left:.0f} s ago")


class GatewaysBanNobody(Invariant):
    """No gateway bans a miner: all of them are honest."""

    def each_minute(self) -> None:
        for gateway in self.simulation.gateways.machines:
            if gateway.process is None:
                continue
            guard = gateway.process.app.stratum.server.guard
            for miner in self.simulation.miners:
                if guard.ban_of(miner.reactor.host.address) is not None:
                    raise Violation(f"{gateway.name} has banned miner {miner.reactor.host.name}, which is honest")


class GatewayTablesStayBounded(TablesStayBounded):
    """No table of a gateway grows beyond its bound."""

    def each_minute(self) -> None:
        if round(self.simulation.events.now) % 3600 < 60:
            for gateway in self.simulation.gateways.machines:
                if gateway.process is not None:
                    self.look(gateway.name, gateway.process)


GATEWAY_INVARIANTS: Final[tuple[type[Invariant], ...]] = (
    SolutionsArrive,
    AcknowledgedSharesSurvive,
    SubmissionsAreCountedOnce,
    WorkIsFresh,
    GatewaysBanNobody,
    GatewayTablesStayBounded,
)
