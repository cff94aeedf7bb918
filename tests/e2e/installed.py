"""Programs as they are installed, apart from the checkout: without its directory, modules and environment."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests

from tests.e2e.process import HASH_RATE, Process, free_port, wait_for

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def run(*command: str, directory: Path, home: Path | None = None) -> str:
    """The output of a command in a directory, without variables that lead to the checkout. It must succeed."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={"PATH": PATH, "HOME": str(home or directory)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class InstalledNode(Process):
    """`p2pool-dash --net simnet` with the embedded Dash Core and miners, on ports of its own."""

    def __init__(self, launcher: Sequence[str], home: Path, *arguments: str, directory: Path) -> None:
        """`launcher` is how the program is called."""
        self.port = free_port()
        ports = [f"--dashd-{kind}-port={free_port()}" for kind in ("rpc", "p2p")]
        ports += ["-w", f"127.0.0.1:{self.port}", "--p2pool-port", f"127.0.0.1:{free_port()}"]
        mining = ["--simnet-block-period", "2", "--simnet-hash-rate", f"{HASH_RATE}"]
        super().__init__(
            ["--net", "simnet", *mining, *ports, *arguments],
            home / "node.log",
            launcher=launcher,
            directory=directory,
            environment={"PATH": PATH, "HOME": str(home)},
        )

    def check_that_it_finds_a_block(self) -> None:
        """A block is found, pages are served, and it stops when it is asked to."""
        self.wait_for_line("miners (X11) connect to stratum+tcp://")
        wait_for("block", self._has_block)
        page = self._get("")
        files = set(re.findall(r'(?:href|src)="([^"]+[.](?:js|css|svg))"', page.text))
        assert {"pages/index.js", "style.css"} <= files
        for name in (*files, "vendor/uPlot.min.css"):  # that one is asked for by a script, with the first graph
            assert self._get(urljoin(page.url, name)).content, name
        assert self.interrupt() < 10

    def _has_block(self) -> bool:
        blocks = self.try_get("recent_blocks")
        return any(each["detailed_status"] in ("accepted", "confirmed") for each in blocks)

    def try_get(self, path: str) -> Any:
        """A JSON view, empty while there is none."""
        try:
            return self._get(path).json()
        except requests.RequestException:
            return {}

    def _get(self, path: str) -> requests.Response:
        answer = requests.get(urljoin(f"http://127.0.0.1:{self.port}/", path), timeout=10)
        answer.raise_for_status()
        return answer
