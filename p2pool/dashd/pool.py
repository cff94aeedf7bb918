"""Several daemons as one source of templates: the best serves work, the others are watched.

The best is the one with the newest work; among equals the one that serves stays, so that a short delay of one does
not cause new jobs for all miners. A daemon that answers but stays behind the others, or behind what the network
proves with headers, counts as failed. One that was not upgraded for a hard fork does not serve: see `_outdated`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.observable import Event
from p2pool.base.timer import Timer
from p2pool.dash.block import BlockHeader
from p2pool.dashd.announced import AnnouncedChain
from p2pool.dashd.block_notifications import NotificationSource
from p2pool.dashd.daemon import Daemon
from p2pool.dashd.facts import DaemonFacts
from p2pool.dashd.rpc import RpcUnavailable
from p2pool.dashd.template import BlockTemplate

_log = Logger(namespace="p2pool.dashd")

WATCH_PERIOD = 0.25
STUCK_TIME = 30.0
"""Seconds that a daemon may stay behind: validating a block takes one or two."""
SILENT_TIME = 300.0
"""Seconds without a new block after which a daemon behind headers alone counts as stuck: peers may have mined them
for that purpose, which is cheap on test networks. One block in seven takes longer."""
LEFT_ALONE_TIME, LEFT_ALONE_BLOCKS = 3600.0, 12
"""If a daemon with outdated rules got so many blocks while all others got none for so many seconds, the network
follows its rules, whatever the others report: at least half of the network's work made them."""
CALM = 10.0
"""Seconds for which a daemon serves at least before a quicker one takes over."""
QUICKER, QUICKER_BY = 3.0, 0.2
"""A daemon is quicker if its answers take a third of the time, and so many seconds less."""
SLOWER = 2.0
"""A slow daemon is replaced by a healthy one if it takes so many times as long."""
MAX_CLOCK_DIFFERENCE = 120.0
"""Seconds between this machine's clock and a daemon's; blocks may be two hours ahead, shares much less."""


@dataclass(frozen=True, slots=True)
class DaemonFigures:
    """What pages and metrics show of one daemon. Times in seconds; None if nothing is known."""

    name: str
    serving: bool
    problem: str | None
    height: int | None
    since_answer: float | None
    answer_time: float | None
    version: str
    connections: int | None


