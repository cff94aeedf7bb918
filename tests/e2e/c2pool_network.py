"""The ordinary command line of this node, with one more network: `--net c2pool_regtest`.

c2pool-dash has no regtest network of its own: with `--regtest` it uses the share chain of the test network on
whatever chain its Dash Core has. `interop_c2pool.sh` runs this node as its peer. Only tests can choose it.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from p2pool.networks import DASH_REGTEST, DASH_TESTNET, NETWORKS

EASIEST = 2.0**-12
"""Difficulty of the easiest share of the test network: about a million hashes, seconds for one core."""

C2POOL_REGTEST = replace(
    DASH_TESTNET,
    name="c2pool_regtest",
    parent=DASH_REGTEST.parent,
    bootstrap=(),
    start_difficulty=EASIEST,
    min_difficulty=EASIEST,
)

if __name__ == "__main__":
    NETWORKS[C2POOL_REGTEST.name] = C2POOL_REGTEST
    # Imported late: the settings take the names of the networks when they are declared.
    from p2pool.app.cli import main

    sys.exit(main())
