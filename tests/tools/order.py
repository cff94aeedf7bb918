"""The order in which workers are given the files of tests, and which files one of them gets together."""

from __future__ import annotations

from itertools import groupby

import pytest

TOGETHER = "tests/e2e/pages/"
"""A directory whose files share one pool and one browser: several of each would fill the processors."""


def unit_of(nodeid: str) -> str:
    """Return what a test is a part of, all of which one worker runs: its file, or TOGETHER."""
    file = nodeid.split("::", 1)[0]
    return TOGETHER if file.startswith(TOGETHER) else file


def spread_end_to_end(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return tests with the files of end-to-end tests spread over those that follow the first of them.

    End-to-end tests mostly wait, others compute: side by side they leave no processor idle. The last quarter of
    the other files stays at the end, so that all workers end at about the same time. Each unit stays in one piece.
    """
    files = [list(group) for _, group in groupby(items, key=lambda item: unit_of(item.nodeid))]
    slow = [file for file in files if is_end_to_end(file)]
    start = next((number for number, file in enumerate(files) if is_end_to_end(file)), len(files))
    others = [file for file in files[start:] if not is_end_to_end(file)]
    places = len(others) * 3 // 4
    spread = files[:start]
    for number, file in enumerate(slow):
        spread += [file, *others[number * places // len(slow) : (number + 1) * places // len(slow)]]
    spread += others[places:] if slow else []
    return [item for file in spread for item in file]


def is_end_to_end(file: list[pytest.Item]) -> bool:
    """Return whether the tests of a file start real processes."""
    return any(item.get_closest_marker("e2e") for item in file)
