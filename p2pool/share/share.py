"""A share as a value: parsed in one pass from the bytes that a peer, a file or our own job gave."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import lru_cache
from hashlib import sha256
from typing import Final

from p2pool.base.errors import ParseError
from p2pool.base.steps import finish
from p2pool.dash.hashes import BLOCK_SIZE, continue_from_midstate, sha256d
from p2pool.dash.merkle import walk_branch
from p2pool.dash.pow import x11_digest
from p2pool.dash.script import p2pkh_script
from p2pool.dash.target import bits_to_target, target_to_average_attempts
from p2pool.networks.parameters import SHARE_VERSION, Network
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.payments import MIN_PAYMENT, PaidPayments, judge_payments, pass_payments, read_payments
from p2pool.wire.codec import Reader, pack_uint32, pack_uint64, pack_varint, pack_varstr

DONATION_SCRIPT: Final = bytes.fromhex("76a91420cb5c22b1e4d5947e5c112c7696b51ad9af3c6188ac")
GENTX_BEFORE_REF_HASH: Final = pack_varstr(DONATION_SCRIPT) + pack_uint64(0) + b"\x2a\x6a\x28"
"""The constant bytes right before ref_hash: the end of the donation output and the start of the last output."""

STALE_NONE, STALE_ORPHAN, STALE_DOA = 0, 253, 254
MAX_MERKLE_LINK = 16
MAX_REFS = (1 << MAX_MERKLE_LINK) - 1
"""Transactions beside the coinbase that a merkle link of the greatest length covers."""
MAX_REF_DISTANCE = 110
_FEW_PAYMENTS = 4096
"""Bytes of packed payments that are kept as objects and judged when they are needed."""
_REFS_AT_ONCE = 16_000
"""References read in a step: about 8 ms."""
_WALKED_AT_ONCE = 10_000
"""Entries of a branch hashed in a step: about 10 ms."""
_LARGE = 200_000
"""Bytes of a share that is taken in more than one step, whatever it is made of."""

# Bound: payout scripts repeat from share to share; interning keeps one object for each in use.
_script_of = lru_cache(maxsize=16384)(p2pkh_script)


class Share:
    """One share. Hashes and targets are numbers, scripts and branch entries bytes in hashing order.

    `contents` are the bytes as received; they are what is passed on and stored. Build one with `parse_share`.
    """

    __slots__ = (
        "_payments",
        "absheight",
        "abswork",
        "attempts",
        "bits",
        "block_bits",
        "coinbase",
        "coinbase_payload",
        "contents",
        "desired_version",
        "donation",
        "far_share_hash",
        "gentx_hash",
        "hash",
        "header_nonce",
        "header_timestamp",
        "header_version",
        "last_txout_nonce",
        "max_bits",
        "merkle_link",
        "minimum_attempts",
        "new_transaction_hashes",
        "paid",
        "payment_amount",
        "payments_count",
        "payments_start",
        "previous_block",
        "previous_hash",
        "ref_hash",
        "ref_merkle_link",
        "script",
        "share_info_end",
        "share_info_start",
        "share_nonce",
        "stale_info",
        "subsidy",
        "timestamp",
        "transaction_hash_refs",
    )

    contents: bytes
    share_info_start: int
    share_info_end: int
    hash: int
    """X11 of the header: the share's name and its proof of work."""
    gentx_hash: bytes
    # min_header
    header_version: int
    previous_block: int
    header_timestamp: int
    block_bits: int
    header_nonce: int
    # share_data
    previous_hash: int | None
    coinbase: bytes
    coinbase_payload: bytes
    share_nonce: int
    script: bytes
    """The P2PKH script of pubkey_hash: whom this share pays."""
    subsidy: int
    donation: int
    stale_info: int
    desired_version: int
    payment_amount: int
    payments_start: int
    payments_count: int
    _payments: tuple[tuple[str, int], ...] | None
    """None where they are many or long: as objects they take twenty times the room."""
    paid: PaidPayments | str | None
    """What many or long payments come to, or why they make the share invalid; None where that is computed when it
    is needed."""
    # the rest of share_info
    new_transaction_hashes: tuple[int, ...]
    transaction_hash_refs: tuple[tuple[int, int], ...]
    far_share_hash: int | None
    max_bits: int
    bits: int
    timestamp: int
    absheight: int
    abswork: int
    # the links
    ref_merkle_link: tuple[bytes, ...]
    last_txout_nonce: bytes
    merkle_link: tuple[bytes, ...]
    # derived
    ref_hash: bytes
    """What the generation transaction commits to: share_info and the branch above it."""
    attempts: int
    """Work: average attempts to meet `bits`."""
    minimum_attempts: int
    """Average attempts to meet `max_bits`: what retargeting adds up."""

    @property
    def payments(self) -> tuple[tuple[str, int], ...]:
        """(payee, duffs) of each packed payment; a payee is text of one character a byte."""
        if self._payments is not None:
            return self._payments
        return tuple(read_payments(Reader(self.contents, self.payments_start), self.payments_count))

    @property
    def target(self) -> int:
        """What the hash must not exceed."""
        return bits_to_target(self.bits)

    @property
    def max_target(self) -> int:
        """The easiest target that the chain allowed here."""
        return bits_to_target(self.max_bits)

    @property
    def block_target(self) -> int:
        """The target of the parent chain's block that this share would be."""
        return bits_to_target(self.block_bits)

    @property
    def is_block(self) -> bool:
        """Whether this share solves a block of the parent chain."""
        return self.hash <= bits_to_target(self.block_bits)

    @property
    def pubkey_hash(self) -> bytes:
        """The 20 bytes that the script pays."""
        return self.script[3:23]

    @property
    def envelope(self) -> bytes:
        """The share as it travels and is stored: varint type, varstr contents."""
        return pack_envelope(self.contents)

    @property
    def header(self) -> bytes:
        """The 80-byte header that was hashed."""
        return pack_header(
            self.header_version,
            self.previous_block,
            walk_branch(self.gentx_hash, self.merkle_link),
            self.header_timestamp,
            self.block_bits,
            self.header_nonce,
        )


