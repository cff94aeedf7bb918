"""The first block of a simulated chain: a function of its rules, and the only block without proof of work."""

from __future__ import annotations

from p2pool.dash.block import Block, BlockHeader
from p2pool.dash.hashes import sha256d_int
from p2pool.dash.merkle import merkle_root
from p2pool.dash.script import coinbase_script
from p2pool.dash.transaction import COINBASE_TYPE, NO_INDEX, Transaction, TxInput, TxOutput
from p2pool.simnet.economy import Economy
from p2pool.simnet.ledger import FAUCET_SCRIPT
from p2pool.simnet.parameters import ChainRules
from p2pool.simnet.validation import DecodedBlock
from p2pool.wire.codec import pack_varint

GENESIS_TIME = 1_700_000_000
"""Seconds: 14 November 2023, the past of every clock that runs a simulation."""

_FAUCET_OUTPUTS = 64
_FAUCET_VALUE = 1000 * 100_000_000


def genesis_block(rules: ChainRules) -> DecodedBlock:
    """Return the genesis, with the outputs that the simulation's own transactions spend."""
    name = b"p2pool simnet " + rules.fingerprint().hex().encode()
    coinbase = Transaction(
        3,
        COINBASE_TYPE,
        (TxInput(0, NO_INDEX, coinbase_script(0, b"", bytes([len(name)]) + name)),),
        (TxOutput(_FAUCET_VALUE, FAUCET_SCRIPT),) * _FAUCET_OUTPUTS,
        0,
        Economy(rules).coinbase_payload(0).pack(),
    )
    hashes = (sha256d_int(coinbase.pack()),)
    header = BlockHeader(1, 0, merkle_root(hashes), GENESIS_TIME, rules.initial_bits, 0)
    raw = header.pack() + pack_varint(1) + coinbase.pack()
    return DecodedBlock(Block(header, (coinbase,)), raw, header.hash(), hashes)
