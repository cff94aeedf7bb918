"""JSON that is kept takes the memory of its bytes."""

from __future__ import annotations

import tracemalloc

import orjson
import pytest

from p2pool.base.compact_json import dump_compact

COUNT = 200


@pytest.mark.parametrize("value", [None, [], {"name": "x" * 40, "rates": [1.5, 2.5]}, ["x" * 98] * 60])
def test_the_same_json_in_a_buffer_of_its_size(value):
    text = dump_compact(value)
    assert text == orjson.dumps(value)
    tracemalloc.start()
    try:
        kept = [dump_compact(value) for _ in range(COUNT)]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(kept) < len(text) + 100
