"""The conversation of two processes, word by word, without sockets."""

from __future__ import annotations

import os
import threading

import pytest

from p2pool.app import take_over
from p2pool.app.handover import BASIC_FORM, FORM, HandedOver, HandoverRecord
from p2pool.app.take_over import FormerEnded, HandoverClient, HandoverServer
from p2pool.base.errors import OperatorError, ParseError
from p2pool.networks import DASH_REGTEST
from p2pool.stratum.handover_export import export_miners
from tests.environment import ThreadlessClock
from tests.stratum.miner import NOW, Miner

HELLO = {"form": FORM, "basic": BASIC_FORM, "version": "1"}


class FakeEnd:
    """The other process: says what it was given, one after another; an exception among it is raised."""

    def __init__(self, *words, user: int | None = None, process: int = 4711, ends: bool = True) -> None:
        self.peer = (process, os.geteuid() if user is None else user)
        self.sent: list = []
        self.closed = False
        self._words = list(words)
        self._ends = ends

    def set_deadline(self, seconds: float) -> None: ...

    def send(self, message) -> None:
        self.sent.append(message)

    send_bytes = send

    def send_sockets(self, sockets) -> None:
        self.sent.append(tuple(sockets))

    def receive(self):
        word = self._words.pop(0) if self._words else ConnectionResetError("gone")
        if isinstance(word, Exception):
            raise word
        return word

    receive_bytes = receive

    def receive_sockets(self, count: int) -> list:
        return [object()] * count

    def wait_for_end(self) -> bool:
        return self._ends

    def wait_for_exit(self, seconds: float) -> bool:
        self.sent.append("waited for the exit")
        return True

    def close(self) -> None:
        self.closed = True


def handed() -> HandedOver:
    miner = Miner()
    miner.login()
    return HandedOver(HandoverRecord(NOW, (), (), export_miners(miner.context, [], NOW)), ())


class OldProgram:
    """Remembers what it was asked to do."""

    def __init__(self, answer: HandedOver | None) -> None:
        self.answer = answer
        self.calls: list = []

    def hand_over(self, whole: bool, answer) -> None:
        self.calls.append(("hand over", whole))
        answer(self.answer)

    def leave(self, process: int) -> None:
        self.calls.append(("leave", process))

    def recover(self, given: HandedOver) -> None:
        assert given is self.answer
        self.calls.append("recover")


def serve(end: FakeEnd, tmp_path, *, running: bool = True) -> tuple[bool, list]:
    program = OldProgram(handed() if running else None)
    done = HandoverServer(ThreadlessClock(), tmp_path, program).serve_one(end)
    return done, program.calls


def test_the_new_process_serves(tmp_path):
    end = FakeEnd(HELLO, {"ready": True}, {"serving": True})
    assert serve(end, tmp_path) == (True, [("hand over", True), ("leave", 4711)])
    assert end.sent[0] == {"sockets": 0, "whole": True}
    assert end.sent[-1] == {"go": True}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ({"ready": False},),
        ([],),
        (ParseError("no"),),
        (TimeoutError("slow"),),
        ({"ready": True},),
        ({"ready": True}, {"serving": False}),
        (RuntimeError("a bug"),),
    ],
)
def test_whatever_else_happens_the_old_process_recovers(tmp_path, words):
    end = FakeEnd(HELLO, *words)
    assert serve(end, tmp_path) == (False, [("hand over", True), "recover"])
    assert end.sent[-1] == {"stop": True}


def test_a_process_that_does_not_end_is_killed(tmp_path, monkeypatch):
    killed: list = []
    monkeypatch.setattr(take_over.os, "kill", lambda *arguments: killed.append(arguments))
    serve(FakeEnd(HELLO, ends=False), tmp_path)
    assert killed == [(4711, take_over.signal.SIGKILL)]


def test_a_process_that_cannot_be_seen_is_rejected(tmp_path):
    """Signals to process 0 reach this process itself."""
    end = FakeEnd(HELLO, process=0)
    assert serve(end, tmp_path) == (False, [])
    assert end.sent == []


def test_another_version_gets_the_sessions_only(tmp_path):
    end = FakeEnd({**HELLO, "form": "other"}, {"ready": True}, {"serving": True})
    assert serve(end, tmp_path) == (True, [("hand over", False), ("leave", 4711)])
    assert end.sent[0] == {"sockets": 0, "whole": False}


