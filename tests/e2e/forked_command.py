"""Commands of p2pool-dash in processes that have the program imported already: importing it takes most of their
time. Each process begins with this module, so it imports little itself."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 120.0
_PRELOADED = ["p2pool.__main__", "p2pool.operators.check"]


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int | None
    output: str
    errors: str


def _run(words: Sequence[str], environment: Mapping[str, str], output: Path, limit: int | None) -> None:
    from p2pool.__main__ import main

    os.environ.clear()
    os.environ.update(environment)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with (
        open(output.with_suffix(".out"), "w", encoding="utf-8") as out,
        open(output.with_suffix(".err"), "w", encoding="utf-8") as err,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = main(words)
    sys.exit(status)


def run_command(
    words: Sequence[str], directory: Path, environment: Mapping[str, str], limit: int | None = None
) -> Result:
    """Run a command with nothing but this environment, and a limit of open files. Its output is in `directory`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    output = directory / "command"
    process = context.Process(target=_run, args=(list(words), dict(environment), output, limit))
    process.start()
    process.join(_PATIENCE)
    if process.exitcode is None:
        process.kill()
        process.join()
    texts = [output.with_suffix(suffix).read_text("utf-8") for suffix in (".out", ".err")]
    return Result(process.exitcode, *texts)
