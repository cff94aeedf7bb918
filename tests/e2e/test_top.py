"""`p2pool-dash top` on a terminal: it shows a running node, its keys work, and it restores the terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.process import NodeProcess, wait_for
from tests.support import ROOT

pytestmark = pytest.mark.e2e
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
SIZE = (24, 80)
ON_ITS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Makes standard input the terminal that sends SIGINT at Ctrl-C, and SIGWINCH when its size changes."""


class Terminal:
    """A pseudo-terminal in which `top` runs."""

    def __init__(self, node: NodeProcess) -> None:
        self._master, slave = pty.openpty()
        self.resize(*SIZE)
        self.slave_mode = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_ITS_TERMINAL, "run_p2pool.py", "top", *flags(node)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env=os.environ | {"TERM": "xterm"},
            start_new_session=True,
        )
        self._slave = slave
        self.text = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def read(self) -> str:
        """Return all that was written so far."""
        while select.select([self._master], [], [], 0)[0]:
            self.text += os.read(self._master, 65536).decode("utf-8", "replace")
        return self.text

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return where a pattern is found in what is written from now on."""
        start = len(self.read())
        return wait_for(pattern, lambda: re.compile(pattern, re.DOTALL).search(self.read(), start))

    def end(self) -> int:
        """Return the exit status; the terminal must be as it was before."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
            time.sleep(0.05)
        assert self.process.poll() is not None
        assert self.read().count(ENTER) == self.text.count(LEAVE) == 1
        assert self.text.rstrip().endswith(LEAVE), self.text[-500:]
        assert termios.tcgetattr(self._slave) == self.slave_mode
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)


def flags(node: NodeProcess) -> list[str]:
    return ["--net", "simnet", "--datadir", str(node.directory / "data"), "-w", f"127.0.0.1:{node.port}"]


@contextmanager
def terminal(node: NodeProcess) -> Iterator[Terminal]:
    opened = Terminal(node)
    try:
        yield opened
    finally:
        opened.close()


def test_a_running_node_on_a_terminal(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node, terminal(node) as screen, terminal(node) as other:
        screen.wait_for(r"on simnet, up .*WORKER.*cpu\d.*workers 1-2 of 2, by hash rate")
        screen.press("s")
        screen.wait_for("by dead")
        screen.press("\x1b[D\x1b[D")
        screen.wait_for("by worker")
        screen.press("?")
        screen.wait_for("sort workers by the next column")
        screen.press("?")
        screen.resize(50, 160)
        screen.wait_for("SOFTWARE")
        command = [sys.executable, "run_p2pool.py", "top", *flags(node)]
        piped = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert piped.stdout.startswith("p2pool-dash ")
        assert "WORKER" in piped.stdout
        assert "\x1b" not in piped.stdout
        assert len(piped.stdout.splitlines()) <= SIZE[0]
        other.press("\x03")
        assert other.end() == 128 + signal.SIGINT
        node.kill()
        away = f"no node answers at http://127.0.0.1:{node.port}/"
        screen.wait_for(f"{away}.* old")
        with terminal(node) as late:
            late.wait_for(away)
            late.process.terminate()
            assert late.end() == 128 + signal.SIGTERM
        with NodeProcess(tmp_path, port=node.port, log="again.log"):
            screen.wait_for("on simnet, up [0-9]+ s .*workers 1-2 of 2")
            screen.press("q")
            assert screen.end() == 0
