"""`run_p2pool.py` that is killed between the moment when a block was found and written down, and its sending."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from p2pool.app.cli import main
from p2pool.dashd import submission
from p2pool.dashd.submission import BlockSubmitter
from tests.support import ROOT


def die(self: BlockSubmitter, *_: Any) -> None:
    """SIGKILL: nothing is flushed, nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    BlockSubmitter._send = die  # type: ignore[method-assign]
    submission.SEND_PATIENCE = 30.0  # a busy machine takes longer than 2 ms to write a file
    sys.exit(main(default_datadir=ROOT / "data"))