class DaemonPool:
    """All daemons. `template` fires with each new template of the one that serves."""

    def __init__(self, environment: Environment, daemons: Sequence[Daemon], chain: AnnouncedChain) -> None:
        self.daemons = tuple(daemons)
        self.template: Event[BlockTemplate] = Event()
        self.serving: Daemon = self.daemons[0]
        self.chain = chain
        self._reactor = environment.reactor
        self._clock = environment.clock
        self._serving_since = float("-inf")
        self._behind_since: dict[Daemon, float] = {}
        self._moved: dict[Daemon, tuple[int, float]] = {}
        """Each daemon's tip, and since when it has been that."""
        self._required: dict[Daemon, int] = {}
        """By daemon with outdated rules: the version of the coinbase payload that it must reach."""
        self._timer: Timer | None = None

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to poll all daemons."""
        for daemon in self.daemons:
            daemon.service.template.subscribe(partial(self._took, daemon))
            daemon.service.changed.subscribe(lambda _: self._choose())
            daemon.service.startService()
        self._timer = Timer(self._reactor, WATCH_PERIOD, self._watch, name="choose a dashd", now=False)

    async def stop(self) -> None:
        """Give up what is under way."""
        if self._timer is not None:
            self._timer.stop()
        for daemon in self.daemons:
            await daemon.service.stopService()

    # --- who serves --------------------------------------------------------------------------------------

    def _took(self, daemon: Daemon, template: BlockTemplate) -> None:
        self._check_rules()
        if daemon.outdated is None:  # others are not stuck because they do not have its blocks
            self.chain.learn(template.previous_block, template.height - 1, template.target)
        # It may have gone back while another one did not.
        if not self._choose() and daemon is self.serving and daemon.outdated is None:
            self.template.fire(template)

    def _choose(self) -> bool:
        """Let the best daemon serve. Return whether that is another one now, whose template was published."""
        serving = self.serving
        best = max(self.daemons, key=Daemon.rank)  # the first of equals: in the operator's order
        if best.rank() <= serving.rank():
            best = self._quicker() or serving
        elif best.rank()[:2] == serving.rank()[:2] and best.service.delay * SLOWER > serving.service.delay:
            best = serving  # both are about as slow: to and fro would be a job broadcast each time
        if best is serving or best.template is None:
            return False
        started = serving.template is not None
        older = serving.responsive and best.height > serving.height
        self.serving, self._serving_since = best, self._reactor.seconds()
        if started and older:
            _log.debug("dashd at {name} had a new block first", name=best.name)
        elif started:
            _log.warn(
                "switched to dashd at {name} (was {former}): {why}",
                name=best.name,
                former=serving.name,
                why=serving.problem or "the former dashd answers slowly",
            )
        self.template.fire(best.template)
        return True

    def _quicker(self) -> Daemon | None:
        """Return a daemon whose template builds on the same block and that answers much sooner, or None. In the
        middle of a fork a fast daemon must not carry the work to another branch of the same height."""
        serving, now = self.serving, self._reactor.seconds()
        current, taken = serving.template, serving.service.answer_time
        if current is None or taken is None or now - self._serving_since < CALM:
            return None
        for daemon in self.daemons:
            template, takes = daemon.template, daemon.service.answer_time
            if daemon is serving or daemon.outdated is not None or daemon.rank() != serving.rank():
                continue
            if template is None or template.previous_block != current.previous_block:
                continue
            if takes is not None and takes * QUICKER < taken and takes + QUICKER_BY < taken:
                return daemon
        return None

    def _watch(self) -> None:
        """Check which daemons have stopped answering, and which have fallen behind."""
        newest = max(daemon.rank()[0] for daemon in self.daemons)
        for daemon in self.daemons:
            stuck = self._stuck(daemon, newest)
            if stuck is None and daemon.stuck is not None:
                _log.info("dashd at {name} has caught up", name=daemon.name)
            elif stuck is not None and daemon.stuck is None:
                _log.error(
                    "dashd at {name} is {stuck}: check its debug.log and its connections",
                    name=daemon.name,
                    stuck=stuck,
                )
            daemon.stuck = stuck
        self._choose()

    def _stuck(self, daemon: Daemon, newest: int) -> str | None:
        """Return the problem of a daemon that stays behind the others, or behind what headers prove; None for any
        other, and for one that has another problem."""
        now, template = self._reactor.seconds(), daemon.template
        if template is not None and (
            daemon not in self._moved or self._moved[daemon][0] != template.previous_block
        ):
            self._moved[daemon] = (template.previous_block, now)
        highest = max(newest, self.chain.height)
        failed = daemon.service.problem is not None or daemon.outdated is not None
        if template is None or failed or daemon.height >= highest:
            self._behind_since.pop(daemon, None)
            return None
        if now - self._behind_since.setdefault(daemon, now) < STUCK_TIME:
            return None
        if daemon.height >= newest and now - self._moved[daemon][1] < SILENT_TIME:
            return None  # headers alone claim so, and blocks come
        return f"stuck at height {daemon.height}, others are at {highest}"

    # --- outdated rules ----------------------------------------------------------------------------------

    def _check_rules(self) -> None:
        """Compare the daemons' newest templates, and log what changed."""
        for daemon in self.daemons:
            outdated = self._outdated(daemon)
            if outdated is None and daemon.outdated is not None:
                _log.info("dashd at {name} follows the current rules again", name=daemon.name)
            elif outdated is not None and daemon.outdated is None:
                _log.error("dashd at {name} follows {outdated}", name=daemon.name, outdated=outdated)
            daemon.outdated = outdated

    def _outdated(self, daemon: Daemon) -> str | None:
        """Return the problem of a daemon that was not upgraded for a hard fork; None for any other. For the same
        block, its coinbase payload has an older version than another daemon's, which the network would refuse
        (bad-cbtx-version). It stays so on a chain of its own, until it makes payloads of that version or the
        others are back before the fork, or left alone by the network."""
        own = daemon.template
        if own is None:
            self._required.pop(daemon, None)
            return None
        others = [
            (other, other.template.payload_version)
            for other in self.daemons
            if other is not daemon
            and other.template is not None
            and other.template.previous_block == own.previous_block
            and other not in self._required
        ]
        newer = [(other, version) for other, version in others if version > own.payload_version]
        if newer:
            other, self._required[daemon] = newer[0]
            return (
                f"outdated rules, upgrade it: its coinbase payload for block {own.height} has version "
                f"{own.payload_version}, while dashd at {other.name} uses version {newer[0][1]}; the network "
                "would reject its blocks, so this node does not use its templates"
            )
        if others or own.payload_version >= self._required.get(daemon, 0) or self._is_left_alone(daemon):
            self._required.pop(daemon, None)
        return daemon.outdated if daemon in self._required else None

    def _is_left_alone(self, outdated: Daemon) -> bool:
        """Return whether the network went on with the blocks of this daemon, and without all that others make."""
        since = self._reactor.seconds() - LEFT_ALONE_TIME
        return all(
            other.height + LEFT_ALONE_BLOCKS <= outdated.height and self._moved.get(other, (0, 0.0))[1] <= since
            for other in self.daemons
            if other not in self._required
        )

    # --- notifications -----------------------------------------------------------------------------------

    def headers_heard(self, source: NotificationSource, headers: Sequence[BlockHeader]) -> None:
        """Handle headers that somebody announced; new ones with proof of work are passed on. Raises ParseError if
        the work is missing."""
        newest = self.chain.headers(headers)
        if newest is not None:
            for daemon in self.daemons:
                daemon.announced(source, newest)

    def refresh(self) -> None:
        """Request a template from all daemons now."""
        for daemon in self.daemons:
            daemon.refresh()

    # --- what others ask ---------------------------------------------------------------------------------

    @property
    def problem(self) -> str | None:
        """Return why there are no fresh templates, as text for the operator; None while there are."""
        service = self.serving.service
        if service.problem is None or service.last_answer is None:
            return self.serving.problem
        return f"no contact for {max(0, round(self._clock() - service.last_answer))} s: {service.problem}"

    def problems(self) -> list[str]:
        """Return which daemons do not work, the one that serves first. These are logged where they arise."""
        found = []
        for daemon in self._serving_first():
            problem = self.problem if daemon is self.serving else daemon.problem
            if problem is not None:
                found.append(f"dashd at {daemon.name}: {problem}")
        return found

    def advice(self) -> list[str]:
        """Return what else the operator should know: warnings of daemons, clocks, and errors in templates."""
        found = []
        for daemon in self._serving_first():
            if daemon.template is not None and daemon.service.problem is None:
                found += [f"dashd at {daemon.name}: {text}" for text in daemon.template.problems]
            if daemon.facts is not None and daemon.service.problem is None:
                found += [f"dashd at {daemon.name} {text}" for text in daemon.facts.problems()]
                found += [f"dashd at {daemon.name}: {text}" for text in self._clock_problem(daemon)]
                found += [f"dashd at {daemon.name} {text}" for text in self._coming_forks(daemon.facts)]
        return found

    def _coming_forks(self, facts: DaemonFacts) -> list[str]:
        """Return the hard forks that another daemon expects, and this one does not."""
        coming: dict[str, str] = {}
        for other in self.daemons:
            if other.facts is None or other.service.problem is not None:
                continue
            for name, height in facts.not_expected(other.facts):
                when = f"begins at block {height}" if height else "has begun"
                text = (
                    f"must be upgraded: it does not know hard fork {name}, which {when} according to dashd at "
                    f"{other.name}"
                )
                coming.setdefault(name, text)
        return list(coming.values())

    def _serving_first(self) -> list[Daemon]:
        return sorted(self.daemons, key=lambda daemon: daemon is not self.serving)

    def _clock_problem(self, daemon: Daemon) -> list[str]:
        template = daemon.template
        if template is None or template.current_time <= template.minimum_time:
            return []
        difference = template.received - template.current_time
        if abs(difference) <= MAX_CLOCK_DIFFERENCE:
            return []
        ahead = "ahead of" if difference > 0 else "behind"
        return [f"this machine's clock is {abs(round(difference))} s {ahead} dashd's: synchronise both clocks"]

    def figures(self) -> list[DaemonFigures]:
        """Return what pages and metrics show of each daemon."""
        now = self._clock()
        return [
            DaemonFigures(
                name=daemon.name,
                serving=daemon is self.serving,
                problem=daemon.problem,
                height=None if daemon.template is None else daemon.height,
                since_answer=None if daemon.service.last_answer is None else now - daemon.service.last_answer,
                answer_time=daemon.service.answer_time,
                version="" if daemon.facts is None else daemon.facts.agent,
                connections=None if daemon.facts is None else daemon.facts.connections,
            )
            for daemon in self.daemons
        ]

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        """Call a method of the daemon that serves or, if it does not answer, of the others. Raises RpcError,
        RpcUnavailable."""
        trouble: RpcUnavailable | None = None
        for daemon in self._serving_first():
            try:
                return await daemon.rpc.call(method, *params, timeout=timeout)
            except RpcUnavailable as error:
                trouble = trouble or error
        raise trouble or RpcUnavailable("no dashd is configured")

    async def block_header(self, block_hash: int) -> BlockHeader:
        """Return a header from the daemon that serves. Raises RpcError, RpcUnavailable, ParseError."""
        return await self.serving.block_header(block_hash)
