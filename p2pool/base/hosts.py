"""Which host an address belongs to: all addresses that one customer of a provider gets count as one."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from p2pool.base.text import printable

IpNetwork = IPv4Network | IPv6Network


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that `text` is, as IPv4 if it is an IPv4-mapped IPv6 one (::ffff:10.0.0.1); else None."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=4096)
def host_key(host: str) -> str:
    """Return the host that an address belongs to: an IPv4 address, or the network of 64 bits of an IPv6 one. A
    text that is not an address is returned, made printable."""
    address = parse_address(host)
    if address is None:
        return printable(host)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False))
    return str(address)


@lru_cache(maxsize=4096)
def site_key(host: str) -> str:
    """Return the site that a host (an address, or what `host_key` gave) belongs to: an IPv4 address, or the IPv6
    network of 48 bits, the most that one customer usually gets. Shared tables give sites equal shares: 65,536
    networks of 64 bits in one /48 count as one."""
    address = parse_address(host.partition("/")[0])
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 48), strict=False))
    return printable(host) if address is None else str(address)


def is_in(host: str, networks: tuple[IpNetwork, ...]) -> bool:
    """Return whether an address is in one of the networks."""
    address = parse_address(host) if networks else None
    return address is not None and any(address in network for network in networks)


_NAT64 = ip_network("64:ff9b::/96")


def is_global(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is globally reachable: not of this machine, a private network, a link, or for
    special use, nor an IPv6 address that embeds such an IPv4 one (mapped, 6to4, Teredo, NAT64)."""
    if isinstance(address, IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
        if any(each is not None and not is_global(each) for each in inner):
            return False
        if address.ipv4_mapped is not None or address.sixtofour is not None:
            return True
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class NetworkKind(Enum):
    """The networks that addresses belong to, as --onlynet names them."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    ONION = "onion"


EVERY_KIND = frozenset(NetworkKind)


def is_onion(host: str) -> bool:
    """Return whether a host is an onion service, which only Tor can reach."""
    return host.lower().rstrip(".").endswith(".onion")


def kinds_of(host: str) -> frozenset[NetworkKind]:
    """Return the networks that a host may be in: a name may have addresses of IPv4 and of IPv6."""
    if is_onion(host):
        return frozenset({NetworkKind.ONION})
    address = parse_address(host.partition("%")[0])
    if address is None:
        return frozenset({NetworkKind.IPV4, NetworkKind.IPV6})
    return frozenset({NetworkKind.IPV4 if address.version == 4 else NetworkKind.IPV6})


_NEAR = tuple(
    ip_network(each)
    for each in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)


def is_near(host: str) -> bool:
    """Return whether a host is written as one of this machine or of a private network. Other names are not: to
    find out, somebody would have to be asked."""
    return host.lower() == "localhost" or is_in(host.partition("%")[0], _NEAR)
