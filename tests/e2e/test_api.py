"""Every endpoint of one running simnet node in one go: status and schema, and the node against its own OpenAPI
document (schemathesis)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from p2pool.app.config import SIMNET_ADDRESS
from p2pool.web.api.schema import ERROR
from p2pool.web.api.table import ENDPOINTS
from p2pool.web.csv_table import CSV_TYPE
from tests.e2e.process import NodeProcess, wait_for

pytestmark = pytest.mark.e2e
EXAMPLES = 8
"""Generated requests an operation, good ones and bad ones each."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One that mines, with a block in the chain and samples of its own."""
    directory = tmp_path_factory.mktemp("api")
    with NodeProcess(directory, "--simnet-miners", "1", "--simnet-block-period", "1", "-f", "1") as node:
        wait_for(
            "block", lambda: [b for b in node.try_get("recent_blocks") or [] if b["detailed_status"] == "accepted"]
        )
        wait_for("payouts", lambda: node.get("current_payouts"))
        wait_for("samples", lambda: len(node.get("api/v1/samples")["points"]) >= 2)
        yield node
        assert node.interrupt() < 5
        assert "Traceback" not in node.output


def ask(node: NodeProcess, path: str, method: str = "GET") -> requests.Response:
    return requests.request(method, f"http://127.0.0.1:{node.port}{path}", timeout=10)


def test_every_endpoint(node):
    share = node.get("web/best_share_hash")
    (worker,) = node.get("api/v1/workers")["workers"]
    known = {
        "hash": share,
        "name": worker["name"],
        "address": SIMNET_ADDRESS,
        "source": "local_hash_rate",
        "view": "last_hour",
        "total": "3",
        "trunc": "0.1",
    }
    told = ask_all(node, known)
    while told["/api/v1/blocks"]["total"] != ask(node, "/api/v1/blocks").json()["total"]:
        told = ask_all(node, known)  # a block was found meanwhile
    compare(told)


def ask_all(node, known: dict[str, str]) -> dict[str, Any]:
    """Return the JSON of all endpoints, each valid by its own schema."""
    told: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        answer = ask(node, re.sub(r"\{(\w+)\}", lambda match: known[match[1]], endpoint.path))
        assert answer.status_code == 200, (endpoint.path, answer.text)
        assert answer.headers["content-type"] == endpoint.content_type.decode()
        if endpoint.content_type not in (CSV_TYPE, b"application/octet-stream"):
            told[endpoint.path] = answer.json()
            errors = [error.message for error in Draft202012Validator(endpoint.schema).iter_errors(answer.json())]
            assert not errors, endpoint.path
    return told


def compare(told: dict[str, Any]) -> None:
    """Endpoints of one node agree with each other."""
    pool, node, stats = told["/api/v1/pool"], told["/api/v1/node"], told["/local_stats"]
    assert pool["network"] == node["network"] == told["/global_stats"]["network"] == "simnet"
    assert pool["share_chain_height"] >= 1
    assert node["version"] == stats["version"] == told["/web/version"]
    assert stats["fee"] == told["/fee"] == 1
    assert node["fee"] == 0.01
    assert told["/payout_addr"] == told["/payout_addrs"][0] == node["payout_addresses"][0]["address"]
    payouts = told["/api/v1/payouts"]
    assert sum(each["amount"]["duffs"] for each in payouts["payouts"]) == payouts["total"]["duffs"] > 0
    miner = told["/api/v1/addresses/{address}"]
    assert miner["connections"] == 1
    assert miner["next_payout"]["duffs"] > 0
    assert told["/miner_stats/{address}"]["active"]
    assert told["/api/v1/blocks"]["total"] == len(told["/block_history"]) >= 1
    assert sum(told["/patron_sendmany/{total}"].values()) == pytest.approx(3)
    assert told["/node_info"]["worker_port"] > 0
    newest = told["/web/graph_data/{source}/{view}"][:10]
    assert any(value > 0 for _, value, _, _ in newest)
    block = told["/api/v1/blocks"]["blocks"][-1]
    assert block["value"]["duffs"] > 0


def test_refusals(node):
    for path, status, code in (
        ("/nothing", 404, "not_found"),
        ("/api/v1/nothing", 404, "not_found"),
        ("/local_stats/more", 404, "not_found"),
        ("/api/v1/shares/" + "1" * 64, 404, "unknown_share"),
        ("/web/share/12", 404, "not_a_hash"),
        ("/api/v1/addresses/yNobody", 404, "not_an_address"),
        ("/api/v1/workers/nobody", 404, "unknown_worker"),
        ("/api/v1/workers?limit=100000", 400, "bad_limit"),
        ("/api/v1/workers?offset=-1", 400, "bad_offset"),
        ("/api/v1/chain?count=0", 400, "bad_count"),
        ("/web/graph_data/x/last_day", 404, "unknown_source"),
        ("/patron_sendmany/all", 404, "bad_total"),
    ):
        answer = ask(node, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
        Draft202012Validator(ERROR).validate(answer.json())
    for endpoint in ENDPOINTS:
        for method in ("POST", "DELETE"):
            answer = ask(node, endpoint.path.replace("{", "").replace("}", ""), method)
            assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


def test_the_node_keeps_to_its_openapi_document(node):
    base = f"http://127.0.0.1:{node.port}"
    document = ask(node, "/api/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE:
            if mode is schemathesis.GenerationMode.NEGATIVE and not operation.definition.raw.get("parameters"):
                continue

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def holds(case: schemathesis.Case) -> None:
                nonlocal tried
                tried += 1
                response = case.call(base_url=base)
                case.validate_response(response, checks=CHECKS)
                if response.status_code != 200:
                    Draft202012Validator(ERROR).validate(json.loads(response.text))

            holds()
    assert tried >= len(ENDPOINTS)
