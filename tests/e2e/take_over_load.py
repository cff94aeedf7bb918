"""Replace a node under load, and print how long its miners waited: `python -m tests.e2e.take_over_load`.

By hand, since its figures mean something only on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from p2pool.app.config import SIMNET_ADDRESS
from tests.e2e.daemons import DashProcess, PoolNode

EASY = ("--min-difficulty", "1e-9", "--max-connections-per-ip", "100000")
ANSWER_TIME = 60.0


class Miner:
    """A connection that submits random nonces and waits for each answer."""

    def __init__(self, number: int) -> None:
        self.name = f"{SIMNET_ADDRESS}.{number}+1e-9"
        self.answered = 0
        self.longest = 0.0
        self.problem = ""
        self._job: list[Any] = []
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next_id = 0

    async def run(self, port: int, pause: float, ready: asyncio.Semaphore) -> None:
        """Submit until the task is cancelled."""
        try:
            async with ready:
                reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
                self._reading = asyncio.create_task(self._read(reader))
                await self._call("mining.subscribe", "load/1")
                await self._call("mining.authorize", self.name, "x")
            while True:
                await asyncio.sleep(random.uniform(0, 2 * pause))
                if not self._job:
                    continue
                begun = time.monotonic()
                nonce, extranonce2 = (f"{random.getrandbits(32):08x}" for _ in range(2))
                await self._call("mining.submit", self.name, self._job[0], extranonce2, self._job[7], nonce)
                self.answered += 1
                self.longest = max(self.longest, time.monotonic() - begun)
        except (TimeoutError, OSError, EOFError) as error:
            self.problem = f"{type(error).__name__}: {error}"

    async def _call(self, method: str, *params: Any) -> dict[str, Any]:
        self._next_id += 1
        answer = self._answers[self._next_id] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({"id": self._next_id, "method": method, "params": params}).encode() + b"\n")
        return await asyncio.wait_for(answer, ANSWER_TIME)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            message = json.loads(line)
            if message.get("method") == "mining.notify":
                self._job = message["params"]
            elif message.get("method") is None:
                waiting = self._answers.pop(message["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(EOFError("disconnected"))


async def measure(directory: Path, connections: int, times: int, pause: float) -> dict[str, Any]:
    """Replace a node some times while miners submit; return the figures."""
    miners = [Miner(number) for number in range(connections)]
    waits: list[float] = []
    with DashProcess(directory, "dash", "--initial-attempts", "10000000") as dash:
        dash.ready()
        node = PoolNode(directory, [dash], *EASY)
        try:
            await asyncio.to_thread(node.ready)
            ready = asyncio.Semaphore(50)
            tasks = [asyncio.create_task(miner.run(node.port, pause, ready)) for miner in miners]
            while any(not miner.answered and not miner.problem for miner in miners):
                await asyncio.sleep(0.2)
            for _ in range(times):
                former, node = node, PoolNode(directory, [dash], "--take-over", *EASY, port=node.port)
                line = await asyncio.to_thread(node.wait_for_line, "took over")
                await asyncio.to_thread(former.wait_for_end)
                waits.append(float(re.findall(r"waited ([\d.]+) s", line)[0]))
                await asyncio.sleep(3 * pause)
            for task in tasks:
                task.cancel()
        finally:
            node.__exit__()
    return {
        "connections": connections,
        "disconnected": sum(bool(miner.problem) for miner in miners),
        "answered": sum(miner.answered for miner in miners),
        "longest_answer_ms": round(1000 * max(miner.longest for miner in miners)),
        "takeover_pause_ms": round(1000 * max(waits)),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two submissions of a miner")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(asyncio.run(measure(Path(directory), options.connections, options.times, options.pause))))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


if __name__ == "__main__":
    main()
