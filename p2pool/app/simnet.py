"""The simulated Dash network in this process (`--net simnet`): its daemon, and CPU miners that mine on this node
as any miner does. The node meets both through real connections."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from p2pool.app.config import Config
from p2pool.app.dashd import DaemonAddress
from p2pool.base.endpoints import cannot_listen, host_and_port, loopback_address
from p2pool.base.environment import Environment
from p2pool.dash.address import encode_address
from p2pool.dashd.credentials import Credentials, FixedCredentials
from p2pool.simnet.miner import CpuMiner
from p2pool.simnet.parameters import MAX_OWNERS, SimnetParameters
from p2pool.simnet.rule_sets import parse_rules
from p2pool.simnet.service import SimulatedDash

_log = Logger(namespace="p2pool")

FIRST_BLOCK_SECONDS = 5.0
"""How long one miner with a given hash rate takes for the first block on average."""
UNLIMITED_ATTEMPTS = 2**20
"""Hashes for the first block if the miners' rate is unknown: some ten seconds of one."""


class SimnetAssembly:
    """One simulated daemon and `--simnet-miners` miners."""

    def __init__(self, environment: Environment, config: Config) -> None:
        self._environment = environment
        self._config = config
        self._daemon: SimulatedDash | None = None
        self.miners: list[CpuMiner] = []

    def start_daemon(self) -> DaemonAddress:
        """Start the daemon. Return the address at which the node reaches it. Raises OperatorError."""
        config, host = self._config, loopback_address()
        rate, v24_height = config.simnet_hash_rate, parse_rules(config.simnet_rules)
        # What the chain begins with is a rule of it, as its block period: each combination has a chain of its own.
        chain = f"simulated-dash-{config.simnet_block_period:g}s" + ("" if rate is None else f"-{rate:g}")
        chain += "" if v24_height is None else f"-v24-{v24_height}"
        parameters = SimnetParameters(
            parent=config.network.parent,
            rpc_host=host,
            data_directory=config.datadir / chain,
            rpc_port=config.dashd_rpc_port or config.network.parent.rpc_port,
            p2p_port=config.dashd_p2p_port or config.network.parent.p2p_port,
            block_period=config.simnet_block_period,
            v24_height=v24_height,
            owner_payouts=MAX_OWNERS,
            withdrawals=v24_height is not None,
            initial_attempts=UNLIMITED_ATTEMPTS if rate is None else max(1, int(rate * FIRST_BLOCK_SECONDS)),
        )
        daemon = SimulatedDash(self._environment, parameters)
        try:
            daemon.startService()
        except CannotListenError as error:
            flags = "--dashd-rpc-port and --dashd-p2p-port"
            raise cannot_listen(error, (host, error.port), purpose="the simulated Dash Core", flag=flags) from None
        self._daemon = daemon
        _log.info(
            "simulated Dash Core at height {height}: RPC {rpc}, cookie {cookie}",
            height=daemon.chain.height,
            rpc=host_and_port(host, daemon.rpc_port),
            cookie=daemon.cookie_path,
        )
        credentials = Credentials(daemon.rpc_user, daemon.rpc_password, "of the embedded simulation")
        url = f"http://{host_and_port(host, daemon.rpc_port)}/"
        return DaemonAddress(url, FixedCredentials(credentials), host, daemon.p2p_port, None)

    def start_miners(self, host: str, port: int) -> None:
        """Start the miners on this stratum address. The first one is paid to the operator's address, if given."""
        for number in range(1, self._config.simnet_miners + 1):
            given = self._config.payout_address if number == 1 else None
            username = given or demo_address(self._config, number)
            miner = CpuMiner(
                self._environment,
                host=host,
                port=port,
                username=f"{username}.cpu{number}",
                password=f"d={self._config.network.min_difficulty}",
                name=f"cpu{number}",
                max_hash_rate=self._config.simnet_hash_rate,
            )
            miner.startService()
            self.miners.append(miner)

    def stop_daemon(self) -> Any:
        """Stop the daemon. Return what its stopService does; None if it never ran."""
        return None if self._daemon is None else self._daemon.stopService()


def demo_address(config: Config, number: int) -> str:
    """Return a payout address for a CPU miner of the simulated network."""
    key_hash = f"p2pool-simnet-miner{number:02d}"[:20].encode().ljust(20, b"-")
    return encode_address(config.network.parent.addresses.pubkey_hash, key_hash)
