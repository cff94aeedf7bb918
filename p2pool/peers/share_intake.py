"""The shares that a peer sends, out of their envelopes. Called by `session`.

A share of a newer type than this node knows is counted and left out, whatever is in it, and costs its sender
nothing: nodes that know such a type send it to everybody. The other shares of the message are taken."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import hash_hex
from p2pool.peers.errors import Drop, Misbehaviour
from p2pool.peers.messages import Envelope
from p2pool.peers.remembered import RememberedTransactions
from p2pool.peers.transactions import TransactionPool
from p2pool.share.errors import ShareInvalid
from p2pool.share.share import Share, ShareVersion
from p2pool.share.versions import SHARE_VERSIONS

_PARSED_AT_ONCE = 64
"""Shares parsed in one step: about 3 ms."""


class ShareSender(Protocol):
    """The connection on which shares came, as far as their intake needs it. Implemented by `PeerSession`."""

    host_key: str
    remembered: RememberedTransactions

    @property
    def label(self) -> str:
        """Return the peer, as logs and the tracker name it."""

    def software(self, most: int) -> str:
        """Return what the peer calls its software, at most `most` characters."""


class IntakeHub(Protocol):
    """What is called for each share that is taken out of a message."""

    transactions: TransactionPool

    def parse_steps(self, version: ShareVersion, contents: bytes) -> Generator[None, None, Share]:
        """Return the share; every yield ends a step. Raises ParseError, ShareInvalid."""

    def newer_share(self, kind: int, sender: ShareSender) -> None:
        """Count a share of a newer type than this node knows."""


class Answer(list[Share]):
    """The shares of a `sharereply` that are of use, nearest first."""

    def __init__(self) -> None:
        super().__init__()
        self.newer: list[int] = []
        """Hashes of shares that were asked for, or are parents of the one before them, and that the peer says are
        of a newer type. Nothing proves it."""


def new_shares(
    hub: IntakeHub, sender: ShareSender, envelopes: Sequence[Envelope]
) -> Generator[None, None, list[Share]]:
    """Return the shares of a `shares` message. Raises Misbehaviour, and Drop if a transaction that a share
    introduces is not known."""
    shares: list[Share] = []
    for number, envelope in enumerate(envelopes, 1):
        share = yield from _parse(hub, sender, envelope)
        if share is not None:
            for tx_hash in share.new_transaction_hashes:
                if tx_hash not in sender.remembered and hub.transactions.get(tx_hash) is None:
                    raise Drop(
                        f"it sent a share with transaction {hash_hex(tx_hash)}, which this node does not know"
                    )
            shares.append(share)
        if number % _PARSED_AT_ONCE == 0 and number < len(envelopes):
            yield
    return shares


def answered_shares(
    hub: IntakeHub, sender: ShareSender, *, share_hash: int, envelopes: Sequence[Envelope]
) -> Generator[None, None, Answer]:
    """Return what answers a request for a share and its parents: that share, and each one's parent after it.

    A share of a newer type does not say here what its parent is, so the one after it may be any, as in `shares`:
    the chain below is still of use to a node that lacks it. Raises Misbehaviour."""
    answer = Answer()
    expected: int | None = share_hash
    for number, envelope in enumerate(envelopes, 1):
        share = yield from _parse(hub, sender, envelope)
        if share is None:
            if expected is not None:
                answer.newer.append(expected)
            expected = None
        elif expected in (None, share.hash):
            answer.append(share)
            expected = share.previous_hash
            if expected is None:
                break  # the first share of a chain has no parent
        else:
            break
        if number % _PARSED_AT_ONCE == 0 and number < len(envelopes):
            yield
    return answer


def _parse(hub: IntakeHub, sender: ShareSender, envelope: Envelope) -> Generator[None, None, Share | None]:
    """Return the share; None for one of a newer type. Raises Misbehaviour."""
    version = SHARE_VERSIONS.get(envelope.kind)
    if version is None:
        if SHARE_VERSIONS.is_obsolete(envelope.kind):
            raise Misbehaviour(f"it sent a share of the obsolete type {envelope.kind}")
        hub.newer_share(envelope.kind, sender)
        return None
    try:
        return (yield from hub.parse_steps(version, envelope.contents))
    except (ParseError, ShareInvalid) as error:
        raise Misbehaviour(f"it sent an invalid share: {error}") from None
