"""Fetching missing parents, from several peers at once. A peer that does not deliver loses its turn to another."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p2pool.base.bounded import BoundedDict
from p2pool.dash.hashes import hash_hex
from p2pool.peers.addresses import is_loopback
from p2pool.peers.deliveries import UNKNOWN_RATE, Deliveries
from p2pool.peers.errors import Drop
from p2pool.peers.ports import PoolPort
from p2pool.peers.session import PeerSession
from p2pool.peers.share_intake import Answer
from p2pool.peers.share_requests import ShareRequest
from p2pool.peers.stretches import Stretch, Stretches
from p2pool.share.rules import FAR_SHARE_DISTANCE

MAX_AT_ONCE = 8
"""Requests under way for what the tracker wants, of peers whose turn it is; each peer has one."""
MAX_OF_HOST = 2
"""Requests under way to one host, however many connections it has."""
MAX_OF_SHARE = 3
"""Peers whose turn it is to send the same share: one more after each that lost its turn."""
PARENTS = 500
"""A random number of shares up to this is requested, so that one reply that is too large does not stop
everything."""
PARENTS_UNPROVEN = FAR_SHARE_DISTANCE
"""Likewise, of a peer that is slow or has not delivered anything yet: it shows the sooner how fast it is, and the
share below is known, so that others can go on there."""
FEWEST_PARENTS = 6
"""Likewise, of a peer that lost many turns: about 4 kB, which 300 bytes per second deliver in time."""
SOON = 1.0
"""Seconds after which what is below a missing share is asked of other peers, while the share is being sent."""
TRIAL = 10.0
"""Seconds in which a new peer should announce what it can be asked for."""
ANSWER_TIME = 2.0
"""Seconds for which the shares that are requested should keep a peer busy."""
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


@dataclass(eq=False, slots=True)
class Turn:
    """A peer's turn to send a share and its parents."""

    peer: PeerSession
    share_hash: int
    announced: bool
    """Whether the peer itself announced the share as its best. Such turns do not count towards MAX_AT_ONCE:
    anybody can announce shares that do not exist, and again as soon as it was dropped."""
    parents: int = 0
    ahead: bool = False
    """Whether shares above it are missing as well."""
    request: ShareRequest | None = None
    over: bool = False
    """Whether the peer has used up this node's patience. What it sends is taken nevertheless."""


