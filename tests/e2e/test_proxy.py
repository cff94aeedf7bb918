"""A node that reaches the other one, and its Dash Core, by names that only a SOCKS5 proxy knows."""

from __future__ import annotations

import pytest

from p2pool.dash.address import encode_address
from p2pool.networks import DASH_REGTEST
from tests.e2e.process import NodeProcess, Process, free_port, wait_for
from tests.e2e.socks_server import SocksServer
from tests.e2e.stratum_client import StratumClient

pytestmark = pytest.mark.e2e
MINER = encode_address(DASH_REGTEST.parent.addresses.pubkey_hash, b"\x07" * 20)


def test_shares_come_through_the_proxy(tmp_path):
    rpc, p2p = free_port(), free_port()
    daemon = [
        *("-m", "p2pool.simnet", "--network", "dash_regtest", "--rpc-port", str(rpc)),
        *("--p2p-port", str(p2p), "--rpc-user", "u", "--rpc-password", "p"),
    ]
    common = ["--outgoing-conns", "0", "--disable-upnp", "--min-difficulty", "0.0000001", "-a", MINER]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with SocksServer({"a.test": 0, "dash.test": 0}) as proxy, Process(daemon, tmp_path / "dash.log") as dash:
        dash.wait_for_line("simulated Dash Core")
        near = [*common, "--dashd", f"http://u:p@127.0.0.1:{rpc}?p2p={p2p}"]
        first = NodeProcess(tmp_path / "a", *near, embedded=False, network="dash_regtest")
        far = [
            *(*common, "--dashd", f"http://u:p@dash.test:{rpc}?p2p={p2p}"),
            *("--proxy", proxy.url, "--dashd-proxy", proxy.url, "-n", f"a.test:{first.p2pool_port}"),
        ]
        second = NodeProcess(tmp_path / "b", *far, embedded=False, network="dash_regtest")
        with first, second:
            peers = wait_for("a peer", lambda: (second.try_get("api/v1/peers") or {}).get("peers"))
            assert [(each["address"], each["found_by"]) for each in peers] == [
                (f"a.test:{first.p2pool_port}", "p2pool_node")
            ]
            wait_for("the other end of it", lambda: first.get("api/v1/peers")["incoming"] == 1)
            with StratumClient(first.port) as miner:
                miner.login(MINER)
                assert miner.mine() is True
            best = wait_for("a share", lambda: first.get("api/v1/pool")["best_share"])
            wait_for("it at the other node", lambda: second.get("api/v1/pool")["best_share"] == best)
            assert second.get("api/v1/config")["settings"]["proxy"] == proxy.url
            assert "Traceback" not in first.output + second.output
            second.interrupt()
    assert {("a.test", first.p2pool_port), ("dash.test", rpc), ("dash.test", p2p)} <= set(proxy.asked)
