"""What addresses of nodes have in common: neighbourhoods, which of them may be dialled or sent to whom, and
which hosts are banned. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from p2pool.base.hosts import host_key, is_global
from p2pool.peers.messages import PeerAddress

MAX_BANS = 10_000
BAN_TIME = 3600.0


@lru_cache(maxsize=4096)
def _parse(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a text is; None if it is none. The same few are asked for again and again."""
    try:
        return ip_address(host)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def group_of(host: str) -> str:
    """Return the neighbourhood of a host, or of a network as `host_key` gives it: /16 of IPv4, /32 of IPv6, the
    text itself if it is not an address."""
    address = _parse(host.partition("/")[0])
    if address is None:
        return host
    number = int(address)
    if address.version == 4:
        return f"{number >> 24}.{number >> 16 & 255}.0.0/16"
    return f"{IPv6Address(number >> 96 << 96)}/32"


def dial_group(host: str, port: int) -> str:
    """Return what at most one outgoing connection should lead to: the neighbourhood of a global address, the
    host in a private network, the port on this machine. Test networks have many nodes in one neighbourhood."""
    address = _parse(host)
    if address is None or is_global(address):
        return group_of(host)
    return f"{host} port {port}" if address.is_loopback else host


def source_group(host: str) -> str:
    """Return what a peer that sends addresses is counted as: the neighbourhood of a global address, else the
    host."""
    address = _parse(host)
    return group_of(host) if address is None or is_global(address) else host


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    address = _parse(host)
    return host == "localhost" if address is None else address.is_loopback


def is_dialable(address: PeerAddress, heard_from: str) -> bool:
    """Return whether a node may listen there. Addresses of private networks are believed only to one of them, so
    that nobody outside makes this node try the addresses of its own network."""
    if not 0 < address.port < 65536:
        return False
    ip, source = _parse(address.host), _parse(heard_from)
    if ip is None or ip.is_unspecified or ip.is_multicast:
        return False
    return is_global(ip) or (source is not None and not is_global(source))


def may_be_told(host: str, to: str) -> bool:
    """Return whether a node at `to` may be sent the address `host`: those of a private network are sent only
    inside one, and those of this machine only to this machine."""
    address, recipient = _parse(host), _parse(to)
    if address is None or recipient is None:
        return False
    if address.is_loopback:
        return recipient.is_loopback
    return is_global(address) or not is_global(recipient)


class Bans:
    """Banned hosts, and until when (Unix seconds). A host is what `host_key` says: an IPv4 address, or the
    network of 64 bits of an IPv6 one.

    Bound: MAX_BANS. Beyond it the oldest of the neighbourhood with most bans goes, so that nobody who has many
    addresses frees others by being banned.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._groups: dict[str, dict[str, None]] = {}
        """The hosts of each neighbourhood, those banned last at the end."""

    def __len__(self) -> int:
        return len(self._until)

    def ban(self, host: str, now: float, seconds: float = BAN_TIME) -> None:
        """Ban a host, but never this machine."""
        if is_loopback(host):
            return
        key = host_key(host)
        until = max(self._until.get(key, 0.0), now + seconds)
        self._lift(key)
        self._until[key] = until
        self._groups.setdefault(group_of(key), {})[key] = None
        if len(self._until) > MAX_BANS:
            expired = next((each for each, until in self._until.items() if until <= now), None)
            greediest = max(self._groups, key=lambda group: len(self._groups[group]))
            self._lift(expired or next(iter(self._groups[greediest])))

    def _lift(self, key: str) -> None:
        if self._until.pop(key, None) is not None:
            group = group_of(key)
            del self._groups[group][key]
            if not self._groups[group]:
                del self._groups[group]

    def is_banned(self, host: str, now: float) -> bool:
        """Return whether the host is banned now."""
        key = host_key(host)
        until = self._until.get(key)
        if until is None:
            return False
        if now >= until:
            self._lift(key)
            return False
        return True

    def to_json(self) -> dict[str, float]:
        """Return the bans as they are in the file."""
        return dict(self._until)

    def read_json(self, value: object, now: float) -> None:
        """Load what `to_json` gave."""
        items: Iterable[tuple[object, object]] = value.items() if isinstance(value, dict) else ()
        for host, until in items:
            if isinstance(host, str) and isinstance(until, int | float) and now < until <= now + BAN_TIME:
                self.ban(host, now, until - now)
