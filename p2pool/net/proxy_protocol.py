"""The header of the PROXY protocol, in which a load balancer names the client of a connection.

Bytes in, an address out; no sockets. The port feeds a `HeaderReader` with the first bytes of a load balancer's
connection, and only if that load balancer is trusted: who can send a header can claim any address. Versions 1 (a
line of text) and 2 (binary) of https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt, whose sections are
named below. twisted.protocols.haproxy is not used: it closes the connection if the first piece of a header is
shorter than 16 bytes (8 of version 1), and takes anything in the line of version 1 for an address and a port.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from p2pool.base.errors import ParseError

MAX_LINE: Final = 107
"""Bytes of the longest line of version 1, with CR LF (section 2.1)."""
MAX_BLOCK: Final = 1024
"""Bytes that version 2 may announce after its first 16. The specification allows 65535 and expects a header to fit
into 536; two UNIX addresses take 216, and load balancers add some hundred bytes of TLVs."""

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_TCP4: Final = b"PROXY TCP4 "
_TCP6: Final = b"PROXY TCP6 "
_UNKNOWN: Final = b"PROXY UNKNOWN"
_OPENINGS: Final = (_SIGNATURE, _TCP4, _TCP6, _UNKNOWN + b" ", _UNKNOWN + b"\r\n")
"""All beginnings of a header."""
_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")
_NOT_IN_ADDRESSES: Final = re.compile(rb"[^0-9A-Fa-f:. ]")

_FIXED: Final = 16
"""Bytes of version 2 before the addresses: signature, version and command, family and protocol, length."""
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_ADDRESS_BYTES: Final = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
"""Family and protocol -> the least number of bytes of the two addresses and ports (section 2.2)."""
_TCP_OVER_IPV4: Final = 0x11
_TCP_OVER_IPV6: Final = 0x21
_LAST_FAMILY: Final = 3
_LAST_PROTOCOL: Final = 2


@dataclass(frozen=True, slots=True)
class ProxiedFrom:
    """The client of a connection, and the first bytes that it sent itself."""

    host: str | None
    """The canonical text of an address, IPv4 for an IPv4-mapped one; None if the connection's own address
    counts."""
    port: int
    """The client's TCP port; 0 without a host."""
    rest: bytes
    """The bytes after the header."""


class HeaderReader:
    """Reads a connection's first bytes, in pieces of any size, until the header is complete.

    Bound: keeps fewer than MAX_LINE or 16 + MAX_BLOCK bytes between calls, and nothing afterwards.
    """

    __slots__ = ("_buffer", "_error", "_found")

    def __init__(self) -> None:
        self._buffer = b""
        self._found: ProxiedFrom | None = None
        self._error: str | None = None

    @property
    def unread(self) -> bytes:
        """Return what was read of a header that is not complete."""
        return self._buffer

    def feed(self, data: bytes) -> ProxiedFrom | None:
        """Return the result, or None while bytes are missing. Raises ParseError as soon as it cannot be a header.

        If it is fed again, it returns the same result with the new bytes as `rest`, or raises the same error: a
        transport that is closing may still deliver bytes.
        """
        if self._error is not None:
            raise ParseError(self._error)
        if self._found is not None:
            return replace(self._found, rest=data)
        self._buffer += data
        try:
            self._found = _read(self._buffer)
        except ParseError as error:
            self._error = str(error)
            self._buffer = b""
            raise
        if self._found is not None:
            self._buffer = b""
            found, self._found = self._found, replace(self._found, rest=b"")
            return found
        return None


def _read(buffer: bytes) -> ProxiedFrom | None:
    """Return what the header in a connection's bytes says; None while it is incomplete. Raises ParseError."""
    for opening in _OPENINGS:
        if buffer.startswith(opening):
            return _read_binary(buffer) if opening == _SIGNATURE else _read_line(buffer, opening)
    if not any(opening.startswith(buffer) for opening in _OPENINGS):
        raise ParseError(f"PROXY protocol: no header begins with {buffer[: len(_SIGNATURE)]!r}")
    return None


