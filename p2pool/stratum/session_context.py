"""What the sessions of one server share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from p2pool.networks.parameters import Network
from p2pool.stratum.guard import Guard
from p2pool.stratum.job_registry import JobRegistry
from p2pool.stratum.ports import OtherServers, StatsPort, WorkPort
from p2pool.stratum.recent_difficulties import RecentDifficulties
from p2pool.stratum.session_table import SessionTable
from p2pool.stratum.settings import StratumSettings
from p2pool.stratum.solutions import SolutionLedger
from p2pool.stratum.vardiff import Vardiff

VERSION_MASK = 0x1FFFE000
"""Header version bits that miners may roll (BIP 320's, less the lowest)."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The settings of all sessions of a server: difficulties, `share_rate` in seconds per pseudoshare, and
    `login_time`, the seconds within which a miner must subscribe and authorize."""

    network: Network
    start_difficulty: float
    min_difficulty: float = 0.001
    max_difficulty: float = StratumSettings.max_difficulty
    share_rate: float = StratumSettings.share_rate
    version_mask: int = VERSION_MASK
    login_time: float = StratumSettings.login_time

    def new_vardiff(self) -> Vardiff:
        """Return the vardiff of a new connection. It starts from a power of two, since common firmware rounds down
        to one."""
        start = self.start_difficulty
        if start >= 1:
            start = 2.0 ** math.floor(math.log2(start))
        return Vardiff(
            start=start, minimum=self.min_difficulty, maximum=self.max_difficulty, seconds=self.share_rate
        )


class SessionContext:
    """What the sessions of one server share: settings, work, statistics, jobs, the guard and the session table."""

    __slots__ = (
        "guard",
        "other_servers",
        "recent_difficulties",
        "registry",
        "sessions",
        "settings",
        "solutions",
        "stats",
        "work",
    )

    def __init__(
        self,
        settings: SessionSettings,
        *,
        work: WorkPort,
        stats: StatsPort,
        guard: Guard,
        sessions: SessionTable,
    ) -> None:
        self.settings = settings
        self.work = work
        self.stats = stats
        self.guard = guard
        self.sessions = sessions
        self.registry = JobRegistry(work)
        self.solutions = SolutionLedger()
        self.recent_difficulties = RecentDifficulties()
        self.other_servers: OtherServers | None = None
        """The servers with which this one shares sessions; None if there are none."""
