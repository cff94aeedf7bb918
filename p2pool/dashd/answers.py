"""What the answers to `submitblock` mean, as a table: which of them settle a block, and which do not.

`judge` is called by `submission` with each answer of Dash Core. The texts are those of BIP 22 and of Dash Core's
block validation (v0.12 to v23); docs/troubleshooting.md shows the table to operators.

| answer | meaning | verdict |
| --- | --- | --- |
| null | valid, and connected to the best chain | ACCEPTED |
| duplicate | known: valid, stored, or marked as in conflict with a ChainLock | CHECK |
| inconclusive | stored, not connected: another block at its height came first, or validation broke off | CHECK |
| duplicate-inconclusive | the same, if the header came first by p2p (before v18) | CHECK |
| bad-chainlock, bad-prevblk-chainlock | a ChainLock protects another block | CHECK |
| prev-blk-not-found | dashd is behind: it gets the previous block from its peers | LATER |
| time-too-new | over two hours ahead of dashd's clock, which may be wrong | LATER |
| bad-*, high-hash, time-too-old, mandatory-script-verify-flag-failed* | breaks a consensus rule | REFUSED |
| duplicate-invalid | was refused before, perhaps when it came by p2p | REFUSED |
| error -22 | cannot be decoded, or does not begin with a coinbase | REFUSED |
| rejected, valid?, any other | no verdict that is known here | UNCLEAR |
| any other error (-25 disk, -28 warming up, -32601), HTTP, none | not judged | UNANSWERED |
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Verdict(Enum):
    """What an answer means for a block."""

    ACCEPTED = "accepted"
    """It is in the best chain."""
    CHECK = "check"
    """Whether it is in the best chain has to be checked; it may still win."""
    LATER = "later"
    """The obstacle is temporary: offer it again."""
    UNANSWERED = "unanswered"
    """It was not judged: offer it again soon."""
    UNCLEAR = "unclear"
    """The meaning is unknown: check the chain, and offer it again until that shows what became of it."""
    REFUSED = "refused"
    """This daemon will not take it, however often it is offered."""


DECODE_FAILED: Final = -22
"""The code of the only error that is a verdict."""
_VERDICTS: Final = {
    "duplicate": Verdict.CHECK,
    "inconclusive": Verdict.CHECK,
    "duplicate-inconclusive": Verdict.CHECK,
    "bad-chainlock": Verdict.CHECK,
    "bad-prevblk-chainlock": Verdict.CHECK,
    "prev-blk-not-found": Verdict.LATER,
    "time-too-new": Verdict.LATER,
    "high-hash": Verdict.REFUSED,
    "time-too-old": Verdict.REFUSED,
    "duplicate-invalid": Verdict.REFUSED,
}
_REFUSALS: Final = ("bad-", "mandatory-script-verify-flag-failed")
"""How the other reasons begin that name a consensus rule."""


def judge(answer: str | None) -> Verdict:
    """Return what the result of `submitblock` means; None is JSON's null."""
    if answer is None:
        return Verdict.ACCEPTED
    verdict = _VERDICTS.get(answer)
    if verdict is not None:
        return verdict
    return Verdict.REFUSED if answer.startswith(_REFUSALS) else Verdict.UNCLEAR


def judge_error(code: int) -> Verdict:
    """Return what a JSON-RPC error of `submitblock` means."""
    return Verdict.REFUSED if code == DECODE_FAILED else Verdict.UNANSWERED
