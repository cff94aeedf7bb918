"""End-to-end tests are spread over the others, none is lost, and files stay whole."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.tools.order import TOGETHER, spread_end_to_end, unit_of


def files_of(*names: str) -> list[Any]:
    """Return two tests of each file; a capital letter is an end-to-end test."""

    def make(name: str) -> SimpleNamespace:
        return SimpleNamespace(nodeid=f"{name}::test", get_closest_marker=lambda marker: name.isupper() or None)

    return [make(name) for name in names for _ in range(2)]


def order(*names: str) -> str:
    """Return the first letters of files in their new order."""
    items = files_of(*names)
    ordered = spread_end_to_end(items)
    assert sorted(map(id, ordered)) == sorted(map(id, items))
    assert [item.nodeid for item in ordered[::2]] == [item.nodeid for item in ordered[1::2]]
    return "".join(item.nodeid[0] for item in ordered[::2])


def test_files_of_end_to_end_tests_are_spread_over_those_that_follow():
    assert order(*"abXYZcdefghij") == "abXcdYefZghij"
    assert order(*"XYZcdef") == "XcYdZef"


def test_where_there_is_nothing_to_spread_the_order_stays():
    for names in ("abc", "XYZ", "abXYZ", "XYZc", ""):
        assert order(*names) == names


def test_files_that_share_a_pool_and_a_browser_are_one_unit():
    assert unit_of(f"{TOGETHER}test_a.py::test_x") == unit_of(f"{TOGETHER}test_b.py::test_y[1::2]") == TOGETHER
    assert unit_of("tests/e2e/test_a.py::test_x[a::b]") == "tests/e2e/test_a.py"
