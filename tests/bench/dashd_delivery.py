"""`python -m tests.bench.dashd_delivery DIRECTORY SIZE COUNT PAUSE PORTS`: finds blocks, and sends them to the
ports of `dashd_sink`. Prints, as JSON, when each was found (monotonic seconds).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from p2pool.base.environment import real_environment
from p2pool.dashd.block_store import BlockStore
from p2pool.dashd.credentials import Credentials, FixedCredentials
from p2pool.dashd.daemon import Daemon
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.p2p import DashdLink
from p2pool.dashd.rpc import RpcClient
from p2pool.dashd.service import DashdService
from p2pool.dashd.spool import BlockSpool
from p2pool.dashd.submission import BlockSubmitter
from p2pool.networks import DASH_REGTEST

MAGIC = DASH_REGTEST.parent.p2p_magic
REST = 2.0
"""Seconds in which the last block leaves, however busy the machine is."""
reactor: Any = global_reactor


async def find_blocks(
    directory: Path, size: int, count: int, pause: float, ports: dict[str, list[int]]
) -> list[float]:
    """One block after another."""
    environment = real_environment(reactor)
    daemons, links = [], []
    for port in ports["rpc"]:
        rpc = RpcClient(environment, f"http://127.0.0.1:{port}/", FixedCredentials(Credentials("u", "p", "given")))
        service = DashdService(environment, rpc, network=DASH_REGTEST, name="here")
        daemons.append(Daemon("here", rpc, service, clock=time.time))
        await rpc.call("getblockcount")  # a connection that stands, as in real life
    for port in ports["p2p"]:
        links.append(
            DashdLink(
                environment,
                host="127.0.0.1",
                port=port,
                magic=MAGIC,
                sub_version=b"/bench/",
                announced=lambda _: None,
            )
        )
        links[-1].startService()
    while not all(link.up for link in links):
        await deferLater(reactor, 0.01)
    submitter = BlockSubmitter(
        environment,
        daemons=daemons,
        links=links,
        spool=BlockSpool(directory / "blocks", deferToThread),
        store=BlockStore(directory / "blocks.json", deferToThread),
        record_sent=lambda seconds: None,
    )
    times = []
    for number in range(1, count + 1):
        block = FoundBlock(number, number, os.urandom(size), "bench", None, 1)
        times.append(time.monotonic())
        submitter.offer(block)
        await deferLater(reactor, pause)
    await deferLater(reactor, REST)
    return times


def main() -> None:
    """Print the times."""
    directory, size, count, pause, ports = sys.argv[1:]

    async def run() -> None:
        try:
            found = await find_blocks(Path(directory), int(size), int(count), float(pause), json.loads(ports))
            print(json.dumps(found), flush=True)
        finally:
            reactor.stop()

    reactor.callWhenRunning(lambda: ensureDeferred(run()).addErrback(lambda failure: failure.printTraceback()))
    reactor.run()


if __name__ == "__main__":
    main()
