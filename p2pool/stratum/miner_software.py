"""What a miner reports about its software: its user agent, and its answers to client.get_version."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from p2pool.base.text import printable

MAX_USER_AGENT: Final = 128
MAX_REPORTED: Final = 128
"""Characters of everything that a miner reports besides its user agent."""


@lru_cache(maxsize=256)
def _shared(user_agent: str) -> str:
    """Return the same object for equal texts: thousands of miners send one of a few user agents."""
    return user_agent


class MinerSoftware:
    """The software of one miner. As text it is for people, and empty if the miner reported nothing."""

    __slots__ = ("_reported", "_user_agent")

    def __init__(self) -> None:
        self._user_agent = self._reported = ""

    def subscribed_as(self, user_agent: str) -> None:
        """Note the user agent that came with mining.subscribe."""
        self._user_agent = _shared(printable(user_agent, MAX_USER_AGENT))

    def learn(self, text: str) -> bool:
        """Note something that the miner reports about itself. Return whether the description changed."""
        text = printable(text.strip(), MAX_REPORTED)
        if not text or text in self._reported or text in self._user_agent:
            return False
        before, self._reported = self._reported, f"{self._reported}; {text}".lstrip("; ")[:MAX_REPORTED]
        return self._reported != before

    def __str__(self) -> str:
        user_agent, reported = self._user_agent, self._reported
        return f"{user_agent}; {reported}" if user_agent and reported else user_agent or reported
