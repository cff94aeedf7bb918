"""`p2pool-dash backup` and `restore`: a copy of a node's data directory, made while the node runs, and back."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from p2pool import __version__
from p2pool.app.commands import REPLACE_FLAG
from p2pool.app.config import Config, load_config
from p2pool.app.data_directory import LOCK, DataDirectory
from p2pool.base.errors import OperatorError, reason_of
from p2pool.base.files import free_name
from p2pool.base.paths import parse_path
from p2pool.operators.arguments import read_arguments
from p2pool.operators.data_files import (
    FILES,
    Entry,
    Manifest,
    copy_file,
    entry_of,
    listed_files,
    read_manifest,
    synced_name,
    verify,
    write_manifest,
)


def backup(arguments: Sequence[str], default_datadir: Path) -> int:
    """Copy the data directory of a node, which may run, to a new directory. Return 0. Raises OperatorError."""
    given = read_arguments("backup", arguments, default_datadir)
    config = load_config(given.rest, default_datadir)
    target = parse_path("backup", given.words[0])
    manifest = make_backup(config, target, int(datetime.now(UTC).timestamp()))
    size = sum(each.size for each in manifest.files.values())
    sys.stdout.write(f"saved {len(manifest.files)} files, {size} bytes, of {config.datadir} to {target}\n")
    if config.stats_db is not None and not _is_inside(config):
        sys.stdout.write(f"history is not in the backup: back {config.stats_db} up by itself\n")
    return 0


def _is_inside(config: Config) -> bool:
    path = None if config.stats_db is None else config.stats_db.path
    return path is not None and path.absolute().is_relative_to(config.datadir.absolute())


def make_backup(config: Config, target: Path, now: int) -> Manifest:
    """Write a backup at `now` (Unix seconds), under a temporary name until it is whole. Raises OperatorError."""
    source = config.datadir
    if not source.is_dir():
        raise OperatorError(f"there is no data directory {source}: give the --datadir and --net of the node")
    if os.path.lexists(target):
        raise OperatorError(f"{target} exists, and is not overwritten: give the name of a new directory")
    if target.absolute().is_relative_to(source.absolute()):
        raise OperatorError(f"{target} is in the data directory itself: give another place")
    temporary = target.with_name(f"{target.name}.incomplete-{os.getpid()}")
    files: dict[str, Entry] = {}
    try:
        temporary.mkdir(mode=0o700)
        for name in listed_files(source):
            # A found block may be synced, and so renamed, between being listed and being copied.
            for each in (name, synced_name(name)):
                if each is not None and copy_file(source / each, temporary / FILES / each, in_use=True):
                    files[str(each)] = entry_of(temporary / FILES / each)
        manifest = Manifest(config.network.name, __version__, now, files)
        write_manifest(temporary, manifest)
        os.rename(temporary, target)
    except OSError as error:
        raise OperatorError(
            f"cannot write the backup: {error.filename or temporary}: {reason_of(error)}", 1
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return manifest


def restore(arguments: Sequence[str], default_datadir: Path) -> int:
    """Copy a backup into the data directory of a node that does not run. Return 0. Raises OperatorError."""
    given = read_arguments("restore", arguments, default_datadir)
    config = load_config(given.rest, default_datadir)
    source = parse_path("restore", given.words[0])
    manifest = read_manifest(source)
    moved = restore_backup(config, source, manifest, replace=given.has(REPLACE_FLAG))
    when = datetime.fromtimestamp(manifest.created, UTC).strftime("%Y-%m-%d %H:%M:%S")
    sys.stdout.write(f"restored {len(manifest.files)} files of {when} UTC to {config.datadir}\n")
    if moved is not None:
        sys.stdout.write(f"moved the former files to {moved}; delete them when you no longer need them\n")
    return 0


def restore_backup(config: Config, source: Path, manifest: Manifest, *, replace: bool) -> Path | None:
    """Put the files of a backup into the data directory once they are known to be whole. Return where former files
    were moved to, None if there were none. Raises OperatorError, also if a node runs there."""
    if manifest.network != config.network.name:
        raise OperatorError(
            f"{source} is a backup of the network {manifest.network}, not of {config.network.name}: choose --net"
        )
    verify(source, manifest)
    held = DataDirectory(config.datadir)  # a node that runs has the lock, and none can start meanwhile
    try:
        return _put(config.datadir, source / FILES, manifest, replace=replace)
    except OSError as error:
        raise OperatorError(f"cannot restore: {error.filename}: {reason_of(error)}", 1) from None
    finally:
        held.release()


def _put(datadir: Path, files: Path, manifest: Manifest, *, replace: bool) -> Path | None:
    former = [each for each in sorted(datadir.iterdir()) if each.name != LOCK]
    if former and not replace:
        raise OperatorError(
            f"{datadir} has files already, such as {former[0].name}: add --replace to move them aside, or choose "
            "another --datadir"
        )
    staging = datadir.with_name(f"{datadir.name}.restoring-{os.getpid()}")
    try:
        staging.mkdir(mode=0o700)
        for name in manifest.files:
            if not copy_file(files / name, staging / name, in_use=False):
                raise OperatorError(f"the backup is not complete: {files / name} is gone", 1)
        aside = _move_aside(datadir, former) if former else None
        for each in sorted(staging.iterdir()):
            os.rename(each, datadir / each.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return aside


def _move_aside(datadir: Path, former: Sequence[Path]) -> Path:
    """Move files out of the data directory, into a new one next to it, which is returned. Raises OSError."""
    aside = free_name(datadir, ".replaced")
    aside.mkdir(mode=0o700)
    for each in former:
        os.rename(each, aside / each.name)
    return aside
