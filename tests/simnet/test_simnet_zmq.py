"""What is published over ZMQ: the frames of capture 80, without a socket. tests/e2e has one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import zmq

from p2pool.base.observable import Event
from p2pool.simnet.zmq_publisher import HashBlockPublisher, PublisherSocket


def test_the_captured_frames(captures: Path) -> None:
    recorded = orjson.loads((captures / "80_zmq_hashblock.json").read_bytes())["messages"]
    assert len(recorded) > 1
    chain: Any = SimpleNamespace(tip_changed=Event())
    sent: list[Sequence[bytes]] = []
    HashBlockPublisher(chain, sent.append)
    for message in recorded:
        chain.tip_changed.fire(SimpleNamespace(hash=int(message["hash_rpc"], 16)))
    assert [[frame.hex() for frame in frames] for frames in sent] == [
        message["frames_hex"] for message in recorded
    ]


def test_each_new_tip_is_one_message(simulation: Any) -> None:
    sent: list[Sequence[bytes]] = []
    publisher = HashBlockPublisher(simulation.chain, sent.append)
    first, second = simulation.find(2)
    assert [(frames[0], frames[1].hex(), frames[2]) for frames in sent] == [
        (b"hashblock", first, b"\x00\x00\x00\x00"),
        (b"hashblock", second, b"\x01\x00\x00\x00"),
    ]
    other = simulation.find(2, 1)  # a reorganisation is one new tip
    assert [frames[1].hex() for frames in sent[2:]] == [other[1]]
    publisher.stop()
    simulation.find()
    assert len(sent) == 3


def test_numbers_begin_anew_after_the_last(simulation: Any) -> None:
    sent: list[Sequence[bytes]] = []
    publisher = HashBlockPublisher(simulation.chain, sent.append)
    publisher._sequence = 0xFFFFFFFF
    simulation.find(2)
    assert [frames[2].hex() for frames in sent] == ["ffffffff", "00000000"]


def test_a_full_queue_loses_messages_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self) -> None:
            self.flags: list[int] = []

        def send_multipart(self, frames: Sequence[bytes], flags: int) -> None:
            self.flags.append(flags)
            raise zmq.Again

    socket: Any = object.__new__(PublisherSocket)
    socket._socket = Full()
    socket.send((b"hashblock",))
    assert socket._socket.flags == [zmq.NOBLOCK]


def test_getzmqnotifications(simulation: Any, make_simulation: Any) -> None:
    assert simulation.call("getzmqnotifications") == []
    [told] = make_simulation(zmq_port=5).call("getzmqnotifications")
    assert told == {"type": "pubhashblock", "address": "tcp://127.0.0.1:5", "hwm": 1000}
