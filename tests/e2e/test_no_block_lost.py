"""A found block ends in the chain, or there is proof of why not, whatever dies, hangs or is full then."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
import requests

from p2pool.app.config import SIMNET_ADDRESS
from p2pool.dash.messages import Verack
from p2pool.dashd.p2p_session import P2pSession
from p2pool.networks import SIMNET
from p2pool.wire.framer import frame
from tests.e2e.alert_servers import HookServer, hook_server
from tests.e2e.daemons import DashProcess, Miner, PoolNode
from tests.e2e.impatient_node import PATIENCE as SHORT_PATIENCE
from tests.e2e.process import free_port, wait_for
from tests.e2e.stratum_client import ConnectionEnded

pytestmark = pytest.mark.e2e

PROGRAM = ("-m", "tests.e2e.impatient_node")


def find_block(node: PoolNode, miner: Miner) -> str:
    """The miner's next share is a block; its hash."""
    known = {block["hash"] for block in node.blocks()}
    assert miner.mine() is True
    return str(
        wait_for("the block", lambda: next((b["hash"] for b in node.blocks() if b["hash"] not in known), None))
    )


def pending(node: PoolNode) -> list[Path]:
    return list(node.directory.glob("data/simnet/blocks/*.pending"))


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[DashProcess]:
    with DashProcess(tmp_path, "a") as daemon:
        daemon.ready()
        daemon.rpc("simnet_findblock", 3)
        yield daemon


def test_the_main_daemon_is_dead(tmp_path: Path, dash: DashProcess):
    with DashProcess(tmp_path, "b", "--connect", dash.peer) as other:
        other.ready()
        other.wait_for_tip(dash.rpc("getbestblockhash"))
        with PoolNode(tmp_path, [dash, other]) as node, node.ready().miner() as miner:
            wait_for("both", lambda: all(d["height"] == 3 for d in node.get("dashd_status")["daemons"]))
            main, spare = (dash, other) if node.serving == str(dash.rpc_port) else (other, dash)
            main.kill()
            found = find_block(node, miner)
            spare.wait_for_tip(found)
            name = main.data.name
            with DashProcess(tmp_path, name, "--connect", spare.peer, like=main) as again:
                again.ready().wait_for_tip(found)
            assert node.block(found)["detailed_status"] == "accepted"
            assert "Traceback" not in node.output


def test_all_are_dead_and_one_comes_back_a_minute_later(tmp_path: Path, dash: DashProcess):
    """Meanwhile the patience without work ends: miners are sent away, and are served within two seconds of the
    daemon's return."""
    with PoolNode(tmp_path, [dash], program=PROGRAM) as node, node.ready().miner() as miner:
        dash.kill()
        lost = time.monotonic()
        found = find_block(node, miner)
        node.wait_for_line("NOT YET SUBMITTED")
        assert [path.name for path in pending(node)] == [f"4-{found}.pending"]
        miner.socket.settimeout(SHORT_PATIENCE + 30)
        miner.wait_for_the_end()
        assert SHORT_PATIENCE - 5 < time.monotonic() - lost < SHORT_PATIENCE + 80
        (warning,) = node.get("local_stats")["warnings"]
        assert ": no contact for " in warning
        time.sleep(max(0.0, lost + 60 - time.monotonic()))
        with DashProcess(tmp_path, "a", like=dash) as again:
            again.ready()
            back = time.monotonic()
            wait_for("work again", lambda: "accepting miners" in node.output)
            with node.miner():
                served = time.monotonic() - back
            again.wait_for_tip(found)
            wait_for("verdict", lambda: node.block(found).get("detailed_status") == "accepted")
            assert served < 2 + 3  # what a busy machine may add
            assert node.interrupt() < 10
        assert "Traceback" not in node.output


def test_killed_between_finding_and_sending(tmp_path: Path, dash: DashProcess):
    with hook_server() as server:
        _killed_between_finding_and_sending(tmp_path, dash, server)


