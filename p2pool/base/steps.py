"""Work in steps: a generator yields whenever the reactor may do something else, and returns its result."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


def finish(steps: Generator[None, None, T]) -> T:
    """Return the result of all steps, done at once. For threads, tests, and what is known to be short."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
