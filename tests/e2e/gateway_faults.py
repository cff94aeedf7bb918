"""Random faults of a pool with gateways while blocks come every few seconds, and what they cost. By hand:
`python -m tests.e2e.gateway_faults --rounds 20 [--seed N] [--directory DIR]`, about a quarter of a minute a round.

Each round does one thing at a random moment: SIGKILL of a gateway, of the node, or of Redis (which comes back
empty), SIGSTOP of Redis for ten seconds, FLUSHALL, or the promotion of a replica. At the end the miners stop,
everything is delivered, and all that the gateways logged as found is compared with the node's store and the chain
of Dash Core. Meanwhile a worker submits to all gateways: what they accept of it must be counted once.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.forwarder import Forwarder
from tests.e2e.gateway_pool import Found, GatewayPool
from tests.e2e.gateway_rigs import Rigs, SteadyRigs
from tests.e2e.process import wait_for
from tests.e2e.redis_server import RedisServer

FROZEN = 10.0
"""Seconds for which Redis hangs."""


class Faults:
    """The faults of one pool, each of which is over when its method returns."""

    def __init__(self, pool: GatewayPool, forwarder: Forwarder, rigs: SteadyRigs, rng: random.Random) -> None:
        self._pool = pool
        self._rigs = rigs
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
        """Kill a gateway, and start it again a while later. What it has counted and not reported is lost: the
        rigs are at rest then."""
        number = self._rng.randrange(len(self._pool.gateways))
        with self._rigs.settled() as rigs:
            self._pool.gateways[number].kill()
            rigs.leave(number)
            rigs.absent.add(number)
        self._pause()
        self._pool.restart_gateway(number)
        wait_for("work at the gateway", self._pool.gateways[number].has_work)
        rigs.absent.discard(number)

    def kill_node(self) -> None:
        """Kill the node, and start it again a while later. Its counts begin anew."""
        with self._rigs.settled() as rigs:
            self._pool.node.kill()
            rigs.node_ended()
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


@dataclass(frozen=True)
class Orphans:
    """The shares that gateways found and that are not in the best chain, by the reason."""

    first: list[Found]
    """Found before all others with the same parent, which is in the chain: they should have won."""
    later: list[Found]
    """Another share with the same parent was found before, or is a block, which the rules prefer: while gateways
    cannot hear of each other's shares, all of them build on the same parent, and only one share can follow it."""
    on_orphans: list[Found]
    """Their parent is not in the chain either."""


def orphans(found: list[Found], parents: dict[str, str], chain: set[str]) -> Orphans:
    """Sort the shares that are not in `chain`. `parents` has the parent of each share that the node stored."""
    winners: dict[str, Found] = {}
    for each in sorted(found, key=lambda each: (not each.block, each.time)):
        if each.hash in parents:
            winners.setdefault(parents[each.hash], each)
    result = Orphans([], [], [])
    for each in found:
        parent = parents.get(each.hash)
        if parent is None or each.hash in chain:
            continue
        if parent not in chain:
            result.on_orphans.append(each)
        elif winners[parent] is each:
            result.first.append(each)
        else:
            result.later.append(each)
    return result


def print_table(pool: GatewayPool, rigs: SteadyRigs) -> bool:
    """Deliver everything, end the pool, print what became of all that was found; return whether all is well."""
    submissions = rigs.stop()
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
    parents = {name: f"{item.share.previous_hash or 0:064x}" for name, item in stored.items()}
    beside = orphans(found, parents, {*rows, f"{0:064x}"})
    figures = {
        "blocks found": len(blocks),
        "blocks in the chain": in_chain,
        "blocks beside it (another block of the pool won)": len(blocks) - in_chain - len(unknown_blocks),
        "blocks lost": len(unknown_blocks),
        "shares found (without blocks)": len(shares),
        "shares in the node's store": len(shares) - len(lost),
        "shares in the best chain": len({each.hash for each in shares} & set(rows)),
        "shares lost": len(lost),
        "orphans: another share was found before, or a block": len(beside.later),
        "orphans: their parent is one": len(beside.on_orphans),
        "orphans although found first on the tip": len(beside.first),
        "submissions accepted, each counted once": submissions,
        "shares paid twice": len(rows) - len(set(rows)),
        "coinbases that pay what a sum over the chain says": pool.check_payouts(),
        "logs with a traceback": len(tracebacks),
    }
    for name, value in figures.items():
        print(f"{name:52} {value:6}")
    for each in (*unknown_blocks, *lost):
        print("lost:", each)
    for each in beside.first:
        rivals = [other for other in found if parents.get(other.hash) == parents[each.hash] and other is not each]
        print("first, but an orphan:", each, *(f"\n  rival: {other}" for other in rivals))
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
            gateway_flags=("--min-difficulty", "1e-9"),
        )
        stack.callback(lambda: pool.redis.process and pool.redis.kill())
        wait_for("work at all gateways", lambda: all(gateway.has_work() for gateway in pool.gateways))
        rigs = SteadyRigs(Rigs(pool))
        run_rounds(pool, Faults(pool, forwarder, rigs, rng), rounds=options.rounds, rng=rng)
        return 0 if print_table(pool, rigs) else 1


if __name__ == "__main__":
    sys.exit(main())
