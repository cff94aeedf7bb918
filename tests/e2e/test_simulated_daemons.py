"""Simulated Dash Cores as processes: two that are connected follow one chain, and tell of it over ZMQ."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import requests
import zmq

from tests.e2e.process import Process, wait_for

pytestmark = pytest.mark.e2e


class Daemon(Process):
    """`python -m p2pool.simnet` with easy blocks."""

    def __init__(self, log: Path, *arguments: str) -> None:
        super().__init__(
            [
                *("-m", "p2pool.simnet", "--rpc-port", "0", "--p2p-port", "0", "--zmq-port", "0"),
                *("--rpc-user", "u", "--rpc-password", "p", "--initial-attempts", "16", *arguments),
            ],
            log,
        )
        line = self.wait_for_line("simulated Dash Core")
        ports = re.search(r"RPC 127\.0\.0\.1:(\d+), p2p 127\.0\.0\.1:(\d+), ZMQ 127\.0\.0\.1:(\d+)", line)
        assert ports is not None, line
        self.rpc_port, self.p2p_port, self.zmq_port = map(int, ports.groups())

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of a call."""
        answer = requests.post(
            f"http://127.0.0.1:{self.rpc_port}/",
            json={"id": 1, "method": method, "params": list(params)},
            auth=("u", "p"),
            timeout=30,
        ).json()
        assert answer["error"] is None, answer
        return answer["result"]

    def wait_for_tip(self, hash_: str) -> None:
        """Until that block is the newest one."""
        wait_for(f"tip {hash_}", lambda: self.rpc("getbestblockhash") == hash_)


def test_two_daemons_follow_one_chain(tmp_path: Path) -> None:
    with Daemon(tmp_path / "first.log") as first:
        before = first.rpc("simnet_findblock", 3)
        with Daemon(tmp_path / "second.log", "--connect", f"127.0.0.1:{first.p2p_port}") as second:
            second.wait_for_tip(before[-1])
            context: zmq.Context[Any] = zmq.Context()
            listener = context.socket(zmq.SUB)
            try:
                listener.connect(f"tcp://127.0.0.1:{second.zmq_port}")
                listener.subscribe(b"hashblock")
                listener.setsockopt(zmq.RCVTIMEO, 500)
                frames = _first_message(first, second, listener)
            finally:
                listener.close(linger=0)
                context.term()
            assert frames[0] == b"hashblock"
            assert frames[1].hex() == second.rpc("getbestblockhash")
            # Sent at each new tip: those that came before we listened were counted, too.
            assert int.from_bytes(frames[2], "little") == second.rpc("getblockcount") - 1
            told = [{"type": "pubhashblock", "address": f"tcp://127.0.0.1:{second.zmq_port}", "hwm": 1000}]
            assert second.rpc("getzmqnotifications") == told
            [found] = second.rpc("simnet_findblock")
            first.wait_for_tip(found)
            [peer] = second.rpc("getpeerinfo")
            assert (peer["addr"], peer["inbound"]) == (f"127.0.0.1:{first.p2p_port}", False)
            assert second.interrupt() < 5
            assert "Traceback" not in second.output
        assert first.interrupt() < 5
        assert "Traceback" not in first.output


def _first_message(first: Daemon, second: Daemon, listener: Any) -> list[bytes]:
    """A subscription takes a moment: a block is found every half a second until one is told of."""

    def look() -> list[bytes] | None:
        [found] = first.rpc("simnet_findblock")
        second.wait_for_tip(found)
        try:
            return list(listener.recv_multipart())
        except zmq.Again:
            return None

    return wait_for("message over ZMQ", look)
