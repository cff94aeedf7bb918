"""The share chain at its full length: parsing, checking, choosing the best share, loading, memory."""

from __future__ import annotations

import gc
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from p2pool.dashd.template import BlockTemplate
from p2pool.dashd.template_parsing import parse_template
from p2pool.share.parsing import parse_share
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.pruning import prune
from p2pool.sharechain.store import Batch, PackedShare, ShareDatabase
from p2pool.sharechain.tracker import Tracker
from tests.bench.measure import Table
from tests.bench.mining import TRANSACTIONS, make_node, share_times
from tests.chains import NOW, easy_network, grow_chain
from tests.support import capture

LENGTH = 8640
FORKS = 3
PAYEES = 50
STEPS = 140


def real_template() -> BlockTemplate:
    """A real Dash Core's: masternode payees and a coinbase payload, and here no transactions."""
    answer = capture("60_getblocktemplate_with_masternodes_and_txs_empty_obj")["response"]["result"]
    # Blocks so hard that, as on the main network, the weight limit does not cut the window.
    return parse_template(answer | {"transactions": [], "bits": "1b00ffff"}, easy_network().parent.addresses, NOW)


def chain_contents() -> tuple[list[bytes], list[bytes], list[list[bytes]]]:
    """Packed shares: LENGTH of a chain, STEPS that follow, and FORKS branches of five shares near the top."""
    tracker = Tracker(easy_network())
    shares = grow_chain(tracker, real_template(), LENGTH + STEPS, PAYEES)
    forks = [
        grow_chain(tracker, real_template(), 5, PAYEES, shares[LENGTH - 20 * (number + 1)].hash, number)
        for number in range(FORKS)
    ]
    pack = [share.contents for share in shares]
    return pack[:LENGTH], pack[LENGTH:], [[share.contents for share in fork] for fork in forks]


def chain_contents_of(length: int, following: int) -> tuple[list[bytes], list[bytes]]:
    """Packed shares: so many of a chain of such a length, and some that follow."""
    shares = grow_chain(Tracker(easy_network(length // 2)), real_template(), length + following, PAYEES)
    pack = [share.contents for share in shares]
    return pack[:length], pack[length:]


def thinking(tracker: Tracker) -> Callable[[float], None]:
    """What the node does after a share, but for the work that follows."""

    def think(now: float) -> None:
        thought = tracker.think(now, block_height=lambda block: 0, transaction_size=lambda transaction: None)
        prune(tracker, thought, now)

    return think


def arrivals(tip: list[Share], forks: list[list[Share]]) -> list[Share]:
    """Shares at the tip; before each tenth of them one on a fork, in turns."""
    order = []
    for number, share in enumerate(tip):
        if number % 10 == 0 and (fork := forks[number // 10 % FORKS]):
            order.append(fork.pop(0))
        order.append(share)
    return order


def best_share_times(tracker: Tracker, coming: list[Share], forks: int = FORKS) -> tuple[float, float, float]:
    """(mean, median, worst) seconds, of this thread, of one more share: add, verify, choose, prune."""
    think = thinking(tracker)
    now = float(max(share.timestamp for share in coming))
    gc.collect()
    gc.freeze()  # as the node does once it has loaded
    times = []
    for share in coming:
        start = time.thread_time()
        tracker.add(share, now)
        think(now)
        times.append(time.thread_time() - start)
    gc.unfreeze()
    if len(tracker.forest.heads) < forks + 1:
        raise RuntimeError("the forks are gone")
    return sum(times) / len(times), sorted(times)[len(times) // 2], max(times)


def load(directory: Path, packed: list[bytes], verified: bool, *, chain_length: int = LENGTH // 2) -> float:
    """Processor seconds a share from a closed file to the best share; not `verified`: all are checked again."""
    network = easy_network(chain_length)
    path = directory / f"shares-{verified}.sqlite"
    database = ShareDatabase(path)
    shares = [parse_share(VERSION_16, contents, network) for contents in packed]
    batch = Batch(shares={share.hash: PackedShare.of(share, NOW, own=False) for share in shares})
    if verified:
        batch.verified = {share.hash for share in shares}
    database.write(batch)
    database.close()
    gc.collect()
    start = time.thread_time()
    tracker = Tracker(network)
    database = ShareDatabase(path)
    for stored in database.read(network):
        if isinstance(stored, str):
            raise RuntimeError(stored)
        tracker.add(stored.share, stored.time_seen)
        if stored.verified:
            tracker.trust(stored.share.hash)
    best = tracker.think(
        float(shares[-1].timestamp), block_height=lambda block: 0, transaction_size=lambda transaction: None
    ).best
    took = time.thread_time() - start
    if best != shares[-1].hash or len(tracker.verified) < min(network.chain_length, len(shares)):
        raise RuntimeError("another best share")
    database.close()
    return took / len(shares)


def hold(packed: list[bytes], chain_length: int = LENGTH // 2) -> Tracker:
    """A tracker with these shares."""
    network = easy_network(chain_length)
    tracker = Tracker(network)
    for contents in packed:
        # A copy, because what comes from a socket or a file is new bytes too.
        share = parse_share(VERSION_16, bytes(bytearray(contents)), network)
        tracker.add(share, NOW)
        tracker.trust(share.hash)
    thinking(tracker)(NOW)
    return tracker


def share_size(packed: list[bytes]) -> float:
    """Bytes of memory a share held, its packed bytes and its places in the forests included."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracker = hold(packed)
    gc.collect()
    size = (tracemalloc.get_traced_memory()[0] - before) / len(tracker)
    tracemalloc.stop()
    return size


def main() -> None:
    """Print the table."""
    table = Table(f"share chain of {LENGTH} shares, {PAYEES} payees (one core)")
    node, _ = make_node(PAYEES)
    parse, check = share_times(node)
    table.add_time("parse_x11", f"share: parse and work check, {TRANSACTIONS} transactions", parse, 8)
    table.add_time("check_50_x11", f"share: full check, {PAYEES} payees, {TRANSACTIONS} transactions", check, 25)
    packed, following, forks = chain_contents()
    tracker = hold(packed)
    tip, *branches = [
        [parse_share(VERSION_16, contents, tracker.network) for contents in part] for part in (following, *forks)
    ]
    mean, median, worst = best_share_times(tracker, arrivals(tip, branches))
    table.add_time("best_share_x11", f"best share after one new share, {FORKS} forks: mean", mean, 30)
    table.add_time("best_share_median_x11", "the same, median", median)
    table.add_time("best_share_worst_x11", f"the same, worst of {len(tip)}", worst)
    with tempfile.TemporaryDirectory() as directory:
        loaded = load(Path(directory), packed, verified=True)
        checked = load(Path(directory), packed, verified=False)
    table.add_time("load_x11", "loading, a share, until the best is known", loaded, 30)
    table.add_time("load_unverified_x11", "the same, where nothing is known to be verified", checked)
    table.add("share_bytes", "memory, a share", share_size(packed), "bytes")
    table.finish()
