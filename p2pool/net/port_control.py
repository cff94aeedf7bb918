"""The packets with which a host asks its router to forward a port: PCP (RFC 6887) and NAT-PMP (RFC 6886). Pure.

Both run over UDP, on the router's port 5351. Numbers are big-endian. A router that knows only NAT-PMP refuses the
version of a PCP request, in a form that both protocols share.
"""

from __future__ import annotations

import struct
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, Protocol

from typing_extensions import override

from p2pool.base.errors import ParseError

CONTROL_PORT: Final = 5351
MAX_PACKET: Final = 1100
"""Bytes of the longest packet of PCP."""
NONCE_SIZE: Final = 12
_TCP = 6
_PCP_VERSION, _NAT_PMP_VERSION = 2, 0
_ANSWER = 0x80
"""Set in the operation of an answer."""
_ANNOUNCE, _PCP_MAP = 0, 1
_ADDRESS, _NAT_PMP_MAP_TCP = 0, 2
_UNSUPPORTED_VERSION = 1
_PCP_HEADER = struct.Struct(">BBBBII12x")
_PCP_MAPPING = struct.Struct(f">{NONCE_SIZE}sB3xHH16s")
_NAT_PMP_HEADER = struct.Struct(">BBHI")
_NAT_PMP_MAPPING = struct.Struct(">HHI")
_PCP_PROBLEMS = {
    1: "it does not support this version of PCP",
    2: "it does not permit that",
    3: "it calls the request malformed",
    4: "it does not support the operation",
    5: "it does not support an option",
    6: "it calls an option malformed",
    7: "it has no connection to the internet",
    8: "it has no resources left",
    9: "it does not forward TCP",
    10: "this host has too many mappings",
    11: "it cannot provide the outside address",
    12: "there is another router between it and this host",
    13: "too many peers",
}
_NAT_PMP_PROBLEMS = {
    1: "it does not support this version of NAT-PMP",
    2: "it does not permit that",
    3: "it has no connection to the internet",
    4: "it has no resources left",
    5: "it does not support the operation",
}


class Operation(Enum):
    """What a router is asked."""

    CHECK = "check"
    """Whether it is there, since when, and with NAT-PMP its outside address."""
    MAP = "map"
    """To forward the port, or with a lifetime of 0 no longer."""


class Answer(NamedTuple):
    """What a router says. `epoch` is the number of seconds since it began to keep mappings; `lifetime`, in
    seconds, and `port` are those of a mapping; `host` is the outside address, "" if the answer has none.

    `problem` says why it refuses, "" if it does not; `refuses_version` is set if it knows NAT-PMP only.
    """

    operation: Operation
    epoch: int
    problem: str = ""
    lifetime: int = 0
    host: str = ""
    port: int = 0
    refuses_version: bool = False


class Dialect(Protocol):
    """One of the two protocols."""

    name: str
    first_wait: float
    """Seconds until a request is repeated; twice as long each further time."""
    tries: int
    """How often a request is sent before the router counts as silent."""
    begins_with: Operation

    def check(self) -> bytes:
        """Return the request that asks whether the router is there."""

    def map(self, lifetime: int, host: str, port: int) -> bytes:
        """Return the request for a mapping of `lifetime` seconds; it suggests an outside address ("" for none)
        and port."""

    def read(self, data: bytes) -> Answer:
        """Return what an answer says. Raises ParseError if it is none, or one of another mapping."""

    def has_restarted(self, before: tuple[int, float], after: tuple[int, float]) -> bool:
        """Return whether the router lost its mappings between two answers; each is its epoch, and when it came by
        this host's clock, in seconds."""


