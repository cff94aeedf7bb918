"""The modules that mypyc can compile, and which of them this process would import compiled.

The source is the same either way. `setup.py` compiles these modules if P2POOL_COMPILE=1 is in the environment;
`make fast` does so in the working tree. docs/design/compiled.md says what they gain, and what compiled code does
differently: read it before you add a module.
"""

from __future__ import annotations

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from p2pool.base.errors import OperatorError

MODULES: Final = (
    "p2pool.base.fair",
    "p2pool.base.observable",
    "p2pool.base.ordered_set",
    "p2pool.base.rates",
    "p2pool.dash.merkle",
    "p2pool.dash.script",
    "p2pool.dash.transaction",
    "p2pool.jobs.coinbases",
    "p2pool.jobs.context",
    "p2pool.jobs.job",
    "p2pool.node.job_terms",
    "p2pool.share.codec_16",
    "p2pool.share.parsing",
    "p2pool.share.payments",
    "p2pool.share.payouts",
    "p2pool.sharechain.forest",
    "p2pool.sharechain.weights",
    "p2pool.stratum.dispatch",
    "p2pool.stratum.job_feed",
    "p2pool.stratum.job_registry",
    "p2pool.stratum.messages",
    "p2pool.stratum.miner_state",
    "p2pool.stratum.notify_lines",
    "p2pool.stratum.requests",
    "p2pool.stratum.session",
    "p2pool.stratum.submission",
    "p2pool.stratum.timed",
    "p2pool.stratum.vardiff",
    "p2pool.wire.codec",
    "p2pool.wire.framer",
)
"""What runs for each submission, job and share."""
SAME_TIME: Final = 60.0
"""Seconds: the files of one installation are written in any order."""


def is_compiled(module: str) -> bool:
    """Return whether a module is imported from machine code."""
    spec = find_spec(module)
    return spec is not None and isinstance(spec.loader, ExtensionFileLoader)


def is_outdated(module: str) -> bool:
    """Return whether a module is compiled from a source that has changed since, as `git pull` does it."""
    spec = find_spec(module)
    if spec is None or not isinstance(spec.loader, ExtensionFileLoader):
        return False
    built = Path(spec.loader.path)
    source = built.with_name(f"{module.rpartition('.')[2]}.py")
    return source.exists() and source.stat().st_mtime > built.stat().st_mtime + SAME_TIME


def check_compiled() -> None:
    """Raise OperatorError if Python would run machine code of an older source."""
    outdated = [module for module in MODULES if is_outdated(module)]
    if outdated:
        raise OperatorError(
            f"{outdated[0]} changed after it was compiled ({len(outdated)} of {len(MODULES)} modules did): "
            "run `make fast` to compile again, or `make interpreted` to remove what is compiled"
        )


def describe() -> str:
    """Return in a few words how many of the modules are compiled, for --version and the log."""
    count = sum(map(is_compiled, MODULES))
    if not count:
        return "no"
    return "yes" if count == len(MODULES) else f"{count} of {len(MODULES)} modules: build them again"
