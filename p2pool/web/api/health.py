"""For orchestrators and load balancers, without key or password: /healthz, /readyz."""

from __future__ import annotations

from typing import Any

from p2pool.web.api.endpoint import Arguments, Endpoint, RequestContext
from p2pool.web.api.schema import array, boolean, record, text, words
from p2pool.web.health import EVERY_CODE, liveness, readiness, readiness_status


def _liveness(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    return liveness()


def _readiness(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    return readiness(context.sources.missing())


ENDPOINTS = (
    Endpoint(
        "/healthz",
        "Whether the process works: status 200. No answer within some seconds means that it hangs. Needs no key "
        "and no password",
        record(alive=boolean("always true")),
        look_up=_liveness,
        answers_always=True,
    ),
    Endpoint(
        "/readyz",
        "Whether miners get work: status 200, or 503 with what is missing. Needs no key and no password",
        record(
            ready=boolean("whether nothing is missing"),
            missing=array(
                record(
                    code=words(*EVERY_CODE, description="for programs; it stays"),
                    message=text("a sentence for people"),
                )
            ),
        ),
        look_up=_readiness,
        answers_always=True,
        status_of=readiness_status,
    ),
)
