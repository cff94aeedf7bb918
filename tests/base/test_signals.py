"""Signals: which end a program, and what the others do. Dispositions are put back after each test."""

from __future__ import annotations

import signal
import threading

import pytest
from twisted.logger import globalLogPublisher

from p2pool.base import signals
from p2pool.base.signals import (
    REOPENING,
    STOPPING,
    SignalWatch,
    describe_threads,
    harmless_signals,
    signal_name,
    stop_at_hangup,
    survive_signals,
)

HANDLED = [signal.SIGTTOU, *STOPPING, *REOPENING, *harmless_signals()]


class Reactor:
    """Keeps what it was to call."""

    running = True

    def __init__(self):
        self.calls = []
        self.stopped = 0

    def callFromThread(self, function, *arguments):
        self.calls.append((function, arguments))

    def turn(self):
        """One turn of the reactor."""
        calls, self.calls = self.calls, []
        for function, arguments in calls:
            function(*arguments)

    def stop(self):
        self.stopped += 1
        self.running = False


@pytest.fixture
def reactor():
    """All dispositions are the system's, and those of the test run afterwards."""
    former = {number: signal.getsignal(number) for number in HANDLED}
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)
    yield Reactor()
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def logged():
    """The events of the test."""
    events: list = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def test_before_the_start_only_what_is_meant_to_end_the_program_does(reactor):
    survive_signals()
    for number in (*REOPENING, *harmless_signals()):
        signal.raise_signal(number)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTTOU) is signal.SIG_IGN


def test_survive_leaves_handlers_of_others_alone(reactor):
    def own(*_):
        pass

    signal.signal(signal.SIGALRM, own)
    survive_signals()
    assert signal.getsignal(signal.SIGALRM) is own


def test_each_signal_has_its_action(reactor, logged):
    stopped, reopened = [], []
    watch = SignalWatch(reactor, stop=stopped.append, reopen=reopened.append)
    for number in HANDLED[1:]:
        watch.received(number)
    assert (stopped, reopened) == ([], []), "only in the reactor's turn"
    reactor.turn()
    assert set(stopped) == {"SIGINT", "SIGTERM", "SIGXCPU", "SIGQUIT"}
    assert set(reopened) == {"SIGHUP", "SIGUSR1"}
    ignored = {event["name"] for event in logged if event["log_format"] == "{name} received: ignored"}
    assert ignored == {signal_name(number) for number in harmless_signals()}
    assert {"SIGUSR2", "SIGALRM", "SIGPROF", "SIGRTMIN"} <= ignored


@pytest.fixture
def started(monkeypatch):
    """(signals that `start` blocked, those that its thread waited for); nothing is blocked, no thread is left."""
    blocked, waited = [], []
    monkeypatch.setattr(signal, "pthread_sigmask", lambda how, numbers: blocked.append(numbers))
    monkeypatch.setattr(SignalWatch, "_watch", lambda self, numbers: waited.append(numbers))
    return blocked, waited


def test_what_a_shell_has_background_jobs_ignore_stays_ignored_but_hangup_is_heard(reactor, started):
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    SignalWatch(reactor, stop=print, reopen=print).start()
    for thread in threading.enumerate():
        if thread.name == "signals":
            thread.join()
    (blocked,), (waited,) = started
    assert blocked == waited == set(map(int, HANDLED[1:])) - {signal.SIGINT, signal.SIGQUIT}


def test_quit_dumps_every_other_thread_without_the_reactor(reactor, logged):
    watch = SignalWatch(reactor, stop=print, reopen=print)
    asking = threading.Thread(target=watch.received, args=(signal.SIGQUIT,), name="one that asks")
    asking.start()
    asking.join()
    (event,) = [event for event in logged if "SIGQUIT" in event["log_format"]]
    assert "thread MainThread:" in event["details"]
    assert "test_quit_dumps_every_other_thread" in event["details"]
    assert "one that asks" not in event["details"]
    assert "MainThread" not in describe_threads()


class LastSignal(BaseException):
    """Ends the thread that waits for signals."""


def test_a_bug_in_the_dump_does_not_end_the_wait_for_signals(reactor, monkeypatch):
    def broken():
        raise RuntimeError("no stacks today")

    coming = iter([signal.SIGQUIT, signal.SIGTERM])

    def sigwait(watched):
        for number in coming:
            return number
        raise LastSignal

    monkeypatch.setattr(signals, "describe_threads", broken)
    monkeypatch.setattr(signal, "sigwait", sigwait)
    stopped: list = []
    with pytest.raises(LastSignal):
        SignalWatch(reactor, stop=stopped.append, reopen=print)._watch(set())
    reactor.turn()
    assert stopped == ["SIGTERM"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_programs_that_are_not_daemons_end_in_order(reactor, number):
    stop_at_hangup(reactor)
    signal.raise_signal(number)
    signal.raise_signal(number)
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGALRM)
    reactor.turn()
    assert reactor.stopped == 1


def test_programs_under_nohup_stay(reactor):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop_at_hangup(reactor)
    signal.raise_signal(signal.SIGHUP)
    reactor.turn()
    assert reactor.stopped == 0
