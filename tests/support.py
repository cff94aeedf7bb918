"""What many tests need: vectors, captures, and networks made from the constants in vectors."""

from __future__ import annotations

import ast
import gc
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from p2pool.app.compiled import is_compiled
from p2pool.dash.address import AddressVersions
from p2pool.dash.merkle import coinbase_branch
from p2pool.dashd.template import BlockTemplate, TemplateTransaction
from p2pool.networks import DASH_REGTEST, Network

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent


def needs_interpreted(module: str) -> pytest.MarkDecorator:
    """Skip a test that replaces functions of a module if it is compiled: then they are called directly."""
    return pytest.mark.skipif(is_compiled(module), reason=f"{module} is compiled")


@lru_cache(maxsize=8)
def parse_module(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file. The garbage collector is off meanwhile: what it destroys may log a
    traceback, for which Python 3.11 parses source as well, and two parsers at a time crash it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text("utf-8"))
    finally:
        if was_enabled:
            gc.enable()


def vectors(name: str) -> Any:
    """The parsed file tests/vectors/<name>.json; do not change what is returned."""
    return json.loads((TESTS / "vectors" / f"{name}.json").read_text())


def capture(name: str) -> Any:
    """The parsed file tests/captures/<name>.json."""
    return json.loads((TESTS / "captures" / f"{name}.json").read_text())


def network_of(constants: dict[str, Any]) -> Network:
    """The network that a vector's `net` describes."""
    parent = replace(
        DASH_REGTEST.parent,
        addresses=AddressVersions(constants["ADDRESS_VERSION"], constants["SCRIPT_ADDRESS_VERSION"]),
        block_period=constants.get("BLOCK_PERIOD", 150),
    )
    return replace(
        DASH_REGTEST,
        parent=parent,
        identifier=bytes.fromhex(constants["IDENTIFIER"]),
        prefix=bytes.fromhex(constants["PREFIX"]),
        coinbase_extension=bytes.fromhex(constants["COINBASEEXT"]),
        share_period=constants["SHARE_PERIOD"],
        chain_length=constants["CHAIN_LENGTH"],
        real_chain_length=constants["REAL_CHAIN_LENGTH"],
        target_lookbehind=constants["TARGET_LOOKBEHIND"],
        spread=constants["SPREAD"],
        max_target=int(constants["MAX_TARGET"], 16),
        min_target=int(constants["MIN_TARGET"], 16),
    )


def number(text: str | None) -> int | None:
    """A vector's big-endian hex number; null is None."""
    return None if text is None else int(text, 16)


def le(text: str) -> bytes:
    """A vector's printed hash as the 32 bytes that travel."""
    return bytes.fromhex(text)[::-1]


def make_template(**changes: Any) -> BlockTemplate:
    """A template that is easy to meet; `transactions` are hashes (32 bytes) whose data does not matter."""
    fields: dict[str, Any] = {
        "height": 200,
        "version": 0x20000000,
        "previous_block": 0xABCD,
        "bits": 0x1F00FFFF,
        "current_time": 1_700_000_000,
        "minimum_time": 1_699_990_000,
        "subsidy": 50_000_000_000,
        "payments": (),
        "payment_amount": 0,
        "coinbase_flags": b"",
        "coinbase_payload": b"",
        "long_poll_id": "x",
        "received": 1_700_000_000.0,
    } | changes
    hashes = fields.pop("transactions", [])
    transactions = tuple(TemplateTransaction(b"\x00", h, 0) for h in hashes)
    return BlockTemplate(transactions=transactions, branch=tuple(coinbase_branch(hashes)), **fields)
