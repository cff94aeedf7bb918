"""What dashd's wallet says is looked at; what it refuses becomes a sentence that says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from p2pool.dash.address import encode_address
from p2pool.dashd.payout_addresses import OwnAddress
from p2pool.dashd.rpc import RpcError, RpcTimeout, RpcUnavailable
from p2pool.dashd.wallet import Ownership, UnusableAnswer, Wallet, WalletProblem
from p2pool.networks import DASH, DASH_REGTEST
from tests.support import capture

KEY_HASH = bytes(range(20))
GOOD = encode_address(DASH_REGTEST.parent.addresses.pubkey_hash, KEY_HASH)
MAIN = encode_address(DASH.parent.addresses.pubkey_hash, KEY_HASH)
P2SH = encode_address(DASH_REGTEST.parent.addresses.script_hash, KEY_HASH)
NO_WALLET = capture("20_wallet_method_without_wallet")["response"]["error"]
WARMING_UP = capture("20_warmup_minus28_1")["response"]["error"]


class FakeRpc:
    """One answer for everything."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    async def call(self, *request: Any, timeout: float = 15.0) -> Any:
        self.calls.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def result_of(coroutine: Any) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    (result,) = results
    return result


def new_address(answer: Any) -> Any:
    """What comes of asking for an address: the address, or the exception."""
    result = result_of(Wallet(FakeRpc(answer), DASH_REGTEST).new_address(7.0))
    return getattr(result, "value", result)


def test_a_fresh_address():
    rpc = FakeRpc(GOOD)
    assert result_of(Wallet(rpc, DASH_REGTEST).new_address(7.0)) == OwnAddress(GOOD, KEY_HASH, 7.0)
    assert rpc.calls == [("getnewaddress", "p2pool")]


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (P2SH, "P2SH"),
        (MAIN, "not an address of the network dash_regtest"),
        (GOOD[:-1] + "1", "checksum"),
        ("", "25 bytes"),
        ("\x1b[31m\n", "base58"),
        (GOOD + " ", "base58"),
        ("y" * 10_000_000, "10000000 characters"),
        (None, "not text"),
        (5, "not text"),
        ({"address": GOOD}, "not text"),
        ([[[[]]]], "not text"),
    ],
)
def test_answers_that_cannot_be_paid(answer, part):
    problem = new_address(answer)
    assert type(problem) is UnusableAnswer
    text = str(problem)
    assert part in text
    assert "give -a ADDRESS" in text
    assert text.isprintable()
    assert len(text) < 300


@pytest.mark.parametrize(
    ("code", "message", "parts"),
    [
        (NO_WALLET["code"], NO_WALLET["message"], ["without a wallet", "use a dashd that has a wallet"]),
        (-18, "No wallet is loaded. Load a wallet using loadwallet", ["no wallet loaded", "dash-cli loadwallet"]),
        (-19, "Wallet file not specified", ["several wallets", "dash-cli unloadwallet"]),
        (-12, "Error: Keypool ran out", ["no address left", "dash-cli keypoolrefill"]),
        (-4, "This wallet has no available keys", ["This wallet has no available keys (code -4)"]),
    ],
)
def test_a_dashd_that_gives_none(code, message, parts):
    problem = new_address(RpcError(code, message))
    assert type(problem) is WalletProblem
    for part in [*parts, "give -a ADDRESS"]:
        assert part in str(problem)


@pytest.mark.parametrize("error", [RpcUnavailable("down"), RpcTimeout("slow")])
def test_a_dashd_that_is_not_there(error):
    assert new_address(error) is error


def test_a_dashd_that_warms_up_is_waited_for():
    answer = RpcError(WARMING_UP["code"], WARMING_UP["message"])
    assert type(new_address(answer)) is RpcUnavailable
    failure = result_of(Wallet(FakeRpc(answer), DASH_REGTEST).ownership(GOOD))
    assert failure.check(RpcUnavailable)


@pytest.mark.parametrize(
    ("answer", "ownership"),
    [
        ({"ismine": True}, Ownership.OWN),
        ({"ismine": False, "address": GOOD}, Ownership.FOREIGN),
        ({"ismine": 1}, Ownership.UNKNOWN),
        ({}, Ownership.UNKNOWN),
        (None, Ownership.UNKNOWN),
        ([], Ownership.UNKNOWN),
        ("true", Ownership.UNKNOWN),
        (RpcError(NO_WALLET["code"], NO_WALLET["message"]), Ownership.UNKNOWN),
        (RpcError(-18, "No wallet is loaded"), Ownership.UNKNOWN),
        (RpcError(-5, "Invalid address"), Ownership.UNKNOWN),
    ],
)
def test_whether_an_address_is_the_wallet_s(answer, ownership):
    rpc = FakeRpc(answer)
    assert result_of(Wallet(rpc, DASH_REGTEST).ownership(GOOD)) is ownership
    assert rpc.calls == [("getaddressinfo", GOOD)]