def pack_header(
    version: int, previous_block: int, merkle_root: bytes, timestamp: int, bits: int, nonce: int
) -> bytes:
    """80 bytes; `merkle_root` is 32 bytes in hashing order."""
    return b"".join(
        (
            pack_uint32(version),
            previous_block.to_bytes(32, "little"),
            merkle_root,
            pack_uint32(timestamp),
            pack_uint32(bits),
            pack_uint32(nonce),
        )
    )


def ref_hash_of(share_info: bytes, branch: tuple[bytes, ...], network: Network) -> bytes:
    """The 32 bytes with which a generation transaction commits to packed share_info."""
    return finish(_ref_hash_steps(share_info, branch, network))


def _ref_hash_steps(
    share_info: bytes, branch: tuple[bytes, ...], network: Network
) -> Generator[None, None, bytes]:
    """The branch may have as many entries as a message has room for."""
    value = sha256d(network.identifier + share_info)
    for start in range(0, len(branch), _WALKED_AT_ONCE):
        if start:
            yield
        value = walk_branch(value, branch[start : start + _WALKED_AT_ONCE])
    return value


def pack_envelope(contents: bytes) -> bytes:
    """Contents with their type before them: varint type, varstr contents."""
    return pack_varint(SHARE_VERSION) + pack_varstr(contents)


def open_envelope(reader: Reader) -> tuple[int, bytes]:
    """(type, contents) at the reader's position. What to do with a type that is not SHARE_VERSION is the
    caller's: below it is obsolete (misbehaviour), above it unknown (ignored)."""
    return reader.varint(), reader.varstr()


def parse_envelope(data: bytes, network: Network) -> Share:
    """The share that is all of `data`. Raises ParseError, also for another type, and ShareInvalid."""
    reader = Reader(data)
    kind, contents = open_envelope(reader)
    reader.expect_end()
    if kind != SHARE_VERSION:
        raise ParseError(f"share of type {kind}, not {SHARE_VERSION}")
    return parse_share(contents, network)


def parse_share(contents: bytes, network: Network, known_hash: int | None = None) -> Share:
    """Parse and do the checks that need no parents, all at once: see `parse_share_steps`."""
    return finish(parse_share_steps(contents, network, known_hash))


def parse_share_steps(
    contents: bytes,
    network: Network,
    known_hash: int | None = None,
    is_held: Callable[[int], bool] = lambda share_hash: False,
) -> Generator[None, None, Share]:
    """Parse, do the checks that need no parents, and judge many or long payments.

    An everyday share takes one step; one of megabytes yields whenever the reactor may do something else.

    Payments of a share that `is_held` already, by its hash, are not judged again: it comes from many peers.
    `known_hash` spares the one X11 where we have just computed it ourselves; never pass what came from outside.
    Raises ParseError (malformed) or ShareInvalid (breaks a rule).
    """
    share = Share()
    share.contents = contents
    reader = Reader(contents)
    _read_min_header(reader, share)
    share.share_info_start = reader.position
    yield from _read_share_data(reader, share)
    yield from _read_chain_fields(reader, share)
    share.share_info_end = reader.position
    share.ref_merkle_link = _read_branch(reader)
    share.last_txout_nonce = reader.take(8)
    state, extra_data, length = reader.take(32), reader.varstr(), reader.varint()
    share.merkle_link = _read_branch(reader)
    packed_payload = reader.varstr()
    reader.expect_end()
    if len(contents) > _LARGE:
        yield

    _check_form(share)
    target = bits_to_target(share.bits)
    if target > network.max_target:
        raise ShareInvalid(Reason.TARGET_TOO_EASY, f"bits {share.bits:08x}")
    share_info = contents[share.share_info_start : share.share_info_end]
    share.ref_hash = yield from _ref_hash_steps(share_info, share.ref_merkle_link, network)
    tail = b"".join((share.ref_hash, share.last_txout_nonce, b"\x00\x00\x00\x00", packed_payload))
    share.gentx_hash = _hash_link_digest(state, extra_data, length, tail)
    share.hash = known_hash if known_hash is not None else int.from_bytes(x11_digest(share.header), "little")
    if share.hash > target:
        raise ShareInvalid(Reason.NO_WORK, f"{share.hash:064x}")
    share.attempts = target_to_average_attempts(target)
    share.minimum_attempts = target_to_average_attempts(bits_to_target(share.max_bits))
    share.paid = None
    if share._payments is None and not is_held(share.hash):
        share.paid = yield from _judge(share, network)
    return share


