"""How a connection begins: what this node reports of itself, and the states of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from p2pool.base.hosts import parse_address
from p2pool.networks.parameters import ANNOUNCED_PROTOCOL
from p2pool.peers.messages import PeerAddress, PeerVersion

NOWHERE = "0.0.0.0"


class PeerState(Enum):
    """What a connection is good for.

        AWAITING_VERSION --its `version` came--> READY
               |    ^                              |
               |    +-- `disown`: it is a second --+
               |        connection to the node     |
               +------ the connection ended -------+--> CLOSED

    Every other message before `version`, and a second `version`, are misbehaviour.
    """

    AWAITING_VERSION = "awaiting version"
    READY = "ready"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Introduction:
    """What this node says of itself in `version`."""

    prefix: bytes
    nonce: int
    sub_version: bytes
    best_share_hash: int | None
    host: str
    port: int

    def version_for(self, host: str, port: int) -> PeerVersion:
        """Return our `version` message to the peer at an address, or at a name, for which it has no place."""
        receiver = NOWHERE if parse_address(host) is None else host
        return PeerVersion(
            version=ANNOUNCED_PROTOCOL,
            services=0,
            receiver=PeerAddress(receiver, port),
            sender=PeerAddress(self.host, self.port),
            nonce=self.nonce,
            sub_version=self.sub_version,
            mode=1,
            best_share_hash=self.best_share_hash,
        )
