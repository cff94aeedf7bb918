"""What an operator can get wrong, with the real program: one clear line, the right status, and nothing lost."""

from __future__ import annotations

import socket
import sqlite3
import time

import pytest
import requests

from p2pool.app.config import SIMNET_ADDRESS
from tests.e2e.process import NodeProcess, Process, free_port, wait_for

pytestmark = pytest.mark.e2e
MAINNET_ADDRESS = "XdgF55wEHBRWwbuBniNYH4GvvaoYMgL84u"
P2SH_ADDRESS = "8epbR3BVXRugGKDznX5jiBqhaMNVQBBDC4"


def run_to_its_end(tmp_path, *arguments: str) -> tuple[int, str]:
    with Process(["run_p2pool.py", "--datadir", str(tmp_path / "data"), *arguments], tmp_path / "out") as process:
        return process.wait_for_end(60), process.output


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (MAINNET_ADDRESS, "not an address of the network simnet"),
        (P2SH_ADDRESS, "P2SH"),
        (SIMNET_ADDRESS[:-1] + "1", "checksum"),
        ("me", "25 bytes"),
    ],
)
def test_a_payout_address_that_cannot_be_paid(tmp_path, address, reason):
    status, output = run_to_its_end(tmp_path, "--net", "simnet", "-a", address)
    assert status == 2
    assert output.count("\n") == 1
    assert address in output
    assert reason in output


def test_a_port_in_use(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        status, output = run_to_its_end(tmp_path, "--net", "simnet", "-w", f"127.0.0.1:{port}")
    assert status == 2
    last = output.splitlines()[-1]
    assert str(port) in last
    assert "--worker-port" in last
    assert "Traceback" not in output


def test_a_data_directory_in_use(tmp_path):
    with NodeProcess(tmp_path, "--simnet-miners", "0") as node:
        node.wait_for_line("dashd at")
        status, output = run_to_its_end(tmp_path, "--net", "simnet")
        assert status == 2
        assert output.count("\n") == 1
        assert f"in use by process {node.process.pid}" in output
        assert node.interrupt() < 5


def test_no_dashd_there_and_then_a_wrong_password(tmp_path):
    rpc_port, port = free_port(), free_port()
    dashd_arguments = ("-m", "p2pool.simnet", "--rpc-port", str(rpc_port), "--p2p-port", "0")
    with Process(
        [
            *("run_p2pool.py", "--net", "simnet", "-a", SIMNET_ADDRESS, "--datadir", str(tmp_path / "data")),
            *("-w", f"127.0.0.1:{port}", "--dashd-address", "127.0.0.1", "--dashd-rpc-port", str(rpc_port)),
            *("--p2pool-port", f"127.0.0.1:{free_port()}"),
            *("user", "wrong"),
        ],
        tmp_path / "node.log",
    ) as node:
        line = node.wait_for_line("retrying")
        assert f"127.0.0.1:{rpc_port}" in line
        where = f"127.0.0.1:{rpc_port}"
        wait_for(
            "page that says so", lambda: where in "".join((get(port, "local_stats") or {}).get("warnings", []))
        )
        with Process([*dashd_arguments, "--rpc-user", "user", "--rpc-password", "right"], tmp_path / "dash.log"):
            line = node.wait_for_line("rejects user 'user'", 90)
            assert "given on the command line" in line
            assert "wrong" not in line.split("rejects")[1]
        assert get(port, "local_stats")["warnings"]
        assert node.interrupt() < 5
        assert "Traceback" not in node.output


def get(port: int, path: str):
    try:
        return requests.get(f"http://127.0.0.1:{port}/{path}", timeout=5).json()
    except requests.RequestException:
        return None


def test_the_wrong_chain(tmp_path):
    rpc_port = free_port()
    with Process(
        [
            *("-m", "p2pool.simnet", "--rpc-port", str(rpc_port), "--p2p-port", "0"),
            *("--rpc-user", "u", "--rpc-password", "p"),
        ],
        tmp_path / "dash.log",
    ) as dashd:
        dashd.wait_for_line("simulated Dash Core")
        with Process(
            [
                *("run_p2pool.py", "--net", "dash", "-a", MAINNET_ADDRESS, "--datadir", str(tmp_path / "data")),
                *("-w", "127.0.0.1:0", "--dashd-rpc-port", str(rpc_port), "--outgoing-conns", "0"),
                *("--p2pool-port", "127.0.0.1:0", "u", "p"),
            ],
            tmp_path / "node.log",
        ) as node:
            line = node.wait_for_line("'regtest'")
            assert "needs 'main'" in line
            assert node.interrupt() < 5


def test_a_corrupt_share_store_is_quarantined(tmp_path):
    store = tmp_path / "data" / "simnet" / "shares.sqlite"
    store.parent.mkdir(parents=True)
    damage = b"this was a share store once" * 1000
    store.write_bytes(damage)
    with NodeProcess(tmp_path, "--simnet-miners", "0") as node:
        line = node.wait_for_line("quarantined as")
        (aside,) = store.parent.glob("shares.sqlite.damaged-*")
        assert str(aside) in line
        assert aside.read_bytes() == damage
        node.wait_for_line("dashd at")
        assert node.interrupt() < 5
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM shares").fetchone() == (0,)


def test_state_files_of_any_content_do_not_end_the_start(tmp_path):
    directory = tmp_path / "data" / "simnet"
    directory.mkdir(parents=True)
    files = ["peers.json", "stratum-bans.json", "broadcaster-peers.json", "blocks.json", "last-run.json"]
    files += ["databases.json", "node-name"]
    for name in files:
        (directory / name).write_text("[" * 100_000)
    for name in ("shares.sqlite", "history.sqlite"):
        (directory / name).touch()
    with NodeProcess(tmp_path, "--simnet-miners", "0") as node:
        node.wait_for_line("dashd at")
        for name in files:
            node.wait_for_line(f"{name} cannot be used (")
            assert (directory / f"{name}.damaged").read_text() == "[" * 100_000
        for name in ("shares.sqlite", "history.sqlite"):
            node.wait_for_line(f"{name} is empty (0 bytes)")
        shown = wait_for(
            "both warnings", lambda: str(node.try_get("api/v1/node")).count("is empty (0 bytes)") == 2
        )
        assert shown
        assert node.interrupt() < 5
        assert "Traceback" not in node.output


def test_garbage_on_the_worker_port_harms_nobody(tmp_path):
    with NodeProcess(tmp_path, "--simnet-miners", "0") as node:
        node.wait_for_line("dashd at")
        for garbage in (b"{" * 20000, b"\x16\x03\x01\x02\x00\x01", b'{"id":1}\n', b"GET /\x00 HTTP/9.9\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", node.port), timeout=10) as connection:
                connection.sendall(garbage)
                connection.settimeout(1)
                try:
                    connection.recv(1000)
                except OSError:
                    pass
        time.sleep(1.1)
        assert node.get("local_stats")["connections"] == 0
        assert "Traceback" not in node.output
        assert node.interrupt() < 5
