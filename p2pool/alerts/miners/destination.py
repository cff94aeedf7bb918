"""Where messages to miners go: a text from a stranger, read into one form for each channel."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from p2pool.alerts.miners.settings import MinerAlertSettings, MinerChannel
from p2pool.alerts.options import is_mail_address
from p2pool.alerts.webhook import WebhookUrl, parse_url
from p2pool.base.hosts import is_global, is_onion, parse_address

MAX_DESTINATION: Final = 300
"""Characters: people have to read it in what they sign."""
USUAL_PORTS: Final = (80, 443)
LOW_PORTS: Final = 1024
"""Below it only USUAL_PORTS: other services there may take an HTTP request for something else."""
_CHAT = re.compile(r"-?[0-9]{4,20}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}")


class DestinationError(ValueError):
    """A destination that cannot be used; the message says why, for people, and does not repeat it."""


@dataclass(frozen=True, slots=True)
class MinerDestination:
    """A destination. `text` is its usual form, by which two are the same; `shown` may be logged and shown."""

    channel: MinerChannel
    text: str = field(repr=False)
    shown: str


def read_destination(channel: MinerChannel, text: str, settings: MinerAlertSettings) -> MinerDestination:
    """Return the destination that a miner gave for a channel. Raises DestinationError."""
    text = text.strip()
    if len(text) > MAX_DESTINATION:
        raise DestinationError(f"the destination has more than {MAX_DESTINATION} characters")
    if channel is MinerChannel.EMAIL:
        if not is_mail_address(text):
            raise DestinationError("give an e-mail address like you@example.org")
        name, _, host = text.rpartition("@")
        return MinerDestination(channel, f"{name}@{host.lower()}", host.lower())
    if channel is MinerChannel.TELEGRAM:
        if _CHAT.fullmatch(text) is None:
            raise DestinationError("give the number of your chat with the bot of this node")
        return MinerDestination(channel, text, "telegram")
    target = read_url(channel, text, settings)
    return MinerDestination(channel, text.partition("#")[0], target.host)


def read_url(channel: MinerChannel, text: str, settings: MinerAlertSettings) -> WebhookUrl:
    """Return the parsed URL of a webhook, or of an ntfy topic. Raises DestinationError for one that cannot be
    used, or whose host can be seen not to be on the public internet. (What a name resolves to is checked for each
    message.)"""
    try:
        target = parse_url(text)
    except ValueError as error:
        raise DestinationError(f"this URL cannot be used: {error}") from None
    if not is_allowed(target, settings):
        address = parse_address(target.host)
        is_local = target.host == "localhost" or target.host.endswith((".localhost", ".local", ".internal"))
        if is_local or is_onion(target.host) or (address is not None and not is_global(address)):
            raise DestinationError("the host of this URL is not on the public internet")
        if address is None and re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]+", target.host):
            raise DestinationError("the host of this URL is neither a name nor an address in its usual form")
        if target.port < LOW_PORTS and target.port not in USUAL_PORTS:
            raise DestinationError("the port of this URL must be 80, 443, or 1024 or above")
    if channel is MinerChannel.NTFY and _TOPIC.fullmatch(ntfy_topic(target)) is None:
        raise DestinationError("give the URL of an ntfy topic, like https://ntfy.sh/TOPIC")
    return target


def ntfy_topic(target: WebhookUrl) -> str:
    """Return the topic of an ntfy URL."""
    return urlsplit(target.url).path.strip("/")


def is_allowed(target: WebhookUrl, settings: MinerAlertSettings) -> bool:
    """Return whether the operator named the host of a URL: it may be in a private network."""
    address = parse_address(target.host)
    host = target.host if address is None else str(address)
    return (host, target.port) in settings.hosts or ((host, None) in settings.hosts and target.port in USUAL_PORTS)
