"""The processes behind `tests.bench.stratum`: the node, a simulated Dash Core beside it, the load generator.

The simulated Dash Core has a process of its own, so that the node's core does nothing but the node's work, and its
blocks are easy, so that one can be had when it is wanted.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from p2pool.networks import SIMNET
from p2pool.sharechain.archive import ShareArchive
from p2pool.sharechain.tracker import Tracker
from tests.bench.stratum_load import cpu_seconds
from tests.chains import grow_chain
from tests.e2e.process import NodeProcess, Process, free_port, wait_for
from tests.support import ROOT, make_template

TREE = "P2POOL_BENCH_TREE"
"""The environment variable with the working tree whose node is measured, if that is another one."""
USER, PASSWORD = "bench", "bench"
START_TIME = 60.0
QUIET, LOOK = 0.3, 0.25
"""A node that uses less than this part of a core, over so many seconds, has done what it had to."""
_BLOCK_PERIOD = 0.1
"""Seconds, for the simulation's difficulty: blocks always come later, so that it stays the easiest."""


def cores() -> list[set[int] | None]:
    """Where the node and where all others run; [None, None] where there is nothing to choose."""
    available = sorted(os.sched_getaffinity(0))
    return [{available[0]}, {available[1]}] if len(available) > 1 else [None, None]


def pin(process: Process, core: set[int] | None) -> None:
    """Right after the start: threads are made where their process is."""
    if core is not None:
        os.sched_setaffinity(process.process.pid, core)


