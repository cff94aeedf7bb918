"""The four parameter sets."""

from __future__ import annotations

from dataclasses import replace

from p2pool.dash.address import AddressVersions
from p2pool.networks.parameters import Network, ParentChain

_MAIN_PARENT = ParentChain(
    name="dash",
    chain="main",
    known_block="00000ffd590b1485b3caadc19b22e6379c733355108f107a430458cdf3407ab6",
    p2p_magic=bytes.fromhex("bf0c6bbd"),
    p2p_port=9999,
    rpc_port=9998,
    addresses=AddressVersions(pubkey_hash=76, script_hash=16),
    block_period=150,
    dust_threshold=100_000,
    symbol="DASH",
    conf_section="main",
    conf_subdirectory="",
)

_TEST_PARENT = replace(
    _MAIN_PARENT,
    name="dash_testnet",
    chain=None,
    known_block="00000bafbc94add76cb75e2ec92894837288a481e5c005f6563d91623bf8bc2c",
    p2p_magic=bytes.fromhex("cee2caff"),
    p2p_port=19999,
    rpc_port=19998,
    addresses=AddressVersions(pubkey_hash=140, script_hash=19),
    symbol="tDASH",
    conf_section="test",
    conf_subdirectory="testnet3",
)

_REGTEST_PARENT = replace(
    _TEST_PARENT,
    name="dash_regtest",
    chain="regtest",
    known_block=None,
    p2p_magic=bytes.fromhex("fcc1b7dc"),
    p2p_port=19899,
    rpc_port=19898,
    symbol="rDASH",
    conf_section="regtest",
    conf_subdirectory="regtest",
)

DASH = Network(
    name="dash",
    parent=_MAIN_PARENT,
    identifier=bytes.fromhex("7242ef345e1bed6b"),
    prefix=bytes.fromhex("3b3e1286f446b891"),
    coinbase_extension=bytes.fromhex("0d2f5032506f6f6c2d444153482f"),
    share_period=20,
    chain_length=4320,
    real_chain_length=4320,
    target_lookbehind=100,
    spread=10,
    max_target=0xFFFF << 208,
    min_target=0,
    p2p_port=8999,
    worker_port=7903,
    bootstrap=("rov.p2p-spb.xyz",),
    persist=True,
)

DASH_TESTNET = replace(
    DASH,
    name="dash_testnet",
    parent=_TEST_PARENT,
    identifier=bytes.fromhex("b6deb1e543fe2427"),
    prefix=bytes.fromhex("198b644f6821e3b3"),
    coinbase_extension=bytes.fromhex("0e2f5032506f6f6c2d74444153482f"),
    max_target=2**256 // 2**20 - 1,
    p2p_port=18999,
    worker_port=17903,
    bootstrap=(
        "p2pool.dashninja.pl",
        "test.p2pool.masternode.io",
        "test.p2pool.dash.siampm.com",
    ),
    persist=False,
    start_difficulty=1.0,
)

DASH_REGTEST = replace(
    DASH,
    name="dash_regtest",
    parent=_REGTEST_PARENT,
    identifier=bytes.fromhex("e8d4e5c6f7a8b9c0"),
    prefix=bytes.fromhex("c0d1e2f3a4b5c6d7"),
    coinbase_extension=bytes.fromhex("0f2f5032506f6f6c2d724441534828"),
    share_period=10,
    chain_length=100,
    real_chain_length=100,
    target_lookbehind=10,
    spread=3,
    max_target=2**256 - 1,
    p2p_port=19799,
    worker_port=19703,
    bootstrap=(),
    persist=False,
    start_difficulty=0.001,
)

# A private network for trying things: the embedded simulated Dash Core behaves like a regtest one, on ports of
# its own, and shares come fast enough to watch (one in five seconds, retargeted over the last 20).
SIMNET = replace(
    DASH_REGTEST,
    name="simnet",
    parent=replace(
        _REGTEST_PARENT, name="simnet", symbol="sDASH", p2p_port=19889, rpc_port=19888, block_period=60
    ),
    identifier=bytes.fromhex("73696d6e65742d31"),
    prefix=bytes.fromhex("d1b5a3f07c2e9846"),
    coinbase_extension=b"\x0e/P2Pool-sDASH/",
    share_period=5,
    chain_length=720,
    real_chain_length=720,
    target_lookbehind=20,
    spread=10,
    max_target=2**256 // 2**12 - 1,
    p2p_port=19789,
    worker_port=19783,
    min_difficulty=2.0**-20,
)
