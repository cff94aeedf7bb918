"""A stratum session without sockets: work that tests control, counters that remember calls, and a miner."""

from __future__ import annotations

import json
import random
from typing import Any

from p2pool.dash.hashes import sha256d
from p2pool.dash.merkle import walk_branch
from p2pool.dash.pow import x11
from p2pool.dash.target import difficulty_to_target
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import DASH_REGTEST
from p2pool.share.generation import PayeeFields
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum.dispatch import Dispatcher
from p2pool.stratum.guard import Guard, GuardSettings
from p2pool.stratum.session import Session
from p2pool.stratum.session_context import SessionContext, SessionSettings
from p2pool.stratum.session_table import SessionTable
from tests.support import make_template

NOW = 1_700_000_000.0
TIMEOUT = 3600.0
ADDRESS = "yWYgxGLCVD2uLjQP9awGC8Y1TySKxg47yU"
OTHER_ADDRESS = "yPJr631fij5bHLpjMZgwK5hHCsHurSMhCB"


DISPATCHER = Dispatcher()


class FakeWork:
    """A WorkPort over real jobs; remembers what was solved."""

    def __init__(self) -> None:
        self.template = make_template(bits=0x1D00FFFF)
        self.share_target = 0
        self.solved_outcomes: list = []
        self.current = True
        self.made = 0

    def make_job(self, key_hash: bytes, share_difficulty: float | None) -> Job | None:
        if self.template is None:
            return None
        self.made += 1
        context = build_work_context(
            Tracker(DASH_REGTEST), None, template=self.template, network=DASH_REGTEST, now=NOW
        )
        job = Job(
            context,
            PayeeFields(key_hash, 655, 0, self.made),
            desired_target=2**256 - 1,
            share_timestamp=int(NOW),
            header_timestamp=int(NOW),
        )
        job.share_target = self.share_target
        return job

    def is_current(self, job: Job) -> bool:
        return self.current

    def solved(self, outcome, worker: str) -> None:
        self.solved_outcomes.append((outcome, worker))


class FakeStats:
    """Counts calls."""

    def __init__(self) -> None:
        self.calls: list = []

    def __getattr__(self, name: str):
        if not name.startswith("record_"):
            raise AttributeError(name)
        return lambda *arguments, **named: self.calls.append((name, *arguments, *named.values()))

    def of(self, name: str) -> list:
        return [call[1:] for call in self.calls if call[0] == name]


class Miner:
    """The other end: sends requests, keeps what came."""

    def __init__(
        self,
        start_difficulty: float = 2.0**-20,
        work: FakeWork | None = None,
        context: SessionContext | None = None,
        **settings_,
    ) -> None:
        if context is None:
            settings_ = {"min_difficulty": 2.0**-30, **settings_}
            options = SessionSettings(network=DASH_REGTEST, start_difficulty=start_difficulty, **settings_)
            stats = FakeStats()
            context = SessionContext(
                options,
                work=work or FakeWork(),
                stats=stats,
                guard=Guard(GuardSettings(), stats),
                sessions=SessionTable(TIMEOUT, random.Random(1)),
            )
            context.registry.work_changed(0xABCD, True, NOW)
        self.context = context
        self.work: Any = context.work
        self.stats: Any = context.stats
        self.registry = context.registry
        self.now = NOW
        self.reputation = context.guard.connected("10.0.0.1", NOW)
        self.session = Session(context, self.reputation, NOW)
        self.session.state.extranonce1 = self.extranonce1 = b"\x01\x02\x03\x04"
        self.request_id = 0

    def raw(self, line: bytes) -> list[dict]:
        DISPATCHER.receive_line(self.session, line, self.now)
        self.session.finish_input(self.now)
        return self.out()

    def out(self) -> list[dict]:
        return [json.loads(line) for line in self.session.take_output().splitlines()]

    def call(self, method: str, *params) -> list[dict]:
        """[answer, what came after it]."""
        self.request_id += 1
        return self.raw(json.dumps({"id": self.request_id, "method": method, "params": list(params)}).encode())

    def login(self, username: str = ADDRESS, password: str = "x") -> list:
        """Subscribe and authorize; the params of the first notify."""
        self.call("mining.subscribe", "test/1")
        answer, *rest = self.call("mining.authorize", username, password)
        assert answer["result"] is True
        methods = [m["method"] for m in rest]
        assert methods == ["mining.set_difficulty", "mining.notify", "client.get_version"]
        return rest[1]["params"]

    def header(
        self, notify: list, extranonce2: bytes, ntime: str, nonce: int, version: str | None = None
    ) -> bytes:
        coinbase = bytes.fromhex(notify[2]) + self.extranonce1 + extranonce2 + bytes.fromhex(notify[3])
        root = walk_branch(sha256d(coinbase), [bytes.fromhex(b) for b in notify[4]])
        prev = b"".join(bytes.fromhex(notify[1])[i : i + 4][::-1] for i in range(0, 32, 4))
        parts = [bytes.fromhex(version or notify[5])[::-1], prev, root, bytes.fromhex(ntime)[::-1]]
        return b"".join([*parts, bytes.fromhex(notify[6])[::-1], nonce.to_bytes(4, "little")])

    def find(self, notify: list, target: int, above: int = -1, start: int = 0) -> str:
        """A nonce whose hash lies in (above, target]."""
        for nonce in range(start, start + 3_000_000):
            if above < x11(self.header(notify, bytes(4), notify[7], nonce)) <= target:
                return f"{nonce:08x}"
        raise RuntimeError("nothing found")

    def submit(self, notify: list, nonce: str, worker: str = ADDRESS, *more, **changes) -> list[dict]:
        fields = {"job": notify[0], "extranonce2": "00000000", "ntime": notify[7]} | changes
        return self.call(
            "mining.submit", worker, fields["job"], fields["extranonce2"], fields["ntime"], nonce, *more
        )


EASY = difficulty_to_target(2.0**-20)


def code(answer: list[dict]) -> int:
    """The error code of an answer that must be a refusal."""
    assert answer[0]["result"] is False
    number, text, extra = answer[0]["error"]
    assert isinstance(text, str)
    assert extra is None
    return number
