"""The shares that a peer sends, out of their envelopes. Called by `session`.

A share of a newer type than this node knows is counted and left out, whatever is in it, and costs its sender
nothing: nodes that know such a type send it to everybody. The other shares of the message are taken."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from p2pool.dash.hashes import hash_hex
from p2pool.peers.errors import Drop, Misbehaviour
from p2pool.peers.messages import Envelope
from p2pool.peers.remembered import RememberedTransactions
from p2pool.peers.transactions import TransactionPool
from p2pool.share.parsing import PackedContents, ParsedShare
from p2pool.share.share import Share
from p2pool.share.versions import SHARE_VERSIONS

_PARSED_AT_ONCE = 64
"""Shares parsed in one step, their hashes computed together: about 2 ms."""


class ShareSender(Protocol):
    """The connection on which shares came, as far as their intake needs it. Implemented by `PeerSession`."""

    host_key: str
    label: str
    """What logs and the tracker call the peer."""
    remembered: RememberedTransactions

    def software(self, most: int) -> str:
        """Return what the peer calls its software, at most `most` characters."""


class IntakeHub(Protocol):
    """What is called for each share that is taken out of a message."""

    transactions: TransactionPool

    def parse_steps(self, packed: Sequence[PackedContents]) -> Generator[None, None, list[ParsedShare]]:
        """Return for each of these contents the share, or why it is none; every yield ends a step."""

    def newer_share(self, kind: int, sender: ShareSender) -> None:
        """Count a share of a newer type than this node knows."""


class Answer(list[Share]):
    """The shares of a `sharereply` that are of use, nearest first."""

    def __init__(self) -> None:
        super().__init__()
        self.newer: list[int] = []
        """Hashes of shares that were asked for, or are parents of the one before them, and that the peer says are
        of a newer type. Nothing proves it."""
        self.wrong: int | None = None
        """The hash of the share that the answer begins with, if it is not the one that was asked for. No limit of
        a server explains it: every software answers with the share and its parents, or with nothing."""


def new_shares(
    hub: IntakeHub, sender: ShareSender, envelopes: Sequence[Envelope]
) -> Generator[None, None, list[Share]]:
    """Return the shares of a `shares` message. Raises Misbehaviour, and Drop if a transaction that a share
    introduces is not known."""
    shares: list[Share] = []
    for start in range(0, len(envelopes), _PARSED_AT_ONCE):
        if start:
            yield
        chunk = envelopes[start : start + _PARSED_AT_ONCE]
        parsed = yield from _parse(hub, chunk)
        for envelope, result in zip(chunk, parsed, strict=True):
            share = _taken(result, envelope, hub=hub, sender=sender)
            if share is None:
                continue
            for tx_hash in share.new_transaction_hashes:
                if tx_hash not in sender.remembered and hub.transactions.get(tx_hash) is None:
                    raise Drop(
                        f"it sent a share with transaction {hash_hex(tx_hash)}, which this node does not know"
                    )
            shares.append(share)
    return shares


def answered_shares(
    hub: IntakeHub, sender: ShareSender, *, share_hash: int, envelopes: Sequence[Envelope]
) -> Generator[None, None, Answer]:
    """Return what answers a request for a share and its parents: that share, and each one's parent after it.

    A share of a newer type does not say here what its parent is, so the one after it may be any, as in `shares`:
    the chain below is still of use to a node that lacks it. Raises Misbehaviour."""
    answer = Answer()
    expected: int | None = share_hash
    for start in range(0, len(envelopes), _PARSED_AT_ONCE):
        if start:
            yield
        chunk = envelopes[start : start + _PARSED_AT_ONCE]
        parsed = yield from _parse(hub, chunk)
        for envelope, result in zip(chunk, parsed, strict=True):
            share = _taken(result, envelope, hub=hub, sender=sender)
            if share is None:
                if expected is not None:
                    answer.newer.append(expected)
                expected = None
            elif expected in (None, share.hash):
                answer.append(share)
                expected = share.previous_hash
                if expected is None:
                    return answer  # the first share of a chain has no parent
            else:
                if not answer and not answer.newer:
                    answer.wrong = share.hash
                return answer
    return answer


def _parse(hub: IntakeHub, envelopes: Sequence[Envelope]) -> Generator[None, None, list[ParsedShare | None]]:
    """Return what is in the envelopes; None for those of a type that is not known."""
    versions = [SHARE_VERSIONS.get(envelope.kind) for envelope in envelopes]
    known = [
        (version, envelope.contents)
        for version, envelope in zip(versions, envelopes, strict=True)
        if version is not None
    ]
    parsed = iter((yield from hub.parse_steps(known)))
    return [None if version is None else next(parsed) for version in versions]


def _taken(parsed: ParsedShare | None, envelope: Envelope, *, hub: IntakeHub, sender: ShareSender) -> Share | None:
    """Return the share; None for one of a newer type. Raises Misbehaviour."""
    if isinstance(parsed, Share):
        return parsed
    if parsed is not None:
        raise Misbehaviour(f"it sent an invalid share: {parsed}")
    if SHARE_VERSIONS.is_obsolete(envelope.kind):
        raise Misbehaviour(f"it sent a share of the obsolete type {envelope.kind}")
    hub.newer_share(envelope.kind, sender)
    return None
