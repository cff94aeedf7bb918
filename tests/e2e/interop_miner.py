"""A miner for trials that takes another address every few seconds: `interop_miner.py PORT --first N`.

Both nodes make the shares of an address harder once its hash rate is known (1.67 % of the pool's shares at most):
one busy address alone would find few. Many addresses also make long coinbases. P2POOL_MINER may name a cpuminer.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import subprocess
import sys
import time
from types import FrameType

from p2pool.dash.address import encode_address
from p2pool.networks import DASH_REGTEST


def address(number: int) -> str:
    """A regtest address, its own for each number."""
    return encode_address(DASH_REGTEST.parent.addresses.pubkey_hash, number.to_bytes(20, "big"))


def command(port: int, username: str) -> list[str]:
    """What mines for a username with one thread, at low priority."""
    pool = f"stratum+tcp://127.0.0.1:{port}"
    if miner := os.environ.get("P2POOL_MINER"):
        found = [miner, "--no-color", "-a", "x11", "-o", pool, "-u", username, "-p", "x", "-t", "1"]
    else:
        found = [sys.executable, "-m", "p2pool.simnet.miner", "-o", pool, "-u", username]
    return ["nice", "-n", "5", *found]


def end(_signal: int, _frame: FrameType | None) -> None:
    """A signal's handler."""
    sys.exit(0)


def main() -> None:
    """Run until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, help="the stratum port")
    parser.add_argument("--first", type=int, required=True, help="number of the first address")
    parser.add_argument("--count", type=int, default=200, help="how many addresses there are")
    parser.add_argument("--seconds", type=float, default=8, help="how long each is used")
    parser.add_argument("--suffix", default="", help="appended to each address")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    for number in itertools.cycle(range(arguments.first, arguments.first + arguments.count)):
        miner = subprocess.Popen(command(arguments.port, address(number) + arguments.suffix))
        try:
            time.sleep(arguments.seconds)
        finally:
            miner.kill()
            miner.wait()


if __name__ == "__main__":
    main()
