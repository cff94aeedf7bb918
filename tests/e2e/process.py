"""Real processes for end-to-end tests: the node, its page, and the simulated Dash Core behind it."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests

from tests.support import ROOT

T = TypeVar("T")
PATIENCE = 180.0
"""Seconds that anything may take on a busy machine; a test that passes waits much less."""


HASH_RATE = 20_000
"""Hashes a second of each embedded miner: a third of what one makes alone on a core. So shares and blocks take the
same time on a busy machine, and miners leave the tests that run beside them their turn."""
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
_PORTS = range(20_000 + 1_500 * _WORKER, 21_500 + 1_500 * _WORKER)
"""Below those that the system gives to outgoing connections, which come and go at any time. Tests that run beside
each other have parts of their own."""
_given: set[int] = set()


def free_port() -> int:
    """A TCP port on the loopback that nobody uses now, and that was not given before."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            if port not in _given and probe.connect_ex(("127.0.0.1", port)) != 0:
                _given.add(port)
                return port


def wait_for(what: str, look: Callable[[], T | None], patience: float = PATIENCE, *, period: float = 0.1) -> T:
    """Return the first true value of `look()`, called every `period` seconds."""
    deadline = time.monotonic() + patience
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {patience:g} s")
        time.sleep(period)


@contextmanager
def _interruptible() -> Iterator[None]:
    """A child started meanwhile ends at Ctrl-C, also where we do not: what runs in a shell's background ignores
    it, and so would its children. (Not `preexec_fn`: that is no good in a process with threads.)"""
    former = signal.getsignal(signal.SIGINT)
    if former is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if former is signal.SIG_IGN:
            signal.signal(signal.SIGINT, former)


def rpc_call(port: int, login: tuple[str, str], method: str, *params: Any) -> Any:
    """The result of a JSON-RPC call, as any RPC user makes it. RuntimeError with the error that is answered."""
    answer = requests.post(
        f"http://127.0.0.1:{port}/",
        json={"id": 1, "method": method, "params": list(params)},
        auth=login,
        timeout=60,
    ).json()
    if answer["error"] is not None:
        raise RuntimeError(answer["error"])
    return answer["result"]


class Process:
    """A program of ours with its output in a file; ended by its own id at the end of a `with`."""

    def __init__(
        self,
        arguments: list[str],
        log: Path,
        *,
        launcher: Sequence[str] = (sys.executable,),
        directory: Path = ROOT,
        environment: dict[str, str] | None = None,
    ) -> None:
        """`launcher` is the program, and arguments before the others."""
        self.log = log
        with open(log, "wb") as output, _interruptible():
            self.process = subprocess.Popen(
                [*launcher, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
            )

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def output(self) -> str:
        """All that was printed so far."""
        return self.log.read_text("utf-8", errors="replace")

    def wait_for_line(self, text: str, patience: float = PATIENCE) -> str:
        """The first line that holds `text`; fails at once where the process ended without it."""

        def look() -> str | None:
            ended = self.process.poll() is not None
            for line in self.output.splitlines():
                if text in line:
                    return line
            if ended:
                raise AssertionError(f"ended ({self.process.returncode}) without {text!r}:\n{self.output}")
            return None

        return wait_for(f"line with {text!r}", look, patience)

    def wait_for_end(self, patience: float = PATIENCE) -> int:
        """The exit status."""
        return self.process.wait(patience)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> float:
        """Ctrl-C; the seconds until the process had ended, which must be well."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(30)
        assert status == 0, self.output
        return time.monotonic() - start


class NodeProcess(Process):
    """`run_p2pool.py --net NETWORK` on ports of its own."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        log: str = "out.log",
        port: int | None = None,
        p2pool_port: int | None = None,
        program: Sequence[str] = ("run_p2pool.py",),
        embedded: bool = True,
        network: str = "simnet",
        hash_rate: float | None = HASH_RATE,
    ) -> None:
        """Not `embedded`: on daemons that the arguments name."""
        self.directory = directory
        self.port = port or free_port()
        self.rpc_port, self.p2pool_port = free_port(), p2pool_port or free_port()
        dashd = ("--dashd-rpc-port", str(self.rpc_port), "--dashd-p2p-port", str(free_port()))
        if network == "simnet" and hash_rate is not None:
            arguments = (*arguments, "--simnet-hash-rate", f"{hash_rate}")
        super().__init__(
            [
                *(*program, "--net", network, "--datadir", str(directory / "data")),
                *("-w", f"127.0.0.1:{self.port}"),
                *(dashd if embedded else ()),
                *("--p2pool-port", f"127.0.0.1:{self.p2pool_port}"),
                *arguments,
            ],
            directory / log,
        )

    def get(self, path: str) -> Any:
        """A JSON view."""
        answer = requests.get(f"http://127.0.0.1:{self.port}/{path}", timeout=10)
        answer.raise_for_status()
        return answer.json()

    def try_get(self, path: str) -> Any:
        """A JSON view, None while there is none."""
        try:
            return self.get(path)
        except requests.RequestException:
            return None

    def rpc(self, method: str, *params: Any) -> Any:
        """A call to the embedded simulated Dash Core, as any RPC user makes it."""
        (cookie,) = self.directory.glob("data/simnet/simulated-dash*/.cookie")
        user, _, password = cookie.read_text().partition(":")
        return rpc_call(self.rpc_port, (user, password), method, *params)
