"""The share versions that this node knows. A type that is not in SHARE_VERSIONS is never parsed."""

from __future__ import annotations

from typing import Final

from p2pool.base.errors import ParseError
from p2pool.networks.parameters import SHARE_VERSION, Network
from p2pool.share.check import check_merkle_link, check_referenced_transactions, referenced_transactions
from p2pool.share.codec_16 import Codec16
from p2pool.share.parsing import open_envelope, parse_share
from p2pool.share.payouts import DONATION_SCRIPT, PayoutTable
from p2pool.share.rules import check_form, parent_context, reference_transactions, window_weights
from p2pool.share.share import Share, ShareRules, ShareVersion
from p2pool.wire.codec import Reader

VERSION_16: Final = ShareVersion(
    type=SHARE_VERSION,
    codec=Codec16(),
    weights=window_weights,
    payouts=PayoutTable,
    donation_script=DONATION_SCRIPT,
    rules=ShareRules(
        check_form=check_form,
        parent_context=parent_context,
        references=reference_transactions,
        named_transactions=referenced_transactions,
        check_transactions=check_referenced_transactions,
        check_merkle_link=check_merkle_link,
    ),
)


class ShareVersions:
    """Share versions by their type. Immutable."""

    def __init__(self, *versions: ShareVersion) -> None:
        self._by_type = {version.type: version for version in versions}
        self.types: Final = tuple(sorted(self._by_type))
        self.newest: Final = self.types[-1]

    def get(self, kind: int) -> ShareVersion | None:
        """Return the version of this type, or None if it is not known."""
        return self._by_type.get(kind)

    def __str__(self) -> str:
        return " or ".join(map(str, self.types))

    def is_obsolete(self, kind: int) -> bool:
        """Return whether a type is older than all that are known: nobody may send such shares."""
        return kind < self.types[0]


SHARE_VERSIONS: Final = ShareVersions(VERSION_16)
MINTED: Final = VERSION_16
"""The version of the shares that this node makes."""


def parse_envelope(data: bytes, network: Network, versions: ShareVersions = SHARE_VERSIONS) -> Share:
    """Return the share that is all of `data`. Raises ParseError, also for a type that is not known, and
    ShareInvalid."""
    reader = Reader(data)
    kind, contents = open_envelope(reader)
    reader.expect_end()
    version = versions.get(kind)
    if version is None:
        raise ParseError(f"share of type {kind}, not {versions}")
    return parse_share(version, contents, network)
