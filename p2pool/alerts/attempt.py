"""One attempt to deliver an outbox entry, whatever its channel does."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger

from p2pool.alerts.channel import Channel, DeliveryResult, OutboxEntry, failed
from p2pool.base.environment import Environment

ATTEMPT_TIME: Final = 90.0
"""Seconds after which an attempt is given up, whatever its channel waits for: a library may have no limit."""
_log = Logger(namespace="p2pool.alerts")


async def make_attempt(environment: Environment, channel: Channel, entry: OutboxEntry) -> DeliveryResult:
    """Make one attempt, which takes ATTEMPT_TIME at most, and return its result. Cancelling it is a failure as
    well."""

    async def deliver() -> DeliveryResult:
        return await channel.deliver(entry, environment.clock())

    try:
        return await Deferred.fromCoroutine(deliver()).addTimeout(ATTEMPT_TIME, environment.reactor)
    except DeferredTimeout:
        return failed(f"no answer within {ATTEMPT_TIME:g} s")
    except CancelledError:
        return failed("the node was stopped")
    except Exception:
        _log.failure("internal error: delivering to {destination} failed", destination=entry.destination)
        return failed("internal error; see the node's log")
