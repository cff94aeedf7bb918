"""A node, its gateways, a redis-server, a simulated Dash Core and CPU miners, as processes, and what became of all
that the miners found."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from p2pool.dash.address import encode_address
from p2pool.dash.transaction import parse_transaction
from p2pool.networks import SIMNET
from p2pool.sharechain.store import ShareDatabase, StoredShare
from p2pool.sharechain.tracker import Tracker
from tests.e2e.daemons import DashProcess, PoolNode
from tests.e2e.process import Process, free_port, wait_for
from tests.e2e.redis_server import RedisServer
from tests.e2e.test_mining import assert_pays_the_chain

HASH_RATE = 2_500
"""Hashes a second of each miner."""
BLOCK_ATTEMPTS, BLOCK_PERIOD = 20_000, 4
_FOUND = re.compile(
    r"^(\S+ \S+) info .*\bsolution ([0-9a-f]{64}) of (\S+) (?:sent to the node|waits for the broker): (.*)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Found:
    """What a gateway logged of a solution: `time` in Unix seconds."""

    hash: str
    time: float
    worker: str
    block: bool


def address_of(number: int) -> str:
    """Return whom the miner at a gateway works for."""
    return encode_address(SIMNET.parent.addresses.pubkey_hash, bytes([number + 1]) * 20)


class GatewayProcess(Process):
    """`run_p2pool.py gateway` on a directory that outlives it."""

    def __init__(self, directory: Path, broker: str, *arguments: str, port: int | None = None) -> None:
        self.directory = directory
        self.port = port or free_port()
        directory.mkdir(exist_ok=True)
        number = len(list(directory.glob("gateway-*.log")))
        super().__init__(
            [
                *("run_p2pool.py", "gateway", "--net", "simnet", "--datadir", str(directory / "data")),
                *("-w", f"127.0.0.1:{self.port}", "--broker", broker, *arguments),
            ],
            directory / f"gateway-{number}.log",
        )

    def health(self) -> dict[str, Any] | None:
        """Return /healthz; None while there is none."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5)
        except requests.RequestException:
            return None
        return dict(answer.json()) if answer.headers.get("content-type") == "application/json" else None

    def has_work(self) -> bool:
        """Return whether it has fresh work, from a broker that answers."""
        health = self.health()
        return health is not None and health["work"] and health["broker"]

    def has_delivered(self) -> bool:
        """Return whether the node has stored all that was found here."""
        health = self.health()
        return health is not None and health["unsent_solutions"] == 0


