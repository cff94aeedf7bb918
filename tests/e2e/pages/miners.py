"""`python -m tests.e2e.pages.miners PORT RATE USERNAME...`: a CPU miner of RATE hashes a second for each username,
all in one process, until it is killed."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner, textFileLogObserver

from p2pool.base.environment import real_environment
from p2pool.simnet.miner import CpuMiner


def mine(reactor: Any, port: str, rate: str, *usernames: str) -> Deferred[None]:
    """Starts them; nobody ends them."""
    for number, username in enumerate(usernames):
        CpuMiner(
            real_environment(reactor),
            host="127.0.0.1",
            port=int(port),
            username=username,
            password="d=0.000001",
            max_hash_rate=float(rate),
            name=f"m{number}",
        ).startService()
    return Deferred()


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    task.react(mine, sys.argv[1:])
