"""How the node is run: what its process uses, which ports are open, its settings, and what it mines in addition
to Dash. /api/v1/process, /api/v1/ports, /api/v1/config, /api/v1/merged."""

from __future__ import annotations

from typing import Any

from p2pool.base.histogram import HistogramSnapshot
from p2pool.web.api.endpoint import Arguments, Endpoint, RequestContext
from p2pool.web.api.schema import SECONDS, TIME, array, count, mapping, nullable, number, record, text
from p2pool.web.sources import Snapshot


def process_figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/process."""
    process = snapshot.pool.process
    figures = process.figures
    return {
        "memory": None if figures is None else figures.resident_bytes,
        "cpu_seconds": None if figures is None else figures.cpu_seconds,
        "open_files": None if figures is None else figures.open_files,
        "max_files": None if figures is None or figures.max_files < 0 else figures.max_files,
        "threads": None if figures is None else figures.threads,
        "reactor_delay": {"last": process.last_delay, "worst": process.worst_delay, **_times(process.delays)},
        "garbage_collection": _times(process.pauses),
    }


def _times(times: HistogramSnapshot) -> dict[str, Any]:
    return {
        "count": times.count,
        "average": times.total / times.count if times.count else None,
        "median": times.quantile(0.5),
        "p99": times.quantile(0.99),
    }


def open_ports(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the JSON of /api/v1/ports."""
    return [
        {
            "purpose": each.purpose,
            "port": each.port,
            "fingerprint": each.fingerprint,
            "other_fingerprint": each.other_fingerprint,
            "expires": each.not_after,
        }
        for each in snapshot.sources.listening()
    ]


def merged_mining(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the JSON of /api/v1/merged."""
    return [
        {
            "daemon": each.url,
            "chain_id": each.chain_id,
            "accepted": each.accepted,
            "refused": each.refused,
            "problem": each.problem,
        }
        for each in snapshot.sources.merged()
    ]


def shown_settings(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/config."""
    return {"settings": dict(context.sources.settings)}


_TIMES = {
    "count": count(),
    "average": nullable(SECONDS),
    "median": nullable(SECONDS),
    "p99": nullable(SECONDS),
}
ENDPOINTS = (
    Endpoint(
        "/api/v1/process",
        "Resource use and event loop delays of the node's process. Quantiles are upper bounds",
        record(
            memory=nullable(number("bytes in use; null before the first measurement")),
            cpu_seconds=nullable(SECONDS),
            open_files=nullable(count()),
            max_files=nullable(count("limit of the system; null if unlimited")),
            threads=nullable(count()),
            reactor_delay=record(
                "delay of the event loop; worst covers the last minute or two",
                last=SECONDS,
                worst=SECONDS,
                **_TIMES,
            ),
            garbage_collection=record("duration of the pauses", **_TIMES),
        ),
        view=process_figures,
    ),
    Endpoint(
        "/api/v1/ports",
        "Ports that are open, and their certificates",
        array(
            record(
                purpose=text("human-readable"),
                port=count(),
                fingerprint=nullable(text("SHA-256 of the certificate; null without TLS")),
                other_fingerprint=nullable(
                    text("SHA-256 of the additional RSA certificate, for clients that support only RSA")
                ),
                expires=nullable({**TIME, "description": "when the certificate expires, Unix seconds"}),
            )
        ),
        view=open_ports,
    ),
    Endpoint(
        "/api/v1/merged",
        "Other chains that are merge-mined with the same work",
        array(
            record(
                daemon=text("its address"),
                chain_id=nullable(count("null before its first response")),
                accepted=count("blocks that its daemon accepted"),
                refused=count(),
                problem=nullable(text("why there is no work for this chain")),
            )
        ),
        view=merged_mining,
    ),
    Endpoint(
        "/api/v1/config",
        "The settings in force, by flag name; for secrets and files, only whether they are set",
        record(settings=mapping({}, "flag's name -> value; times in seconds, fees in percent")),
        look_up=shown_settings,
    ),
)
