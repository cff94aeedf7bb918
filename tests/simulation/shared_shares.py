"""One share object for all nodes of a world: what the bytes of a share say depends on nobody who reads them, and a
share is never changed. A thousand nodes would parse each share five thousand times, and keep as many copies."""

from __future__ import annotations

from collections.abc import Callable, Generator

from p2pool.base.bounded import BoundedDict
from p2pool.networks.parameters import Network
from p2pool.node import peers_adapter
from p2pool.share import parsing
from p2pool.share.share import Share, ShareVersion

KEPT = 2_000
"""Shares of which the bytes are remembered, the newest ones: they come from many peers within seconds."""
_shares: BoundedDict[bytes, Share] = BoundedDict(KEPT)


def _parse_steps(
    version: ShareVersion,
    contents: bytes,
    network: Network,
    *,
    known_hash: int | None = None,
    is_held: Callable[[int], bool] = lambda share_hash: False,
) -> Generator[None, None, Share]:
    """Do what `parsing.parse_share_steps` does, once for the same bytes."""
    share = _shares.get(contents)
    if share is None or share.version is not version:
        share = yield from parsing.parse_share_steps(version, contents, network, known_hash=known_hash)
        _shares[contents] = share
    return share


def install() -> None:
    """Let all nodes of this process share what they receive. What an earlier world left is forgotten."""
    _shares.clear()
    peers_adapter.parse_share_steps = _parse_steps  # type: ignore[assignment]
