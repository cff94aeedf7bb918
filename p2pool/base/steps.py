"""Work in steps: a generator yields whenever the reactor may do something else, and returns its result."""

from __future__ import annotations

from collections.abc import Generator
from typing import Generic, TypeVar

T = TypeVar("T")


def finish(steps: Generator[None, None, T]) -> T:
    """Do all steps at once and return their result. For threads, tests, and what is known to be short."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result


class SharedSteps(Generic[T]):
    """Work in steps that several wait for: whichever of them runs does the next step, and each step is done
    once."""

    def __init__(self, steps: Generator[None, None, T]) -> None:
        self._steps: Generator[None, None, T] | None = steps
        self._result: T | None = None

    def result(self) -> Generator[None, None, T]:
        """Do the steps that are left, and return the result. The work must not raise."""
        while self._steps is not None:
            try:
                next(self._steps)
            except StopIteration as done:
                self._steps, self._result = None, done.value
            else:
                yield
        return self._result  # type: ignore[return-value]
