"""One long chain from several peers: what is known below what is missing, and how long slow peers take."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from p2pool.peers.download import Downloader
from p2pool.peers.share_intake import Answer
from p2pool.peers.share_requests import ShareRequests
from p2pool.peers.stretches import AHEAD, MAX_KEPT, MAX_KEPT_BYTES, Stretch, Stretches

SIZE = 700


def fake_chain(length: int, size: int = SIZE) -> list[Any]:
    """Shares, oldest first, as far as downloads look at them; a share's hash is its place in the chain, from 1."""
    return [
        SimpleNamespace(
            hash=height + 1,
            previous_hash=height or None,
            far_share_hash=height - 99 if height > 99 else None,
            contents=bytes(size),
        )
        for height in range(length)
    ]


def part(chain: list[Any], top: int, count: int) -> list[Any]:
    """So many shares, nearest first, from hash `top` on."""
    return chain[max(0, top - count) : top][::-1]


def test_what_is_below_a_missing_share_becomes_known_share_by_share():
    chain, stretches = fake_chain(1000), Stretches()
    assert list(stretches.below(999)) == [Stretch(999, 0, None)]
    stretches.learn(part(chain, 1000, 1))
    assert list(stretches.below(999)) == [Stretch(999, 98, 900), Stretch(900, 0, None)]
    stretches.learn(part(chain, 900, 1))
    stretches.keep(part(chain, 900, 1), "one")
    assert list(stretches.below(999)) == [Stretch(999, 98, 900), Stretch(899, 98, 800), Stretch(800, 0, None)]
    stretches.learn(part(chain, 899, 99))
    stretches.keep(part(chain, 899, 99), "two")  # its end is where the next one begins
    assert list(stretches.below(999)) == [Stretch(999, 98, 900), Stretch(800, 98, 701), Stretch(701, 0, None)]
    kept = stretches.take(900)
    assert kept is not None
    assert (kept.sender, [share.hash for share in kept.shares]) == ("one", [900])
    assert stretches.take(900) is None


def test_no_more_than_so_many_stretches_and_none_below_the_first_share():
    chain, stretches = fake_chain(2000), Stretches()
    for top in range(2000, 0, -99):
        stretches.learn(part(chain, top, 1))
    assert len(list(stretches.below(1999))) == AHEAD
    stretches.keep(part(chain, 50, 50), "one")
    assert list(stretches.below(50)) == []
    stretches.learn(part(chain, 60, 1))  # it has no far share
    assert list(stretches.below(59)) == [Stretch(59, 98, None)]


@pytest.mark.parametrize(("size", "most"), [(SIZE, MAX_KEPT), (1_000_000, MAX_KEPT_BYTES // 1_000_000)])
def test_what_is_kept_is_bounded(size, most):
    stretches = Stretches()
    chain = fake_chain(60, size)
    for share in chain:
        stretches.keep([share], "liar")
        stretches.keep([share], "liar")
    assert len(stretches) == most
    assert [share.hash in stretches for share in (chain[0], chain[-1])] == [False, True]
    stretches.clear()
    assert (len(stretches), stretches._bytes) == (0, 0)


# --- downloads ---------------------------------------------------------------------------------------------------


class FakePool:
    """Holds what is contiguous from the newest share on, as a tracker would."""

    def __init__(self, chain: list[Any]) -> None:
        self.chain = {share.hash: share for share in chain}
        self.held = {chain[-1].hash: chain[-1]}
        self.missing = chain[-1].previous_hash
        self.added = 0

    def has_share(self, share_hash: int) -> bool:
        return share_hash in self.held

    def wanted(self) -> list[int]:
        return [] if self.missing is None else [self.missing]

    def request_stops(self, maximum: int) -> tuple[int, ...]:
        return ()

    def senders_above(self, share_hash: int) -> list[str]:
        return []

    def add_shares(self, shares: list[Any], sender: str, requested: bool = False) -> int:
        assert requested
        for share in shares:
            assert share.hash == self.missing or share.hash in self.held, "not in order"
            self.held[share.hash] = share
            self.added += 1
            while self.missing in self.held:
                self.missing = self.held[self.missing].previous_hash
        return len(shares)


class FakePeer:
    """Answers at so many bytes a second, or not at all."""

    incoming = False

    def __init__(self, number: int, chain: dict[int, Any], rate: int) -> None:
        self.host = self.host_key = f"8.{number}.0.1"
        self.label = f"{self.host}:1"
        self.closed = False
        self.heard_at = 0.0
        self._chain, self._rate = chain, rate
        self._requests = ShareRequests()
        self._current: tuple[int, list[Any], float] | None = None
        self.sent = 0

    @property
    def requests(self) -> int:
        return len(self._requests)

    def request(self, request_id: int, share_hash: int, *, parents: int, stops: tuple, now: float, answered: Any):
        found = []
        while share_hash in self._chain and len(found) <= parents and share_hash not in stops:
            found.append(self._chain[share_hash])
            share_hash = found[-1].previous_hash
        self._current = (request_id, found, now)
        return self._requests.add(request_id, share_hash, parents=parents, now=now, answered=answered)

    def second(self, now: float) -> None:
        self.heard_at = now
        if self._current is None or not self._rate:
            return
        request_id, found, since = self._current
        sent = int((now - since) * self._rate)
        self._requests.heard(request_id, sent, now)
        if sent >= len(found) * SIZE:
            self._current = None
            self.sent += len(found)
            answer = Answer()
            answer += found
            request = self._requests.take(request_id)
            assert request is not None
            request.answered(answer)


class Download:
    """A chain of a thousand shares, and peers."""

    def __init__(self, *rates: int, length: int = 1000) -> None:
        chain = fake_chain(length)
        self.pool = FakePool(chain)
        self.peers = [FakePeer(number, self.pool.chain, rate) for number, rate in enumerate(rates)]
        peers: Any = lambda: self.peers  # noqa: E731
        self.downloader = Downloader(self.pool, peers, random.Random(1))  # type: ignore[arg-type]
        self.downloader._stretches.learn([chain[-1]])

    def seconds(self) -> float:
        """How long it takes until everything is there."""
        now = 0.0
        while self.pool.missing is not None:
            assert now < 1000, "it never ends"
            self.downloader.step(now)
            now += 0.25
            for peer in self.peers:
                peer.second(now)
        return now


SLOW, FAST = 20_000, 1_000_000


def test_slow_peers_share_a_long_chain():
    """Each of them sends 28 shares a second: alone it would take 35 s."""
    alone, four = Download(SLOW), Download(*[SLOW] * 4)
    assert alone.seconds() > 34
    assert four.seconds() < 15
    assert min(peer.sent for peer in four.peers) > 100
    assert sum(peer.sent for peer in four.peers) < 1200, "hardly anything is sent twice"


def test_a_fast_peer_sends_all_of_it_in_few_answers():
    download = Download(FAST, SLOW)
    download.downloader.deliveries.delivered("8.0.0.1", 500, 1.0)
    assert download.seconds() < 5
    assert download.peers[1].sent == 0


def test_silent_peers_cost_seconds_and_what_is_below_comes_meanwhile():
    honest = Download(SLOW, SLOW)
    hostile = Download(SLOW, SLOW, *[0] * 12)
    assert hostile.seconds() < honest.seconds() + 15


def test_false_far_hashes_end_nothing():
    download = Download(SLOW, SLOW)
    for share in download.pool.chain.values():
        share.far_share_hash = 1_000_000 + share.hash  # nobody has such a share
    download.downloader._stretches.learn([download.pool.chain[1000]])
    assert download.seconds() < 45
    assert len(download.downloader._stretches) == 0
