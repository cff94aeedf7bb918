"""`run_p2pool.py` with a simulated network whose share chain is as long as the main network's."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from p2pool.app.cli import main
from p2pool.networks import NETWORKS, SIMNET, Network
from p2pool.sharechain.store import Batch, PackedShare, ShareDatabase
from p2pool.sharechain.tracker import Tracker
from tests.chains import grow_chain
from tests.support import ROOT, make_template

LENGTH: Final = 4320
SHARES: Final = 2 * LENGTH
"""What a node keeps of such a chain."""


def network() -> Network:
    """Return the simulated network with a longer chain, whose shares take 16 hashes at least."""
    return replace(SIMNET, max_target=2**256 // 2**4 - 1, chain_length=LENGTH, real_chain_length=LENGTH)


def store_chain(directory: Path, count: int = SHARES) -> None:
    """Write so many shares, the newest of which is as old as a share period, into the store of a data
    directory."""
    long = network()
    start = time.time() - count * long.share_period
    shares = grow_chain(Tracker(long), make_template(bits=0x1B00FFFF), count, 50, start=start)
    path = directory / "simnet"
    path.mkdir(parents=True)
    database = ShareDatabase(path / "shares.sqlite")
    packed = {each.hash: PackedShare.of(each, float(each.timestamp), own=False, live=True) for each in shares}
    database.write(Batch(shares=packed, verified=set(packed)))
    database.close()


if __name__ == "__main__":
    NETWORKS["simnet"] = network()
    sys.exit(main(default_datadir=ROOT / "data"))
