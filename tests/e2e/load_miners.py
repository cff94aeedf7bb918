"""Many miners in one process that submit random nonces while their node is replaced, and what they saw of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
import time
from collections import Counter
from typing import Any, Final

from p2pool.app.config import SIMNET_ADDRESS

ANSWER_TIME: Final = 60.0
RETRY: Final = 0.2
"""Seconds between two attempts of a miner to reconnect."""


def careless_tls() -> ssl.SSLContext:
    """Return the settings of a miner that trusts any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class LoadMiner:
    """A miner that submits random nonces and waits for each answer. One with `tls` reconnects when it is
    disconnected, and asks for its session."""

    def __init__(self, number: int, port: int, pause: float, *, tls: ssl.SSLContext | None = None) -> None:
        self.name = f"{SIMNET_ADDRESS}.{number}+1e-10"
        self.answered = self.resumed = self.strange = 0
        """Submissions that were answered; sessions that were resumed, and new ones that came instead."""
        self.refusals: Counter[int] = Counter()
        """How many submissions were rejected, by the code of the error."""
        self.longest = self.slowest_return = 0.0
        self.problem = ""
        self.stopping = False
        self._port, self._pause, self._tls = port, pause, tls
        self._job: list[Any] = []
        self._session = self._extranonce1 = ""
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next_id = 0
        self._ended = True
        """Whether there is no connection."""

    @property
    def unanswered(self) -> int:
        """Return how many of its requests wait for an answer."""
        return len(self._answers)

    async def run(self, ready: asyncio.Semaphore) -> None:
        """Submit until `stopping`."""
        ended: float | None = None
        while not self.stopping:
            try:
                async with ready:
                    await self._login()
                if ended is not None:
                    self.slowest_return = max(self.slowest_return, time.monotonic() - ended)
                ended = None
                await self._work()
                return
            except (TimeoutError, OSError, EOFError) as error:
                if self._tls is None:
                    self.problem = f"{type(error).__name__}: {error}"
                    return
                ended = ended or time.monotonic()
                self._answers.clear()
                await asyncio.sleep(RETRY)

    async def _login(self) -> None:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
        self._ended = False
        self._reading = asyncio.create_task(self._read(reader))
        asked = [self._session] if self._session else []
        answer = await self._call("mining.subscribe", "load/1", *asked)
        subscriptions, extranonce1, _ = answer["result"]
        if self._session:
            self.resumed += extranonce1 == self._extranonce1
            self.strange += extranonce1 != self._extranonce1
        self._session, self._extranonce1 = dict(subscriptions)["mining.notify"], extranonce1
        await self._call("mining.authorize", self.name, "x")

    async def _work(self) -> None:
        while not self.stopping:
            await asyncio.sleep(random.uniform(0, 2 * self._pause))
            if not self._job or self.stopping:
                continue
            begun = time.monotonic()
            nonce, extranonce2 = (f"{random.getrandbits(32):08x}" for _ in range(2))
            job_id, ntime = self._job[0], self._job[7]
            answer = await self._call("mining.submit", self.name, job_id, extranonce2, ntime, nonce)
            self.answered += 1
            if answer["error"] is not None:
                self.refusals[int(answer["error"][0])] += 1
            self.longest = max(self.longest, time.monotonic() - begun)

    async def _call(self, method: str, *params: Any) -> dict[str, Any]:
        if self._ended:
            raise EOFError("disconnected")
        self._next_id += 1
        answer = self._answers[self._next_id] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({"id": self._next_id, "method": method, "params": params}).encode() + b"\n")
        return await asyncio.wait_for(answer, ANSWER_TIME)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                message = json.loads(line)
                if message.get("method") == "mining.notify":
                    self._job = message["params"]
                elif message.get("method") is None:
                    waiting = self._answers.pop(message["id"], None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(message)
        self._ended = True
        self._writer.close()
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(EOFError("disconnected"))


class LoadFarm:
    """All miners of a test: plain ones, which must notice nothing, and those with TLS, which reconnect."""

    def __init__(self, port: int, tls_port: int, *, plain: int, tls: int, pause: float) -> None:
        context = careless_tls() if tls else None
        self.plain = [LoadMiner(number, port, pause) for number in range(plain)]
        self.tls = [LoadMiner(plain + number, tls_port, pause, tls=context) for number in range(tls)]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def miners(self) -> list[LoadMiner]:
        """Return all of them."""
        return [*self.plain, *self.tls]

    async def start(self) -> None:
        """Connect all, and wait until each had a submission answered."""
        ready = asyncio.Semaphore(50)
        self._tasks = [asyncio.create_task(miner.run(ready)) for miner in self.miners]
        await self.work_on()

    async def work_on(self) -> None:
        """Wait until each that is not disconnected for good had another submission answered."""
        before = [(miner, miner.answered) for miner in self.miners]
        async with asyncio.timeout(2 * ANSWER_TIME):
            while any(miner.answered == count and not miner.problem for miner, count in before):
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Submit nothing more, and wait for the answers that are due."""
        for miner in self.miners:
            miner.stopping = True
        await asyncio.wait(self._tasks, timeout=ANSWER_TIME)
        for task in self._tasks:
            task.cancel()

    def figures(self) -> dict[str, Any]:
        """Return what the miners saw."""
        return {
            "plain": len(self.plain),
            "disconnected": sum(bool(miner.problem) for miner in self.plain),
            "unanswered": sum(miner.unanswered for miner in self.plain),
            "answered": sum(miner.answered for miner in self.plain),
            "refused": dict(sum((miner.refusals for miner in self.plain), Counter())),
            "longest_answer_ms": round(1000 * max((miner.longest for miner in self.plain), default=0.0)),
            "tls": len(self.tls),
            "tls_resumed": sum(miner.resumed for miner in self.tls),
            "tls_new_sessions": sum(miner.strange for miner in self.tls),
            "tls_slowest_return_s": round(max((miner.slowest_return for miner in self.tls), default=0.0), 2),
        }
