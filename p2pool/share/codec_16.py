"""How a share of type 16 is read and packed (docs/protocol/share.md). Used through `versions.VERSION_16`."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import lru_cache
from itertools import chain
from struct import Struct

from p2pool.dash.hashes import BLOCK_SIZE, midstate
from p2pool.dash.script import p2pkh_script
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.generation import PayeeFields, ShareData, SolvedHeader
from p2pool.share.parent_context import ParentContext, TransactionRefs
from p2pool.share.payments import MIN_PAYMENT, pass_payments, read_payments
from p2pool.share.payouts import GENTX_BEFORE_REF_HASH
from p2pool.share.rules import MAX_REFS
from p2pool.share.share import Links, Share
from p2pool.wire.codec import (
    ONE_BYTE_VARINTS,
    Reader,
    pack_uint32,
    pack_uint64,
    pack_uint256_list,
    pack_varint,
    pack_varstr,
)

_FEW_PAYMENTS = 4096
"""Bytes of packed payments that are kept as objects and judged when they are needed."""
_REFS_AT_ONCE = 16_000
"""References read in a step: about 8 ms."""
_HEADER_FIELDS = Struct("<32sIII")
_PAYEE_FIELDS = Struct("<I20sQHB")
_CHAIN_FIELDS = Struct("<32sIIII16s")
_LINK_FIELDS = Struct("<8s32s")

_TERMS = Struct("<QHB")
"""From subsidy to stale_info."""
_CHAIN = Struct("<III16s")
"""From bits to abswork."""

# Bound: payout scripts repeat from share to share; interning keeps one object for each in use.
_script_of = lru_cache(maxsize=16384)(p2pkh_script)


class Codec16:
    """Reads and packs the contents of shares of type 16."""

    share_class = Share

    def read(self, reader: Reader, share: Share) -> Generator[None, None, Links]:
        """Read a share's contents in steps."""
        read_min_header(reader, share)
        share.share_info_start = start = reader.position
        _read_share_data(reader, share)
        yield from read_packed_payments(reader, share)
        yield from _read_chain_fields(reader, share)
        share.share_info_end = end = reader.position
        share.ref_merkle_link = read_branch(reader)
        share.last_txout_nonce, state = reader.unpack(_LINK_FIELDS)
        extra_data, length = reader.varstr(), reader.varint()
        share.merkle_link = read_branch(reader)
        return Links(share.contents[start:end], state, extra_data, length, reader.varstr())

    def packer(self, data: ShareData, parent: ParentContext, refs: TransactionRefs) -> Packer16:
        """Return what packs shares that follow one share on one template."""
        return Packer16(data, parent, refs)


def read_min_header(reader: Reader, share: Share) -> None:
    """Read the fields of the header that are not in the share otherwise."""
    share.header_version = reader.varint()
    previous_block, share.header_timestamp, share.block_bits, share.header_nonce = reader.unpack(_HEADER_FIELDS)
    share.previous_block = int.from_bytes(previous_block, "little")


def _read_share_data(reader: Reader, share: Share) -> None:
    """Read the fields up to the packed payments."""
    share.previous_hash = reader.uint256() or None
    share.coinbase = reader.varstr()
    share.coinbase_payload = reader.varstr()
    share.share_nonce, key_hash, share.subsidy, share.donation, share.stale_info = reader.unpack(_PAYEE_FIELDS)
    share.script = _script_of(key_hash)
    share.desired_version = reader.varint()
    share.payment_amount = reader.uint64()


def read_packed_payments(reader: Reader, share: Share) -> Generator[None, None, None]:
    """Pass over the packed payments, in steps, and keep them as objects if they are few."""
    share.payments_count = count = reader.count(MIN_PAYMENT)
    share.payments_start = start = reader.position
    share.kept_payments = None
    if not count:
        share.kept_payments = ()
        return
    yield from pass_payments(reader, count)
    if reader.position - start <= _FEW_PAYMENTS:
        share.kept_payments = tuple(read_payments(Reader(reader.data, start), count))


