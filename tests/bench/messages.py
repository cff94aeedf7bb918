"""What one message of a peer can cost: the longest step that it causes, and all steps together.

Between two steps other connections, miners and browsers have their turn. `worst_cases` is for tests too, which
count calls of functions instead of time: see tests/peers/test_message_cost.py.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from p2pool.dash.block import BlockHeader
from p2pool.dash.hashes import sha256d_int
from p2pool.dash.pow import GENESIS_HEADER
from p2pool.peers import messages
from p2pool.peers.errors import Drop
from p2pool.peers.messages import (
    MAX_PAYLOAD,
    AddrMe,
    Addrs,
    BestBlock,
    Envelope,
    ForgetTx,
    GetAddrs,
    HaveTx,
    LosingTx,
    Message,
    PeerAddress,
    PeerPing,
    PeerVersion,
    RawTransaction,
    RememberTx,
    SeenAddress,
    ShareReply,
    ShareReq,
    Shares,
)
from p2pool.peers.session import PeerSession
from p2pool.share.share import Share
from p2pool.wire.codec import pack_varint, pack_varstr
from p2pool.wire.framer import frame
from tests.bench.measure import UNIT, Table
from tests.bench.peers import Station, bench_template, raise_error
from tests.chains import grow_chain

PIECE: Final = 65_536
"""Bytes that the reactor reads at a time."""
HELD: Final = 1000
"""Shares that the node holds."""
ROUNDS: Final = 5
MOST_MS: Final = 50.0


class Case(NamedTuple):
    """A message at its worst, which a peer sends after `before`. `ready` is whether the handshake is done."""

    name: str
    data: bytes
    before: Sequence[Message] = ()
    ready: bool = True
    asked: Share | None = None
    """What this node has asked the peer for: the answer has the id 1."""


class Manual:
    """Takes the place of the hub's turns: steps are made by whoever measures them."""

    def submit(self, client: object) -> None:
        """Do nothing yet."""

    def forget(self, client: object) -> None:
        """Do nothing."""