def _killed_between_finding_and_sending(tmp_path: Path, dash: DashProcess, server: HookServer) -> None:
    hook = ("--block-webhook", server.url("block"))
    with PoolNode(tmp_path, [dash], *hook, program=("-m", "tests.e2e.dying_node")) as node:
        miner = node.ready().miner()
        with contextlib.suppress(ConnectionEnded):  # the answer may have come before the end
            miner.mine()
        assert node.wait_for_end() == -9
        (kept,) = node.directory.glob("data/simnet/blocks/*.pending.new")  # whole, though not synced
        miner.close()
    assert dash.rpc("getblockcount") == 3
    found, killed = kept.name.removesuffix(".pending.new").split("-")[1], time.time()
    with PoolNode(tmp_path, [dash], *hook) as node:
        dash.wait_for_tip(found)
        wait_for("verdict", lambda: node.block(found).get("detailed_status") == "accepted")
        wait_for("post", lambda: server.to("block"))
        shown = node.block(found)
        assert shown["miner"] == f"{SIMNET_ADDRESS}.rig"
        assert shown["share"] == found
        coinbase = dash.rpc("getblock", found, 2)["tx"][0]
        assert shown["value"] == pytest.approx(sum(output["value"] for output in coinbase["vout"]))
        assert killed - 60 < shown["ts"] < killed
        for _ in range(6):
            dash.rpc("simnet_findblock")
        wait_for("end of its file", lambda: not pending(node))
        wait_for("six confirmations", lambda: node.block(found)["confirmations"] >= 6)
        assert len({post.json["delivery"] for post in server.to("block")}) == 1
        for post in server.to("block"):
            assert (post.json["worker"], post.json["timestamp"]) == (shown["miner"], int(shown["ts"]))
            assert post.json["value"] == pytest.approx(shown["value"])


def test_a_newcomer_lists_the_blocks_of_the_chain_that_it_downloads(tmp_path: Path, dash: DashProcess):
    """With their headers' times, and as no news: they were found before it was there."""
    with PoolNode(tmp_path, [dash]) as node, hook_server() as server:
        with node.ready().miner() as miner:
            while all(block["share"] is None for block in node.blocks()):
                miner.wait_for_job_on(find_block(node, miner))  # a block may have too little work for a share
        in_shares = [block for block in node.blocks() if block["share"] is not None]
        (tmp_path / "newcomer").mkdir()
        flags = ("-n", f"127.0.0.1:{node.p2pool_port}", "--block-webhook", server.url("block"))
        time.sleep(1.1)  # a header's time is in whole seconds
        with PoolNode(tmp_path / "newcomer", [dash], *flags) as newcomer:
            wait_for("the block", lambda: newcomer.try_get("recent_blocks"))
            wait_for("its place", lambda: newcomer.blocks()[0]["detailed_status"] == "accepted")
            for shown, known in zip(newcomer.blocks(), in_shares, strict=True):
                assert (shown["hash"], shown["number"], shown["share"]) == (
                    known["hash"],
                    known["number"],
                    known["share"],
                )
                assert shown["ts"] == dash.rpc("getblockheader", shown["hash"])["time"]
                assert (shown["detailed_status"], shown["miner"]) == ("accepted", "another node")
                assert shown["value"] == pytest.approx(known["value"])
            assert newcomer.get("api/v1/blocks")["total"] == 1
            assert server.posts == []
            metrics = requests.get(f"http://127.0.0.1:{newcomer.port}/metrics", timeout=10).text
            assert "\np2pool_blocks_found 0.0\n" in metrics
        assert "Traceback" not in newcomer.output


