"""The simulated masternodes, and the proposals that superblocks pay: what RPC methods show of them.

All of it is derived from the rules of the chain, as `economy` derives the payments: nobody votes and no node runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from p2pool.dash.address import encode_address
from p2pool.dash.hashes import sha256d
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.economy import MASTERNODES, Payee
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.parameters import ChainRules
from p2pool.simnet.payloads import PUBLIC_KEY_SIZE
from p2pool.simnet.render import Json, dash

_FIRST_PORT = 20001
_PROPOSAL_SECONDS = 90 * 24 * 3600
_TRIGGER, _PROPOSAL = 2, 1
_NO_COLLATERAL = "00" * 32


@dataclass(frozen=True, slots=True)
class Masternode:
    """One of those that take turns in being paid."""

    turn: int
    registration: str
    """The hash of its registration, 64 hex digits."""
    payee: str

    @property
    def outpoint(self) -> str:
        """Return the collateral, which names the masternode in lists."""
        return f"{self.registration}-0"


def masternode(chain: SimulatedChain, turn: int) -> Masternode:
    """Return the masternode that is paid if the height's remainder by their number is `turn`."""
    registration = chain.rules.derive(f"masternode/{turn}/registration").hex()
    return Masternode(turn, registration, chain.economy.masternode_payee(turn, 0).payee)


def masternodes(chain: SimulatedChain) -> list[Masternode]:
    """Return all of them, in the order of their turns."""
    return [masternode(chain, turn) for turn in range(MASTERNODES)]


def render_masternode(chain: SimulatedChain, node: Masternode) -> Json:
    """Return an entry of `masternode list`."""
    rules, where = chain.rules, f"127.0.0.1:{_FIRST_PORT + node.turn}"
    paid = _last_paid(chain, node.turn)
    versions = rules.addresses

    def key_address(purpose: str) -> str:
        return encode_address(versions.pubkey_hash, rules.derive(f"masternode/{node.turn}/{purpose}")[:20])

    key = b"".join(rules.derive(f"masternode/{node.turn}/operator/{part}") for part in range(2))
    return {
        "proTxHash": node.registration,
        "address": where,
        "addresses": {"core_p2p": [where]},
        "payee": node.payee,
        "status": "ENABLED",
        "type": "Regular",
        "pospenaltyscore": 0,
        "consecutivePayments": 0,
        "lastpaidtime": 0 if paid is None else paid.header.timestamp,
        "lastpaidblock": 0 if paid is None else paid.height,
        "owneraddress": key_address("owner"),
        "votingaddress": key_address("voting"),
        "collateraladdress": key_address("collateral"),
        "pubkeyoperator": key[:PUBLIC_KEY_SIZE].hex(),
    }


def _last_paid(chain: SimulatedChain, turn: int) -> ChainBlock | None:
    height = chain.height - (chain.height - turn) % MASTERNODES
    return chain.active.at(height) if height > 0 else None


def render_payments(chain: SimulatedChain, block: ChainBlock) -> Json:
    """Return an entry of `masternode payments`. The fees of a block that is too old to remember count as none."""
    payees = chain.economy.masternode_payees(block.height, sum(chain.fees(block) or ()))
    amount = sum(payee.amount for payee in payees)
    return {
        "height": block.height,
        "blockhash": block.hash_hex,
        "amount": amount,
        "masternodes": [
            {
                "proTxHash": masternode(chain, block.height % MASTERNODES).registration,
                "amount": amount,
                "payees": [
                    {"address": payee.payee, "script": payee.script.hex(), "amount": payee.amount}
                    for payee in payees
                ],
            }
        ],
    }


def superblock_heights(rules: ChainRules, height: int) -> tuple[int, int]:
    """Return the last superblock height up to `height` (0 if there was none), and the next one after it."""
    interval = rules.superblock_interval
    if interval <= 0:
        return 0, 0
    last = height // interval * interval
    return last, last + interval


def render_objects(chain: SimulatedChain) -> Json:
    """`gobject list`: the trigger of the next superblock, and the proposals that it pays."""
    last, following = superblock_heights(chain.rules, chain.height)
    payees = chain.economy.superblock_payees(following)
    started = chain.active.at(last)
    if not payees or started is None:
        return {}
    created = started.header.timestamp
    proposals = [
        _proposal(chain.rules, payee, number=number, created=created) for number, payee in enumerate(payees)
    ]
    trigger = json.dumps(
        {
            "event_block_height": following,
            "payment_addresses": "|".join(payee.payee for payee in payees),
            "payment_amounts": "|".join(f"{dash(payee.amount):.8f}" for payee in payees),
            "proposal_hashes": "|".join(str(proposal["Hash"]) for proposal in proposals),
            "type": _TRIGGER,
        }
    )
    signed_by = masternode(chain, 0).outpoint
    objects = [
        _object(trigger, kind=_TRIGGER, created=created, collateral=_NO_COLLATERAL, signed_by=signed_by),
        *proposals,
    ]
    return {str(each["Hash"]): each for each in objects}


def _proposal(rules: ChainRules, payee: Payee, *, number: int, created: int) -> Json:
    text = json.dumps(
        {
            "type": _PROPOSAL,
            "name": f"proposal-{number}",
            "start_epoch": created,
            "end_epoch": created + _PROPOSAL_SECONDS,
            "payment_amount": dash(payee.amount),
            "payment_address": payee.payee,
            "url": f"https://example.org/{number}",
        }
    )
    return _object(
        text, kind=_PROPOSAL, created=created, collateral=rules.derive(f"proposal/{number}").hex(), signed_by=None
    )


def _object(text: str, *, kind: int, created: int, collateral: str, signed_by: str | None) -> Json:
    result: Json = {
        "DataHex": text.encode().hex(),
        "DataString": text,
        "Hash": sha256d(text.encode())[::-1].hex(),
        "CollateralHash": collateral,
        "ObjectType": kind,
        "CreationTime": created,
    }
    if signed_by is not None:
        result["SigningMasternode"] = signed_by
    return result | {
        "fBlockchainValidity": True,
        "IsValidReason": "",
        "fCachedValid": True,
        "fCachedFunding": True,
        "fCachedDelete": False,
        "fCachedEndorsed": False,
        "AbsoluteYesCount": 1,
        "YesCount": 1,
        "NoCount": 0,
        "AbstainCount": 0,
    }
