"""The command line that the comparison with c2pool-dash starts this node by."""

from __future__ import annotations

import subprocess
import sys

from tests.support import ROOT


def test_the_network_of_the_comparison_can_be_chosen():
    """A later mistake on the line is what the program complains of: it has taken the network."""
    command = [sys.executable, "-m", "tests.e2e.c2pool_network", "--net", "c2pool_regtest", "--fee", "101"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "--fee" in ended.stderr
    assert "--net" not in ended.stderr
