"""A port that several processes share."""

from __future__ import annotations

import os
import socket

import pytest
from twisted.internet.protocol import ServerFactory

from p2pool.base.errors import OperatorError
from p2pool.net.shared_port import ReservedPort, open_shared_port


def reserve(host: str = "127.0.0.1", port: int = 0) -> ReservedPort:
    return ReservedPort((host, port), whom="miners", flag="-w/--worker-port")


def test_a_port_is_reserved_by_several():
    first = reserve()
    second = reserve(port=first.number)
    assert second.number == first.number > 0
    first.close()
    second.close()


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_any_interface(host):
    port = reserve(host)
    assert port.number > 0
    port.close()


def test_a_port_that_another_program_has_is_an_error_that_names_the_flag():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OperatorError, match=r"-w/--worker-port, or start all gateways .* --share-port$"):
            reserve(port=other.getsockname()[1])


def test_an_address_of_another_machine_is_an_error():
    with pytest.raises(OperatorError, match=r"192\.0\.2\.1"):
        reserve("192.0.2.1")


class Reactor:
    """Takes listening sockets, as a reactor does."""

    def __init__(self) -> None:
        self.adopted: list[socket.socket] = []

    def adoptStreamPort(self, descriptor: int, family: int, factory: ServerFactory) -> str:
        self.adopted.append(socket.socket(fileno=os.dup(descriptor)))
        return "port"


def test_several_listen_on_a_reserved_port():
    port, reactor = reserve(), Reactor()
    for _ in range(2):
        opened = open_shared_port(
            reactor, ServerFactory(), ("127.0.0.1", port.number), whom="miners", flag="-w/--worker-port"
        )
        assert opened == "port"
    port.close()
    assert {each.getsockname() for each in reactor.adopted} == {("127.0.0.1", port.number)}
    assert all(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for each in reactor.adopted)
    for each in reactor.adopted:
        each.close()
