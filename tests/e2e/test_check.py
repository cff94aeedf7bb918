"""`p2pool-dash check` names what is wrong with broken set-ups, and finds nothing wrong with a good one."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from p2pool.app.config import SIMNET_ADDRESS
from p2pool.app.data_directory import DataDirectory
from p2pool.net.tls import make_self_signed
from tests.e2e.answering_dashd import AnsweringDashd, Refusal
from tests.e2e.forked_command import Result, run_command
from tests.e2e.process import free_port

pytestmark = pytest.mark.e2e
YEARS_AGO = 1_000_000_000.0
MAIN_ADDRESS = "XdgF55wEHBRWwbuBniNYH4GvvaoYMgL84u"


@dataclass
class Setup:
    """A set-up that is good until it is changed."""

    directory: Path
    dashd: AnsweringDashd
    flags: list[str] = field(default_factory=list)
    address: list[str] = field(default_factory=lambda: ["-a", SIMNET_ADDRESS])
    network: str = "simnet"
    worker_port: int = field(default_factory=free_port)
    p2pool_port: int = field(default_factory=free_port)
    daemon: list[str] = field(default_factory=list)
    password: str | None = "p"
    limit: int | None = None
    """Of open files."""
    held: list[Any] = field(default_factory=list)
    """What has to live until the check has run."""

    @property
    def data(self) -> Path:
        """The node's own directory."""
        return self.directory / "data" / self.network

    def check(self, *more: str) -> Result:
        """Run the check."""
        words = [
            *("check", *more, "--net", self.network, "--datadir", str(self.directory / "data")),
            *("-w", f"127.0.0.1:{self.worker_port}", "--p2pool-port", f"127.0.0.1:{self.p2pool_port}"),
            *(self.daemon or self.dashd.flags()),
            *(*self.address, *self.flags),
        ]
        environment = {"HOME": str(self.directory)}
        environment |= {} if self.password is None else {"P2POOL_RPC_PASSWORD": self.password}
        return run_command(words, self.directory, environment, self.limit)


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    with AnsweringDashd() as dashd:
        yield Setup(tmp_path, dashd)


def lines(result: Result) -> list[str]:
    """One line for each finding, with its advice."""
    return result.output.replace("\n         ", " ").splitlines()


def test_a_good_set_up(setup: Setup) -> None:
    result = setup.check()
    assert result.status == 0, result.output + result.errors
    assert all(line.startswith("ok ") for line in lines(result) if line and "checks:" not in line)
    assert ", 0 warnings, 0 faults" in result.output
    assert result.errors == ""
    assert not setup.data.exists()


def unknown_key(setup: Setup) -> None:
    path = setup.directory / "p2pool.toml"
    path.write_text("worker-prot = 7903\n")
    setup.flags = ["--config", str(path)]


