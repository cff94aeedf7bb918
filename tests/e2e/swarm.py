"""Five nodes in a ring on one simulated Dash Core, as real processes, for test_swarm."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests

from p2pool.dash.address import encode_address
from p2pool.networks import SIMNET
from tests.e2e.forwarder import Forwarder
from tests.e2e.process import NodeProcess, Process, free_port, wait_for

NODES = 5
MINERS = {0: 2000, 2: 2000, 3: 2000}
"""Node -> hashes a second. A machine of two cores has many times of that."""
FIRST_HALF, SECOND_HALF = (0, 1, 2), (3, 4)
BLOCK_ATTEMPTS = 20_000
BLOCK_PERIOD = 6


def miner_address(number: int) -> str:
    """Whom the miner at a node works for."""
    return encode_address(SIMNET.parent.addresses.pubkey_hash, bytes([number + 1]) * 20)


class Swarm:
    """Node n stays connected with node n + 1. From node 2 to 3 and from node 4 to 0 the way leads through this
    process, which can cut it: then 0, 1, 2 are one half and 3, 4 the other."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.stack = stack
        """Ends whatever was started."""
        self.paid: dict[str, dict[str, int]] = {}
        """What each block pays, in duffs by address, once it was checked."""
        self.rpc_port = free_port()
        self.dashd_p2p_port = free_port()
        self.peer_ports = [free_port() for _ in range(NODES)]
        self.web_ports = [free_port() for _ in range(NODES)]
        self.forwarders = {n: Forwarder(self.peer_ports[(n + 1) % NODES]) for n in (2, 4)}
        for forwarder in self.forwarders.values():
            stack.enter_context(forwarder)
        self.dash = stack.enter_context(
            Process(
                [
                    *("-m", "p2pool.simnet", "--rpc-port", str(self.rpc_port), "--rpc-user", "u"),
                    *("--p2p-port", str(self.dashd_p2p_port), "--rpc-password", "p"),
                    *("--initial-attempts", str(BLOCK_ATTEMPTS), "--block-period", str(BLOCK_PERIOD)),
                ],
                directory / "dash.log",
            )
        )
        self.dash.wait_for_line("simulated Dash Core")
        self.nodes = [self.start_node(number, f"node{number}.log") for number in range(NODES)]
        for number, rate in MINERS.items():
            self.start_miner(number, miner_address(number), rate)

    def start_node(self, number: int, log: str) -> NodeProcess:
        """One of the ring; a second start goes on with its data."""
        forwarder = self.forwarders.get(number)
        neighbour = self.peer_ports[(number + 1) % NODES] if forwarder is None else forwarder.port
        return self.start_at(number, neighbour, log, self.web_ports[number], self.peer_ports[number])

    def start_at(
        self, number: int, neighbour: int, log: str, port: int | None = None, peer_port: int | None = None
    ) -> NodeProcess:
        """A node that stays connected with the port `neighbour` and dials nobody else."""
        directory = self.directory / f"node{number}"
        directory.mkdir(exist_ok=True)
        arguments = (
            *("-n", f"127.0.0.1:{neighbour}", "--outgoing-conns", "0"),
            *("--dashd-address", "127.0.0.1", "--dashd-rpc-port", str(self.rpc_port)),
            *("--dashd-p2p-port", str(self.dashd_p2p_port), "u", "p"),
        )
        node = NodeProcess(directory, *arguments, log=log, port=port, p2pool_port=peer_port)
        self.stack.enter_context(node)
        return node

    def start_miner(self, number: int, address: str, rate: float) -> Process:
        """A CPU miner at a node. It wishes for the easiest shares, so that they come often."""
        miner = Process(
            [
                *("-m", "p2pool.simnet.miner", "-o", f"stratum+tcp://127.0.0.1:{self.web_ports[number]}"),
                *("-u", f"{address}/0.0000001", "-p", "d=0.000001", "--max-hash-rate", str(rate)),
            ],
            self.directory / f"miner{number}-{rate:g}.log",
        )
        self.stack.enter_context(miner)
        return miner

    def kill(self, number: int) -> None:
        """kill -9."""
        process = self.nodes[number].process
        process.send_signal(signal.SIGKILL)
        process.wait()

    # --- what is seen ------------------------------------------------------------------------------------

    def rpc(self, method: str, *params: Any) -> Any:
        """A call to the simulated Dash Core."""
        answer = requests.post(
            f"http://127.0.0.1:{self.rpc_port}/",
            json={"id": 1, "method": method, "params": list(params)},
            auth=("u", "p"),
            timeout=30,
        ).json()
        assert answer["error"] is None, answer
        return answer["result"]

    def states(self, numbers: tuple[int, ...]) -> list[dict] | None:
        """The newest share of each node's best chain and how many are held below it; None while one lacks it."""
        pages = [self.nodes[number].try_get("web/chain?count=1") for number in numbers]
        return pages if all(page is not None and page["best_share"] is not None for page in pages) else None

    def agreed(self, numbers: tuple[int, ...] = tuple(range(NODES)), above: int = 0) -> dict | None:
        """The state that all of these nodes are in, where it is one and has more than `above` shares."""
        states = self.states(numbers)
        if states is None or len({state["best_share"] for state in states}) > 1:
            return None
        return states[0] if min(state["held"] for state in states) > above else None

    def wait_agreed(self, what: str, numbers: tuple[int, ...] = tuple(range(NODES)), above: int = 0) -> dict:
        """Wait until they agree."""
        return wait_for(what, lambda: self.agreed(numbers, above))

    def chain(self, node: NodeProcess, start: str) -> list[dict]:
        """All shares that a node holds from one down, newest first, without when it takes them to be found: that
        depends on whether it saw them come."""
        rows: list[dict] = []
        following: str | None = start
        while following is not None:
            page = node.get(f"web/chain?count=200&from={following}")
            rows += [
                {name: value for name, value in row.items() if not name.startswith("time_found")}
                for row in page["shares"]
            ]
            following = page["next"]
        return rows

    def block_hashes(self) -> set[str]:
        """All blocks that were found: those of the simulated chain, and those that lost a race to it."""
        hashes = {self.rpc("getblockhash", height) for height in range(1, self.rpc("getblockcount") + 1)}
        for node in self.nodes:
            hashes |= {
                b["hash"] for b in node.try_get("recent_blocks") or [] if b["detailed_status"] == "accepted"
            }
        return hashes
