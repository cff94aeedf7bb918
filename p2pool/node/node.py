"""The node: the only owner of mutable pool state (tip, template, tracker).

It receives values: templates from dashd, shares from peers and miners. It fires one event when there is new work.
Nothing here blocks, and nothing here knows of sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.observable import Event
from p2pool.base.steps import finish
from p2pool.base.warn_once import WarnOnce
from p2pool.dash.auxpow import AuxCommitment, AuxWork
from p2pool.dash.hashes import hash_hex
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.template import BlockTemplate
from p2pool.jobs.context import WorkContext, build_work_context, require_outputs
from p2pool.jobs.job import Job, Outcome
from p2pool.jobs.job_maker import JobMaker
from p2pool.networks.parameters import Network
from p2pool.node.job_terms import NodeJobTerms, NodeSettings
from p2pool.pool_stats import PoolStats, RefusedWork, ShareRecord
from p2pool.share.errors import ShareInvalid
from p2pool.share.share import Share
from p2pool.sharechain.found_times import FoundTimes
from p2pool.sharechain.own_shares import OwnShares, StaleCounts
from p2pool.sharechain.pruning import prune
from p2pool.sharechain.refused import WINDOW, RefusedBranches, RefusedShareSent
from p2pool.sharechain.store import StoredShare
from p2pool.sharechain.tracker import UNKNOWN_BLOCK_HEIGHT, Arrival, Thought, Tracker

_log = Logger(namespace="p2pool.node")

_KNOWN_BLOCKS = 5_000
_KNOWN_TRANSACTIONS = 50_000
_CHECKS_AT_ONCE = 150
"""Shares verified before others get their turn on the reactor: about 15 ms of it."""


@dataclass(frozen=True, slots=True)
class WorkChange:
    """New work. `clean` if the previous block, the share-chain tip or Dash's rules changed."""

    context: WorkContext
    clean: bool


@dataclass(frozen=True, slots=True)
class FoundAuxBlock:
    """A block of an auxiliary chain that a miner here found; `proof()` returns the packed AuxPow."""

    work: AuxWork
    proof: Callable[[], bytes]
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Solved work that a gateway sent: a share, a block, blocks of auxiliary chains, or several of them. `found`
    is when it was found, by this node's clock."""

    worker: str
    found: float
    block: FoundBlock | None
    share: Share | None
    aux: tuple[FoundAuxBlock, ...]