def _read_chain_fields(reader: Reader, share: Share) -> Generator[None, None, None]:
    share.new_transaction_hashes = tuple(reader.uint256_list())
    varint, count = reader.varint, reader.count(2)
    if count > MAX_REFS:  # before they are read: three megabytes of them would take most of a second
        raise ShareInvalid(Reason.TOO_MANY_REFS, str(count))
    if count > _REFS_AT_ONCE:
        yield
    refs: list[tuple[int, int]] = []
    # Most times every number takes one byte.
    few = reader.data[reader.position : reader.position + 2 * count] if count <= _REFS_AT_ONCE else b""
    if few and max(few) < ONE_BYTE_VARINTS:
        reader.position += 2 * count
        refs, count = list(zip(few[::2], few[1::2], strict=True)), 0
    for left in range(count, 0, -_REFS_AT_ONCE):
        refs += [(varint(), varint()) for _ in range(min(left, _REFS_AT_ONCE))]
        if left > _REFS_AT_ONCE:
            yield
    share.transaction_hash_refs = tuple(refs)
    far_share, share.max_bits, share.bits, share.timestamp, share.absheight, abswork = reader.unpack(_CHAIN_FIELDS)
    share.far_share_hash = int.from_bytes(far_share, "little") or None
    share.abswork = int.from_bytes(abswork, "little")


def read_branch(reader: Reader) -> tuple[bytes, ...]:
    """Read a list of hashes (32 bytes each)."""
    count = reader.count(32)
    return tuple([reader.take(32) for _ in range(count)]) if count else ()


def _pack_refs(refs: Iterable[tuple[int, int]]) -> bytes:
    """Return references as pairs of varints; nearly always each number fits a byte."""
    numbers = list(chain.from_iterable(refs))
    if max(numbers, default=0) < 0xFD:
        return bytes(numbers)
    return b"".join(map(pack_varint, numbers))


class Packer16:
    """Packs shares of type 16. What all payees on one tip have in common is packed once."""

    __slots__ = ("_before_nonce", "_middle", "_packed_payload", "_parent", "_subsidy")

    def __init__(self, data: ShareData, parent: ParentContext, refs: TransactionRefs) -> None:
        self._parent = parent
        self._before_nonce = b"".join(
            (
                (data.previous_hash or 0).to_bytes(32, "little"),
                pack_varstr(data.coinbase),
                pack_varstr(data.coinbase_payload),
            )
        )
        payload = data.coinbase_payload
        self._packed_payload = pack_varstr(pack_varstr(payload) if payload else b"")
        self._subsidy = data.subsidy
        payments = [pack_varstr(payee.encode("latin-1")) + pack_uint64(amount) for payee, amount in data.payments]
        self._middle = b"".join(
            (
                pack_varint(data.desired_version),
                pack_uint64(data.payment_amount),
                pack_varint(len(payments)),
                *payments,
                pack_uint256_list(refs.new_hashes),
                pack_varint(len(refs.refs)),
                _pack_refs(refs.refs),
                (parent.far_share_hash or 0).to_bytes(32, "little"),
                pack_uint32(parent.max_bits),
            )
        )

    def share_info(self, payee: PayeeFields, bits: int, timestamp: int) -> bytes:
        """Return the bytes that are fixed before the work is done."""
        parent = self._parent
        return b"".join(
            (
                self._before_nonce,
                pack_uint32(payee.nonce),
                payee.key_hash,
                _TERMS.pack(self._subsidy, payee.donation, payee.stale_info),
                self._middle,
                _CHAIN.pack(bits, timestamp, parent.absheight, parent.abswork_for(bits).to_bytes(16, "little")),
            )
        )

    def ref_bytes(self, share_info: bytes) -> bytes:
        """Return share_info: type 16 commits to nothing else."""
        return share_info

    def contents(
        self,
        header: SolvedHeader,
        *,
        share_info: bytes,
        gentx_prefix: bytes,
        last_txout_nonce: bytes,
        merkle_link: tuple[bytes, ...],
    ) -> bytes:
        """Return the contents of the share's envelope once the work is done."""
        unfinished = len(gentx_prefix) % BLOCK_SIZE
        tail = gentx_prefix[len(gentx_prefix) - unfinished :]
        extra_data = tail[: max(0, unfinished - len(GENTX_BEFORE_REF_HASH))]
        return b"".join(
            (
                pack_varint(header.version),
                header.previous_block.to_bytes(32, "little"),
                pack_uint32(header.timestamp),
                pack_uint32(header.bits),
                pack_uint32(header.nonce),
                share_info,
                b"\x00",  # ref_merkle_link: no branch
                last_txout_nonce,
                midstate(gentx_prefix),
                pack_varstr(extra_data),
                pack_varint(len(gentx_prefix)),
                pack_varint(len(merkle_link)),
                *merkle_link,
                self._packed_payload,
            )
        )