class Pcp(Dialect):
    """PCP for the host at `client`, which listens on `port`. The nonce shows the router that later requests come
    from who made the mapping; nobody can answer who has not seen a request."""

    name = "PCP"
    first_wait = 3.0
    tries = 3
    begins_with = Operation.MAP

    def __init__(self, client: IPv4Address | IPv6Address, port: int, nonce: bytes) -> None:
        if len(nonce) != NONCE_SIZE:
            raise ValueError(f"a nonce has {NONCE_SIZE} bytes, not {len(nonce)}")
        self._client = _sixteen_bytes(client)
        self._none = _sixteen_bytes(type(client)(0))
        self._port = port
        self._nonce = nonce

    def _request(self, operation: int, lifetime: int, rest: bytes = b"") -> bytes:
        return struct.pack(">BBxxI16s", _PCP_VERSION, operation, lifetime, self._client) + rest

    @override
    def check(self) -> bytes:
        return self._request(_ANNOUNCE, 0)

    @override
    def map(self, lifetime: int, host: str, port: int) -> bytes:
        outside = _sixteen_bytes(_address(host)) if host else self._none
        return self._request(_PCP_MAP, lifetime, _PCP_MAPPING.pack(self._nonce, _TCP, self._port, port, outside))

    @override
    def read(self, data: bytes) -> Answer:
        if _refuses_pcp(data):
            return Answer(Operation.MAP, 0, refuses_version=True)
        if not _PCP_HEADER.size <= len(data) <= MAX_PACKET or len(data) % 4:
            raise ParseError(f"a PCP answer of {len(data)} bytes")
        version, operation, _, result, lifetime, epoch = _PCP_HEADER.unpack_from(data)
        if not operation & _ANSWER:
            raise ParseError("a PCP request in place of an answer")
        problem = _PCP_PROBLEMS.get(result, f"result {result}") if result else ""
        if version != _PCP_VERSION:
            if result != _UNSUPPORTED_VERSION:
                raise ParseError(f"an answer of version {version}")
            return Answer(Operation.MAP, epoch, problem)
        if operation == _ANSWER | _ANNOUNCE:
            return Answer(Operation.CHECK, epoch, problem)
        if operation != _ANSWER | _PCP_MAP:
            raise ParseError(f"an answer to PCP operation {operation & ~_ANSWER}")
        if len(data) < _PCP_HEADER.size + _PCP_MAPPING.size:
            raise ParseError(f"a PCP mapping of {len(data)} bytes")
        nonce, protocol, inside, port, outside = _PCP_MAPPING.unpack_from(data, _PCP_HEADER.size)
        if nonce != self._nonce:
            raise ParseError("a PCP mapping with another nonce")
        if (protocol, inside) != (_TCP, self._port):
            raise ParseError(f"a PCP mapping of port {inside}, protocol {protocol}")
        host = IPv6Address(outside)
        return Answer(Operation.MAP, epoch, problem, lifetime, str(host.ipv4_mapped or host), port)

    @override
    def has_restarted(self, before: tuple[int, float], after: tuple[int, float]) -> bool:
        """Follow RFC 6887, section 8.5."""
        server, client = after[0] - before[0], after[1] - before[1]
        return server < -1 or client + 2 < server - server / 16 or server + 2 < client - client / 16


class NatPmp(Dialect):
    """NAT-PMP for a host that listens on `port`, over IPv4."""

    name = "NAT-PMP"
    first_wait = 0.25
    tries = 9
    begins_with = Operation.CHECK  # only that has the outside address

    def __init__(self, port: int) -> None:
        self._port = port

    @override
    def check(self) -> bytes:
        return bytes((_NAT_PMP_VERSION, _ADDRESS))

    @override
    def map(self, lifetime: int, host: str, port: int) -> bytes:
        head = bytes((_NAT_PMP_VERSION, _NAT_PMP_MAP_TCP, 0, 0))
        return head + _NAT_PMP_MAPPING.pack(self._port, port, lifetime)

    @override
    def read(self, data: bytes) -> Answer:
        if not _NAT_PMP_HEADER.size <= len(data) <= 16:
            raise ParseError(f"a NAT-PMP answer of {len(data)} bytes")
        version, operation, result, epoch = _NAT_PMP_HEADER.unpack_from(data)
        body = data[_NAT_PMP_HEADER.size :]
        asked = {_ANSWER | _ADDRESS: Operation.CHECK, _ANSWER | _NAT_PMP_MAP_TCP: Operation.MAP}.get(operation)
        if version != _NAT_PMP_VERSION or asked is None:
            raise ParseError(f"an answer of version {version} to operation {operation & ~_ANSWER}")
        if result:
            return Answer(asked, epoch, _NAT_PMP_PROBLEMS.get(result, f"result {result}"))
        if len(body) != (4 if asked is Operation.CHECK else _NAT_PMP_MAPPING.size):
            raise ParseError(f"a NAT-PMP answer of {len(data)} bytes")
        if asked is Operation.CHECK:
            return Answer(asked, epoch, host=str(IPv4Address(body)))
        inside, port, lifetime = _NAT_PMP_MAPPING.unpack(body)
        if inside != self._port:
            raise ParseError(f"a NAT-PMP mapping of port {inside}")
        return Answer(asked, epoch, lifetime=lifetime, port=port)

    @override
    def has_restarted(self, before: tuple[int, float], after: tuple[int, float]) -> bool:
        """Follow RFC 6886, section 3.6."""
        return after[0] < before[0] + (after[1] - before[1]) * 7 / 8 - 2


def _refuses_pcp(data: bytes) -> bool:
    """Return whether a router answers in NAT-PMP that it does not know the version of a PCP request."""
    if len(data) < _NAT_PMP_HEADER.size:
        return False
    version, operation, result, _ = _NAT_PMP_HEADER.unpack_from(data)
    return (version, operation & _ANSWER, result) == (_NAT_PMP_VERSION, _ANSWER, _UNSUPPORTED_VERSION)


def _address(host: str) -> IPv4Address | IPv6Address:
    return IPv6Address(host) if ":" in host else IPv4Address(host)


def _sixteen_bytes(address: IPv4Address | IPv6Address) -> bytes:
    """Return an address as PCP has it: one of IPv4 as ::ffff:a.b.c.d."""
    return bytes(10) + b"\xff\xff" + address.packed if address.version == 4 else address.packed