def no_dashd(setup: Setup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    setup.daemon = ["--dashd-address", "127.0.0.1", "--dashd-rpc-port", str(port), "--rpcuser", "u"]


def no_cookie(setup: Setup) -> None:
    setup.password = None
    setup.daemon = ["--dashd-address", "127.0.0.1", "--dashd-rpc-port", str(setup.dashd.rpc_port)]


def changed(method: str, **changes: Any) -> Callable[[Setup], None]:
    """Dash Core answers a method otherwise."""

    def change(setup: Setup) -> None:
        setup.dashd.answers[method] = setup.dashd.answers[method] | changes

    return change


def answers(method: str, answer: Any, **settings: Any) -> Callable[[Setup], None]:
    """Dash Core answers a method otherwise, and settings differ."""

    def change(setup: Setup) -> None:
        setup.dashd.answers[method] = answer
        for name, value in settings.items():
            setattr(setup, name, value)

    return change


def given(**settings: Any) -> Callable[[Setup], None]:
    """Settings differ."""

    def change(setup: Setup) -> None:
        for name, value in settings.items():
            setattr(setup, name, value)

    return change


def wrong_zmq(setup: Setup) -> None:
    setup.daemon = setup.dashd.flags(zmq=f"tcp://127.0.0.1:{free_port()}")


def wrong_p2p_port(setup: Setup) -> None:
    setup.daemon = setup.dashd.flags(p2p_port=free_port())


def used_port(setup: Setup) -> None:
    setup.held.append(socket.create_server(("127.0.0.1", setup.worker_port)))


def one_port_twice(setup: Setup) -> None:
    setup.p2pool_port = setup.worker_port


def file_as_directory(setup: Setup) -> None:
    (setup.directory / "data").write_text("a file")


def running_node(setup: Setup) -> None:
    setup.held.append(DataDirectory(setup.data))


def newer_files(setup: Setup) -> None:
    setup.data.mkdir(parents=True)
    with closing(sqlite3.connect(setup.data / "shares.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")


def newer_history(setup: Setup) -> None:
    setup.data.mkdir(parents=True)
    with closing(sqlite3.connect(setup.data / "history.sqlite")) as database, database:
        database.execute("CREATE TABLE facts (name TEXT, value TEXT)")
        database.execute("INSERT INTO facts VALUES ('schema_version', '99')")


def certificate(*, now: float, swap_key: bool = False) -> Callable[[Setup], None]:
    """There is TLS with a certificate of that time, or with the key of another one."""

    def change(setup: Setup) -> None:
        files = [setup.directory / name for name in ("cert.pem", "key.pem", "cert2.pem", "key2.pem")]
        for pair in (files[:2], files[2:]):
            make_self_signed(*pair, names=["localhost"], now=now)
        setup.flags = ["--stratum-ssl-port", f"127.0.0.1:{free_port()}", "--ssl-cert", str(files[0])]
        setup.flags += ["--ssl-key", str(files[3 if swap_key else 1])]

    return change


def clock(seconds: int) -> Callable[[Setup], None]:
    """The network's clock is ahead."""

    def change(setup: Setup) -> None:
        setup.dashd.answers["getblocktemplate"]["curtime"] += seconds

    return change


NOWHERE = "127.0.0.1:1"
BROKEN: dict[str, tuple[Callable[[Setup], None], str, str]] = {
    "an unknown setting": (unknown_key, "fault    settings", "unknown setting 'worker-prot'"),
    "an address of another network": (
        given(address=["-a", MAIN_ADDRESS]),
        "fault    settings",
        f"-a {MAIN_ADDRESS}",
    ),
    "no dashd": (no_dashd, "fault    dashd", "start dashd"),
    "a wrong password": (given(password="wrong"), "fault    dashd login", "rejects user 'u'"),
    "no cookie": (no_cookie, "fault    dashd", "the cookie file"),
    "a method that is not allowed": (answers("submitblock", 403), "fault    dashd login", "rpcwhitelist"),
    "an old dashd": (changed("getnetworkinfo", version=180_000), "fault    dashd version", "upgrade it"),
    "another chain": (changed("getblockchaininfo", chain="main"), "fault    dashd version and chain", "--net"),
    "a chain that is not there yet": (
        changed("getblockchaininfo", initialblockdownload=True, verificationprogress=0.25),
        "fault    dashd templates",
        "25.0%",
    ),
    "dashd without peers": (
        answers("getblocktemplate", Refusal(-9, "Dash Core is not connected!")),
        "fault    dashd templates",
        "has peers",
    ),
    "dashd that starts": (
        answers("getblockchaininfo", Refusal(-28, "Loading block index...")),
        "fault    dashd",
        "wait until it has started",
    ),
    "no wallet": (
        answers("getwalletinfo", Refusal(-18, "No wallet is loaded."), address=["-a", "dynamic"]),
        "fault    wallet",
        "dash-cli loadwallet",
    ),
    "another ZMQ address": (wrong_zmq, "warning  ZMQ", "dashd publishes new blocks at tcp://"),
    "no ZMQ in dash.conf": (answers("getzmqnotifications", []), "warning  ZMQ", "set zmqpubhashblock="),
    "a closed p2p port": (wrong_p2p_port, "warning  dashd p2p", "--dashd-p2p-port"),
    "a port in use": (used_port, "fault    --worker-port", f"in use by process {os.getpid()} ("),
    "one port twice": (one_port_twice, "fault    --p2pool-port", "is also that of --worker-port"),
    "a file as data directory": (file_as_directory, "fault    data directory", "is not a directory"),
    "files of a newer version": (newer_files, "fault    data directory", "a newer p2pool-dash wrote it"),
    "history of a newer version": (newer_history, "warning  history", "install the newer p2pool-dash again"),
    "a running node": (running_node, "warning  data directory", f"in use by process {os.getpid()}"),
    "a wrong clock": (clock(4 * 3600), "fault    clock", "behind the time in dashd's template"),
    "the key of another certificate": (
        certificate(now=YEARS_AGO, swap_key=True),
        "fault    --stratum-ssl-port",
        "does not belong to",
    ),
    "an expired certificate": (
        certificate(now=YEARS_AGO),
        "fault    --stratum-ssl-port",
        "the certificate expired",
    ),
    "no Redis": (given(flags=["--broker", f"redis://{NOWHERE}"]), "fault    --broker", f"redis://{NOWHERE}"),
    "no PostgreSQL": (
        given(flags=["--stats-db", f"postgresql://u:secret@{NOWHERE}/p2pool"]),
        "warning  history",
        "connection",
    ),
    "few open files": (given(limit=2000), "warning  open files", "LimitNOFILE="),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_set_up_is_named(name: str, setup: Setup) -> None:
    change, begins, words = BROKEN[name]
    change(setup)
    result = setup.check()
    bad = [line for line in lines(result) if line.startswith(("fault", "warning"))]
    named = [line for line in bad if line.startswith(begins) and words in line]
    assert named, result.output + result.errors
    assert result.status == int(any(line.startswith("fault") for line in bad))
    assert bad[:1] == named[:1], "the first thing to correct is the cause"
    assert "secret" not in result.output
    for each in setup.held:
        each.release() if isinstance(each, DataDirectory) else each.close()


def test_a_wrong_flag_is_wrong_usage(setup: Setup) -> None:
    result = setup.check("--worker-prot", "7903")
    assert result.status == 2
    assert "unknown flag --worker-prot" in result.errors


def test_a_gateway(setup: Setup) -> None:
    """It needs a broker, and opens the ports for miners only, which it may share with other gateways."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", setup.worker_port))
        other.listen()
        shared = setup.check("gateway", "--broker", f"redis://{NOWHERE}", "--share-port")
        alone = setup.check("gateway")
    bad = [line.split(":")[0] for line in lines(shared) if line.startswith(("fault", "warning"))]
    assert bad == ["fault    --broker"], shared.output + shared.errors
    assert "for a gateway on network simnet" in shared.output
    assert "ok       dashd templates" in shared.output, "the daemon that the flags name is checked"
    assert "--p2pool-port" not in shared.output
    assert shared.status == alone.status == 1
    assert "no broker is named" in alone.output
    assert f"in use by process {os.getpid()} (" in "\n".join(lines(alone))
