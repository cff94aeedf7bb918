"""What only `interop_c2pool.sh` asks: `interop_c2pool.py chain|differ|generate|blocks ...`.

Exit status 1 is a difference.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Any

import requests

from p2pool.dash.address import decode_address
from tests.e2e.interop_coinbases import ASKED
from tests.e2e.interop_watch import best, get
from tests.e2e.process import rpc_call, wait_for

LOGIN = ("u", "p")
OURS, THEIRS, LEGACY = "ours", "theirs", "legacy p2pool-dash"
PAGE = 100
BASE = 450
"""Height of the chain that a real Dash Core begins with: all rules are in force."""


def our_rows(port: int) -> list[dict[str, Any]]:
    """Our node's best chain, the best share first."""
    rows: list[dict[str, Any]] = []
    path = f"web/chain?count={PAGE}"
    while True:
        page = get(port, path)
        rows += page["shares"]
        if page["next"] is None:
            return rows
        path = f"web/chain?count={PAGE}&from={page['next']}"


def finder(address: str) -> str:
    """Whose miner has this address."""
    number = int.from_bytes(decode_address(address)[1], "big")
    return OURS if number < 5000 else THEIRS if number < 9000 else LEGACY


def chain(arguments: argparse.Namespace) -> int:
    """Compare all shares of both by hash, which commits to all that is in them; both must have one best share."""
    theirs: list[dict[str, Any]] = []

    def same_tip() -> bool:
        theirs[:] = get(arguments.theirs, "sharechain/window")["shares"]
        return bool(theirs) and theirs[0]["H"] == best(arguments.ours)

    wait_for("page of theirs with our best share", same_tip, 120)
    ours = [row for row in our_rows(arguments.ours) if row["absheight"] <= theirs[0]["a"]]
    different = sum(one["hash"] != other["H"] for one, other in zip(ours, theirs, strict=False))
    different += abs(len(ours) - len(theirs))
    unverified = sum(not row["verified"] for row in ours), sum(not row["v"] for row in theirs)
    found = Counter(finder(row["payout_address"]) for row in ours)
    print(f"  {len(ours)} shares, found by {dict(found)}; {different} differ, unverified: {unverified}")
    return int(bool(different or any(unverified) or not found[OURS] or not found[THEIRS]))


def differ(arguments: argparse.Namespace) -> int:
    """Make sure that both have been mining on their own."""
    one, other = best(arguments.ours), best(arguments.theirs)
    print(f"  apart: {one} {other}")
    return int(one == other)


def generate(arguments: argparse.Namespace) -> int:
    """Give a dashd that starts its first blocks. `ours` is its RPC port."""

    def answers() -> bool:
        try:
            rpc_call(arguments.ours, LOGIN, "getblockcount")
        except (requests.RequestException, RuntimeError):
            return False
        return True

    wait_for("answer of dashd", answers, 60)
    for _ in range(BASE // 50):
        rpc_call(arguments.ours, LOGIN, "generatetoaddress", 50, ASKED)
    return 0


def blocks(arguments: argparse.Namespace) -> int:
    """Count each software's blocks in a dashd's chain, by the text in their coinbases."""
    found: Counter[str] = Counter()
    for height in range(BASE + 1, rpc_call(arguments.ours, LOGIN, "getblockcount") + 1):
        block = rpc_call(
            arguments.ours, LOGIN, "getblock", rpc_call(arguments.ours, LOGIN, "getblockhash", height), 2
        )
        text = bytes.fromhex(block["tx"][0]["vin"][0]["coinbase"])
        found[THEIRS if b"c2pool" in text else OURS] += 1
    print(f"  blocks in the chain of dashd: {dict(found)}")
    return int(not found[OURS] or not found[THEIRS])


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    actions = {"chain": chain, "differ": differ, "generate": generate, "blocks": blocks}
    parser.add_argument("action", choices=list(actions))
    parser.add_argument("ours", type=int, help="our node's web port, or dashd's RPC port")
    parser.add_argument("theirs", type=int, nargs="?", default=0, help="c2pool-dash's web port")
    arguments = parser.parse_args()
    time.sleep(1)  # pages are made once a second
    return actions[arguments.action](arguments)


if __name__ == "__main__":
    sys.exit(main())
