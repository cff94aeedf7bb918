"""The node's own payout addresses, with real processes: from dashd's wallet, kept, renewed, and paid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from p2pool.dash.address import payout_hash160
from p2pool.networks import DASH_REGTEST
from tests.e2e.process import NodeProcess, Process, free_port, wait_for

pytestmark = pytest.mark.e2e


class RegtestNode(Process):
    """`run_p2pool.py --net dash_regtest` with a dashd of its own that is started apart."""

    def __init__(self, directory: Path, rpc_port: int, log: str, *arguments: str) -> None:
        self.port = free_port()
        self.data = directory / "data" / "dash_regtest"
        super().__init__(
            [
                *("run_p2pool.py", "--net", "dash_regtest", "--datadir", str(directory / "data")),
                *("-w", f"127.0.0.1:{self.port}", "--p2pool-port", f"127.0.0.1:{free_port()}"),
                *("--outgoing-conns", "0", "--disable-upnp", "--dashd-rpc-port", str(rpc_port)),
                *("--dashd-p2p-port", str(free_port()), *arguments, "u", "p"),
            ],
            directory / log,
        )

    def try_get(self, path: str):
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}/{path}", timeout=10)
        except requests.RequestException:
            return None
        return answer.json() if answer.ok else None

    def payout_address(self) -> str:
        return wait_for("payout address", lambda: self.try_get("payout_addr"))


def start_dashd(directory: Path, rpc_port: int) -> Process:
    return Process(
        [
            *("-m", "p2pool.simnet", "--network", "dash_regtest", "--rpc-port", str(rpc_port)),
            *("--p2p-port", "0", "--rpc-user", "u", "--rpc-password", "p"),
        ],
        directory / "dash.log",
    )


def test_without_an_address_one_of_the_wallet_is_kept(tmp_path):
    rpc_port = free_port()
    with RegtestNode(tmp_path, rpc_port, "first.log") as node:
        node.wait_for_line("waiting for dashd to give a payout address")
        wait_for("page", lambda: node.try_get("payout_addrs") == [])
        with start_dashd(tmp_path, rpc_port):  # it comes up late
            address = node.payout_address()
            assert len(payout_hash160(address, DASH_REGTEST.parent.addresses, "dash_regtest")) == 20
            wait_for("file", (node.data / "cached_payout_address").exists)
            assert (node.data / "cached_payout_address").read_text() == address + "\n"
            assert node.interrupt() < 5
            assert "Traceback" not in node.output
            with RegtestNode(tmp_path, rpc_port, "second.log") as again:
                assert again.payout_address() == address
                assert again.try_get("payout_addrs") == [address]
                assert again.interrupt() < 5
    with RegtestNode(tmp_path, rpc_port, "third.log") as alone:  # dashd is away again
        assert alone.payout_address() == address
        assert alone.interrupt() < 5
        assert "Traceback" not in alone.output


def test_fresh_addresses_take_turns_and_survive_a_restart(tmp_path):
    rpc_port = free_port()
    arguments = ("-a", "dynamic", "-i", "3", "-t", "4")
    with start_dashd(tmp_path, rpc_port) as dashd:
        dashd.wait_for_line("simulated Dash Core")
        with RegtestNode(tmp_path, rpc_port, "first.log", *arguments) as node:

            def three() -> list[str]:
                addresses = node.try_get("payout_addrs") or []
                return addresses if len(addresses) == 3 else []

            first = wait_for("three addresses", three)
            later = wait_for("another address", lambda: three() if three()[:1] not in ([], first[:1]) else None)
            assert later[:2] == first[1:]
            assert later[2] not in first
            assert node.interrupt() < 5
            assert "Traceback" not in node.output
        document = json.loads((node.data / "dynamic-addresses.json").read_bytes())
        kept = [row["address"] for row in document["addresses"]]
        assert len(kept) == 3
        with RegtestNode(tmp_path, rpc_port, "second.log", "-a", "dynamic", "-i", "3") as again:
            addresses = wait_for("addresses", lambda: again.try_get("payout_addrs"))
            assert addresses == kept
            assert again.interrupt() < 5


def test_fresh_addresses_are_paid_the_fee(tmp_path):
    with NodeProcess(tmp_path, "-a", "dynamic", "-t", "5", "-f", "100", "--simnet-miners", "1") as node:
        own: set[str] = set()

        def shares() -> list[str]:
            own.update(node.try_get("payout_addrs") or [])
            rows = node.try_get("recent_shares") or []
            return [row["hash"] for row in rows] if len(rows) >= 3 and len(own) >= 3 else []

        mined = wait_for("three shares and a third address", shares)
        paid = {node.get(f"web/payout_address/{share}") for share in mined}
        assert paid <= own
        assert node.interrupt() < 5
        assert "Traceback" not in node.output
