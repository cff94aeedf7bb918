"""`run_p2pool.py` with a shorter patience without work, for tests that would else wait for minutes."""

from __future__ import annotations

import sys

from p2pool.app.cli import main
from p2pool.stratum import work_patience
from tests.support import ROOT

PATIENCE = 20.0

if __name__ == "__main__":
    work_patience.WORK_PATIENCE = PATIENCE  # type: ignore[misc]
    sys.exit(main(default_datadir=ROOT / "data"))
