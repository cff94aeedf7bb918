"""A disk that fails every call on a state file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from p2pool.base import state_file


@contextmanager
def failing_disk(error: OSError) -> Iterator[None]:
    """While it lasts, reading, writing and quarantining raise `error`."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    with (
        patch.object(state_file, "_read_bytes", fail),
        patch.object(state_file, "write_file", fail),
        patch.object(state_file, "quarantine", fail),
    ):
        yield
