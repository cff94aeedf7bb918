"""The network constants against those of the existing software."""

from __future__ import annotations

from dataclasses import fields

import pytest

from p2pool.networks import DASH_REGTEST, DASH_TESTNET, NETWORKS, SIMNET
from p2pool.networks.parameters import ANNOUNCED_PROTOCOL, MINIMUM_PROTOCOL, SHARE_VERSION, Network
from p2pool.share.votes import C2POOL_FLOOR
from tests.e2e.c2pool_network import C2POOL_REGTEST
from tests.support import vectors

VECTORS = vectors("networks")


@pytest.mark.parametrize("name", sorted(VECTORS["networks"]))
def test_constants(name):
    expected, network = VECTORS["networks"][name], NETWORKS[name]
    assert network.identifier.hex() == expected["IDENTIFIER"]
    assert network.prefix.hex() == expected["PREFIX"]
    assert network.coinbase_extension.hex() == expected["COINBASEEXT"]
    assert network.max_target == int(expected["MAX_TARGET"], 16)
    assert network.min_target == int(expected["MIN_TARGET"], 16)
    for ours, theirs in (
        (network.share_period, "SHARE_PERIOD"),
        (network.chain_length, "CHAIN_LENGTH"),
        (network.real_chain_length, "REAL_CHAIN_LENGTH"),
        (network.target_lookbehind, "TARGET_LOOKBEHIND"),
        (network.spread, "SPREAD"),
        (network.p2p_port, "P2P_PORT"),
        (network.worker_port, "WORKER_PORT"),
        (network.persist, "PERSIST"),
        (list(network.bootstrap), "BOOTSTRAP_ADDRS"),
    ):
        assert ours == [x for x in expected[theirs] if x] if isinstance(ours, list) else ours == expected[theirs]
    parent, theirs = network.parent, expected["parent"]
    assert parent.p2p_magic.hex() == theirs["P2P_PREFIX"]
    assert parent.p2p_port == theirs["P2P_PORT"]
    assert parent.block_period == theirs["BLOCK_PERIOD"]
    assert parent.dust_threshold == theirs["DUST_THRESHOLD"]
    assert parent.symbol == theirs["SYMBOL"]
    if name != "dash_regtest":  # Dash Core's own default differs from the existing software's there
        assert parent.rpc_port == theirs["RPC_PORT"]


def test_versions():
    assert VECTORS["share_version"] == SHARE_VERSION
    assert VECTORS["protocol_version"] == MINIMUM_PROTOCOL  # what legacy p2pool-dash announces
    assert ANNOUNCED_PROTOCOL >= C2POOL_FLOOR == 3600  # the highest that c2pool-dash can demand


def test_the_simulated_network_cannot_be_taken_for_another():
    others = [n for n in NETWORKS.values() if n is not SIMNET]
    assert all(SIMNET.identifier != n.identifier and SIMNET.prefix != n.prefix for n in others)
    ports = [p for n in NETWORKS.values() for p in (n.p2p_port, n.worker_port)]
    assert len(set(ports)) == len(ports)
    assert len(SIMNET.coinbase_extension) == SIMNET.coinbase_extension[0] + 1


def test_the_network_beside_c2pool_is_the_test_networks_share_chain_on_regtest_and_no_choice_of_users():
    assert C2POOL_REGTEST.name not in NETWORKS
    assert C2POOL_REGTEST.parent == DASH_REGTEST.parent
    assert C2POOL_REGTEST.bootstrap == ()
    own = {"name", "parent", "bootstrap", "start_difficulty", "min_difficulty"}
    for field in fields(Network):
        if field.name not in own:
            assert getattr(C2POOL_REGTEST, field.name) == getattr(DASH_TESTNET, field.name), field.name
