"""Blocking calls in threads of their own."""

from __future__ import annotations

import queue

from twisted.python.failure import Failure

from p2pool.base.daemon_thread import run_in_daemon_thread


class Reactor:
    """Keeps what threads want to have called."""

    def __init__(self) -> None:
        self.calls: queue.Queue = queue.Queue()

    def callFromThread(self, function, *arguments) -> None:
        self.calls.put((function, arguments))

    def turn(self) -> None:
        function, arguments = self.calls.get(timeout=60)
        function(*arguments)


def test_results_and_failures_come_back_on_the_reactor():
    reactor, results = Reactor(), []
    run_in_daemon_thread(reactor, lambda: 7).addBoth(results.append)
    assert results == []
    reactor.turn()
    assert results == [7]
    run_in_daemon_thread(reactor, lambda: 1 / 0).addBoth(results.append)
    reactor.turn()
    assert isinstance(results[1], Failure)
    assert results[1].check(ZeroDivisionError)
