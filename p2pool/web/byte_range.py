"""The one part of a file that a request may ask for (RFC 9110, 14.2). Pure."""

from __future__ import annotations

import re

UNSATISFIABLE = (0, 0)
"""The answer to a range that begins behind the end of the file."""
_RANGE = re.compile(rb"bytes[ \t]*=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


def parse_byte_range(header: bytes, size: int) -> tuple[int, int] | None:
    """Return (offset, bytes) of the one range that `header`, a Range field, names of a file of `size` bytes;
    UNSATISFIABLE if it names no byte of the file, and None if the whole file is the answer.

    The whole file is the answer to a malformed field and to more than one range: RFC 9110 lets a server ignore the
    field, and the parts of many overlapping ranges would be a multiple of the file.
    """
    match = _RANGE.fullmatch(header)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        if not last:
            return None
        length = min(int(last), size)  # the last bytes of the file
        return (size - length, length) if length else UNSATISFIABLE
    offset = int(first)
    if last and int(last) < offset:
        return None
    if offset >= size:
        return UNSATISFIABLE
    end = min(int(last) + 1, size) if last else size
    return offset, end - offset
