"""The names of streams and keys in the broker, all below p2pool:NETWORK."""

from __future__ import annotations

from dataclasses import dataclass

NODE_GROUP = "node"
"""The consumer group of nodes on the streams of solutions and of sums."""


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
    def sums(self) -> str:
        """Return the stream of what gateways counted, which the node has not counted yet."""
        return self._name("sums")

    @property
    def counted(self) -> str:
        """Return the stream of the node's answers to sums: which of them it has counted."""
        return self._name("counted")

    @property
    def rejected(self) -> str:
        """Return the stream of solutions that the node could not read, kept for people to examine."""
        return self._name("rejected")

    @property
    def handovers(self) -> str:
        """Return the stream in which gateways claim sessions, and hand them over."""
        return self._name("handovers")

    def session(self, session_id: str) -> str:
        """Return the key of a miner's session."""
        return self._name(f"session:{session_id}")

    def prefix(self, prefix: int) -> str:
        """Return the key of the lease of a prefix of extranonce1."""
        return self._name(f"prefix:{prefix:02x}")

    def used_prefix(self, prefix: int) -> str:
        """Return the key that exists while there may be sessions under a prefix of extranonce1."""
        return self._name(f"used-prefix:{prefix:02x}")

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
