"""`python -m tests.simulation`: run a world, one line a simulated minute, and a summary."""

from __future__ import annotations

import os
import sys

if os.environ.get("PYTHONHASHSEED") != "0":  # sets of texts iterate by their hashes, which are secret otherwise
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])

from tests.simulation.options import insert_defect

insert_defect(sys.argv[1:])

from tests.simulation import cheap_work, disk  # noqa: E402  # only now: they import p2pool

cheap_work.install()
disk.install()

from tests.simulation.command import main  # noqa: E402  # only now: it imports what takes the proof of work

sys.exit(main(sys.argv[1:]))
