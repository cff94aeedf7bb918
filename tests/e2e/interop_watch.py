"""What the trials with other software compare: two nodes of one share chain over their web ports.

A program of its own: `interop_watch.py watch|agree|shares|relay ...`; exit status 1 is a difference.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from p2pool.networks import DASH_REGTEST
from p2pool.share.parsing import parse_share
from p2pool.share.versions import VERSION_16
from tests.e2e.interop_coinbases import both_coinbases

SETTLED = 2.0
"""Seconds that both hold one best share before payouts are compared: pages are made once a second."""
TOO_MANY_REQUESTS = 429
COMPARED = 50
"""Shares that are compared byte for byte."""
LONGEST_DIFFERENCE = 20.0
"""Seconds for which best shares may differ: a share period is 10 s, and the slower node polls each 15 s."""
PLACES = 1e-7
"""How far the parts that two nodes pay to one address may lie apart: amounts are whole duffs."""


def fetch(port: int, path: str) -> bytes:
    """What a node on the loopback answers; patient where it says that it is asked too often."""
    for _ in range(10):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code != TOO_MANY_REQUESTS:
                raise
        time.sleep(10)
    raise urllib.error.URLError("asked too often")


def get(port: int, path: str) -> Any:
    """A JSON view."""
    return json.loads(fetch(port, path))


def best(port: int) -> str | None:
    """The best share's hash; None where there is none or nobody answers."""
    try:
        found = str(get(port, "web/best_share_hash"))
    except (OSError, ValueError):
        return None
    return found if found.strip("0") else None


Paid = Mapping[str, float]
"""Address or script -> amount."""
Compared = Callable[[], tuple[Paid, Paid]]
"""What ours pays and what theirs."""


def payouts(port: int) -> dict[str, float]:
    """Address -> DASH, without nothings."""
    return {address: amount for address, amount in get(port, "current_payouts").items() if amount}


def same_parts(one: Paid, other: Paid) -> bool:
    """Whether both pay the same parts to the same addresses; the sums differ with the transactions' fees."""
    if one.keys() != other.keys():
        return False
    first, second = sum(one.values()), sum(other.values())
    return all(abs(one[a] / first - other[a] / second) <= PLACES for a in one)


class Watch:
    """Looks at both nodes again and again."""

    def __init__(self, ours: int, theirs: int, paid: Compared | None = None) -> None:
        """`paid` returns what both would pay now (by default: their pages of current payouts)."""
        self.ours, self.theirs = ours, theirs
        self.paid = paid or (lambda: (payouts(ours), payouts(theirs)))
        self.agreed_since: float | None = None
        self.differ_since: float | None = None
        self.longest = 0.0
        self.looks = self.equal = 0
        self.paid_to_the_duff = self.paid_in_parts = 0
        self.problems: list[str] = []

    def look(self) -> str | None:
        """The best share of both; None while they differ."""
        one, other = best(self.ours), best(self.theirs)
        now = time.monotonic()
        self.looks += 1
        if one is None or one != other:
            self._differ(now)
            return None
        self.equal += 1
        if self.differ_since is not None:
            self.longest = max(self.longest, now - self.differ_since)
            self.differ_since = None
        if self.agreed_since is None:
            self.agreed_since = now
        return one

    def compare_payouts(self, share: str) -> None:
        """Once both have held the same share for long enough, and still hold it afterwards."""
        if self.agreed_since is None or time.monotonic() - self.agreed_since < SETTLED:
            return
        one, other = self.paid()
        if best(self.ours) != share or best(self.theirs) != share:
            return
        if one == other:
            self.paid_to_the_duff += 1
        elif same_parts(one, other):
            self.paid_in_parts += 1
        else:
            self.problems.append(f"on {share} ours pays {one}, theirs {other}")

    @property
    def compared(self) -> int:
        """How often payouts were compared."""
        return self.paid_to_the_duff + self.paid_in_parts + len(self.problems)

    def new_share(self) -> None:
        """The time before payouts are compared starts again."""
        self.agreed_since = None

    def _differ(self, now: float) -> None:
        self.agreed_since = None
        if self.differ_since is None:
            self.differ_since = now
        lasted = now - self.differ_since
        self.longest = max(self.longest, lasted)
        if lasted > LONGEST_DIFFERENCE:
            self.problems.append(f"best shares differ for {lasted:.0f} s: {best(self.ours)} {best(self.theirs)}")
            self.differ_since = now

    def report(self) -> str:
        """One line of figures."""
        return (
            f"{self.looks} looks, same best share in {self.equal}, longest difference {self.longest:.1f} s; "
            f"payouts equal to the duff {self.paid_to_the_duff} times, in equal parts {self.paid_in_parts} times"
        )


def paid_in_coinbases(arguments: argparse.Namespace) -> Compared | None:
    """What to compare where the other's stratum port was named: its page of payouts may mean something else."""
    if arguments.stratum is None:
        return None
    return lambda: both_coinbases(arguments.ours, arguments.stratum)