def _judge(share: Share, network: Network) -> Generator[None, None, PaidPayments | str]:
    """What the payments come to. That they make the share invalid is said when it is checked."""
    payments = read_payments(Reader(share.contents, share.payments_start), share.payments_count)
    try:
        return (yield from judge_payments(payments, network.parent.addresses))
    except ShareInvalid as error:
        return error.detail


def _read_min_header(reader: Reader, share: Share) -> None:
    share.header_version = reader.varint()
    share.previous_block = reader.uint256()
    share.header_timestamp = reader.uint32()
    share.block_bits = reader.uint32()
    share.header_nonce = reader.uint32()


def _read_share_data(reader: Reader, share: Share) -> Generator[None, None, None]:
    share.previous_hash = reader.uint256() or None
    share.coinbase = reader.varstr()
    share.coinbase_payload = reader.varstr()
    share.share_nonce = reader.uint32()
    share.script = _script_of(reader.take(20))
    share.subsidy = reader.uint64()
    share.donation = reader.uint16()
    share.stale_info = reader.uint8()
    share.desired_version = reader.varint()
    share.payment_amount = reader.uint64()
    share.payments_count = count = reader.count(MIN_PAYMENT)
    share.payments_start = start = reader.position
    share._payments = None
    yield from pass_payments(reader, count)
    if reader.position - start <= _FEW_PAYMENTS:
        share._payments = tuple(read_payments(Reader(reader.data, start), count))


def _read_chain_fields(reader: Reader, share: Share) -> Generator[None, None, None]:
    share.new_transaction_hashes = tuple(reader.uint256_list())
    varint, count = reader.varint, reader.count(2)
    if count > MAX_REFS:  # before they are read: three megabytes of them would take most of a second
        raise ShareInvalid(Reason.TOO_MANY_REFS, str(count))
    if count > _REFS_AT_ONCE:
        yield
    refs: list[tuple[int, int]] = []
    for left in range(count, 0, -_REFS_AT_ONCE):
        refs += [(varint(), varint()) for _ in range(min(left, _REFS_AT_ONCE))]
        if left > _REFS_AT_ONCE:
            yield
    share.transaction_hash_refs = tuple(refs)
    share.far_share_hash = reader.uint256() or None
    share.max_bits = reader.uint32()
    share.bits = reader.uint32()
    share.timestamp = reader.uint32()
    share.absheight = reader.uint32()
    share.abswork = reader.uint128()


def _read_branch(reader: Reader) -> tuple[bytes, ...]:
    return tuple(reader.take(32) for _ in range(reader.count(32)))


def _check_form(share: Share) -> None:
    """The rules on single fields."""
    if not 2 <= len(share.coinbase) <= 100:
        raise ShareInvalid(Reason.COINBASE_SIZE, f"{len(share.coinbase)} bytes")
    if len(share.merkle_link) > MAX_MERKLE_LINK:
        raise ShareInvalid(Reason.MERKLE_LINK_TOO_LONG, f"{len(share.merkle_link)} entries")
    if share.header_version > 0xFFFFFFFF:
        raise ShareInvalid(Reason.HEADER_VERSION, str(share.header_version))
    if share.transaction_hash_refs or share.new_transaction_hashes:
        named = set()
        for distance, index in share.transaction_hash_refs:
            if distance >= MAX_REF_DISTANCE:
                raise ShareInvalid(Reason.REF_TOO_FAR, f"{distance} shares back")
            if distance == 0:
                named.add(index)
        if named != set(range(len(share.new_transaction_hashes))):
            raise ShareInvalid(Reason.NEW_TRANSACTIONS_NOT_NAMED)


def _hash_link_digest(state: bytes, extra_data: bytes, length: int, tail: bytes) -> bytes:
    """The hash (32 bytes) of the generation transaction whose first `length` bytes led to `state`."""
    unfinished = length % BLOCK_SIZE
    if len(extra_data) != max(0, unfinished - len(GENTX_BEFORE_REF_HASH)):
        raise ShareInvalid(Reason.HASH_LINK_EXTRA_DATA, f"{len(extra_data)} bytes")
    if 8 * (length + len(tail)) >= 1 << 64:
        raise ShareInvalid(Reason.HASH_LINK_LENGTH, f"{length} bytes")
    pending = (extra_data + GENTX_BEFORE_REF_HASH)[-unfinished:] if unfinished else b""
    return sha256(continue_from_midstate(state, length - unfinished, pending + tail)).digest()
