"""The tracker: which shares are verified, which one to work on, which parents are missing, what to forget."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from typing_extensions import override

from p2pool.base.bounded import BoundedSet
from p2pool.base.steps import finish
from p2pool.networks.parameters import Network
from p2pool.share.check import RebuiltShare, check_share, rebuild_share
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parent_context import MAX_TIMESTAMP
from p2pool.share.share import ChainView, Share
from p2pool.share.weights import Weights
from p2pool.sharechain.forest import Forest, Tree
from p2pool.sharechain.weights import WeightWindows

UNKNOWN_BLOCK_HEIGHT = -1_000_000_000
"""The relative height of a parent block that nobody knows."""
MAX_TRANSACTIONS_SIZE = 2_000_000
"""A head whose other transactions exceed this many bytes could not become a block and is passed over."""
_WANTED_AGE, _WANTED_AGE_WITHOUT_BEST = 3600, 24 * 3600
_REMEMBERED_REFUSALS = 20_000
_BYTES_OF_A_CHECK = 16_000
_REFS_OF_A_CHECK = 150
"""So many bytes, or references to transactions, cost as much as all the rest of a check: 0.1 ms."""
_TRUSTED_AT_ONCE = 1000
"""Shares of the store that are taken for verified in a step: about 2 ms."""
UNLIMITED = sys.maxsize

BlockHeight = Callable[[int], int]
"""Parent block hash -> height relative to the best block (<= 0), UNKNOWN_BLOCK_HEIGHT if not known."""
TransactionSize = Callable[[int], int | None]
"""Transaction hash -> packed size, None if the transaction is not known."""


class Arrival(NamedTuple):
    """When a share came and from whom (None: from this node, or from disk). `live` says whether it came as it was
    found: by a miner of this node, or as the newest share that a peer announced; `requested` if this node asked
    for it."""

    time_seen: float
    sender: str | None
    live: bool = False
    requested: bool = False


@dataclass(frozen=True, slots=True, order=True)
class HeadScore:
    """The sort key of a head on the best tail, ascending."""

    work_at_5th_parent: int
    not_punished: int
    total_work: int
    """0 unless no head has any work at its 5th parent: then the most total work wins, so that a young chain does
    not stay at its oldest head."""
    not_time_seen: float
    share_hash: int


@dataclass(frozen=True, slots=True)
class TailScore:
    """(verified height up to chain_length, rate); None, that is below chain_length, is less than any rate."""

    height: int
    rate: float | None

    @property
    def key(self) -> tuple[int, bool, float]:
        """Return what sorts tails, the best one last."""
        return self.height, self.rate is not None, self.rate or 0.0


@dataclass(slots=True)
class Thought:
    """The result of one run of `Tracker.think`."""

    best: int | None = None
    wanted: list[int] = field(default_factory=list)
    """Missing parents to ask for."""
    bad_senders: set[str] = field(default_factory=set)
    """Who sent the shares that step 1 removes. The node does not use them: `refused` names more shares, and their
    senders are in `arrivals`. Tests compare them with the test vectors."""
    removed: list[Share] = field(default_factory=list)
    """Shares that were found invalid."""
    pruned: list[Share] = field(default_factory=list)
    """What the node let `prune` forget afterwards."""
    refused: list[tuple[Share, Exception]] = field(default_factory=list)
    """Each share once, however often it is met. Another error than ShareInvalid is a bug."""
    arrivals: dict[int, Arrival] = field(default_factory=dict)
    """Of the refused ones."""
    verified: list[Share] = field(default_factory=list)
    """Shares verified by this run."""
    heads: list[HeadScore] = field(default_factory=list)
    """Heads of the best tail, worst first."""
    unfinished: bool = False
    """Whether more is to be verified than this run was allowed to: think again soon."""

    def follow(self, again: Thought) -> None:
        """Add the result of the next run, which follows at once."""
        self.best, self.heads, self.wanted = again.best, again.heads, again.wanted
        self.bad_senders |= again.bad_senders
        self.removed += again.removed
        self.refused += again.refused
        self.arrivals.update(again.arrivals)
        self.verified += again.verified
        self.unfinished = self.unfinished or again.unfinished


class Tracker(ChainView):
    """Shares held, verified shares, and the choice between them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.forest = Forest()
        self.verified = Forest()
        self._windows = WeightWindows(self.forest)
        self._arrivals: dict[int, tuple[float, str | None, bool, bool]] = {}
        """Of each share held, what `Arrival` names. Plain tuples are made faster, and the garbage collector
        exempts them by itself."""
        self._punishments: dict[int, int] = {}
        """Settled ones of heads. Bound: forgotten with the share."""
        self._refused: BoundedSet[int] = BoundedSet(_REMEMBERED_REFUSALS)
        """Shares that were found invalid: that never changes, and the chain below is not paid for twice."""
        self._checks_left = 0
        self.unverified_bytes = 0
        """Packed size of the shares held that are not verified."""

    # --- ChainView ---------------------------------------------------------------------------------------

    @override
    def get(self, share_hash: int) -> Share | None:
        return self.forest.get(share_hash)

    @override
    def height(self, share_hash: int) -> int:
        return self.forest.height(share_hash)

    @override
    def is_rooted(self, share_hash: int) -> bool:
        return self.forest.is_rooted(share_hash)

    @override
    def nth_parent(self, share_hash: int, n: int) -> Share | None:
        return self.forest.nth_parent(share_hash, n)

    @override
    def ancestors(self, share_hash: int | None, count: int) -> Iterator[Share]:
        return self.forest.ancestors(share_hash, count)

    @override
    def minimum_work(self, share_hash: int, count: int) -> int:
        return self.forest.minimum_work(share_hash, count)

    @override
    def weights(self, share_hash: int | None, max_shares: int, max_weight: int) -> Weights:
        return self._windows.weights(share_hash, max_shares, max_weight)

    # --- shares in and out -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.forest)

    def __contains__(self, share_hash: object) -> bool:
        return share_hash in self.forest

    def is_settled(self, share_hash: int) -> bool:
        """Return whether a share is held, or was found invalid: then there is nothing left to judge."""
        return share_hash in self.forest or share_hash in self._refused

    def arrival(self, share_hash: int) -> Arrival:
        """Return when and from whom a held share came. KeyError if it is not held."""
        return Arrival._make(self._arrivals[share_hash])

    def add(
        self,
        share: Share,
        time_seen: float,
        sender: str | None = None,
        *,
        live: bool = False,
        requested: bool = False,
    ) -> bool:
        """Hold a share (see Arrival); False if it was held before. `think` decides what it is worth."""
        if share.hash in self.forest:
            return False
        node = self.forest.add(share)
        if node.parent is None:
            node.tree.grown = time_seen
        self._arrivals[share.hash] = (time_seen, sender, live, requested)
        self.unverified_bytes += len(share.contents)
        return True

    def trust(self, share_hash: int) -> None:
        """Take a held share for verified: it was verified before, and came from this node's store."""
        self._set_verified(self.forest.nodes[share_hash].share)

    def trust_stored(self, share_hashes: Iterable[int]) -> None:
        """Take held shares for verified, all at once: see `trusting_stored`."""
        finish(self.trusting_stored(share_hashes))

    def trusting_stored(self, share_hashes: Iterable[int]) -> Generator[None, None, None]:
        """Take held shares for verified, in steps, except if nothing on their chain could be checked: if something
        is missing in the store, what is above must be verified again when it is there."""
        chain_length = self.network.chain_length
        sound = {id(tree) for tail, tree in self.forest.trees.items() if tail is None}
        for node in self.forest.heads.values():
            if node.depth - node.tree.depth > chain_length:
                sound.add(id(node.tree))
        trusted = [
            node.share
            for node in (self.forest.nodes[share_hash] for share_hash in share_hashes)
            if id(node.tree) in sound
        ]
        for count, share in enumerate(trusted, 1):
            if share.hash in self.forest:
                self._set_verified(share)
            if count % _TRUSTED_AT_ONCE == 0:
                yield

    def _set_verified(self, share: Share) -> None:
        if share.hash not in self.verified:
            self.verified.add(share)
            self.unverified_bytes -= len(share.contents)

    def can_check(self, share: Share) -> bool:
        """Return whether the chain below is rooted, or at least chain_length + 1 shares with this one."""
        if share.previous_hash is None:
            return True
        if share.previous_hash not in self.forest:
            return False
        forest = self.forest
        return (
            forest.is_rooted(share.previous_hash)
            or forest.height(share.previous_hash) >= self.network.chain_length
        )

    def check(self, share: Share) -> RebuiltShare:
        """Check a share (held or not) against the chain below it. Raises ShareInvalid."""
        if not self.can_check(share):
            raise ShareInvalid(Reason.NOT_CHECKABLE)
        return check_share(share, self, self.network)

    def rebuild(self, share: Share) -> RebuiltShare:
        """Return the coinbase and the hashes of the other transactions of a verified share: what its block is made
        of."""
        return rebuild_share(share, self, self.network)

    def _verify(self, share: Share, thought: Thought) -> bool:
        if share.hash in self.verified:
            return True
        if share.hash in self._refused:
            return False
        self._checks_left -= _cost_of(share)
        try:
            self.check(share)
        except Exception as error:  # a bug that a hostile share finds must not end all thinking
            thought.refused.append((share, error))
            thought.arrivals[share.hash] = self.arrival(share.hash)
            if not (isinstance(error, ShareInvalid) and error.reason is Reason.NOT_CHECKABLE):
                self._refused.add(share.hash)
            return False
        self._set_verified(share)
        thought.verified.append(share)
        return True

    def _may_verify(self, share: Share, thought: Thought) -> bool:
        if self._checks_left > 0 or share.hash in self.verified or share.hash in self._refused:
            return True
        thought.unfinished = True
        return False

    # --- the choice --------------------------------------------------------------------------------------

    def think(
        self,
        now: float,
        *,
        block_height: BlockHeight,
        transaction_size: TransactionSize,
        max_checks: int = UNLIMITED,
    ) -> Thought:
        """Verify what can be verified and choose the best share ("Which chain is the best" in
        docs/protocol/share-chain.md).

        `now` is this machine's time in Unix seconds. Never raises for what shares hold. At most `max_checks`
        shares are checked, large ones counting more; if that leaves some, the choice is made among those that are
        verified so far.
        """
        thought = Thought()
        self._checks_left = max_checks
        wanted: dict[int, int] = {}
        self._verify_new_heads(thought, wanted)
        self._verify_backwards(thought, wanted)
        tail = self._best_tail(block_height)
        if tail is not None:
            thought.heads = self._scored_heads(tail, transaction_size)
        cutoff = now - _WANTED_AGE_WITHOUT_BEST
        if thought.heads:
            best = self.forest.nodes[thought.heads[-1].share_hash].share
            punished = thought.heads[-1].not_punished < 0
            thought.best = best.previous_hash if punished else best.hash
            cutoff = min(now, best.timestamp) - _WANTED_AGE
        thought.wanted = [share_hash for share_hash, newest in wanted.items() if newest >= int(cutoff)]
        return thought

    def _verify_new_heads(self, thought: Thought, wanted: dict[int, int]) -> None:
        """Do step 1: go from each unverified head backwards until a share verifies; drop those that fail."""
        bad: list[Share] = []
        for head_hash in [h for h in self.forest.heads if h not in self.verified.heads]:
            height, rooted = self.forest.height(head_hash), self.forest.is_rooted(head_hash)
            depth = height if rooted else min(5, max(0, height - self.network.chain_length))
            failed: list[Share] = []
            for share in self.forest.ancestors(head_hash, depth):
                if not self._may_verify(share, thought):
                    failed.clear()  # they stay heads, so that the next run goes on below them
                    break
                if self._verify(share, thought):
                    break
                failed.append(share)
            else:
                if not rooted:
                    self._want(wanted, self.forest.tail(head_hash), head_hash)
            bad += failed
        for share in bad:
            if share.hash not in self.forest:
                continue
            sender = self.arrival(share.hash).sender
            if sender is not None:
                thought.bad_senders.add(sender)
            if self.forest.can_remove(share.hash):
                thought.removed.append(self.remove(share.hash))

    def _verify_backwards(self, thought: Thought, wanted: dict[int, int]) -> None:
        """Do step 2: bring each verified head to chain_length verified shares, or ask for parents."""
        chain_length = self.network.chain_length
        for head_hash in list(self.verified.heads):
            verified_height = self.verified.height(head_hash)
            last = self.verified.tail(head_hash)
            if last is None or verified_height >= chain_length:
                continue
            held = self.forest.height(last) if last in self.forest else 0
            end = self.forest.tail(last) if held else last
            can = held if end is None else max(held - 1 - chain_length, 0)
            for share in self.forest.ancestors(last, min(chain_length - verified_height, can)):
                if not (self._may_verify(share, thought) and self._verify(share, thought)):
                    break
            if end is not None:
                self._want(wanted, end, head_hash)

    def _want(self, wanted: dict[int, int], parent: int | None, head_hash: int) -> None:
        if parent is not None:
            newest = max(share.timestamp for share in self.forest.ancestors(head_hash, 5))
            wanted[parent] = max(newest, wanted.get(parent, 0))

    def heads(self) -> list[Share]:
        """Return the heads that are held, verified or not."""
        return [node.share for node in self.forest.heads.values()]

    def verified_heads_of(self, tail: int | None) -> list[int]:
        """Return the heads of the verified chains that hang from `tail`."""
        verified = self.verified
        return [share_hash for share_hash, node in verified.heads.items() if node.tree.tail == tail]

    def _best_tail(self, block_height: BlockHeight) -> Tree | None:
        """Do step 3: return the best tail. With a single one there is nothing to compare."""
        trees = list(self.verified.trees.values())
        if len(trees) < 2:
            return trees[0] if trees else None
        return max(
            trees,
            key=lambda tree: (self.score_tail(tree.tail, block_height).key, _none_lowest(tree.tail)),
        )

    def score_tail(self, tail: int | None, block_height: BlockHeight) -> TailScore:
        """Score a tail by its head with the most verified work."""
        verified, chain_length = self.verified, self.network.chain_length
        head = max(self.verified_heads_of(tail), key=verified.work)
        height = verified.height(head)
        if height < chain_length:
            return TailScore(height, None)
        near = chain_length * 15 // 16
        end_point = verified.nth_parent(head, near)
        # verified height == near can only be if chain_length < 16: no network has that
        end_hash = head if end_point is None else end_point.hash
        highest = max(
            block_height(share.previous_block)
            for share in verified.ancestors(end_hash, max(1, chain_length // 16))
        )
        seconds = (0 - highest + 1) * self.network.parent.block_period
        return TailScore(chain_length, verified.work_over(head, near) / seconds)

    def _scored_heads(self, tree: Tree, transaction_size: TransactionSize) -> list[HeadScore]:
        """Do step 4: score the verified heads of a tree, the best one last."""
        verified = self.verified
        scores = []
        for head in self.verified_heads_of(tree.tail):
            node = verified.nodes[head]
            fifth = verified.nth_parent_node(node, 5)
            scores.append(
                HeadScore(
                    work_at_5th_parent=0 if fifth is None else fifth.work - tree.work,
                    not_punished=-self._punishment(node.share, transaction_size),
                    total_work=0,
                    not_time_seen=-self.arrival(head).time_seen,
                    share_hash=head,
                )
            )
        if all(score.work_at_5th_parent == 0 for score in scores):
            scores = [
                HeadScore(0, s.not_punished, verified.work(s.share_hash), s.not_time_seen, s.share_hash)
                for s in scores
            ]
        scores.sort()
        return scores

    def _punishment(self, share: Share, transaction_size: TransactionSize) -> int:
        """Return -1 for a block, 1 for a share whose block would be too large, or that can have no successor, else
        0."""
        if share.timestamp == MAX_TIMESTAMP:
            return 1  # whatever else it is: nothing can follow it
        if share.is_block:
            return -1
        known = self._punishments.get(share.hash)
        if known is not None or not share.transaction_hash_refs:
            return known or 0
        total = 0
        try:
            transaction_hashes = share.version.rules.named_transactions(share, self)
        except ShareInvalid:
            return 0  # it names transactions of a share that is no longer held
        for transaction_hash in transaction_hashes or ():
            size = transaction_size(transaction_hash)
            if size is None:
                return 0  # not settled: asked again at the next run
            total += size
        punishment = self._punishments[share.hash] = int(total > MAX_TRANSACTIONS_SIZE)
        return punishment

    def remove(self, share_hash: int) -> Share:
        """Take out an end of a chain (see `Forest.remove`)."""
        if share_hash in self.verified:
            self.verified.remove(share_hash)
        else:
            self.unverified_bytes -= len(self.forest.nodes[share_hash].share.contents)
        del self._arrivals[share_hash]
        self._punishments.pop(share_hash, None)
        return self.forest.remove(share_hash)


def _cost_of(share: Share) -> int:
    """Return what checking a share costs, an everyday one being 1: megabytes are hashed, references resolved."""
    return 1 + len(share.contents) // _BYTES_OF_A_CHECK + len(share.transaction_hash_refs) // _REFS_OF_A_CHECK


def _none_lowest(tail: int | None) -> int:
    return -1 if tail is None else tail
