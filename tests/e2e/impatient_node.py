"""`run_p2pool.py` with a shorter patience without work, for tests that would else wait for minutes."""

from __future__ import annotations

import sys

from p2pool.app import stratum as mining
from p2pool.app.cli import main
from tests.support import ROOT

PATIENCE = 20.0

if __name__ == "__main__":
    mining.WORK_PATIENCE = PATIENCE
    sys.exit(main(default_datadir=ROOT / "data"))
