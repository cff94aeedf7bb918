"""What gateways and their node send each other about statistics: sums, and which of them are counted.

A gateway has one report of sums under way at a time: the next one leaves when the node has counted it. So reports
arrive in the order of their numbers, and a number that is not above the last one is a repetition.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from p2pool.gateway.messages import SCHEMA

MAX_WORKERS_SENT: Final = 2_000
"""Workers in one report; those that are left follow in the next one."""
MAX_RATES: Final = 1_000
"""Payout addresses whose hash rates a node sends, the strongest ones."""
MAX_COUNTED: Final = 512
"""Runs of gateways whose last report a node remembers."""

Text = Annotated[str, msgspec.Meta(max_length=128)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Work = Annotated[float, msgspec.Meta(ge=0, le=1e30)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
Run = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Refused = Annotated[dict[int, Count], msgspec.Meta(max_length=32)]
Words = Annotated[dict[Text, Count], msgspec.Meta(max_length=32)]


class WorkerPart(msgspec.Struct, frozen=True, array_like=True):
    """What was counted of one worker; `connections`, `difficulty` and `software` are those of now. Without a name:
    what belongs to no worker that is remembered."""

    name: Text
    connections: Count
    accepted: Count
    attempts: Work
    dead: Count
    dead_attempts: Work
    difficulty: Work
    refused: Refused
    software: Text
    site: Text


class SumsMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's report: see `pool_stats.GatewaySums`. `number` counts the reports of its run from 1 on."""

    schema: int = SCHEMA
    gateway: Text
    address: Text
    version: Text
    run: Run
    number: Run
    started: Seconds
    seconds: Seconds
    connections: Count
    connected: Count
    turned_away: Words
    offences: Words
    workers: Annotated[list[WorkerPart], msgspec.Meta(max_length=MAX_WORKERS_SENT + 1)]
    whole: bool
    leaving: bool = False


class CountedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The node's answer. `run` is a random number of its run, `counted` the number of the last report that it has
    counted, by the run of the gateway."""

    schema: int = SCHEMA
    run: Run
    counted: Annotated[dict[Run, Run], msgspec.Meta(max_length=MAX_COUNTED)]
    rates: Annotated[dict[Text, Work], msgspec.Meta(max_length=MAX_RATES)] | None
    """Hash rates of payout addresses with miners in several places; None if they are as before."""
