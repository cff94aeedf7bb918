"""The operator's actions on miners, as one object. The web layer declares the same methods as its port.

Times are in seconds. Actions take effect at once, and messages return how many connections they reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hmac import compare_digest
from ipaddress import ip_address, ip_network

from twisted.logger import Logger

from p2pool.base.endpoints import host_and_port
from p2pool.base.text import printable
from p2pool.pool_stats import BanRecord
from p2pool.stratum.guard import MAX_REASON
from p2pool.stratum.server import StratumServer
from p2pool.stratum.session import Session
from p2pool.stratum.username import secret_hash

_log = Logger(namespace="p2pool.stratum")

MAX_MESSAGE = 400
MAX_WAIT = 3600
MAX_BAN = 10 * 366 * 86400.0


class Operator:
    """Messages, bans and settings of a running server. Raises ValueError with a text for people if an argument
    makes no sense."""

    def __init__(self, server: StratumServer, clock: Callable[[], float]) -> None:
        self._server = server
        self._clock = clock

    def show_message(self, text: str, worker: str | None = None) -> int:
        """Send client.show_message to all connections, or to those of `worker` (`address.name`)."""
        text = printable(text.strip(), MAX_MESSAGE)
        if not text:
            raise ValueError("an empty message")
        reached = self._each(worker, lambda session, now: session.show_message(text, now))
        _log.info("sent a message to {count} connections: {text}", count=reached, text=text)
        return reached

    def reconnect(self, *, host: str = "", port: int = 0, wait: int = 0, worker: str | None = None) -> int:
        """Send client.reconnect to all connections, or to those of one worker: they reconnect after `wait` seconds
        to `host` and `port`, by default the present ones.

        What is not given is sent as null: miners of the cgminer family then keep the present value, while an empty
        host makes cgminer reject the whole message, and 0 is not a port.
        """
        if (host or port) and not 0 < port < 65536:
            raise ValueError(f"port {port}: a port is between 1 and 65535")
        if not 0 <= wait <= MAX_WAIT:
            raise ValueError(f"wait {wait}: give seconds between 0 and {MAX_WAIT}")
        target: list[str | int | None] = [printable(host, 253) or None, port or None, wait]
        if target == [None, None, 0]:
            target = []
        reached = self._each(worker, lambda session, now: session.reconnect(target, now))
        _log.info(
            "asked {count} connections to reconnect to {host} in {wait} s",
            count=reached,
            host=host_and_port(host or "this host", port) if port else "the same host and port",
            wait=wait,
        )
        return reached

    def set_version_mask(self, mask: int) -> int:
        """Set the header version bits that miners may roll, and notify those that negotiated version rolling.
        Return how many these are."""
        if not 0 <= mask <= 0xFFFFFFFF:
            raise ValueError(f"mask {mask:x}: give 32 bits")
        former = self._server.version_mask
        self._server.set_version_mask(mask)
        if mask != former:
            _log.info("set the version mask of miners to {mask:08x}", mask=mask)

        for session in list(self._server.connections):  # miners that are not authorized yet are notified later
            self._server.serve(session, session.pool_mask_changed, self._clock())
        return sum(session.version_mask is not None for session in self._server.connections)

    def has_secret(self, address: str, secret: str) -> bool:
        """Return whether a connected miner of an address has this secret for alerts in its password."""
        expected = secret_hash(secret)
        if expected is None:
            return False
        known = [
            session.alert_secret
            for session in self._server.connections
            if session.alert_secret is not None and session.payee is not None and session.payee.address == address
        ]
        return any(compare_digest(expected, each) for each in known)

    def ban(self, host: str, seconds: float, reason: str = "by the operator") -> BanRecord:
        """Ban an address (IPv6: its /64) and close its connections."""
        if not 0 < seconds <= MAX_BAN:
            raise ValueError(f"{seconds:g} seconds: give up to ten years")
        guard, host = self._server.guard, _checked_host(host)
        if guard.never_banned(host):
            raise ValueError(f"{host} is loopback or on the allow-list: it is never banned")
        return guard.ban(host, now=self._clock(), seconds=seconds, reason=printable(reason, MAX_REASON))

    def unban(self, host: str) -> bool:
        """Lift the ban of an address. Return whether it was banned."""
        return self._server.guard.unban(_checked_host(host))

    def bans(self) -> Sequence[BanRecord]:
        """Return the bans in force, the oldest first."""
        return self._server.guard.bans()

    def _each(self, worker: str | None, step: Callable[[Session, float], None]) -> int:
        now, reached = self._clock(), 0
        for session in list(self._chosen(worker)):
            self._server.serve(session, step, session, now)
            reached += 1
        return reached

    def _chosen(self, worker: str | None) -> Iterator[Session]:
        for session in self._server.connections:
            names = {username.name for username in session.workers.values()}
            if session.working and (worker is None or worker in names):
                yield session


def _checked_host(host: str) -> str:
    """Return the address of a host that is given as bans are listed. Raises ValueError."""
    try:
        if "/" not in host:
            return str(ip_address(host))
        network = ip_network(host)
    except ValueError:
        raise ValueError(f"{host[:64]!r} is not an IP address") from None
    if network.prefixlen != (32 if network.version == 4 else 64):
        raise ValueError(f"{network}: give an IPv4 address, or an IPv6 one or its /64")
    return str(network.network_address)
