"""Where other daemons listen: what `getaddr` is answered with. Filled and read by the p2p sessions."""

from __future__ import annotations

import ipaddress

from p2pool.base.bounded import BoundedDict
from p2pool.dash.messages import MAX_ADDRESSES, NetworkAddress, TimedAddress


class RelayedAddresses:
    """The addresses that are known, at most as many as one `addr` message carries: the oldest give way."""

    def __init__(self) -> None:
        self._seen: BoundedDict[tuple[str, int], TimedAddress] = BoundedDict(MAX_ADDRESSES)

    def add(self, entry: TimedAddress) -> None:
        """Remember an address, or that it was seen again."""
        address = entry.address
        if not 0 < address.port <= 65535 or not _is_host(address.ip):
            return
        known = self._seen.get((address.ip, address.port))
        if known is None or entry.time > known.time:
            self._seen[address.ip, address.port] = entry

    def connected(self, host: str, port: int, *, services: int, now: float) -> None:
        """Note that a connection to an address was made; a name in place of an address is not passed on to
        others."""
        self.add(TimedAddress(int(now), NetworkAddress(services, host, port)))

    def entries(self) -> tuple[TimedAddress, ...]:
        """Return all known addresses."""
        return tuple(self._seen.values())


def _is_host(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False
