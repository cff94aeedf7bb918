"""`python -m p2pool`: the same program as `p2pool-dash`."""

import sys

from p2pool.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
