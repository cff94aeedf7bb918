"""What the peers are, by their own account and by what they do: software, newer share types, early closes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from twisted.logger import Logger

from p2pool.peers.census import Counted, SoftwareWatch, count_software
from p2pool.peers.early_closes import EARLY, EarlyCloseWatch
from p2pool.peers.newer_types import NewerTypes
from p2pool.peers.session import PeerSession
from p2pool.peers.share_intake import ShareSender
from p2pool.peers.software import software_name
from p2pool.pool_stats import PeerCensus

_log = Logger(namespace="p2pool.peers")

LOGGED_SOFTWARE = 60
"""Characters of what a peer calls its software."""


class PeerWatch:
    """Takes note of what peers are. `now` is a monotonic clock's time, `unix` the time of day, in seconds."""

    def __init__(self) -> None:
        self._newer_types = NewerTypes()
        self._software = SoftwareWatch()
        self._early_closes = EarlyCloseWatch()

    def step(self, peers: Sequence[PeerSession], now: float) -> None:
        """Take note of the connected peers; to be called every few seconds."""
        versions = (peer.version for peer in peers if peer.version is not None)
        self._software.observe((software_name(version.sub_version) for version in versions), now)
        for peer in peers:
            if now - peer.connected_at > EARLY:
                self._early_closes.stayed(peer.host_key)

    def left(self, session: PeerSession, peers: Sequence[PeerSession], now: float) -> None:
        """Take note of a peer that ended its connection; `peers` are those that remain."""
        # A node that is connected already ends a second connection, and means nothing by it.
        is_second = any(peer.host_key == session.host_key for peer in peers)
        if now - session.connected_at <= EARLY and not is_second:
            version = session.version
            self._early_closes.closed(session.host_key, None if version is None else version.version, now)

    def newer_share(self, kind: int, sender: ShareSender, unix: float) -> None:
        """Count a share of a newer type; log a line for each type, and again when it goes on or becomes more."""
        row = self._newer_types.record(
            kind,
            peer=sender.label,
            host=sender.host_key,
            software=sender.software(LOGGED_SOFTWARE),
            now=unix,
        )
        if row is not None:
            _log.warn(
                "peer {peer} ({software}) sends shares of type {kind}, which this version cannot read: ignored; "
                "{shares} of them since {since} UTC, from {hosts} hosts. Check for a newer release of p2pool-dash",
                peer=sender.label,
                software=sender.software(LOGGED_SOFTWARE),
                kind=kind,
                shares=row.shares,
                since=datetime.fromtimestamp(row.first_seen, UTC).strftime("%Y-%m-%d %H:%M"),
                hosts=row.hosts,
            )

    def census(self, peers: Sequence[PeerSession], *, now: float, unix: float) -> PeerCensus:
        """Return what the peers are."""
        counted = [
            Counted(software_name(peer.version.sub_version), peer.version.version, peer.incoming)
            for peer in peers
            if peer.version is not None
        ]
        return PeerCensus(
            count_software(counted),
            self._newer_types.rows(),
            self._software.lost(now),
            self._early_closes.figures(now, unix),
        )
