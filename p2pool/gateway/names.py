"""The names of streams and keys in the broker, all below p2pool:NETWORK."""

from __future__ import annotations

from dataclasses import dataclass

NODE_GROUP = "node"
"""The consumer group of nodes on the stream of solutions."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names for one network."""

    network: str

    def _name(self, what: str) -> str:
        return f"p2pool:{self.network}:{what}"

    @property
    def work(self) -> str:
        """Return the stream of new work."""
        return self._name("work")

    @property
    def solutions(self) -> str:
        """Return the stream of solved work, which the node has not taken yet."""
        return self._name("solutions")

    @property
    def taken(self) -> str:
        """Return the stream of the hashes of solutions that the node has taken and stored."""
        return self._name("taken")

    @property
    def rejected(self) -> str:
        """Return the stream of solutions that the node could not read, kept for people to examine."""
        return self._name("rejected")

    @property
    def actions(self) -> str:
        """Return the stream of operators' actions and bans, for all gateways."""
        return self._name("actions")

    @property
    def action_results(self) -> str:
        """Return the stream of what gateways answer to actions."""
        return self._name("action-results")

    @property
    def bans(self) -> str:
        """Return the table of the bans of miners' hosts."""
        return self._name("bans")

    @property
    def version_mask(self) -> str:
        """Return the key of the header version bits that miners may roll."""
        return self._name("version-mask")

    @property
    def members(self) -> str:
        """Return the group of the processes that have miners, with their connections by host."""
        return self._name("members")

    def transactions(self, key: bytes) -> str:
        """Return the key of a template's transactions."""
        return self._name(f"transactions:{key.hex()}")
