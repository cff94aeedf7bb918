"""Reading shares from the text files of legacy p2pool-dash (`shares.0`, `shares.1`, ...) and from the archive of
this program.

Lines: `5 <hex of an envelope>` is a share, `2 <hash hex>` says that it was verified there (this node verifies it
again), `0` and `1` are older kinds. Files are only read. Everything here blocks.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from p2pool.base.errors import ParseError
from p2pool.networks.parameters import Network
from p2pool.share.errors import ShareInvalid
from p2pool.share.share import Share
from p2pool.share.versions import parse_envelope

MAX_LINE = 16 * 1024 * 1024
"""Bytes; a longer line is corrupt."""
_NAME = re.compile(r"shares\.([0-9]{1,9})")
_SHARE, _PASSED_OVER = b"5", frozenset({b"0", b"1", b"2"})


@dataclass(slots=True)
class ImportCounts:
    """What was read: files, shares, corrupt lines, and where the first of those is and what is wrong with it."""

    files: int = 0
    shares: int = 0
    damaged: int = 0
    first_damage: str = ""

    def note_damage(self, where: str, what: object) -> None:
        """Count a corrupt line."""
        self.damaged += 1
        self.first_damage = self.first_damage or f"{where}: {what}"


def share_files(directory: Path) -> list[Path]:
    """Return the share files in a directory: numbered ones in their order, then those of an archive. OSError."""
    numbered: list[tuple[int, Path]] = []
    archived: list[Path] = []
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            numbered.append((int(match[1]), path))
        elif path.name.startswith("shares-") and path.suffix == ".gz":
            archived.append(path)
    return [path for _, path in sorted(numbered)] + sorted(archived)


def read_share_files(paths: list[Path], network: Network, counts: ImportCounts) -> Iterator[Share]:
    """Yield the shares of these files, parsed, their work checked; what is corrupt is counted and skipped."""
    for path in paths:
        counts.files += 1
        try:
            with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
                yield from _read_lines(file, path.name, network=network, counts=counts)
        except (OSError, EOFError, zlib.error) as error:
            counts.note_damage(path.name, error)


def _read_lines(file: BufferedIOBase, name: str, *, network: Network, counts: ImportCounts) -> Iterator[Share]:
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        where = f"{name} line {number}"
        if not line.endswith(b"\n") and len(line) == MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            counts.note_damage(where, "too long")
            continue
        kind, _, text = line.strip().partition(b" ")
        if kind in _PASSED_OVER or not line.strip():
            continue
        try:
            if kind != _SHARE:
                raise ParseError("not a share's line")
            share = parse_envelope(bytes.fromhex(text.decode("ascii")), network)
        except (ValueError, ShareInvalid) as error:  # ParseError and broken hex are ValueErrors
            counts.note_damage(where, error)
            continue
        counts.shares += 1
        yield share
