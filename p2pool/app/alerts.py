"""The alerts, put together for the composition root: the delivery channel of each destination, what is watched,
and the adapters that the web uses."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import datetime

from twisted.internet.defer import Deferred

from p2pool.alerts.apprise_channel import AppriseChannel
from p2pool.alerts.channel import Channel, Destination, DestinationKind
from p2pool.alerts.mail import Mail
from p2pool.alerts.message import NodeIdentity
from p2pool.alerts.service import POLL_PERIOD, AlertPorts, Alerts, TrialResult
from p2pool.alerts.watch import Watch
from p2pool.alerts.webhook import Webhook, parse_url
from p2pool.app.config import Config
from p2pool.app.routes import public_environment
from p2pool.app.settings import STANDARD_OUTPUT
from p2pool.base.environment import Environment
from p2pool.base.observable import Event
from p2pool.base.paths import MAX_PATH
from p2pool.base.text import printable
from p2pool.dashd.block_store import BlockStore
from p2pool.pool_stats import BanRecord, PoolStats


class AlertsAssembly:
    """Alerts of this node. `page` returns the address of the first page on this machine, `ban_of` the ban of a
    host, `history_problem` why history is not written."""

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
        self._environment = public_environment(environment, config)
        self._config = config
        self._page = page
        settings, network = config.alerts, config.network
        watch = Watch(
            settings.thresholds,
            symbol=network.parent.symbol,
            expects_peers=network.persist,
            history_problem=history_problem,
            ban_of=ban_of,
        )
        ports = AlertPorts(
            environment=environment,
            minute_of_day=_minute_of_day,
            new_id=lambda: environment.random_hex(16),
            alert_sent=stats.record_alert,
            identity=self.identity,
            snapshot=lambda: stats.snapshot(environment.clock(), good_for=POLL_PERIOD),
        )
        channels = {each.id: self._channel(each) for each in settings.destinations}
        self.service = Alerts(
            ports,
            watch=watch,
            rules=settings.rules,
            destinations=settings.destinations,
            channels=channels,
            directory=config.datadir,
        )

    def apply(self, config: Config) -> None:
        """Use the settings of `reload.LIVE_ALERTS` from now on."""
        self._config = config
        self.service.set_rules(config.alerts.rules, config.alerts.thresholds)

    def subscribe(self, book: BlockStore, banned: Event[str]) -> None:
        """Subscribe to the pool's blocks and to bans of miners' hosts."""
        book.loaded.subscribe(self.service.blocks_restored)
        book.learned.subscribe(self.service.blocks_learned)
        book.changed.subscribe(self.service.block_changed)
        banned.subscribe(self.service.banned)

    def _channel(self, destination: Destination) -> Channel:
        settings = self._config.alerts
        if destination.kind is DestinationKind.WEBHOOK:
            target = parse_url(destination.target)
            return Webhook(self._environment, target, secret=settings.secret, allow_private=settings.allow_private)
        if destination.kind is DestinationKind.EMAIL and settings.mail is not None:
            return Mail(settings.mail, destination.target, self._environment)
        return AppriseChannel(destination.target, self._environment.run_in_daemon_thread)

    def identity(self) -> NodeIdentity:
        """Return how messages call this node."""
        config = self._config
        log = "its standard output" if config.log_path == STANDARD_OUTPUT else str(config.log_path)
        node = config.alerts.node or printable(socket.gethostname())
        return NodeIdentity(
            node, config.network.name, config.alerts.page or self._page(), printable(log, MAX_PATH)
        )

    def test(self, destination: str) -> Deferred[dict[str, object]]:
        """Send a test message, as the operator requested; the Deferred fires with each destination's result as
        JSON. Raises ValueError."""
        return self.service.test(destination).addCallback(_results)


def _results(results: list[TrialResult]) -> dict[str, object]:
    return {
        "results": [
            {
                "destination": each.destination,
                "delivered": each.result.delivered,
                "status": each.result.status,
                "answer": each.result.text,
                "seconds": round(each.seconds, 3),
            }
            for each in results
        ]
    }


def _minute_of_day(time: float) -> int:
    """Return the minute of this machine's local day."""
    local = datetime.fromtimestamp(time)
    return local.hour * 60 + local.minute
