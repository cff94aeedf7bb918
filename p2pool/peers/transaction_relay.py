"""Which transactions this node knows, as its peers hear of it, and which of them it need not know any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from p2pool.peers.addresses import is_loopback
from p2pool.peers.allowance import Allowance
from p2pool.peers.messages import Message
from p2pool.peers.ports import PoolPort
from p2pool.peers.remote_view import have_tx_messages, losing_tx_messages
from p2pool.peers.session import PeerSession
from p2pool.peers.transactions import MAX_FRESH, MAX_FRESH_COUNT, MiningChange, TransactionPool

SENDING_TIME = 0.010
"""Seconds of a turn of the reactor in which all peers are gone through, for one thing or another."""
KEPT_SHARES = 120
"""Transactions that the newest shares introduced are kept known."""


class TransactionRelay:
    """Sends peers the changes of the known transactions, and forgets those that nobody needs.

    `sessions` gives all connections, `peers` those whose handshake is done; `call_soon` calls a function after the
    current event.
    """

    def __init__(
        self,
        pool: PoolPort,
        transactions: TransactionPool,
        *,
        sessions: Callable[[], Collection[PeerSession]],
        peers: Callable[[], Sequence[PeerSession]],
        monotonic: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._pool = pool
        self._transactions = transactions
        self._sessions = sessions
        self._peers = peers
        self._monotonic = monotonic
        self._call_soon = call_soon
        self._allowance = Allowance()
        self._unnotified: deque[tuple[PeerSession, MiningChange]] = deque()
        """Peers to notify of a change of the template. Bound: the open connections, for each recent change."""
        self._unnotified_due = False
        self._trimming = False
        transactions.added.subscribe(self._added)
        transactions.removed.subscribe(self._removed)
        transactions.mining_changed.subscribe(self._mining_changed)

    def take(self, transactions: Iterable[tuple[int, bytes]], session: PeerSession) -> None:
        """Add what a peer sent. What a host may make known to all has a bound; its own shares may name the
        rest."""
        new = [(tx_hash, data) for tx_hash, data in transactions if tx_hash not in self._transactions.known]
        if is_loopback(session.host):
            self._transactions.add(new)
        else:
            self._transactions.add(self._allowance.take(session.host_key, new, self._monotonic()))

    def send_all(self, messages: Sequence[Message]) -> None:
        """Send the same to all peers, framed once: a list of hashes may have hundreds of kilobytes."""
        peers = self._peers()
        if peers:
            framed = b"".join(peers[0].frame(message) for message in messages)
            for peer in peers:
                peer.send_framed(framed)

    def trim(self) -> None:
        """Begin to forget what neither peers nor the newest shares need, unless that is under way."""
        if not self._trimming:
            self._trimming = True
            self._collect(set(), list(self._sessions()))

    def _collect(self, wanted: set[int], sessions: list[PeerSession]) -> None:
        """Collect what peers have this node remember, over several turns: it may be hundreds of thousands of
        transactions. What is added meanwhile is found the next time."""
        until = self._monotonic() + SENDING_TIME
        while sessions:
            if self._monotonic() > until:
                self._call_soon(lambda: self._collect(wanted, sessions))
                return
            wanted.update(sessions.pop().remembered)
        self._trimming = False
        best = self._pool.best_share_hash()
        if best is not None:
            for share in self._pool.chain_part(best, KEPT_SHARES):
                wanted.update(share.new_transaction_hashes)
        self._transactions.trim(wanted, self._monotonic())

    def _added(self, tx_hashes: tuple[int, ...]) -> None:
        self.send_all(have_tx_messages(tx_hashes))
        pool = self._transactions
        if pool.fresh_bytes > MAX_FRESH or pool.fresh_count > MAX_FRESH_COUNT:
            self.trim()

    def _removed(self, tx_hashes: tuple[int, ...]) -> None:
        self.send_all(losing_tx_messages(tx_hashes))

    def _mining_changed(self, change: MiningChange) -> None:
        """Tell peers of a change of the template, over several turns: each lacks other transactions, which may be
        megabytes in all."""
        self._unnotified.extend((peer, change) for peer in self._peers())
        if not self._unnotified_due:
            self._send_mining()

    def _send_mining(self) -> None:
        self._unnotified_due = False
        until = self._monotonic() + SENDING_TIME
        while self._unnotified:
            if self._monotonic() > until:
                self._unnotified_due = True
                self._call_soon(self._send_mining)
                return
            peer, change = self._unnotified.popleft()
            if not peer.closed:
                peer.remote.send_mining(peer, change)
