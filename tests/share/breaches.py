"""For every rule: shares that break it and nothing else, each with a neighbour that just keeps it.

`LOAD` holds the rules that need no parents, `CHAIN` those against the chain; test_rules.py judges what is here.
Where a rule leaves no whole share on its wrong side (no generation transaction can pay more than there is), the
share keeps what the neighbour has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from p2pool.dash.address import base58_encode
from p2pool.share.errors import Reason
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from tests.share.builder import (
    BEFORE_REF_HASH,
    DONATION,
    EASY,
    START,
    Draft,
    attempts,
    chain_below,
    double_sha,
    grow,
    link_over,
    mined,
    nonce_between,
    outputs_of,
    prefix_of,
    refit,
    share_of,
    target_limit,
    to_bits,
    to_target,
    valid_draft,
)

LENGTH = 112


@dataclass(frozen=True)
class Breach:
    """A share that breaks a rule, and its neighbour; `elsewhere` where the neighbour stands on another chain."""

    label: str
    tracker: Tracker
    bad: bytes
    good: bytes
    elsewhere: Tracker | None = None


class World:
    """Chains that no test changes: `shares` of 112, share n of which announces the transactions n000 and n001;
    and `fast`, whose shares came so fast that the retarget has left MAX_TARGET."""

    def __init__(self) -> None:
        self.tracker = Tracker(EASY)
        self.shares: list[Share] = []
        for number in range(LENGTH):
            wanted = (1000 * (number + 1), 1000 * (number + 1) + 1)
            previous = self.shares[-1].hash if self.shares else None
            finder = bytes([1 + number % 7]) * 20
            self.shares.append(share_of(valid_draft(self.tracker, previous, wanted, pubkey_hash=finder)))
            self.tracker.add(self.shares[-1], 0.0)
        self.fast = Tracker(EASY)
        self.fast_tip = grow(self.fast, 30, seconds=1)[-1].hash

    @property
    def tip(self) -> int:
        return self.shares[-1].hash

    def announced(self, distance: int, index: int = 0) -> int:
        """A transaction that the share so far below the next one announced."""
        return self.shares[-distance].new_transaction_hashes[index]

    def draft(self, *wanted: int, **choices: object) -> Draft:
        """A valid share on the tip."""
        return valid_draft(self.tracker, self.tip, wanted, **choices)

    def breach(self, label: str, bad: Draft | bytes, good: Draft | bytes) -> Breach:
        """On the long chain."""
        packed = [draft if isinstance(draft, bytes) else mined(draft) for draft in (bad, good)]
        return Breach(label, self.tracker, *packed)

    def changed(self, **changes: object) -> Breach:
        """A valid share, and the same with one field changed."""
        good = self.draft(7)
        return self.breach(str(changes), replace(good, **changes), good)


Breaker = Callable[[World], Iterator[Breach]]

# --- rules that need no parents --------------------------------------------------------------------------


def coinbase_size(world: World) -> Iterator[Breach]:
    for size, nearest in ((0, 2), (1, 2), (101, 100), (253, 100)):
        bad, good = world.draft(coinbase=bytes(size)), world.draft(coinbase=bytes(nearest))
        yield world.breach(f"{size} bytes, {nearest}", bad, good)


def merkle_link_too_long(world: World) -> Iterator[Breach]:
    good = world.draft(*[world.announced(1)] * 0x8000)
    yield world.breach("17 entries, 16", replace(good, merkle_link=(*good.merkle_link, bytes(32))), good)


def header_version(world: World) -> Iterator[Breach]:
    for version in (2**32, 2**64 - 1):
        bad, good = world.draft(header_version=version), world.draft(header_version=2**32 - 1)
        yield world.breach(f"{version:x}", bad, good)


def ref_too_far(world: World) -> Iterator[Breach]:
    bad = replace(world.draft(world.announced(110)), new_hashes=(), refs=((110, 0),))
    # From 101 to 109 a reference is followed, but is never the canonical one: see test_rules.py.
    yield world.breach("110 back, 100", bad, world.draft(world.announced(100)))


def too_many_refs(world: World) -> Iterator[Breach]:
    """A link over 65536 transactions has 17 entries, so that it breaks that rule too: but later."""
    bad, good = (world.draft(*[world.announced(1)] * count) for count in (65536, 65535))
    yield world.breach("65536, 65535", bad, good)


def new_transactions_not_named(world: World) -> Iterator[Breach]:
    good = world.draft(7, 8)
    yield world.breach("announced, not named", replace(good, new_hashes=(7, 8, 9)), good)
    yield world.breach("a position that is not there", replace(good, refs=((0, 0), (0, 2))), good)
    yield world.breach("a position beyond", replace(good, refs=((0, 0), (0, 1), (0, 2))), good)
    yield world.breach("only the second one", replace(good, refs=((0, 1), (0, 1))), good)
    yield world.breach("none named at all", replace(good, refs=()), good)
    yield world.breach("none announced", replace(good, new_hashes=()), good)


def hash_link_extra_data(world: World) -> Iterator[Breach]:
    """A byte too many in front is one that the constant ending hides: the hashes stay the same."""
    for unfinished in (0, 1, 37, 38, 63):
        good = world.draft(coinbase=bytes(10))
        size = 10 + (unfinished - len(good.gentx_prefix)) % 64
        good = world.draft(coinbase=bytes(size))
        prefix = good.gentx_prefix
        assert len(prefix) % 64 == unfinished
        extra = prefix[len(prefix) - unfinished :][: max(0, unfinished - len(BEFORE_REF_HASH))]
        longer = replace(good, hash_link_extra=b"\x00" + extra)
        yield world.breach(f"one more where {len(extra)} belong", longer, good)
        if extra:
            shorter = replace(good, hash_link_extra=extra[1:])
            yield world.breach(f"one less where {len(extra)} belong", shorter, good)


def hash_link_length(world: World) -> Iterator[Breach]:
    """What is too long for SHA-256 cannot be hashed: the neighbours that still can are in test_hash_link.py."""
    good = world.draft()
    for length in (2**61 - 44, 2**61, 2**64 - 64, 2**64 - 44):
        yield world.breach(f"{length:x}", replace(good, hash_link_length=length, hash_link_extra=b""), good)


def target_too_easy(world: World) -> Iterator[Breach]:
    yield world.breach("2^252, one less", world.draft(bits=0x20100000), world.draft(bits=0x200FFFFF))
    yield world.breach("more than 256 bits", world.draft(bits=0xFFFFFFFF), world.draft(bits=0x200FFFFF))


def no_work(world: World) -> Iterator[Breach]:
    for bits in (to_bits(EASY.max_target), to_bits(EASY.max_target // 30)):
        draft = world.draft(bits=bits)
        bad = draft.contents(nonce_between(draft, to_target(bits), EASY.max_target + 2**254))
        yield world.breach(f"{bits:08x}", bad, draft)


# --- rules against the chain -----------------------------------------------------------------------------


def ref_names_nothing(world: World) -> Iterator[Breach]:
    good = world.draft(world.announced(1, 1))
    yield world.breach("third of two", replace(good, refs=((1, 2),)), good)
    short = Tracker(EASY)
    tip = grow(short, 3)[-1]
    first = share_of(valid_draft(short, tip.hash, [7]))
    short.add(first, 0.0)
    top = grow(short, 2, first.hash)[-1]
    good = valid_draft(short, top.hash, [7])
    assert good.refs == ((3, 0),)
    for distance in (2, 7, 8, 109):  # a share without any; the first share is 6 back
        bad = replace(good, refs=((distance, 0),))
        yield Breach(f"{distance} back", short, mined(bad), mined(good))
    root = valid_draft(short, None, [7])
    yield Breach("of a first share", short, mined(replace(root, new_hashes=(), refs=((1, 0),))), mined(root))


def address(payload: bytes, tail: bytes = b"") -> str:
    """Base58 of any payload with its checksum, and something after it."""
    return base58_encode(payload + double_sha(payload)[:4] + tail)


def payee_malformed(world: World) -> Iterator[Breach]:
    key, foreign = bytes([140]) + b"\x05" * 20, bytes([76]) + b"\x05" * 20
    for text, neighbour in (
        ("!6", "!6a"),
        ("!6g", "!6F"),
        ("! 6a", "!"),
        ("!6a\n", "6a"),
        ("!\xb2\xb2", "\xb2\xb2"),  # digits, but not hexadecimal ones
        (address(key, b"\x00"), address(key)),
        (address(foreign, b"\x00"), address(foreign)),  # judged before the version is looked at
    ):
        bad, good = (world.draft(payments=((payee, 0), ("!51", 0))) for payee in (text, neighbour))
        yield world.breach(repr(text), bad, good)


def negative_payout(world: World) -> Iterator[Breach]:
    for subsidy, amounts in ((100, (100,)), (100, (60, 40)), (0, ())):
        payments = tuple(("!6a", amount) for amount in amounts)
        paid = [(b"\x6a", amount) for amount in amounts]
        good = world.draft(subsidy=subsidy, payments=payments, paid=paid)
        bad = replace(good, payments=(*payments, ("!6b", 1)))
        yield world.breach(f"{subsidy} less {amounts}", bad, good)


def timestamp(world: World) -> Iterator[Breach]:
    period = EASY.share_period
    for seconds, nearest in ((0, 1), (-1000, 1), (2 * period, 2 * period - 1), (10**6, 2 * period - 1)):
        yield world.breach(f"{seconds} s", world.draft(seconds=seconds), world.draft(seconds=nearest))
    # The first share of a chain may have any timestamp; on the last one of all there is no successor.
    trackers = []
    for first in (2**32 - 1, 2**32 - 2):
        tracker = Tracker(EASY)
        share = share_of(valid_draft(tracker, None, timestamp=first))
        tracker.add(share, 0.0)
        trackers.append((tracker, share.hash))
    (full, last), (almost, one_before) = trackers
    bad = replace(valid_draft(full, last, seconds=0), timestamp=2**32 - 1)
    good = valid_draft(almost, one_before, seconds=1)
    yield Breach("after 2^32 - 1", full, mined(bad), mined(good), almost)


def max_bits(world: World) -> Iterator[Breach]:
    yield world.changed(max_bits=world.draft().max_bits + 1)
    yield world.changed(max_bits=world.draft().max_bits - 1)
    good = valid_draft(world.fast, world.fast_tip)
    bits = to_bits(EASY.max_target)
    yield Breach("as if nothing was retargeted", world.fast, mined(replace(good, max_bits=bits)), mined(good))


def bits(world: World) -> Iterator[Breach]:
    limit = target_limit(chain_below(world.fast, world.fast_tip), EASY)
    assert limit < EASY.max_target * 9 // 10
    easiest, hardest = to_bits(limit), to_bits(limit // 30)
    round_bits = easiest & 0xFFFFFF00  # writes the same target with another exponent as well
    for wrong, right in (
        (easiest + 1, easiest),
        (hardest - 1, hardest),
        (to_bits(EASY.max_target), easiest),
        ((round_bits & 0xFF000000) + 0x01000000 + (round_bits & 0xFFFFFF) // 256, round_bits),
    ):
        bad, good = (valid_draft(world.fast, world.fast_tip, bits=value) for value in (wrong, right))
        yield Breach(f"{wrong:08x}", world.fast, mined(bad), mined(good))


def on_forged_parent(**fields: int) -> tuple[Tracker, Draft]:
    """A tracker with a first share that holds what no valid one would, and a valid share on it: a share is
    checked against what its parents claim."""
    tracker = Tracker(EASY)
    parent = share_of(replace(valid_draft(tracker, None), **fields))
    tracker.add(parent, 0.0)
    return tracker, valid_draft(tracker, parent.hash)


def absheight(world: World) -> Iterator[Breach]:
    yield world.changed(absheight=LENGTH)
    yield world.changed(absheight=LENGTH + 2)
    yield world.changed(absheight=0)
    tracker, good = on_forged_parent(absheight=2**32 - 1)
    assert good.absheight == 0
    yield Breach("past 2^32", tracker, mined(replace(good, absheight=2**32 - 1)), mined(good))
    root = valid_draft(tracker, None)
    yield Breach("first share", tracker, mined(replace(root, absheight=0)), mined(root))


def abswork(world: World) -> Iterator[Breach]:
    right = world.draft().abswork
    yield world.changed(abswork=right - 1)
    yield world.changed(abswork=right + 1)
    tracker, good = on_forged_parent(abswork=2**128 - 1)
    assert good.abswork == attempts(good.bits) - 1
    yield Breach("past 2^128", tracker, mined(replace(good, abswork=2**128 - 1)), mined(good))
    root = valid_draft(tracker, None)
    yield Breach("first share", tracker, mined(replace(root, abswork=0)), mined(root))


def far_share(world: World) -> Iterator[Breach]:
    for distance in (98, 100):
        yield world.changed(far_share_hash=world.shares[-1 - distance].hash)
    yield world.changed(far_share_hash=None)
    for height, far in ((99, None), (100, world.shares[0].hash)):
        good = valid_draft(world.tracker, world.shares[height - 1].hash)
        assert good.far_share_hash == far
        other = world.shares[0].hash if far is None else None
        yield world.breach(f"on height {height}", replace(good, far_share_hash=other), good)


def transaction_refs(world: World) -> Iterator[Breach]:
    old = world.announced(100)
    good = world.draft(old)
    yield world.breach("new, though 100 back", replace(good, new_hashes=(old,), refs=((0, 0),)), good)
    older = world.announced(101, 1)
    good = world.draft(older)
    yield world.breach("101 back, not new", replace(good, new_hashes=(), refs=((101, 1),)), good)
    good = world.draft(7, 7)
    assert (good.new_hashes, good.refs) == ((7, 7), ((0, 0), (0, 1)))
    yield world.breach("twice, once announced", replace(good, new_hashes=(7,), refs=((0, 0), (0, 0))), good)
    good = world.draft(7, 8)
    yield world.breach("not in order", replace(good, new_hashes=(8, 7), refs=((0, 1), (0, 0))), good)
    tracker = Tracker(EASY)
    tip = None
    for wanted in ((7, 7, 8), (), (9,)):
        share = share_of(valid_draft(tracker, tip, wanted))
        tracker.add(share, 0.0)
        tip = share.hash
    good = valid_draft(tracker, tip, [7])
    assert good.refs == ((3, 0),)
    yield Breach("not the first position", tracker, mined(replace(good, refs=((3, 1),))), mined(good))
    again = share_of(replace(valid_draft(tracker, tip, [9]), new_hashes=(9,), refs=((0, 0),)))  # itself invalid
    tracker.add(again, 0.0)
    good = valid_draft(tracker, again.hash, [9])
    assert good.refs == ((1, 0),)
    yield Breach("not the nearest", tracker, mined(replace(good, refs=((2, 0),))), mined(good))


def gentx(world: World) -> Iterator[Breach]:
    good = world.draft(7, payments=(("!6a", 5), ("!6b", 4)), paid=[(b"\x6a", 5), (b"\x6b", 4)])
    outputs = outputs_of(good, chain_below(world.tracker, world.tip), [(b"\x6a", 5), (b"\x6b", 4)])
    assert prefix_of(good, outputs) == good.gentx_prefix
    (first, one), (second, two), *rest = outputs
    assert rest[-1][0] == DONATION
    wrong = {
        "a duff moved": [(first, one + 1), (second, two - 1), *rest],
        "a duff kept": [(first, one - 1), (second, two), *rest],
        "two swapped": [(second, two), (first, one), *rest],
        "one left out": [(second, two), *rest],
        "a zero output": [(b"", 0), *outputs],
        "payments swapped": [*outputs[:-3], outputs[-2], outputs[-3], outputs[-1]],
        "payments first": [*outputs[-3:-1], *outputs[:-3], outputs[-1]],
    }
    for label, changed in wrong.items():
        yield world.breach(label, replace(good, gentx_prefix=prefix_of(good, changed)), good)
    other_forms = {"version 2": {"version": b"\x02\x00\x00\x00"}, "type 5": {"version": b"\x03\x00\x05\x00"}}
    for label, form in {**other_forms, "sequence": {"sequence": 0}}.items():
        yield world.breach(label, replace(good, gentx_prefix=prefix_of(good, outputs, **form)), good)
    other = replace(good, pubkey_hash=b"\x77" * 20)
    yield world.breach(
        "another payee in share_data", other, refit(world.tracker, good, [(b"\x6a", 5), (b"\x6b", 4)])
    )
    yield from gentx_payload(world)


def gentx_payload(world: World) -> Iterator[Breach]:
    good = world.draft(coinbase_payload=b"payload")
    for item_7 in (b"", b"payload", b"\x07payloae", b"\x07payload\x00", b"\x07payloa"):
        yield world.breach(f"item 7 {item_7!r}", replace(good, item_7=item_7), good)
    none = world.draft()
    yield world.breach("item 7 of nothing", replace(none, item_7=b"\x00"), none)


def merkle_link(world: World) -> Iterator[Breach]:
    good = world.draft(7, 8, world.announced(3), 9)
    right = good.merkle_link
    for label, link in {
        "entries swapped": (right[1], right[0], *right[2:]),
        "one less": right[:-1],
        "one more": (*right, bytes(32)),
        "none": (),
        "another order": link_over((8, 7, world.announced(3), 9)),
    }.items():
        yield world.breach(label, replace(good, merkle_link=link), good)
    none = world.draft()
    yield world.breach("one entry over nothing", replace(none, merkle_link=(bytes(32),)), none)


def not_checkable(world: World) -> Iterator[Breach]:
    """A chain whose first share is missing: with the share itself it must have CHAIN_LENGTH + 1."""
    unrooted = Tracker(EASY)
    for share in world.shares[1:]:
        unrooted.add(share, 0.0)
    wrong, right = (mined(valid_draft(world.tracker, world.shares[at].hash)) for at in (99, 100))
    yield Breach("height 100, 101", unrooted, wrong, right)
    yield Breach("unrooted, rooted", unrooted, wrong, wrong, world.tracker)
    tip = mined(world.draft())
    yield Breach("no parent, a parent", Tracker(EASY), tip, tip, world.tracker)
    root = mined(valid_draft(unrooted, None, timestamp=START))
    yield Breach("no parent, none needed", Tracker(EASY), tip, root)


LOAD: dict[Reason, Breaker] = {
    Reason.COINBASE_SIZE: coinbase_size,
    Reason.MERKLE_LINK_TOO_LONG: merkle_link_too_long,
    Reason.HEADER_VERSION: header_version,
    Reason.TOO_MANY_REFS: too_many_refs,
    Reason.HASH_LINK_EXTRA_DATA: hash_link_extra_data,
    Reason.HASH_LINK_LENGTH: hash_link_length,
    Reason.TARGET_TOO_EASY: target_too_easy,
    Reason.NO_WORK: no_work,
}
CHAIN: dict[Reason, Breaker] = {
    Reason.REF_TOO_FAR: ref_too_far,
    Reason.NEW_TRANSACTIONS_NOT_NAMED: new_transactions_not_named,
    Reason.REF_NAMES_NOTHING: ref_names_nothing,
    Reason.PAYEE_MALFORMED: payee_malformed,
    Reason.NEGATIVE_PAYOUT: negative_payout,
    Reason.TIMESTAMP: timestamp,
    Reason.MAX_BITS: max_bits,
    Reason.BITS: bits,
    Reason.ABSHEIGHT: absheight,
    Reason.ABSWORK: abswork,
    Reason.FAR_SHARE: far_share,
    Reason.TRANSACTION_REFS: transaction_refs,
    Reason.GENTX: gentx,
    Reason.MERKLE_LINK: merkle_link,
    Reason.NOT_CHECKABLE: not_checkable,
}
