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
    def missing(self) -> str:
        """Return the stream of the keys of templates whose transactions a gateway did not find."""
        return self._name("missing")

    def template(self, key: bytes) -> str:
        """Return the key of the list of a template's transactions."""
        return self._name(f"template:{key.hex()}")

    def block_transactions(self, previous_block: bytes) -> str:
        """Return the table of the transactions that may follow a block, by the hash of their bytes."""
        return self._name(f"transactions:{previous_block[::-1].hex()}")
