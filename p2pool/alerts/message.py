"""Alerts in words: what happened, since when, and what to check. Miners choose the names of workers: these were
made printable before, and each is on a line of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from p2pool.alerts.rules import EventGroup, Notice
from p2pool.base.text import printable
from p2pool.pool_stats import EventKind

MAX_SUBJECT: Final = 150
MAX_BODY: Final = 12_000
"""Characters: all groups of quiet hours, each with ten lines."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """How messages call the node that sends them. `page` is the address of its first page, `log` its log file."""

    node: str
    network: str
    page: str
    log: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message for people: `subject` is one line, `body` are lines."""

    subject: str
    body: str


_MANY: Final[Mapping[EventKind, str]] = {
    EventKind.BLOCK_FOUND: "{n} blocks found",
    EventKind.BLOCK_CONFIRMED: "{n} blocks confirmed",
    EventKind.BLOCK_ORPHANED: "{n} blocks orphaned",
    EventKind.BLOCK_REFUSED: "{n} blocks rejected",
    EventKind.NODE_UP: "the node was started {n} times",
    EventKind.NODE_DOWN: "the node was stopped {n} times",
    EventKind.WORKER_UP: "{n} workers are back",
    EventKind.WORKER_DOWN: "{n} workers are down",
    EventKind.HASH_RATE_DROP: "the hash rate dropped {n} times",
    EventKind.HASH_RATE_BACK: "the hash rate recovered {n} times",
    EventKind.DASHD_LOST: "Dash Core stopped providing work {n} times",
    EventKind.DASHD_BACK: "Dash Core provided work again {n} times",
    EventKind.PEERS_LOST: "the connections to all other nodes were lost {n} times",
    EventKind.PEERS_BACK: "other nodes were connected again {n} times",
    EventKind.BAN: "{n} miners' hosts were banned",
    EventKind.STORAGE_PROBLEM: "{n} problems with the disk or the database",
    EventKind.STORAGE_BACK: "{n} problems with the disk or the database are over",
    EventKind.VOTES_RISEN: "votes for newer share versions reached {n} levels",
    EventKind.VOTES_FALLEN: "votes for newer share versions fell below {n} levels",
    EventKind.OWN_VOTES_REFUSED: "c2pool-dash began to reject this node's votes {n} times",
    EventKind.OWN_VOTES_ACCEPTED: "c2pool-dash accepted this node's votes again {n} times",
    EventKind.NEWER_SHARE_TYPE: "shares of {n} types that this node does not know",
    EventKind.SOFTWARE_LOST: "all nodes of {n} kinds of software disconnected",
    EventKind.SOFTWARE_BACK: "nodes of {n} kinds of software are connected again",
    EventKind.HANDSHAKES_CLOSED: "other nodes began to close new connections at once {n} times",
    EventKind.HANDSHAKES_KEPT: "other nodes kept new connections open again {n} times",
    EventKind.CHAIN_SPLIT: "most of the network's work was rejected {n} times",
    EventKind.CHAIN_JOINED: "most of the network's work was accepted again {n} times",
}
_ONE: Final[Mapping[EventKind, str]] = {
    EventKind.NODE_UP: "the node started",
    EventKind.NODE_DOWN: "the node is stopping",
    EventKind.WORKER_UP: "worker {subject} is back",
    EventKind.WORKER_DOWN: "worker {subject} is down",
    EventKind.HASH_RATE_DROP: "the hash rate dropped",
    EventKind.HASH_RATE_BACK: "the hash rate has recovered",
    EventKind.DASHD_LOST: "no work from Dash Core",
    EventKind.DASHD_BACK: "Dash Core provides work again",
    EventKind.PEERS_LOST: "no other node is connected",
    EventKind.PEERS_BACK: "other nodes are connected again",
    EventKind.BAN: "{subject} is banned",
    EventKind.STORAGE_PROBLEM: "{subject} cannot be written",
    EventKind.STORAGE_BACK: "{subject} can be written again",
    EventKind.VOTES_RISEN: "more votes for a newer share version",
    EventKind.VOTES_FALLEN: "fewer votes for a newer share version",
    EventKind.OWN_VOTES_REFUSED: "c2pool-dash rejects shares of this node",
    EventKind.OWN_VOTES_ACCEPTED: "c2pool-dash accepts this node's votes again",
    EventKind.NEWER_SHARE_TYPE: "shares of a type that this node does not know ({subject})",
    EventKind.SOFTWARE_LOST: "no node that runs {subject} is connected",
    EventKind.SOFTWARE_BACK: "nodes that run {subject} are connected again",
    EventKind.HANDSHAKES_CLOSED: "other nodes close new connections at once",
    EventKind.HANDSHAKES_KEPT: "other nodes keep new connections open again",
    EventKind.CHAIN_SPLIT: "this node rejects most of the network's work",
    EventKind.CHAIN_JOINED: "this node accepts most of the network's work again",
}
_BLOCKS = "the list of blocks at {page}api/v1/blocks"
_WORKERS = "the workers at {page}api/v1/workers, then the miners, their network and their power"
_DASHD = "its status at {page}api/v1/dashd; on its machine: dash-cli getblockchaininfo, and its debug.log"
_PEERS = (
    "the list of nodes at {page}api/v1/peers, and this machine's network and firewall (-n adds a node to connect "
    "to)"
)
_DISK = "free space (df -h) and permissions of the data directory, the database if there is one, and {log}"
_SPLIT = (
    "the rejected branches at {page}static/transition.html, and whether there is a newer release of p2pool-dash; "
    "docs/operators.md says what to do"
)
_VOTES = "the votes at {page}static/transition.html, and whether there is a newer release of p2pool-dash"
_TYPES = (
    "who sends them, and how many, at {page}static/transition.html, and whether there is a newer release of "
    "p2pool-dash; a single node may have forged them"
)
_SOFTWARE = (
    "the nodes by software and protocol at {page}static/transition.html, and whether there is a newer release of "
    "p2pool-dash"
)
_CHECK: Final[Mapping[EventKind, str]] = {
    EventKind.BLOCK_FOUND: _BLOCKS,
    EventKind.BLOCK_CONFIRMED: _BLOCKS,
    EventKind.BLOCK_ORPHANED: _BLOCKS + "; a few are normal, many mean that this node sends blocks too slowly",
    EventKind.BLOCK_REFUSED: "the reason above, the log {log}, and Dash Core's debug.log; the block is kept as a "
    ".hex file in the data directory's folder blocks",
    EventKind.NODE_UP: "the log {log} before this start, unless the stop was intended",
    EventKind.NODE_DOWN: "the log {log}, unless the stop was intended",
    EventKind.WORKER_UP: _WORKERS,
    EventKind.WORKER_DOWN: _WORKERS,
    EventKind.HASH_RATE_DROP: _WORKERS,
    EventKind.HASH_RATE_BACK: _WORKERS,
    EventKind.DASHD_LOST: _DASHD,
    EventKind.DASHD_BACK: _DASHD,
    EventKind.PEERS_LOST: _PEERS,
    EventKind.PEERS_BACK: _PEERS,
    EventKind.BAN: "the bans at {page}api/v1/bans; to lift one, POST to {page}api/v1/admin/unban",
    EventKind.STORAGE_PROBLEM: _DISK,
    EventKind.STORAGE_BACK: _DISK,
    EventKind.VOTES_RISEN: _VOTES,
    EventKind.VOTES_FALLEN: _VOTES,
    EventKind.OWN_VOTES_REFUSED: _VOTES,
    EventKind.OWN_VOTES_ACCEPTED: _VOTES,
    EventKind.NEWER_SHARE_TYPE: _TYPES,
    EventKind.SOFTWARE_LOST: _SOFTWARE,
    EventKind.SOFTWARE_BACK: _SOFTWARE,
    EventKind.HANDSHAKES_CLOSED: _SOFTWARE,
    EventKind.HANDSHAKES_KEPT: _SOFTWARE,
    EventKind.CHAIN_SPLIT: _SPLIT,
    EventKind.CHAIN_JOINED: _SPLIT,
}


