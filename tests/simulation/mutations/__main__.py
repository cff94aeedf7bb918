"""`python -m tests.simulation.mutations`: show that the simulation finds deliberate defects of p2pool."""

from __future__ import annotations

import sys

from tests.simulation.mutations.proof import main

sys.exit(main(sys.argv[1:]))
