"""Branches of the share chain that this node refuses, and how much of the network's work is on them.

Another implementation may accept a share that this node refuses, and most of the network may go on from there.
What is built on a refused share is refused with it: it is neither held nor requested, and its work is counted, so
that the operator can be notified. Pure; times are Unix seconds. `Node` asks here before it holds a share of a
peer, and hands over what each `Tracker.think` came to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

from p2pool.base.bounded import BoundedDict
from p2pool.dash.hashes import hash_hex
from p2pool.pool_stats.figures import RefusedBranch, RefusedWork
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Arrival, Thought, Tracker

WINDOW: Final = 3600.0
"""Seconds over which work is added up."""
STEP: Final = 10.0
"""Seconds of one bucket of that work."""
MOST_BUCKETS: Final = 400
"""Buckets from which on old ones are looked for whenever there is a new one; an hour has 360."""
LIVE: Final = 120.0
"""A share whose header is not older than this when it is first seen counts at that moment; an older one was
downloaded, and counts at the time in its header."""
AHEAD: Final = 7200.0
"""Seconds that a header may be ahead of this machine's clock, as for blocks."""
MAX_BRANCHES: Final = 32
"""Branches that are counted apart. Beyond it, the one with least work is not."""
MAX_SOFTWARE: Final = 16
"""Names of software counted apart for each branch."""
MAX_REFUSED: Final = 20_000
"""Refused shares that are remembered: more than two days of the network's shares."""
MAX_LENGTHS: Final = 1024
"""Branches whose length is remembered."""
MAX_COUNTED: Final = 20_000
"""Shares remembered as counted: a hundred times as many as the network makes in an hour."""
MAX_HARDER: Final = 30
"""How many times the work that the chain asks for a share may count as, at most."""
DROPPED_AT_ONCE: Final = 1000
"""Shares of refused branches forgotten in one run: about 10 ms."""
ENOUGH_SHARES: Final = 2
"""One refused share is somebody's mistake; the network follows it when another is built on it."""
UNIT: Final = 8
"""What an unasked refused share that carries about the work that the chain asks for costs its sender's host."""
MAX_WEIGHT: Final = 4
"""How many times as much the cheapest share costs. No more, since others relay what they take for valid: one cheap
share must not get all nodes that relay it banned."""
_BYTES_OF_A_UNIT = 16_000
NAMED: Final = 3
"""Software that a sentence names."""
OTHERS: Final = 0
"""The key of the branches that are not counted apart: no share has this hash."""
OWN = "this node"


class RefusalCause(NamedTuple):
    """Why a share is refused: the first refused share of its branch, and the rule that one breaks."""

    root: int
    reason: str


class RefusedShareSent(NamedTuple):
    """A peer sent a refused share. `cost` counts against the budget of its host."""

    sender: str
    cost: int


@dataclass(slots=True)
class _Branch:
    reason: str
    since: float
    last: float
    shares: int = 0
    work: int = 0
    software: dict[str, int] = field(default_factory=dict)
    """Shares by the software of whoever sent them first. Bound: MAX_SOFTWARE and one for all others."""


@dataclass(slots=True)
class _Bucket:
    accepted: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    """Work by branch. Bound: MAX_BRANCHES and OTHERS."""


class _Counted(NamedTuple):
    place: int
    work: int
    root: int | None
    """None for an accepted share."""


