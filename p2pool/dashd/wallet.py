"""dashd's wallet, as far as the node needs it: fresh addresses, and whether an address is the wallet's own."""

from __future__ import annotations

from typing import Any

from p2pool.base.errors import ParseError
from p2pool.base.text import excerpt
from p2pool.dashd.payout_addresses import OwnAddress, own_address
from p2pool.dashd.rpc import WARMING_UP, Caller, RpcError, RpcUnavailable
from p2pool.networks.parameters import Network

LABEL = "p2pool"
"""What the wallet calls addresses that it gave to this node."""
_REMEDIES = {
    -32601: "dashd was built or started without a wallet: give -a ADDRESS, or use a dashd that has a wallet",
    -18: "dashd has no wallet loaded: give -a ADDRESS, or load or make one "
    "(dash-cli loadwallet NAME, dash-cli createwallet NAME)",
    -19: "dashd has several wallets loaded and does not know which one is meant: give -a ADDRESS, "
    "or unload all but one (dash-cli unloadwallet NAME)",
    -12: "dashd's wallet has no address left to give: give -a ADDRESS, "
    "or unlock the wallet and run dash-cli keypoolrefill",
}
"""What to do, by the code that a call of the wallet is refused with."""


class WalletProblem(Exception):
    """The wallet gives no address; the text says why and what to do."""


class UnusableAnswer(WalletProblem):
    """What the wallet gave cannot be paid. Each further question costs it a key."""


class Wallet:
    """The wallet behind an RPC client. Nothing that it says is believed without a look."""

    def __init__(self, rpc: Caller, network: Network) -> None:
        self._rpc = rpc
        self._network = network

    async def new_address(self, taken: float | None) -> OwnAddress:
        """A fresh P2PKH address of this network. Raises WalletProblem, RpcUnavailable (also while dashd warms
        up)."""
        try:
            answer = await self._call("getnewaddress", LABEL)
        except RpcError as error:
            known = _REMEDIES.get(error.code)
            text = known or f"dashd's wallet gives no address ({error}): give -a ADDRESS, or see to the wallet"
            raise WalletProblem(text) from None
        try:
            return own_address(answer, self._network, taken)
        except ParseError as error:
            raise unusable(answer, error) from None

    async def knows(self, address: str) -> bool | None:
        """Whether the wallet has the key of an address; None where it does not say, or there is no wallet. Raises
        RpcUnavailable. (validateaddress knows nothing of wallets any more.)"""
        try:
            answer = await self._call("getaddressinfo", address)
        except RpcError:
            return None
        mine = answer.get("ismine") if isinstance(answer, dict) else None
        return mine if isinstance(mine, bool) else None

    async def _call(self, method: str, *params: Any) -> Any:
        try:
            return await self._rpc.call(method, *params)
        except RpcError as error:
            if error.code != WARMING_UP:
                raise
            raise RpcUnavailable(f"dashd is not ready: {error.message}") from None


def unusable(answer: object, reason: ParseError) -> UnusableAnswer:
    """The problem with an address that cannot be used."""
    return UnusableAnswer(
        f"dashd's wallet gave {excerpt(answer)} as an address, which cannot be used ({reason}): give -a ADDRESS"
    )
