"""A share as a value: parsed in one pass from the bytes that a peer, a file or our own job gave."""

from __future__ import annotations

from collections.abc import Callable, Generator
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from p2pool.base.steps import finish
from p2pool.dash.hashes import BLOCK_SIZE, continue_from_midstate, sha256d
from p2pool.dash.merkle import walk_branch
from p2pool.dash.pow import x11_digest
from p2pool.dash.target import bits_to_target, target_to_average_attempts
from p2pool.networks.parameters import Network
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.payments import PaidPayments, judge_payments, read_payments
from p2pool.wire.codec import Reader, pack_uint32, pack_varint, pack_varstr

if TYPE_CHECKING:
    from p2pool.share.version import ShareVersion

STALE_NONE, STALE_ORPHAN, STALE_DOA = 0, 253, 254
_WALKED_AT_ONCE = 10_000
"""Entries of a branch hashed in a step: about 10 ms."""
_LARGE = 200_000
"""Bytes of a share that is taken in more than one step, whatever it is made of."""


class Links(NamedTuple):
    """What binds a share to its generation transaction, as its codec reads it."""

    ref_bytes: bytes
    """What ref_hash commits to, without the network's identifier."""
    state: bytes
    """hash_link: SHA-256 after the whole blocks of the transaction up to ref_hash."""
    extra_data: bytes
    length: int
    packed_payload: bytes
    """What follows lock_time in the transaction."""


class Share:
    """One share of any version. Hashes and targets are numbers, scripts and branch entries bytes in hashing order.

    `contents` are the bytes as received; they are what is passed on and stored. Build one with `parse_share`.
    """

    __slots__ = (
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
        "kept_payments",
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
        "version",
    )

    version: ShareVersion
    """What its envelope's type stands for."""
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
    kept_payments: tuple[tuple[str, int], ...] | None
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
    """What the generation transaction commits to: the version's ref bytes and the branch above them."""
    attempts: int
    """Work: average attempts to meet `bits`."""
    minimum_attempts: int
    """Average attempts to meet `max_bits`: what retargeting adds up."""

    @property
    def payments(self) -> tuple[tuple[str, int], ...]:
        """(payee, duffs) of each packed payment; a payee is text of one character a byte."""
        if self.kept_payments is not None:
            return self.kept_payments
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
        return pack_envelope(self.version.type, self.contents)

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


def ref_hash_of(ref_bytes: bytes, branch: tuple[bytes, ...], network: Network) -> bytes:
    """The 32 bytes with which a generation transaction commits to a share. `ref_bytes`: see `Links`."""
    return finish(_ref_hash_steps(ref_bytes, branch, network))


def _ref_hash_steps(ref_bytes: bytes, branch: tuple[bytes, ...], network: Network) -> Generator[None, None, bytes]:
    """The branch may have as many entries as a message has room for."""
    value = sha256d(network.identifier + ref_bytes)
    for start in range(0, len(branch), _WALKED_AT_ONCE):
        if start:
            yield
        value = walk_branch(value, branch[start : start + _WALKED_AT_ONCE])
    return value


def pack_envelope(kind: int, contents: bytes) -> bytes:
    """Contents with their type before them: varint type, varstr contents."""
    return pack_varint(kind) + pack_varstr(contents)


def open_envelope(reader: Reader) -> tuple[int, bytes]:
    """Return (type, contents) at the reader's position. `versions` tells which types can be parsed."""
    return reader.varint(), reader.varstr()


def parse_share(version: ShareVersion, contents: bytes, network: Network, known_hash: int | None = None) -> Share:
    """Parse and do the checks that need no parents, all at once: see `parse_share_steps`."""
    return finish(parse_share_steps(version, contents, network, known_hash))


def parse_share_steps(
    version: ShareVersion,
    contents: bytes,
    network: Network,
    known_hash: int | None = None,
    is_held: Callable[[int], bool] = lambda share_hash: False,
) -> Generator[None, None, Share]:
    """Parse the contents of a share of this version, do the checks that need no parents, and judge many or long
    payments.

    An everyday share takes one step; one of megabytes yields whenever the reactor may do something else.

    Payments of a share that `is_held` already, by its hash, are not judged again: it comes from many peers.
    `known_hash` spares the one X11 where we have just computed it ourselves; never pass what came from outside.
    Raises ParseError (malformed) or ShareInvalid (breaks a rule).
    """
    share = version.codec.share_class()
    share.version = version
    share.contents = contents
    reader = Reader(contents)
    links = yield from version.codec.read(reader, share)
    reader.expect_end()
    if len(contents) > _LARGE:
        yield

    version.rules.check_form(share)
    target = bits_to_target(share.bits)
    if target > network.max_target:
        raise ShareInvalid(Reason.TARGET_TOO_EASY, f"bits {share.bits:08x}")
    share.ref_hash = yield from _ref_hash_steps(links.ref_bytes, share.ref_merkle_link, network)
    tail = b"".join((share.ref_hash, share.last_txout_nonce, b"\x00\x00\x00\x00", links.packed_payload))
    share.gentx_hash = _hash_link_digest(links, version.gentx_before_ref_hash, tail)
    share.hash = known_hash if known_hash is not None else int.from_bytes(x11_digest(share.header), "little")
    if share.hash > target:
        raise ShareInvalid(Reason.NO_WORK, f"{share.hash:064x}")
    share.attempts = target_to_average_attempts(target)
    share.minimum_attempts = target_to_average_attempts(bits_to_target(share.max_bits))
    share.paid = None
    if share.kept_payments is None and not is_held(share.hash):
        share.paid = yield from _judge(share, network)
    return share


def _judge(share: Share, network: Network) -> Generator[None, None, PaidPayments | str]:
    """What the payments come to. That they make the share invalid is said when it is checked."""
    payments = read_payments(Reader(share.contents, share.payments_start), share.payments_count)
    try:
        return (yield from judge_payments(payments, network.parent.addresses))
    except ShareInvalid as error:
        return error.detail


def _hash_link_digest(links: Links, before_ref_hash: bytes, tail: bytes) -> bytes:
    """The hash (32 bytes) of the generation transaction whose first `length` bytes, which end with
    `before_ref_hash`, led to `state`."""
    length, extra_data = links.length, links.extra_data
    unfinished = length % BLOCK_SIZE
    if len(extra_data) != max(0, unfinished - len(before_ref_hash)):
        raise ShareInvalid(Reason.HASH_LINK_EXTRA_DATA, f"{len(extra_data)} bytes")
    if 8 * (length + len(tail)) >= 1 << 64:
        raise ShareInvalid(Reason.HASH_LINK_LENGTH, f"{length} bytes")
    pending = (extra_data + before_ref_hash)[-unfinished:] if unfinished else b""
    return sha256(continue_from_midstate(links.state, length - unfinished, pending + tail)).digest()