class Downloader:
    """Asks for what the tracker wants. `step` is called when something has changed, and every second."""

    def __init__(self, pool: PoolPort, peers: Callable[[], Sequence[PeerSession]], rng: random.Random) -> None:
        self._pool = pool
        self._peers = peers
        self._rng = rng
        self._turns: dict[Turn, None] = {}
        """Requests under way. Bound: one for each peer, and one more that it announced itself."""
        self._claims: dict[PeerSession, int] = {}
        """Peer -> the share that it announced as its best, while others that announced it are asked. Bound: one
        for each peer."""
        self.deliveries = Deliveries()
        self._stretches = Stretches()
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
        self._end_turns(now)
        self._ask_claimants(now)
        self._rests = {h: until for h, until in self._rests.items() if until > now}
        missing = [h for h in self._pool.wanted() if not self._pool.has_share(h)]
        if not missing:
            self._stretches.clear()
            return
        open_turns = self._open_stretches(missing, now)
        if not open_turns:
            return
        idle = [peer for peer in self._peers() if not peer.requests]
        self._rng.shuffle(idle)
        idle = self._one_host_each(idle)
        room = MAX_AT_ONCE - sum(1 for turn in self._turns if not (turn.over or turn.announced))
        stops = self._pool.request_stops(MAX_STOPS)
        for stretch in open_turns:
            if room <= 0 or not idle:
                return
            peer = self._choose(idle, stretch.share_hash, now)
            if peer is not None:
                idle.remove(peer)
                room -= 1
                self._ask_for(stretch, peer, stops=stops, now=now)

    def _open_stretches(self, missing: Sequence[int], now: float) -> list[Stretch]:
        """Return what to ask for, one entry for each peer to ask: at first what is missing, then what is below it
        where that is slow to come. What is kept of the latter follows now, if nothing is missing above it."""
        at_first: list[Stretch] = []
        ahead: list[Stretch] = []
        for share_hash in missing:
            kept = self._stretches.take(share_hash)
            if kept is not None:
                self._pool.add_shares(kept.shares, kept.sender, requested=True)
                continue
            stretches = list(self._stretches.below(share_hash))
            at_first += stretches[:1]
            if self._is_slow(share_hash, now):
                ahead += [each for each in stretches[1:] if not self._pool.has_share(each.share_hash)]
        self._rng.shuffle(at_first)  # no hash that nobody has comes before the others forever
        return [
            each
            for each in (*at_first, *ahead)
            if each.share_hash not in self._rests
            for _ in range(self._open_turns(each.share_hash))
        ]

    def _is_slow(self, share_hash: int, now: float) -> bool:
        """Return whether other peers should be asked for what is below a missing share."""
        return len(self._stretches) > 0 or any(
            turn.share_hash == share_hash and turn.request is not None and now - turn.request.asked_at >= SOON
            for turn in self._turns
        )

    def _ask_for(self, stretch: Stretch, peer: PeerSession, *, stops: tuple[int, ...], now: float) -> None:
        """Ask a peer for a stretch: one that is missing as far down as the peer is fast, unless others were asked
        for what is below it."""
        share_hash, parents, end = stretch
        if not self._is_wanted(share_hash):
            turn = Turn(peer, share_hash, announced=False, parents=parents, ahead=True)
        else:
            most = self._most_parents(peer)
            if end in self._stretches or any(turn.share_hash == end for turn in self._turns):
                most = min(most, parents + 1)
            else:
                end = None
            parents = max(self._rng.randrange(most), self._rng.randrange(most))
            turn = Turn(peer, share_hash, announced=False, parents=parents)
        self._ask(turn, stops=stops if end is None else (end, *stops[: MAX_STOPS - 1]), now=now)

    def _is_wanted(self, share_hash: int) -> bool:
        return share_hash in self._pool.wanted()

    def has_no_turn_left(self, peer: PeerSession, now: float) -> bool:
        """Return whether a peer had its turn to send shares, and lost it or had nothing, or announces nothing that
        it could be asked for."""
        if peer in self._claims or any(turn.peer is peer and not turn.over for turn in self._turns):
            return False
        host = peer.host_key
        is_known = self.deliveries.has_penalty(host, now) or self.deliveries.rate(host) < UNKNOWN_RATE
        return is_known or now - peer.connected_at > TRIAL

    # --- turns -------------------------------------------------------------------------------------------

    def _end_turns(self, now: float) -> None:
        """End the turns of peers that do not deliver: the next ones are asked as well."""
        answering = sum(1 for turn in self._turns if turn.request is not None and turn.request.patience.received)
        for turn in self._turns:
            if not turn.over and turn.request is not None and turn.request.patience.is_spent(now, answering):
                turn.over = True
                self.deliveries.lost_turn(turn.peer.host_key, now)

    def _open_turns(self, share_hash: int, *, beside_incoming: bool = False, most: int = MAX_OF_SHARE) -> int:
        """Return how many more peers may be asked for a share now: one at a time at first, and one more at a time
        after each turn that was lost, so that many peers that do not deliver do not take one turn after the
        other. `beside_incoming`: whatever is asked of peers that connected to this node."""
        over = [
            turn.over
            for turn in self._turns
            if turn.share_hash == share_hash and not (beside_incoming and turn.peer.incoming)
        ]
        return max(0, min(most, 1 + over.count(True)) - over.count(False))

    def _choose(self, idle: Sequence[PeerSession], share_hash: int, now: float) -> PeerSession | None:
        """Return the peer to ask: one that did not lose a turn before others; then one that announced what builds
        on the share, as it should have it (by chance alone it would take long to find the only one of many peers
        that has it), unless such a one has just lost its turn; then the one that delivers fastest; then one that
        this node chose to connect to."""
        able = [peer for peer in idle if self._newer.get((share_hash, peer.label), 0.0) <= now]
        lost = any(turn.over for turn in self._turns if turn.share_hash == share_hash)
        senders = () if lost else self._pool.senders_above(share_hash)
        return min(
            able,
            key=lambda peer: (
                self._lacking.get((share_hash, peer.label), 0.0) > now,
                self.deliveries.has_penalty(peer.host_key, now),
                peer.label not in senders,
                -self.deliveries.rate(peer.host_key),
                peer.incoming,
            ),
            default=None,
        )

    def _most_parents(self, peer: PeerSession) -> int:
        """Return how many parents a peer may be asked for. If it is not known to be fast, each turn that it lost
        halves the number: a slow peer may be the only one, and can send a whole answer in the end."""
        rate = self.deliveries.rate(peer.host_key)
        lost = self.deliveries.lost_turns(peer.host_key) if rate <= UNKNOWN_RATE else 0
        return max(FEWEST_PARENTS, PARENTS_UNPROVEN >> lost, min(PARENTS, int(rate * ANSWER_TIME)))

    def _one_host_each(self, idle: Sequence[PeerSession]) -> list[PeerSession]:
        """Return at most MAX_OF_HOST peers of a host, counting those asked already: a host that never answers must
        not take all requests."""
        asked = Counter(turn.peer.host_key for turn in self._turns)
        chosen = []
        for peer in idle:
            if asked[peer.host_key] < MAX_OF_HOST or is_loopback(peer.host):
                asked[peer.host_key] += 1
                chosen.append(peer)
        return chosen

    # --- what peers announce -----------------------------------------------------------------------------

    def fetch(self, share_hash: int, peer: PeerSession, now: float) -> None:
        """Ask a peer for the one share that it says is its best, or keep it in mind if another one is being asked
        for the same. Peers that connected to this node do not keep it from asking one that it chose itself. If
        that share is of a newer type, the peer is asked once more, for what is below it: a node without shares
        would not find the chain otherwise."""
        if self._pool.has_share(share_hash):
            return
        if self._open_turns(share_hash, beside_incoming=not peer.incoming, most=MAX_AT_ONCE):
            self._ask_announced(share_hash, peer, now)
        else:
            self._claims[peer] = share_hash

    def _ask_claimants(self, now: float) -> None:
        """Ask the next of the peers that announced a share if those before it did not deliver it."""
        for peer, share_hash in list(self._claims.items()):
            if peer.closed or self._pool.has_share(share_hash):
                del self._claims[peer]
            elif not peer.requests and self._open_turns(
                share_hash, beside_incoming=not peer.incoming, most=MAX_AT_ONCE
            ):
                del self._claims[peer]
                self._ask_announced(share_hash, peer, now)

    def _ask_announced(self, share_hash: int, peer: PeerSession, now: float) -> None:
        self._ask(Turn(peer, share_hash, announced=True), stops=(), now=now, best=True)

    # --- requests ----------------------------------------------------------------------------------------

    def _ask(self, turn: Turn, *, stops: tuple[int, ...], now: float, best: bool = False) -> None:
        self._turns[turn] = None

        def answered(shares: Answer | None) -> None:
            self._turns.pop(turn, None)
            if shares is not None:  # otherwise the peer is gone: another one may be asked at once
                self._answered(turn, shares, asked_at=now, best=best)

        turn.request = turn.peer.request(
            self._rng.getrandbits(256),
            turn.share_hash,
            parents=turn.parents,
            stops=stops,
            now=now,
            answered=answered,
        )

    def _answered(self, turn: Turn, shares: Answer, *, asked_at: float, best: bool) -> None:
        """Take an answer. Raises Drop for one to another question."""
        peer, share_hash, now = turn.peer, turn.share_hash, turn.peer.heard_at
        for newer in shares.newer:
            self._newer[newer, peer.label] = now + NEWER_REST
        if not shares and share_hash in shares.newer:
            if best:
                stops = self._pool.request_stops(MAX_STOPS)
                again = Turn(peer, share_hash, announced=True, parents=PARENTS - 1)
                self._ask(again, stops=stops, now=now)
        elif not shares:
            self.deliveries.delivered(peer.host_key, 0, now - asked_at)
            self._rests[share_hash] = now + REST
            self._lacking[share_hash, peer.label] = now + LACKING_REST
            if shares.wrong is not None:
                self.deliveries.lost_turn(peer.host_key, now)
                raise Drop(f"it answered a request for share {hash_hex(share_hash)} with {hash_hex(shares.wrong)}")
        else:
            follows = shares[-1].previous_hash
            is_short = len(shares) <= turn.parents and not shares.newer
            if is_short and follows is not None and not self._pool.has_share(follows):
                # It lacks the next share, or sends one share at a time.
                self._lacking[follows, peer.label] = now + LACKING_REST
                self.deliveries.delivered(peer.host_key, 0, now - asked_at)
            elif turn.parents:  # one share says little of the rate
                self.deliveries.delivered(peer.host_key, len(shares), now - asked_at)
            self.received += len(shares)
            self._stretches.learn(shares)
            if turn.ahead and not (self._is_wanted(share_hash) or self._pool.has_share(share_hash)):
                self._stretches.keep(shares, peer.label)
                self.step(now)  # it says what is further below
            elif self._pool.add_shares(shares, peer.label, requested=True):
                peer.brought_at = now
