"""A second share version, of tests only: type 36's layout, with rules that differ from type 16's in every part.

It proves what `ShareVersion` can carry. It is no specification: only the layout of type 36 is fixed. What that
type does on other coins (window, decay, amounts, order, ref bytes) is used here because Dash has no such rules.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import BLOCK_SIZE, midstate
from p2pool.dash.script import p2pkh_script, p2sh_script
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.networks.parameters import Network
from p2pool.share.codec_16 import read_branch, read_min_header, read_packed_payments
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.generation import PayeeFields, ShareData, SolvedHeader
from p2pool.share.parent_context import ParentContext, TransactionRefs
from p2pool.share.payments import PaidPayments, pack_output
from p2pool.share.payouts import DONATION, MINER, PAYMENT, FinderOutputs, before_ref_hash
from p2pool.share.rules import check_form, parent_context
from p2pool.share.share import ChainView, Links, Share, ShareRules, ShareVersion
from p2pool.share.versions import VERSION_16
from p2pool.share.weights import WEIGHT_UNIT, Weights
from p2pool.sharechain.tracker import Tracker
from p2pool.wire.codec import Reader, pack_uint64, pack_varint, pack_varstr
from tests.support import make_template

DONATION_SCRIPT = bytes.fromhex("a9148c6272621d89e8fa526dd86acff60c7136be8e8587")
NOW = 1_700_000_000.0
MAX_PAYMENTS = 10_000
ONE = 1 << 40
"""The fixed point of decay factors."""


class MergedAddress(NamedTuple):
    chain_id: int
    script: bytes


class MergedCoinbase(NamedTuple):
    chain_id: int
    value: int
    height: int
    header: bytes
    branch: tuple[bytes, ...]
    script: bytes


class Share36(Share):
    """A share with the fields that type 16 does not have."""

    __slots__ = (
        "merged_addresses",
        "merged_coinbase_info",
        "merged_payout_hash",
        "message_data",
        "pubkey_type",
    )
    merged_addresses: Any
    merged_coinbase_info: Any
    merged_payout_hash: int
    message_data: bytes
    pubkey_type: int

    @property
    def pubkey_hash(self) -> bytes:
        """The 20 bytes that the script pays."""
        return self.script[{0: 3, 1: 2, 2: 2}[self.pubkey_type] :][:20]


def script_of(pubkey_type: int, pubkey_hash: bytes) -> bytes:
    """Whom a share pays."""
    if pubkey_type == 0:
        return p2pkh_script(pubkey_hash)
    if pubkey_type == 1:
        return b"\x00\x14" + pubkey_hash
    if pubkey_type == 2:
        return p2sh_script(pubkey_hash)
    raise ParseError(f"pubkey_type {pubkey_type}")


# --- reading ---------------------------------------------------------------------------------------------


class Codec36:
    """See `version.ShareCodec`."""

    share_class = Share36

    def read(self, reader: Reader, share: Any) -> Generator[None, None, Links]:
        """Read what is between the header and the links, the links, and what Dash adds at the end."""
        read_min_header(reader, share)
        share.share_info_start = start = reader.position
        _read_share_info(reader, share)
        share.share_info_end = end = reader.position
        share.ref_merkle_link = read_branch(reader)
        share.last_txout_nonce = reader.take(8)
        state, extra_data, length = reader.take(32), reader.varstr(), reader.varint()
        share.merkle_link = read_branch(reader)
        share.message_data = reader.varstr()
        share.coinbase_payload = reader.varstr()
        share.payment_amount = reader.uint64()
        yield from read_packed_payments(reader, share)
        if share.payments_count > MAX_PAYMENTS:
            raise ParseError(f"{share.payments_count} packed payments")
        ref_bytes = reader.data[start:end] + pack_varstr(share.message_data)
        return Links(ref_bytes, state, extra_data, length, reader.varstr())

    def packer(self, data: ShareData, parent: ParentContext, refs: TransactionRefs) -> Packer36:
        """See ShareCodec."""
        if refs != TransactionRefs((), ()):
            raise ValueError("no transactions are named here")
        return Packer36(data, parent)


def _read_share_info(reader: Reader, share: Share36) -> None:
    share.previous_hash = reader.uint256() or None
    share.coinbase = reader.varstr()
    share.share_nonce = reader.uint32()
    pubkey_hash = reader.take(20)
    share.pubkey_type = reader.uint8()
    share.script = script_of(share.pubkey_type, pubkey_hash)
    share.subsidy = reader.varint()
    share.donation = reader.uint16()
    share.stale_info = reader.uint8()
    share.desired_version = reader.varint()
    share.merged_addresses = tuple(MergedAddress(reader.uint32(), reader.varstr()) for _ in range(reader.count(5)))
    share.new_transaction_hashes = share.transaction_hash_refs = ()
    share.far_share_hash = reader.uint256() or None
    share.max_bits = reader.uint32()
    share.bits = reader.uint32()
    share.timestamp = reader.uint32()
    share.absheight = reader.uint32()
    share.abswork = reader.varint()
    share.merged_coinbase_info = tuple(_read_merged_coinbase(reader) for _ in range(reader.count(88)))
    share.merged_payout_hash = reader.take(32)


def _read_merged_coinbase(reader: Reader) -> MergedCoinbase:
    chain_id, value, height = reader.uint32(), reader.varint(), reader.varint()
    return MergedCoinbase(chain_id, value, height, reader.take(80), read_branch(reader), reader.varstr())


# --- writing ---------------------------------------------------------------------------------------------


def little(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def pack_branch(branch: Sequence[bytes]) -> bytes:
    return pack_varint(len(branch)) + b"".join(branch)


@dataclass(frozen=True)
class Fields:
    """Every field of the contents, in no order. Hashes are numbers, branch entries and payout hash bytes."""

    header: SolvedHeader
    previous_hash: int | None = None
    coinbase: bytes = b""
    share_nonce: int = 0
    pubkey_hash: bytes = bytes(20)
    pubkey_type: int = 0
    subsidy: int = 0
    donation: int = 0
    stale_info: int = 0
    desired_version: int = 36
    merged_addresses: tuple[MergedAddress, ...] = ()
    far_share_hash: int | None = None
    max_bits: int = 0
    bits: int = 0
    timestamp: int = 0
    absheight: int = 0
    abswork: int = 0
    merged_coinbase_info: tuple[MergedCoinbase, ...] = ()
    merged_payout_hash: bytes = bytes(32)
    ref_merkle_link: tuple[bytes, ...] = ()
    last_txout_nonce: bytes = bytes(8)
    link_state: bytes = bytes(32)
    link_extra: bytes = b""
    link_length: int = 0
    merkle_link: tuple[bytes, ...] = ()
    message_data: bytes = b""
    coinbase_payload: bytes = b""
    payment_amount: int = 0
    payments: tuple[tuple[str, int], ...] = ()
    packed_payload: bytes = b""
    share_info: bytes | None = None
    """Packed already; None to pack the fields."""

    def pack_share_info(self) -> bytes:
        """What ref_hash commits to, but for message_data."""
        if self.share_info is not None:
            return self.share_info
        merged = [little(each.chain_id, 4) + pack_varstr(each.script) for each in self.merged_addresses]
        coinbases = [
            little(each.chain_id, 4)
            + pack_varint(each.value)
            + pack_varint(each.height)
            + each.header
            + pack_branch(each.branch)
            + pack_varstr(each.script)
            for each in self.merged_coinbase_info
        ]
        return b"".join(
            (
                little(self.previous_hash or 0, 32),
                pack_varstr(self.coinbase),
                little(self.share_nonce, 4),
                self.pubkey_hash,
                little(self.pubkey_type, 1),
                pack_varint(self.subsidy),
                little(self.donation, 2),
                little(self.stale_info, 1),
                pack_varint(self.desired_version),
                pack_branch(merged),
                little(self.far_share_hash or 0, 32),
                *(little(each, 4) for each in (self.max_bits, self.bits, self.timestamp, self.absheight)),
                pack_varint(self.abswork),
                pack_branch(coinbases),
                self.merged_payout_hash,
            )
        )

    def pack(self) -> bytes:
        """The contents."""
        header = self.header
        payments = [pack_varstr(payee.encode("latin-1")) + pack_uint64(duffs) for payee, duffs in self.payments]
        return b"".join(
            (
                pack_varint(header.version),
                little(header.previous_block, 32),
                *(little(each, 4) for each in (header.timestamp, header.bits, header.nonce)),
                self.pack_share_info(),
                pack_branch(self.ref_merkle_link),
                self.last_txout_nonce,
                self.link_state,
                pack_varstr(self.link_extra),
                pack_varint(self.link_length),
                pack_branch(self.merkle_link),
                pack_varstr(self.message_data),
                pack_varstr(self.coinbase_payload),
                pack_uint64(self.payment_amount),
                pack_branch(payments),
                pack_varstr(self.packed_payload),
            )
        )


class Packer36:
    """See `generation.SharePacker`."""

    def __init__(self, data: ShareData, parent: ParentContext) -> None:
        self._data = data
        self._parent = parent

    def share_info(self, payee: PayeeFields, bits: int, timestamp: int) -> bytes:
        """See SharePacker."""
        data, parent = self._data, self._parent
        return Fields(
            header=SolvedHeader(0, 0, 0, 0, 0),
            previous_hash=data.previous_hash,
            coinbase=data.coinbase,
            share_nonce=payee.nonce,
            pubkey_hash=payee.key_hash,
            subsidy=data.subsidy,
            donation=payee.donation,
            stale_info=payee.stale_info,
            desired_version=data.desired_version,
            far_share_hash=parent.far_share_hash,
            max_bits=parent.max_bits,
            bits=bits,
            timestamp=timestamp,
            absheight=parent.absheight,
            abswork=parent.abswork_for(bits),
        ).pack_share_info()

    def ref_bytes(self, share_info: bytes) -> bytes:
        """Return share_info and an empty message_data."""
        return share_info + pack_varstr(b"")

    def contents(
        self,
        header: SolvedHeader,
        share_info: bytes,
        gentx_prefix: bytes,
        last_txout_nonce: bytes,
        merkle_link: tuple[bytes, ...],
    ) -> bytes:
        """See SharePacker."""
        data = self._data
        unfinished = len(gentx_prefix) % BLOCK_SIZE
        ending = len(before_ref_hash(DONATION_SCRIPT))
        return Fields(
            header=header,
            share_info=share_info,
            last_txout_nonce=last_txout_nonce,
            link_state=midstate(gentx_prefix),
            link_extra=gentx_prefix[len(gentx_prefix) - unfinished :][: max(0, unfinished - ending)],
            link_length=len(gentx_prefix),
            merkle_link=merkle_link,
            coinbase_payload=data.coinbase_payload,
            payment_amount=data.payment_amount,
            payments=data.payments,
            packed_payload=pack_varstr(data.coinbase_payload) if data.coinbase_payload else b"",
        ).pack()


# --- window and coinbase ---------------------------------------------------------------------------------


def decayed_weights(view: ChainView, context: ParentContext, block_target: int, network: Network) -> Weights:
    """The weights of a window that begins with the parent, has no weight limit, and halves in a quarter chain."""
    start = context.previous_hash
    if start is None:
        return Weights({}, 0, 0)
    if context.height < context.weights_length and not view.is_rooted(start):
        raise ShareInvalid(Reason.NOT_CHECKABLE, "payout window not held")
    kept = ONE - ONE * 693_147 // (1_000_000 * max(1, network.chain_length // 4))
    factor = ONE
    by_script: dict[bytes, int] = {}
    total = donation = 0
    for share in view.ancestors(start, context.weights_length):
        attempts = share.attempts * factor >> 40
        factor = factor * kept >> 40
        total += attempts * WEIGHT_UNIT
        donation += attempts * share.donation
        weight = attempts * (WEIGHT_UNIT - share.donation)
        if weight:
            by_script[share.script] = by_script.get(share.script, 0) + weight
    return Weights(by_script, total, donation)


class Payouts36:
    """See `payouts.Payouts`. Nothing for the finder, at least one duff for the donation, small amounts first.

    Where packed payments go in such an order is not known; here they stay behind the miners.
    """

    donation_script = DONATION_SCRIPT
    finder_bonus = 0

    def __init__(self, weights: Weights, subsidy: int, paid: PaidPayments) -> None:
        self._paid = paid
        self.payout = subsidy - paid.total
        if self.payout < 0:
            raise ShareInvalid(Reason.NEGATIVE_PAYOUT)
        total = weights.total
        amounts = {script: self.payout * weight // total for script, weight in weights.by_script.items()}
        amounts.pop(DONATION_SCRIPT, None)
        self.amounts = {script: amount for script, amount in amounts.items() if amount}
        if self.amounts and sum(self.amounts.values()) == self.payout:
            giver = max(self.amounts, key=lambda script: (self.amounts[script], script))
            self.amounts[giver] -= 1

    @property
    def payments(self) -> list[tuple[bytes, int]]:
        """See Payouts."""
        return self._paid.outputs()

    def amounts_for(self, finder: bytes) -> dict[bytes, int]:
        """See Payouts."""
        return self.amounts | {DONATION_SCRIPT: self.payout - sum(self.amounts.values())}

    def outputs_for(self, finder: bytes) -> list[tuple[str, bytes, int]]:
        """See Payouts."""
        ascending = sorted((amount, script) for script, amount in self.amounts.items())
        return [
            *((MINER, script, amount) for amount, script in ascending),
            *((PAYMENT, script, amount) for script, amount in self.payments),
            (DONATION, DONATION_SCRIPT, self.payout - sum(self.amounts.values())),
        ]

    def outputs_around(self, finder: bytes) -> FinderOutputs:
        """See Payouts. The finder gets nothing of its own."""
        outputs = self.outputs_for(finder)
        packed = b"".join(pack_output(script, amount) for _, script, amount in outputs)
        return FinderOutputs(len(outputs) + 1, packed + pack_uint64(0) + b"\x2a\x6a\x28", 0, b"", 0)


# --- rules -----------------------------------------------------------------------------------------------


def context_36(view: ChainView, previous_hash: int | None, network: Network) -> ParentContext:
    """What type 16 says of the successors, but for the window and the room for accumulated work."""
    return replace(
        parent_context(view, previous_hash, network),
        weights_start=previous_hash,
        weights_length=network.real_chain_length,
        abswork_modulus=1 << 64,
    )


VERSION_36 = ShareVersion(
    type=36,
    codec=Codec36(),
    weights=decayed_weights,
    payouts=Payouts36,
    donation_script=DONATION_SCRIPT,
    rules=ShareRules(
        check_form=check_form,
        parent_context=context_36,
        references=lambda view, previous_hash, height, wanted: TransactionRefs((), ()),
        named_transactions=lambda share, view: None,
        check_transactions=lambda share, view, context: None,
        check_merkle_link=lambda share, named: None,
    ),
)


# --- shares of either version on a chain -----------------------------------------------------------------


def mined(
    tracker: Tracker,
    best: int | None,
    version: ShareVersion,
    finder: bytes = b"\x21" * 20,
    transactions: Sequence[bytes] = (),
) -> tuple[Job, Share]:
    """A job of this version on top of `best`, and the share that came of it; the tracker holds it."""
    rng = random.Random(f"{best} {version.type}")
    template = make_template(transactions=transactions, bits=0x1B00FFFF)
    context = build_work_context(
        tracker, best, template=template, network=tracker.network, now=NOW, version=version
    )
    job = Job(
        context,
        PayeeFields(finder, 655, 0, 7),
        desired_target=2**256 - 1,
        share_timestamp=int(NOW),
        header_timestamp=template.current_time,
    )
    for nonce in range(1 << 16):
        outcome = job.check(
            rng.randbytes(8), timestamp=template.current_time, nonce=nonce, version=template.version
        )
        if outcome.meets_share:
            share = outcome.share()
            tracker.add(share, NOW)
            return job, share
    raise RuntimeError("no share found")


def mixed_chain(tracker: Tracker, count: int, turn: int = 5, transactions: Sequence[bytes] = ()) -> list[Share]:
    """Shares of both types, `turn` of each at a time, the oldest first and of type 16."""
    best, shares = None, []
    for number in range(count):
        version = (VERSION_16, VERSION_36)[number // turn % 2]
        _, share = mined(tracker, best, version, bytes([1 + number % 7]) * 20, transactions)
        best = share.hash
        shares.append(share)
    return shares
