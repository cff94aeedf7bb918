"""A node as an onion service of a real Tor, which has no network (DisableNetwork) and so asks nobody."""

from __future__ import annotations

import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import NodeProcess, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(shutil.which("tor") is None, reason="Tor is not installed")]


@pytest.fixture
def control_port(tmp_path: Path) -> Iterator[int]:
    """The control port of a Tor of our own."""
    directory = tmp_path / "tor"
    directory.mkdir(mode=0o700)
    (directory / "torrc").touch()
    written = directory / "port"
    flags = [
        *("-f", str(directory / "torrc"), "--defaults-torrc", str(directory / "torrc")),
        *("--DisableNetwork", "1", "--SocksPort", "0"),
        *("--DataDirectory", str(directory), "--CookieAuthentication", "1", "--ControlPort", "auto"),
        *("--ControlPortWriteToFile", str(written)),
    ]
    with open(directory / "out", "wb") as output:
        process = subprocess.Popen(["tor", *flags], stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for("the control port", lambda: written.exists() and written.read_text())
        yield int(written.read_text().strip().rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def published(line: str) -> str:
    return line.partition("onion service published: ")[2].partition(".onion")[0]


def test_a_node_publishes_itself_and_keeps_its_address(tmp_path, control_port):
    flags = ["--onion", "--onion-web", "--tor-control", f"127.0.0.1:{control_port}", "--outgoing-conns", "0"]
    hosts = set()
    for run in ("1.log", "2.log"):
        with NodeProcess(tmp_path, *flags, log=run) as node:
            line = node.wait_for_line("onion service published")
            assert line.endswith(", 80")
            hosts.add(published(line))
            wait_for("it among the ports", lambda: "other nodes, also at " in str(node.try_get("api/v1/ports")))
            # Ctrl-C withdraws it: Tor would refuse the same address a second time in the next run.
            node.interrupt()
            assert "Traceback" not in node.output
    (host,) = hosts
    assert len(host) == 56
    key = tmp_path / "data" / "simnet" / "onion-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
