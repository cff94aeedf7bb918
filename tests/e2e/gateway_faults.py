"""Random faults of a pool with gateways while blocks come every few seconds, and what they cost. By hand:
`python -m tests.e2e.gateway_faults --rounds 20 [--seed N] [--directory DIR]`, about a quarter of a minute a round.

Each round does one thing at a random moment: SIGKILL of a gateway, of the node, or of Redis (which comes back
empty), SIGSTOP of Redis for ten seconds, FLUSHALL, or the promotion of a replica. At the end the miners stop,
everything is delivered, and all that the gateways logged as found is compared with the node's store and the chain
of Dash Core.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.forwarder import Forwarder
from tests.e2e.gateway_pool import Found, GatewayPool
from tests.e2e.process import Process, wait_for
from tests.e2e.redis_server import RedisServer

FROZEN = 10.0
"""Seconds for which Redis hangs."""


class Faults:
    """The faults of one pool, each of which is over when its method returns."""

    def __init__(self, pool: GatewayPool, forwarder: Forwarder, rng: random.Random) -> None:
        self._pool = pool
        self._forwarder = forwarder
        self._rng = rng
        self._servers = 1
        self.all: dict[str, Callable[[], None]] = {
            "SIGKILL gateway": self.kill_gateway,
            "SIGKILL node": self.kill_node,
            "SIGKILL redis, back empty": self.kill_redis,
            "SIGSTOP redis 10 s": self.freeze_redis,
            "FLUSHALL": self.flush,
            "replica promoted": self.promote,
        }

    def _pause(self) -> None:
        time.sleep(self._rng.uniform(0.5, 5.0))

    def kill_gateway(self) -> None:
        """Kill a gateway, and start it again a while later."""
        number = self._rng.randrange(len(self._pool.gateways))
        _kill(self._pool.gateways[number])
        self._pause()
        self._pool.restart_gateway(number)

    def kill_node(self) -> None:
        """Kill the node, and start it again a while later."""
        _kill(self._pool.node)
        self._pause()
        self._pool.restart_node()

    def kill_redis(self) -> None:
        """Kill Redis, which keeps nothing on disk, and start it again a while later."""
        self._pool.redis.kill()
        self._pause()
        self._pool.redis.start()

    def freeze_redis(self) -> None:
        """Let Redis hang."""
        self._pool.redis.freeze()
        time.sleep(FROZEN)
        self._pool.redis.thaw()

    def flush(self) -> None:
        """Let Redis forget everything."""
        self._pool.redis.call("FLUSHALL")

    def promote(self) -> None:
        """Kill Redis while a replica follows it, promote the replica, and lead all connections to it."""
        master = self._pool.redis
        self._servers += 1
        replica = RedisServer(master.directory.parent / f"redis{self._servers}", replica_of=master.port).start()
        wait_for("replica", lambda: replica.call("ROLE")[3] == b"connected")  # type: ignore[index]
        self._pause()
        self._forwarder.cut()
        master.kill()
        replica.promote()
        self._pool.redis = replica
        self._forwarder.heal(replica.port)


def _kill(process: Process) -> None:
    process.process.kill()
    process.process.wait()


def run_rounds(pool: GatewayPool, faults: Faults, *, rounds: int, rng: random.Random) -> None:
    """Do the rounds, each kind of fault in turn in a random order; print one line each."""
    due: list[str] = []
    for number in range(1, rounds + 1):
        if not due:
            due = list(faults.all)
            rng.shuffle(due)
        name = due.pop()
        time.sleep(rng.uniform(2.0, 6.0))
        start, before = time.monotonic(), len(pool.found())
        faults.all[name]()
        wait_for("work at all gateways", lambda: all(gateway.has_work() for gateway in pool.gateways))
        seconds, found = time.monotonic() - start, len(pool.found()) - before
        print(f"{number:3} {name:26} fresh work after {seconds:5.1f} s, {found} found meanwhile", flush=True)


def orphans_on_the_tip(pool: GatewayPool, found: list[Found], chain: set[str]) -> list[str]:
    """Return the shares beside the chain that were found before the share of the chain with the same parent."""
    stored = pool.stored()
    times = {each.hash: each.time for each in found}
    in_chain = {stored[name].share.previous_hash: name for name in chain if name in stored}
    lost = []
    for name in times.keys() & stored.keys() - chain:
        rival = in_chain.get(stored[name].share.previous_hash)
        if rival is not None and times[name] < times.get(rival, 0.0):
            lost.append(name)
    return lost


def print_table(pool: GatewayPool) -> bool:
    """Deliver everything, end the pool, print what became of all that was found; return whether all is well."""
    pool.wait_until_delivered()
    found = pool.found()
    blocks = [each for each in found if each.block]
    shares = [each for each in found if not each.block]
    unknown_blocks = [each for each in blocks if not pool.block_known(each.hash)]
    in_chain = sum(pool.dash.in_chain(each.hash) for each in blocks)
    rows = [row["hash"] for row in pool.chain()]
    for process in (*pool.gateways, pool.node):
        process.interrupt()
    stored = pool.stored()
    lost = [each for each in shares if each.hash not in stored]
    tracebacks = [name for name, text in pool.logs() if "Traceback" in text]
    figures = {
        "blocks found": len(blocks),
        "blocks in the chain": in_chain,
        "blocks beside it (another block of the pool won)": len(blocks) - in_chain - len(unknown_blocks),
        "blocks lost": len(unknown_blocks),
        "shares found (without blocks)": len(shares),
        "shares in the node's store": len(shares) - len(lost),
        "shares in the best chain": len({each.hash for each in shares} & set(rows)),
        "shares lost": len(lost),
        "shares orphaned although found first on their tip": len(orphans_on_the_tip(pool, found, set(rows))),
        "shares paid twice": len(rows) - len(set(rows)),
        "coinbases that pay what a sum over the chain says": pool.check_payouts(),
        "logs with a traceback": len(tracebacks),
    }
    for name, value in figures.items():
        print(f"{name:52} {value:6}")
    for each in (*unknown_blocks, *lost):
        print("lost:", each)
    return not (unknown_blocks or lost or tracebacks or len(rows) != len(set(rows)))


def main() -> int:
    """Run the rounds; return 0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1000))
    parser.add_argument("--directory", type=Path, help="an empty directory for logs and data")
    parser.add_argument("--gateway-dashd", action="store_true", help="gateways submit blocks themselves, too")
    options = parser.parse_args()
    directory = options.directory or Path(tempfile.mkdtemp(prefix="p2pool-faults-"))
    print(f"seed {options.seed}, logs and data in {directory}", flush=True)
    rng = random.Random(options.seed)
    with ExitStack() as stack:
        redis = RedisServer(directory / "redis1")
        forwarder = stack.enter_context(Forwarder(redis.port))
        pool = GatewayPool(
            directory,
            stack,
            redis=redis,
            broker=f"redis://127.0.0.1:{forwarder.port}",
            gateway_dashd=options.gateway_dashd,
        )
        stack.callback(lambda: pool.redis.process and pool.redis.kill())
        wait_for("work at all gateways", lambda: all(gateway.has_work() for gateway in pool.gateways))
        run_rounds(pool, Faults(pool, forwarder, rng), rounds=options.rounds, rng=rng)
        return 0 if print_table(pool) else 1


if __name__ == "__main__":
    sys.exit(main())
