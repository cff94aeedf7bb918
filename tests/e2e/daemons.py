"""Simulated Dash Cores as processes, and a node that uses several of them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2pool.app.config import SIMNET_ADDRESS
from p2pool.simnet.miner_work import MiningJob
from tests.e2e.process import NodeProcess, Process, free_port, rpc_call, wait_for
from tests.e2e.stratum_client import StratumClient

USER, PASSWORD = "u", "p"


class DashProcess(Process):
    """`python -m p2pool.simnet` with easy blocks and fixed ports. With `cookie` it makes its own password at each
    start; else the user is `u`, the password `p`. What is in `directory/name` outlives it."""

    def __init__(
        self,
        directory: Path,
        name: str,
        *arguments: str,
        like: DashProcess | None = None,
        cookie: bool = False,
    ) -> None:
        """`like` is one that ended, whose ports and data are used again."""
        self.data = directory / name
        self.cookie = cookie
        self.rpc_port = free_port() if like is None else like.rpc_port
        self.p2p_port = free_port() if like is None else like.p2p_port
        self.zmq_port = free_port() if like is None else like.zmq_port
        number = len(list(directory.glob(f"{name}-*.log")))
        login = () if cookie else ("--rpc-user", USER, "--rpc-password", PASSWORD)
        super().__init__(
            [
                *("-m", "p2pool.simnet", "--datadir", str(self.data), "--initial-attempts", "16"),
                *("--rpc-port", str(self.rpc_port), "--p2p-port", str(self.p2p_port)),
                *("--zmq-port", str(self.zmq_port), "--no-transactions", *login, *arguments),
            ],
            directory / f"{name}-{number}.log",
        )

    def ready(self) -> DashProcess:
        """Wait until it listens."""
        self.wait_for_line("simulated Dash Core")
        return self

    @property
    def url(self) -> str:
        """For --dashd."""
        options = f"p2p={self.p2p_port}&zmq=tcp://127.0.0.1:{self.zmq_port}"
        if self.cookie:
            return f"http://127.0.0.1:{self.rpc_port}/?cookie={self.data / '.cookie'}&{options}"
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.rpc_port}/?{options}"

    @property
    def peer(self) -> str:
        """For --connect of another."""
        return f"127.0.0.1:{self.p2p_port}"

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of a call."""
        login = (USER, PASSWORD)
        if self.cookie:
            user, _, password = (self.data / ".cookie").read_text().partition(":")
            login = (user, password)
        return rpc_call(self.rpc_port, login, method, *params)

    def in_chain(self, block_hash: str) -> bool:
        """Whether its best chain has a block."""
        try:
            return int(self.rpc("getblockheader", block_hash)["confirmations"]) > 0
        except RuntimeError:
            return False

    def wait_for_tip(self, block_hash: str) -> None:
        """Until that block is the newest one."""
        wait_for(f"tip {block_hash}", lambda: self.rpc("getbestblockhash") == block_hash)

    def freeze(self) -> None:
        """Stop it as it is: connections stand, nothing is answered."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)


class PoolNode(NodeProcess):
    """A node on daemons of its own, without miners. `program` may be another one than run_p2pool.py."""

    def __init__(
        self,
        directory: Path,
        daemons: Sequence[DashProcess],
        *arguments: str,
        program: Sequence[str] = ("run_p2pool.py",),
        port: int | None = None,
    ) -> None:
        number = len(list(directory.glob("node-*.log")))
        flags = [part for daemon in daemons for part in ("--dashd", daemon.url)]
        super().__init__(
            directory,
            *("-a", SIMNET_ADDRESS, *flags, *arguments),
            log=f"node-{number}.log",
            port=port,
            program=program,
            embedded=False,
        )

    def ready(self) -> PoolNode:
        """Wait until there is work."""
        self.wait_for_line("dashd at")
        return self

    @property
    def serving(self) -> str:
        """The RPC port of the daemon that serves."""
        daemons = self.get("dashd_status")["daemons"]
        (address,) = [daemon["address"] for daemon in daemons if daemon["serving"]]
        return re.findall(r":(\d+)/", address)[0]

    def miner(self) -> Miner:
        """A miner that is logged in and has work."""
        return Miner(self.port).login_as_rig()

    def blocks(self) -> list[dict[str, Any]]:
        """/recent_blocks, newest first."""
        return list(self.get("recent_blocks"))

    def block(self, block_hash: str) -> dict[str, Any]:
        """What it says of one block; empty where it does not know it."""
        return next((block for block in self.blocks() if block["hash"] == block_hash), {})


class Miner(StratumClient):
    """A miner every share of which is a block: the simulated chain is that easy."""

    def login_as_rig(self) -> Miner:
        """Log in and wait for work."""
        self.login(f"{SIMNET_ADDRESS}.rig", password="d=0.000004")
        return self

    def wait_for_job_on(self, block_hash: str) -> MiningJob:
        """The first job on that block."""
        wanted = bytes.fromhex(block_hash)[::-1]
        while self.jobs[-1].previous_block != wanted:
            self.read()
        return self.jobs[-1]