class Victim:
    """A node with a chain, a full template, and connections: one of them hostile."""

    def __init__(self, held: int = HELD, part: int = 1) -> None:
        self.station = Station(1, 0.0)
        self.shares = grow_chain(self.station.node.tracker, bench_template(1), held, 50)  # type: ignore[arg-type]
        self.station.now = float(self.shares[-1].timestamp)
        self.station.node.loaded()
        self.station.start()
        self.station.hub.turns = Manual()  # type: ignore[assignment]
        rng = random.Random(7)
        self.station.transactions.set_mining(
            (rng.getrandbits(256), rng.randbytes(400)) for _ in range(5000 // part)
        )
        for number in range(10_000 // part):
            address = PeerAddress(f"9.{number // 250}.{number % 250}.1", 9999)
            now = self.station.now
            self.station.hub.addresses.add(address, now, now=now, source=f"8.{number % 97}.0.0/16")
        for number in range(8 // part):
            session = self.connect(f"7.{number}.0.1")
            session.receive(self.framed(introduction(number)), 0.0)
            while session.step():
                pass
        self.station.work()

    def connect(self, host: str) -> PeerSession:
        """Return a new connection."""
        return self.station.hub.open(
            host,
            4000,
            incoming=True,
            ours=("198.51.100.1", 9000),
            write=lambda data: None,
            fail=raise_error,
            flow=lambda paused: None,
        )

    def framed(self, *said: Message) -> bytes:
        """Return messages as bytes."""
        prefix = self.station.network.prefix
        return b"".join(frame(prefix, message.command, message.pack()) for message in said)

    def steps(self, case: Case, host: str) -> Iterator[Callable[[], object]]:
        """Yield the steps of a new connection that sends a message; each must be called."""
        session = self.connect(host)
        said = (introduction(int(time.monotonic_ns())), *case.before) if case.ready else ()
        session.receive(self.framed(*said), 0.0)
        while session.step():
            pass
        if case.asked is not None:
            session.request(1, case.asked.hash, parents=499, stops=(), now=0.0, answered=lambda answer: None)
        self.station.work()
        try:
            yield from self._steps(session, case.data)
        finally:
            self.station.hub.close(session, None)

    def _steps(self, session: PeerSession, data: bytes) -> Iterator[Callable[[], object]]:
        for start in range(0, len(data), PIECE):
            more = True

            def step(piece: bytes = data[start : start + PIECE]) -> None:
                nonlocal more
                if piece:
                    session.receive(piece, 0.0)
                more = session.step()

            try:
                yield step
                while more:
                    yield lambda: step(b"")
            except Drop:
                return
            while self.station.soon:
                yield self.station.soon.popleft()


def introduction(nonce: int) -> PeerVersion:
    """Return the first message of a peer."""
    address = PeerAddress("1.1.1.1", 1)
    return PeerVersion(3600, 0, address, address, nonce % 2**64, b"x" * messages.MAX_SUB_VERSION, 1, None)


def small_transactions(first: int, count: int, size: int = 60) -> list[RawTransaction]:
    """Return transactions of so many bytes each, with one output."""
    found = []
    for number in range(first, first + count):
        script = pack_varstr(number.to_bytes(8, "little") + bytes(size - 35))
        data = bytes(4) + b"\x00\x01" + bytes(8) + script + bytes(4)
        found.append(RawTransaction(sha256d_int(data), data))
    return found


def _hashes(count: int) -> tuple[int, ...]:
    rng = random.Random(count)
    return tuple(rng.getrandbits(256) for _ in range(count))


def worst_cases(victim: Victim, part: int = 1) -> Iterator[Case]:
    """Yield each message that is read, at its worst within the limit of a payload, or lists of a `part`th of that
    length. What a share can cost by what is in it is another matter: see "What outsiders can cost" in
    docs/performance.md."""
    yield from _small_messages(victim, part)
    yield from _share_messages(victim, part)
    yield from _transaction_messages(victim, part)
    yield from _no_messages(victim, part)


def _small_messages(victim: Victim, part: int) -> Iterator[Case]:
    framed = victim.framed
    seen = SeenAddress(5, PeerAddress("8.8.8.8", 9999))
    yield Case("version, while the template has 2 MB", framed(introduction(2**63)), ready=False)
    yield Case("ping, 64 KB of them", framed(*[PeerPing()] * (2000 // part)))
    yield Case("addrme, 64 KB of them", framed(*[AddrMe(n) for n in range(1, 1900 // part)]))
    yield Case("addrs, 92,000 addresses", framed(Addrs((seen,) * (92_000 // part))))
    yield Case("getaddrs, 64 KB of them", framed(*[GetAddrs(2**32 - 1)] * (1800 // part)))
    yield Case("bestblock, 64 KB of them", framed(*[BestBlock(_header())] * (570 // part)))


def _share_messages(victim: Victim, part: int) -> Iterator[Case]:
    framed, prefix, shares = victim.framed, victim.station.network.prefix, victim.shares
    newest = [Envelope(share.version.type, share.contents) for share in shares[::-1]]
    many = (newest * (4000 // len(newest) + 1))[: 4000 // part]
    empties = 1_572_000 // part
    empty = b"\x63\x00" * empties
    held = [share.hash for share in shares]
    yield Case("shares, 4,000 that are known", framed(Shares(tuple(many))))
    data = frame(prefix, "shares", pack_varint(empties) + empty)
    yield Case("shares, 1,572,000 empty ones of a newer type", data)
    hashes = _hashes(49_000 // part)
    yield Case("sharereq, 49,000 hashes and as many stops", framed(ShareReq(1, hashes, 1, hashes)))
    yield Case("sharereq, one share and 1,000 parents", framed(ShareReq(1, (held[-1],), 1000, ())))
    yield Case("sharereq, 98,000 times the same share", framed(ShareReq(1, (held[-1],) * (98_000 // part), 0, ())))
    yield Case("sharereply to no request, 4,000 shares", framed(ShareReply(9, 0, tuple(many))))
    asked = newest[: 500 // part]
    payload = b"".join(each.pack() for each in asked) + empty[: empties // 2 * 2]
    count = pack_varint(len(asked) + empties // 2)
    data = frame(prefix, "sharereply", (1).to_bytes(32, "little") + b"\x00" + count + payload)
    yield Case("sharereply, 500 shares and 786,000 empty ones", data, asked=shares[-1])


def _transaction_messages(victim: Victim, part: int) -> Iterator[Case]:
    framed, pool = victim.framed, victim.station.transactions
    hashes, name = _hashes(98_000 // part), "98,000 hashes"
    yield Case(f"have_tx, {name}", framed(HaveTx(hashes)))
    yield Case(f"losing_tx, {name}", framed(LosingTx(hashes)), [HaveTx(hashes)])
    yield Case(f"forget_tx, {name}", framed(ForgetTx(hashes)))
    known = (tuple(pool.known) * (20 * part))[: 98_000 // part]
    yield Case("remember_tx, 98,000 hashes, the same again and again", framed(RememberTx(known, ())))
    many = small_transactions(100_000, 20_000 // part)
    pool.add((each.hash, each.data) for each in many)
    cycle = (tuple(each.hash for each in many) * 5)[: 98_000 // part]
    yield Case("remember_tx, 98,000 hashes of 20,000 that do not all fit", framed(RememberTx(cycle, ())))
    small = tuple(small_transactions(0, 15_600 // part))
    yield Case("remember_tx, 15,600 transactions", framed(RememberTx((), small)))
    yield Case(
        "forget_tx of as many", framed(ForgetTx(tuple(each.hash for each in small))), [RememberTx((), small)]
    )
    outputs = 270_000 // part
    large = bytes(5) + pack_varint(outputs) + (bytes(8) + b"\x00") * outputs + bytes(4)
    yield Case("remember_tx, one transaction of 270,000 outputs", framed(RememberTx((), (_raw(large),))))


def _no_messages(victim: Victim, part: int) -> Iterator[Case]:
    prefix, piece = victim.station.network.prefix, PIECE // part
    yield Case("an unknown command, 3 MB", frame(prefix, "nonsense", bytes((MAX_PAYLOAD - 100) // part)))
    yield Case(
        "64 KB of beginnings of messages that are too long", (prefix + b"x" * 12 + b"\xff" * 8) * (piece // 28)
    )
    yield Case("64 KB of prefixes", prefix * (piece // len(prefix)))
    yield Case("3 MB that are no messages", bytes(MAX_PAYLOAD // part))


def _raw(data: bytes) -> RawTransaction:
    return RawTransaction(sha256d_int(data), data)


def _header() -> BlockHeader:
    """Return a header that has the little work that it claims."""
    for nonce in range(1 << 16):
        header = BlockHeader(1, 0, 0, 0, 0x207FFFFF, nonce)
        if header.hash() < 2**254:
            return header
    raise RuntimeError("no header has work")


def _unit_us() -> float:
    """Return the microseconds of CPU time of one X11: other processes may keep this one waiting."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.thread_time()
        for _ in range(100):
            UNIT.digest(GENESIS_HEADER)
        best = min(best, (time.thread_time() - start) * 1e4)
    return best


def main() -> None:
    """Print the table. RuntimeError if a step takes longer than it may."""
    table = Table("messages of a peer at their worst: the longest step, and all together (CPU time, one core)")
    victim = Victim()
    longest_of_all = 0.0
    for number, case in enumerate(worst_cases(victim)):
        best, best_all = float("inf"), float("inf")
        for again in range(ROUNDS):
            longest = total = 0.0
            for step in victim.steps(case, f"6.{number}.{again}.1"):
                start = time.thread_time()
                try:
                    step()
                except Drop:
                    break
                finally:
                    took = time.thread_time() - start
                    longest, total = max(longest, took), total + took
            best, best_all = min(best, longest), min(best_all, total)
        table.x11_us = min(table.x11_us, _unit_us())
        table.add_time(f"step_{number}", f"{case.name}: longest step", best)
        table.add_time(f"all_{number}", "    all steps", best_all)
        longest_of_all = max(longest_of_all, best * 1e3)
    table.finish()
    if longest_of_all > MOST_MS:
        raise RuntimeError(f"a step took {longest_of_all:.0f} ms")