def watch(arguments: argparse.Namespace) -> int:
    """Until the share chain has reached a height and payouts were compared: one look a second."""
    state, before, height = Watch(arguments.ours, arguments.theirs, paid_in_coinbases(arguments)), None, 0
    deadline = time.monotonic() + arguments.patience
    while (height < arguments.height or not state.compared) and time.monotonic() < deadline:
        share = state.look()
        if share is not None and share == before:
            state.compare_payouts(share)
        elif share is not None:
            state.new_share()
            height = get(arguments.ours, f"web/share/{share}")["share_data"]["absheight"]
        before = share
        time.sleep(1)
    print(f"  share height {height}: {state.report()}")
    if height < arguments.height:
        state.problems.append(f"no share height of {arguments.height} within {arguments.patience:g} s")
    if not state.compared:
        state.problems.append("there was no moment to compare payouts in")
    for problem in state.problems:
        print(f"  DIFFERENCE: {problem}")
    return 1 if state.problems else 0


def agree(arguments: argparse.Namespace) -> int:
    """Until both hold the same best share and a verified chain below it (`--news`: one new to both)."""
    start = time.monotonic()
    first = {best(arguments.ours), best(arguments.theirs)} if arguments.news else set()
    while time.monotonic() - start < arguments.patience:
        one, other = best(arguments.ours), best(arguments.theirs)
        if one is not None and one == other and one not in first and verified_below(arguments.ours, one):
            print(f"  both at {one} after {time.monotonic() - start:.1f} s")
            return 0
        time.sleep(0.5)
    print(f"  DIFFERENCE: {best(arguments.ours)} and {best(arguments.theirs)} after {arguments.patience:g} s")
    return 1


def verified_below(port: int, share: str) -> bool:
    """Whether our node holds the share's chain without a hole in the newest 99, all verified."""
    page = get(port, f"web/chain?from={share}&count=99")
    complete = len(page["shares"]) == 99 or page["missing_parent"] is None
    return complete and all(row["verified"] for row in page["shares"])


def new_transactions(packed: bytes) -> int:
    """How many transactions a share is the first to name."""
    length = {0xFD: 3, 0xFE: 5}.get(packed[1], 1)  # of the length before the contents; the type is one byte
    return len(parse_share(VERSION_16, packed[1 + length :], DASH_REGTEST).new_transaction_hashes)


def shares(arguments: argparse.Namespace) -> int:
    """The newest shares, byte for byte, and who names new transactions in how many of his."""
    found: Counter[str] = Counter()
    naming: Counter[str] = Counter()
    different = 0
    for row in get(arguments.ours, f"web/chain?count={COMPARED}")["shares"]:
        time.sleep(0.4)
        packed = fetch(arguments.ours, f"web/share_data/{row['hash']}")
        different += packed != fetch(arguments.theirs, f"web/share_data/{row['hash']}")
        found[row["payout_address"]] += 1
        naming[row["payout_address"]] += new_transactions(packed) > 0
    print(f"  newest shares by address {dict(found)}, with new transactions {dict(naming)}, {different} differ")
    if different or min(naming.values(), default=0) == 0 or len(naming) < arguments.finders:
        print("  DIFFERENCE: shares differ, or one side never named a new transaction")
        return 1
    return 0


class Relay:
    """Stands between two nodes and counts the messages of each direction."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            self._pump(reader, far_writer, "ours to theirs"), self._pump(far_reader, writer, "theirs to ours")
        )

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        try:
            while True:
                head = await reader.readexactly(28)
                payload = await reader.readexactly(int.from_bytes(head[20:24], "little"))
                self._count(way, head[8:20].rstrip(b"\0").decode("ascii", "replace"), payload)
                writer.write(head + payload)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _count(self, way: str, command: str, payload: bytes) -> None:
        self.counts[f"{way}: {command}"] += 1
        if command == "version":
            self.counts[f"{way}: version {int.from_bytes(payload[:4], 'little')}"] += 1
        if command in ("have_tx", "losing_tx", "forget_tx", "remember_tx"):
            self.counts[f"{way}: {command} hashes"] += payload[0]  # exact below 253
        if command == "remember_tx" and payload[0] < 253:
            self.counts[f"{way}: remember_tx in full"] += payload[1 + 32 * payload[0]]


def relay(arguments: argparse.Namespace) -> int:
    """Forward port `ours` to port `theirs`; the counts go to `counts` each second."""
    node = Relay(arguments.theirs)

    async def run() -> None:
        await asyncio.start_server(node.serve, "127.0.0.1", arguments.ours)
        while True:
            await asyncio.sleep(1)
            with open(arguments.counts, "w", encoding="utf-8") as output:
                output.write("".join(f"{name} {count}\n" for name, count in sorted(node.counts.items())))

    asyncio.run(run())
    return 0


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("watch", "agree", "shares", "relay"))
    parser.add_argument("ours", type=int, help="our node's web port")
    parser.add_argument("theirs", type=int, help="the other node's")
    parser.add_argument("--height", type=int, default=0)
    parser.add_argument("--patience", type=float, default=120)
    parser.add_argument("--news", action="store_true", help="agree: on a share that neither began with")
    parser.add_argument("--stratum", type=int, help="watch: compare coinbases with those of this port of theirs")
    parser.add_argument("--finders", type=int, default=2)
    parser.add_argument("--counts", default="relay.counts")
    arguments = parser.parse_args()
    actions = {"watch": watch, "agree": agree, "shares": shares, "relay": relay}
    return actions[arguments.action](arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except urllib.error.URLError as error:
        print(f"  DIFFERENCE: a node does not answer: {error}")
        sys.exit(1)
