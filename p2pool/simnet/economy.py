"""Who is paid how much by a block, and what its coinbase payload says: functions of the rules and the height.

As Dash Core does after mn_rr (captures 30, 60, 61 and 71): three quarters of subsidy and fees belong to the
masternodes; of the subsidy's part of that, 37.5 % are burnt for the credit pool ("6a"), the rest goes to one
masternode. Superblock amounts come on top. The yearly decline of the subsidy is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.address import encode_address
from p2pool.dash.hashes import sha256d
from p2pool.dash.script import p2pkh_script, p2sh_script
from p2pool.dash.transaction import QUORUM_COMMITMENT_TYPE, Transaction
from p2pool.simnet.parameters import ChainRules
from p2pool.simnet.payloads import BitSet, CoinbasePayload, QuorumCommitment
from p2pool.simnet.special import NO_EFFECTS, SpecialEffects

BLOCK_SUBSIDY = 371_733_134
"""Duffs of every block, without superblock amounts."""

BURN_SCRIPT = b"\x6a"
"""A bare OP_RETURN: what the platform's share is paid to."""

MASTERNODES = 8
"""How many take turns in being paid."""

SHARED_MASTERNODE = 6
"""Whose turn it is when the owners share the collateral (Dash Core 24)."""
COLLATERAL = 1000 * 100_000_000
"""Duffs that a masternode locks."""

_MASTERNODE_LIST_PERIOD = 24
_SUPERBLOCK_P2PKH_AMOUNT = 150_000_000
_SUPERBLOCK_P2SH_AMOUNT = 225_000_000
_SUPERBLOCK_STEP = 1_000_000
_TEST_QUORUM_TYPE = 100
_TEST_QUORUM_SIZE = 3


@dataclass(frozen=True, slots=True)
class Payee:
    """A payment that a block must contain. `payee` is the address, "" for the burn; `amount` in duffs."""

    payee: str
    script: bytes
    amount: int


def masternode_share(amount: int) -> int:
    """Return what masternodes get of an amount of subsidy or fees (duffs)."""
    return amount * 3 // 4


def burn_amount(subsidy: int) -> int:
    """Return what of the subsidy is burnt for the credit pool (duffs)."""
    return masternode_share(subsidy) * 375 // 1000


class Economy:
    """The payments and payloads of a chain with given rules. Stateless but for the rules."""

    __slots__ = ("_rules",)

    def __init__(self, rules: ChainRules) -> None:
        self._rules = rules

    def is_superblock(self, height: int) -> bool:
        """Return whether superblock payees are due at this height."""
        interval = self._rules.superblock_interval
        return interval > 0 and height > 0 and height % interval == 0

    def superblock_payees(self, height: int) -> tuple[Payee, ...]:
        """Return a key and a script payee at a superblock height, else nothing."""
        if not self.is_superblock(height):
            return ()
        extra = height // self._rules.superblock_interval % 7 * _SUPERBLOCK_STEP
        return (
            self._key_payee("superblock/key", _SUPERBLOCK_P2PKH_AMOUNT + extra),
            self._script_payee("superblock/script", _SUPERBLOCK_P2SH_AMOUNT + 2 * extra),
        )

    def masternode_payees(self, height: int, fees: int) -> tuple[Payee, ...]:
        """Return the burn and the masternode whose turn it is; one in eight is paid to a script address."""
        burn = burn_amount(BLOCK_SUBSIDY)
        amount = masternode_share(BLOCK_SUBSIDY + fees) - burn
        turn, platform = height % MASTERNODES, Payee("", BURN_SCRIPT, burn)
        if self._rules.is_v24(height) and self._rules.owner_payouts > 1:
            return platform, *self._owners(turn, amount)
        return platform, self.masternode_payee(turn, amount)

    def _owners(self, turn: int, amount: int) -> tuple[Payee, ...]:
        """Return several owners, with different shares, and for every other masternode an operator, as Dash Core
        24 divides an amount: parts in hundredths of a percent, the last owner gets what is left. One masternode is
        shared: its owners' parts are those that each has of the collateral, to the duff."""
        count = self._rules.owner_payouts
        operator = amount * 1234 // 10_000 if turn % 2 else 0
        left = owned = amount - operator
        whole = COLLATERAL if turn == SHARED_MASTERNODE else 10_000
        payees = []
        for number in range(1, count):
            part = owned * (whole * number // (count * (count + 1) // 2)) // whole
            payees.append(self._key_payee(f"masternode/{turn}/owner/{number}", part))
            left -= part
        payees.append(self.masternode_payee(turn, left))
        if operator:
            payees.append(self._key_payee(f"masternode/{turn}/operator", operator))
        return tuple(payees)

    def masternode_payee(self, turn: int, amount: int) -> Payee:
        """Return where the masternode of that turn (0 to MASTERNODES - 1) is paid; `amount` in duffs."""
        make = self._script_payee if turn == MASTERNODES - 1 else self._key_payee
        return make(f"masternode/{turn}", amount)

    def coinbase_value(self, height: int, fees: int) -> int:
        """Return what the coinbase may pay out at most (duffs)."""
        return BLOCK_SUBSIDY + fees + sum(payee.amount for payee in self.superblock_payees(height))

    def coinbase_payload(
        self, height: int, effects: SpecialEffects = NO_EFFECTS, unlocked: int = 0
    ) -> CoinbasePayload:
        """Return what the payload of the coinbase at this height must be. Like regtest's: no ChainLocks, no
        quorums.

        `effects` are those of the block's transactions, `unlocked` duffs left the credit pool before.
        """
        epoch = height // _MASTERNODE_LIST_PERIOD
        root = self._rules.derive(f"masternode list/{epoch}")
        for provider in effects.providers:
            root = sha256d(root + provider.to_bytes(32, "little"))
        return CoinbasePayload(
            version=4 if self._rules.is_v24(height) else 3,
            height=height,
            masternode_list_root=int.from_bytes(root, "little"),
            credit_pool_balance=self.credit_pool(height, unlocked) - effects.unlocked,
            asset_unlocks_root=effects.unlocks_root,
        )

    def credit_pool(self, height: int, unlocked: int) -> int:
        """Return the duffs in the credit pool after the block at this height if `unlocked` have left it."""
        return height * burn_amount(BLOCK_SUBSIDY) - unlocked

    def commitments(self, height: int, previous_block: int) -> tuple[Transaction, ...]:
        """Return the quorum commitments that a block must begin with: a null commitment every so many blocks."""
        interval = self._rules.commitment_interval
        if interval <= 0 or height % interval:
            return ()
        nobody = BitSet(_TEST_QUORUM_SIZE, bytes(1))
        payload = QuorumCommitment(height, 3, _TEST_QUORUM_TYPE, previous_block, None, nobody, nobody)
        return (Transaction(3, QUORUM_COMMITMENT_TYPE, (), (), 0, payload.pack()),)

    def _key_payee(self, purpose: str, amount: int) -> Payee:
        key_hash = self._rules.derive(purpose)[:20]
        address = encode_address(self._rules.addresses.pubkey_hash, key_hash)
        return Payee(address, p2pkh_script(key_hash), amount)

    def _script_payee(self, purpose: str, amount: int) -> Payee:
        script_hash = self._rules.derive(purpose)[:20]
        address = encode_address(self._rules.addresses.script_hash, script_hash)
        return Payee(address, p2sh_script(script_hash), amount)