class GatewayPool:
    """All processes, each of which a test may end and start again."""

    def __init__(
        self,
        directory: Path,
        stack: ExitStack,
        *,
        gateways: int = 3,
        redis: RedisServer | None = None,
        gateway_dashd: bool = False,
        broker: str | None = None,
        node_flags: Sequence[str] = (),
        gateway_flags: Sequence[str] = (),
    ) -> None:
        """Take `gateway_dashd`, whether gateways have Dash Core's address too, and the broker's URL if it is not
        that of `redis`."""
        self.directory = directory
        self._stack = stack
        self._gateway_dashd = gateway_dashd
        self._node_flags, self._gateway_flags = node_flags, gateway_flags
        self.redis = redis or RedisServer(directory / "redis")
        stack.enter_context(self.redis)
        economy = ("--initial-attempts", str(BLOCK_ATTEMPTS), "--block-period", str(BLOCK_PERIOD))
        self.dash = stack.enter_context(DashProcess(directory, "dash", *economy))
        self.dash.ready().rpc("simnet_findblock", 3)
        self.broker = broker or self.redis.url
        self.node = self.start_node()
        self.gateways = [self.start_gateway(number) for number in range(gateways)]
        self.miners = [self._start_miner(number) for number in range(gateways)]

    def start_node(self, port: int | None = None) -> PoolNode:
        """Start the node; a second one goes on with the data of the first."""
        node = PoolNode(self.directory, [self.dash], "--broker", self.broker, *self._node_flags, port=port)
        return self._stack.enter_context(node)

    def start_gateway(self, number: int, port: int | None = None) -> GatewayProcess:
        """Start a gateway; a second one of the same number goes on with the data of the first."""
        directory = self.directory / f"gateway{number}"
        arguments = ("--dashd", self.dash.url) if self._gateway_dashd else ()
        return self._stack.enter_context(
            GatewayProcess(directory, self.broker, *arguments, *self._gateway_flags, port=port)
        )

    def _start_miner(self, number: int) -> Process:
        """Start a CPU miner at a gateway. It requests the easiest shares, so that they come often."""
        port = self.gateways[number].port
        return self._stack.enter_context(
            Process(
                [
                    *("-m", "p2pool.simnet.miner", "-o", f"stratum+tcp://127.0.0.1:{port}"),
                    *("-u", f"{address_of(number)}/0.0000001", "-p", "d=0.000001"),
                    *("--max-hash-rate", str(HASH_RATE)),
                ],
                self.directory / f"miner{number}.log",
            )
        )

    @contextmanager
    def miners_at_rest(self) -> Iterator[None]:
        """Let the miners find nothing: no job becomes worthless meanwhile."""
        for miner in self.miners:
            miner.process.send_signal(signal.SIGSTOP)
        try:
            wait_for("delivery", lambda: all(gateway.has_delivered() for gateway in self.gateways))
            yield
        finally:
            for miner in self.miners:
                miner.process.send_signal(signal.SIGCONT)

    def restart_gateway(self, number: int) -> None:
        """Start a killed gateway again, where its miner expects it."""
        self.gateways[number] = self.start_gateway(number, self.gateways[number].port)

    def restart_node(self) -> None:
        """Start a killed node again."""
        self.node = self.start_node(self.node.port)

    # --- what is seen ------------------------------------------------------------------------------------

    def found(self) -> list[Found]:
        """Return all that the gateways found so far, oldest first, each once."""
        rows: dict[str, Found] = {}
        for path in self.directory.glob("gateway*/gateway-*.log"):
            for time, solution_hash, worker, what in _FOUND.findall(path.read_text("utf-8", errors="replace")):
                when = datetime.strptime(time, "%Y-%m-%d %H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
                rows.setdefault(solution_hash, Found(solution_hash, when, worker, "BLOCK" in what))
        return sorted(rows.values(), key=lambda found: found.time)

    def wait_until_found(self, more: int) -> None:
        """Wait until that many more solutions are found."""
        before = len(self.found())
        wait_for(f"{more} solutions", lambda: len(self.found()) >= before + more)

    def wait_until_delivered(self) -> None:
        """End the miners, and wait until the node has stored all that they found."""
        for miner in self.miners:
            miner.interrupt()
        wait_for("work", lambda: all(gateway.has_work() for gateway in self.gateways))
        wait_for("delivery", lambda: all(gateway.has_delivered() for gateway in self.gateways))

    def chain(self) -> list[dict[str, Any]]:
        """Return the shares of the node's best chain, newest first."""
        rows: list[dict[str, Any]] = []
        following: str | None = ""
        while following is not None:
            start = f"&from={following}" if following else ""
            page = self.node.get(f"web/chain?count=200{start}")
            rows += page["shares"]
            following = page["next"]
        return rows

    def block_known(self, block_hash: str) -> bool:
        """Return whether Dash Core has a block, in its chain or beside it."""
        try:
            self.dash.rpc("getblockheader", block_hash)
        except RuntimeError:
            return False
        return True

    def stored(self) -> dict[str, StoredShare]:
        """Return the shares on disk by their hash, once the node has ended; none is corrupt."""
        database = ShareDatabase(self.directory / "data" / "simnet" / "shares.sqlite")
        try:
            items = list(database.read(SIMNET))
        finally:
            database.close()
        shares = [item for item in items if isinstance(item, StoredShare)]
        assert len(shares) == len(items), [item for item in items if not isinstance(item, StoredShare)]
        return {f"{item.share.hash:064x}": item for item in shares}

    def logs(self) -> Iterator[tuple[str, str]]:
        """Yield (name, text) of the log of each node and gateway."""
        for pattern in ("node-*.log", "gateway*/gateway-*.log"):
            for path in self.directory.glob(pattern):
                yield path.name, path.read_text("utf-8", errors="replace")

    # --- what must hold ----------------------------------------------------------------------------------

    def check_payouts(self) -> int:
        """Check every share on disk, and the coinbase of every block that was made from one, against a sum over
        the chain that is done here. Return how many blocks there were. The node must have ended."""
        tracker = Tracker(SIMNET)
        stored = self.stored()
        for item in stored.values():
            tracker.add(item.share, item.time_seen)
        blocks = 0
        for name, item in stored.items():
            gentx = parse_transaction(tracker.check(item.share).gentx)
            assert_pays_the_chain(tracker, item.share, gentx)
            if item.share.is_block and self.block_known(name):
                coinbase = self.dash.rpc("getblock", name, 2)["tx"][0]
                assert coinbase["txid"] == f"{gentx.hash:064x}"
                blocks += 1
        return blocks

    def check_end(self) -> None:
        """Deliver everything and end all processes: nothing is lost, all payouts are right, no log has a
        traceback."""
        self.wait_until_delivered()
        found = self.found()
        wait_for("blocks", lambda: all(self.block_known(each.hash) for each in found if each.block))
        chain = {row["hash"] for row in self.chain()}
        for process in (*self.gateways, self.node):
            assert process.interrupt() < 10
        stored = self.stored()
        assert [each for each in found if not each.block and each.hash not in stored] == []
        assert chain <= stored.keys()
        assert self.check_payouts() > 0
        assert [name for name, text in self.logs() if "Traceback" in text] == []
