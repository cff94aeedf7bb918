"""What happens on a miner's connection: the events that `miner_session` reports to its owner."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.simnet.miner_work import FoundShare, Work


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The server gave the extranonces. `session_id` can be shown to it after a reconnect."""

    session_id: str | None


@dataclass(frozen=True, slots=True)
class Authorized:
    """Work can be submitted."""


@dataclass(frozen=True, slots=True)
class HandshakeRefused:
    """The server refused `method`, without which there is nothing to do here."""

    method: str
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class WorkChanged:
    """Hash this from now on."""

    work: Work


@dataclass(frozen=True, slots=True)
class ShareAccepted:
    """The server took the share, `latency` seconds after it was sent."""

    share: FoundShare
    latency: float


@dataclass(frozen=True, slots=True)
class ShareRefused:
    """The server refused the share."""

    share: FoundShare
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class ReconnectRequested:
    """Connect again after `wait` seconds, to another place if `host` or `port` is given."""

    host: str | None
    port: int | None
    wait: float


@dataclass(frozen=True, slots=True)
class MessageShown:
    """The server has something to say to the miner's operator."""

    text: str


@dataclass(frozen=True, slots=True)
class ServerFault:
    """A line that is not stratum. `fatal`: the connection is of no more use."""

    text: str
    fatal: bool = False


Event = (
    Subscribed
    | Authorized
    | HandshakeRefused
    | WorkChanged
    | ShareAccepted
    | ShareRefused
    | ReconnectRequested
    | MessageShown
    | ServerFault
)
