"""The checks of a Dash Core: pure functions of the facts that `dashd_facts` gathers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from p2pool.app.dashd import MAX_CLOCK_OFFSET
from p2pool.base.text import format_duration
from p2pool.dashd.facts import MAX_TIME_OFFSET, DaemonFacts, WrongDaemon
from p2pool.dashd.rpc import STILL_COMING_UP, RpcError, RpcForbidden, RpcTimeout, RpcUnauthorized
from p2pool.operators.findings import Finding, fault, ok, warning

MEDIAN_LAG: Final = 2 * 3600
"""Seconds by which the median time of the last blocks is behind the clock at most, however slow the chain is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonReport:
    """What was learnt of one daemon. An error is why something is not known."""

    url: str
    error: Exception | None = None
    facts: DaemonFacts | None = None
    template_error: Exception | None = None
    template_time: int | None = None
    """The daemon's time (Unix seconds) in the template, and this machine's time when it arrived."""
    local_time: float = 0.0
    wallet_needed: bool = False
    wallet_error: Exception | None = None
    p2p_problem: str = ""
    p2p_port: int = 0
    zmq: str | None = None
    """The address that the node is to subscribe to."""
    zmq_problem: str = ""
    published: tuple[str, ...] = field(default=())
    """Where the daemon publishes new blocks, by its own account."""


def check_daemon_report(report: DaemonReport) -> Iterator[Finding]:
    """Judge a daemon; of one that does not answer, nothing else can be told."""
    yield check_reached(report)
    if report.facts is None:
        return
    yield check_synchronised(report)
    yield check_clock(report)
    yield check_wallet(report)
    yield check_p2p(report)
    yield check_zmq(report)
    if report.facts.warnings:
        yield warning("dashd", f"{report.url} warns: {report.facts.warnings}")


def check_reached(report: DaemonReport) -> Finding:
    """Judge whether the daemon answers, lets this node in, and is one to mine on."""
    error = report.error
    if error is None and report.facts is not None:
        return ok("dashd", f"{report.url}: {report.facts.line}")
    if isinstance(error, RpcUnauthorized):
        return fault(
            "dashd login",
            str(error),
            "give the rpcuser and rpcpassword of its dash.conf, or the path of its cookie",
        )
    if isinstance(error, RpcForbidden):
        return fault("dashd login", str(error))
    if isinstance(error, WrongDaemon):
        return fault("dashd version and chain", f"{report.url}: {error}")
    if isinstance(error, RpcError):
        wait = "wait until it has started" if error.code in STILL_COMING_UP else "look into its debug.log"
        return fault("dashd", f"{report.url} is not ready: {error}", wait)
    advice = (
        "wait, or restart it"
        if isinstance(error, RpcTimeout)
        else ("start dashd (with server=1 in dash.conf), or correct --dashd-address, --dashd-rpc-port or --dashd")
    )
    return fault("dashd", str(error), advice)


def check_synchronised(report: DaemonReport) -> Finding:
    """Judge whether the daemon has the chain and provides block templates."""
    facts, error = report.facts, report.template_error
    subject = "dashd templates"
    if facts is not None and facts.initial_download:
        text = f"it is still synchronising ({facts.progress:.1%}, block {facts.blocks} of {facts.headers})"
        return fault(subject, text, "wait; until then miners get no work")
    if error is None:
        return ok(subject, "it is synchronised and provides work")
    if isinstance(error, RpcError) and error.code in STILL_COMING_UP:
        return fault(subject, f"it provides no work: {error}", "wait until it has peers and has synchronised")
    return fault(subject, f"it provides no work: {error}")


def check_clock(report: DaemonReport) -> Finding:
    """Judge this machine's clock by the daemon's, and the daemon's by those of its peers."""
    facts, advice = report.facts, "synchronise the clocks with NTP (timedatectl set-ntp true)"
    if facts is not None and abs(facts.time_offset) > MAX_TIME_OFFSET:
        return warning("clock", f"dashd's clock differs by {facts.time_offset} s from those of its peers", advice)
    if report.template_time is None:
        return warning("clock", "it cannot be compared with the network's: dashd provides no template")
    ahead = report.local_time - report.template_time
    if abs(ahead) <= MAX_CLOCK_OFFSET:
        return ok("clock", "it agrees with dashd's")
    way = "ahead of" if ahead > 0 else "behind"
    text = f"this machine's clock is {format_duration(abs(ahead))} {way} the time in dashd's template"
    return fault("clock", text, advice) if abs(ahead) > MEDIAN_LAG else warning("clock", text, advice)


def check_wallet(report: DaemonReport) -> Finding:
    """Judge whether the daemon has the wallet that the payout address comes from."""
    if not report.wallet_needed:
        return ok("wallet", "none is needed: the payout address is given")
    if report.wallet_error is None:
        return ok("wallet", "dashd's wallet provides the payout address")
    return fault("wallet", str(report.wallet_error), "" if "-a ADDRESS" in str(report.wallet_error) else "give -a")


def check_p2p(report: DaemonReport) -> Finding:
    """Judge whether blocks can be sent and learnt of over dashd's p2p port."""
    if not report.p2p_problem:
        return ok("dashd p2p", f"port {report.p2p_port} takes connections")
    return warning(
        "dashd p2p",
        report.p2p_problem,
        "set listen=1 in dash.conf, or correct --dashd-p2p-port (?p2p=PORT with --dashd): without it, blocks "
        "travel by RPC only",
    )


def check_zmq(report: DaemonReport) -> Finding:
    """Judge whether the node hears of new blocks over ZMQ, which is optional."""
    if report.zmq is None:
        if report.published:
            return ok("ZMQ", f"not used; dashd offers it: --dashd-zmq {report.published[0]}")
        return ok("ZMQ", "not used; the p2p port announces new blocks as well")
    if report.zmq_problem:
        offered = (
            f"; dashd publishes new blocks at {report.published[0]}"
            if report.published
            else ("; dashd publishes no new blocks: set zmqpubhashblock in dash.conf")
        )
        return warning(
            "ZMQ", f"{report.zmq}: {report.zmq_problem}{offered}", "correct --dashd-zmq, or leave it out"
        )
    if not report.published:
        return warning(
            "ZMQ",
            "dashd publishes no new blocks",
            f"set zmqpubhashblock={report.zmq} in dash.conf, and restart it",
        )
    return ok("ZMQ", f"{report.zmq} publishes")
