"""What differs from one share version to another, as one value. `versions` has those that this node knows.

All that handles shares of any version (`share`, `check`, the tracker, jobs, peers, files) asks the share, or the
work, for its version, and knows no type.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from p2pool.networks.parameters import Network
from p2pool.share.chain_view import ChainView, Weights
from p2pool.share.generation import ShareData, SharePacker
from p2pool.share.payments import PaidPayments
from p2pool.share.payouts import Payouts, before_ref_hash
from p2pool.share.rules import ParentContext, TransactionRefs
from p2pool.share.share import Links, Share
from p2pool.wire.codec import Reader


class ShareCodec(Protocol):
    """How the contents of an envelope are read and packed."""

    @property
    def share_class(self) -> type[Share]:
        """`Share`, or a subclass with fields that no other version has."""

    def read(self, reader: Reader, share: Share) -> Generator[None, None, Links]:
        """Read the contents in steps, and set every field of the share that is not derived from others.

        Raises ParseError, and ShareInvalid for what must not even be read.
        """

    def packer(self, data: ShareData, parent: ParentContext, refs: TransactionRefs) -> SharePacker:
        """What packs shares that follow one share on one template."""


@dataclass(frozen=True, slots=True)
class ShareRules:
    """What a share must fulfil, apart from what its generation transaction pays. All raise ShareInvalid."""

    check_form: Callable[[Share], None]
    """Rules on single fields, before the hashes are computed."""
    parent_context: Callable[[ChainView, int | None, Network], ParentContext]
    """(chain, parent share, network) -> what the chain says about a share of this version that follows the parent,
    whatever version the parent has; also that none may follow it."""
    references: Callable[[ChainView, int | None, int, Sequence[int]], TransactionRefs]
    """(chain, parent share, its height, hashes of a block's other transactions) -> how a share names them."""
    named_transactions: Callable[[Share, ChainView], tuple[int, ...] | None]
    """The hashes of the other transactions of a share's block; None if it does not say."""
    check_transactions: Callable[[Share, ChainView, ParentContext], tuple[int, ...] | None]
    """The same hashes; also checks how the share names them."""
    check_merkle_link: Callable[[Share, tuple[int, ...] | None], None]
    """Check the merkle link against these hashes."""


@dataclass(frozen=True, slots=True)
class ShareVersion:
    """A share version: all that differs by type. It is resolved once for each share, or for each work."""

    type: int
    """As it is in the envelope."""
    codec: ShareCodec
    """Also says what ref_hash commits to: `Links.ref_bytes` of a share that is read,
    `SharePacker.ref_bytes` of one that is made."""
    weights: Callable[[ChainView, ParentContext, int, Network], Weights]
    """(chain, context, block target, network) -> the weights by which a share on the context's parent pays.

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
