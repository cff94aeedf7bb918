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

    def transactions(self, key: bytes) -> str:
        """Return the key of a template's transactions."""
        return self._name(f"transactions:{key.hex()}")
