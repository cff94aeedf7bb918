"""Sockets on their way to another process, without sockets: `tests/e2e/test_take_over.py` has real ones."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from p2pool.base import handover_socket
from p2pool.base.handover_socket import HandoverSocket


class Numbered:
    """A socket of which only the number is asked."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number

    def settimeout(self, seconds: float) -> None: ...


def sending(monkeypatch, *errors: int) -> list[list[int]]:
    """What the system is asked to send; it fails with these errors first."""
    asked: list[list[int]] = []
    failures = list(errors)

    def send_fds(_: Any, data: list[bytes], numbers: list[int]) -> None:
        asked.append(numbers)
        if failures:
            raise OSError(failures.pop(0), "no")

    monkeypatch.setattr(handover_socket.socket, "send_fds", send_fds)
    monkeypatch.setattr(handover_socket, "_PAUSE", 0.0)
    return asked


def end(seconds: float = 10.0) -> HandoverSocket:
    made = HandoverSocket(Numbered(0))  # type: ignore[arg-type]
    made.set_deadline(seconds)
    return made


def numbered(*numbers: int) -> Any:
    return [Numbered(number) for number in numbers]


def test_they_go_in_portions_in_their_order(monkeypatch):
    asked = sending(monkeypatch)
    end().send_sockets(numbered(*range(450)))
    assert [len(portion) for portion in asked] == [200, 200, 50]
    assert [number for portion in asked for number in portion] == list(range(450))


def test_while_too_many_are_under_way_they_wait(monkeypatch):
    asked = sending(monkeypatch, errno.ETOOMANYREFS, errno.ETOOMANYREFS)
    end().send_sockets(numbered(3, 4))
    assert asked == [[3, 4]] * 3


def test_they_wait_no_longer_than_the_deadline(monkeypatch):
    sending(monkeypatch, *[errno.ETOOMANYREFS] * 1000)
    with pytest.raises(TimeoutError):
        end(0.0).send_sockets(numbered(3))


def test_other_errors_are_errors(monkeypatch):
    sending(monkeypatch, errno.EBADF)
    with pytest.raises(OSError, match="no"):
        end().send_sockets(numbered(3))
