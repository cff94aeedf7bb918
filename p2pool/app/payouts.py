"""The assembly of the node's own payout addresses: given by the operator, or kept by dashd's wallet."""

from __future__ import annotations

import random

from p2pool.app.config import Config
from p2pool.base.environment import Environment
from p2pool.dashd.payout_addresses import OwnAddress, PayoutAddresses, PayoutMode
from p2pool.dashd.payout_service import PayoutService
from p2pool.dashd.rpc import Caller
from p2pool.dashd.wallet import Wallet


def payout_addresses(config: Config, chance: random.Random) -> PayoutAddresses:
    """Return the node's own addresses: the given one, or room for those of dashd's wallet."""
    if config.payout_mode is PayoutMode.DYNAMIC:
        return PayoutAddresses(chance, wanted=config.numaddresses, lifetime=config.timeaddresses)
    if config.payout_address is None or config.key_hash is None:
        return PayoutAddresses(chance)
    return PayoutAddresses(chance, [OwnAddress(config.payout_address, config.key_hash)])


def start_payout_service(
    environment: Environment, config: Config, *, addresses: PayoutAddresses, rpc: Caller
) -> PayoutService | None:
    """Keep the addresses of a daemon's wallet up to date in the background; nothing waits for it. Return None if
    the address was given."""
    if config.payout_mode is PayoutMode.GIVEN:
        return None
    service = PayoutService(
        environment,
        payouts=addresses,
        mode=config.payout_mode,
        wallet=Wallet(rpc, config.network),
        network=config.network,
        directory=config.datadir,
    )
    service.start()
    return service
