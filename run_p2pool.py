#!/usr/bin/env python3
"""Start the node from a source checkout; an installed copy is called `p2pool-dash`."""

import sys
from pathlib import Path

from p2pool.__main__ import main

if __name__ == "__main__":
    sys.exit(main(default_datadir=Path(__file__).resolve().parent / "data"))
