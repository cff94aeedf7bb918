"""A node that starts its own gateways: they share the port, are started again, and never outlive the node."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.process import NodeProcess, free_port, wait_for
from tests.e2e.redis_server import RedisServer

pytestmark = pytest.mark.e2e
KEY = "0123456789abcdef-e2e"


class Node(NodeProcess):
    """A node with three gateways as its children; browsers reach it on a port of its own."""

    def __init__(self, directory: Path, redis: RedisServer, *arguments: str, log: str = "out.log") -> None:
        self.web_port, self.tls_port = free_port(), free_port()
        super().__init__(
            directory,
            *("--broker", redis.url, "--gateways", "3", "--web-port", f"127.0.0.1:{self.web_port}"),
            *("--stratum-ssl-port", f"127.0.0.1:{self.tls_port}", "--ssl-self-signed"),
            *("--api-key", KEY, "--ban-allow", "10.0.0.0/8", "--simnet-block-period", "20"),
            *arguments,
            log=log,
        )

    def get(self, path: str) -> Any:
        answer = requests.get(f"http://127.0.0.1:{self.web_port}/{path}", timeout=10)
        answer.raise_for_status()
        return answer.json()

    def act(self, action: str, **parameters: Any) -> Any:
        answer = requests.post(
            f"http://127.0.0.1:{self.web_port}/api/v1/admin/{action}",
            json=parameters,
            headers={"X-API-Key": KEY},
            timeout=20,
        )
        answer.raise_for_status()
        return answer.json()

    def children(self) -> dict[int, int]:
        """The process of each gateway, as the log says."""
        found = re.findall(r"started gateway (\d+) as process (\d+)", self.output)
        return {int(number): int(process) for number, process in found}

    def answering(self) -> set[str]:
        """The gateways that answered on the worker port, of many that were asked."""
        names = set()
        for _ in range(30):
            with suppress(requests.RequestException):
                answer = requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).json()
                if answer["work"]:
                    names.add(answer["gateway"])
        return names

    def all_answering(self) -> set[str]:
        """The three gateways; nothing while one of them does not answer."""
        names = self.answering()
        return names if len(names) == 3 else set()

    def certificates(self) -> set[str]:
        """The certificates that the TLS port shows, of many connections."""
        return {ssl.get_server_certificate(("127.0.0.1", self.tls_port), timeout=10) for _ in range(12)}

    def gateway_log(self, number: int) -> str:
        path = self.directory / "data" / "simnet" / "gateways" / str(number) / "log"
        return path.read_text() if path.exists() else ""


def lives(process: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


def test_children_serve_miners_are_restarted_and_end_with_the_node(tmp_path, redis):
    with Node(tmp_path, redis, "--simnet-miners", "4") as node:
        names = wait_for("three gateways on one port", node.all_answering)
        assert len({name.rpartition("/")[0] for name in names}) == 1
        assert len(node.certificates()) == 1

        wait_for("a share in the chain", lambda: "accepted for" in node.output)

        # What the operator does reaches all of them.
        def reached() -> Any:
            answer = node.act("message", text="hello")
            return answer if answer["gateways"] == 3 and answer["gateway_connections"] == 4 else None

        assert wait_for("all gateways and miners", reached)["connections"] == 0
        # How many of them answer in time, on a busy machine, the action above has shown.
        node.act("ban", host="192.0.2.7", seconds=600, reason="a test")
        for number in (1, 2, 3):
            banned = "banned 192.0.2.7 for 600 s: a test (banned by node "
            wait_for(f"the ban at {number}", lambda n=number, text=banned: text in node.gateway_log(n))

        # One that is killed is started again, and has the ban.
        victim = node.children()[2]
        os.kill(victim, signal.SIGKILL)
        node.wait_for_line(f"gateway 2 (process {victim}) has ended: killed by SIGKILL; starting it again in 1 s")
        wait_for("the second start", lambda: node.children()[2] != victim)
        wait_for("all three again", node.all_answering)
        wait_for("the ban", lambda: node.gateway_log(2).count("banned 192.0.2.7") >= 2)

        # One that is stuck is killed.
        stuck = node.children()[3]
        os.kill(stuck, signal.SIGSTOP)
        node.wait_for_line(f"gateway 3 (process {stuck}) is stuck: no sign of life for 30 s; killing it")
        wait_for("another start", lambda: node.children()[3] != stuck)
        wait_for("all three again", node.all_answering)

        children = list(node.children().values())
        assert all(map(lives, children))
        node.interrupt()
        assert not any(map(lives, children))
        assert "stopping 3 gateways" in node.output
        assert "did not stop" not in node.output
        assert node.output.count("has ended: exit status 0") == 3


PROXY = "127.0.0.2"
"""Where connections of a load balancer come from, which name their clients."""


def connect(node: Node, client: str, lines: bytes) -> tuple[socket.socket, bytes]:
    """A connection to one of the gateways in the name of a client, and what it is answered; nothing if it is
    closed."""
    connection = socket.create_connection(("127.0.0.1", node.port), 20, source_address=(PROXY, 0))
    connection.settimeout(20)
    answer = b""
    with suppress(ConnectionError):
        connection.sendall(f"PROXY TCP4 {client} 127.0.0.1 1000 7903\r\n".encode() + lines)
        answer = connection.recv(4096)
    return connection, answer


SUBSCRIBE = b'{"id": 1, "method": "mining.subscribe", "params": ["test"]}\n'


def served(node: Node, client: str, tries: int = 12) -> int:
    """How many of so many new connections of a client are served, one after the other."""
    count = 0
    for _ in range(tries):
        connection, answer = connect(node, client, SUBSCRIBE)
        count += b"result" in answer
        connection.close()
    return count


def test_bans_and_the_limit_of_a_host_are_those_of_the_pool(tmp_path, redis):
    limit = 12
    flags = ("--stratum-proxy-protocol", PROXY, "--max-connections-per-ip", str(limit))
    with Node(tmp_path, redis, *flags) as node:
        wait_for("three gateways on one port", node.all_answering)
        assert served(node, "192.0.2.9", 3) == 3

        # A ban of one gateway keeps the host out of all, and the node's page says whose ban it is.
        def offend() -> Any:
            connection, _ = connect(node, "192.0.2.9", b"{nonsense\n" * 20)
            connection.close()
            return node.get("api/v1/bans")["bans"]

        (ban,) = wait_for("the ban at the node", offend)
        assert ban["host"] == "192.0.2.9"
        assert re.fullmatch(rf".*:{node.port}/[123]", ban["source"])
        wait_for("the ban at all gateways", lambda: served(node, "192.0.2.9") == 0)
        assert served(node, "192.0.2.10", 3) == 3

        def asked(answer: Any) -> bool:
            return bool(answer["gateways"] + answer["gateways_silent"] == 3)  # a busy machine may answer late

        # The node learns every 3 s which gateways there are: this test is quicker than that.
        wait_for("the node to know all gateways", lambda: asked(node.act("message", text="hello")))
        answer = node.act("unban", host="192.0.2.9")
        assert answer["was_banned"] is True
        # Gateways that have not reported lately are not counted: on a busy machine, ask again until all three are.
        wait_for("an unban that all gateways are asked for", lambda: asked(node.act("unban", host="192.0.2.9")))
        wait_for("the end of the ban at all gateways", lambda: served(node, "192.0.2.9", 6) == 6)

        # Connections of a host are counted over all gateways: none of them has as many as the limit.
        held = [connect(node, "192.0.2.11", SUBSCRIBE) for _ in range(limit)]
        assert all(b"result" in answer for _, answer in held)
        # Gateways exchange their counts every 3 s. More often asked, the host would be banned for its reconnects.
        wait_for("the limit at all gateways", lambda: served(node, "192.0.2.11", 12) == 0, period=2.0)
        assert node.get("api/v1/bans")["total"] == 0
        line = "rejected a connection of 192.0.2.11: too many connections of one host"
        assert sum(line in node.gateway_log(number) for number in (1, 2, 3)) >= 2
        for connection, _ in held:
            connection.close()


def test_children_do_not_outlive_a_node_that_was_killed(tmp_path, redis):
    with Node(tmp_path, redis) as node:
        wait_for("three gateways on one port", node.all_answering)
        children = list(node.children().values())
        assert len(children) == 3
        node.process.kill()
        node.process.wait()
        started = time.monotonic()
        try:
            wait_for("the end of all gateways", lambda: not any(map(lives, children)), 30)
        finally:
            for process in filter(lives, children):
                os.kill(process, signal.SIGKILL)
        print(f"gateways ended {time.monotonic() - started:.1f} s after their node was killed")
        assert "standard input has ended" in node.gateway_log(1)
