"""Old shares in compressed text files, for history and for starting over.

The lines are those of legacy p2pool-dash's share files (`importing` reads both): `5 <hex of an envelope>`.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from p2pool.base.files import write_file
from p2pool.share.share import pack_envelope


class ShareArchive:
    """A directory of files that are written once. Blocks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, first_height: int, packed: Sequence[tuple[int, bytes]]) -> Path:
        """Write shares, each (type, contents), oldest first, into a file of their own; returns its path.

        `first_height` is the absheight of the first one. The same shares make the same file,
        so that writing them again does no harm. Raises OSError.
        """
        text = b"".join(b"5 " + pack_envelope(*share).hex().encode() + b"\n" for share in packed)
        name = f"shares-{first_height:010d}-{sha256(text).hexdigest()[:8]}.gz"
        path = self.directory / name
        # Without a time the same shares give the same bytes.
        write_file(path, gzip.compress(text, mtime=0))
        return path
