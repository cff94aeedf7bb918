"""A node whose stored chain votes as a test wishes, and a second one that gets the chain from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from p2pool.networks import DASH_REGTEST
from p2pool.sharechain.store import Batch, ShareDatabase
from p2pool.sharechain.tracker import Tracker
from tests.chains import grow_chain
from tests.e2e.process import NodeProcess, Process, free_port, wait_for
from tests.support import make_template

SHARES = DASH_REGTEST.chain_length + 20


def store_chain(path: Path, vote: Callable[[int], int]) -> None:
    """Write a chain of SHARES shares, of which number n votes for `vote(n)`, as an earlier run leaves it."""
    tracker = Tracker(DASH_REGTEST)
    begin = time.time() - SHARES * DASH_REGTEST.share_period  # nobody asks for a chain of days ago
    shares = grow_chain(tracker, make_template(), SHARES, 3, vote=vote, start=begin)
    path.parent.mkdir(parents=True)
    database = ShareDatabase(path)
    rows = {share.hash: (share.contents, share.absheight, begin, False) for share in shares}
    database.write(Batch(shares=rows, verified=set(rows)))
    database.close()


@contextmanager
def voting_pool(directory: Path, vote: Callable[[int], int]) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    """The node that holds the chain, and one that has downloaded and verified it."""
    with ExitStack() as stack:
        rpc_port = free_port()
        daemon = [
            *("-m", "p2pool.simnet", "--network", "dash_regtest", "--rpc-port", str(rpc_port)),
            *("--p2p-port", "0", "--rpc-user", "u", "--rpc-password", "p"),
        ]
        stack.enter_context(Process(daemon, directory / "dash.log")).wait_for_line("simulated Dash Core")
        store_chain(directory / "first" / "data" / "dash_regtest" / "shares.sqlite", vote)

        def start(name: str, *flags: str) -> NodeProcess:
            (directory / name).mkdir(exist_ok=True)
            flags = (*flags, "--outgoing-conns", "0", "--disable-upnp", "--min-difficulty", "0.0000001")
            flags = (*flags, "--dashd-rpc-port", str(rpc_port), "u", "p")
            node = NodeProcess(directory / name, *flags, embedded=False, network="dash_regtest")
            stack.enter_context(node)
            wait_for("the chain", lambda: (votes(node) or {}).get("enough_shares"))
            return node

        first = start("first")
        second = start("second", "-n", f"127.0.0.1:{first.p2pool_port}")
        yield first, second
        for node in (first, second):
            assert "Traceback" not in node.output


def votes(node: NodeProcess) -> dict[str, Any] | None:
    """What a node says of votes; None while it says nothing."""
    told = node.try_get("api/v1/transition")
    return None if told is None else told["votes"]
