"""Dash Core's side: a large template, news of a block until there is work, a found block until it is sent."""

from __future__ import annotations

import json
import random
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import requests

from p2pool.dash.hashes import sha256d
from p2pool.dashd.template_parsing import TransactionCache, decode_ahead, parse_template
from p2pool.node import Node
from tests.bench.measure import Table
from tests.bench.mining import make_node
from tests.bench.stratum_processes import (
    PASSWORD,
    USER,
    BenchNode,
    PipedProcess,
    SimulatedDash,
    cores,
    node_flags,
    pin,
    prepare_shares,
)
from tests.support import capture

TRANSACTIONS, TRANSACTION_SIZE = 8000, 250
"""A template of two megabytes."""
CHANGED = 80
"""Transactions that are new in the next one."""
ROUNDS = 5
BLOCKS, BLOCK_TRANSACTIONS = 150, 50
BLOCK_ATTEMPTS = 2**12
FOUND = 300
"""Blocks that are sent."""
PAYEES, SHARES = 50, 60
PATIENCE = 30.0
AIM_TEMPLATE_MS, AIM_NOTICE_MS, AIM_FOUND_MS = 50.0, 20.0, 5.0


def percentile(values: list[float], part: float) -> float:
    """The value below which this part of the others lies."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


# --- a large template ------------------------------------------------------------------------------------


def make_transactions(count: int, seed: int) -> list[dict[str, Any]]:
    """Entries of a template."""
    rng = random.Random(seed)
    entries = []
    for _ in range(count):
        data = rng.randbytes(TRANSACTION_SIZE)
        entries.append(
            {"data": data.hex(), "hash": sha256d(data)[::-1].hex(), "depends": [], "fee": 9, "sigops": 2}
        )
    return entries


def take(node: Node, body: bytes, known: TransactionCache) -> tuple[float, float]:
    """(the longest time for which the reactor is held, all of the time) from an answer's bytes to new work, in
    milliseconds: as DashdService does it."""
    turns = []
    start = time.perf_counter()
    answer = orjson.loads(body)["result"]
    for _ in decode_ahead(answer, known):
        turns.append(time.perf_counter() - start)
        start = time.perf_counter()
    template = parse_template(answer, node.network.parent.addresses, time.time(), known=known)
    node.set_template(template)
    turns.append(time.perf_counter() - start)
    return max(turns) * 1000, sum(turns) * 1000


def template_times() -> tuple[tuple[float, float], tuple[float, float]]:
    """What `take` gives with all transactions unknown, and with all but CHANGED known: medians of ROUNDS."""
    answer = capture("60_getblocktemplate_with_masternodes_and_txs_empty_obj")["response"]["result"]
    node, _ = make_node(PAYEES)
    unknown, known = [], []
    for number in range(ROUNDS):
        entries, cache = make_transactions(TRANSACTIONS, number), TransactionCache()
        first = {"transactions": entries, "previousblockhash": f"{2 * number + 1:064x}"}
        later = entries[CHANGED:] + make_transactions(CHANGED, number + 1000)
        second = {"transactions": later, "previousblockhash": f"{2 * number + 2:064x}"}
        unknown.append(take(node, orjson.dumps({"result": answer | first}), cache))
        known.append(take(node, orjson.dumps({"result": answer | second}), cache))
    return _medians(unknown), _medians(known)


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


# --- news of a block -------------------------------------------------------------------------------------


class Miner:
    """One connection that notes when a job on another block comes."""

    def __init__(self, port: int, address: str) -> None:
        self.jobs: list[tuple[float, str]] = []
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.sendall(b'{"id":1,"method":"mining.subscribe","params":["bench/1"]}\n')
        login = json.dumps({"id": 2, "method": "mining.authorize", "params": [address, "x"]})
        self._socket.sendall(login.encode() + b"\n")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                now = time.monotonic()
                message = json.loads(line)
                if message.get("method") == "mining.notify":
                    block = message["params"][1]
                    if not self.jobs or self.jobs[-1][1] != block:
                        self.jobs.append((now, block))

    def wait_for_job(self, number: int) -> float:
        """When the job on the so-manieth block came."""
        deadline = time.monotonic() + PATIENCE
        while len(self.jobs) <= number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no job on block {number}")
            time.sleep(0.001)
        return self.jobs[number][0]

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def notice_times(directory: Path) -> tuple[list[float], list[float]]:
    """(milliseconds from a block's joining the chain to the first job on it, those of dashd's own answer)."""
    node_core, other_core = cores()
    shares = prepare_shares(directory / "shares", SHARES, PAYEES)
    with SimulatedDash(directory, BLOCK_ATTEMPTS) as dash:
        pin(dash, other_core)
        dash.wait_until_ready()
        with BenchNode(directory, dash, shares, node_flags(), {}, "node") as node:
            pin(node, node_core)
            node.wait_until_ready()
            miner = Miner(node.port, f"{node.get('payout_addr')}.bench")
            miner.wait_for_job(0)
            times, answers = [], []
            with requests.Session() as session:
                for number in range(1, BLOCKS + 1):
                    dash.ask("simnet_sendtx", BLOCK_TRANSACTIONS)
                    time.sleep(0.05)
                    announced = dash.find_block()
                    times.append(max(0.0, miner.wait_for_job(number) - announced) * 1000)
                    answers.append(_answer_time(session, dash.rpc_port) * 1000)
            miner.close()
    return times, answers


def _answer_time(session: requests.Session, port: int) -> float:
    """Seconds that dashd takes for a template."""
    start = time.monotonic()
    body = {"id": 1, "method": "getblocktemplate", "params": []}
    session.post(
        f"http://127.0.0.1:{port}/", json=body, auth=(USER, PASSWORD), timeout=PATIENCE
    ).raise_for_status()
    return time.monotonic() - start


# --- a found block ---------------------------------------------------------------------------------------


def found_times(directory: Path, size: int, *, count: int, pause: float) -> list[float]:
    """Milliseconds from finding a block of this size until it has begun to arrive on the last of all channels."""
    node_core, other_core = cores()
    with PipedProcess(["-m", "tests.bench.dashd_sink"], directory / f"sink-{size}.log") as sink:
        pin(sink, other_core)
        ports = sink.read_line(PATIENCE)
        arguments = [str(directory / str(size)), str(size), str(count), str(pause), ports]
        with PipedProcess(
            ["-m", "tests.bench.dashd_delivery", *arguments], directory / f"delivery-{size}.log"
        ) as delivery:
            pin(delivery, node_core)
            found = json.loads(delivery.read_line(PATIENCE + 10 * count * pause))
        arrived = [float(sink.read_line(PATIENCE)) for _ in range(count)]
    return [(later - earlier) * 1000 for earlier, later in zip(found, arrived, strict=True)]


def main() -> None:
    """Print the table."""
    table = Table("Dash Core (the simulated one, in a process of its own)")

    def add(key: str, label: str, value: float, aim: float | None = None) -> None:
        note = "" if aim is None else f"(aim <= {aim:g}: {'met' if value <= aim else 'MISSED'})"
        table.add(key, label, value, "ms", note)

    unknown, known = template_times()
    size = f"{TRANSACTIONS * TRANSACTION_SIZE / 1e6:g} MB"
    add("template_2mb_ms", f"unknown template of {size}: longest hold of the reactor", unknown[0], AIM_TEMPLATE_MS)
    add("template_2mb_total_ms", "the same, from bytes to new work", unknown[1])
    add("template_2mb_known_ms", f"with all but {CHANGED} transactions known: from bytes to new work", known[1])
    with tempfile.TemporaryDirectory() as name:
        times, answers = notice_times(Path(name))
        own = statistics.median(answers)
        add("notice_median_ms", "block announced to first job, median", statistics.median(times))
        add("dashd_answer_ms", "dashd's own answer, median", own)
        add(
            "notice_p99_ms",
            "block announced to first job beyond that, p99",
            max(0.0, percentile(times, 0.99) - own),
            AIM_NOTICE_MS,
        )
        small = found_times(Path(name), 50_000, count=FOUND, pause=0.05)
        add(
            "found_median_ms",
            "block of 50 kB found to sent on all delivery channels, median",
            statistics.median(small),
        )
        add("found_p99_ms", "the same, p99", percentile(small, 0.99), AIM_FOUND_MS)
        large = found_times(Path(name), 2_000_000, count=max(1, FOUND // 10), pause=0.5)
        add(
            "found_2mb_median_ms",
            "block of 2 MB found to sent on all delivery channels, median",
            statistics.median(large),
        )
    table.finish()


if __name__ == "__main__":
    main()
