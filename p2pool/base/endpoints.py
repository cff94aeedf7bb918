"""Hosts with ports as people and programs read them, this machine's own loopback address, and why a port cannot be
opened. IPv6 addresses are in brackets wherever a port may follow (RFC 3986, 3.2.2)."""

from __future__ import annotations

import errno
import re
import socket
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from twisted.internet.error import CannotListenError

from p2pool.base.errors import OperatorError, ParseError
from p2pool.base.hosts import parse_address

IPV4_LOOPBACK: Final = "127.0.0.1"
IPV6_LOOPBACK: Final = "::1"
_NO_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


HOST: Final = r"(?:[^\[\]:\s\x00-\x1f\x7f]+)"
"""Matches the name or IPv4 address of a host that a port may follow."""


def parse_host_and_port(text: str) -> tuple[str, int]:
    """Return (host, port) of HOST or HOST:PORT, with an IPv6 address in brackets if a port follows; port 0 if none
    is given. Raises ParseError."""
    if re.fullmatch(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*", text):
        return text, 0
    match = re.fullmatch(rf"(?:\[([0-9a-fA-F:.%\w]+)\]|({HOST}))(?::([0-9]{{1,5}}))?", text)
    if match is None or (match[3] is not None and not 0 < int(match[3]) < 65536):
        raise ParseError("give ADDR or ADDR:PORT")
    return match[1] or match[2], int(match[3] or 0)


def host_in_url(host: str) -> str:
    """Return a host as URLs have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def host_and_port(host: str, port: int) -> str:
    """Return HOST:PORT, or [ADDRESS]:PORT for an IPv6 address."""
    return f"{host_in_url(host)}:{port}"


@cache
def loopback_address() -> str:
    """Return the address under which this machine reaches itself: 127.0.0.1, or ::1 if it has no IPv4."""
    for family, address in ((socket.AF_INET, IPV4_LOOPBACK), (socket.AF_INET6, IPV6_LOOPBACK)):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((address, 0))
        except OSError:
            continue
        return address
    return IPV4_LOOPBACK


def reachable_host(listening: str) -> str:
    """Return the host under which this machine's own programs reach a port that listens on the interface
    `listening`, "" or an unspecified address for all of them."""
    if listening == "0.0.0.0":
        return IPV4_LOOPBACK
    return loopback_address() if listening in ("", "::") else listening


def family_of(host: str) -> str:
    """Return "IPv4" or "IPv6" for an address."""
    return "IPv6" if ":" in host else "IPv4"


def cannot_listen(error: CannotListenError, address: tuple[str, int], *, purpose: str, flag: str) -> OperatorError:
    """Return the error of a port for `purpose` that cannot be opened at `address` (interface, port); it names
    `flag`."""
    host, port = address
    reason: object = error.socketError
    why = _why_not_listening(reason, host) if isinstance(reason, Exception) else str(reason)
    return OperatorError(f"cannot listen on port {port} for {purpose} ({why}): choose another one with {flag}")


def _why_not_listening(error: Exception, host: str) -> str:
    """Return why a port could not be opened on the interface `host`, "" for all of them. `error` is the
    system's."""
    code = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror):
        return f"{host} is not an address of this machine: the name cannot be resolved"
    if code in _NO_ADDRESS and host:
        return f"this machine has no {family_of(host)} address {host}"
    if code in _NO_ADDRESS:
        return "this machine has neither IPv4 nor IPv6"
    return str(error)


def unreachable_hint(error: Exception, host: str) -> str:
    """Return what to add to the text of a failed connection to the address `host`: "" unless this machine has no
    route to addresses of its kind."""
    code = getattr(error, "osError", None)
    if code not in (errno.ENETUNREACH, *_NO_ADDRESS):
        return ""
    other = "IPv4" if ":" in host else "IPv6"
    return f" This machine has no {family_of(host)} route to {host}: give an {other} address if it has one."


def is_of_this_machine(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is one of this machine: the system would then connect from that same address.
    Nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return parse_address(probe.getsockname()[0]) == address
    except OSError:
        return False  # no way leads there
