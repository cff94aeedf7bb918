"""The alerts of miners at work: watches the node for them, delivers their messages, and keeps the table on disk.

`subscribing` decides about requests, `digest` when a message goes out; the outbox and the channels are those of
the operator's alerts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pool.alerts.attempt import make_attempt
from p2pool.alerts.channel import DeliveryResult, OutboxEntry
from p2pool.alerts.message import NodeIdentity
from p2pool.alerts.miners.delivery import channel_to
from p2pool.alerts.miners.digest import Digest, MinerEvent
from p2pool.alerts.miners.figures import MinerAlertFigures
from p2pool.alerts.miners.file import MINERS_FILE, Stored, parse_stored, plain_entry
from p2pool.alerts.miners.proof import ID_DIGITS, KEY_BYTES, NodeKey
from p2pool.alerts.miners.settings import MinerAlertSettings
from p2pool.alerts.miners.subscribing import Problem, RequestRefused, Subscribing
from p2pool.alerts.miners.subscriptions import MinerEventKind, Subscription, Subscriptions
from p2pool.alerts.miners.watch import PayoutWatch, RefusalWatch, worker_event
from p2pool.alerts.miners.words import Links, confirmation, notification
from p2pool.alerts.outbox import LostEntry, Outbox
from p2pool.base.environment import Environment
from p2pool.base.hosts import site_key
from p2pool.base.state_file import StateFile
from p2pool.base.time_slice import cooperator
from p2pool.base.timer import Timer
from p2pool.networks.parameters import Network
from p2pool.pool_stats import EventRecord, PoolSnapshot

CHECK_PERIOD: Final = 10.0
"""Seconds between two checks of the node."""
DELIVER_PERIOD: Final = 1.0
"""Seconds between two looks for messages that are due."""
SAVE_PERIOD: Final = 3.0
"""Seconds between two writes of the file, if something changed."""
MAX_WAITING: Final = 5
"""Messages that wait for one destination."""
MAX_ATTEMPTS: Final = 16
"""Messages that are being delivered at the same time."""
_log = Logger(namespace="p2pool.alerts")


@dataclass(frozen=True, slots=True)
class MinerAlertPorts:
    """What the service needs of the rest of the node. `paid` returns duffs by address of a block, None while they
    are not known; `has_secret` as `Subscribing` has it; `identity` returns how messages call this node."""

    environment: Environment
    network: Network
    identity: Callable[[], NodeIdentity]
    snapshot: Callable[[], PoolSnapshot]
    paid: Callable[[int], Mapping[str, int] | None]
    has_secret: Callable[[str, str], bool] | None


class MinerAlerts:
    """The alerts of miners; the file is in `directory`. Does nothing if the settings have no channels."""

    def __init__(self, ports: MinerAlertPorts, settings: MinerAlertSettings, directory: Path) -> None:
        self._ports = ports
        self._environment = environment = ports.environment
        self._settings = settings
        self._table = Subscriptions()
        self._requests: Subscribing | None = None
        """None until the file is loaded."""
        self._digests: dict[str, Digest] = {}
        """By subscription. Bound: as many as there are."""
        self._outbox = Outbox((), environment.chance, MAX_WAITING)
        self._pending: dict[str, None] = {}
        """Subscriptions with messages that wait, the one whose turn is next first."""
        self._attempts: dict[str, Deferred[None]] = {}
        """Attempts under way, by subscription. Bound: MAX_ATTEMPTS."""
        self._refusals = RefusalWatch()
        parent = ports.network.parent
        self._payouts = PayoutWatch(ports.paid, symbol=parent.symbol, period=parent.block_period)
        self._file = StateFile(directory / MINERS_FILE.name, MINERS_FILE)
        self._saving: Deferred[None] | None = None
        self._has_news = False
        """Whether messages that wait have changed since the file was written."""
        self._problem: str | None = None
        self._sent = self._failed = 0
        self._cooperator = cooperator(environment)
        self._timers: list[Timer] = []

    @property
    def is_offered(self) -> bool:
        """Return whether miners may set alerts."""
        return bool(self._settings.channels)

    # --- life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load the file, and begin to watch and to deliver. Raises OperatorError if a newer version wrote it."""
        if not self.is_offered:
            return
        world = self._environment
        stored = await world.run_in_thread(lambda: self._file.read(parse_stored))
        self._load(Stored() if stored is None else stored)
        self._timers = [
            Timer(world.reactor, CHECK_PERIOD, self._check, name="check for alerts of miners", now=False),
            Timer(world.reactor, DELIVER_PERIOD, self._deliver_due, name="deliver alerts of miners", now=False),
            Timer(world.reactor, SAVE_PERIOD, self._save, name="save alerts of miners", now=False),
        ]

    def _load(self, stored: Stored) -> None:
        world, network = self._environment, self._ports.network
        now = world.clock()
        key = stored.key or bytes.fromhex(world.random_hex(KEY_BYTES))
        left_out = self._table.restore(stored.subscriptions, self._settings.channels)
        self._payouts.restore(stored.blocks)
        for each in self._table:
            self._outbox.open(each.id)
        self._outbox.restore(stored.waiting, now)
        for each in self._table:
            self._close_if_empty(each.id)
        self._requests = Subscribing(
            self._settings,
            self._table,
            key=NodeKey(key, self._settings.host),
            versions=network.parent.addresses,
            network=network.name,
            new_id=lambda: world.random_hex(ID_DIGITS // 2),
            has_secret=self._ports.has_secret,
        )
        if self._table or left_out:
            _log.info(
                "miners have set {count} alerts ({left} more are dropped, because they cannot be used any more)",
                count=len(self._table),
                left=left_out,
            )

    async def stop(self) -> None:
        """End attempts, and write what is left to disk."""
        for timer in self._timers:
            timer.stop()
        if self._requests is None:
            return
        self._send_digests(self._environment.clock(), leaving=True)
        for each in list(self._attempts.values()):
            each.cancel()
        if self._saving is not None:
            await self._saving
        await self._save()

    # --- requests of miners ------------------------------------------------------------------------------

    def challenge(self, given: Mapping[str, Any], client: str) -> dict[str, Any]:
        """Return the text that a miner has to sign, as JSON. `client` is its address. Raises RequestRefused, as
        the other requests do."""
        return self._ready().challenge(given, site_key(client), self._environment.clock())

    def subscribe(self, given: Mapping[str, Any], client: str) -> dict[str, Any]:
        """Take alerts that a miner sets, and return what happened as JSON."""
        requests, now = self._ready(), self._environment.clock()
        accepted = requests.subscribe(given, site_key(client), now)
        each = accepted.subscription
        if accepted.asks:
            content = confirmation(each, self._links(), self._ports.identity(), now=now)
            self._put(each, content, now)
            _log.info(
                "alerts of {address} by {channel} were set: asking the destination to confirm ({id})",
                address=each.address,
                channel=each.destination.channel.value,
                id=each.id,
            )
        return {"address": each.address, "events": sorted(each.events), "confirmed": not accepted.asks}

    def confirm(self, token: str) -> dict[str, Any]:
        """Confirm the destination of a link, and return its subscription as JSON."""
        return _shown(self._ready().confirm(token, self._environment.clock()))

    def unsubscribe(self, token: str) -> dict[str, Any]:
        """End the subscription of a link, and return it as JSON."""
        each = self._ready().unsubscribe(token)
        self._forget(each, "ended by their owner")
        return _shown(each)

    def _ready(self) -> Subscribing:
        if self._requests is None:
            raise RequestRefused(Problem.STARTING, "the node is starting; try again in a minute")
        return self._requests

    def _links(self) -> Links:
        return Links(self._settings.page, self._ready().key)

    def _forget(self, each: Subscription, why: str) -> None:
        """Drop all that belongs to a subscription that is not in the table any more."""
        self._digests.pop(each.id, None)
        self._pending.pop(each.id, None)
        under_way = self._attempts.pop(each.id, None)
        if under_way is not None:
            under_way.cancel()
        self._outbox.close(each.id)
        if each.confirmed is not None:
            _log.info("alerts of {address} ({id}): {why}", address=each.address, id=each.id, why=why)

    # --- what happens ------------------------------------------------------------------------------------

    def happened(self, event: EventRecord) -> None:
        """Take an event that the operator's watch reports."""
        if self._requests is not None and (told := worker_event(event)) is not None:
            self._offer(told)

    async def _check(self) -> None:
        now = self._environment.clock()
        for each in self._table.expire(now):
            self._forget(each, "ended: no worker for 90 days, or nothing could be delivered for a week")
        if self._table.by_address():
            await self._cooperator.cooperate(self._checking(self._ports.snapshot())).whenDone()

    def _checking(self, snapshot: PoolSnapshot) -> Iterator[None]:
        addresses = self._table.by_address()
        for address in addresses.keys() & snapshot.addresses.keys():
            for each in addresses[address]:
                self._table.saw_worker(each, snapshot.time)
        yield None
        for event in self._payouts.check(snapshot.blocks, addresses, snapshot.time):
            self._offer(event)
            yield None
        for told in self._refusals.check(snapshot.workers, addresses, snapshot.time):
            if told is not None:
                self._offer(told)
            yield None

    def _offer(self, event: MinerEvent) -> None:
        now = self._environment.clock()
        for each in self._table.by_address().get(event.address, ()):
            if event.kind in each.events and not _is_older(event, each):
                self._digests.setdefault(each.id, Digest()).offer(event, now)

    # --- delivering --------------------------------------------------------------------------------------

    def _deliver_due(self) -> None:
        now = self._environment.clock()
        self._send_digests(now)
        for name in list(self._pending):
            if len(self._attempts) >= MAX_ATTEMPTS:
                return
            entry, each = self._outbox.next(name, now), self._table.get(name)
            if entry is not None and each is not None:
                self._pending[name] = self._pending.pop(name)  # the others have their turn first
                self._attempt(each, entry)

    def _send_digests(self, now: float, *, leaving: bool = False) -> None:
        for name, digest in list(self._digests.items()):
            found, each = digest.due(now, leaving=leaving), self._table.get(name)
            if found is not None and each is not None:
                content = notification(each, found, links=self._links(), identity=self._ports.identity(), now=now)
                self._put(each, content, now)

    def _put(self, each: Subscription, content: dict[str, Any], now: float) -> None:
        self._outbox.open(each.id)
        lost = self._outbox.put(OutboxEntry(self._environment.random_hex(16), each.id, content, now))
        self._failed += lost is not None
        self._pending[each.id] = None
        self._has_news = True

    def _attempt(self, each: Subscription, entry: OutboxEntry) -> None:
        under_way: Deferred[None] = Deferred.fromCoroutine(self._deliver(each, entry))
        if not under_way.called:
            self._attempts[each.id] = under_way

    async def _deliver(self, each: Subscription, entry: OutboxEntry) -> None:
        channel = channel_to(each.destination, self._settings, self._environment)
        result = await make_attempt(self._environment, channel, entry)
        self._attempts.pop(each.id, None)
        self._has_news = True
        now, known = self._environment.clock(), self._table.get(each.id)
        if known is None:
            return  # it ended meanwhile, and its mailbox with it
        lost = self._outbox.answered(entry, result, now)
        self._count(known, result, lost=lost, now=now)
        if self._table.get(each.id) is not None:
            self._close_if_empty(each.id)

    def _count(self, each: Subscription, result: DeliveryResult, *, lost: LostEntry | None, now: float) -> None:
        """Take note of the result of an attempt."""
        if result.delivered:
            self._sent += 1
            if each.failing is not None:
                self._table.put(replace(each, failing=None))
        elif lost is not None:
            self._failed += 1
            if each.confirmed is None:
                self._table.remove(each.id)
                self._forget(each, "")
            elif each.failing is None:
                self._table.put(replace(each, failing=now))
                _log.info(
                    "alerts of {address} ({id}) by {channel} cannot be delivered; they end after a week of that",
                    address=each.address,
                    id=each.id,
                    channel=each.destination.channel.value,
                )

    def _close_if_empty(self, name: str) -> None:
        mailbox = self._outbox.mailboxes.get(name)
        if mailbox is not None and mailbox.waiting:
            self._pending.setdefault(name)
        else:
            self._pending.pop(name, None)
            self._outbox.close(name)

    # --- file and figures --------------------------------------------------------------------------------

    async def _save(self) -> None:
        """Write the file if something changed."""
        if self._requests is None or not (self._has_news or self._table.is_changed or self._payouts.is_changed):
            return
        self._outbox.take_changes()  # all that waits is written each time
        boxes = self._outbox.mailboxes.values()
        document = {
            "key": self._requests.key.key.hex(),
            "subscriptions": self._table.to_json(),
            "blocks": self._payouts.to_json(),
            "waiting": [plain_entry(entry) for box in boxes for entry in box.waiting.values()],
        }
        self._has_news = self._table.is_changed = self._payouts.is_changed = False
        ended: Deferred[None] = Deferred()
        self._saving, saved = ended, False
        try:
            saved = await self._environment.run_in_thread(lambda: self._file.save(document))
        finally:
            self._saving = None
            self._has_news = self._has_news or not saved
            self._problem = None if saved else "the file of these alerts cannot be written; the log says why"
            ended.callback(None)

    def figures(self) -> MinerAlertFigures:
        """Return what pages show."""
        if not self.is_offered:
            return MinerAlertFigures()
        return MinerAlertFigures(
            channels=tuple(sorted(self._settings.channels)),
            proofs=() if self._requests is None else tuple(self._requests.proofs),
            events=tuple(MinerEventKind),
            subscriptions=len(self._table) - self._table.unconfirmed,
            unconfirmed=self._table.unconfirmed,
            waiting=self._outbox.waiting,
            sent=self._sent,
            failed=self._failed,
            problem=self._problem,
        )


def _is_older(event: MinerEvent, each: Subscription) -> bool:
    """Return whether an event is about a block from before a subscription was confirmed."""
    found = event.details.get("block_time")
    return isinstance(found, float) and each.confirmed is not None and found < each.confirmed


def _shown(each: Subscription) -> dict[str, Any]:
    return {"address": each.address, "channel": each.destination.channel.value, "events": sorted(each.events)}
