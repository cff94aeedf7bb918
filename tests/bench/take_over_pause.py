"""How long miners wait while their node is replaced. A part of `tests.bench gateway`; `tests.e2e.take_over_load`
measures it at full size. Sizes are constants, so that a test can run it in small."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.bench.measure import Table
from tests.e2e.long_chain import SHARES
from tests.e2e.take_over_load import Load, measure

LOAD = Load(plain=500, tls=0, times=1, pause=2.0, shares=SHARES, crash=False)
AIM_MS = 1000


def measure_pause(table: Table, directory: Path) -> None:
    """Replace one node under load. Raises RuntimeError if a miner noticed more than a pause."""
    directory.mkdir()
    figures = asyncio.run(measure(directory, LOAD))
    wrong = {name: figures[name] for name in ("disconnected", "unanswered", "shares_lost") if figures[name]}
    if wrong:
        raise RuntimeError(f"a take-over cost more than a pause: {wrong}")
    label = f"take-over of {LOAD.plain} miners, {LOAD.shares} shares: pause (aim <= {AIM_MS} ms)"
    table.add("takeover_pause_ms", label, figures["takeover_pause_ms"], "ms")
