"""The networks that a node can join: frozen parameter sets, data only.

`parameters` declares what a network has, `definitions` gives the values, `bootstrap` the nodes to begin with.
"""

from p2pool.networks.definitions import DASH, DASH_REGTEST, DASH_TESTNET, SIMNET
from p2pool.networks.parameters import Network, ParentChain

NETWORKS: dict[str, Network] = {n.name: n for n in (DASH, DASH_TESTNET, DASH_REGTEST, SIMNET)}

__all__ = ["DASH", "DASH_REGTEST", "DASH_TESTNET", "NETWORKS", "SIMNET", "Network", "ParentChain"]
