"""Shares of megabytes, which the work of one share buys: parsed and judged in steps, and once."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from p2pool.base.errors import ParseError
from p2pool.base.steps import finish
from p2pool.dash.address import encode_address
from p2pool.share import codec_16
from p2pool.share import payments as payments_module
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parsing import parse_share, parse_share_steps
from p2pool.share.payments import judge_payments, pass_payments
from p2pool.share.rules import reference_transactions
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Tracker
from p2pool.wire.codec import Reader, pack_uint64, pack_varstr
from tests.chains import NOW
from tests.share.builder import EASY, mined, share_of, valid_draft

VERSION = EASY.parent.addresses.pubkey_hash


def taken(steps) -> tuple[int, Any]:
    """The count of steps, and what they come to."""
    for count in range(1, 10_000):
        try:
            next(steps)
        except StopIteration as done:
            return count, done.value
    raise AssertionError("no end")


def parsed(contents: bytes) -> tuple[int, Share]:
    """The steps that it takes, and the share."""
    return taken(parse_share_steps(VERSION_16, contents, EASY))


def addresses(count: int) -> tuple[tuple[str, int], ...]:
    return tuple((encode_address(VERSION, n.to_bytes(20, "little")), n % 2) for n in range(count))


def test_an_everyday_share_takes_one_step():
    steps, share = parsed(mined(valid_draft(Tracker(EASY), None, payments=addresses(40))))
    assert steps == 1
    assert share.paid is None


def test_many_payments_are_judged_in_steps_and_once(monkeypatch):
    judged = []
    whole = payments_module.payee_script
    monkeypatch.setattr(
        payments_module, "payee_script", lambda payee, versions: judged.append(1) or whole(payee, versions)
    )
    tracker, given = Tracker(EASY), addresses(20_000)
    paid = [(b"\x76\xa9\x14" + n.to_bytes(20, "little") + b"\x88\xac", n % 2) for n in range(20_000) if n % 2]
    contents = mined(valid_draft(tracker, None, payments=given, paid=paid))
    steps, share = parsed(contents)
    assert steps > 20_000 // 2_000
    assert share.payments == given
    assert share.paid.outputs() == paid
    assert len(judged) == 20_000
    tracker.add(share, NOW)
    tracker.check(share)
    tracker.rebuild(share)
    assert len(judged) == 20_000


def test_the_payments_of_a_share_that_is_held_are_not_judged_again():
    """It comes from every peer."""
    contents = mined(valid_draft(Tracker(EASY), None, payments=addresses(20_000)))
    asked = []
    steps = parse_share_steps(
        VERSION_16, contents, EASY, is_held=lambda share_hash: asked.append(share_hash) or True
    )
    share = finish(steps)
    assert asked == [share.hash]
    assert share.paid is None


def test_packed_payments_are_passed_over_to_their_exact_end():
    """A claim of more payments than there are is the sender's fault, wherever the data ends."""
    pieces = [pack_varstr(bytes(length)) + pack_uint64(1) for length in (0, 252, 253, 300, 0)]
    data = b"".join(pieces)
    for end in range(len(data)):
        with pytest.raises(ParseError):
            finish(pass_payments(Reader(data[:end]), len(pieces)))
    reader = Reader(b"before" + data + b"after", len(b"before"))
    finish(pass_payments(reader, len(pieces)))
    assert reader.take(5) == b"after"
    nothing = Reader(data)
    finish(pass_payments(nothing, 0))
    assert nothing.position == 0


@pytest.mark.parametrize(("count", "steps"), [(0, 1), (2, 1), (3, 2), (5, 2), (7, 3)])
def test_payments_are_passed_over_in_steps_of_so_many(monkeypatch, count, steps):
    monkeypatch.setattr(payments_module, "_PASSED_AT_ONCE", 3)
    assert taken(pass_payments(Reader(bytes(9) * count), count)) == (steps, None)


@pytest.mark.parametrize(
    ("payee", "cost"),
    [
        ("", 1),
        ("!", 1),
        ("z" * 128, 1),
        ("z" * 129, 5),
        ("!" + "6a" * 499, 5),
        ("!" + "6a" * 500, 6),
        ("!" + "6a" * 1499, 7),
        ("!" + "6a" * 1500, 8),
    ],
    ids=lambda given: len(given) if isinstance(given, str) else given,
)
def test_payments_are_judged_in_steps_by_their_number_and_length(monkeypatch, payee, cost):
    monkeypatch.setattr(payments_module, "_STEP", 12 * cost)
    steps, paid = taken(judge_payments([(payee, 7)] * 12 * 13, EASY.parent.addresses))
    assert steps == 1 + 13
    assert (paid.count, paid.total) == ((156, 156 * 7) if payee.startswith("!") else (0, 0))


def test_payments_as_objects_are_not_kept_of_a_large_share():
    share = share_of(valid_draft(Tracker(EASY), None, payments=addresses(1000)))
    assert share.kept_payments is None
    assert len(share.payments) == 1000


