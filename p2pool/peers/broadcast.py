"""Which shares go to the peers, when, and only once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from p2pool.peers.messages import Envelope
from p2pool.peers.remote_view import share_messages
from p2pool.peers.session import PeerSession
from p2pool.peers.transactions import TransactionPool
from p2pool.share.share import Share

MAX_SHARES = 5
"""The newest shares of the chain that are sent together."""


class ShareBroadcaster:
    """Remembers what was sent. Bound: `forget` is called with what the tracker forgets."""

    def __init__(self, transactions: TransactionPool, sender_of: Callable[[int], str | None]) -> None:
        self._transactions = transactions
        self._sender_of = sender_of
        self._sent: set[int] = set()

    def mark_sent(self, share_hashes: Iterable[int]) -> None:
        """Note that the shares held at the start need no announcement."""
        self._sent.update(share_hashes)

    def forget(self, share_hashes: Iterable[int]) -> None:
        """Forget shares that are no longer held."""
        self._sent.difference_update(share_hashes)

    def broadcast(self, chain: Sequence[Share], peers: Sequence[PeerSession]) -> int:
        """Send the newest shares of `chain` (nearest first) down to one that was sent before, to every peer but
        the one that each came from, as far as it has or can get their transactions: for any others it would have
        to drop the connection. Return how many were sent."""
        shares: list[Share] = []
        for share in chain[:MAX_SHARES]:
            if share.hash in self._sent:
                break
            shares.append(share)
        self._sent.update(share.hash for share in shares)
        sources = [(share, self._sender_of(share.hash)) for share in shares]
        framed: dict[tuple[int, ...], list[bytes]] = {}
        for peer in peers:
            theirs = [
                share
                for share, sender in sources
                if sender != peer.label and peer.remote.can_learn(share.new_transaction_hashes, self._transactions)
            ]
            if not theirs:
                continue
            key = tuple(share.hash for share in theirs)
            if key not in framed:  # the same bytes for all peers, packed once
                envelopes = [Envelope(share.version.type, share.contents) for share in theirs]
                framed[key] = [peer.frame(message) for message in share_messages(envelopes)]
            new_hashes = [tx_hash for share in theirs for tx_hash in share.new_transaction_hashes]
            peer.remote.send_shares(peer, new_hashes=new_hashes, framed=framed[key], pool=self._transactions)
        return len(shares)
