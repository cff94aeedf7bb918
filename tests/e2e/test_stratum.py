"""The miners' ports of the real program: TLS, load balancers, bans, limits, and a thousand machines at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import selectors
import shutil
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
import requests

from p2pool.app.config import SIMNET_ADDRESS
from p2pool.dash.address import encode_address
from p2pool.net.proxy_protocol import HeaderReader
from p2pool.net.tls import make_self_signed
from p2pool.networks import SIMNET
from tests.e2e.process import NodeProcess, Process, free_port, wait_for
from tests.e2e.stratum_client import TIME, ConnectionEnded, Refused, StratumClient

pytestmark = pytest.mark.e2e
CROWD = 1000
OTHER_ADDRESS = encode_address(SIMNET.parent.addresses.pubkey_hash, b"\x42" * 20)
LOGIN_TIME = 3
MAX_LINE = 1024
MAX_CONNECTIONS, MAX_PER_HOST = 6, 4
"""Of the node behind the load balancer."""


def worker(name: str) -> str:
    return f"{SIMNET_ADDRESS}.{name}"


# --- two nodes ---------------------------------------------------------------------------------------------


class MinersNode:
    """A node that can be started again on the same data."""

    def __init__(self, directory: Path, stack: ExitStack, *arguments: str) -> None:
        directory.mkdir()
        self.directory = directory
        self._stack = stack
        self._arguments = arguments
        self._starts = 0
        self.tls_port = 0
        self.process = self._start()

    def _start(self) -> NodeProcess:
        self._starts += 1
        self.tls_port = free_port()
        process = NodeProcess(
            self.directory,
            *("--simnet-miners", "0", "--outgoing-conns", "0", "--ssl-self-signed"),
            *("--stratum-ssl-port", f"127.0.0.1:{self.tls_port}", *self._arguments),
            log=f"start{self._starts}.log",
        )
        self._stack.enter_context(process)
        return process

    def restart(self) -> None:
        """Ctrl-C, and again."""
        self.process.interrupt()
        self.process = self._start()

    @property
    def port(self) -> int:
        return self.process.port

    def wait_until_started(self) -> None:
        self.process.wait_for_line("dashd at")

    @property
    def data(self) -> Path:
        return self.directory / "data" / "simnet"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory) -> Iterator[tuple[MinersNode, MinersNode]]:
    """An open one and one behind a load balancer, started at the same time."""
    directory = tmp_path_factory.mktemp("stratum")
    limits = (
        *("--login-time", str(LOGIN_TIME), "--max-line", str(MAX_LINE)),
        *("--max-connections", str(MAX_CONNECTIONS), "--max-connections-per-ip", str(MAX_PER_HOST)),
    )
    with ExitStack() as stack:
        plain = MinersNode(directory / "plain", stack)
        guarded = MinersNode(directory / "guarded", stack, "--stratum-proxy-protocol", "127.0.0.0/8", *limits)
        for node in (plain, guarded):
            node.wait_until_started()
        yield plain, guarded
        for node in (plain, guarded):
            assert node.process.interrupt() < 5
            assert "Traceback" not in node.process.output


@pytest.fixture
def node(nodes) -> MinersNode:
    return nodes[0]


@pytest.fixture
def guarded(nodes) -> MinersNode:
    """The one behind the load balancer, without any connection."""
    wait_for("the connections of the tests before to be gone", lambda: connections(nodes[1]) == 0, TIME)
    return nodes[1]


# --- a load balancer -----------------------------------------------------------------------------------------


def header_1(host: str) -> bytes:
    """Version 1 of the PROXY protocol's header."""
    if ":" in host:
        return f"PROXY TCP6 {host} 2001:db8:ffff::1 40000 7903\r\n".encode()
    return f"PROXY TCP4 {host} 192.0.2.1 40000 7903\r\n".encode()


def header_2(host: str) -> bytes:
    """Version 2."""
    if ":" in host:
        family, addresses = 0x21, IPv6Address(host).packed + IPv6Address("2001:db8:ffff::1").packed
    else:
        family, addresses = 0x11, IPv4Address(host).packed + IPv4Address("192.0.2.1").packed
    block = addresses + (40000).to_bytes(2, "big") + (7903).to_bytes(2, "big")
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, family]) + len(block).to_bytes(2, "big") + block


