"""Connects the node and its peers: what peers ask of the share chain, and what the chain sends to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence

from twisted.logger import Logger
from typing_extensions import override

from p2pool.base.errors import ParseError
from p2pool.dash.block import BlockHeader, assemble_block
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.template import TemplateTransaction
from p2pool.node import Node, WorkChange
from p2pool.peers.hub import PeerHub
from p2pool.peers.ports import PoolPort
from p2pool.peers.refusal_budget import RefusalBudget
from p2pool.peers.transactions import TransactionPool
from p2pool.share.errors import ShareInvalid
from p2pool.share.parsing import PackedContents, ParsedShare, parse_shares_steps
from p2pool.share.share import Share
from p2pool.sharechain.refused import RefusedShareSent
from p2pool.sharechain.tracker import UNKNOWN_BLOCK_HEIGHT, Thought

_log = Logger(namespace="p2pool.peers")

AGAIN_AFTER = 5.0
"""Seconds after which a block's share is sent again: its parent's height may be known by then."""
RECENT = -5
"""Relative height of the parent block from which on a block is news."""
_STOP_DEPTH = 10


class PeerPool(PoolPort):
    """Implements `peers.ports.PoolPort` over a node. `block_heard` is called with the header of a block that a
    peer reports."""

    def __init__(self, node: Node, block_heard: Callable[[BlockHeader], None]) -> None:
        self._node = node
        self._block_heard = block_heard
        self.held_back: set[int] = set()
        """This node's shares that are blocks and are not on disk yet: nobody may hear of them. Bound: each for the
        time of one write."""

    @override
    def best_share_hash(self) -> int | None:
        return self._node.best_share

    @override
    def shown_share_hash(self) -> int | None:
        shown = best = self.best_share_hash()
        if best is not None and self.held_back:
            tracker = self._node.tracker
            for share in tracker.ancestors(best, tracker.height(best)):
                if share.hash in self.held_back:
                    shown = share.previous_hash
        return shown

    @override
    def has_share(self, share_hash: int) -> bool:
        return share_hash in self._node.tracker or share_hash in self._node.refused

    @override
    def chain_part(self, share_hash: int, count: int) -> Sequence[Share]:
        return list(self._node.tracker.ancestors(share_hash, count))

    @override
    def request_stops(self, maximum: int) -> tuple[int, ...]:
        forest = self._node.tracker.forest
        stops: dict[int, None] = {}
        for share_hash in forest.heads:
            stops[share_hash] = None
            behind = forest.nth_parent(share_hash, min(_STOP_DEPTH, max(0, forest.height(share_hash) - 1)))
            if behind is not None:
                stops[behind.hash] = None
            if len(stops) >= maximum:
                break
        return tuple(stops)[:maximum]

    @override
    def parse_steps(self, packed: Sequence[PackedContents]) -> Generator[None, None, list[ParsedShare]]:
        return parse_shares_steps(packed, self._node.network, is_held=self._node.tracker.is_settled)

    @override
    def add_shares(self, shares: Sequence[Share], sender: str, requested: bool = False) -> int:
        return self._node.add_shares(shares, sender, requested=requested)

    @override
    def wanted(self) -> Sequence[int]:
        return self._node.wanted

    @override
    def senders_above(self, share_hash: int) -> Collection[str]:
        tracker = self._node.tracker
        tree = tracker.forest.trees.get(share_hash)
        arrivals = [] if tree is None else [tracker.arrival(root) for root in tree.roots]
        return {each.sender for each in arrivals if each.sender is not None and not each.requested}

    @override
    def best_block_heard(self, header: BlockHeader, block_hash: int) -> None:
        """Report a header that has the work of a block of the current template; ignore any other."""
        template = self._node.template
        if template is not None and block_hash <= template.target:
            self._block_heard(header)


class PeerNews:
    """Sends peers what happens in the node. `pool` is what they are told of the share chain; `punish` disconnects
    and bans the peer with a label."""

    def __init__(
        self,
        node: Node,
        hub: PeerHub,
        *,
        pool: PeerPool,
        transactions: TransactionPool,
        call_later: Callable[[float, Callable[[], None]], object],
        punish: Callable[[str, str], None],
        block_found: Callable[[FoundBlock], None],
    ) -> None:
        self._node = node
        self._hub = hub
        self._transactions = transactions
        self._call_later = call_later
        self._punish = punish
        self._block_found = block_found
        self._budget = RefusalBudget(node.network.share_period)
        self._held_back = pool.held_back
        self._mining: tuple[TemplateTransaction, ...] | None = None
        """Those of the newest work."""
        hub.broadcaster.mark_sent(node.tracker.forest.nodes)
        transactions.added.subscribe(self._transactions_added)
        node.share_added.subscribe(self._share_added)
        node.best_changed.subscribe(self._best_changed)
        node.thought.subscribe(self._thought)
        node.share_refused.subscribe(self._share_refused)
        node.work_changed.subscribe(self._work_changed)

    def _transactions_added(self, tx_hashes: tuple[int, ...]) -> None:
        for tx_hash in tx_hashes:
            self._node.learn_transaction(tx_hash, len(self._transactions.known[tx_hash]))

    def _share_added(self, added: tuple[Share, bool]) -> None:
        share, own = added
        if own and share.is_block:
            self._held_back.add(share.hash)

    def share_announced(self, announced: tuple[Share, bool]) -> None:
        """Send a share of this node that is a block, now that it was written (or could not be). Every other
        share is sent when it becomes the best."""
        share, _ = announced
        if share.hash in self._held_back:
            self._held_back.discard(share.hash)
            self._spread(share.hash)
            self._best_changed(self._node.best_share)  # it may follow this one, and have had to wait with it

    def _best_changed(self, best: int | None) -> None:
        if best is not None and best not in self._held_back:
            self._spread(best)

    def _spread(self, share_hash: int) -> None:
        chain = list(self._node.tracker.ancestors(share_hash, 5))
        if not any(share.hash in self._held_back for share in chain):
            self._hub.broadcaster.broadcast(chain, self._hub.peers)

    def _work_changed(self, change: WorkChange) -> None:
        """Tell peers what blocks of the new work contain. Most often only the share chain has changed."""
        transactions = change.context.template.transactions
        if transactions is not self._mining:
            self._mining = transactions
            self._transactions.set_mining((t.hash, t.data) for t in transactions)

    def _share_refused(self, refusal: RefusedShareSent) -> None:
        """Charge a refused share to its host. A node with other rules relays what this node refuses and is not an
        attacker: only a flood costs the host its connections."""
        session = self._hub.session_of(refusal.sender)
        if session is None:
            return
        if not self._budget.spend(session.host_key, refusal.cost, self._hub.monotonic()):
            self._punish(
                refusal.sender, "it sent too many shares that break the chain's rules or have too little work"
            )

    def _thought(self, thought: Thought) -> None:
        gone = [share.hash for share in (*thought.removed, *thought.pruned)]
        self._hub.broadcaster.forget(gone)
        self._held_back.difference_update(gone)
        for share in thought.verified:
            if share.is_block:
                self._block_verified(share)

    def _block_verified(self, share: Share) -> None:
        recent = self._is_recent(share)
        if recent:
            self._spread_block(share, submit=True)
        self._call_later(AGAIN_AFTER, lambda: self._spread_again(share, submit=not recent))

    def _spread_again(self, share: Share, submit: bool) -> None:
        if self._is_recent(share):
            self._spread_block(share, submit)

    def _spread_block(self, share: Share, submit: bool) -> None:
        if share.hash not in self._node.tracker:
            return  # forgotten meanwhile
        self._spread(share.hash)
        if submit:
            self._submit(share)

    def _is_recent(self, share: Share) -> bool:
        template = self._node.template
        known = template is not None and template.previous_block in (share.previous_block, share.hash)
        return known or self._node.block_height(share.previous_block) > RECENT

    def _submit(self, share: Share) -> None:
        """Give dashd a block that another node found: nobody knows whether it gets it from that node any
        sooner."""
        if self._node.tracker.arrival(share.hash).sender is None:
            return
        try:
            rebuilt = self._node.tracker.rebuild(share)
        except (ShareInvalid, ParseError):
            return
        if rebuilt.other_transaction_hashes is None:
            return  # the share does not say what is in its block
        transactions = [self._transactions.get(tx_hash) for tx_hash in rebuilt.other_transaction_hashes]
        if any(data is None for data in transactions):
            return
        data = assemble_block(
            share.header, rebuilt.gentx, tuple(data for data in transactions if data is not None)
        )
        height = self._height(share)
        found = float(share.header_timestamp)
        self._block_found(FoundBlock(share.hash, height, data, "another node", share.hash, share.subsidy, found))

    def _height(self, share: Share) -> int:
        """Return the height of a share that is a block; if its parent block is not known (yet), the height of the
        next block."""
        template = self._node.template
        if template is None:
            return 0
        if template.previous_block == share.hash:
            return template.height - 1
        behind = self._node.block_height(share.previous_block)
        return template.height + (behind if behind > UNKNOWN_BLOCK_HEIGHT else 0)
