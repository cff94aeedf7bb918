"""Data directories as released versions left them, kept as text so that they can be reviewed, and made into files
again for tests.

Each version has a directory `VERSION/simnet` here, and `VERSION/expected.json`, which says what a node must
find in it. `NAME.sqlite.sql` stands for a database, `NAME.gz.txt` for a compressed file, and `NAME.hex16` for
one that is not text; all others are as they were. They never change. `python -m tests.data_directories VERSION`
makes one of the program as it is now.
"""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

HERE: Final = Path(__file__).parent
NETWORK: Final = "simnet"
_SQL, _TEXT, _HEX = ".sql", ".txt", ".hex16"
_LINE: Final = 100
_NOT_KEPT: Final = (".cookie", "-wal", "-shm")


@dataclass(frozen=True)
class Expected:
    """What is in a data directory. `time` is when it was written (Unix seconds); `arguments` are those of the node
    that goes on with it, `best_share` and `blocks` (found, the oldest first) are hashes in hexadecimal."""

    time: float
    arguments: list[str]
    best_share: str
    shares: int
    blocks: list[str]
    payout_addresses: list[str]
    node_name: str


def versions() -> list[str]:
    """The versions of which there is a data directory, the oldest first."""
    names = [path.parent.name for path in HERE.glob("*/expected.json")]
    return sorted(names, key=lambda name: tuple(map(int, name.split("."))))


def expected(version: str) -> Expected:
    """What a node must find in the data directory of a version."""
    return Expected(**orjson.loads((HERE / version / "expected.json").read_bytes()))


def build(version: str, target: Path) -> Path:
    """Make the files of a version below `target`, as below --datadir. Returns the directory of its network."""
    source = HERE / version / NETWORK
    for path in _files(source):
        made = target / NETWORK / path.relative_to(source)
        made.parent.mkdir(parents=True, exist_ok=True)
        name = made.with_suffix("")
        if path.name.endswith(f".sqlite{_SQL}"):
            with closing(sqlite3.connect(name)) as database:
                database.executescript(path.read_text("utf-8"))
        elif path.name.endswith(f".gz{_TEXT}"):
            name.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        elif path.suffix == _HEX:
            name.write_bytes(bytes.fromhex(path.read_text("ascii")))
        else:
            shutil.copyfile(path, made)
    return target / NETWORK


def keep(version: str, source: Path, what: Expected) -> None:
    """Keep the files of a network's directory as text."""
    for path in _files(source):
        kept = HERE / version / NETWORK / path.relative_to(source)
        kept.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".sqlite":
            kept.with_name(kept.name + _SQL).write_text(_dump(path), "utf-8")
        elif path.suffix == ".gz":
            kept.with_name(kept.name + _TEXT).write_bytes(gzip.decompress(path.read_bytes()))
        elif path.suffix in {".dat", ".solution"}:
            text = path.read_bytes().hex()
            lines = (text[start : start + _LINE] for start in range(0, len(text), _LINE))
            kept.with_name(kept.name + _HEX).write_text("".join(f"{line}\n" for line in lines), "ascii")
        elif path.name not in {"lock", "log"} and not path.name.endswith(_NOT_KEPT):
            shutil.copyfile(path, kept)
    (HERE / version / "expected.json").write_bytes(orjson.dumps(what, option=orjson.OPT_INDENT_2) + b"\n")


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def _dump(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        pragmas = [
            f"PRAGMA {name}={database.execute(f'PRAGMA {name}').fetchone()[0]};"
            for name in ("journal_mode", "user_version")
        ]
        return "\n".join((*pragmas, *database.iterdump(), ""))
