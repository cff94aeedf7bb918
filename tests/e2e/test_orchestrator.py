"""What systemd, Kubernetes and the like see of a node, and how it answers them."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.daemons import DashProcess
from tests.e2e.process import NodeProcess, wait_for
from tests.support import ROOT

pytestmark = pytest.mark.e2e
WATCHDOG_TIME = 2.0
KEY = "0123456789abcdef-key"
STOP_TIME = 10.0
"""Seconds within which SIGTERM ends the node, as docs/operators.md promises."""


HANGING = """
import sys, time
sys.path.insert(0, {root!r})
from p2pool.app.status_log import StatusLog

def hang(self):
    print("the reactor hangs", flush=True)
    while True:
        time.sleep(1)

StatusLog.start = hang
from p2pool.app.cli import main
sys.exit(main())
""".replace("{root!r}", repr(str(ROOT)))


class FakeServiceManager:
    """The socket on which systemd listens to a service."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.received: list[str] = []

    def read(self) -> list[str]:
        """Return the assignments that were received since the last call."""
        new: list[str] = []
        while True:
            try:
                new += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                self.received += new
                return new

    def has(self, beginning: str) -> bool:
        """Return whether an assignment was received that begins like this."""
        self.read()
        return any(each.startswith(beginning) for each in self.received)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServiceManager]:
    """A service manager that the processes of the test speak to, with a watchdog."""
    path = tmp_path / "notify"
    listening = FakeServiceManager(path)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_TIME * 1e6)))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    yield listening
    listening.close()


def status_of(node: NodeProcess, path: str, timeout: float = 5.0) -> int | None:
    """Return the status of an answer; None if there is none in time."""
    try:
        return requests.get(f"http://127.0.0.1:{node.port}/{path}", timeout=timeout).status_code
    except requests.RequestException:
        return None


def missing_of(node: NodeProcess) -> list[str]:
    """Return the codes of what is missing."""
    answer = requests.get(f"http://127.0.0.1:{node.port}/readyz", timeout=5)
    codes = [each["code"] for each in answer.json()["missing"]]
    assert answer.status_code == (503 if codes else 200)
    return codes


def test_a_hung_node_is_seen_by_healthz_and_by_the_watchdog(tmp_path, manager):
    with NodeProcess(tmp_path, "--simnet-miners", "0", "--web-password", "me:a long password") as node:
        wait_for("ready node", lambda: status_of(node, "readyz") == 200)
        assert status_of(node, "healthz") == 200
        assert status_of(node, "local_stats") == 401
        wait_for("watchdog", lambda: manager.read().count("WATCHDOG=1"), 30)
        assert manager.received[:2] == ["READY=1", "STATUS=Starting"]
        wait_for("status line", lambda: manager.has("STATUS=0 miners, 0 H/s, block "))
        node.process.send_signal(signal.SIGSTOP)
        manager.read()
        time.sleep(WATCHDOG_TIME)
        assert manager.read() == []
        assert status_of(node, "healthz", timeout=2.0) is None
        node.process.send_signal(signal.SIGCONT)
        wait_for("watchdog", lambda: "WATCHDOG=1" in manager.read(), 30)
        assert status_of(node, "healthz") == 200
        began = time.monotonic()
        node.process.terminate()
        assert node.wait_for_end(30) == 0, node.output
        assert time.monotonic() - began < STOP_TIME
        assert manager.has("STOPPING=1")


def test_a_lost_dashd_is_seen_by_readyz_and_does_not_hold_up_the_end(tmp_path):
    with DashProcess(tmp_path, "dash") as dash:
        dash.ready()
        with NodeProcess(tmp_path, "--dashd", dash.url, "--simnet-miners", "0", embedded=False) as node:
            wait_for("ready node", lambda: status_of(node, "readyz") == 200)
            dash.process.send_signal(signal.SIGSTOP)  # it takes connections, and answers nothing
            wait_for("lost dashd", lambda: missing_of(node) == ["no_dashd"], 60)
            assert status_of(node, "healthz") == 200
            began = time.monotonic()
            node.process.terminate()
            assert node.wait_for_end(30) == 0, node.output
            assert time.monotonic() - began < STOP_TIME
            dash.process.send_signal(signal.SIGCONT)


def test_settings_are_read_again_at_hangup(tmp_path, manager):
    settings = tmp_path / "p2pool.toml"
    settings.write_text("simnet-miners = 0\n")
    with NodeProcess(tmp_path, "--config", str(settings)) as node:
        wait_for("ready node", lambda: status_of(node, "readyz") == 200)
        assert status_of(node, "metrics") == 200
        wait_for("running node", lambda: manager.has("STATUS=0 miners"))
        settings.write_text(
            'simnet-miners = 0\nfee = 2\nban-allow = ["192.0.2.0/24"]\n'
            f'api-key = ["{KEY}"]\napi-key-endpoints = "/metrics"\n'
        )
        node.process.send_signal(signal.SIGHUP)
        line = node.wait_for_line("SIGHUP: settings read; changed: ")
        assert set(line.partition("changed: ")[2].split(", ")) == {"api-key", "api-key-endpoints", "ban-allow"}
        assert node.wait_for_line("that need a restart").endswith(": fee")
        assert status_of(node, "metrics") == 401
        assert node.get("api/v1/config")["settings"]["ban-allow"]
        settings.write_text("fee = much\n")
        node.process.send_signal(signal.SIGHUP)
        node.wait_for_line("SIGHUP: the settings cannot be used, nothing is changed: ")
        assert status_of(node, "metrics") == 401
        assert manager.has("RELOADING=1")
        assert manager.has("MONOTONIC_USEC=")
        node.interrupt()


def test_a_hung_reactor_does_not_hold_up_the_end(tmp_path):
    program = tmp_path / "hanging.py"
    program.write_text(HANGING)
    with NodeProcess(tmp_path, "--simnet-miners", "0", program=(str(program),)) as node:
        node.wait_for_line("the reactor hangs")
        began = time.monotonic()
        node.process.terminate()
        assert node.wait_for_end(30) == 1, node.output
        assert time.monotonic() - began < STOP_TIME
        assert "not stopped within 9.6 s: ending now" in node.output


def test_the_log_as_json_on_standard_output(tmp_path):
    arguments = ("--simnet-miners", "0", "--logfile", "-", "--log-format", "json")
    with NodeProcess(tmp_path, *arguments) as node:
        wait_for("ready node", lambda: status_of(node, "readyz") == 200)
        node.interrupt()
    lines = [json.loads(line) for line in node.output.splitlines()]
    assert {"time", "level", "namespace", "message"} <= set.intersection(*(set(each) for each in lines))
    assert lines[-1]["message"] == "stopped"
    assert not (tmp_path / "data" / "simnet" / "log").exists()
