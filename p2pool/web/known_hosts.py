"""Which host names this node answers to if something is protected: the defence against DNS rebinding.

A page of another site can have its own host name resolve to this node, and browsers then treat what the node
answers as that site's own. The Host header still has the other site's name. IP addresses cannot be rebound, so
they are always known. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from p2pool.base.errors import OperatorError
from p2pool.base.hosts import parse_address
from p2pool.base.text import without_login

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,254}))(?::[0-9]{0,5})?")
"""A Host header: an address or a name, and perhaps a port."""
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
MAX_NAME = 253


def parse_host_name(flag: str, text: str) -> str:
    """Return the name of a host as Host headers have it; international names in their xn-- form. Raises
    OperatorError, which names `flag`."""
    name = text.strip().removesuffix(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            name = ""
    if parse_address(name.strip("[]")) is None and (len(name) > MAX_NAME or _NAME.fullmatch(name) is None):
        raise OperatorError(
            f"{flag} {without_login(text)!r}: give the name that browsers use for this node, like "
            "pool.example.org, without https:// and port"
        )
    return name


def machine_names(own: str) -> frozenset[str]:
    """Return the names that a machine whose host name is `own` has in its local network: the name, its first part,
    and that as multicast DNS knows it (NAME.local)."""
    name = own.strip().removesuffix(".").lower()
    if _NAME.fullmatch(name) is None:
        return frozenset()
    first = name.partition(".")[0]
    return frozenset({name, first, f"{first}.local"})


class KnownHosts:
    """The `names` that were given, localhost and names below it, and every IP address."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = frozenset(name.lower() for name in names)

    def knows(self, host: str) -> bool:
        """Return whether a Host header names this node. The port does not matter: rebinding cannot change it."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        address, name = match.groups()
        if address is not None:
            return parse_address(address) is not None
        name = name.removesuffix(".").lower()
        return (
            name in self.names
            or name == "localhost"
            or name.endswith(".localhost")  # RFC 6761: always this machine, never asked of DNS
            or parse_address(name) is not None
        )

    def stranger(self, hosts: Sequence[str], forwarded: Sequence[str]) -> str | None:
        """Return the host of a request that is not this node's; None if all are.

        `hosts` are the values of its Host header, `forwarded` those of X-Forwarded-Host if a trusted proxy sent
        it, of which the last one is the proxy's. A client without Host is not a browser. Both are checked: a page
        that got past its own host name could set the other header, but not Host.
        """
        if len(hosts) > 1:
            return ", ".join(hosts)
        last = ",".join(forwarded).rpartition(",")[2].strip(" \t")
        for host in (*hosts, *([last] if last else [])):
            if not self.knows(host.strip(" \t")):
                return host
        return None