def test_what_makes_a_large_share_invalid_is_said_when_it_is_checked():
    tracker = Tracker(EASY)
    share = share_of(valid_draft(tracker, None, payments=(*addresses(1000), ("!6", 1))))
    assert "hexadecimal" in share.paid  # it is not judged again
    for _ in range(2):
        with pytest.raises(ShareInvalid, match="hexadecimal") as caught:
            tracker.check(share)
        assert caught.value.reason is Reason.PAYEE_MALFORMED


def test_a_long_branch_is_walked_in_steps():
    branch = tuple(n.to_bytes(32, "little") for n in range(50_000))
    tracker = Tracker(EASY)
    contents = mined(valid_draft(tracker, None, ref_merkle_link=branch))
    steps, share = parsed(contents)
    assert steps == 1 + 1 + 4  # a large share, and five times 10,000 entries
    assert share.ref_merkle_link == branch
    tracker.check(share)


@pytest.mark.parametrize(("count", "steps"), [(0, 1), (10, 1), (11, 3), (20, 3), (25, 4)])
def test_references_are_read_in_steps_of_so_many(monkeypatch, count, steps):
    """One more before the first of many, since the new transactions have just been read."""
    monkeypatch.setattr(codec_16, "_REFS_AT_ONCE", 10)
    refs = tuple((1, number) for number in range(count))
    taken_steps, share = parsed(mined(replace(valid_draft(Tracker(EASY), None), refs=refs)))
    assert taken_steps == steps
    assert share.transaction_hash_refs == refs


def test_steps_end_where_the_whole_does():
    contents = mined(valid_draft(Tracker(EASY), None, payments=addresses(3000)))
    one, (_, other) = parse_share(VERSION_16, contents, EASY), parsed(contents)
    derived = {name: (getattr(one, name), getattr(other, name)) for name in Share.__slots__}
    assert [name for name, (a, b) in derived.items() if a != b] == []


def test_large_shares_count_more_in_a_run_of_the_tracker():
    """150 everyday shares are verified in a turn of the reactor; of those of a hundred kilobytes, fewer."""
    tracker, previous = Tracker(EASY), None
    for _ in range(6):
        share = share_of(valid_draft(tracker, previous, payments=(("z" * 60_000, 0),)))
        tracker.add(share, NOW)
        previous = share.hash
    runs = 0
    while True:
        runs += 1
        thought = tracker.think(NOW, block_height=lambda block: 0, transaction_size=lambda tx: None, max_checks=5)
        if not thought.unfinished:
            break
    assert len(tracker.verified) == 6
    assert runs >= 3


class Introducing:
    """A share that introduces transactions; counts how often they are gone through."""

    def __init__(self, hashes: tuple[int, ...]) -> None:
        self.hashes = hashes
        self.gone_through = 0

    @property
    def new_transaction_hashes(self) -> Introducing:
        return self

    def __len__(self) -> int:
        return len(self.hashes)

    def __iter__(self):
        self.gone_through += 1
        return iter(self.hashes)

    def __reversed__(self):
        self.gone_through += 1
        return reversed(self.hashes)


class Above:
    """A ChainView of nothing but such shares, nearest first."""

    def __init__(self, *shares: Introducing) -> None:
        self.shares = shares

    def ancestors(self, share_hash: int, count: int):
        return iter(self.shares[:count])


def naive_references(shares, wanted):
    known: dict[int, tuple[int, int]] = {}
    for distance, share in enumerate(shares, 1):
        for index, tx_hash in enumerate(share.hashes):
            known.setdefault(tx_hash, (distance, index))
    new: list[int] = []
    refs = []
    for tx_hash in wanted:
        ref = known.get(tx_hash)
        if ref is None:
            ref = (0, len(new))
            new.append(tx_hash)
        refs.append(ref)
    return tuple(new), tuple(refs)


@pytest.mark.parametrize("size", [3, 199, 200, 201, 1000])
def test_references_are_the_nearest_and_the_first(size):
    rng = random.Random(size)
    for _ in range(20):
        shares = [Introducing(tuple(rng.choices(range(size * 3), k=size))) for _ in range(6)]
        wanted = [rng.randrange(size * 4) for _ in range(50)]
        refs = reference_transactions(Above(*shares), 1, height=6, wanted=wanted)
        assert (refs.new_hashes, refs.refs) == naive_references(shares, wanted)


def test_many_introduced_transactions_are_gone_through_once():
    """A hundred shares with 15,000 each cost 0.7 s for every share above them, and for every new template."""
    shares = [Introducing(tuple(range(n * 10**6, n * 10**6 + 1000))) for n in range(10)]
    for first in range(5):
        reference_transactions(Above(*shares), 1, height=10, wanted=range(first * 10**9, first * 10**9 + 50))
    assert [share.gone_through for share in shares] == [1] * 10


def test_a_share_that_was_found_invalid_is_settled():
    tracker = Tracker(EASY)
    share = share_of(valid_draft(tracker, None, payments=(*addresses(1000), ("!6", 1))))
    assert not tracker.is_settled(share.hash)
    tracker.add(share, NOW, "peer")
    assert tracker.is_settled(share.hash)
    thought = tracker.think(NOW, block_height=lambda block: 0, transaction_size=lambda tx: None)
    assert thought.removed == [share]
    assert share.hash not in tracker
    assert tracker.is_settled(share.hash)