class PipedProcess(Process):
    """A program that is talked to over pipes, line by line; what it complains of goes to a file."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.log = log
        self._pending = b""
        with open(log, "wb") as complaints:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                cwd=ROOT,
            )

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def write_line(self, line: str) -> None:
        """To its standard input."""
        stdin = self.process.stdin
        if stdin is None:
            raise RuntimeError("no pipe")
        stdin.write(line.encode() + b"\n")
        stdin.flush()

    def read_line(self, patience: float) -> str:
        """The next line of its output. TimeoutError; RuntimeError with its complaints where it has ended."""
        deadline = time.monotonic() + patience
        while b"\n" not in self._pending:
            if not self._read(deadline - time.monotonic()):
                raise TimeoutError(f"{self.process.args} said nothing for {patience:g} s\n{self.output}")  # type: ignore[str-bytes-safe]
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()

    def forget_lines(self) -> None:
        """What it has said until now is of no interest."""
        while self._read(0):
            pass
        self._pending = b""

    def _read(self, patience: float) -> bool:
        if self.process.stdout is None or not select.select([self.process.stdout], [], [], max(0, patience))[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            raise RuntimeError(f"{self.process.args} ended ({self.process.wait(10)})\n{self.output}")  # type: ignore[str-bytes-safe]
        self._pending += data
        return True


class SimulatedDash(PipedProcess):
    """`python -m p2pool.simnet`, with blocks that take `attempts` hashes."""

    def __init__(self, directory: Path, attempts: int) -> None:
        arguments = ["-m", "p2pool.simnet", "--rpc-port", "0", "--p2p-port", "0", "--no-transactions"]
        arguments += ["--rpc-user", USER, "--rpc-password", PASSWORD]
        arguments += ["--initial-attempts", str(attempts), "--block-period", str(_BLOCK_PERIOD)]
        super().__init__(arguments, directory / "dash.log")
        self.rpc_port = self.p2p_port = 0

    def wait_until_ready(self) -> None:
        """It listens."""
        line = self.read_line(START_TIME)
        match = re.search(r"RPC 127\.0\.0\.1:(\d+), p2p 127\.0\.0\.1:(\d+)", line)
        if match is None:
            raise RuntimeError(f"the simulated Dash Core said {line!r}\n{self.output}")
        self.rpc_port, self.p2p_port = int(match[1]), int(match[2])

    def find_block(self) -> float:
        """Have a block found. Returns the monotonic time at which it is about to be announced.

        It is the time at which this process knows that: on a busy machine the first miner may have its job before.
        """
        self.forget_lines()
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(self.ask, "simnet_findblock", 1)
            # Printed when the block joins the chain, in the turn of its reactor that tells the node.
            self.read_line(START_TIME)
            announced = time.monotonic()
            answer.result(START_TIME)
        return announced

    def ask(self, method: str, *params: object) -> Any:
        """An RPC call."""
        answer = requests.post(
            f"http://127.0.0.1:{self.rpc_port}/",
            json={"id": 1, "method": method, "params": list(params)},
            auth=(USER, PASSWORD),
            timeout=START_TIME,
        ).json()
        if answer["error"] is not None:
            raise RuntimeError(answer["error"])
        return answer["result"]


class LoadProcess(PipedProcess):
    """The load generator."""

    def __init__(self, directory: Path, port: int, node: int, addresses: int, kind: str) -> None:
        arguments = ["-m", "tests.bench.stratum_load", str(port), str(node), str(addresses), kind]
        super().__init__(arguments, directory / f"load-{kind}.log")

    def tell(self, command: str, /, **arguments: float) -> None:
        """Begin a command; `answer` gives what comes of it."""
        self.write_line(json.dumps({"do": command, **arguments}))

    def answer(self, patience: float) -> Any:
        """The next answer."""
        return json.loads(self.read_line(patience))

    def ask(self, command: str, limit: float = 60.0, /, **arguments: float) -> Any:
        """Both."""
        self.tell(command, **arguments)
        return self.answer(limit)


class BenchNode(NodeProcess):
    """The node, on the simulated Dash Core and the prepared shares. `flags` are those that it knows."""

    def __init__(
        self,
        directory: Path,
        dash: SimulatedDash,
        shares: Path,
        flags: set[str],
        wishes: dict[str, str],
        name: str,
    ) -> None:
        self.ssl_port = free_port()
        directory = directory / name
        directory.mkdir()
        wishes = {"--stratum-ssl-port": f"127.0.0.1:{self.ssl_port}", "--ssl-self-signed": "", **wishes}
        granted = [part for flag, value in wishes.items() if flag in flags for part in (flag, value) if part]
        super().__init__(
            directory,
            *("--simnet-miners", "0", "--disable-upnp", "--outgoing-conns", "0", "--import-shares", str(shares)),
            *("--dashd-address", "127.0.0.1", "--dashd-rpc-port", str(dash.rpc_port)),
            *("--dashd-p2p-port", str(dash.p2p_port), *granted, USER, PASSWORD),
            program=(str(node_program()),),
        )

    def wait_until_ready(self) -> int:
        """It has work; returns how many addresses a block would pay."""

        def look() -> int | None:
            if self.process.poll() is not None:
                raise RuntimeError(f"the node ended ({self.process.returncode})")
            return len(self.try_get("current_payouts") or ())

        try:
            return wait_for("work of the node", look, START_TIME) or 0
        except (RuntimeError, TimeoutError) as error:
            raise RuntimeError(f"{error}; its log:\n{self.output}") from None

    def settle(self) -> None:
        """Wait until it has done what it had to, such as closing connections."""

        def quiet() -> bool:
            before = cpu_seconds(self.process.pid)
            time.sleep(LOOK)
            return cpu_seconds(self.process.pid) - before < QUIET * LOOK

        wait_for("rest of the node", quiet, START_TIME)

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has used."""
        return cpu_seconds(self.process.pid)

    @property
    def memory(self) -> int:
        """Bytes that are resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


def node_program() -> Path:
    """The program that is measured."""
    return Path(os.environ.get(TREE, ROOT)) / "run_p2pool.py"


def node_flags() -> set[str]:
    """The flags that the node knows."""
    command = [sys.executable, str(node_program()), "--help"]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=START_TIME).stdout
    return set(re.findall(r"--[a-z0-9-]+", text))


def prepare_shares(directory: Path, count: int, payees: int) -> Path:
    """A share archive whose chain pays so many addresses; its shares have real work, and stand in the past."""
    template = make_template(bits=0x1B00FFFF)  # a block is out of reach
    shares = grow_chain(Tracker(SIMNET), template, count, payees)
    return ShareArchive(directory).write(1, [(share.version.type, share.contents) for share in shares]).parent
