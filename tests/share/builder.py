"""Shares with arbitrary fields: a valid share on any chain, any field of which may be changed before it is mined.

    good = valid_draft(tracker, parent_hash)
    share = parse_share(VERSION_16, mined(replace(good, absheight=7)), network)

The chain's rules are written down here a second time, straight from the share-chain format: with plain lists,
from the first share to the last, and with nothing that the code under test computes. So a draft that the check
accepts tells that two readings of the rules agree; one that was changed tells which rule the change breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

from p2pool.dash.hashes import midstate
from p2pool.dash.pow import x11
from p2pool.networks import DASH_REGTEST, Network
from p2pool.share.parsing import parse_share
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Tracker

DONATION = bytes.fromhex("76a91420cb5c22b1e4d5947e5c112c7696b51ad9af3c6188ac")
BEFORE_REF_HASH = b"\x19" + DONATION + bytes(8) + b"\x2a\x6a\x28"
EASY = replace(DASH_REGTEST, max_target=2**252 - 1)
"""Regtest's rules, 16 attempts a share: hard enough for a target to be missed, easy enough to be met at once."""
START = 1_700_000_000


def little(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def varint(value: int) -> bytes:
    for limit, prefix, size in ((0xFD, b"", 1), (1 << 16, b"\xfd", 2), (1 << 32, b"\xfe", 4)):
        if value < limit:
            return prefix + little(value, size)
    return b"\xff" + little(value, 8)


def varstr(value: bytes) -> bytes:
    return varint(len(value)) + value


def double_sha(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def to_target(bits: int) -> int:
    mantissa, exponent = bits & 0xFFFFFF, bits >> 24
    return mantissa * 256 ** (exponent - 3) if exponent >= 3 else mantissa // 256 ** (3 - exponent)


def to_bits(target: int) -> int:
    """The compact form: the first three of the big-endian bytes, with a zero before a byte that looks negative."""
    data = target.to_bytes(target.bit_length() // 8 + 1, "big") if target else b""
    if len(data) > 1 and data[0] == 0 and data[1] < 0x80:
        data = data[1:]
    return len(data) << 24 | int.from_bytes((data + bytes(3))[:3], "big")


def attempts(bits: int) -> int:
    return 2**256 // (to_target(bits) + 1)


def walk(leaf: bytes, branch: Sequence[bytes]) -> bytes:
    for entry in branch:
        leaf = double_sha(leaf + entry)
    return leaf


def link_over(hashes: Sequence[int]) -> tuple[bytes, ...]:
    """The branch from the coinbase, which comes before these transactions, to the root."""
    level = [bytes(32), *(little(h, 32) for h in hashes)]
    branch = []
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        branch.append(level[1])
        level = [double_sha(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return tuple(branch)


@dataclass(frozen=True)
class Draft:
    """All that travels in a share but the nonce that makes its work. Payees are texts, one character a byte."""

    network: Network
    gentx_prefix: bytes = b""
    """The generation transaction up to ref_hash; `valid_draft` and `refit` make it."""
    header_version: int = 0x20000000
    previous_block: int = 0xB10C
    header_timestamp: int = START
    block_bits: int = 0x1B00FFFF
    previous_hash: int | None = None
    coinbase: bytes = b"\x01\x65/test/"
    coinbase_payload: bytes = b""
    share_nonce: int = 0
    pubkey_hash: bytes = b"\x11" * 20
    subsidy: int = 50_000_000_000
    donation: int = 655
    stale_info: int = 0
    desired_version: int = 16
    payment_amount: int = 0
    payments: tuple[tuple[str, int], ...] = ()
    new_hashes: tuple[int, ...] = ()
    refs: tuple[tuple[int, int], ...] = ()
    far_share_hash: int | None = None
    max_bits: int = 0
    bits: int = 0
    timestamp: int = START
    absheight: int = 1
    abswork: int = 0
    ref_merkle_link: tuple[bytes, ...] = ()
    last_txout_nonce: bytes = bytes(8)
    merkle_link: tuple[bytes, ...] = ()
    # None: what belongs there, as follows from the rest.
    hash_link_state: bytes | None = None
    hash_link_extra: bytes | None = None
    hash_link_length: int | None = None
    item_7: bytes | None = None

    @cached_property
    def share_info(self) -> bytes:
        payments = [varstr(payee.encode("latin-1")) + little(amount, 8) for payee, amount in self.payments]
        return b"".join(
            (
                little(self.previous_hash or 0, 32),
                varstr(self.coinbase),
                varstr(self.coinbase_payload),
                little(self.share_nonce, 4),
                self.pubkey_hash,
                little(self.subsidy, 8),
                little(self.donation, 2),
                little(self.stale_info, 1),
                varint(self.desired_version),
                little(self.payment_amount, 8),
                varint(len(payments)) + b"".join(payments),
                varint(len(self.new_hashes)) + b"".join(little(h, 32) for h in self.new_hashes),
                varint(len(self.refs)) + b"".join(varint(a) + varint(b) for a, b in self.refs),
                little(self.far_share_hash or 0, 32),
                little(self.max_bits, 4),
                little(self.bits, 4),
                little(self.timestamp, 4),
                little(self.absheight, 4),
                little(self.abswork, 16),
            )
        )

    @property
    def packed_payload(self) -> bytes:
        """Item 7: the payload with its length before it, or nothing."""
        if self.item_7 is not None:
            return self.item_7
        return varstr(self.coinbase_payload) if self.coinbase_payload else b""

    @property
    def gentx(self) -> bytes:
        info_hash = double_sha(self.network.identifier + self.share_info)
        ref_hash = walk(info_hash, self.ref_merkle_link)
        return self.gentx_prefix + ref_hash + self.last_txout_nonce + bytes(4) + self.packed_payload

    def header(self, nonce: int) -> bytes:
        return b"".join(
            (
                little(self.header_version % 2**32, 4),
                little(self.previous_block, 32),
                walk(double_sha(self.gentx), self.merkle_link),
                little(self.header_timestamp, 4),
                little(self.block_bits, 4),
                little(nonce, 4),
            )
        )

    def contents(self, nonce: int) -> bytes:
        """The bytes of the share with this nonce in its header."""
        prefix = self.gentx_prefix
        unfinished = len(prefix) % 64
        extra = prefix[len(prefix) - unfinished :][: max(0, unfinished - len(BEFORE_REF_HASH))]
        state, length = self.hash_link_state, self.hash_link_length
        return b"".join(
            (
                varint(self.header_version),
                little(self.previous_block, 32),
                little(self.header_timestamp, 4),
                little(self.block_bits, 4),
                little(nonce, 4),
                self.share_info,
                varint(len(self.ref_merkle_link)) + b"".join(self.ref_merkle_link),
                self.last_txout_nonce,
                midstate(prefix) if state is None else state,
                varstr(extra if self.hash_link_extra is None else self.hash_link_extra),
                varint(len(prefix) if length is None else length),
                varint(len(self.merkle_link)) + b"".join(self.merkle_link),
                varstr(self.packed_payload),
            )
        )


def nonce_between(draft: Draft, above: int, up_to: int) -> int:
    """A nonce with which the draft's header hashes to more than `above`, and not to more than `up_to`."""
    header = bytearray(draft.header(0))
    for nonce in range(1 << 20):
        header[76:80] = little(nonce, 4)
        if above < x11(bytes(header)) <= up_to:
            return nonce
    raise RuntimeError("no such nonce")


def work_nonce(draft: Draft) -> int:
    """A nonce with which the draft's header meets its target."""
    return nonce_between(draft, -1, to_target(draft.bits))


def mined(draft: Draft) -> bytes:
    """The contents of the share, with work."""
    return draft.contents(work_nonce(draft))


def share_of(draft: Draft) -> Share:
    """The share, which must be good enough to be parsed."""
    return parse_share(VERSION_16, mined(draft), draft.network)


# --- the rules of the chain, naively ---------------------------------------------------------------------


def chain_below(tracker: Tracker, share_hash: int | None) -> list[Share]:
    """The share and all of its parents that are held, nearest first."""
    chain = []
    while share_hash is not None and (share := tracker.get(share_hash)) is not None:
        chain.append(share)
        share_hash = share.previous_hash
    return chain


def clipped(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def target_limit(chain: list[Share], network: Network) -> int:
    """t of the share-chain format: the easiest target that may follow on `chain`, not rounded."""
    count = network.target_lookbehind
    if len(chain) < count:
        return network.max_target
    seconds = max(1, chain[0].timestamp - chain[count - 1].timestamp)
    per_second = sum(attempts(share.max_bits) for share in chain[: count - 1]) // seconds
    target = 2**256 // (network.share_period * per_second) - 1 if per_second else 2**256 - 1
    last = to_target(chain[0].max_bits)
    target = clipped(target, last * 9 // 10, last * 11 // 10)
    return clipped(target, network.min_target, network.max_target)


def refs_to(chain: list[Share], wanted: Sequence[int]) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """(new hashes, references) that name the wanted transactions."""
    new: list[int] = []
    refs = []
    for transaction in wanted:
        for distance, share in enumerate(chain[:100], 1):
            if transaction in share.new_transaction_hashes:
                refs.append((distance, share.new_transaction_hashes.index(transaction)))
                break
        else:
            refs.append((0, len(new)))
            new.append(transaction)
    return tuple(new), tuple(refs)


def window_of(chain: list[Share], block_bits: int, network: Network) -> tuple[dict[bytes, int], int]:
    """(weight by script, total weight) of the shares that a share on top of `chain` pays."""
    limit = 65535 * network.spread * attempts(block_bits)
    by_script: dict[bytes, int] = {}
    total = 0
    for share in chain[1 : max(1, min(len(chain), network.real_chain_length))]:
        if total == limit:
            break
        work = attempts(share.bits)
        if total + 65535 * work > limit:
            work, total = (limit - total) // 65535, limit
        else:
            total += 65535 * work
        by_script[share.script] = by_script.get(share.script, 0) + work * (65535 - share.donation)
    return by_script, total


def outputs_of(draft: Draft, chain: list[Share], paid: Sequence[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """The outputs of the generation transaction but the last; `paid` are the payments that count."""
    by_script, total = window_of(chain, draft.block_bits, draft.network)
    payout = draft.subsidy - sum(amount for _, amount in paid)
    amounts = {script: payout * (49 * weight) // (50 * total) for script, weight in by_script.items() if weight}
    own = b"\x76\xa9\x14" + draft.pubkey_hash + b"\x88\xac"
    amounts[own] = amounts.get(own, 0) + payout // 50
    amounts.pop(DONATION, None)
    workers = sorted((script, amount) for script, amount in amounts.items() if amount)
    return [*workers, *paid, (DONATION, payout - sum(amount for _, amount in workers))]


def prefix_of(
    draft: Draft, outputs: Sequence[tuple[bytes, int]], version: bytes | None = None, sequence: int = 2**32 - 1
) -> bytes:
    """The generation transaction with these outputs up to ref_hash; `version` is version and type together."""
    if version is None:
        version = b"\x03\x00\x05\x00" if draft.coinbase_payload else b"\x01\x00\x00\x00"
    packed = b"".join(little(amount, 8) + varstr(script) for script, amount in outputs)
    given = version + b"\x01" + bytes(32) + b"\xff" * 4 + varstr(draft.coinbase) + little(sequence, 4)
    return given + varint(len(outputs) + 1) + packed + bytes(8) + b"\x2a\x6a\x28"


def refit(tracker: Tracker, draft: Draft, paid: Sequence[tuple[bytes, int]] = ()) -> Draft:
    """The same draft with the generation transaction that belongs to its fields."""
    chain = chain_below(tracker, draft.previous_hash)
    return replace(draft, gentx_prefix=prefix_of(draft, outputs_of(draft, chain, paid)))


def valid_draft(
    tracker: Tracker,
    previous_hash: int | None,
    wanted: Sequence[int] = (),
    paid: Sequence[tuple[bytes, int]] = (),
    seconds: int | None = None,
    **choices: object,
) -> Draft:
    """A share that may follow on `previous_hash`, `seconds` after it, over the wanted transactions.

    `choices` are fields that a share's maker is free in; `paid` says which of its payments count, as outputs.
    """
    network = tracker.network
    chain = chain_below(tracker, previous_hash)
    limit = target_limit(chain, network)
    bits = choices.pop("bits", to_bits(limit))
    draft = Draft(network, previous_hash=previous_hash, bits=bits, max_bits=to_bits(limit), **choices)
    new_hashes, refs = refs_to(chain, wanted)
    draft = replace(
        draft, new_hashes=new_hashes, refs=refs, merkle_link=link_over(wanted), abswork=attempts(draft.bits)
    )
    if chain:
        parent = chain[0]
        draft = replace(
            draft,
            timestamp=parent.timestamp + (network.share_period if seconds is None else seconds),
            absheight=(parent.absheight + 1) % 2**32,
            abswork=(parent.abswork + attempts(draft.bits)) % 2**128,
            far_share_hash=chain[99].hash if len(chain) > 99 else None,
        )
    return refit(tracker, draft, paid)


def grow(tracker: Tracker, count: int, previous_hash: int | None = None, **choices: object) -> list[Share]:
    """Add `count` valid shares, each on the one before. Not checked: they are as good as `valid_draft` is."""
    shares = []
    for number in range(count):
        finder = bytes([1 + number % 7]) * 20
        share = share_of(valid_draft(tracker, previous_hash, pubkey_hash=finder, **choices))
        tracker.add(share, float(share.timestamp))
        previous_hash = share.hash
        shares.append(share)
    return shares
