"""A share as a value, the chain that it is in, and the version that it is of: three types that name each other.

What differs from one share version to another is one value, a `ShareVersion`; `versions` has those that this node
knows. All that handles shares of any version (`parsing`, `check`, the tracker, jobs, peers, files) asks the share,
or the work, for its version, and knows no type. `parsing` makes shares of bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple, Protocol

from p2pool.dash.merkle import walk_branch
from p2pool.dash.target import bits_to_target
from p2pool.networks.parameters import Network
from p2pool.share.generation import ShareData, SharePacker
from p2pool.share.parent_context import ParentContext, TransactionRefs
from p2pool.share.payments import PaidPayments, read_payments
from p2pool.share.payouts import Payouts, before_ref_hash
from p2pool.share.weights import Weights
from p2pool.wire.codec import Reader, pack_varint, pack_varstr

_HEADER = Struct("<I32s32sIII")
STALE_NONE, STALE_ORPHAN, STALE_DOA = 0, 253, 254


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

    `contents` are the bytes as received; they are passed on and stored. Build one with `parsing.parse_share`.
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
    """The version that its envelope's type names."""
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
    """None if they are many or long: as objects they take twenty times the room."""
    paid: PaidPayments | str | None
    """What many or long payments come to, or why they make the share invalid; None if that is computed when it
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
        """Return (payee, duffs) of each packed payment; a payee is text of one character a byte."""
        if self.kept_payments is not None:
            return self.kept_payments
        return tuple(read_payments(Reader(self.contents, self.payments_start), self.payments_count))

    @property
    def target(self) -> int:
        """Return what the hash must not exceed."""
        return bits_to_target(self.bits)

    @property
    def max_target(self) -> int:
        """Return the easiest target that the chain allowed here."""
        return bits_to_target(self.max_bits)

    @property
    def block_target(self) -> int:
        """Return the target of the parent chain's block that this share would be."""
        return bits_to_target(self.block_bits)

    @property
    def is_block(self) -> bool:
        """Return whether this share solves a block of the parent chain."""
        return self.hash <= bits_to_target(self.block_bits)

    @property
    def pubkey_hash(self) -> bytes:
        """Return the 20 bytes that the script pays."""
        return self.script[3:23]

    @property
    def envelope(self) -> bytes:
        """Return the share as it travels and is stored: varint type, varstr contents."""
        return pack_envelope(self.version.type, self.contents)

    @property
    def header(self) -> bytes:
        """Return the 80-byte header that was hashed."""
        return pack_header(
            version=self.header_version,
            previous_block=self.previous_block,
            merkle_root=walk_branch(self.gentx_hash, self.merkle_link),
            timestamp=self.header_timestamp,
            bits=self.block_bits,
            nonce=self.header_nonce,
        )


def pack_header(
    *, version: int, previous_block: int, merkle_root: bytes, timestamp: int, bits: int, nonce: int
) -> bytes:
    """Return the 80 bytes of the header; `merkle_root` is 32 bytes in hashing order."""
    return _HEADER.pack(version, previous_block.to_bytes(32, "little"), merkle_root, timestamp, bits, nonce)


def pack_envelope(kind: int, contents: bytes) -> bytes:
    """Return contents with their type before them: varint type, varstr contents."""
    return pack_varint(kind) + pack_varstr(contents)


class ChainView(Protocol):
    """The shares held, by hash. Lengths count shares; a chain ends at its root or at a missing parent."""

    def get(self, share_hash: int) -> Share | None:
        """Return the share of this hash, or None if it is not held."""

    def height(self, share_hash: int) -> int:
        """Return the length of the chain that ends in this share. KeyError if it is not held."""

    def is_rooted(self, share_hash: int) -> bool:
        """Return whether the chain below goes down to a first share. KeyError if it is not held."""

    def nth_parent(self, share_hash: int, n: int) -> Share | None:
        """Return the n-th parent (0: the share itself); None if the chain held ends before it."""

    def ancestors(self, share_hash: int | None, count: int) -> Iterator[Share]:
        """Yield the share and its parents, nearest first, at most `count`."""

    def minimum_work(self, share_hash: int, count: int) -> int:
        """Return the sum of `minimum_attempts` over the share and back, `count` shares."""

    def weights(self, share_hash: int | None, max_shares: int, max_weight: int) -> Weights:
        """Return cumulative weights from this share back, over at most `max_shares` shares and `max_weight` of
        weight; the share that would cross the weight limit counts in part."""


class ShareCodec(Protocol):
    """How the contents of an envelope are read and packed."""

    @property
    def share_class(self) -> type[Share]:
        """Return `Share`, or a subclass with fields that no other version has."""

    def read(self, reader: Reader, share: Share) -> Generator[None, None, Links]:
        """Read the contents in steps, and set every field of the share that is not derived from others.

        Raises ParseError, and ShareInvalid for what must not even be read.
        """

    def packer(self, data: ShareData, parent: ParentContext, refs: TransactionRefs) -> SharePacker:
        """Return what packs shares that follow one share on one template."""


class TransactionReferencing(Protocol):
    """How a share that follows `previous_hash`, whose chain is `height` shares long, names transactions."""

    def __call__(
        self, view: ChainView, previous_hash: int | None, *, height: int, wanted: Sequence[int]
    ) -> TransactionRefs:
        """Return the references for the hashes of a block's other transactions, in their order."""


class WindowWeights(Protocol):
    """How the PPLNS window is weighed for a share that would be a block of `block_target`."""

    def __call__(self, view: ChainView, context: ParentContext, *, block_target: int, network: Network) -> Weights:
        """Return the weights of the window below a share on the context's parent share."""


@dataclass(frozen=True, slots=True)
class ShareRules:
    """What a share must fulfil, apart from what its generation transaction pays. All raise ShareInvalid."""

    check_form: Callable[[Share], None]
    """Rules on single fields, before the hashes are computed."""
    parent_context: Callable[[ChainView, int | None, Network], ParentContext]
    """(chain, parent share, network) -> what the chain says about a share of this version that follows the parent,
    whatever version the parent has; also that none may follow it."""
    references: TransactionReferencing
    """Return how a share names the other transactions of its block."""
    named_transactions: Callable[[Share, ChainView], tuple[int, ...] | None]
    """The hashes of the other transactions of a share's block; None if it does not say."""
    check_transactions: Callable[[Share, ChainView, ParentContext], tuple[int, ...] | None]
    """The hashes of the other transactions of a share's block; also checks how the share names them."""
    check_merkle_link: Callable[[Share, tuple[int, ...] | None], None]
    """Check the merkle link against these hashes."""


@dataclass(frozen=True, slots=True)
class ShareVersion:
    """A share version: all that differs by type. It is resolved once for each share, or for each work."""

    type: int
    """The type, as it is in the envelope."""
    codec: ShareCodec
    """Also says what ref_hash commits to: `Links.ref_bytes` of a share that is read,
    `SharePacker.ref_bytes` of one that is made."""
    weights: WindowWeights
    """Return the weights by which a share on the context's parent share pays.

    A version says where its window begins, how long and how heavy it is, and whether shares count less with their
    distance. The shares in the window may be of any version: their attempts, script and donation count."""
    payouts: Callable[[Weights, int, PaidPayments], Payouts]
    """(weights, subsidy, packed payments) -> the coinbase's outputs. Raises ShareInvalid."""
    donation_script: bytes
    rules: ShareRules
    gentx_before_ref_hash: bytes = field(init=False)
    """The end of the donation output and the start of the last output."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "gentx_before_ref_hash", before_ref_hash(self.donation_script))
