"""What a simulated Dash Core is made with, and the rules of its chain that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from p2pool.dash.address import AddressVersions
from p2pool.dash.hashes import sha256d
from p2pool.dash.target import average_attempts_to_target, bits_to_target, target_to_bits
from p2pool.networks import SIMNET, ParentChain
from p2pool.simnet.settings import SimnetSettings

EASIEST_BITS = 0x207FFFFF
"""The easiest compact target that the chain allows: regtest's."""

VERSION = 230102
"""The Dash Core that is simulated: 23.1.2."""

DEFAULT_BLOCK_MAX_SIZE = 1_850_000
"""Bytes. Dash Core's own default, 2,000,000, leaves no room for a coinbase that pays a whole pool."""

MAX_OWNERS = 8
"""Owners of a masternode, as in Dash Core 24."""

MAX_CONNECT = 8
"""Other daemons that are dialled: as many as Dash Core takes with -addnode."""


@dataclass(frozen=True, slots=True)
class SimnetParameters:
    """All that the operator (or a test) can choose. Durations in seconds; port 0 is any free port."""

    parent: ParentChain = SIMNET.parent
    """Magic, address versions, and the chain's name in answers."""
    data_directory: Path | None = None
    """Where blocks and .cookie are kept; None keeps the chain in memory."""
    rpc_host: str = "127.0.0.1"
    """The address that both listeners bind to."""
    rpc_port: int = 0
    p2p_port: int = 0
    rpc_user: str | None = None
    rpc_password: str | None = None
    """Both None: credentials are made up, and written to .cookie if there is a data directory."""
    block_period: float = SimnetSettings.simnet_block_period
    """What the difficulty is steered towards."""
    initial_attempts: int = 2**20
    """Hashes that the first block takes on average; the chain never becomes easier."""
    transaction_period: float = 3.0
    """The average time between the transactions that the simulation makes itself; 0 for none."""
    mempool_limit: int = 200
    """Waiting transactions at most."""
    superblock_interval: int = 10
    """Every so many blocks a superblock; 0 for none."""
    commitment_interval: int = 16
    """Every so many blocks a quorum commitment; 0 for none."""
    long_poll_patience: float = 60.0
    """After this time a long poll is also answered because the mempool grew."""
    seed: int = 0
    zmq_port: int | None = None
    """Where `hashblock` is published (on `rpc_host`); None publishes nothing."""
    connect: tuple[tuple[str, int], ...] = ()
    """Hosts and p2p ports of other daemons whose chain is to be followed, at most MAX_CONNECT."""
    reported_version: int = VERSION
    """What getnetworkinfo reports as `version`; the texts with a version in them follow it."""
    signalling_until: int = 0
    """Up to this height templates ask miners to signal the soft fork `testdummy` by a version bit."""
    v24_height: int | None = None
    """From this height on the rules of Dash Core 24 hold (coinbase payload version 4, asset unlocks of version 2,
    transactions of types 10 to 12, several owners of a masternode); None for never. See `rule_sets`."""
    owner_payouts: int = 1
    """Owners that a masternode has from `v24_height` on, at most MAX_OWNERS."""
    withdrawals: bool = False
    """Whether the simulation makes asset unlocks by itself, some of which are signed again before they are
    mined."""
    block_max_size: int = DEFAULT_BLOCK_MAX_SIZE
    """`blockmaxsize` of dash.conf: bytes that templates are filled to, with 1000 for the coinbase."""
    wallet: bool = True
    """Whether there is getnewaddress: a Dash Core can be built without its wallet."""

    @property
    def chain_name(self) -> str:
        """Return what getblockchaininfo reports as `chain`."""
        return self.parent.chain or "regtest"


@dataclass(frozen=True, slots=True)
class ChainRules:
    """What decides whether a block is valid. Chains whose rules differ in what Dash Core 24 brings only share
    their genesis: a daemon that was not upgraded follows the others' chain up to the height where the rules
    change."""

    addresses: AddressVersions
    block_period: float
    initial_bits: int
    superblock_interval: int
    commitment_interval: int
    seed: int
    v24_height: int | None = field(default=None, repr=False)
    owner_payouts: int = field(default=1, repr=False)

    @property
    def initial_target(self) -> int:
        """Return the easiest target of this chain."""
        return bits_to_target(self.initial_bits)

    def fingerprint(self) -> bytes:
        """Return 16 bytes that differ if the rules at the genesis do; they are part of it."""
        return sha256d(repr(self).encode())[:16]

    def is_v24(self, height: int) -> bool:
        """Return whether the rules of Dash Core 24 hold for the block at this height."""
        return self.v24_height is not None and height >= self.v24_height

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes that depend on the seed and on their purpose."""
        return sha256d(f"p2pool simnet/{self.seed}/{purpose}".encode())


def chain_rules(parameters: SimnetParameters) -> ChainRules:
    """Return the rules that follow from the parameters."""
    target = min(average_attempts_to_target(max(1, parameters.initial_attempts)), bits_to_target(EASIEST_BITS))
    return ChainRules(
        addresses=parameters.parent.addresses,
        block_period=parameters.block_period,
        initial_bits=target_to_bits(target),
        superblock_interval=parameters.superblock_interval,
        commitment_interval=parameters.commitment_interval,
        seed=parameters.seed,
        v24_height=parameters.v24_height,
        owner_payouts=min(parameters.owner_payouts, MAX_OWNERS),
    )
