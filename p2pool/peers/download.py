"""Fetching missing parents, from several peers at once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from p2pool.base.bounded import BoundedDict
from p2pool.peers.addresses import is_loopback
from p2pool.peers.ports import PoolPort
from p2pool.peers.session import PeerSession
from p2pool.peers.share_intake import Answer

MAX_AT_ONCE = 8
"""Requests under way for what the tracker wants; each peer has one."""
MAX_OF_HOST = 2
"""Requests under way to one host, however many connections it has."""
PARENTS = 500
"""A random number of shares up to this is requested, so that one reply that is too large does not stop
everything."""
MAX_STOPS = 100
REST = 1.0
"""Seconds before a share that a peer did not have is asked for again."""
LACKING_REST = 10.0
"""Seconds in which other peers are asked first for a share that a peer did not have."""
MAX_LACKING = 4096
"""Such answers that are remembered."""
NEWER_REST = 600.0
"""Seconds before a peer is asked again for a share that it says is of a newer type than this node knows."""
MAX_NEWER = 4096
"""Such answers that are remembered."""


class Downloader:
    """Asks for what the tracker wants. `step` is called when something has changed, and every second."""

    def __init__(self, pool: PoolPort, peers: Callable[[], Sequence[PeerSession]], rng: random.Random) -> None:
        self._pool = pool
        self._peers = peers
        self._rng = rng
        self._asked: dict[int, PeerSession] = {}
        """Share hash -> the peer that was asked. At most MAX_AT_ONCE, and one for each peer that said its best."""
        self._announced: set[int] = set()
        """Of these, what the peer itself announced as its best. They do not count towards MAX_AT_ONCE: anybody can
        announce shares that do not exist, and again as soon as it was dropped."""
        self._rests: dict[int, float] = {}
        """Share hash -> when it may be asked for again. Bound: each for REST seconds."""
        self._lacking: BoundedDict[tuple[int, str], float] = BoundedDict(MAX_LACKING)
        """(share hash, the peer that did not have it) -> until when others are asked first."""
        self._newer: BoundedDict[tuple[int, str], float] = BoundedDict(MAX_NEWER)
        """(share hash, the peer that says that it is of a newer type) -> when that peer may be asked for it again.
        Others are asked: what a peer says of a share is not proven."""
        self.received = 0
        """Shares that came in answers."""

    def step(self, now: float) -> None:
        """Ask idle peers for what is missing."""
        wanted = self._pool.wanted()
        self._rests = {h: until for h, until in self._rests.items() if until > now}
        open_hashes = [h for h in wanted if h not in self._asked and h not in self._rests]
        if not open_hashes:
            return
        idle = [peer for peer in self._peers() if not peer.requests]
        self._rng.shuffle(idle)
        idle = self._one_host_each(idle)
        self._rng.shuffle(open_hashes)  # no hash that nobody has comes before the others forever
        room = max(0, MAX_AT_ONCE - len(self._asked) + len(self._announced))
        stops = self._pool.request_stops(MAX_STOPS)
        for share_hash in open_hashes:
            if not room or not idle:
                return
            peer = self._choose(idle, share_hash, now)
            if peer is not None:
                idle.remove(peer)
                room -= 1
                self._ask(peer, share_hash, parents=self._rng.randrange(PARENTS), stops=stops, now=now)

    def _choose(self, idle: Sequence[PeerSession], share_hash: int, now: float) -> PeerSession | None:
        """Return the peer to ask: at first one that announced what builds on the share, as it should have it. By
        chance alone it would take long to find the only one of many peers that has it."""
        able = [peer for peer in idle if self._newer.get((share_hash, peer.label), 0.0) <= now]
        senders = self._pool.senders_above(share_hash)
        return min(
            able,
            key=lambda peer: (self._lacking.get((share_hash, peer.label), 0.0) > now, peer.label not in senders),
            default=None,
        )

    def _one_host_each(self, idle: Sequence[PeerSession]) -> list[PeerSession]:
        """Return at most MAX_OF_HOST peers of a host, counting those asked already: a host that never answers must
        not take all requests."""
        asked = Counter(peer.host_key for peer in self._asked.values())
        chosen = []
        for peer in idle:
            if asked[peer.host_key] < MAX_OF_HOST or is_loopback(peer.host):
                asked[peer.host_key] += 1
                chosen.append(peer)
        return chosen

    def fetch(self, share_hash: int, peer: PeerSession, now: float) -> None:
        """Ask a peer for the one share that it says is its best. If that is of a newer type, the peer is asked
        once more, for what is below it: a node without shares would not find the chain otherwise."""
        if not self._pool.has_share(share_hash) and share_hash not in self._asked:
            self._announced.add(share_hash)
            self._ask(peer, share_hash, parents=0, stops=(), now=now, best=True)

    def _ask(
        self,
        peer: PeerSession,
        share_hash: int,
        *,
        parents: int,
        stops: tuple[int, ...],
        now: float,
        best: bool = False,
    ) -> None:
        self._asked[share_hash] = peer

        def answered(shares: Answer | None) -> None:
            self._asked.pop(share_hash, None)
            self._announced.discard(share_hash)
            if shares is None:
                return  # the peer is gone: another one may be asked at once
            for newer in shares.newer:
                self._newer[newer, peer.label] = peer.heard_at + NEWER_REST
            if not shares and share_hash in shares.newer:
                if best:
                    self._announced.add(share_hash)
                    stops = self._pool.request_stops(MAX_STOPS)
                    self._ask(peer, share_hash, parents=PARENTS - 1, stops=stops, now=peer.heard_at)
                return
            if not shares:
                self._rests[share_hash] = peer.heard_at + REST
                self._lacking[share_hash, peer.label] = peer.heard_at + LACKING_REST
                return
            self.received += len(shares)
            self._pool.add_shares(shares, peer.label, requested=True)

        peer.request(
            self._rng.getrandbits(256), share_hash, parents=parents, stops=stops, now=now, answered=answered
        )
