"""What orchestrators are told of a node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jsonschema import Draft202012Validator

from p2pool.web.api.health import ENDPOINTS
from p2pool.web.health import LOADING_SHARES, NO_DASHD, NO_PEERS, Missing
from p2pool.web.openapi import document
from p2pool.web.site import WebSite
from p2pool.web.views import Views
from tests.environment import make_environment
from tests.web.pages import Pool


def pool_that_lacks(*lacks: Missing) -> Pool:
    pool = Pool()
    views = Views(replace(pool.sources, missing=lambda: lacks))
    pool.site = WebSite(make_environment(pool.clock), views, Path("/nowhere"))
    return pool


def test_a_node_is_alive_and_ready_before_the_first_figures():
    pool = pool_that_lacks()
    alive, ready = pool.ask("/healthz"), pool.ask("/readyz")
    assert (alive.status, alive.json) == (200, {"alive": True})
    assert (ready.status, ready.json) == (200, {"ready": True, "missing": []})
    assert alive.headers["cache-control"] == "no-store"


def test_what_is_missing_is_said_in_codes_and_sentences():
    pool = pool_that_lacks(NO_DASHD, NO_PEERS)
    assert pool.ask("/healthz").status == 200
    ready = pool.ask("/readyz")
    assert ready.status == 503
    Draft202012Validator(ENDPOINTS[1].schema).validate(ready.json)
    assert [each["code"] for each in ready.json["missing"]] == ["no_dashd", "no_peers"]
    assert ready.json["missing"][1]["message"] == "The node is not connected to any other node."
    head = pool.ask("/readyz", "HEAD")
    assert (head.status, head.body) == (503, b"")


def test_the_openapi_document_has_both_statuses():
    paths = document("1")["paths"]
    ready = paths["/readyz"]["get"]["responses"]
    assert ready["503"]["content"] == ready["200"]["content"]
    assert set(paths["/healthz"]["get"]["responses"]) == {"200"}


def test_other_methods_are_refused():
    assert pool_that_lacks(LOADING_SHARES).ask("/readyz", "POST").status == 405
