"""Heights of blocks: asked one after another, in bounds, and never again and again."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from p2pool.dashd import heights
from p2pool.dashd.heights import ASK_AGAIN, BlockHeights
from p2pool.dashd.rpc import RpcError, RpcUnavailable
from tests.logged import logged
from tests.support import capture


class Home:
    """BlockHeights over a dashd that answers when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked: list[tuple[str, ...]] = []
        self.answer: Deferred[Any] | None = None
        self.learned: list[tuple[int, int]] = []
        self.heights = BlockHeights(self, lambda *pair: self.learned.append(pair), lambda: self.now)

    async def call(self, *request: str, timeout: float = 0) -> Any:
        self.asked.append(request)
        self.answer = Deferred()
        return await self.answer

    def say(self, answer: Any) -> None:
        waiting, self.answer = self.answer, None
        if isinstance(answer, Exception):
            waiting.errback(answer)
        else:
            waiting.callback(answer)


@pytest.fixture
def home():
    return Home()


def test_one_after_another_each_once(home):
    for block in (7, 8, 7, 8):
        home.heights.request(block)
    assert home.asked == [("getblockheader", f"{7:064x}")]
    header = capture("10_getblockheader")["response"]["result"]
    home.say(header)
    assert home.asked[1:] == [("getblockheader", f"{8:064x}")]
    home.say({"height": 3})
    assert home.learned == [(7, header["height"]), (8, 3)]
    home.heights.request(9)
    assert len(home.asked) == 3


@pytest.mark.parametrize(
    "answer", [RpcError(-5, "Block not found"), {}, [], {"height": True}, {"height": -1}, {"height": "3"}]
)
def test_what_dashd_does_not_know_is_asked_again_after_a_while(home, answer):
    home.heights.request(7)
    home.say(answer)
    home.heights.request(7)
    assert len(home.asked) == 1
    home.now += ASK_AGAIN
    home.heights.request(7)
    assert len(home.asked) == 2
    assert home.learned == []


def test_without_dashd_the_queue_is_forgotten_and_the_next_choice_asks_again(home):
    home.heights.request(7)
    home.heights.request(8)
    with logged() as log:
        home.say(RpcUnavailable("down"))
    assert log == []
    assert len(home.asked) == 1
    home.heights.request(8)
    home.say({"height": 1})
    assert home.learned == [(8, 1)]


def test_the_queue_has_a_bound(home, monkeypatch):
    monkeypatch.setattr(heights, "MAX_QUEUE", 5)
    for block in range(100):
        home.heights.request(block)
    for _ in range(5):
        home.say({"height": 1})
    assert home.answer is None


def test_stopping_gives_up(home):
    home.heights.request(7)
    home.heights.stop()
    assert home.learned == []
    home.heights.stop()
