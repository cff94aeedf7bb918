"""Ask dashd's wallet for fresh addresses, and whether an address is its own."""

from __future__ import annotations

from enum import Enum
from typing import Any

from p2pool.base.errors import ParseError
from p2pool.base.text import excerpt
from p2pool.dashd.payout_addresses import OwnAddress, own_address
from p2pool.dashd.rpc import WARMING_UP, Caller, RpcError, RpcUnavailable
from p2pool.networks.parameters import Network

LABEL = "p2pool"
"""The label of addresses in the wallet that it gave to this node."""
_REMEDIES = {
    -32601: "dashd was built or started without a wallet: give -a ADDRESS, or use a dashd that has a wallet",
    -18: (
        "dashd has no wallet loaded: give -a ADDRESS, or load or create one (dash-cli loadwallet NAME, dash-cli "
        "createwallet NAME)"
    ),
    -19: "dashd has several wallets loaded and does not know which one is meant: give -a ADDRESS, "
    "or unload all but one (dash-cli unloadwallet NAME)",
    -12: "dashd's wallet has no address left to give: give -a ADDRESS, "
    "or unlock the wallet and run dash-cli keypoolrefill",
}
"""What the operator can do, by the error code of the wallet's refusal."""


class WalletProblem(Exception):
    """The wallet gives no address; the text says why and what to do."""


class UnusableAnswer(WalletProblem):
    """The wallet gave an address that cannot be paid. Each further request costs it a key."""


class Ownership(Enum):
    """Whether a wallet has the key of an address."""

    OWN = "own"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    """The daemon does not say, or has no wallet."""


class Wallet:
    """The wallet behind an RPC client. Nothing that it answers is used unchecked."""

    def __init__(self, rpc: Caller, network: Network) -> None:
        self._rpc = rpc
        self._network = network

    async def new_address(self, taken: float | None) -> OwnAddress:
        """Return a fresh P2PKH address of this network. Raises WalletProblem, or RpcUnavailable (also while
        dashd warms up)."""
        try:
            answer = await self._call("getnewaddress", LABEL)
        except RpcError as error:
            raise wallet_problem(error) from None
        try:
            return own_address(answer, self._network, taken)
        except ParseError as error:
            raise unusable(answer, error) from None

    async def ownership(self, address: str) -> Ownership:
        """Return whether the wallet has the key of an address. Raises RpcUnavailable. (validateaddress no longer
        reports anything about wallets.)"""
        try:
            answer = await self._call("getaddressinfo", address)
        except RpcError:
            return Ownership.UNKNOWN
        mine = answer.get("ismine") if isinstance(answer, dict) else None
        if not isinstance(mine, bool):
            return Ownership.UNKNOWN
        return Ownership.OWN if mine else Ownership.FOREIGN

    async def _call(self, method: str, *params: Any) -> Any:
        try:
            return await self._rpc.call(method, *params)
        except RpcError as error:
            if error.code != WARMING_UP:
                raise
            raise RpcUnavailable(f"dashd is not ready: {error.message}") from None


def wallet_problem(error: RpcError) -> WalletProblem:
    """Return the error for a call that the wallet refused."""
    unknown = f"dashd's wallet gives no address ({error}): give -a ADDRESS, or check the wallet"
    return WalletProblem(_REMEDIES.get(error.code, unknown))


def unusable(answer: object, reason: ParseError) -> UnusableAnswer:
    """Return the error for an address that cannot be used."""
    return UnusableAnswer(
        f"dashd's wallet gave {excerpt(answer)} as an address, which cannot be used ({reason}): give -a ADDRESS"
    )
