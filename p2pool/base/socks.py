"""SOCKS5 from the client's side (RFC 1928, RFC 1929), without sockets: what `base.outgoing` says to a proxy.

Names are sent to the proxy as they are, so nothing is resolved here. Besides CONNECT there is Tor's RESOLVE, with
which its proxy looks a name up.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote, urlsplit

from twisted.internet.error import ConnectError

from p2pool.base.endpoints import host_and_port
from p2pool.base.errors import OperatorError
from p2pool.base.hosts import parse_address
from p2pool.base.settings import Given

DEFAULT_PORT: Final = 9050
"""Tor's."""
MAX_FIELD: Final = 255
"""Bytes of a name, a user or a password."""
_VERSION, _LOGIN_VERSION = 5, 1
_NO_LOGIN, _LOGIN = 0, 2
_IPV4, _NAME, _IPV6 = 1, 3, 4
_REASONS: Final = {
    1: "general failure",
    2: "the proxy does not allow this connection",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "timed out",
    7: "command not supported",
    8: "address type not supported",
}
NOT_SUPPORTED: Final = 7
FORM: Final = "give socks5://[USER:PASSWORD@]HOST[:PORT]"


class SocksError(ConnectError):
    """The proxy cannot be used, or could not connect. `code` is its reply (RFC 1928, 6), 0 without one."""

    MESSAGE = "no connection through the proxy"

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(string=text)  # type: ignore[no-untyped-call]
        self.text = text
        self.code = code


class Command(Enum):
    """What a proxy is asked for."""

    CONNECT = 1
    RESOLVE = 0xF0
    """Tor's: reply with an address of a name."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A SOCKS5 proxy. Without `user`, each connection has a random one, if the proxy asks for any: Tor uses a
    circuit of its own for each, so that no exit sees which connections belong together."""

    host: str
    port: int
    user: str | None = None
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Return the URL without credentials."""
        return f"socks5://{host_and_port(self.host, self.port)}"

    def login(self, chance: random.Random) -> tuple[bytes, bytes]:
        """Return user and password of a new connection."""
        if self.user is None:
            return chance.randbytes(8).hex().encode(), b"0"
        return self.user.encode(), self.password.encode()


def read_proxy(given: Given) -> Proxy:
    """Return the proxy that a URL names. Raises OperatorError, which does not repeat the URL: it may hold a
    password."""
    refused: OperatorError = given.refused(FORM)
    try:
        parts = urlsplit(given.text)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise refused from None
    if parts.scheme not in ("socks5", "socks5h") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise refused
    user = None if parts.username is None else unquote(parts.username)
    password = unquote(parts.password or "")
    if user is not None and not (0 < len(user.encode()) <= MAX_FIELD and 0 < len(password.encode()) <= MAX_FIELD):
        raise given.refused(f"user and password have 1 to {MAX_FIELD} bytes each; {FORM}")
    return Proxy(parts.hostname, port, user, password)


class SocksHandshake:
    """What is said to the proxy until the connection is made (`done`). `begin` and `receive` return bytes to send.

    A handshake keeps less than 300 bytes and what arrived with them.
    """

    def __init__(
        self, proxy: Proxy, host: str, port: int, *, chance: random.Random, command: Command = Command.CONNECT
    ) -> None:
        self.is_let_in = False
        """Whether the proxy has accepted the login; the request is the next to be sent."""
        self.done = False
        self.address = ""
        """The address in the proxy's reply: for RESOLVE, that of the name."""
        self.rest = b""
        """What came after the reply: it is the other side's."""
        self._login = proxy.login(chance)
        self._request = bytes((_VERSION, command.value, 0)) + _packed_address(host) + port.to_bytes(2, "big")
        self._data = b""
        self._next = self._method

    def begin(self) -> bytes:
        """Return the greeting: the ways to log in that this side knows."""
        return bytes((_VERSION, 2, _NO_LOGIN, _LOGIN))

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the proxy. Raises SocksError."""
        self._data += data
        output = b""
        while not self.done and (answer := self._next()) is not None:
            output += answer
        return output

    def _take(self, size: int) -> bytes:
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _method(self) -> bytes | None:
        if self._data[:1] not in (b"", bytes((_VERSION,))):
            raise SocksError("what listens there is not a SOCKS5 proxy")
        if len(self._data) < 2:
            return None
        method = self._take(2)[1]
        if method == _NO_LOGIN:
            return self._ask()
        if method != _LOGIN:
            raise SocksError("the proxy asks for another login than user and password")
        self._next = self._logged_in
        user, password = self._login
        return bytes((_LOGIN_VERSION, len(user))) + user + bytes((len(password),)) + password

    def _logged_in(self) -> bytes | None:
        if len(self._data) < 2:
            return None
        if self._take(2)[1]:
            raise SocksError("the proxy rejects user and password")
        return self._ask()

    def _ask(self) -> bytes:
        self.is_let_in, self._next = True, self._reply
        return self._request

    def _reply(self) -> bytes | None:
        data = self._data
        if len(data) >= 2 and (data[0] != _VERSION or data[1]):
            code = data[1]
            raise SocksError(_REASONS.get(code, f"reply {code:#04x}") if code else "malformed reply", code)
        if len(data) < 5:
            return None
        kind = data[3]
        sizes = {_IPV4: 4, _IPV6: 16, _NAME: 1 + data[4]}
        if kind not in sizes:
            raise SocksError("malformed reply")
        if len(data) < 4 + sizes[kind] + 2:
            return None
        packed = self._take(4 + sizes[kind] + 2)[4:-2]
        self.address = "" if kind == _NAME else str(ip_address(packed))
        self.done, self.rest, self._data = True, self._data, b""
        return b""


def _packed_address(host: str) -> bytes:
    """Return a host as requests have it. Raises SocksError for a name that is too long."""
    address = parse_address(host)
    if address is not None:
        return bytes((_IPV4 if address.version == 4 else _IPV6,)) + address.packed
    try:
        name = host.encode("ascii") if host.isascii() else host.encode("idna")
    except UnicodeError:
        name = b""
    if not 0 < len(name) <= MAX_FIELD:
        raise SocksError("this is not the name of a host")
    return bytes((_NAME, len(name))) + name
