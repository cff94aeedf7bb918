"""The answers of a real Dash Core 23, capture by capture: the simulated one answers the same requests with the
same HTTP status, the same error code, and the same bytes or the same shape, as `capture_recipes` says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.simnet.capture_recipes import EXCEPTIONS, RECIPES, Recipe, Same, call
from tests.simnet.http_wire import HttpWire, authorization
from tests.simnet.shapes import differences

CAPTURES = Path(__file__).parent.parent / "captures"
FILES = sorted(path.name for path in CAPTURES.iterdir() if path.name != "README.md")
ANSWERS = [name.removesuffix(".json") for name in FILES if name not in EXCEPTIONS]
_HEADERS = ("Content-Type", "Content-Length", "WWW-Authenticate")

MakeSimulation = Callable[..., Any]


def _load(name: str) -> Any:
    return orjson.loads((CAPTURES / f"{name}.json").read_bytes())


def _body(request: Any) -> bytes:
    return request.encode() if isinstance(request, str) else orjson.dumps(request)


def _answer(recipe: Recipe, captured: Any, simulation: Any) -> tuple[int, bytes, dict[str, str]]:
    """HTTP status, body and headers of the simulated Dash Core's answer."""
    request = recipe.prepare(simulation)
    body = _body(captured if request is None else request)
    wire = HttpWire(simulation)
    wire.send(body, *([] if recipe.credentials is None else [authorization(recipe.credentials)]))
    recipe.afterwards(simulation)
    simulation.clock.advance(0.25)  # what a wrong password costs
    status, headers, answer = wire.take()
    return status, answer, headers


def _kind(request: Any) -> str:
    """What is asked, as `shapes` names the answer."""
    if not isinstance(request, dict):
        return "batch"
    method = str(request.get("method"))
    return f"{method} {request['params'][0]}" if method in ("masternode", "gobject") else method


def test_every_file_is_in_one_category() -> None:
    assert len(FILES) > 150
    assert set(FILES) == {f"{name}.json" for name in RECIPES} | set(EXCEPTIONS)
    assert len(EXCEPTIONS) + len(RECIPES) == len(FILES)
    assert len(EXCEPTIONS) <= 2


@pytest.mark.parametrize("name", ANSWERS)
def test_capture(make_simulation: MakeSimulation, name: str) -> None:
    recipe, capture = RECIPES[name], _load(name)
    simulation = make_simulation(**recipe.parameters)
    status, body, headers = _answer(recipe, capture["request"], simulation)
    assert status == capture["http_status"]
    for header in _HEADERS:
        if header != "Content-Length" or (recipe.same is Same.BYTES and _raw_is_comparable(capture)):
            assert headers.get(header) == capture["http_headers"].get(header), header
    if not body:
        assert (capture["response_raw"], capture["response"]) == ("", None)
        return
    ours, theirs = orjson.loads(body), capture["response"]
    if recipe.same is Same.BYTES:
        assert ours == theirs
        if _raw_is_comparable(capture):
            assert body.decode() == capture["response_raw"]
        return
    if isinstance(ours, dict) and ours["error"] is not None:
        assert ours["error"]["code"] == theirs["error"]["code"]
    label = "answer" if isinstance(ours, dict) else "batch"
    assert _differences(ours, theirs, label, _kind(capture["request"])) == []


def _raw_is_comparable(capture: Any) -> bool:
    """Dash Core pads amounts to eight digits; the number is the same."""
    return ":0.0000" not in capture["response_raw"]


def _differences(ours: Any, theirs: Any, label: str, kind: str) -> list[str]:
    if isinstance(ours, list):
        return differences(ours, theirs, label)
    assert list(ours) == list(theirs) == ["result", "error", "id"]
    assert ours["id"] == theirs["id"]
    return [
        *differences(ours["result"], theirs["result"], f"result/{kind}"),
        *differences(ours["error"], theirs["error"], "error"),
    ]


# --- what the comparison itself is worth ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ({"a": 1, "b": "x"}, {"a": 2.5, "b": ""}, 0),
        ({"a": 1, "b": "x"}, {"b": "", "a": 2}, 1),
        ({"a": 1}, {"a": 1, "b": 2}, 1),
        ({"a": True}, {"a": 1}, 1),
        ({"a": None}, {"a": 1}, 1),
        ([1, "x"], [2, ""], 0),
        ([1], [2, ""], 1),
        ([1, "x"], [2], 1),
        ([], [1], 1),
        ([1], [], 0),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": ""}}}, 1),
        ([{"a": 1}, {"b": 1}], [{"b": 2}, {"a": 2}], 0),
        ([{"a": 1}, {"b": 1}], [{"b": 2}, {"a": 2}, {"c": 2}], 1),
        ({"vbavailable": {"x": 1}}, {"vbavailable": {"y": 2}}, 0),
        ({"vbavailable": {"x": ""}}, {"vbavailable": {"y": 2}}, 2),
    ],
)
def test_differences_are_seen(ours: Any, theirs: Any, found: int) -> None:
    assert len(differences(ours, theirs, "answer")) == found


# --- values in answers of which captures fix only the shape ---------------------------------------------


def test_blocks_below_the_tip_name_their_follower(simulation: Any) -> None:
    simulation.wait_for_height(3)
    first = simulation.call("getblockhash", 1)
    shown = simulation.call("getblock", first)
    assert shown["nextblockhash"] == simulation.call("getblockhash", 2)
    assert shown["confirmations"] == 3
    genesis = simulation.call("getblockheader", simulation.call("getblockhash", 0))
    assert "previousblockhash" not in genesis


def test_superblock_payees(simulation: Any) -> None:
    simulation.busy()
    ours = simulation.call("getblocktemplate", {})
    assert ours["height"] == 10
    captured = _load("71_regtest_getblocktemplate_superblock")["response"]["result"]
    for answer in (ours, captured):
        assert [entry["script"][:2] for entry in answer["superblock"]] == ["76", "a9"]


def test_stale_blocks(simulation: Any) -> None:
    simulation.wait_for_height(5)
    [stale] = simulation.find(1, 1)
    assert simulation.call("getblock", stale)["confirmations"] == -1
    assert simulation.call("getblockheader", stale)["confirmations"] == -1
    assert len(simulation.call("getchaintips")) == 2


def test_help_texts_begin_with_the_method(simulation: Any) -> None:
    for name in ("20_validateaddress_no_params", "40_submitblock_no_params"):
        capture = _load(name)
        method = capture["request"]["method"]
        reply: list[Any] = []
        simulation.request(_body(call(method))).addBoth(reply.append)
        ours = orjson.loads(reply[0].body)["error"]["message"]
        assert ours.split()[0] == capture["response"]["error"]["message"].split()[0] == method


def test_long_poll_is_answered_with_the_new_tip(simulation: Any) -> None:
    recipe = RECIPES["50_getblocktemplate_longpoll_new_block"]
    waiting: list[Any] = []
    simulation.request(_body(recipe.prepare(simulation))).addBoth(waiting.append)
    assert waiting == []
    recipe.afterwards(simulation)
    assert orjson.loads(waiting[0].body)["result"]["previousblockhash"] == simulation.chain.tip_hash
