"""The trial behind `interop_dashd.sh`: two real Dash Cores, this node, a CPU miner. Not a test of the suite."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

from p2pool.app.config import SIMNET_ADDRESS
from tests.e2e.process import NodeProcess, free_port, rpc_call, wait_for
from tests.support import ROOT

USER, PASSWORD = "interop", "interop"
BLOCKS = int(os.environ.get("P2POOL_INTEROP_BLOCKS", "100"))
HEIGHT = 450
"""Of the chain before the trial: all rules are in force, and the wallet has coins."""
FREEZE = 8.0
PATIENCE = 3600.0


class RealDash:
    """A dashd in regtest on the loopback, with a wallet."""

    def __init__(self, program: str, directory: Path, name: str, *arguments: str) -> None:
        self.name = name
        self.rpc_port, self.p2p_port, self.zmq_port = free_port(), free_port(), free_port()
        self._directory = directory / name
        self._directory.mkdir()
        self._log = directory / f"{name}.log"
        self._command = [
            *(program, "-regtest", f"-datadir={self._directory}", "-server", "-dnsseed=0", "-discover=0"),
            *(f"-rpcuser={USER}", f"-rpcpassword={PASSWORD}", f"-rpcport={self.rpc_port}"),
            *("-listen=1", f"-bind=127.0.0.1:{self.p2p_port}", "-fallbackfee=0.0001"),
            *(f"-zmqpubhashblock=tcp://127.0.0.1:{self.zmq_port}", *arguments),
        ]
        self.start()

    def start(self) -> None:
        """Start it, again where it was killed."""
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        wait_for(f"answer of {self.name}", self.try_rpc, 60)

    def try_rpc(self) -> bool:
        """Whether it answers."""
        try:
            self.rpc("getblockcount")
        except (requests.RequestException, RuntimeError):
            return False
        return True

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of a call. RuntimeError for its errors."""
        return rpc_call(self.rpc_port, (USER, PASSWORD), method, *params)

    @property
    def url(self) -> str:
        """For --dashd."""
        options = f"p2p={self.p2p_port}&zmq=tcp://127.0.0.1:{self.zmq_port}"
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.rpc_port}/?{options}"

    def end(self) -> None:
        """By its id."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


class InteropNode(NodeProcess):
    """Our node, on both."""

    def __init__(self, directory: Path, daemons: list[RealDash]) -> None:
        flags = [part for daemon in daemons for part in ("--dashd", daemon.url)]
        super().__init__(
            directory,
            *(*flags, "-a", SIMNET_ADDRESS, "--min-difficulty", "0.000001", "--start-difficulty", "0.00001"),
            *("-s", "3"),
            log="node.log",
            embedded=False,
            network="dash_regtest",
        )

    def blocks(self) -> list[dict[str, Any]]:
        """What it says of all blocks."""
        return list(self.get("block_history").values())


def start_miner(node: InteropNode, directory: Path) -> subprocess.Popen[bytes]:
    """The named cpuminer, or our own."""
    url, user = f"stratum+tcp://127.0.0.1:{node.port}", f"{SIMNET_ADDRESS}.interop"
    program = os.environ.get("P2POOL_MINER")
    if program:
        command = [program, "-a", "x11", "-t", "1", "-o", url, "-u", user, "-p", "x"]
    else:
        command = [sys.executable, "-m", "p2pool.simnet.miner", "-o", url, "-u", user]
    with open(directory / "miner.log", "wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)


def in_chain(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that have come into the chain."""
    return [block for block in blocks if block["detailed_status"] in ("accepted", "confirmed")]


def mine(node: InteropNode, daemons: list[RealDash]) -> None:
    """Transactions all the time; one daemon freezes after a third of the blocks, and is killed after two."""
    frozen = killed = False
    deadline, said = time.monotonic() + PATIENCE, 0
    spare = daemons[1]
    address = spare.rpc("getnewaddress")
    while (done := len(in_chain(node.blocks()))) < BLOCKS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{done} blocks within {PATIENCE:g} s")
        if done >= said + 10:
            said = done
            print(f"  {done} of {BLOCKS} blocks", flush=True)
        spare.rpc("sendtoaddress", address, 0.01)
        if not frozen and done >= BLOCKS // 3:
            frozen = True
            _freeze(node, daemons[0])
        if not killed and done >= 2 * BLOCKS // 3:
            killed = True
            _kill(node, daemons[0])
        time.sleep(0.5)


