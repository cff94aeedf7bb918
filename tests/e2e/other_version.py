"""`run_p2pool.py` as another version would be: it cannot read the whole state of this one."""

from __future__ import annotations

import sys

from p2pool.app import take_over
from p2pool.app.cli import main
from tests.support import ROOT

if __name__ == "__main__":
    take_over.FORM = "0" * 16  # type: ignore[misc]
    sys.exit(main(default_datadir=ROOT / "data"))