def test_the_broadcaster_hangs(tmp_path: Path, dash: DashProcess):
    """One node accepts connections and that is all, one shakes hands and then reads nothing any more, one is not
    there."""
    with socket.socket() as silent, socket.socket() as unread:
        for listener in (silent, unread):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.bind(("127.0.0.1", 0))
            listener.listen(10)
        ports = [silent.getsockname()[1], unread.getsockname()[1], free_port()]
        peers = [{"host": "127.0.0.1", "port": port, "score": 5.0, "worked": True} for port in ports]
        book = tmp_path / "data" / "simnet" / "broadcaster-peers.json"
        book.parent.mkdir(parents=True)
        book.write_bytes(orjson.dumps({"version": 1, "peers": peers}))
        with PoolNode(tmp_path, [dash]) as node, node.ready().miner() as miner:
            unread.settimeout(30)
            connection, _ = unread.accept()
            magic = SIMNET.parent.p2p_magic
            hello = P2pSession(magic, sub_version=b"/hangs/", nonce=1, now=time.time()).hello()
            connection.sendall(hello + frame(magic, Verack.command, b""))
            wait_for("handshake", lambda: node.get("broadcaster_status")["connected"] == 1)
            for _ in range(3):
                found = find_block(node, miner)
                start = time.monotonic()
                dash.wait_for_tip(found)
                assert time.monotonic() - start < 5
                miner.wait_for_job_on(found)
            assert node.interrupt() < 10
            connection.close()
        assert "Traceback" not in node.output


def test_two_blocks_in_one_second(tmp_path: Path, dash: DashProcess):
    """One after the other, and then two of the same height: the second of those is beaten, with proof."""
    with PoolNode(tmp_path, [dash]) as node, node.ready().miner() as miner:
        first = find_block(node, miner)
        miner.wait_for_job_on(first)
        second = find_block(node, miner)
        dash.wait_for_tip(second)
        assert dash.in_chain(first)
        job = miner.wait_for_job_on(second)
        assert miner.mine(job) is True
        assert miner.mine(job) is True
        wait_for("four blocks", lambda: len(node.blocks()) == 4)
        wait_for("verdicts", lambda: all(block["detailed_status"] != "sent" for block in node.blocks()))
        rivals = [block for block in node.blocks() if block["number"] == 6]
        won, beaten = sorted(rivals, key=lambda block: block["detailed_status"])
        assert (won["detailed_status"], beaten["detailed_status"]) == ("accepted", "orphaned")
        assert dash.in_chain(won["hash"])
        assert not dash.in_chain(beaten["hash"])
        dash.rpc("simnet_findblock", 7)
        wait_for("proof", lambda: node.block(beaten["hash"])["reason"] == f"block 6 is {won['hash']}")
        assert node.interrupt() < 10
        assert "Traceback" not in node.output


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A file system of 64 kB at a path; the test is skipped where this machine does not allow that."""
    path.mkdir(parents=True)
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("making a small file system needs root and mount")
    command = [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    made = subprocess.run(command, check=False, capture_output=True)
    if made.returncode != 0:
        pytest.skip(f"no small file system here: {made.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_the_disk_is_full(tmp_path: Path, dash: DashProcess):
    blocks = tmp_path / "data" / "simnet" / "blocks"
    with small_disk(blocks):
        filler = blocks / "filler"
        with open(filler, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        with PoolNode(tmp_path, [dash]) as node, node.ready().miner() as miner:
            found = find_block(node, miner)
            dash.wait_for_tip(found)  # a full disk keeps no block from being sent
            line = node.wait_for_line("cannot keep a found block on disk")
            assert "check the disk and its free space" in line
            wait_for("warning", lambda: any("No space" in text for text in node.get("local_stats")["warnings"]))
            filler.unlink()
            miner.wait_for_job_on(found)
            dash.kill()
            second = find_block(node, miner)
            kept = blocks / f"5-{second}.pending"
            wait_for("its file", kept.exists)
            wait_for("no warning", lambda: "No space" not in "".join(node.get("local_stats")["warnings"]))
            assert node.interrupt() < 10
        assert "Traceback" not in node.output