class RefusedBranches:
    """Branches on refused shares, and their work. `software_of` gives the software of the peer with a label."""

    def __init__(self, tracker: Tracker) -> None:
        self.software_of: Callable[[str], str] = lambda label: ""
        self._tracker = tracker
        self._refused: BoundedDict[int, RefusalCause] = BoundedDict(MAX_REFUSED)
        self._counted: BoundedDict[int, _Counted] = BoundedDict(MAX_COUNTED)
        self._branches: dict[int, _Branch] = {}
        self._buckets: dict[int, _Bucket] = {}
        """By time // STEP. Bound: MOST_BUCKETS and those of AHEAD."""
        self._doomed: dict[int, RefusalCause] = {}
        """Refused shares of which more has to be forgotten. Bound: emptied by DROPPED_AT_ONCE shares a run."""
        self._lengths: BoundedDict[int, int] = BoundedDict(MAX_LENGTHS)
        """Shares remembered as refused, by the first of their branch."""
        self._released: BoundedDict[int, None] = BoundedDict(MAX_LENGTHS)
        """First shares of branches that have more shares than the chain is long. So far up, the format's rules
        judge shares without that one: nodes that follow them take the branch once it has a chain's length of
        verified shares, and so does this one."""
        self._asked = 0
        """Average attempts that the chain asks for, as of the best share; 0 without one."""
        self._held: BoundedDict[int, RefusalCause] = BoundedDict(MAX_LENGTHS)
        """Refused shares that are held: see `judge`."""

    # --- questions ---------------------------------------------------------------------------------------

    def __contains__(self, share_hash: object) -> bool:
        """Return whether a share is refused and not held."""
        return (
            isinstance(share_hash, int) and self._known(share_hash) is not None and share_hash not in self._tracker
        )

    def _known(self, share_hash: int) -> RefusalCause | None:
        """Return why a share was refused; None for one that was not, or is of a released branch and not its
        first."""
        cause = self._refused.get(share_hash)
        if cause is None or (share_hash != cause.root and cause.root in self._released):
            return None
        return cause

    def cause(self, share: Share) -> RefusalCause | None:
        """Return why a share that is not held is refused without a check: it was refused before, or is built on
        one that was. None for any other."""
        known = self._known(share.hash)
        if known is None and share.previous_hash is not None and share.previous_hash in self:
            below = self._refused[share.previous_hash]
            known = None if below.root in self._released else below
        return known

    def cost(self, share: Share, requested: bool) -> int:
        """Return what a refused share costs the host that sent it.

        One with about as much work as the chain asks for costs its sender as much as a valid one: it is no offence
        within the budget of a host, and none at all if this node requested it. Cheap and large ones cost more.
        """
        size = len(share.contents) // _BYTES_OF_A_UNIT
        if not self._asked:
            return size + (1 if requested else UNIT)
        weight = min(MAX_WEIGHT, max(1, self._asked // share.attempts))
        return size + (UNIT * weight if weight > 1 or not requested else 0)

    # --- what happens ------------------------------------------------------------------------------------

    def take(self, share: Share, cause: RefusalCause, arrival: Arrival) -> list[Share]:
        """Count a share that is refused because of its cause. Returns what hung from it and was forgotten."""
        self._refuse(share.hash, cause)
        self._count(share, arrival, cause)
        tree = self._tracker.forest.trees.get(share.hash)
        if tree is None or share.hash in self._released:
            return []
        return self._drop(tree.roots, cause)

    def _refuse(self, share_hash: int, cause: RefusalCause) -> None:
        if share_hash not in self._refused:
            length = self._lengths[cause.root] = self._lengths.get(cause.root, 0) + 1
            if length > self._tracker.network.chain_length:
                self._released[cause.root] = None
        self._refused[share_hash] = cause

    def choose(self, think: Callable[[int], Thought], checks: int, best: int | None) -> Thought:
        """Choose the best share, and forget what is built on refused shares before it can be the best: see
        `judge`. `think` gets how many shares it may check: `checks`, and none if it has to choose again, since
        what that refused could be below the new choice."""
        thought = think(checks)
        dropped = self.judge(thought, best)
        if dropped:
            thought.follow(think(0))
            thought.removed += dropped
            thought.verified = [share for share in thought.verified if share.hash in self._tracker]
        thought.unfinished = thought.unfinished or bool(self._doomed)
        return thought

    def judge(self, thought: Thought, best: int | None) -> list[Share]:
        """Count what a run of `Tracker.think` verified and refused. `best` is the best share before it.

        Returns the shares that were forgotten because they are built on a refused one. A refused share
        whose parent share is not verified stays, with all that builds on it, until its parent share is: a new
        node's chain begins like this. So does a share with more shares above it than the chain is long.
        """
        share = None if best is None else self._tracker.get(best)
        self._asked = 0 if share is None else share.minimum_attempts
        dropped: list[Share] = []
        doomed, self._doomed = self._doomed, {}
        for root, cause in doomed.items():
            dropped += self._drop_above(root, cause, DROPPED_AT_ONCE - len(dropped))
        for share, error in reversed(thought.refused):  # a head comes before what it is built on
            if isinstance(error, ShareInvalid) and error.reason is Reason.NOT_CHECKABLE:
                continue
            room = DROPPED_AT_ONCE - len(dropped)
            dropped += self._judge_root(share, error, arrival=thought.arrivals[share.hash], room=room)
        dropped += self._judge_held(DROPPED_AT_ONCE - len(dropped))
        for share in thought.verified:
            if share.hash in self._tracker:
                self._count(share, self._tracker.arrival(share.hash), self._held_cause(share, thought.best))
        node = None if thought.best is None else self._tracker.forest.nodes.get(thought.best)
        below = None if node is None else self._cause_below(node.tree.tail)
        if below is not None and below.root in self._released:
            self._accept(below.root)
        return dropped

    def restored(self, shares: Iterable[Share]) -> None:
        """Count verified shares of an earlier run."""
        for share in shares:
            self._count(share, self._tracker.arrival(share.hash), None)

    def _judge_root(self, share: Share, error: Exception, *, arrival: Arrival, room: int) -> list[Share]:
        parent = share.previous_hash
        cause = None if parent is None else self._refused.get(parent)
        if cause is None:
            reason = error.reason.value if isinstance(error, ShareInvalid) else "internal error of this node"
            cause = RefusalCause(share.hash, reason)
        self._count(share, arrival, cause)
        if share.hash in self._tracker and self._must_stay(share):
            self._held[share.hash] = cause
            return []
        self._refuse(share.hash, cause)
        return self._drop_above(share.hash, cause, room)

    def _judge_held(self, room: int) -> list[Share]:
        """Judge refused shares that are held again: their parent shares may be verified by now."""
        dropped: list[Share] = []
        for share_hash, cause in list(self._held.items()):
            share = self._tracker.get(share_hash)
            if share is None:
                del self._held[share_hash]
            elif not self._must_stay(share):
                del self._held[share_hash]
                self._refuse(share_hash, cause)
                dropped += self._drop_above(share_hash, cause, room - len(dropped))
        return dropped

    def _must_stay(self, share: Share) -> bool:
        return share.previous_hash not in self._tracker.verified or self._is_far_below(share.hash)

    def _is_far_below(self, share_hash: int) -> bool:
        """Return whether a held share has so many above it that the format's rules judge these without it."""
        forest, chain_length = self._tracker.forest, self._tracker.network.chain_length
        far = forest.nodes[share_hash].depth + chain_length
        return any(
            node.depth > far and forest.is_ancestor(share_hash, head) for head, node in forest.heads.items()
        )

    def _held_cause(self, share: Share, best: int | None) -> RefusalCause | None:
        """Return the cause of a verified share on a held refused one, unless the best share is on it as well."""
        for nodes in (self._tracker.verified.nodes, self._tracker.forest.nodes):
            tree = nodes[share.hash].tree
            cause = self._cause_below(tree.tail)
            leading = None if best is None else nodes.get(best)
            if cause is not None and (leading is None or leading.tree is not tree):
                return cause
        return None

    def _cause_below(self, tail: int | None) -> RefusalCause | None:
        """Return the cause of what hangs from this share; None if that is not refused."""
        return None if tail is None else self._refused.get(tail) or self._held.get(tail)

    # --- forgetting --------------------------------------------------------------------------------------

    def _drop_above(self, share_hash: int, cause: RefusalCause, limit: int) -> list[Share]:
        """Forget a refused share, if it is held, and what is built on it."""
        tree = self._tracker.forest.trees.get(share_hash)
        if share_hash in self._tracker.forest:
            lowest: Iterable[int] = [share_hash]
        else:
            lowest = [] if tree is None else tree.roots
        return self._drop(lowest, cause, limit)

    def _drop(self, lowest: Iterable[int], cause: RefusalCause, limit: int = DROPPED_AT_ONCE) -> list[Share]:
        """Forget these and all above them, heads first."""
        roots, order = list(lowest), []
        pending, nodes = list(roots), self._tracker.forest.nodes
        while pending:
            node = nodes[pending.pop()]
            order.append(node)
            pending += node.children
        dropped = []
        for node in reversed(order[max(0, len(order) - max(0, limit)) :]):
            share = node.share
            arrival = self._tracker.arrival(share.hash)
            dropped.append(self._tracker.remove(share.hash))
            self._refuse(share.hash, cause)
            self._count(share, arrival, cause)
        self._doomed.update((root, cause) for root in roots if root in self._tracker)
        return dropped

    # --- counting ----------------------------------------------------------------------------------------

    def _count(self, share: Share, arrival: Arrival, cause: RefusalCause | None) -> None:
        """Count a share once; one that was taken for valid before is moved to its branch."""
        before = self._counted.get(share.hash)
        if before is not None and (before.root is not None or cause is None):
            return
        if before is None and not self._in_window(share, arrival.time_seen):
            if cause is not None:
                self._counted[share.hash] = _Counted(0, 0, cause.root)
            return
        time, work = self._time_of(share, arrival.time_seen), share.attempts
        if self._asked:
            work = min(work, MAX_HARDER * self._asked)
        place = int(time // STEP)
        if before is not None:
            place, work = before.place, before.work
            if before.place in self._buckets:
                self._buckets[before.place].accepted -= work
        branch = None if cause is None else self._branch(cause, work, time)
        if branch is not None:
            branch.shares += 1
            branch.work += work
            branch.since, branch.last = min(branch.since, time), max(branch.last, time)
            _count_name(branch.software, OWN if arrival.sender is None else self.software_of(arrival.sender))
        root = None if cause is None else (OTHERS if branch is None else cause.root)
        self._counted[share.hash] = _Counted(place, work, root)
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = _Bucket()
            if len(self._buckets) > MOST_BUCKETS:
                self._forget_before(arrival.time_seen - WINDOW)
        if root is None:
            bucket.accepted += work
        else:
            bucket.refused[root] = bucket.refused.get(root, 0) + work

    @staticmethod
    def _time_of(share: Share, seen: float) -> float:
        old = LIVE < seen - share.header_timestamp <= WINDOW
        return float(share.header_timestamp) if old else seen

    @staticmethod
    def _in_window(share: Share, seen: float) -> bool:
        """Return whether a share can be of the last hour: replays of older ones count for nothing."""
        return -AHEAD <= seen - share.header_timestamp <= WINDOW

    def _branch(self, cause: RefusalCause, work: int, time: float) -> _Branch | None:
        known = self._branches.get(cause.root)
        if known is None:
            if len(self._branches) >= MAX_BRANCHES:
                least = min(self._branches, key=lambda root: self._branches[root].work)
                if self._branches[least].work >= work:
                    return None
                self._fold(least)
            known = self._branches[cause.root] = _Branch(cause.reason, time, time)
        return known

    def _fold(self, root: int) -> None:
        """Count a branch together with the others."""
        del self._branches[root]
        for bucket in self._buckets.values():
            work = bucket.refused.pop(root, 0)
            if work:
                bucket.refused[OTHERS] = bucket.refused.get(OTHERS, 0) + work

    def _accept(self, root: int) -> None:
        """Count a branch as accepted: the best share is on it."""
        if self._branches.pop(root, None) is None:
            return
        for bucket in self._buckets.values():
            bucket.accepted += bucket.refused.pop(root, 0)
        for share_hash in [each for each, counted in self._counted.items() if counted.root == root]:
            self._counted[share_hash] = self._counted[share_hash]._replace(root=None)

    def _forget_before(self, time: float) -> None:
        for place in [place for place in self._buckets if (place + 1) * STEP <= time]:
            del self._buckets[place]
        for root in [root for root, branch in self._branches.items() if branch.last < time]:
            self._fold(root)

    # --- figures -----------------------------------------------------------------------------------------

    def figures(self, now: float) -> RefusedWork:
        """Return the last hour's work, and what of it is on refused branches."""
        self._forget_before(now - WINDOW)
        accepted = sum(bucket.accepted for bucket in self._buckets.values())
        work: dict[int, int] = {}
        for bucket in self._buckets.values():
            for root, amount in bucket.refused.items():
                work[root] = work.get(root, 0) + amount
        refused = sum(work.values())
        branches = sorted(
            (self._figures_of(root, branch, work.get(root, 0)) for root, branch in self._branches.items()),
            key=lambda branch: branch.work,
            reverse=True,
        )
        leading = branches[0] if branches else None
        part_since = 0.0 if leading is None else self._part_since(leading, now)
        is_majority = (
            leading is not None
            and leading.shares >= ENOUGH_SHARES
            and leading.work >= self._asked  # or two cheap ones would be most of what a moment brings
            and part_since > 0.5
        )
        found = RefusedWork(
            accepted=float(accepted),
            refused=float(refused),
            part=refused / (accepted + refused) if refused else 0.0,
            part_since=part_since,
            branches=tuple(branches),
            is_majority=is_majority,
        )
        return replace(found, problem=_problem(found)) if is_majority else found

    @staticmethod
    def _figures_of(root: int, branch: _Branch, work: int) -> RefusedBranch:
        return RefusedBranch(
            first_share=root,
            reason=branch.reason,
            since=branch.since,
            last=branch.last,
            shares=branch.shares,
            work=float(work),
            software=dict(branch.software),
        )

    def _part_since(self, branch: RefusedBranch, now: float) -> float:
        """Return the branch's part of the work heard since it began, at most in the last hour."""
        first = int(max(branch.since, now - WINDOW) // STEP)
        buckets = [bucket for place, bucket in self._buckets.items() if place >= first]
        on_it = sum(bucket.refused.get(branch.first_share, 0) for bucket in buckets)
        heard = sum(bucket.accepted + sum(bucket.refused.values()) for bucket in buckets)
        return on_it / heard if heard else 0.0


def _count_name(names: dict[str, int], name: str) -> None:
    name = name or "unknown"
    if name not in names and len(names) >= MAX_SOFTWARE:
        name = "other"
    names[name] = names.get(name, 0) + 1


def _names(software: Mapping[str, int]) -> str:
    """Return the software that sent most, and how many others did."""
    names = sorted(software, key=lambda name: -software[name])
    named = ", ".join(names[:NAMED])
    return named if len(names) <= NAMED else f"{named} and {len(names) - NAMED} others"


def _problem(figures: RefusedWork) -> str:
    """Return what an operator must know of the leading branch, which has most of the work, as one sentence."""
    branch = figures.branches[0]
    since = datetime.fromtimestamp(branch.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    hour, later = f"{figures.part:.0%}", f"{figures.part_since:.0%}"
    return (
        f"{hour} of the work received in the last hour, and {later} of the work since {since}, is on shares that "
        f"this node rejects: {branch.reason}; the first one is {hash_hex(branch.first_share)}, sent by "
        f"{_names(branch.software)}. Miners on this node stay on the branch that this node accepts: see Rejected "
        "branches in docs/operators.md"
    )
