"""Machines and programs as they speak: their bytes in, our bytes out."""

from __future__ import annotations

import json
import re

import pytest

from p2pool.dash.pow import x11
from p2pool.dash.target import difficulty_to_target
from p2pool.stratum.operator import Operator
from p2pool.stratum.protocol import StratumProtocol
from tests.logged import logged
from tests.stratum.miner import ADDRESS, EASY, Miner
from tests.stratum.wire import StratumHarness, Transport

DIFFICULTY = b'{"id":null,"method":"mining.set_difficulty","params":[9.5367431640625e-7]}\n'
WORK_LINES = {"mining.set_difficulty", "mining.notify"}


class Rig:
    """A rig on the wire: raw bytes to the server, whole lines back."""

    def __init__(self, harness: StratumHarness, host: str = "10.0.0.1") -> None:
        self.context = harness
        self.protocol: StratumProtocol
        self.wire: Transport
        self.protocol, self.wire = harness.connect(host)
        self.extranonce1 = b""
        self.job: list = []

    def say(self, *requests: bytes) -> list[bytes]:
        for request in requests:
            self.protocol.dataReceived(request + b"\n")
        return self.lines()

    def lines(self) -> list[bytes]:
        data = self.wire.value()
        self.wire.clear()
        assert data == b"" or data.endswith(b"\n")
        for text in data.splitlines():
            message = json.loads(text)
            if message.get("method") == "mining.notify":
                self.job = message["params"]
        return data.splitlines(keepends=True)

    def subscribed(self, answer: bytes) -> dict:
        message = json.loads(answer)
        self.extranonce1 = bytes.fromhex(message["result"][1])
        return message

    def nonce(self, extranonce2: str = "00000000", version: str | None = None, target: int = EASY) -> str:
        """A nonce that solves the newest job."""
        tool = object.__new__(Miner)
        tool.extranonce1 = self.extranonce1
        for nonce in range(1_000_000):
            header = tool.header(self.job, bytes.fromhex(extranonce2), self.job[7], nonce, version)
            if x11(header) <= target:
                return f"{nonce:08x}"
        raise RuntimeError("nothing found")


def methods(lines: list[bytes]) -> list[str | None]:
    return [json.loads(text).get("method") for text in lines]


def submission(number: int, *params: str) -> bytes:
    return json.dumps({"params": params, "id": number, "method": "mining.submit"}).encode()


def accepted(number: int) -> list[bytes]:
    return [b'{"id":%d,"result":true,"error":null}\n' % number]


def test_cpuminer_takes_any_line_for_the_answer_to_authorize():
    harness = StratumHarness()
    operator = Operator(harness.server, harness.now)
    harness.server.start()
    cpu = Rig(harness)
    (answer,) = cpu.say(b'{"id": 1, "method": "mining.subscribe", "params": ["cpuminer-multi/1.3.7"]}')
    session_id = cpu.subscribed(answer)["result"][0][0][1]
    assert answer == (
        b'{"id":1,"result":[[["mining.set_difficulty","%s"],["mining.notify","%s"]],"%s",4],"error":null}\n'
        % (session_id.encode(), session_id.encode(), cpu.extranonce1.hex().encode())
    )
    # whatever happens meanwhile, the next line is the answer
    operator.show_message("maintenance at noon")
    operator.reconnect(host="example.org", port=7903)
    harness.server.work_changed(0xBEEF, clean=True)
    harness.reactor.pump([1] * 28)
    assert cpu.lines() == []
    answer, difficulty, notify, question = cpu.say(
        b'{"id": 2, "method": "mining.authorize", "params": ["%s", "x"]}' % ADDRESS.encode()
    )
    assert answer == b'{"id":2,"result":true,"error":null}\n'
    assert difficulty == DIFFICULTY
    assert notify.startswith(b'{"id":null,"method":"mining.notify","params":["')
    assert notify.endswith(b",true]}\n")
    assert question == b'{"id":1,"method":"client.get_version","params":[]}\n'
    # its answer, an extension that it tries, and a share, as it writes them
    lines = cpu.say(
        b'{"id": 1, "result": "cpuminer-multi/1.3.7-x86_64", "error": null}',
        b'{"id": 3, "method": "mining.extranonce.subscribe", "params": []}',
    )
    assert lines == accepted(3)
    assert harness.stats.of("record_software")[-1] == (
        ADDRESS,
        "cpuminer-multi/1.3.7; cpuminer-multi/1.3.7-x86_64",
    )
    assert cpu.say(submission(4, ADDRESS, cpu.job[0], "00000000", cpu.job[7], cpu.nonce())) == accepted(4)
    harness.server.stop()


def test_cpuminer_is_told_plainly_why_it_may_not_mine():
    cpu = Rig(StratumHarness())
    cpu.say(b'{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}')
    (answer,) = cpu.say(b'{"id": 2, "method": "mining.authorize", "params": ["worker1", "x"]}')
    assert re.fullmatch(rb'\{"id":2,"result":false,"error":\[24,"[^"]+",null\]\}\n', answer)


