"""A small pool for browsers to look at: a node with hostile miners, and a second node beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from p2pool.dash.address import encode_address
from p2pool.networks import SIMNET
from tests.e2e.process import NodeProcess, Process, free_port, wait_for

RATE = 2000
"""Hashes a second of each miner: a machine of two cores has many times of all together."""
ATTEMPTS = 40_000
"""Hashes that a block takes on average, at least."""
MARKUP = "<img src=x onerror=alert(1)>"
LONG = "a-machine-in-the-third-row-of-the-second-hall-behind-the-doors-0"
RIGHT_TO_LEFT = "\u05de\u05db\u05d5\u05e0\u05d4 <b>7 & \"'"


def _address(number: int) -> str:
    return encode_address(SIMNET.parent.addresses.pubkey_hash, bytes([number]) * 20)


FIRST, SECOND, THIRD = (_address(number) for number in (1, 2, 3))
CROWD_ADDRESSES = (FIRST, *(_address(number) for number in range(4, 13)))
WORKERS = (
    f"{FIRST}.rig-1",
    f"{FIRST}.{MARKUP}",
    f"{SECOND}.__proto__",
    f"{SECOND}.{LONG}",
    f"{THIRD}.{RIGHT_TO_LEFT}",
    THIRD,
)
"""Names as the node knows them; one machine has none."""
HOSTILE = WORKERS[1]
CONTROL = f"{FIRST}.left\u202eright"
"""What is sent in the place of `left?right`: the node lets no control characters in."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The node that is looked at."""

    node: NodeProcess

    @property
    def url(self) -> str:
        """Where its pages begin."""
        return f"http://127.0.0.1:{self.node.port}/static/"

    def get(self, path: str) -> Any:
        """JSON."""
        return self.node.get(path)

    def answers(self, path: str) -> bool:
        """Whether there is something at a path."""
        return requests.get(f"http://127.0.0.1:{self.node.port}/{path}", timeout=10).ok


@contextmanager
def running_pool(directory: Path, *flags: str, daemons: int = 1) -> Iterator[Pool]:
    """It has shares of every worker, a found block, a peer, and the beginnings of a history. `flags` are for the
    node that is looked at. Of the `daemons`, which follow each other, the nodes use the last one."""
    with ExitStack() as stack:
        rpc_port, p2p_port = free_port(), free_port()
        for number in range(daemons):
            follows = ["--connect", f"127.0.0.1:{p2p_port}"] if number else []
            rpc_port, p2p_port = (free_port(), free_port()) if number else (rpc_port, p2p_port)
            arguments = ["-m", "p2pool.simnet", "--rpc-port", str(rpc_port), "--rpc-user", "u"]
            arguments += ["--rpc-password", "p", "--p2p-port", str(p2p_port), "--block-period", "6"]
            arguments += ["--initial-attempts", str(ATTEMPTS), *follows]
            dash = stack.enter_context(Process(arguments, directory / f"dash-{number}.log"))
            dash.wait_for_line("simulated Dash Core")

        def start(name: str, *more: str) -> NodeProcess:
            (directory / name).mkdir()
            daemon = ("--dashd-address", "127.0.0.1", "--dashd-rpc-port", str(rpc_port))
            daemon += ("--dashd-p2p-port", str(p2p_port), "u", "p")
            node = NodeProcess(directory / name, "--outgoing-conns", "0", *more, *daemon, embedded=False)
            return stack.enter_context(node)

        node = start("first", *flags)
        start("second", "-n", f"127.0.0.1:{node.p2pool_port}")
        wait_for("figures", lambda: node.try_get("local_stats"))
        usernames = (f"{name}/0.0000001" for name in (*WORKERS, CONTROL))
        program = ["-m", "tests.e2e.pages.miners", str(node.port), str(RATE), *usernames]
        stack.enter_context(Process(program, directory / "miners.log"))
        pool = Pool(node)
        wait_for("shares", lambda: (pool.node.try_get("api/v1/pool") or {}).get("share_chain_height", 0) > 10)
        wait_for("a found block", lambda: pool.get("api/v1/blocks")["blocks"])
        wait_for("a peer", lambda: pool.get("api/v1/peers")["peers"])
        wait_for("all workers", lambda: len(pool.get("api/v1/workers")["workers"]) >= len(WORKERS) + 1)
        series = f"api/v1/history/series?of=worker&name={quote(HOSTILE, safe='')}&range=hour"
        wait_for("history of miners", lambda: node.try_get(series))
        yield pool
        assert "Traceback" not in node.output
