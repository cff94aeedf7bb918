"""What an operator can have done to miners, through one object: the web layer declares the same methods as its
port.

Times in seconds. Everything is immediate and returns how many connections it reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from twisted.logger import Logger

from p2pool.base.endpoints import host_and_port
from p2pool.base.text import printable
from p2pool.pool_stats import BanRecord
from p2pool.stratum.guard import MAX_REASON
from p2pool.stratum.server import StratumServer
from p2pool.stratum.session import Session

_log = Logger(namespace="p2pool.stratum")

MAX_MESSAGE = 400
MAX_WAIT = 3600
MAX_BAN = 10 * 366 * 86400.0


class Operator:
    """See the module. Raises ValueError with a text for people where an argument makes no sense."""

    def __init__(self, server: StratumServer, clock: Callable[[], float]) -> None:
        self._server = server
        self._clock = clock

    def show_message(self, text: str, worker: str | None = None) -> int:
        """client.show_message to all, or to the connections of `worker` (`address.name`)."""
        text = printable(text.strip(), MAX_MESSAGE)
        if not text:
            raise ValueError("an empty message")
        reached = self._each(worker, lambda session, now: session.show_message(text, now))
        _log.info("message to {count} connections: {text}", count=reached, text=text)
        return reached

    def reconnect(self, host: str = "", port: int = 0, wait: int = 0, worker: str | None = None) -> int:
        """client.reconnect to all or to one worker, after `wait` seconds: to `host` and `port`; without a host, or
        without either, to the one where they are.

        What is not given is sent as null: miners of the cgminer family then keep what they have, while an empty
        host makes cgminer refuse the whole message, and 0 is no port.
        """
        if (host or port) and not 0 < port < 65536:
            raise ValueError(f"port {port}: a port is between 1 and 65535")
        if not 0 <= wait <= MAX_WAIT:
            raise ValueError(f"wait {wait}: give seconds between 0 and {MAX_WAIT}")
        where: list[str | int | None] = [printable(host, 253) or None, port or None, wait]
        if where == [None, None, 0]:
            where = []
        reached = self._each(worker, lambda session, now: session.reconnect(where, now))
        _log.info(
            "{count} connections asked to reconnect to {host} in {wait} s",
            count=reached,
            host=host_and_port(host or "this host", port) if port else "where they are",
            wait=wait,
        )
        return reached

    def set_version_mask(self, mask: int) -> int:
        """The header version bits that miners may roll; told to those who negotiated version rolling."""
        if not 0 <= mask <= 0xFFFFFFFF:
            raise ValueError(f"mask {mask:x}: give 32 bits")
        self._server.set_version_mask(mask)
        _log.info("version mask {mask:08x}", mask=mask)

        for session in list(self._server.connections):  # those not authorized yet are told when they are
            self._server.serve(session, session.pool_mask_changed, self._clock())
        return sum(session.version_mask is not None for session in self._server.connections)

    def ban(self, host: str, seconds: float, reason: str = "by the operator") -> BanRecord:
        """Keep an address (IPv6: its /64) out and close its connections."""
        if not 0 < seconds <= MAX_BAN:
            raise ValueError(f"{seconds:g} seconds: give up to ten years")
        guard, host = self._server.guard, _checked_host(host)
        if guard.never_banned(host):
            raise ValueError(f"{host} is loopback or on the allow-list: it is never banned")
        return guard.ban(host, self._clock(), seconds, printable(reason, MAX_REASON))

    def unban(self, host: str) -> bool:
        """Let an address in again; whether it was banned."""
        return self._server.guard.unban(_checked_host(host))

    def bans(self) -> Sequence[BanRecord]:
        """Those in force."""
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
    """An address or a network as bans are listed. Raises ValueError."""
    try:
        if "/" not in host:
            return str(ip_address(host))
        network = ip_network(host)
    except ValueError:
        raise ValueError(f"{host[:64]!r} is not an IP address") from None
    if network.prefixlen != (32 if network.version == 4 else 64):
        raise ValueError(f"{network}: give an IPv4 address, or an IPv6 one or its /64")
    return str(network.network_address)
