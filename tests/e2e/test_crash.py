"""kill -9 while it mines at full speed: a readable store, with every share that was acknowledged in time."""

from __future__ import annotations

import random
import re
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from p2pool.networks import SIMNET
from p2pool.sharechain.store import ShareDatabase, StoredShare
from tests.e2e.process import NodeProcess

pytestmark = pytest.mark.e2e

KILLS = 50
AT_ONCE = 2
"""Nodes beside each other, each with a data directory of its own."""
WRITTEN_WITHIN = 2.0
_ACCEPTED = re.compile(r"^(\S+ \S+) info .*\bshare ([0-9a-f]{8}) accepted for .*/share#([0-9a-f]{64})$")


def acknowledged(output: str) -> dict[int, float]:
    """Share hash -> when the node said "accepted" (Unix seconds), from complete lines."""
    found = {}
    for line in output.splitlines(keepends=True):
        match = _ACCEPTED.match(line.rstrip("\n")) if line.endswith("\n") else None
        if match:
            said = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S.%fZ").replace(tzinfo=UTC)
            found[int(match[3], 16)] = said.timestamp()
    return found


def read_store(directory: Path) -> set[int]:
    """The hashes of all shares in the store; whatever is wrong with it is an exception."""
    (path,) = directory.glob("data/simnet/shares.sqlite")
    database = ShareDatabase(path)
    items = list(database.read(SIMNET))
    database.close()
    damaged = [item for item in items if not isinstance(item, StoredShare)]
    assert damaged == []
    return {item.share.hash for item in items}


def kill_again_and_again(
    directory: Path, seed: int, kills: int, problems: list[object], counts: list[int]
) -> None:
    """One data directory; every start goes on from what the last kill left."""
    rng = random.Random(seed)
    due: set[int] = set()
    try:
        for number in range(kills):
            # The wish for the easiest shares keeps them coming as fast as the retarget allows.
            with NodeProcess(directory, "--simnet-miners", "1", log=f"{number}.log") as node:
                node.wait_for_line("mining at")
                time.sleep(rng.uniform(0.0, 4.0))
                node.process.send_signal(signal.SIGKILL)
                killed = time.time()
                node.process.wait()
            assert "damaged" not in node.output
            due |= {h for h, said in acknowledged(node.output).items() if killed - said > WRITTEN_WITHIN}
            missing = due - read_store(directory)
            assert not missing, f"kill {number}: lost {[f'{h:064x}' for h in missing]}"
            counts.append(len(due))
    except BaseException as error:
        problems.append(error)


def test_fifty_kills_lose_nothing_that_was_acknowledged_in_time(tmp_path):
    problems: list[object] = []
    counts: list[list[int]] = [[] for _ in range(AT_ONCE)]
    threads = []
    for number in range(AT_ONCE):
        directory = tmp_path / str(number)
        directory.mkdir()
        arguments = (directory, number, KILLS // AT_ONCE, problems, counts[number])
        threads.append(threading.Thread(target=kill_again_and_again, args=arguments))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sum(map(len, counts)) == KILLS
    # Else nothing was tried: each directory must have had shares that were due.
    assert min(part[-1] for part in counts) >= 10
