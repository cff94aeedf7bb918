"""What a process hands over to the next one: a record, and open sockets in the record's order."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from p2pool.base.errors import ParseError
from p2pool.base.plain_records import form_of, from_plain, to_plain
from p2pool.networks.parameters import Network
from p2pool.stratum.handover_basic import BasicSession, basic_sessions, saved_miners
from p2pool.stratum.handover_records import ConnectionRecord, MinersRecord


@dataclass(frozen=True, slots=True)
class PortRecord:
    """A port that listens: what for, and the interface and port of the settings."""

    purpose: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class SilentRecord:
    """A connection to a port of this purpose that is not identified yet; `unread` begins its PROXY header."""

    purpose: str
    unread: bytes


@dataclass(frozen=True, slots=True)
class HandoverRecord:
    """Everything that is handed over. The sockets are those of the ports, of silent connections, and of miners, in
    this order. `paused` is since when nobody serves the miners, in Unix seconds."""

    paused: float
    ports: tuple[PortRecord, ...]
    silent: tuple[SilentRecord, ...]
    miners: MinersRecord


@dataclass(frozen=True, slots=True)
class BasicRecord:
    """What every version of the program reads: ports, connections that are not identified, and saved sessions. Its
    form must not change."""

    paused: float
    network: str
    version_mask: int
    job_counter: int
    ports: tuple[PortRecord, ...]
    silent: tuple[SilentRecord, ...]
    sessions: tuple[BasicSession, ...]


BASIC_FORM: Final = form_of(BasicRecord)
"""The name of the form that all versions read; a test holds it to its value."""
FORM: Final = form_of(HandoverRecord)
"""The name of the form of all records: processes whose forms differ cannot read each other's state."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A record with its sockets."""

    record: HandoverRecord
    sockets: tuple[socket.socket, ...]

    def __post_init__(self) -> None:
        """Raise ParseError unless there are as many sockets as the record names."""
        wanted = len(self.record.ports) + len(self.record.silent) + len(self.record.miners.connections)
        if len(self.sockets) != wanted:
            raise ParseError(f"{len(self.sockets)} sockets instead of {wanted}")

    def port(self, purpose: str, address: tuple[str, int]) -> socket.socket | None:
        """Return the socket that listens for a purpose at the address of the settings; None if there is none."""
        return self._ports().get((purpose, *address))

    def _ports(self) -> dict[tuple[str, str, int], socket.socket]:
        keys = [(each.purpose, each.host, each.port) for each in self.record.ports]
        return dict(zip(keys, self.sockets, strict=False))

    @property
    def silent(self) -> list[tuple[SilentRecord, socket.socket]]:
        """Return the connections that are not identified yet."""
        start = len(self.record.ports)
        return list(zip(self.record.silent, self.sockets[start:], strict=False))

    @property
    def miners(self) -> list[tuple[ConnectionRecord, socket.socket]]:
        """Return the miners' connections."""
        start = len(self.record.ports) + len(self.record.silent)
        return list(zip(self.record.miners.connections, self.sockets[start:], strict=True))

    def document(self, *, whole: bool) -> bytes:
        """Return the record in JSON; unless `whole`, in the form that every version reads."""
        return orjson.dumps(to_plain(self.record if whole else _basic(self.record)))

    @classmethod
    def parse(
        cls, document: bytes, sockets: Sequence[socket.socket], *, whole: bool, network: Network
    ) -> HandedOver:
        """Return what `document` made, with these sockets. Raises ParseError."""
        try:
            plain: Any = orjson.loads(document)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"a state that is not JSON: {error}") from None
        if whole:
            return cls(from_plain(HandoverRecord, plain), tuple(sockets))
        return cls(_from_basic(from_plain(BasicRecord, plain), network), tuple(sockets))


def _basic(record: HandoverRecord) -> BasicRecord:
    """Return the part of a record without open connections that every version reads."""
    return BasicRecord(
        paused=record.paused,
        network=record.miners.jobs.network,
        version_mask=record.miners.version_mask,
        job_counter=record.miners.registry.counter,
        ports=record.ports,
        silent=record.silent,
        sessions=basic_sessions(record.miners),
    )


def _from_basic(basic: BasicRecord, network: Network) -> HandoverRecord:
    if basic.network != network.name:
        raise ParseError(f"sessions of the network {basic.network!r}, not {network.name!r}")
    try:
        miners = saved_miners(
            basic.sessions, network=network, version_mask=basic.version_mask, counter=basic.job_counter
        )
    except (ValueError, ArithmeticError) as error:
        raise ParseError(f"a session with a difficulty that makes no sense: {error}") from None
    return HandoverRecord(basic.paused, basic.ports, basic.silent, miners)
