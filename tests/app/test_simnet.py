"""The simulated network in the node's process: what its flags make of the chain."""

from __future__ import annotations

import time
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from p2pool.app.config import load_config
from p2pool.app.simnet import SimnetAssembly
from tests.environment import make_environment


@pytest.mark.parametrize(
    ("rules", "height", "directory"), [(None, None, "60s"), ("v23", None, "60s"), ("v24@7", 7, "60s-v24-7")]
)
def test_each_rule_set_has_a_chain_of_its_own(tmp_path, rules, height, directory):
    """Blocks of one may be invalid by another's rules."""
    flags = () if rules is None else ("--simnet-rules", rules)
    config = load_config(["--net", "simnet", "--datadir", str(tmp_path), *flags], tmp_path)
    reactor: Any = MemoryReactorClock()
    simnet = SimnetAssembly(make_environment(reactor, clock=time.time), config)
    simnet.start_daemon()
    daemon = simnet._daemon
    assert daemon is not None
    assert daemon.chain.rules.v24_height == height
    assert daemon.parameters.withdrawals is (height is not None)
    assert [path.name for path in config.datadir.glob("simulated-dash*")] == [f"simulated-dash-{directory}"]
    if height is not None:
        assert len(daemon.chain.economy.masternode_payees(height - 1, 0)) == 2
        assert len(daemon.chain.economy.masternode_payees(height, 0)) >= 9
    simnet.stop_daemon()
