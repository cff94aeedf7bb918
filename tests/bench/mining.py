"""The mining path: a submission from bytes to bytes, a job for one more address, a share parsed and checked."""

from __future__ import annotations

import json
import random
import struct

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from p2pool.dash.address import encode_address
from p2pool.jobs.job import Job
from p2pool.node import Node, NodeSettings
from p2pool.pool_stats import PoolStats
from p2pool.share.generation import PayeeFields
from p2pool.share.parsing import parse_share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum.job_registry import IssuedJob
from p2pool.stratum.server import StratumServer
from p2pool.stratum.session_context import SessionSettings
from tests.bench.measure import Table, seconds_of_steps, seconds_per_call
from tests.chains import NOW, easy_network, grow_chain
from tests.environment import PostponingReactor, make_environment
from tests.support import make_template

TRANSACTIONS = 50
SUBMISSIONS = 4200


def make_node(payees: int) -> tuple[Node, PoolStats]:
    """A node at the end of a chain that pays so many addresses, on a template with transactions."""
    rng = random.Random(payees)
    network = easy_network()
    template = make_template(transactions=[rng.randbytes(32) for _ in range(TRANSACTIONS)], bits=0x1B00FFFF)
    tracker = Tracker(network)
    shares = grow_chain(tracker, template, max(2 * payees, 200), payees)
    stats = PoolStats(NOW)
    clock = [float(shares[-1].timestamp + 20)]
    settings = NodeSettings(lambda: b"\x01" * 20, 0.0, 655)
    node = Node(
        make_environment(PostponingReactor(lambda call: call()), clock=lambda: clock[0], chance=random.Random(2)),
        network,
        tracker=tracker,
        settings=settings,
        stats=stats,
    )
    node.loaded()
    node.set_template(template)
    return node, stats


def submit_steps(node: Node, stats: PoolStats) -> list:
    """Calls that each feed one submission, bytes in, and check the answer's bytes out."""
    now = node.context.created
    settings = SessionSettings(network=node.network, start_difficulty=2.0**-40, min_difficulty=2.0**-60)
    server = StratumServer(make_environment(clock=lambda: now), settings=settings, work=node, stats=stats)
    server.work_changed(node.template.previous_block, clean=True)
    protocol = server.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    transport = StringTransport()
    protocol.makeConnection(transport)
    address = encode_address(node.network.parent.addresses.pubkey_hash, b"\x07" * 20)
    protocol.dataReceived(b'{"id":1,"method":"mining.subscribe","params":["bench/1"]}\n')
    # A wish for hard shares (/DIFF), so that what is measured is a pseudoshare, not a share of the chain.
    user = f"{address}.rig+0.000000000001/1000000"
    protocol.dataReceived(
        json.dumps({"id": 2, "method": "mining.authorize", "params": [user, "x"]}).encode() + b"\n"
    )
    messages = [json.loads(line) for line in transport.value().splitlines()]
    notify = next(m["params"] for m in messages if m.get("method") == "mining.notify")
    transport.clear()
    line = '{"id":%d,"method":"mining.submit","params":["%s","%s","%08x","%s","%08x"]}\n'

    def step(number: int) -> object:
        data = (line % (number + 3, user, notify[0], 0, notify[7], number)).encode()

        def run() -> None:
            protocol.dataReceived(data)
            if b"true" not in transport.value():
                raise RuntimeError(transport.value().decode())
            transport.clear()

        return run

    return [step(number) for number in range(SUBMISSIONS)]


def job_time(node: Node) -> float:
    """One more address's job on a tip whose context stands, with the notify line ready to send."""
    context, rng = node.context, random.Random(3)
    keys = [rng.randbytes(20) for _ in range(1000)]
    numbers = iter(range(10**9))

    def build() -> bytes:
        payee = PayeeFields(keys[next(numbers) % 1000], 655, 0, 1)
        return IssuedJob(
            "1",
            Job(context, payee, desired_target=2**256 - 1, share_timestamp=int(NOW), header_timestamp=int(NOW)),
        ).notify(True)

    return seconds_per_call(build)


def share_times(node: Node) -> tuple[float, float]:
    """(parse and work check, full check) of a share with the node's payees and transactions."""
    tracker, network = node.tracker, node.network
    job = node.make_job(b"\x09" * 20, None)
    outcome = next(
        o
        for nonce in range(1 << 20)
        if (
            o := job.check(struct.pack("<Q", nonce), timestamp=job.timestamp, nonce=nonce, version=job.version)
        ).meets_share
    )
    share = outcome.share()
    parse = seconds_per_call(lambda: parse_share(VERSION_16, share.contents, network))
    tracker.add(share, NOW)
    check = seconds_per_call(lambda: tracker.check(share))
    return parse, check


def main() -> None:
    """Print the table."""
    table = Table("mining path (one core, in process)")
    node_50, stats_50 = make_node(50)
    node_500, _ = make_node(500)
    table.add_time(
        "submit_x11", "mining.submit, bytes to bytes", seconds_of_steps(submit_steps(node_50, stats_50)), 4
    )
    table.add_time("job_50_x11", "a job for one more address, 50 payees", job_time(node_50))
    table.add_time("job_500_x11", "a job for one more address, 500 payees", job_time(node_500))
    parse, check = share_times(node_50)
    table.add_time("parse_x11", f"share: parse and work check, {TRANSACTIONS} transactions", parse, 8)
    table.add_time("check_50_x11", f"share: full check, 50 payees, {TRANSACTIONS} transactions", check, 25)
    table.finish()
