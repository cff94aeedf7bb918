"""What the simulated Dash Core refuses, with Dash Core's own words."""

from __future__ import annotations


class BlockInvalid(Exception):
    """A block breaks a rule; `reason` is Dash Core's reject reason, e.g. "high-hash"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BlockUndecodable(Exception):
    """Bytes are not a block; the message is Dash Core's."""


class TransactionRefused(Exception):
    """The mempool does not take a transaction; `reason` is Dash Core's reject reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