def view(node: MinersNode, path: str) -> dict:
    """A page of the node behind the load balancer, asked for through it."""
    with socket.create_connection(("127.0.0.1", node.port), TIME) as connection:
        connection.sendall(header_1("192.0.2.99") + f"GET /{path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == b"200", head
    return json.loads(body)


def connections(node: MinersNode) -> int:
    return view(node, "stratum_security")["connections"]


def through(node: MinersNode, host: str, header: Callable[[str], bytes] = header_1) -> StratumClient:
    """A miner at `host`, through the load balancer."""
    return StratumClient(node.port, header(host))


def is_let_in(client: StratumClient) -> bool:
    """Whether the node speaks with it."""
    with client:
        try:
            client.subscribe()
        except ConnectionEnded:
            return False
        return True


def banned(node: MinersNode) -> dict[str, dict]:
    return {ban["host"]: ban for ban in view(node, "ban_stats")["bans"]}


def cost(node: MinersNode, host: str) -> float:
    return {h["host"]: h["cost"] for h in view(node, "stratum_security")["hosts"]}.get(host, 0.0)


# --- TLS -----------------------------------------------------------------------------------------------------


def tls_context(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A miner's: most of them look at no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def fingerprint(connection: ssl.SSLSocket) -> str:
    return hashlib.sha256(connection.getpeercert(binary_form=True)).hexdigest()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_work_and_submissions_flow_through_tls(node, version):
    name = worker(version.name)
    with StratumClient(node.tls_port, tls=tls_context(version)) as miner:
        assert miner.socket.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]  # type: ignore[attr-defined]
        miner.login(name)
        assert miner.mine() is True
        wait_for(
            "the submission in the statistics",
            lambda: node.process.get("stratum_stats")["workers"].get(name, {}).get("accepted") == 1,
            TIME,
        )
    assert node.process.get("api/v1/node")["worker_tls_port"] == node.tls_port


@pytest.mark.skipif(not ssl.HAS_TLSv1_1, reason="Python's own OpenSSL does not speak it")
def test_tls_1_1_is_refused_by_the_server(node):
    context = tls_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        StratumClient(node.tls_port, tls=context)


def test_a_self_signed_certificate_can_be_verified(node):
    """A miner that was given the certificate file trusts it, and its name is right."""
    context = ssl.create_default_context(cafile=str(node.data / "stratum-cert.pem"))
    with (
        socket.create_connection(("127.0.0.1", node.tls_port), TIME) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        pairs = re.findall("..", fingerprint(connection).upper())
    assert ":".join(pairs) in node.process.wait_for_line("SHA-256 fingerprint")
    assert (node.data / "stratum-key.pem").stat().st_mode & 0o077 == 0


def test_a_replaced_certificate_is_used_and_old_connections_go_on(node, tmp_path):
    with StratumClient(node.tls_port, tls=tls_context()) as old:
        before = fingerprint(old.socket)
        old.login(worker("old"))
        new = tmp_path / "cert.pem", tmp_path / "key.pem"
        make_self_signed(*new, names=["renewed.example"], now=time.time())
        expected = hashlib.sha256(ssl.PEM_cert_to_DER_cert(new[0].read_text())).hexdigest()
        assert expected != before
        for source, name in zip(new, ("stratum-cert.pem", "stratum-key.pem"), strict=True):
            os.replace(source, node.data / name)

        def shown() -> str:
            with StratumClient(node.tls_port, tls=tls_context()) as visitor:
                return fingerprint(visitor.socket)

        wait_for("the new certificate", lambda: shown() == expected, TIME)
        assert old.mine() is True
        with StratumClient(node.tls_port, tls=tls_context()) as miner:
            assert miner.login(worker("new")).mine() is True


@pytest.mark.parametrize("wrong", ["missing", "directory", "garbage", "another key", "not readable"])
def test_a_certificate_that_cannot_be_used_is_one_clear_error(tmp_path, wrong):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_self_signed(certificate, key, names=["localhost"], now=time.time())
    culprit = key
    match wrong:
        case "missing":
            culprit = certificate
            certificate.unlink()
        case "directory":
            key.unlink()
            key.mkdir()
        case "garbage":
            key.write_bytes(b"\0" * 1000)
        case "another key":
            key.unlink()
            make_self_signed(tmp_path / "other.pem", key, names=["localhost"], now=time.time())
        case "not readable":
            if os.geteuid() == 0:
                pytest.skip("root reads everything")
            key.chmod(0)
    arguments = (
        *("run_p2pool.py", "--net", "simnet", "--simnet-miners", "0", "--datadir", str(tmp_path / "data")),
        *("-w", "127.0.0.1:0", "--p2pool-port", "127.0.0.1:0", "--stratum-ssl-port", "127.0.0.1:0"),
        *("--ssl-cert", str(certificate), "--ssl-key", str(key)),
    )
    with Process(list(arguments), tmp_path / "out") as process:
        assert process.wait_for_end(60) == 2
        output = process.output
    assert "Traceback" not in output
    naming = [line for line in output.splitlines() if str(culprit) in line]
    assert naming == output.splitlines()[-1:]
    assert "connect to stratum" not in output


# --- a load balancer in front --------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [header_1, header_2])
@pytest.mark.parametrize(
    ("host", "key"), [("198.51.100.1", "198.51.100.1"), ("2001:db8:1:2::3", "2001:db8:1:2::/64")]
)
def test_the_headers_address_is_the_miners(guarded, header, host, key):
    assert HeaderReader().feed(header(host)).host == host
    before = cost(guarded, key)
    with through(guarded, host, header) as good:
        assert good.login(worker("behind")).mine() is True
        with through(guarded, host, header) as bad:
            bad.send(b"{not JSON}\n")
            bad.wait_for_the_end()
        wait_for("its cost", lambda: cost(guarded, key) > before + 10, TIME)
        assert cost(guarded, "127.0.0.1") == 0
        assert key not in banned(guarded)


def test_a_header_comes_before_tls(guarded):
    host = "198.51.100.2"
    with StratumClient(guarded.tls_port, header_2(host), tls_context()) as miner:
        assert miner.login(worker("tls")).mine() is True
    with StratumClient(guarded.tls_port, header_1(host), tls_context()) as miner:
        miner.send(b"{not JSON}\n")
        miner.wait_for_the_end()
    wait_for("its cost", lambda: cost(guarded, host) > 10, TIME)


@pytest.mark.parametrize(
    "first",
    [
        b'{"id":1,"method":"mining.subscribe","params":[]}\n',
        b"PROXY TCP4 me you 1 2\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_a_connection_without_a_header_is_dropped(guarded, first):
    lines = guarded.process.output.count("no PROXY header")
    with socket.create_connection(("127.0.0.1", guarded.port), TIME) as connection:
        connection.sendall(first)
        try:
            assert connection.recv(1000) == b""
        except ConnectionResetError:
            pass
    wait_for("a line", lambda: guarded.process.output.count("no PROXY header") == lines + 1, TIME)


def test_tls_without_a_header_is_dropped(guarded):
    lines = guarded.process.output.count("no PROXY header")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        StratumClient(guarded.tls_port, tls=tls_context())
    wait_for("a line", lambda: guarded.process.output.count("no PROXY header") == lines + 1, TIME)


def test_bans_are_by_the_headers_address_and_survive_a_restart(guarded):
    bad, good = "203.0.113.66", "203.0.113.67"
    with through(guarded, bad) as working:
        working.login(worker("caught"))
        # Those that earned something cost nothing but their malformed lines.
        lines = 0
        while lines < 10:
            with through(guarded, bad) as client:
                try:
                    client.login(worker("caught"))
                except ConnectionEnded:
                    break
                assert client.mine() is True
                client.send(b"{not JSON}\n")
                client.wait_for_the_end()
                lines += 1
        assert 5 <= lines < 10
        working.wait_for_the_end()
    wait_for("the ban", lambda: bad in banned(guarded), TIME)
    ban = banned(guarded)[bad]
    assert ban["reason"] == "malformed lines"
    assert ban["until"] - ban["since"] == pytest.approx(300)
    assert good not in banned(guarded)
    assert is_let_in(through(guarded, good))
    guarded.restart()
    # From the first moment in which the port is open.
    guarded.process.wait_for_line("miners (X11) connect to")
    assert not is_let_in(through(guarded, bad))
    assert is_let_in(through(guarded, good))
    guarded.wait_until_started()
    again = wait_for("the ban", lambda: banned(guarded).get(bad), TIME)
    assert (again["since"], again["until"], again["reason"]) == (ban["since"], ban["until"], ban["reason"])
    with through(guarded, good, header_2) as miner:
        assert miner.login(worker("good")).mine() is True
    assert not is_let_in(through(guarded, bad, header_2))


# --- limits --------------------------------------------------------------------------------------------------


def test_connections_are_limited_by_host_and_in_all(guarded):
    with ExitStack() as stack:

        def enter(host: str) -> StratumClient:
            return stack.enter_context(through(guarded, host).login(worker("many")))

        first = [enter("198.51.100.10") for _ in range(MAX_PER_HOST)]
        assert not is_let_in(through(guarded, "198.51.100.10"))
        first += [enter("198.51.100.11") for _ in range(MAX_CONNECTIONS - MAX_PER_HOST)]
        # Those that never worked check the disk and its free space.
        first.append(enter("198.51.100.12"))
        first.pop(0).wait_for_the_end()
        for client in first:
            assert client.mine() is True
        assert not is_let_in(through(guarded, "198.51.100.13"))
        reasons = {"too many connections of one host", "too many connections"}
        wait_for(
            "both in the statistics",
            lambda: reasons <= view(guarded, "stratum_security")["turned_away"].keys(),
            TIME,
        )
        for client in first:
            assert client.call("mining.ping") == "pong"
        first[0].close()
        wait_for("room for another", lambda: is_let_in(through(guarded, "198.51.100.13")), TIME)


def test_foreign_protocols_are_closed_at_once_and_getwork_is_answered(node):
    for first in (bytes.fromhex("16030100f8010000f40303"), b"SSH-2.0-x\r\n", bytes(range(128, 192))):
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", node.port), TIME) as connection:
            connection.sendall(first)
            try:
                assert connection.recv(1000) == b""
            except ConnectionResetError:
                pass
        assert time.monotonic() - start < TIME / 2
    request = {"method": "getwork", "params": [], "id": 3}
    url, headers = f"http://127.0.0.1:{node.port}/", {"User-Agent": "cpuminer/2.5.1"}
    answer = requests.post(url, json=request, auth=("X.rig", "x"), headers=headers, timeout=TIME)
    assert answer.status_code == 200
    assert answer.headers["X-Stratum"] == f"stratum+tcp://127.0.0.1:{node.port}"
    assert answer.headers["X-Stratum"] in answer.json()["error"]["message"]
    assert answer.json()["id"] == 3
    node.process.wait_for_line("it sent TLS, which this port does not speak", TIME)


def test_a_connection_that_does_not_log_in_is_closed(guarded):
    with through(guarded, "198.51.100.20") as good, through(guarded, "198.51.100.21") as slow:
        good.login(worker("fast"))
        start = time.monotonic()
        slow.subscribe()
        slow.wait_for_the_end()
        assert time.monotonic() - start > LOGIN_TIME - 1
        assert good.call("mining.ping") == "pong"
    guarded.process.wait_for_line("not subscribed and authorized within", TIME)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_ends_the_connection(guarded, end):
    with through(guarded, "198.51.100.30") as client:
        client.login(worker("talkative"))
        text = "x" * (MAX_LINE - 100)
        with pytest.raises(Refused) as refused:
            client.call(text)
        assert refused.value.code == 20
        client.send(b'{"id":9,"method":"' + b"x" * MAX_LINE + end)
        client.wait_for_the_end()
    guarded.process.wait_for_line(f"a line of more than {MAX_LINE} bytes", TIME)


# --- going on ------------------------------------------------------------------------------------------------


def test_a_session_is_resumed_after_a_reconnect(node):
    with StratumClient(node.port) as miner:
        miner.login(worker("returning"))
        session, extranonce1, job = miner.session_id, miner.extranonce1, miner.jobs[-1]
    wait_for(
        "the miner to be gone",
        lambda: node.process.get("stratum_stats")["workers"].get(worker("returning"), {}).get("connections") == 0,
        TIME,
    )
    with StratumClient(node.port) as other:
        other.login(OTHER_ADDRESS)
        assert other.extranonce1 != extranonce1
        assert other.session_id != session
        # A job pays one address, and is no other miner's.
        with pytest.raises(Refused) as refused:
            other.mine(job)
        assert refused.value.code == 21
    with StratumClient(node.port) as again:
        again.login(worker("returning"), session)
        assert (again.session_id, again.extranonce1) == (session, extranonce1)
        assert again.mine(job) is True
        # The machine noticed first that its connection is dead: the node still holds the old one.
        with StratumClient(node.port) as third:
            third.login(worker("returning"), session)
            assert (third.session_id, third.extranonce1) == (session, extranonce1)
            again.wait_for_the_end()
            third.mined = again.mined
            assert third.mine() is True


def test_a_vanished_machine_is_asked_for_by_tcp(node):
    if shutil.which("ss") is None:
        pytest.skip("there is no ss here")
    with StratumClient(node.port) as miner, StratumClient(node.tls_port, tls=tls_context()) as tls_miner:
        for port, client in ((node.port, miner), (node.tls_port, tls_miner)):
            client.login(worker("vanishing"))
            own = client.socket.getsockname()[1]

            def seconds(port: int = port, own: int = own) -> int | None:
                shown = subprocess.run(
                    ["ss", "-tnoH", f"sport = :{port} and dport = :{own}"],
                    capture_output=True, text=True, check=True,
                ).stdout  # fmt: skip
                timer = re.search(r"timer:\(keepalive,(?:(\d+)min)?(?:(\d+)(?:\.\d+)?sec)?", shown)
                return None if timer is None else 60 * int(timer[1] or 0) + int(timer[2] or 0)

            # Linux' own default is two hours.
            assert wait_for("the keepalive timer", seconds, TIME) <= 60


def is_job(line: bytes) -> bool:
    return json.loads(line).get("method") == "mining.notify"


def test_a_thousand_machines_that_come_at_once_are_all_served(node):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < CROWD + 500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (CROWD + 500, hard))
    hello = (
        b'{"id":1,"method":"mining.subscribe","params":["crowd/1"]}\n'
        + json.dumps({"id": 2, "method": "mining.authorize", "params": [worker("crowd"), "x"]}).encode()
        + b"\n"
    )
    received: dict[socket.socket, bytes] = {}
    deadline = time.monotonic() + TIME
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(CROWD):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            connection.bind(("127.0.1.1", 0))
            connection.connect_ex(("127.0.0.1", node.port))
            selector.register(connection, selectors.EVENT_WRITE)
            received[connection] = b""
        waiting = set(received)
        while waiting and time.monotonic() < deadline:
            for key, events in selector.select(1):
                connection = key.fileobj
                if events & selectors.EVENT_WRITE:
                    assert connection.send(hello) == len(hello)
                    selector.modify(connection, selectors.EVENT_READ)
                    continue
                data = connection.recv(65536)
                assert data, f"closed after {received[connection]!r}"
                received[connection] += data
                if any(is_job(line) for line in received[connection].split(b"\n")[:-1]):
                    waiting.discard(connection)
        assert not waiting, f"{len(waiting)} of {CROWD} have no job"
        extranonces = {json.loads(data.split(b"\n")[0])["result"][1] for data in received.values()}
        assert len(extranonces) == CROWD
        wait_for(
            "the crowd in the statistics",
            lambda: (
                node.process.get("stratum_stats")["workers"].get(worker("crowd"), {}).get("connections") == CROWD
            ),
            TIME,
        )
    wait_for(
        "the crowd to be gone",
        lambda: node.process.get("stratum_stats")["workers"][worker("crowd")]["connections"] == 0,
        TIME,
    )
    assert requests.get(f"http://127.0.0.1:{node.port}/ban_stats", timeout=TIME).json()["total"] == 0
