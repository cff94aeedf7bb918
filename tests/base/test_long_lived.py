"""What survives a long garbage collection is exempt from the next ones, for a day."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from p2pool.base import long_lived
from p2pool.base.long_lived import EXEMPT_FOR, GROWTH, LONG, LongLived


class Node:
    """An object in a cycle."""

    def __init__(self) -> None:
        self.itself = self


class Collector:
    """The garbage collector, and a clock that says how long it takes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.takes = 0.0
        self.watch = LongLived(self.clock)

    def clock(self) -> float:
        return self.now

    def _ran(self, phase: str, info: dict[str, int]) -> None:
        """Python calls this after the watch."""
        if phase == "start":
            self.now += self.takes

    def collect(self, generation: int = 2) -> None:
        """Collect garbage of this generation and of younger ones."""
        gc.collect(generation)


@pytest.fixture
def collector() -> Iterator[Collector]:
    frozen = gc.get_freeze_count()
    made = Collector()
    gc.disable()
    made.watch.start()
    gc.callbacks.append(made._ran)
    yield made
    gc.callbacks.remove(made._ran)
    made.watch.stop()
    made.watch.stop()
    if gc.get_freeze_count() != frozen:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
    gc.enable()


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of exempt objects is enough to visit them again."""
    monkeypatch.setattr(long_lived, "GROWTH", 0.0)


@pytest.mark.usefixtures("grown")
def test_survivors_of_a_long_collection_are_visited_again_after_a_day(collector):
    node = Node()
    gone = weakref.ref(node)
    collector.takes = 2 * LONG
    collector.collect()
    collector.takes = 0.0
    del node
    collector.now += EXEMPT_FOR - 1
    collector.collect()
    assert gone() is not None
    collector.now += 1
    collector.collect()
    assert gone() is None


@pytest.mark.parametrize(("takes", "generation"), [(LONG / 2, 2), (10 * LONG, 1), (10 * LONG, 0)])
def test_survivors_of_a_short_or_partial_collection_are_not_exempt(collector, takes, generation):
    node = Node()
    gone = weakref.ref(node)
    collector.takes = takes
    collector.collect(generation)
    collector.takes = 0.0
    del node
    collector.collect()
    assert gone() is None


@pytest.mark.usefixtures("grown")
def test_what_is_exempt_from_the_start_is_so_for_a_day(collector):
    node, count = Node(), gc.get_freeze_count()
    gone = weakref.ref(node)
    collector.watch.exempt()
    assert gc.get_freeze_count() > count
    del node
    collector.now += EXEMPT_FOR / 2
    collector.takes = 2 * LONG
    collector.collect()  # what it exempts besides does not prolong the day
    collector.takes = 0.0
    assert gone() is not None
    collector.now += EXEMPT_FOR / 2
    collector.collect()
    assert gone() is None


def test_the_exempt_are_visited_again_only_once_they_have_grown_by_half(collector):
    node = Node()
    gone = weakref.ref(node)
    collector.watch.exempt()
    del node
    began = gc.get_freeze_count()
    for _ in range(3):
        collector.now += EXEMPT_FOR
        collector.collect()
        assert gone() is not None
    more = [[] for _ in range(int((GROWTH - 1.0) * began) + 10_000)]
    collector.takes = 2 * LONG
    collector.collect()  # exempts these too
    collector.takes = 0.0
    collector.collect()
    assert gone() is not None, "not before a day has passed"
    collector.now += EXEMPT_FOR
    collector.collect()
    assert gone() is None
    assert more


def test_nothing_is_exempt_once_the_watch_has_ended(collector):
    collector.watch.stop()
    node, count = Node(), gc.get_freeze_count()
    collector.takes = 2 * LONG
    collector.collect()
    assert gc.get_freeze_count() == count
    assert node.itself is node


def test_full_collections_come_before_there_is_much_to_visit():
    usual = gc.get_threshold()
    watch = LongLived(lambda: 5.0)
    assert gc.get_threshold() == usual
    watch.start()
    try:
        assert gc.get_threshold()[:2] == usual[:2]
        assert 0 < gc.get_threshold()[2] < usual[2]
    finally:
        watch.stop()
    assert gc.get_threshold() == usual


def test_a_collection_that_began_before_the_watch_is_passed_over():
    count = gc.get_freeze_count()
    LongLived(lambda: 5.0)._ran("stop", {"generation": 2})
    assert gc.get_freeze_count() == count
