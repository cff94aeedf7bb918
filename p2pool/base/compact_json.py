"""JSON that is kept in memory for long, in no more memory than its bytes take."""

from __future__ import annotations

from typing import Any

import orjson


def dump_compact(value: Any) -> bytes:
    """Return the JSON of `value` as bytes of exactly their size.

    `orjson.dumps` returns bytes in a buffer of 4 KB at least, and up to twice as long as they are. All of it stays
    allocated as long as they do: of thousands of short texts that are kept this is most of the memory. What is
    sent and forgotten, or joined to other bytes, needs no copy.
    """
    return bytes(memoryview(orjson.dumps(value)))
