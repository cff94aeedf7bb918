"""Everything that has to do with alerts, put together: one object for the composition root. The ways out to each
destination, what the watch looks at, and the adapters to what the web asks of it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from twisted.internet.defer import Deferred

from p2pool.alerts.apprise_channel import AppriseChannel
from p2pool.alerts.channel import Channel, Destination, DestinationKind
from p2pool.alerts.mail import Mail
from p2pool.alerts.message import Place
from p2pool.alerts.service import LOOK_PERIOD, AlertPorts, Alerts, TrialResult
from p2pool.alerts.watch import Watch
from p2pool.alerts.webhook import Webhook, parse_url
from p2pool.app.config import Config
from p2pool.base.environment import Environment
from p2pool.base.observable import Event
from p2pool.base.paths import MAX_PATH
from p2pool.base.text import printable
from p2pool.dashd.block_store import BlockStore
from p2pool.pool_stats import BanRecord, PoolStats


class Alerting:
    """Alerts of this node. `page` gives the first page's address on this machine, `ban_of` the ban of a host,
    `history_problem` why history is not written."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        *,
        stats: PoolStats,
        page: Callable[[], str],
        ban_of: Callable[[str], BanRecord | None],
        history_problem: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._environment = environment
        self._config = config
        self._page = page
        settings, network = config.alerts, config.network
        watch = Watch(settings.thresholds, network.parent.symbol, network.persist, history_problem, ban_of)
        ports = AlertPorts(
            environment=environment,
            minute_of_day=_minute_of_day,
            new_id=lambda: secrets.token_hex(16),
            alert_sent=stats.record_alert,
            place=self._place,
            snapshot=lambda: stats.snapshot(environment.clock(), good_for=LOOK_PERIOD),
        )
        channels = {each.id: self._channel(each) for each in settings.destinations}
        self.alerts = Alerts(ports, watch, settings.rules, settings.destinations, channels, config.datadir)

    def subscribe(self, book: BlockStore, banned: Event[str]) -> None:
        """Hear of the pool's blocks and of hosts of miners that are banned."""
        book.loaded.subscribe(self.alerts.blocks_restored)
        book.learned.subscribe(self.alerts.blocks_learned)
        book.changed.subscribe(self.alerts.block_changed)
        banned.subscribe(self.alerts.banned)

    def _channel(self, destination: Destination) -> Channel:
        settings = self._config.alerts
        if destination.kind is DestinationKind.WEBHOOK:
            target = parse_url(destination.target)
            return Webhook(
                self._environment.reactor,
                target,
                settings.secret,
                settings.allow_private,
                self._environment.run_in_daemon_thread,
            )
        if destination.kind is DestinationKind.EMAIL and settings.mail is not None:
            return Mail(settings.mail, destination.target, self._environment.run_in_daemon_thread)
        return AppriseChannel(destination.target, self._environment.run_in_daemon_thread)

    def _place(self) -> Place:
        config = self._config
        log: Path = config.logfile or config.datadir / "log"
        node = config.alerts.node or printable(socket.gethostname())
        return Place(node, config.network.name, config.alerts.page or self._page(), printable(str(log), MAX_PATH))

    def test(self, destination: str) -> Deferred[dict[str, object]]:
        """The operator's test button: what each destination answered, as JSON. Raises ValueError."""
        return self.alerts.test(destination).addCallback(_results)


def _results(results: list[TrialResult]) -> dict[str, object]:
    return {
        "results": [
            {
                "destination": each.destination,
                "delivered": each.answer.delivered,
                "status": each.answer.status,
                "answer": each.answer.text,
                "seconds": round(each.seconds, 3),
            }
            for each in results
        ]
    }


def _minute_of_day(time: float) -> int:
    """Of this machine's day."""
    local = datetime.fromtimestamp(time)
    return local.hour * 60 + local.minute
