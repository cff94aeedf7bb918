"""The channel of each subscription: the operator's own ones, kept away from the operator's own network."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import orjson

from p2pool.alerts.apprise_channel import AppriseChannel
from p2pool.alerts.channel import Channel, DeliveryOutcome, DeliveryResult, OutboxEntry, failed
from p2pool.alerts.mail import Mail
from p2pool.alerts.miners.destination import (
    DestinationError,
    MinerDestination,
    is_allowed,
    ntfy_topic,
    read_url,
)
from p2pool.alerts.miners.settings import MinerAlertSettings, MinerChannel
from p2pool.alerts.webhook import USER_AGENT, Poster, Trust, WebhookUrl, hook_request
from p2pool.base.environment import Environment

MAX_NTFY: Final = 4000
"""Bytes of a message: ntfy makes an attachment of a longer one."""


class MinerWebhook:
    """The channel to a URL that a miner gave. It is not signed: there is no secret that both know."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def deliver(self, delivery: OutboxEntry, now: float) -> DeliveryResult:
        """Post the entry's content, and return the result."""
        return await self._poster.post(*hook_request(delivery, now))


class Ntfy:
    """The channel to a topic of an ntfy server, which `poster` posts to the root of."""

    def __init__(self, poster: Poster, topic: str) -> None:
        self._poster = poster
        self._topic = topic

    async def deliver(self, delivery: OutboxEntry, now: float) -> DeliveryResult:
        """Publish the entry's subject and body, and return the result."""
        content = delivery.content
        body = str(content.get("body", "")).encode("utf-8", "replace")[:MAX_NTFY].decode("utf-8", "ignore")
        message = {
            "topic": self._topic,
            "title": str(content.get("subject", "")),
            "message": body,
            "click": str(content.get("confirm") or content.get("page", "")),
        }
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        return await self._poster.post(orjson.dumps(message), headers)


class Unusable:
    """A destination that was accepted once and cannot be used any more, because settings have changed."""

    async def deliver(self, delivery: OutboxEntry, now: float) -> DeliveryResult:
        """Return that it cannot be used."""
        return failed("the destination cannot be used any more", outcome=DeliveryOutcome.REJECTED)


def channel_to(destination: MinerDestination, settings: MinerAlertSettings, environment: Environment) -> Channel:
    """Return the channel to a destination."""
    channel = destination.channel
    if channel is MinerChannel.EMAIL and settings.mail is not None:
        return Mail(settings.mail, destination.text, environment)
    if channel is MinerChannel.TELEGRAM and settings.telegram is not None:
        url = f"tgram://{settings.telegram}/{destination.text}"
        return AppriseChannel(url, environment.run_in_daemon_thread)
    try:
        target = read_url(channel, destination.text, settings)
    except DestinationError:
        return Unusable()
    trust = Trust.STRANGER_ALLOWED if is_allowed(target, settings) else Trust.STRANGER
    if channel is MinerChannel.WEBHOOK:
        return MinerWebhook(Poster(environment, target, trust))
    return Ntfy(Poster(environment, _root_of(target), trust), ntfy_topic(target))


def _root_of(target: WebhookUrl) -> WebhookUrl:
    """Return the root of a server, where ntfy takes JSON."""
    parts = urlsplit(target.url)
    return replace(target, url=parts._replace(path="/", query="").geturl())
