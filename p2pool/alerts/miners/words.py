"""Messages to miners in words. Workers' names are miners' own, and were made printable before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from p2pool.alerts.message import Message, NodeIdentity
from p2pool.alerts.miners.digest import EventList
from p2pool.alerts.miners.proof import LinkPurpose, NodeKey
from p2pool.alerts.miners.subscriptions import CONFIRM_TIME, MinerEventKind, Subscription
from p2pool.base.text import printable

MAX_SUBJECT: Final = 150
MAX_LINE: Final = 400
EVENT_WORDS: Final = {
    MinerEventKind.SILENT: "a worker is silent or back",
    MinerEventKind.REFUSED: "many submissions are rejected",
    MinerEventKind.BLOCK: "a block pays you",
}


@dataclass(frozen=True, slots=True)
class Links:
    """The links of messages about one subscription: pages of this node, below `page`. What follows the # is not
    sent to any server when a page is opened: only its button uses it."""

    page: str
    key: NodeKey

    def miner(self, each: Subscription) -> str:
        """Return the page of the address."""
        return f"{self.page}static/worker.html?name={quote(each.address, safe='')}"

    def of(self, purpose: LinkPurpose, each: Subscription) -> str:
        """Return the page with the button that confirms a subscription or ends it."""
        return f"{self.miner(each)}#{purpose.value}={self.key.token(purpose, each.id)}"


def confirmation(each: Subscription, links: Links, identity: NodeIdentity, *, now: float) -> dict[str, Any]:
    """Return the content of the first message of a subscription, which asks to confirm it."""
    link = links.of(LinkPurpose.CONFIRM, each)
    lines = (
        f"Somebody who mines to {each.address} at the p2pool node {identity.node} asked for alerts to this "
        "destination. To get them, open this page and press the button:",
        f"  {link}",
        f"If that was not you, do nothing: without it, no further message comes. The link is valid for "
        f"{CONFIRM_TIME / 60:.0f} minutes.",
    )
    message = Message(_subject(identity, "confirm your alerts"), "\n\n".join(lines) + "\n")
    fields = {"event": "miner_confirm", "confirm": link}
    return _content(each, message, links=links, identity=identity, now=now, fields=fields)


def notification(
    each: Subscription, found: EventList, *, links: Links, identity: NodeIdentity, now: float
) -> dict[str, Any]:
    """Return the content of a message about events of a subscription."""
    first = found.events[0]
    title = first.text.partition(";")[0] if found.count == 1 else f"{found.count} events"
    lines = [f"{_clock(event.time)}  {printable(event.text, MAX_LINE)}" for event in found.events]
    if found.count > len(found.events):
        lines.append(f"... and {found.count - len(found.events)} more")
    link = links.of(LinkPurpose.UNSUBSCRIBE, each)
    lines += ["", f"Your address: {each.address}", f"Its page: {links.miner(each)}", f"End these alerts: {link}"]
    message = Message(_subject(identity, title), "\n".join(lines) + "\n")
    fields = {
        "event": "miner_alert",
        "events": [{"time": event.time, "text": event.text, **event.details} for event in found.events],
        "count": found.count,
    }
    return _content(each, message, links=links, identity=identity, now=now, fields=fields)


def _content(
    each: Subscription,
    message: Message,
    *,
    links: Links,
    identity: NodeIdentity,
    now: float,
    fields: dict[str, Any],
) -> dict[str, Any]:
    """Return what every channel finds its part in: docs/alerts.md lists the fields of webhooks."""
    return {
        **fields,
        "timestamp": int(now),
        "node": identity.node,
        "network": identity.network,
        "address": each.address,
        "subject": message.subject,
        "body": message.body,
        "page": links.miner(each),
        "unsubscribe": links.of(LinkPurpose.UNSUBSCRIBE, each),
    }


def _subject(identity: NodeIdentity, title: str) -> str:
    return printable(f"[p2pool {identity.node}] {title}", MAX_SUBJECT)


def _clock(time: float) -> str:
    """Return a time for people anywhere."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
