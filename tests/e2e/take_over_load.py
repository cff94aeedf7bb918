"""Replace a node under load, and print what its miners saw: `python -m tests.e2e.take_over_load`.

By hand at full size, since its figures mean something only on a machine with nothing else to do; a test runs it in
small. The node has a share chain of full length.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pool.sharechain.store import ShareDatabase, StoredShare
from tests.e2e.daemons import DashProcess, PoolNode
from tests.e2e.load_miners import LoadFarm
from tests.e2e.long_chain import SHARES, network, store_chain
from tests.e2e.process import free_port, wait_for

EASY = ("--min-difficulty", "1e-10", "--max-connections-per-ip", "100000", "--max-connections", "20000")
PROGRAM = ("-m", "tests.e2e.long_chain")
_FOUND = re.compile(r"share ([0-9a-f]{8}) accepted for")
_WAITED = re.compile(r"took over (\d+) miners, who waited ([\d.]+) s")


@dataclass(frozen=True)
class Load:
    """How much there is to do. `pause` is the mean time in seconds between two submissions of a miner."""

    plain: int = 2000
    tls: int = 200
    times: int = 10
    pause: float = 2.0
    shares: int = SHARES
    crash: bool = True


class Replacement:
    """A node that is replaced again and again."""

    def __init__(self, directory: Path, dash: DashProcess) -> None:
        self.directory, self.dash = directory, dash
        self.tls_port = free_port()
        self.nodes: list[PoolNode] = []
        self.pauses: list[float] = []
        self.pause_of_crash = 0.0

    def start(self, *arguments: str) -> PoolNode:
        """Start a process, which takes over if there is one already."""
        port = self.nodes[0].port if self.nodes else None
        tls = ("--stratum-ssl-port", f"127.0.0.1:{self.tls_port}", "--ssl-self-signed")
        flags = (*(("--take-over",) if self.nodes else ()), *EASY, *tls, *arguments)
        return PoolNode(self.directory, [self.dash], *flags, port=port, program=PROGRAM)

    async def start_first(self) -> PoolNode:
        """Start the first process."""
        self.nodes.append(self.start())
        return await asyncio.to_thread(self.nodes[0].ready)

    async def take_over(self) -> None:
        """Replace the process by another one."""
        self.nodes.append(self.start())
        line = await asyncio.to_thread(self.nodes[-1].wait_for_line, "took over")
        await asyncio.to_thread(self.nodes[-2].wait_for_end)
        self.pauses += [float(seconds) for _, seconds in _WAITED.findall(line)]

    async def crash(self) -> bool:
        """Let a process that takes over end, because a port is in use, after it got everything. Return whether the
        former one serves its miners again."""
        serving = self.nodes[-1]
        before = len(_WAITED.findall(serving.output))
        failing = self.start("--web-port", f"127.0.0.1:{self.dash.rpc_port}")
        status = await asyncio.to_thread(failing.wait_for_end)
        await asyncio.to_thread(
            wait_for, "the former process", lambda: len(_WAITED.findall(serving.output)) > before
        )
        self.pause_of_crash = float(_WAITED.findall(serving.output)[-1][1])
        return status != 0 and serving.process.poll() is None

    def shares(self) -> dict[str, int]:
        """End the last process. Return how many shares the log and the store have, and how many are lost."""
        self.nodes[-1].interrupt()
        found = {share for node in self.nodes for share in _FOUND.findall(node.output)}
        database = ShareDatabase(self.directory / "data" / "simnet" / "shares.sqlite")
        items = [item for item in database.read(network()) if isinstance(item, StoredShare)]
        database.close()
        stored = {f"{item.share.hash:064x}"[-8:] for item in items if item.own}
        return {"shares_stored": len(items), "shares_found": len(found), "shares_lost": len(found - stored)}

    def end(self) -> None:
        """End all processes."""
        for node in self.nodes:
            node.__exit__()


async def measure(directory: Path, load: Load) -> dict[str, Any]:
    """Replace a node some times while miners submit; return the figures."""
    await asyncio.to_thread(store_chain, directory / "data", load.shares)
    figures: dict[str, Any] = {"takeovers": load.times}
    with DashProcess(directory, "dash", "--initial-attempts", "100000") as dash:
        dash.ready()
        pool = Replacement(directory, dash)
        try:
            node = await pool.start_first()
            farm = LoadFarm(node.port, pool.tls_port, plain=load.plain, tls=load.tls, pause=load.pause)
            await farm.start()
            for _ in range(load.times):
                await pool.take_over()
                await farm.work_on()
                await asyncio.to_thread(dash.rpc, "simnet_findblock", 1)
            if load.crash:
                figures["serves_after_crash"] = await pool.crash()
                figures["crash_pause_ms"] = round(1000 * pool.pause_of_crash)
                await farm.work_on()
            await farm.stop()
            figures |= farm.figures()
            figures["takeover_pause_ms"] = round(1000 * max(pool.pauses))
            figures["takeover_pauses_ms"] = [round(1000 * each) for each in pool.pauses]
            figures |= await asyncio.to_thread(pool.shares)
        finally:
            pool.end()
    return figures


def main() -> None:
    """Print the figures, and what they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--tls", type=int, default=200)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two submissions of a miner")
    parser.add_argument("--shares", type=int, default=SHARES)
    options = parser.parse_args()
    load = Load(options.connections, options.tls, options.times, options.pause, options.shares)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as directory:
        figures = asyncio.run(measure(Path(directory), load))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for name, value in figures.items():
        print(f"{name:>22}: {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