GODMINER = (
    b'{"id":1,"method":"mining.subscribe","params":["GodMiner/2.0.1", null]}',
    b'{"id":2,"method":"mining.authorize","params":["%s.d9","123"]}' % ADDRESS.encode(),
)


def test_an_antminer_d9_is_never_left_in_silence():
    """It drops the pool after 60 s; whoever else comes and goes, it hears something every 30 s."""
    harness = StratumHarness()
    harness.server.start()
    crowd = [Rig(harness, f"10.1.{n // 250}.{n % 250}") for n in range(600)]
    d9 = Rig(harness)
    answer, *rest = d9.say(*GODMINER)
    d9.subscribed(answer)
    assert methods(rest) == [None, "mining.set_difficulty", "mining.notify", "client.get_version"]
    job, silence, longest = d9.job, 0, 0
    for second in range(400):
        if second == 12:
            for rig in crowd:
                rig.protocol.connectionLost()
        if second % 40 == 5:
            Rig(harness, "10.2.0.1").say(*GODMINER)
        harness.reactor.advance(1)
        lines = d9.lines()
        assert set(methods(lines)) <= {"mining.notify"}
        silence = 0 if lines else silence + 1
        longest = max(longest, silence)
        if lines:
            assert d9.job[:8] == job[:8]  # the same job again, and nothing that it works on is worthless
            assert d9.job[8] is False
    assert 20 < longest <= 30
    assert not d9.wire.disconnecting
    nonce = d9.nonce("0a0b0c0d")
    assert d9.say(submission(7, ADDRESS + ".d9", d9.job[0], "0a0b0c0d", d9.job[7], nonce)) == accepted(7)
    harness.server.stop()


def test_an_antminer_gets_whole_powers_of_two_and_short_job_ids():
    harness = StratumHarness()
    d9 = Rig(harness)
    d9.say(*GODMINER)
    vardiff = d9.protocol.session.vardiff
    vardiff.set(3.0)
    vardiff.accepted(3.0, harness.now())
    for _ in range(2000):
        harness.reactor.advance(0.05)
        vardiff.accepted(vardiff.difficulty, harness.now())
        if vardiff.adjust(harness.now()):
            harness.server.work_changed(harness.work.template.previous_block, clean=False)
            harness.reactor.advance(0.2)
            difficulty, notify = (json.loads(text) for text in d9.lines())
            (value,) = difficulty["params"]
            assert isinstance(value, int)
            assert value & (value - 1) == 0
            assert re.fullmatch(r"[0-9a-f]{1,8}", notify["params"][0])
    assert vardiff.difficulty >= 64


def test_braiins_negotiates_version_rolling_without_a_minimum_of_bits():
    harness = StratumHarness()
    rig = Rig(harness)
    (answer,) = rig.say(
        b'{"id":0,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000"}]}'
    )
    assert answer == (
        b'{"id":0,"result":{"version-rolling.mask":"1fffe000","version-rolling":true},"error":null}\n'
    )
    answer, *rest = rig.say(
        b'{"id":1,"method":"mining.subscribe","params":["bosminer-plus-tuner 0.9","","pool",7903]}',
        b'{"id":2,"method":"mining.authorize","params":["%s.s","x"]}' % ADDRESS.encode(),
    )
    rig.subscribed(answer)
    assert methods(rest) == [None, "mining.set_difficulty", "mining.notify", "client.get_version"]
    version = f"{int(rig.job[5], 16) | 0x0ABCE000:08x}"
    params = (ADDRESS + ".s", rig.job[0], "00000000", rig.job[7], rig.nonce(version=version))
    assert rig.say(submission(3, *params, "0abce000")) == accepted(3)
    (refused,) = rig.say(submission(4, *params[:2], "00000001", *params[3:], "0abce001"))
    assert refused.startswith(b'{"id":4,"result":false,"error":[20,"')
    (again,) = rig.say(submission(5, *params, "0abce000"))
    assert again == b'{"id":5,"result":false,"error":[22,"duplicate share",null]}\n'


def test_a_nicehash_checker_is_satisfied():
    harness = StratumHarness()
    checker = Rig(harness)
    (answer,) = checker.say(b'{"id":1,"method":"mining.subscribe","params":["NiceHash/1.0.0", null]}')
    subscriptions, _, size = checker.subscribed(answer)["result"]
    assert size >= 4
    assert len(checker.extranonce1) + size == 8
    for _, session_id in subscriptions:
        with pytest.raises(ValueError, match="could not convert"):
            float(session_id)
        assert re.fullmatch("[0-9a-f]+", session_id)
    lines = checker.say(b'{"id":2,"method":"mining.authorize","params":["%s","x"]}' % ADDRESS.encode())
    assert lines[0] == b'{"id":2,"result":true,"error":null}\n'
    assert methods(lines[1:3]) == ["mining.set_difficulty", "mining.notify"]  # in the same write
    assert checker.say(b'{"id":3,"method":"mining.extranonce.subscribe","params":[]}') == accepted(3)
    for step in range(3):
        harness.server.work_changed(0xB000 + step, clean=True)
        harness.reactor.advance(1)
    assert "mining.set_extranonce" not in methods(checker.lines())  # it did not change