@pytest.mark.parametrize("hello", [{}, [], None, {"form": "x", "basic": "y"}])
def test_who_reads_nothing_of_it_is_refused(tmp_path, hello):
    end = FakeEnd(hello)
    assert serve(end, tmp_path) == (False, [])
    assert "refused" in end.sent[0]


def test_another_user_is_not_answered(tmp_path):
    end = FakeEnd(HELLO, user=os.geteuid() + 1)
    assert serve(end, tmp_path) == (False, [])
    assert end.sent == []


def test_a_process_that_is_stopping_refuses(tmp_path):
    end = FakeEnd(HELLO)
    assert serve(end, tmp_path, running=False) == (False, [("hand over", True)])
    assert "refused" in end.sent[0]


# --- the new process ------------------------------------------------------------------------------------------


def client(*words) -> tuple[HandoverClient, FakeEnd]:
    end = FakeEnd(*words)
    return HandoverClient(end, DASH_REGTEST), end


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_handed_over_is_taken(whole):
    given = handed()
    taker, end = client({"sockets": 0, "whole": whole}, given.document(whole=whole))
    taken = taker.take()
    assert end.sent[0]["form"] == FORM
    assert taken.record.paused == NOW
    if whole:
        assert taken == given


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (({"refused": "busy"},), "refused: busy"),
        (([],), "refused"),
        (({"sockets": 0, "whole": True}, b"[]"), "fields"),
        (({"sockets": 2, "whole": True}, b"{}"), "list"),
        ((TimeoutError("too long"),), "too long"),
    ],
)
def test_what_cannot_be_taken_is_an_error(words, said, monkeypatch):
    monkeypatch.setattr(take_over, "close_all", lambda sockets: None)
    with pytest.raises(OperatorError, match=said):
        client(*words)[0].take()


def test_an_old_process_that_is_gone_hands_nothing_over(monkeypatch):
    monkeypatch.setattr(take_over, "close_all", lambda sockets: None)
    for words in ((), ({"sockets": 0, "whole": True},)):
        taker, end = client(*words)
        with pytest.raises(FormerEnded):
            taker.take()
        assert end.sent[-1] == "waited for the exit"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), FileNotFoundError(), OSError()])
def test_a_socket_of_another_user_is_not_taken_for_none(tmp_path, monkeypatch, error):
    def fails(*_) -> None:
        raise error

    monkeypatch.setattr(take_over, "connect", fails)
    if isinstance(error, PermissionError):
        with pytest.raises(OperatorError, match="as the user of the process"):
            HandoverClient.find(tmp_path, DASH_REGTEST)
    else:
        assert HandoverClient.find(tmp_path, DASH_REGTEST) is None


@pytest.mark.parametrize(("last", "serves"), [(ConnectionResetError(), True), ({"stop": True}, False)])
def test_what_a_process_said_before_its_end_counts(monkeypatch, last, serves):
    taker, end = client(last)

    def gone(message) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(end, "send", gone)
    if serves:
        taker.confirm()
    else:
        with pytest.raises(OperatorError):
            taker.confirm()


def test_it_serves_when_the_old_process_lets_go():
    taker, end = client({"go": True})
    taker.confirm()
    assert end.sent == [{"ready": True}, {"serving": True}]
    assert end.closed


def test_it_serves_when_the_old_process_is_gone_without_a_word():
    taker, end = client(ConnectionResetError("gone"))
    taker.confirm()
    assert end.sent[0] == {"ready": True}


@pytest.mark.parametrize("word", [{"stop": True}, [], TimeoutError("slow"), ParseError("no")])
def test_it_gives_up_when_it_was_too_late(word):
    taker, end = client(word)
    with pytest.raises(OperatorError):
        taker.confirm()
    assert {"serving": True} not in end.sent


def test_without_a_process_there_is_nothing_to_take_over(tmp_path):
    assert HandoverClient.find(tmp_path, DASH_REGTEST) is None


def test_a_directory_that_does_not_take_a_socket_costs_a_warning(tmp_path):
    before = threading.active_count()
    HandoverServer(ThreadlessClock(), tmp_path / "none", OldProgram(None)).start()
    assert threading.active_count() == before