def _read_line(buffer: bytes, opening: bytes) -> ProxiedFrom | None:
    """Read version 1, section 2.1: one line that begins with `opening`. None while it has no end. Raises
    ParseError."""
    is_tcp = opening in (_TCP4, _TCP6)
    end = buffer.find(b"\r\n", 0, MAX_LINE)
    if is_tcp:
        # While the line has no end, a CR may be its last byte so far: the LF has to follow.
        text = buffer[len(opening) : MAX_LINE].removesuffix(b"\r") if end < 0 else buffer[len(opening) : end]
        wrong = _NOT_IN_ADDRESSES.search(text)
        if wrong is not None:
            raise ParseError(f"PROXY protocol: {wrong.group()!r} among addresses and ports")
    if end < 0:
        if len(buffer) >= MAX_LINE:
            raise ParseError(f"PROXY protocol: a line of more than {MAX_LINE} bytes")
        return None
    # After UNKNOWN, the rest of the line must be ignored.
    host, port = _read_fields(buffer[len(opening) : end].decode("ascii"), opening) if is_tcp else (None, 0)
    return ProxiedFrom(host, port, buffer[end + 2 :])


def _read_fields(text: str, opening: bytes) -> tuple[str, int]:
    """Return the source's address and port of source and destination address and ports. Raises ParseError."""
    fields = text.split(" ")
    if len(fields) != 4:
        raise ParseError(f"PROXY protocol: {len(fields)} fields instead of two addresses and two ports")
    host, _ = (_address(field, opening) for field in fields[:2])
    port, _ = (_port(field) for field in fields[2:])
    return host, port


def _address(text: str, opening: bytes) -> str:
    """Return the canonical text of an address of the announced family. Raises ParseError."""
    try:
        return str(IPv4Address(text)) if opening == _TCP4 else _ipv6_text(IPv6Address(text))
    except AddressValueError:
        raise ParseError(f"PROXY protocol: {text!r} is not an address of {opening[6:10].decode()}") from None


def _ipv6_text(address: IPv6Address) -> str:
    return str(address.ipv4_mapped or address)


def _port(text: str) -> int:
    """Return a decimal number from 0 to 65535 without leading zeros. Raises ParseError."""
    if _PORT.fullmatch(text) is None or int(text) > 0xFFFF:
        raise ParseError(f"PROXY protocol: {text!r} is not a port")
    return int(text)


def _read_binary(buffer: bytes) -> ProxiedFrom | None:
    """Read version 2, section 2.2, which begins with the signature. None while bytes are missing. Raises
    ParseError."""
    _check_fixed_part(buffer)
    if len(buffer) < _FIXED:
        return None
    command, family = buffer[12], buffer[13]
    length = int.from_bytes(buffer[14:16], "big")
    if len(buffer) < _FIXED + length:
        return None
    rest = buffer[_FIXED + length :]
    # Section 2.2 lets a receiver treat what it does not implement as UNSPEC: here datagrams and UNIX sockets.
    # LOCAL is the load balancer itself, which checks whether this port answers.
    if command == _PROXY and family == _TCP_OVER_IPV4:
        host = str(IPv4Address(buffer[16:20]))
        return ProxiedFrom(host, int.from_bytes(buffer[24:26], "big"), rest)
    if command == _PROXY and family == _TCP_OVER_IPV6:
        host = _ipv6_text(IPv6Address(buffer[16:32]))
        return ProxiedFrom(host, int.from_bytes(buffer[48:50], "big"), rest)
    return ProxiedFrom(None, 0, rest)


def _check_fixed_part(buffer: bytes) -> None:
    """Check the bytes between signature and addresses, as far as they have come. Raises ParseError."""
    if len(buffer) > 12 and buffer[12] not in (_LOCAL, _PROXY):
        raise ParseError(f"PROXY protocol: version and command 0x{buffer[12]:02x}")
    # With LOCAL the family is ignored, whatever it says.
    is_proxy = len(buffer) > 13 and buffer[12] == _PROXY
    if is_proxy and (buffer[13] >> 4 > _LAST_FAMILY or buffer[13] & 15 > _LAST_PROTOCOL):
        raise ParseError(f"PROXY protocol: address family and protocol 0x{buffer[13]:02x}")
    if len(buffer) < _FIXED:
        return
    length = int.from_bytes(buffer[14:16], "big")
    least = _ADDRESS_BYTES.get(buffer[13], 0) if is_proxy else 0
    if not least <= length <= MAX_BLOCK:
        raise ParseError(f"PROXY protocol: {length} bytes of addresses; {least} to {MAX_BLOCK} are allowed")