def test_a_proxy_with_several_workers_on_one_connection():
    harness = StratumHarness()
    proxy = Rig(harness)
    names = [f"{ADDRESS}.rig{n}" for n in range(3)]
    (answer,) = proxy.say(b'{"id":1,"method":"mining.subscribe","params":["xmrig-proxy/6"]}')
    proxy.subscribed(answer)
    for number, name in enumerate(names, 2):
        lines = proxy.say(b'{"id":%d,"method":"mining.authorize","params":["%s",""]}' % (number, name.encode()))
        assert lines[:1] == accepted(number)
        # A job restarts the nonces of common miners: only the first worker is sent one.
        assert methods(lines).count("mining.notify") == (number == 2)
        assert methods(lines).count("client.get_version") == (number == 2)
    (answer,) = proxy.say(
        b'{"id":8,"method":"mining.authorize","params":["yPJr631fij5bHLpjMZgwK5hHCsHurSMhCB.rig9","x"]}'
    )
    assert answer.startswith(b'{"id":8,"result":false,"error":[24,"this connection mines to ' + ADDRESS.encode())
    for number, name in enumerate(names):
        extranonce2 = f"{number:08x}"  # the proxy divides the space among its miners
        params = (name, proxy.job[0], extranonce2, proxy.job[7], proxy.nonce(extranonce2))
        assert proxy.say(submission(10 + number, *params)) == accepted(10 + number)
    assert [name for name, *_ in harness.stats.of("record_accepted")] == names
    proxy.protocol.connectionLost()
    assert sorted(harness.stats.of("record_worker_off")) == [(name,) for name in names]


def test_a_rig_that_authorizes_before_it_subscribes():
    harness = StratumHarness()
    rig = Rig(harness)
    assert rig.say(b'{"id":1,"method":"mining.authorize","params":["%s.a","x"]}' % ADDRESS.encode()) == accepted(1)
    harness.server.work_changed(0xBEEF, clean=True)
    harness.reactor.advance(1)
    assert rig.lines() == []  # without an extranonce1 a job is of no use
    answer, *rest = rig.say(b'{"id":2,"method":"mining.subscribe","params":[]}')
    rig.subscribed(answer)
    assert methods(rest) == ["mining.set_difficulty", "mining.notify", "client.get_version"]
    assert rest[0] == DIFFICULTY
    params = (ADDRESS + ".a", rig.job[0], "00000000", rig.job[7], rig.nonce())
    assert rig.say(submission(3, *params)) == accepted(3)


def test_a_rig_that_sends_everything_at_once_with_crlf_and_ids_of_its_own():
    harness = StratumHarness()
    rig = Rig(harness)
    with logged() as log:
        rig.protocol.dataReceived(
            b'{"id":"a","jsonrpc":"2.0","method":"mining.subscribe","params":["x"]}\r\n'
            b'{"id":null,"method":"mining.authorize","params":["%s","x"]}\r\n'
            b'{"method":"mining.suggest_difficulty","params":["0.5"]}\r\n' % ADDRESS.encode()
        )
        lines = rig.lines()
    assert json.loads(lines[0])["id"] == "a"
    assert methods(lines) == [None, None, None, "mining.set_difficulty", "mining.notify", "client.get_version"]
    assert json.loads(lines[3])["params"] == [0.5]
    assert lines[1] == b'{"id":null,"result":true,"error":null}\n'
    assert log == []


def test_a_rig_that_goes_on_after_a_reconnect():
    harness = StratumHarness()
    rig = Rig(harness)
    (answer,) = rig.say(b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.12.1"]}')
    session_id = rig.subscribed(answer)["result"][0][1][1].encode()
    rig.say(b'{"id":2,"method":"mining.authorize","params":["%s","d=0.25"]}' % ADDRESS.encode())
    first = rig.job
    rig.protocol.session.vardiff.set(0.5)
    rig.protocol.connectionLost()
    harness.reactor.advance(600)
    again = Rig(harness)
    (answer,) = again.say(b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.12.1", "%s"]}' % session_id)
    again.subscribed(answer)
    assert again.extranonce1 == rig.extranonce1
    lines = again.say(b'{"id":2,"method":"mining.authorize","params":["%s","d=0.25"]}' % ADDRESS.encode())
    assert json.loads(lines[1])["params"] == [0.5]
    again.job = first
    nonce = again.nonce(target=difficulty_to_target(2.0**-18))
    (answer,) = again.say(submission(3, ADDRESS, first[0], "00000000", first[7], nonce))
    assert json.loads(answer)["error"][0] == 23  # known, and judged at the difficulty that it was issued with
