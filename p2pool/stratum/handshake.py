"""How far a miner has come with its handshake, and what each step leads to."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Handshake(Enum):
    """How far a miner has come. Miners may subscribe and authorize in either order, and repeat both.

    ::

        NEW --subscribe--> SUBSCRIBED --authorize--> WORKING
          |                                            ^
          +---authorize--> AUTHORIZED --subscribe------+
    """

    NEW = "neither subscribed nor authorized"
    SUBSCRIBED = "subscribed, not authorized"
    AUTHORIZED = "authorized, not subscribed"
    WORKING = "subscribed and authorized: jobs and messages are sent"


AFTER_SUBSCRIBE: Final = {Handshake.NEW: Handshake.SUBSCRIBED, Handshake.AUTHORIZED: Handshake.WORKING}
AFTER_AUTHORIZE: Final = {Handshake.NEW: Handshake.AUTHORIZED, Handshake.SUBSCRIBED: Handshake.WORKING}
"""The next state by the present one; all others stay."""
