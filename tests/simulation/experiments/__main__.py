"""`python -m tests.simulation.experiments`: measure, and draw what was measured."""

from __future__ import annotations

import os
import sys

if os.environ.get("PYTHONHASHSEED") != "0":  # as for `python -m tests.simulation`
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable, "-m", "tests.simulation.experiments", *sys.argv[1:]])

from tests.simulation import cheap_work, disk

cheap_work.install()
disk.install()

from tests.simulation.experiments.command import main  # noqa: E402  # only now, as for `python -m tests.simulation`

sys.exit(main(sys.argv[1:]))