def _freeze(node: InteropNode, daemon: RealDash) -> None:
    before = len(in_chain(node.blocks()))
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(FREEZE)
    found = len(in_chain(node.blocks())) - before
    daemon.process.send_signal(signal.SIGCONT)
    print(f"  {daemon.name} frozen for {FREEZE:g} s: {found} blocks meanwhile", flush=True)


def _kill(node: InteropNode, daemon: RealDash) -> None:
    before = len(in_chain(node.blocks()))
    daemon.process.kill()
    daemon.process.wait()
    time.sleep(FREEZE)
    found = len(in_chain(node.blocks())) - before
    daemon.start()
    print(f"  {daemon.name} killed, and started again after {FREEZE:g} s: {found} blocks meanwhile", flush=True)


def verdict(node: InteropNode, daemons: list[RealDash]) -> int:
    """What became of every block, as both daemons say; the exit status."""
    wait_for("one tip", lambda: len({daemon.rpc("getbestblockhash") for daemon in daemons}) == 1, 120)
    wait_for("verdicts", lambda: all(block["detailed_status"] != "sent" for block in node.blocks()), 120)
    blocks, failures, transactions, with_transactions = node.blocks(), 0, 0, 0
    for block in in_chain(blocks):
        for daemon in daemons:
            shown = daemon.rpc("getblock", block["hash"])
            if shown["confirmations"] < 1:
                failures += 1
                print(f"  MISSING in {daemon.name}: block {block['number']} {block['hash']}")
        transactions += shown["nTx"] - 1
        with_transactions += shown["nTx"] > 1
    for block in blocks:
        if block["detailed_status"] == "refused":
            failures += 1
            print(f"  REFUSED: block {block['number']} {block['hash']}: {block['reason']}")
    orphaned = [block for block in blocks if block["detailed_status"] == "orphaned"]
    status = node.get("dashd_status")
    print(f"  {len(blocks)} blocks found: {len(in_chain(blocks))} in the chain, {len(orphaned)} beaten by our own")
    print(f"  {transactions} transactions in {with_transactions} of them")
    for road, times in status["new_block_to_job"].items():
        if times["count"]:
            print(
                f"  news by {road}: {times['count']}, first job after {times['average'] * 1000:.2f} ms on average"
            )
    sending = status["block_sending"]
    print(
        f"  found to sent: {sending['average'] * 1000:.2f} ms on average, p99 below {sending['p99'] * 1000:g} ms"
    )
    traces = node.output.count("Traceback")
    if traces or not with_transactions:
        failures += 1
        print(f"  {traces} tracebacks in the node's log, {with_transactions} blocks with transactions")
    print("all blocks are accounted for" if not failures else f"{failures} failures")
    return int(bool(failures))


def main(program: str) -> int:
    """The trial."""
    directory = Path(tempfile.mkdtemp(prefix="p2pool-interop-"))
    print(f"logs in {directory}", flush=True)
    daemons: list[RealDash] = []
    status = 1
    try:
        daemons.append(RealDash(program, directory, "first"))
        daemons.append(RealDash(program, directory, "second", f"-addnode=127.0.0.1:{daemons[0].p2p_port}"))
        daemons[1].rpc("createwallet", "interop")
        address = daemons[1].rpc("getnewaddress")
        for _ in range(HEIGHT // 50):
            daemons[1].rpc("generatetoaddress", 50, address)
        wait_for("one chain", lambda: daemons[0].rpc("getblockcount") == HEIGHT, 120)
        with InteropNode(directory, daemons) as node:
            node.wait_for_line("dashd at")
            miner = start_miner(node, directory)
            try:
                mine(node, daemons)
            finally:
                miner.terminate()
                miner.wait(30)
            status = verdict(node, daemons)
            node.interrupt()
    finally:
        for daemon in daemons:
            daemon.end()
    if status == 0 and not os.environ.get("P2POOL_INTEROP_KEEP"):
        shutil.rmtree(directory)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
