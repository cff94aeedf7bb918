"""Webhooks and messages for people: /api/v1/alerts. No address, no URL and no secret is in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from p2pool.alerts.figures import DestinationFigures
from p2pool.alerts.miners.figures import MinerAlertFigures
from p2pool.alerts.miners.settings import MinerChannel
from p2pool.alerts.miners.subscribing import Proof
from p2pool.alerts.miners.subscriptions import MinerEventKind
from p2pool.pool_stats import EventKind
from p2pool.web.api.endpoint import Endpoint
from p2pool.web.api.schema import TIME, array, boolean, count, nullable, record, text, words
from p2pool.web.sources import Snapshot


def alerts(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/alerts: the destinations, and what was delivered."""
    miners = _miners(snapshot.sources.miner_alerts())
    shown = snapshot.sources.alerts()
    if shown is None:
        return {
            "destinations": [],
            "events": [],
            "quiet_times": [],
            "is_quiet": False,
            "held": 0,
            "sent": snapshot.pool.alerts,
            "problem": None,
            "miners": miners,
        }
    return {
        "destinations": [_destination(each) for each in shown.destinations],
        "events": list(shown.events),
        "quiet_times": list(shown.quiet_times),
        "is_quiet": shown.is_quiet,
        "held": shown.held,
        "sent": snapshot.pool.alerts,
        "problem": shown.problem,
        "miners": miners,
    }


def _miners(figures: MinerAlertFigures) -> dict[str, Any]:
    return {
        **asdict(figures),
        "channels": list(figures.channels),
        "proofs": list(figures.proofs),
        "events": list(figures.events),
    }


def _destination(each: DestinationFigures) -> dict[str, Any]:
    failure = each.last_failure
    return {
        "id": each.id,
        "kind": each.kind,
        "host": each.host,
        "events": list(each.events),
        "waiting": each.waiting,
        "delivered": each.delivered,
        "lost": each.lost,
        "last_success": each.last_success,
        "last_failure": None if failure is None else {"time": failure, "reason": each.last_reason},
        "next_attempt": each.next_attempt,
    }


_EVENT = words(*(kind.value for kind in EventKind))
ENDPOINTS = (
    Endpoint(
        "/api/v1/alerts",
        "Webhooks and alerts: which destination receives which events, and the delivery status; to test a "
        "destination, POST its id to `/api/v1/admin/alert-test`",
        record(
            destinations=array(
                record(
                    id=text("id to pass to admin/alert-test"),
                    kind=words(
                        "webhook", "email", "service", description="service: a service that apprise supports"
                    ),
                    host=text("the host, or the name of apprise's service"),
                    events=array(_EVENT, "events that it receives"),
                    waiting=count("deliveries in progress or waiting"),
                    delivered=count("since the start"),
                    lost=count("given up since the start: rejected, or not accepted for a day"),
                    last_success=nullable(TIME),
                    last_failure=nullable(record(time=TIME, reason=text())),
                    next_attempt=nullable(TIME),
                )
            ),
            events=array(_EVENT, "events that people are notified of"),
            quiet_times=array(
                text("HH:MM-HH:MM"), "quiet hours in the machine's local time; messages wait until they end"
            ),
            is_quiet=boolean("whether quiet hours are in force now"),
            held=count("events that wait for the end of quiet hours"),
            sent=count("messages sent to people since the start"),
            problem=nullable(text("why waiting messages are not stored on disk")),
            miners=record(
                "alerts that miners set for their addresses (`--miner-alerts`)",
                channels=array(words(*MinerChannel), "what messages to miners are sent by; empty if none are"),
                proofs=array(words(*Proof), "the ways to prove an address to this node"),
                events=array(words(*MinerEventKind), "what miners can be notified of"),
                subscriptions=count("alerts whose destination is confirmed"),
                unconfirmed=count("alerts whose destination was asked to confirm"),
                waiting=count("messages in progress or waiting"),
                sent=count("messages delivered since the start"),
                failed=count("messages given up since the start"),
                problem=nullable(text("why these alerts are not stored on disk")),
            ),
        ),
        view=alerts,
    ),
)