def compose(notice: Notice, identity: NodeIdentity, zone: tzinfo | None = None) -> Message:
    """Return a notice in words. Times are in `zone` (None: the machine's)."""
    titles = [_title(group) for group in notice.groups]
    title = titles[0] if len(titles) == 1 else f"{sum(group.count for group in notice.groups)} events"
    if notice.held:
        title += " during quiet hours"
    lines = []
    for group in notice.groups:
        if len(titles) > 1:
            lines.append(f"{_title(group)}:")
        lines += _lines(group, identity, zone)
    lines.append(f"Node {identity.node}, {identity.network}: {identity.page}")
    subject = printable(f"[p2pool {identity.node}] {title}", MAX_SUBJECT)
    return Message(subject, "\n".join(lines)[:MAX_BODY] + "\n")


def trial_message(identity: NodeIdentity) -> Message:
    """Return the message that the test button sends."""
    return Message(
        printable(f"[p2pool {identity.node}] test", MAX_SUBJECT),
        "This is a test message, requested by an operator of this node. If you can read it, alerts reach you.\n\n"
        f"Node {identity.node}, {identity.network}: {identity.page}\n",
    )


def _title(group: EventGroup) -> str:
    if group.count > 1:
        return _MANY[group.kind].format(n=group.count)
    event = group.events[0]
    form = _ONE.get(group.kind)
    return event.text if form is None else form.replace("{subject}", event.subject)


def _lines(group: EventGroup, identity: NodeIdentity, zone: tzinfo | None) -> list[str]:
    lines = [f"{_clock(event.time, zone)}  {event.text}" for event in group.events]
    if group.count > len(lines):
        until = _clock(group.last, zone)
        lines.append(f"... and {group.count - len(lines)} more, the last one at {until}")
    check = _CHECK[group.kind].replace("{page}", identity.page).replace("{log}", identity.log)
    return [*lines, f"Check {check}.", ""]


def _clock(time: float, zone: tzinfo | None) -> str:
    """Return a time for people, with its zone."""
    return datetime.fromtimestamp(time, zone).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
