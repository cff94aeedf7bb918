"""What the views keep from one refresh to the next. Everything here is bounded and can be computed again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from p2pool.base.bounded import BoundedDict
from p2pool.dashd.template import BlockTemplate
from p2pool.history.records import BlockPayouts, RoundFigures
from p2pool.jobs.context import WorkContext
from p2pool.node import Node
from p2pool.pool_stats import PoolSnapshot
from p2pool.sharechain.tracker import Tracker
from p2pool.web.luck import LuckBook, Rounds
from p2pool.web.rebuilds import Rebuilds
from p2pool.web.samples import Sample, Samples
from p2pool.web.submission_pace import SubmissionPace

T = TypeVar("T")

LOG_ENTRIES: Final = 288
"""/web/log: a day, every five minutes."""
PAID_BLOCKS: Final = 50
"""Blocks whose payouts are remembered; a block pays some hundred addresses."""


class LastMinute:
    """By how much a total has grown in the last minute, asked once a second."""

    def __init__(self) -> None:
        self._totals: deque[tuple[float, int]] = deque(maxlen=64)

    def since(self, total: int, now: float) -> int:
        """Return the growth in the last minute; `total` is the value at `now`."""
        self._totals.append((now, total))
        while not 0 <= now - self._totals[0][0] <= 60:
            self._totals.popleft()
        return total - self._totals[0][1]


class LastTraffic:
    """Growth of the traffic with other nodes between two samples."""

    def __init__(self) -> None:
        self._last = (0, 0)

    def since(self, now: tuple[int, int]) -> tuple[int, int]:
        """Return (bytes received, bytes sent) since the last call."""
        received, sent = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        return received, sent


class ViewCache:
    """Values that are computed once for each tip, work context, snapshot or key. It belongs to one `Sources`."""

    def __init__(self) -> None:
        self.samples = Samples()
        self.luck = LuckBook()
        self.requests = LastMinute()
        self.traffic = LastTraffic()
        self.pace = SubmissionPace()
        self.log: deque[bytes] = deque(maxlen=LOG_ENTRIES)
        """Entries of /web/log, rendered."""
        self.paid: BoundedDict[int, BlockPayouts] = BoundedDict(PAID_BLOCKS)
        """What blocks pay, by block hash."""
        self._rebuilds: Rebuilds | None = None
        self._tip: tuple[int | None, int] | None = None
        self._template: BlockTemplate | None = None
        self._of_tip: dict[object, Any] = {}
        """By the function that made it. Bound: the functions that there are."""
        self._context: WorkContext | None = None
        self._of_context: dict[object, Any] = {}
        """By the function that made it. Bound: the functions that there are."""
        self._latest: dict[str, tuple[object, Any]] = {}
        """(key, value) by a name that the code gives. Bound: the names that there are."""
        self._rounds: Rounds | None = None
        self._round_figures: tuple[RoundFigures, ...] = ()
        """Of `_rounds`."""
        self._snapshot: PoolSnapshot | None = None
        self._of_snapshot: dict[object, Any] = {}
        """By the function that made it. Bound: the functions that there are."""

    def restore(self, samples: Mapping[int, Sequence[Sample]], rounds: Iterable[RoundFigures]) -> None:
        """Load the samples and rounds that earlier runs stored."""
        self.samples.restore(samples)
        self.luck.restore(rounds)
        self._latest.clear()

    def per_tip(self, node: Node, make: Callable[[Node], T]) -> T:
        """Return `make(node)`, computed once for each best share and template."""
        best, template = node.best_share, node.template
        # The chain below the best share grows while it is loaded.
        tip = (best, 0 if best is None else node.tracker.height(best))
        if tip != self._tip or template is not self._template:
            self._tip, self._template, self._of_tip = tip, template, {}
        if make not in self._of_tip:
            self._of_tip[make] = make(node)
        made: T = self._of_tip[make]
        return made

    def round_figures(self, rounds: Rounds) -> tuple[RoundFigures, ...]:
        """Return the known rounds as history stores them: the same tuple for the same rounds."""
        if rounds is not self._rounds:
            self._rounds, self._round_figures = rounds, tuple(rounds.known_figures())
        return self._round_figures

    def per_work(self, context: WorkContext, make: object, call: Callable[[], T]) -> T:
        """Return `call()`, computed once for each work context; `make` is the key of the value."""
        if self._context is not context:
            self._context, self._of_context = context, {}
        if make not in self._of_context:
            self._of_context[make] = call()
        made: T = self._of_context[make]
        return made

    def rebuilds(self, tracker: Tracker) -> Rebuilds:
        """Return the rebuilt coinbases of the last few shares requested."""
        if self._rebuilds is None:
            self._rebuilds = Rebuilds(tracker)
        return self._rebuilds

    def per_snapshot(self, snapshot: PoolSnapshot, make: object, call: Callable[[], T]) -> T:
        """Return `call()`, computed once for each snapshot; `make` is the key of the value."""
        if self._snapshot is not snapshot:
            self._snapshot, self._of_snapshot = snapshot, {}
        if make not in self._of_snapshot:
            self._of_snapshot[make] = call()
        made: T = self._of_snapshot[make]
        return made

    def latest(self, what: str, key: object, make: Callable[[], T]) -> T:
        """Return `make()`, computed again only if the key differs from the last one under the same name."""
        known = self._latest.get(what)
        if known is None or known[0] != key:
            known = self._latest[what] = key, make()
        made: T = known[1]
        return made
