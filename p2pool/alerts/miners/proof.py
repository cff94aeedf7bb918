"""What proves that somebody may set alerts, or end them: the text to be signed with the key of an address, and the
tokens in the links of messages. Pure; nothing is remembered but one secret key of the node.

Both carry a code (HMAC-SHA256) that only this node can have made, so no table of them is needed. The text names
this node, the address and the destination: a signature can be used for nothing else, and whoever signs it can read
what for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CHALLENGE_TIME: Final = 600.0
"""Seconds within which a text must be signed."""
ID_DIGITS: Final = 16
"""Hexadecimal digits of a subscription's id."""
_CODE_DIGITS: Final = 32
KEY_BYTES: Final = 32
_AHEAD: Final = 60.0
"""Seconds that a text may be from the future: the node's clock was set back."""
_TOKEN = re.compile(f"([0-9a-f]{{{ID_DIGITS}}})([0-9a-f]{{{_CODE_DIGITS}}})")
_ENDING = re.compile(rf".* \(time ([0-9]{{1,12}}), code [0-9a-f]{{{_CODE_DIGITS}}}\)")


class LinkPurpose(StrEnum):
    """What a link in a message is for."""

    CONFIRM = "confirm"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signature is to allow: alerts about an address to a destination. All are ASCII without spaces."""

    address: str
    channel: str
    destination: str


class NodeKey:
    """The node's secret key. `host` is the host of its pages, as texts name it."""

    def __init__(self, key: bytes, host: str) -> None:
        self.key = key
        self._host = host

    def _code(self, purpose: str, text: str) -> str:
        code = hmac.new(self.key, f"{purpose}\n{text}".encode(), hashlib.sha256)
        return code.hexdigest()[:_CODE_DIGITS]

    def token(self, purpose: LinkPurpose, subscription: str) -> str:
        """Return the token of a link: the id of the subscription, and a code."""
        return subscription + self._code(purpose, subscription)

    def read_token(self, purpose: LinkPurpose, token: str) -> str | None:
        """Return the id of the subscription that a token is for; None if it is not a token for this purpose."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        expected = self._code(purpose, match[1])
        return match[1] if hmac.compare_digest(expected, match[2]) else None

    def client(self, site: str) -> str:
        """Return what stands for a client in the table: its address is not kept."""
        return self._code("client", site)[:ID_DIGITS]

    def challenge(self, claim: Claim, now: float) -> str:
        """Return the line that the owner of an address has to sign within CHALLENGE_TIME."""
        return self._challenge(claim, int(now))

    def _challenge(self, claim: Claim, time: int) -> str:
        what = f"send alerts about {claim.address} to {claim.channel} {claim.destination}"
        text = f"p2pool-dash on {self._host}: {what}"
        return f"{text} (time {time}, code {self._code('challenge', f'{time} {text}')})"

    def is_challenge(self, message: str, claim: Claim, now: float) -> bool:
        """Return whether a line is what `challenge` returned for this claim, within the last CHALLENGE_TIME
        seconds."""
        match = _ENDING.fullmatch(message)
        if match is None or not -_AHEAD <= now - int(match[1]) <= CHALLENGE_TIME:
            return False
        expected = self._challenge(claim, int(match[1]))
        return hmac.compare_digest(expected.encode(), message.encode("utf-8", "replace"))
