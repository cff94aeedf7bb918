"""The one table: every endpoint answers what its schema says, refuses as it says, and is described."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from p2pool.web import openapi
from p2pool.web.api.descriptions import UNITS
from p2pool.web.api.endpoint import MAX_TEXT, Endpoint
from p2pool.web.api.field_words import WORDS
from p2pool.web.api.history_question import NO_HISTORY
from p2pool.web.api.miner_alerts import POSTS
from p2pool.web.api.schema import ERROR
from p2pool.web.api.table import ALIASES, ENDPOINTS
from p2pool.web.csv_table import CSV_TYPE
from p2pool.web.views import VIEWS
from tests.logged import logged
from tests.support import ROOT, make_template
from tests.web.api_page import page
from tests.web.busy import ALICE, NOBODY, busy_pool
from tests.web.pages import Answer, Pool

BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}
UNKNOWN_HASH = "1" * 64


@pytest.fixture(scope="module")
def busy() -> Pool:
    return busy_pool()


@pytest.fixture(scope="module")
def empty() -> Pool:
    pool = Pool()
    pool.refresh()
    return pool


def filled(endpoint: Endpoint, pool: Pool) -> str:
    """The path with parameters that there is an answer to."""
    known = {
        "hash": f"{pool.shares[5].hash:064x}" if pool.shares else UNKNOWN_HASH,
        "source": "pool_rates",
        "view": "last_day",
        "total": "12.5",
        "trunc": "0.5",
        "name": f"{ALICE}.rig1",
        "address": ALICE,
    }
    return re.sub(r"\{(\w+)\}", lambda match: known[match[1]], endpoint.path)


def asks_history(endpoint: Endpoint) -> bool:
    """Whether it has no answer where no history is kept."""
    return NO_HISTORY in endpoint.refusals


def check(endpoint: Endpoint, answer: Answer) -> Any:
    """The value of an answer that is as the table says."""
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == endpoint.content_type.decode()
    if endpoint.content_type == b"application/octet-stream":
        return answer.body
    if endpoint.content_type == CSV_TYPE:
        return list(csv.reader(io.StringIO(answer.body.decode())))[1:]
    value = json.loads(answer.body)
    Draft202012Validator(endpoint.schema).validate(value)
    return value


def check_error(endpoint: Endpoint | None, answer: Answer) -> str:
    """The code of a refusal, which the table names."""
    Draft202012Validator(ERROR).validate(answer.json)
    code = answer.json["error"]["code"]
    if endpoint is not None:
        assert (answer.status, code) in [(each.status, each.code) for each in endpoint.every_error()]
    return code


# --- answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BY_PATH)
def test_every_endpoint_of_a_busy_node(busy, path):
    endpoint = BY_PATH[path]
    value = check(endpoint, busy.ask(filled(endpoint, busy)))
    # Something is told: what is empty has nothing that a schema could be wrong about.
    assert value not in ({}, [], "", None), value


@pytest.mark.parametrize("path", BY_PATH)
def test_every_endpoint_of_an_empty_node(empty, path):
    endpoint = BY_PATH[path]
    answer = empty.ask(filled(endpoint, empty))
    if answer.status == 200:
        check(endpoint, answer)
    else:
        assert endpoint.in_path or asks_history(endpoint)
        check_error(endpoint, answer)


@pytest.mark.parametrize("path", BY_PATH)
def test_every_endpoint_before_the_first_figures(path):
    endpoint, pool = BY_PATH[path], Pool(8, make_template())
    with logged() as log:
        answer = pool.ask(filled(endpoint, pool))
    if answer.status != 200:  # the share chain can be looked up already
        assert (answer.status, check_error(endpoint, answer)) == (503, "starting")
    else:
        assert endpoint.look_up is not None
    assert not log.tracebacks


@pytest.mark.parametrize("count", [1, 2, 12])
def test_every_view_of_a_young_chain(count):
    pool = Pool(count, make_template())
    for _ in range(3):
        pool.now += 10
        with logged() as log:
            pool.refresh()
        assert not log.tracebacks
    for endpoint in ENDPOINTS:
        if not endpoint.in_path and not asks_history(endpoint):
            check(endpoint, pool.ask(endpoint.path))


def test_aliases_are_served_with_the_other_s_bytes(busy):
    assert ALIASES == {"dashd_status": "api/v1/dashd"}
    for alias, path in ALIASES.items():
        assert busy.views.rendered[alias] is busy.views.rendered[path]


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BY_PATH)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods(busy, path, method):
    answer = busy.ask(filled(BY_PATH[path], busy), method)
    assert (answer.status, check_error(None, answer)) == (405, "method_not_allowed")


@pytest.mark.parametrize("path", [path for path in BY_PATH if "{" not in path])
def test_nothing_lies_below_a_path_without_parameters(busy, path):
    answer = busy.ask(path + "/x/y/z")
    assert answer.status == 404
    check_error(None, answer)
    if path not in ("/api/v1/workers", "/api/v1/addresses", "/api/v1/shares"):  # which have a parameter there
        assert answer.json["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/pool", "/api/v1/nothing", "/web/nothing", "/API/v1/pool"],
)
def test_unknown_paths(busy, path):
    answer = busy.ask(path)
    assert (answer.status, check_error(None, answer)) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/shares/12", 404, "not_a_hash"),
        ("/api/v1/shares/" + UNKNOWN_HASH, 404, "unknown_share"),
        ("/api/v1/chain?from=12", 404, "not_a_hash"),
        ("/api/v1/chain?from=" + UNKNOWN_HASH, 404, "unknown_share"),
        ("/api/v1/chain?count=0", 400, "bad_count"),
        ("/api/v1/workers?limit=0", 400, "bad_limit"),
        ("/api/v1/workers?limit=501", 400, "bad_limit"),
        ("/api/v1/workers?limit=-1", 400, "bad_limit"),
        ("/api/v1/workers?limit=1e2", 400, "bad_limit"),
        ("/api/v1/workers?limit=%d9%a5", 400, "bad_limit"),
        ("/api/v1/workers?limit=%ff", 400, "bad_limit"),
        ("/api/v1/workers?limit=5&limit=6", 400, "bad_limit"),
        ("/api/v1/workers?offset=-1", 400, "bad_offset"),
        ("/api/v1/workers?offset=100001", 400, "bad_offset"),
        ("/api/v1/workers?sort=password", 400, "bad_sort"),
        ("/api/v1/workers?order=up", 400, "bad_order"),
        ("/api/v1/workers?connected=yes", 400, "bad_connected"),
        ("/api/v1/workers?search=" + "x" * (MAX_TEXT + 1), 400, "bad_search"),
        ("/api/v1/workers/nobody", 404, "unknown_worker"),
        ("/api/v1/workers/" + "x" * (MAX_TEXT + 1), 404, "bad_name"),
        ("/api/v1/workers/%ff", 404, "bad_name"),
        ("/api/v1/addresses/" + NOBODY, 404, "unknown_address"),
        ("/api/v1/addresses/" + NOBODY[:-1], 404, "not_an_address"),
        ("/api/v1/addresses/<b>", 404, "not_an_address"),
        ("/miner_stats/" + "1" * 5000, 404, "not_an_address"),
        ("/miner_payouts/%ff", 404, "not_an_address"),
        ("/api/v1/blocks?limit=201", 400, "bad_limit"),
        ("/api/v1/samples?figure=nothing", 400, "bad_figure"),
        ("/api/v1/samples?period=year", 400, "bad_period"),
        ("/network_difficulty?period=century", 400, "bad_period"),
        ("/web/graph_data", 404, "unknown_source"),
        ("/web/graph_data/nothing/last_day", 404, "unknown_source"),
        ("/web/graph_data/pool_rates", 404, "unknown_view"),
        ("/web/graph_data/pool_rates/last_century", 404, "unknown_view"),
        ("/web/graph_data/pool_rates/last_day/x", 404, "unknown_view"),
        ("/patron_sendmany", 404, "bad_total"),
        ("/patron_sendmany/", 404, "bad_total"),
        ("/patron_sendmany/0", 404, "bad_total"),
        ("/patron_sendmany/-1", 404, "bad_total"),
        ("/patron_sendmany/1e3", 404, "bad_total"),
        ("/patron_sendmany/nan", 404, "bad_total"),
        ("/patron_sendmany/30000001", 404, "bad_total"),
        ("/patron_sendmany/1.123456789", 404, "bad_total"),
        ("/patron_sendmany/1/x", 404, "bad_trunc"),
        ("/patron_sendmany/1/1/1", 404, "bad_trunc"),
    ],
)
def test_what_cannot_be_answered(busy, path, status, code):
    with logged() as log:
        answer = busy.ask(path)
    assert (answer.status, check_error(None, answer)) == (status, code)
    assert b"<" not in answer.body
    assert not log.lines
    assert not log.tracebacks


@settings(max_examples=150)
@given(path=st.sampled_from([path for path in BY_PATH if "{" in path or BY_PATH[path].parameters]), data=st.data())
def test_no_parameter_is_too_strange(busy, path, data):
    """Whatever stands in place of a parameter: an answer of the schema, or a refusal of the table, and no log."""
    endpoint = BY_PATH[path]
    strange = st.one_of(
        st.text(min_size=1, max_size=40), st.from_regex(r"[0-9a-f]{64}", fullmatch=True), st.integers().map(str)
    ).map(lambda text: "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass")))
    asked = re.sub(r"\{\w+\}", lambda _: data.draw(strange), path)
    names = [each.name for each in endpoint.in_query]
    asked += "?" + "&".join(f"{name}={data.draw(strange)}" for name in names if data.draw(st.booleans()))
    with logged() as log:
        answer = busy.ask(asked)
    if answer.status == 200:
        check(endpoint, answer)
    else:
        check_error(None, answer)
    assert not log.tracebacks


# --- description ---------------------------------------------------------------------------------------------


def test_the_table_is_sound():
    assert len(BY_PATH) == len(ENDPOINTS)
    for endpoint in ENDPOINTS:
        Draft202012Validator.check_schema(endpoint.schema)
        ways = [endpoint.view, endpoint.look_up, endpoint.same_as or None]
        assert len([way for way in ways if way is not None]) == 1, endpoint.path
        if endpoint.same_as:
            other = BY_PATH[endpoint.same_as]
            assert other.view is not None
            assert other.schema == endpoint.schema
        assert [each.name for each in endpoint.in_path] == re.findall(r"\{(\w+)\}", endpoint.path)
        assert endpoint.view is None or not endpoint.parameters
        assert endpoint.summary
    assert {each.key for each in ENDPOINTS if each.view is not None} == set(VIEWS)


def test_schemas_do_not_let_everything_pass(busy):
    """A field that is missing, one that is new and one of another type are each found."""
    endpoint = BY_PATH["/api/v1/pool"]
    good = busy.ask(endpoint.path).json
    validator = Draft202012Validator(endpoint.schema)
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, "new": 1})
    assert not validator.is_valid({name: value for name, value in good.items() if name != "hash_rate"})
    assert not validator.is_valid({**good, "hash_rate": "1"})
    assert not validator.is_valid({**good, "block_value": {"dash": 1.0, "duffs": 100_000_000}})


def test_the_openapi_document(busy):
    answer = busy.ask("/api/openapi.json")
    assert answer.status == 200
    document = answer.json
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == "1.2.3"
    assert set(document["paths"]) == {*BY_PATH, *(each.path for each in POSTS)}
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    identifiers = [operation["operationId"] for operation in operations]
    assert len(set(identifiers)) == len(identifiers)
    workers = document["paths"]["/api/v1/workers"]["get"]
    assert {each["name"]: each["required"] for each in workers["parameters"]} == dict.fromkeys(
        ("sort", "order", "offset", "limit", "search", "state", "address", "connected"), False
    )
    assert set(workers["responses"]) == {"200", "400", "503"}
    assert "bad_limit" in workers["responses"]["400"]["description"]
    share = document["paths"]["/api/v1/shares/{hash}"]["get"]
    assert share["parameters"][0]["required"] is True
    assert "unknown_share" in share["responses"]["404"]["description"]


def test_every_field_and_parameter_has_a_description():
    def without(schema: Any, name: str) -> Iterator[str]:
        for each in (schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", ())):
            if isinstance(each, dict):
                yield from without(each, name)
        for key, field in schema.get("properties", {}).items():
            if field.get("description", "") in ("", *UNITS):
                yield f"{name}.{key}"
            yield from without(field, f"{name}.{key}")

    lacking = [name for endpoint in ENDPOINTS for name in without(endpoint.schema, endpoint.path)]
    # The two parts of an amount say their units, which is all there is to say.
    assert [name for name in lacking if not name.endswith((".dash", ".duffs"))] == []
    parameters = [(each.path, one) for each in ENDPOINTS for one in each.parameters]
    assert [(path, one.name) for path, one in parameters if not one.schema.get("description")] == []


def test_each_description_is_used():
    described = "".join(str(endpoint.schema) for endpoint in ENDPOINTS)
    used = [words.partition(";")[0].replace("'", "\\'") for words in WORDS.values()]
    assert [words for words in used if words not in described and words.replace("\\'", "'") not in described] == []


def test_the_document_is_made_once(busy, monkeypatch):
    monkeypatch.setattr(openapi, "document", lambda version: 1 / 0)
    assert busy.ask("/api/openapi.json").status == 200


def test_the_page_of_the_documentation_is_up_to_date():
    written = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert written == page(), "out of date, regenerate it: python -m tests.web.api_page > docs/api.md"


def test_a_look_up_takes_no_snapshot(busy):
    """What is asked for is answered from the newest refresh; only a refresh counts."""
    pool = Pool(5, make_template())
    pool.refresh()
    pool.sources.stats.snapshot = None
    assert pool.ask("/api/v1/workers").status == 200
    assert pool.ask("/api/v1/blocks").status == 200


def test_what_the_node_can_be_reached_at(busy):
    from p2pool.web.sources import NodePorts
    from p2pool.web.views import Views

    pool = Pool()
    pool.views = Views(replace(pool.sources, ports=lambda: NodePorts("192.0.2.1", 7903, 8999, 7904)))
    pool.refresh()
    network = pool.node.network
    told = {"external_ip": "192.0.2.1", "worker_port": 7903, "p2p_port": 8999, "network": network.name}
    assert json.loads(pool.views.rendered["node_info"]) == told
    node = json.loads(pool.views.rendered["api/v1/node"])
    assert (node["worker_port"], node["worker_tls_port"], node["p2p_port"]) == (7903, 7904, 8999)
    other = Pool()
    other.refresh()
    assert other.ask("/api/v1/node").json["worker_tls_port"] is None
    assert other.ask("/node_info").json == {
        "external_ip": None,
        "worker_port": network.worker_port,
        "p2p_port": network.p2p_port,
        "network": network.name,
    }


def test_many_look_ups_cost_one_piece_of_work(monkeypatch):
    """What a look-up has to work out is worked out once for a snapshot, however many ask."""
    from p2pool.web.api import rounds, samples, workers
    from p2pool.web.worker_index import WorkerIndex

    pool, made = busy_pool(), []
    for module, name in ((rounds, "_rounds"), (workers, "_blocks_by_address"), (samples, "_graph")):
        real = getattr(module, name)
        counted = lambda *given, real=real, name=name, **named: (  # noqa: E731
            made.append(name),
            real(*given, **named),
        )[1]
        monkeypatch.setattr(module, name, counted)
    indexes = []
    real_index = WorkerIndex.__init__
    monkeypatch.setattr(
        WorkerIndex, "__init__", lambda self, given: (indexes.append(1), real_index(self, given))[1]
    )
    pool.now += 10
    pool.refresh()
    for _ in range(20):
        for path in (
            "/api/v1/blocks",
            "/miner_payouts/" + pool.miner,
            "/web/graph_data/peers/last_day",
            "/api/v1/workers",
            "/miner_stats/" + pool.miner,
        ):
            assert pool.ask(path).status == 200
    assert sorted(made) == ["_blocks_by_address", "_graph", "_rounds"]
    assert len(indexes) == 1


def test_a_share_in_version_1_is_reported_without_computing_its_coinbase(monkeypatch, busy):
    monkeypatch.setattr(busy.tracker, "rebuild", lambda share: 1 / 0)
    told = busy.ask(f"/api/v1/shares/{busy.shares[9].hash:064x}").json
    share = busy.shares[9]
    assert int(told["target"], 16) == share.target
    assert told["subsidy"] == {"dash": "500.00000000", "duffs": 50_000_000_000}
    assert told["parent"] == f"{busy.shares[8].hash:064x}"
    assert told["children"] == [f"{busy.shares[10].hash:064x}"]
