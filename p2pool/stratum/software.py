"""What a miner says of its machine: its user agent, and what it answers when it is asked."""

from __future__ import annotations

from typing import Final

from p2pool.base.text import printable

MAX_USER_AGENT: Final = 128
MAX_SAID: Final = 128
"""Characters of all that is said beside the user agent."""


class Software:
    """One machine's; as a text for people, empty where it said nothing."""

    __slots__ = ("_said", "_user_agent")

    def __init__(self) -> None:
        self._user_agent = self._said = ""

    def subscribed_as(self, user_agent: str) -> None:
        """The name that came with mining.subscribe."""
        self._user_agent = printable(user_agent, MAX_USER_AGENT)

    def learn(self, text: str) -> bool:
        """Something that it says of itself; whether the text is another one now."""
        text = printable(text.strip(), MAX_SAID)
        if not text or text in self._said or text in self._user_agent:
            return False
        before, self._said = self._said, f"{self._said}; {text}".lstrip("; ")[:MAX_SAID]
        return self._said != before

    def __str__(self) -> str:
        return "; ".join(part for part in (self._user_agent, self._said) if part)