class Node:
    """The owner of template, tracker, best share and current work. Implements `stratum.ports.WorkPort`."""

    def __init__(
        self,
        environment: Environment,
        network: Network,
        *,
        tracker: Tracker,
        settings: NodeSettings,
        stats: PoolStats,
    ) -> None:
        self.network = network
        self.tracker = tracker
        self.settings = settings
        self.stats = stats
        self.template: BlockTemplate | None = None
        self.context: WorkContext | None = None
        self.best_share: int | None = None
        self.wanted: list[int] = []
        """Missing parents to ask peers for."""
        self.work_changed: Event[WorkChange] = Event()
        self.block_found: Event[FoundBlock] = Event()
        self.aux_block_found: Event[FoundAuxBlock] = Event()
        self.share_added: Event[tuple[Share, bool]] = Event()
        """(share, whether it is this node's own), right after it is held."""
        self.thought: Event[Thought] = Event()
        """After each choice of the best share: what was verified and removed."""
        self.best_changed: Event[int | None] = Event()
        """The new best share."""
        self.refused = RefusedBranches(tracker)
        """Shares that break a rule of the chain, and what is built on them."""
        self.share_refused: Event[RefusedShareSent] = Event()
        """A peer sent such a share."""
        self.block_wanted: Event[int] = Event()
        """The hash of a block whose height the choice of the best share needs (see `learn_block_height`)."""
        self.work_problem: str | None = None
        """Why there is no work, though dashd gives templates; None while there is."""
        self.may_work: Callable[[], str | None] = lambda: None
        """Asked before work is made: why there must be none, None if there may."""
        self._reported = WarnOnce()
        self._clock = environment.clock
        self._call_soon = environment.call_soon
        self._think_due = False
        self._aux: AuxCommitment | None = None
        self._block_heights: BoundedDict[int, int] = BoundedDict(_KNOWN_BLOCKS)
        self._transaction_sizes: BoundedDict[int, int] = BoundedDict(_KNOWN_TRANSACTIONS)
        self._peers_transaction_sizes: BoundedDict[int, int] = BoundedDict(_KNOWN_TRANSACTIONS)
        """Apart from those of templates: peers choose how many there are."""
        self._own_shares = OwnShares(tracker)
        self.job_terms = NodeJobTerms(self, self._own_shares)
        self._jobs = JobMaker(self.job_terms, environment.chance)
        self._verified_before: list[int] = []
        """Between `load` and `loaded`. Bound: what the store holds."""

    # --- from dashd --------------------------------------------------------------------------------------

    def set_template(self, template: BlockTemplate) -> None:
        """Take a new template. Jobs change only if it makes other work."""
        previous, self.template = self.template, template
        self._block_heights[template.previous_block] = template.height - 1
        for transaction in template.transactions:
            self._transaction_sizes[transaction.hash] = len(transaction.data)
        if not template.same_work(previous):
            self.renew_work()

    def learn_block_height(self, block_hash: int, height: int) -> None:
        """Take a block's height in its chain, as dashd reports it."""
        if block_hash not in self._block_heights:
            self._block_heights[block_hash] = height
            self._schedule_think()

    def learn_transaction(self, transaction_hash: int, size: int) -> None:
        """Take a transaction's packed size: shares whose blocks would be too large are passed over."""
        self._peers_transaction_sizes[transaction_hash] = size

    def _transaction_size(self, transaction_hash: int) -> int | None:
        size = self._transaction_sizes.get(transaction_hash)
        return self._peers_transaction_sizes.get(transaction_hash) if size is None else size

    # --- from auxiliary chains -----------------------------------------------------------------------------

    def set_aux(self, aux: AuxCommitment | None) -> None:
        """Set the blocks of auxiliary chains to which the next work commits."""
        self._aux = aux

    def renew_aux_work(self) -> None:
        """Make new work for the sake of those blocks, unless the work already commits to them."""
        if self.context is not None and self.context.aux is not self._aux:
            self.renew_work()

    # --- shares ------------------------------------------------------------------------------------------

    def load(self, shares: Iterable[StoredShare]) -> None:
        """Load a batch of stored shares; `loaded` is called after the last batch."""
        for stored in shares:
            share = stored.share
            if self.tracker.add(share, stored.time_seen, live=stored.live):
                if stored.verified:
                    self._verified_before.append(share.hash)
                if stored.own:
                    self._own_shares.add(share)

    def trusting_loaded(self) -> Generator[None, None, None]:
        """Take for verified, of the shares loaded so far, those that were verified before, in steps."""
        verified, self._verified_before = self._verified_before, []
        return self.tracker.trusting_stored(verified)

    def were_verified(self, share_hashes: Iterable[int]) -> None:
        """Note which of the loaded shares were verified after they were loaded."""
        self._verified_before += share_hashes

    def loaded(self) -> None:
        """Choose the best share, now that everything stored is loaded. What `trusting_loaded` has not done is done
        now, at once."""
        finish(self.trusting_loaded())
        for tree in self.tracker.forest.trees.values():
            tree.grown = self._clock()  # the parents of a part of a chain can be asked for only from now on
        self._think()
        hour = 2 * int(WINDOW) // self.network.share_period
        self.refused.restored(self.tracker.ancestors(self.best_share, hour))

    def add_shares(self, shares: Sequence[Share], sender: str | None, *, requested: bool = False) -> int:
        """Take shares from a peer, `requested` or not; return how many were new and are held. Of those that it
        sent by itself the ones that none of the others builds on were just found."""
        added = 0
        now = self._clock()
        parents = {share.previous_hash for share in shares}
        for share in shares:
            if share.hash in self.tracker:
                continue
            cause = self.refused.cause(share)
            if cause is not None:
                arrival = Arrival(now, sender, requested=requested)
                self._forgot_refused(self.refused.take(share, cause, arrival))
                self._blame(share, arrival)
            elif self.tracker.add(
                share, now, sender, live=not requested and share.hash not in parents, requested=requested
            ):
                added += 1
                self.share_added.fire((share, False))
        if added:
            self._schedule_think()
        return added

    def refused_work(self) -> RefusedWork:
        """Return the last hour's work, and how much of it is on shares that this node refuses."""
        return self.refused.figures(self._clock())

    def _forgot_refused(self, shares: list[Share]) -> None:
        """Handle shares that were forgotten: perhaps they were on a share that turned out to be refused."""
        self.wanted = [share_hash for share_hash in self.wanted if share_hash not in self.refused]
        if self.best_share is not None and self.best_share not in self.tracker:
            self._think()
        if shares:
            self._schedule_think()  # there may be more of them
            self.thought.fire(Thought(best=self.best_share, removed=shares))

    def _blame(self, share: Share, arrival: Arrival) -> None:
        """Report what a refused share costs its sender."""
        if arrival.sender is not None:
            self.share_refused.fire(RefusedShareSent(arrival.sender, self.refused.cost(share, arrival.requested)))

    def _schedule_think(self) -> None:
        """Schedule one choice of the best share for all shares that come together."""
        if not self._think_due:
            self._think_due = True
            self._call_soon(self._think)

    def _think(self) -> None:
        self._think_due = False
        now = self._clock()
        thought = self.refused.choose(
            lambda checks: self.tracker.think(
                now, block_height=self.block_height, transaction_size=self._transaction_size, max_checks=checks
            ),
            _CHECKS_AT_ONCE,
            self.best_share,
        )
        for share, error in thought.refused:
            arrival = thought.arrivals[share.hash]
            _log_refused(share, error, arrival.sender)
            self._blame(share, arrival)
        thought.pruned = prune(self.tracker, thought, now)
        if thought.unfinished:
            self._schedule_think()
        self.wanted = [share_hash for share_hash in thought.wanted if share_hash not in self.refused]
        self.thought.fire(thought)
        if thought.best != self.best_share:
            self.best_share = thought.best
            self._own_shares.follow(thought.best)
            self.renew_work()
            self.best_changed.fire(thought.best)

    def block_height(self, block_hash: int) -> int:
        """Return the height relative to the best block (<= 0), UNKNOWN_BLOCK_HEIGHT if it is not known (yet)."""
        height = self._block_heights.get(block_hash)
        if height is None:
            self.block_wanted.fire(block_hash)
        if height is None or self.template is None:
            return UNKNOWN_BLOCK_HEIGHT
        return min(0, height - (self.template.height - 1))

    # --- work --------------------------------------------------------------------------------------------

    def renew_work(self) -> None:
        """Make new work of what is known now, or none if something prevents it."""
        if self.template is None:
            return
        problem = self.may_work()
        if problem is not None:
            if problem != self.work_problem:
                _log.warn("no work for miners: {problem}", problem=problem)
            self.work_problem, self.context = problem, None
            return
        previous = self.context
        try:
            require_outputs(self.template, self.network)
            context = build_work_context(
                self.tracker,
                self.best_share,
                template=self.template,
                network=self.network,
                now=self._clock(),
                aux=self._aux,
                previous=previous,
            )
        except ShareInvalid as error:
            problem = f"cannot make work on block {self.template.height}: {error}"
            if problem != self.work_problem:
                _log.error("cannot make work on block {height}: {error}", height=self.template.height, error=error)
            self.work_problem = problem  # the work from before stays
            return
        self.work_problem, self.context = None, context
        for text in self._reported.new([] if context.refusal is None else [context.refusal]):
            _log.error("a block found now would be rejected: {reason}", reason=text)
        self.work_changed.fire(WorkChange(context, previous is None or context.makes_worthless(previous)))

    def block_problems(self) -> list[str]:
        """Return why blocks of the current work would be refused, and what they leave out, as sentences."""
        if self.context is None:
            return []
        found = (
            []
            if self.context.refusal is None
            else [f"a block found now would be rejected: {self.context.refusal}"]
        )
        notice = self.context.notice
        return found if notice is None else [*found, notice]

    def make_job(self, key_hash: bytes, share_difficulty: float | None) -> Job | None:
        """Return a job on the newest work; None without work."""
        if self.context is None:
            return None
        return self._jobs.make(self.context, key_hash, share_difficulty=share_difficulty, now=self._clock())

    def is_current(self, job: Job) -> bool:
        """Return whether the job is on the tip."""
        return self.context is not None and job.context.tip == self.context.tip

    # --- from miners -------------------------------------------------------------------------------------

    def solved(self, outcome: Outcome, worker: str) -> None:
        """Handle a share, a block, blocks of auxiliary chains, or several of them. The block is sent before
        anything else is done; auxiliary chains come last."""
        now = self._clock()
        if outcome.meets_block:
            template = outcome.job.context.template
            found = FoundBlock(
                block_hash=outcome.hash,
                height=template.height,
                data=outcome.block(),
                worker=worker,
                share_hash=outcome.hash if outcome.meets_share else None,
                subsidy=template.subsidy,
                time=now,
            )
            self.block_found.fire(found)
        if outcome.meets_share:
            share = outcome.share()
            self._take_own_share(share, worker, dead=not self.is_current(outcome.job), found=now)
        if outcome.meets_aux:
            for work in outcome.aux_works():
                self.aux_block_found.fire(FoundAuxBlock(work, partial(outcome.aux_proof, work), worker))

    def take_solution(self, solution: Solution) -> None:
        """Take solved work that a gateway sent, in the same order as that of miners of this process. The same
        solution may come any number of times."""
        if solution.block is not None:
            self.block_found.fire(solution.block)
        share = solution.share
        if share is not None:
            self._take_own_share(share, solution.worker, dead=self._is_late(share), found=solution.found)
        for found in solution.aux:
            self.aux_block_found.fire(found)

    def _is_late(self, share: Share) -> bool:
        """Return whether a gateway's share came after another one of its height, or after a block. It may build on
        one that came just before it, and there may be no work yet."""
        best = None if self.best_share is None else self.tracker.get(self.best_share)
        if self.context is not None and share.previous_block != self.context.template.previous_block:
            return True
        return best is not None and share.absheight <= best.absheight

    def _take_own_share(self, share: Share, worker: str, *, dead: bool, found: float) -> None:
        if not self.tracker.add(share, found, live=True):
            return
        if share.previous_hash not in self.tracker:
            # It may have been found long ago: without this it would be pruned before peers could send its parent.
            self.tracker.forest.nodes[share.hash].tree.grown = self._clock()
        self._own_shares.add(share, dead=dead)
        self.share_added.fire((share, True))
        self.stats.record_share(ShareRecord(found, share.hash, worker, dead, share.attempts))
        self._schedule_think()

    def found_times(self) -> FoundTimes:
        """Return the times at which shares were found, for people, as of now."""
        return FoundTimes(self.tracker, self.best_share, self._clock())

    def own_share_hashes(self) -> list[int]:
        """Return the hashes of own shares that are held, newest first; also those of earlier runs."""
        return self._own_shares.held()

    def stale_counts(self) -> StaleCounts:
        """Return what became of the last own shares."""
        return self._own_shares.counts(self.best_share)


def _log_refused(share: Share, error: Exception, sender: str | None) -> None:
    share_hash = hash_hex(share.hash)
    if isinstance(error, ShareInvalid):
        sender = sender or "this node"
        _log.warn(
            "share {share_hash} from {sender} rejected: {error}", share_hash=share_hash, sender=sender, error=error
        )
    else:
        _log.failure("internal error: cannot check share {share_hash}", Failure(error), share_hash=share_hash)
