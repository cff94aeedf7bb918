"""Why a share is refused."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """The rule that a share breaks: one member for each rule. The value is the text for people."""

    # Found when loading, without parents: whoever sends such a share misbehaves.
    COINBASE_SIZE = "coinbase script not of 2 to 100 bytes"
    MERKLE_LINK_TOO_LONG = "merkle link of more than 16 entries"
    HEADER_VERSION = "header version beyond 32 bits"
    TOO_MANY_REFS = "more transaction references than a merkle link can cover"
    HASH_LINK_EXTRA_DATA = "hash link with extra data of the wrong length"
    HASH_LINK_LENGTH = "hash link too long for SHA-256"
    TARGET_TOO_EASY = "target above the network's maximum"
    NO_WORK = "hash above its own target"
    # Found against the chain.
    REF_TOO_FAR = "transaction reference 110 or more shares back"
    NEW_TRANSACTIONS_NOT_NAMED = "references do not name each new transaction"
    REF_NAMES_NOTHING = "transaction reference names no transaction"
    PAYEE_MALFORMED = "malformed payee"
    NEGATIVE_PAYOUT = "payments exceed the subsidy"
    TIMESTAMP = "timestamp outside the window after its parent's"
    MAX_BITS = "wrong max_bits (retarget)"
    BITS = "bits outside the window of max_bits"
    ABSHEIGHT = "wrong absheight"
    ABSWORK = "wrong abswork"
    FAR_SHARE = "wrong far_share_hash"
    TRANSACTION_REFS = "transaction references not in their canonical form"
    GENTX = "generation transaction does not pay what the chain says"
    MERKLE_LINK = "merkle link does not lead over the referenced transactions"
    NOT_CHECKABLE = "chain below too short to check"


class ShareInvalid(Exception):
    """A share breaks a consensus rule: `reason` says which one."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
