"""Simulated Dash Cores as processes: two that are connected follow one chain, and tell of it over ZMQ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.e2e.daemons import DashProcess
from tests.e2e.process import wait_for

pytestmark = pytest.mark.e2e


def test_two_daemons_follow_one_chain(tmp_path: Path) -> None:
    with DashProcess(tmp_path, "first") as first:
        first.ready()
        before = first.rpc("simnet_findblock", 3)
        with DashProcess(tmp_path, "second", "--connect", first.peer) as second:
            second.ready()
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


def _first_message(first: DashProcess, second: DashProcess, listener: Any) -> list[bytes]:
    """A subscription takes a moment: a block is found every half a second until one is told of."""

    def look() -> list[bytes] | None:
        [found] = first.rpc("simnet_findblock")
        second.wait_for_tip(found)
        try:
            return list(listener.recv_multipart())
        except zmq.Again:
            return None

    return wait_for("message over ZMQ", look)
