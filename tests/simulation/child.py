"""Runs of a world in a process of their own: `child WORLD SEED,SEED... [OPTION...]`, a line of JSON for each seed.

Nothing of p2pool may be imported before the defect is in place and the proof of work is replaced.
"""

from __future__ import annotations

import json
import signal
import sys

from tests.simulation.options import insert_defect

_name, _seeds, *_options = sys.argv[1:]
insert_defect(_options)

from tests.simulation import cheap_work, disk  # noqa: E402  # only now: they import p2pool

cheap_work.install()
disk.install()

from tests.simulation.command import parse, run  # noqa: E402
from tests.simulation.world import read_world  # noqa: E402

signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # files are removed on the way out
_given = parse(["run", *_options])
_world = read_world(_name, nodes=_given.nodes, miners=_given.miners, hours=_given.hours)
for seed in _seeds.split(","):
    result = run(_world, seed)
    violation = result.violation
    outcome = {
        "seed": int(seed),
        "invariant": None if violation is None else violation.invariant or "an unknown invariant",
        "text": "" if violation is None else str(violation),
        "time": result.time,
        "cpu": result.cpu,
        "trace": result.simulation.trace.digest,
        "figures": result.figures,
    }
    print(json.dumps(outcome), flush=True)
