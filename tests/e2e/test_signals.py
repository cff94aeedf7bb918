"""Signals, closed terminals and rotated logs: none of them ends the node, or costs it its log."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.process import NodeProcess, free_port, wait_for
from tests.support import ROOT

pytestmark = pytest.mark.e2e
QUIET = ("--simnet-miners", "0")
SURVIVED = (
    *(signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF),
    *(signal.SIGPIPE, signal.SIGIO, signal.SIGRTMIN, signal.SIGTTOU),
)


@pytest.fixture(autouse=True)
def _heeded() -> Iterator[None]:
    """Programs that are started heed hangup and quit, also where nohup or a shell's background has this one ignore
    them."""
    ignored = [each for each in (signal.SIGHUP, signal.SIGQUIT) if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, signal.SIG_DFL)
    yield
    for each in ignored:
        signal.signal(each, signal.SIG_IGN)


def test_signals_and_a_rotated_log(tmp_path):
    with NodeProcess(tmp_path, *QUIET) as node:
        wait_for("page", lambda: node.try_get("local_stats"))
        log = tmp_path / "data" / "simnet" / "log"
        for number in SURVIVED:
            node.process.send_signal(number)
        node.wait_for_line("SIGALRM received: ignored")
        node.wait_for_line("SIGHUP received: reopened the log file")
        log.rename(log.with_name("log-20261129"))
        node.process.send_signal(signal.SIGUSR1)
        wait_for("new log", lambda: log.exists() and "SIGUSR1 received" in log.read_text())
        assert node.get("local_stats")
        node.process.send_signal(signal.SIGQUIT)
        assert node.wait_for_end(30) == 0, node.output
        text = log.read_text()
        assert "SIGQUIT received: stack of each thread follows\n    thread " in text
        assert "thread MainThread:" in text
        assert "Traceback" not in node.output
        assert text.rstrip().endswith("stopped")
        last_run = json.loads((tmp_path / "data" / "simnet" / "last-run.json").read_text())
        assert last_run["orderly"] is True


def test_without_standard_streams(tmp_path):
    port = free_port()
    node = subprocess.Popen(
        [
            *("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "run_p2pool.py", "--net", "simnet"),
            *("--datadir", str(tmp_path), "-w", f"127.0.0.1:{port}", "--dashd-rpc-port", str(free_port())),
            *("--dashd-p2p-port", str(free_port()), "--p2pool-port", f"127.0.0.1:{free_port()}", *QUIET),
        ],
        cwd=ROOT,
    )
    try:
        log = tmp_path / "simnet" / "log"
        wait_for("log line", lambda: log.exists() and " on simnet" in log.read_text())
        node.terminate()
        assert node.wait(60) == 0
        assert log.read_text().rstrip().endswith("stopped")
        assert "Traceback" not in log.read_text()
    finally:
        node.kill()
        node.wait()


def test_the_simulated_daemon_survives_its_reader_and_ends_in_order_at_hangup(tmp_path):
    daemon = subprocess.Popen(
        [
            *(sys.executable, "-m", "p2pool.simnet", "--rpc-port", "0", "--p2p-port", "0"),
            *("--datadir", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        assert daemon.stdout is not None
        assert b"simulated Dash Core" in daemon.stdout.readline()
        daemon.stdout.close()  # as `| head -1` does
        daemon.send_signal(signal.SIGUSR1)
        daemon.send_signal(signal.SIGHUP)
        assert daemon.wait(60) == 0
    finally:
        daemon.kill()
        daemon.wait()
