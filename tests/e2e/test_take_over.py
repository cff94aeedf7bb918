"""A node that is replaced by another process while miners submit: none of them notices."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pool.app.config import SIMNET_ADDRESS
from p2pool.base.handover_socket import HandoverSocket, close_all
from tests.e2e.daemons import DashProcess, PoolNode
from tests.e2e.process import free_port, wait_for
from tests.e2e.redis_server import RedisServer
from tests.e2e.stratum_client import ConnectionEnded, Refused, StratumClient

pytestmark = pytest.mark.e2e

MINERS = 50
EASY = ("--min-difficulty", "1e-9")


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[DashProcess]:
    with DashProcess(tmp_path, "dash", "--initial-attempts", "100000") as process:
        yield process.ready()


class Rig(threading.Thread):
    """A miner that submits all the time, in a thread; what went wrong is in `problem`."""

    def __init__(self, port: int, number: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.client = StratumClient(port).login(f"{SIMNET_ADDRESS}.{number}+1e-9")
        self.pause = pause
        self.accepted = self.refused = 0
        self.longest = 0.0
        self.problem: str | None = None
        self.stopping = False

    def run(self) -> None:
        try:
            while not self.stopping:
                begun = time.monotonic()
                try:
                    assert self.client.mine() is True
                    self.accepted += 1
                except Refused as error:
                    self.refused += 1
                    if error.code != 21:  # work of a block that is over: a minute later nobody knows it
                        raise
                self.longest = max(self.longest, time.monotonic() - begun)
                time.sleep(self.pause)
        except (ConnectionEnded, TimeoutError, Refused, AssertionError, OSError) as error:
            self.problem = f"{type(error).__name__}: {error}"


class Farm:
    """Miners that submit while the node is replaced."""

    def __init__(self, port: int, count: int, pause: float = 0.3) -> None:
        self.rigs = [Rig(port, number, pause) for number in range(count)]

    def __enter__(self) -> Farm:
        for rig in self.rigs:
            rig.start()
        return self

    def __exit__(self, *_: object) -> None:
        for rig in self.rigs:
            rig.stopping = True
        for rig in self.rigs:
            rig.join(60)
            rig.client.close()

    def work_on(self) -> None:
        """Wait until each miner had another two submissions answered."""
        before = [rig.accepted + rig.refused for rig in self.rigs]
        deadline = time.monotonic() + 60
        while any(rig.accepted + rig.refused < count + 2 for rig, count in zip(self.rigs, before, strict=True)):
            self.check()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def check(self) -> None:
        """Fail if a miner was disconnected, or not answered."""
        assert [rig.problem for rig in self.rigs if rig.problem] == []


def replace(directory: Path, dash: DashProcess, old: PoolNode, *arguments: str) -> PoolNode:
    """Start a process that takes over from `old`, on the same worker port."""
    return PoolNode(directory, [dash], "--take-over", *EASY, *arguments, port=old.port)


def test_fifty_miners_do_not_notice(tmp_path, dash):
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        with Farm(old.port, MINERS) as farm:
            farm.work_on()
            with replace(tmp_path, dash, old) as new:
                line = new.wait_for_line("took over")
                assert f"took over {MINERS} miners" in line
                assert old.wait_for_end(30) == 0
                farm.work_on()
                farm.check()
        assert sum(rig.refused for rig in farm.rigs) == 0


def test_a_process_that_fails_after_the_handover_leaves_the_old_one_serving(tmp_path, dash):
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        with Farm(old.port, 5) as farm:
            farm.work_on()
            # The new process takes over, and then cannot listen for browsers: the port is the dashd's.
            with replace(tmp_path, dash, old, "--web-port", f"127.0.0.1:{dash.rpc_port}") as new:
                assert new.wait_for_end(60) == 2
            old.wait_for_line("took over 5 miners")
            farm.work_on()
            farm.check()
            with replace(tmp_path, dash, old) as new:
                new.wait_for_line("took over 5 miners")
                assert old.wait_for_end(30) == 0
                farm.work_on()


def test_a_process_with_wrong_settings_changes_nothing(tmp_path, dash):
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        with Farm(old.port, 3) as farm:
            with replace(tmp_path, dash, old, "--share-rate", "-1") as new:
                assert new.wait_for_end(60) == 2
            farm.work_on()
        assert "take" not in old.output


def test_ten_in_a_row(tmp_path, dash):
    with PoolNode(tmp_path, [dash], *EASY) as first:
        first.ready()
        nodes = [first]
        try:
            with Farm(first.port, 3, pause=0.1) as farm:
                for _ in range(10):
                    nodes.append(replace(tmp_path, dash, nodes[-1]))
                    nodes[-1].wait_for_line("took over 3 miners")
                    assert nodes[-2].wait_for_end(30) == 0
                    farm.work_on()
        finally:
            for node in nodes[1:]:
                node.__exit__()


def test_a_signal_starts_the_new_process(tmp_path, dash):
    """What systemctl reload does."""
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        with Farm(old.port, 3) as farm:
            old.process.send_signal(signal.SIGUSR2)
            line = old.wait_for_line("serves the miners now")
            (new,) = [int(word) for word in re.findall(r"process (\d+) serves", line)]
            try:
                assert old.wait_for_end(30) == 0
                farm.work_on()
                assert (tmp_path / "data" / "simnet" / "lock").read_text().strip() == str(new)
            finally:
                os.kill(new, signal.SIGTERM)
            wait_for("end of the new process", lambda: "stopped" in old.output.rsplit("took over", 1)[-1])


def test_a_process_that_is_killed_meanwhile_leaves_the_old_one_serving(tmp_path, dash):
    """It has everything, and ends without a word."""
    dying = ("-m", "tests.e2e.dying_handover", "ready")
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        with Farm(old.port, 5) as farm:
            with PoolNode(tmp_path, [dash], "--take-over", *EASY, port=old.port, program=dying):
                old.wait_for_line("took over 5 miners")
            farm.work_on()


@pytest.mark.parametrize(
    "words",
    [b"GET / HTTP/1.1\r\n\r\n", b"", (2).to_bytes(8, "little") + b"[]", (5).to_bytes(8, "little") + b"{...."],
)
def test_hostile_words_change_nothing(tmp_path, dash, words):
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        path = tmp_path / "data" / "simnet" / "take-over"
        assert path.stat().st_mode & 0o777 == 0o600
        with Farm(old.port, 2) as farm:
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(str(path))
                stranger.sendall(words)
                stranger.shutdown(socket.SHUT_WR)
                farm.work_on()
            with replace(tmp_path, dash, old) as new:
                new.wait_for_line("took over 2 miners")
                farm.work_on()
        assert "Traceback" not in old.output


def test_another_version_resumes_the_sessions(tmp_path, dash):
    """It cannot read the whole state, so the miners are asked to reconnect."""
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        with StratumClient(old.port).login(f"{SIMNET_ADDRESS}.a+1e-9") as miner:
            assert miner.mine() is True
            other = ("-m", "tests.e2e.other_version")
            with PoolNode(tmp_path, [dash], "--take-over", *EASY, port=old.port, program=other) as new:
                miner.wait_for_the_end()
                new.wait_for_line("took over 0 miners")
                assert "asking miners to reconnect" in old.output
                with StratumClient(new.port).login(miner.username, session=miner.session_id) as back:
                    assert back.extranonce1 == miner.extranonce1
                    back.mined = miner.mined
                    assert back.mine() is True


def test_miners_through_tls_resume_their_sessions(tmp_path, dash):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = free_port()
    tls = ("--stratum-ssl-port", f"127.0.0.1:{port}", "--ssl-self-signed")
    with PoolNode(tmp_path, [dash], *EASY, *tls) as old:
        old.ready()
        with StratumClient(port, tls=context).login(f"{SIMNET_ADDRESS}.a+1e-9") as miner:
            job = miner.jobs[-1]
            with replace(tmp_path, dash, old, *tls) as new:
                miner.wait_for_the_end()
                with StratumClient(port, tls=context).login(miner.username, session=miner.session_id) as back:
                    new.wait_for_line("took over 0 miners")
                    assert back.extranonce1 == miner.extranonce1
                    assert back.mine(job) is True, "a submission for a job of the former process"


def test_silent_connections_are_passed_on(tmp_path, dash):
    with PoolNode(tmp_path, [dash], *EASY) as old:
        old.ready()
        with StratumClient(old.port) as silent, replace(tmp_path, dash, old) as new:
            new.wait_for_line("took over 0 miners")
            assert old.wait_for_end(30) == 0
            assert silent.login(f"{SIMNET_ADDRESS}.a+1e-9").mine() is True


def test_a_gateway_is_replaced(tmp_path, dash, monkeypatch):
    directory, program = tmp_path / "gateway", ("run_p2pool.py", "gateway")
    directory.mkdir()
    with RedisServer(tmp_path / "redis") as redis:
        monkeypatch.setenv("P2POOL_BROKER", redis.url)
        with (
            PoolNode(tmp_path, [dash], *EASY) as node,
            PoolNode(directory, [], *EASY, program=program) as old,
        ):
            node.ready()
            old.wait_for_line("connect to stratum+tcp")
            with Farm(old.port, 10) as farm:
                farm.work_on()
                with PoolNode(directory, [], "--take-over", *EASY, program=program, port=old.port) as new:
                    new.wait_for_line("took over 10 miners")
                    assert old.wait_for_end(30) == 0
                    farm.work_on()


def test_sockets_cross_in_their_order():
    """More of them than one system call takes."""
    left, right = socket.socketpair()
    mine, theirs = HandoverSocket(left), HandoverSocket(right)
    mine.set_deadline(10)
    theirs.set_deadline(10)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(450)]
    received: list[socket.socket] = []
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        sender = threading.Thread(target=mine.send_sockets, args=(sockets,))
        sender.start()
        received = theirs.receive_sockets(len(sockets))
        sender.join()
        assert [each.getsockname() for each in received] == [each.getsockname() for each in sockets]
        assert mine.peer == (os.getpid(), os.geteuid())
    finally:
        close_all([*sockets, *received])
        mine.close()
        theirs.close()
