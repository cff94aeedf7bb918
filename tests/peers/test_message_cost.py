"""Each message at its worst makes steps of bounded work: calls are counted, which are the same in each run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from types import FrameType

import pytest

from p2pool.peers.errors import Drop
from p2pool.peers.messages import KINDS
from tests.bench.messages import Case, Victim, worst_cases
from tests.simulation.invariants.cost import MOST
from tests.support import needs_interpreted

pytestmark = needs_interpreted("p2pool.wire.codec")
PART = 4
"""Lists have a quarter of the length that a payload has room for. What is done at once, however long the list,
costs four times as much in earnest; what is done in steps does not."""
CASES, STEPS = 25, 100
"""How many cases there are, and how many of their steps are counted: later ones are like those before."""


@lru_cache(maxsize=1)
def victim() -> Victim:
    return Victim(held=60, part=PART)


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    return tuple(worst_cases(victim(), PART))


def calls_of(step: Callable[[], object]) -> int:
    calls, before = 0, sys.getprofile()

    measuring: FrameType | None = None  # what measures coverage does not count

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        nonlocal measuring
        if measuring is not None:
            if frame is measuring and event == "return":
                measuring = None
        elif event == "call" and frame.f_globals.get("__name__", "").startswith("slipcover"):
            measuring = frame
        else:
            calls += event == "call" or (event == "c_call" and argument.__module__ != "slipcover.probe")

    sys.setprofile(called)
    try:
        step()
    except Drop:
        pass
    finally:
        sys.setprofile(before)
    return calls


def test_every_message_that_is_read_has_a_case():
    assert len(cases()) == CASES
    assert set(KINDS) <= {re.split(r"[ ,]", case.name)[0] for case in cases()}


@pytest.mark.parametrize("number", range(CASES))
def test_no_step_of_a_message_is_long(number):
    case = cases()[number]
    steps = islice(victim().steps(case, f"6.{number}.0.1"), STEPS)
    assert max(calls_of(step) for step in steps) * PART <= MOST, case.name
