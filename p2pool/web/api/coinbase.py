"""The coinbase that the next block would have: what proves who would get what. /api/v1/coinbase.

It is made of the same value that miners' jobs are (`WorkContext`), once for each, and says of every output who it
is. Every job has a coinbase of its own, which differs in two places only: who finds the block gets a fiftieth, and
what it commits to.
"""

from __future__ import annotations

from typing import Any, Final

from p2pool.dash.hashes import hash_hex, optional_hash_hex
from p2pool.dash.script import p2pkh_script
from p2pool.jobs.context import WorkContext
from p2pool.node import Node
from p2pool.share.payouts import MINER, PAYMENT, Payouts, gentx_prefix
from p2pool.web.api.endpoint import Endpoint, amount
from p2pool.web.api.schema import AMOUNT, HASH, TIME, array, boolean, count, nullable, record, text, words
from p2pool.web.sources import Snapshot, script_to_text

_REF_HASH, _NONCE = 32, 8
_COMMITMENT: Final = b"\x6a\x28"
_CREDIT_POOL: Final = b"\x6a"
"""OP_RETURN alone: what Dash's platform is credited with."""
KINDS: Final = ("miner", "masternode", "credit_pool", "donation", "commitment")


def paid_to_miners(snapshot: Snapshot) -> dict[str, int] | None:
    """Return duffs by address in the next block's coinbase, without the finder's part and what the chain itself
    pays; None without work. Computed once for each work context."""
    return snapshot.per_work(_paid_to_miners)


def _paid_to_miners(snapshot: Snapshot, context: WorkContext) -> dict[str, int]:
    table = context.payouts
    rest = table.payout - table.finder_bonus - sum(table.amounts.values())
    paid: dict[str, int] = {}
    for script, duffs in (*table.amounts.items(), (table.donation_script, rest)):
        if duffs:
            address = script_to_text(snapshot.node, script)
            paid[address] = paid.get(address, 0) + duffs
    return paid


def finder_part(snapshot: Snapshot) -> int | None:
    """Return the duffs that the finder of the block gets in addition; None without work."""
    context = snapshot.node.context
    return None if context is None else context.payouts.finder_bonus


def coinbase(snapshot: Snapshot) -> dict[str, Any] | None:
    """Return the JSON of /api/v1/coinbase; None without work."""
    return snapshot.per_work(_coinbase)


def _coinbase(snapshot: Snapshot, context: WorkContext) -> dict[str, Any]:
    own = {p2pkh_script(each.key_hash) for each in snapshot.sources.payouts.addresses}
    newest = snapshot.sources.payouts.newest
    table, template = context.payouts, context.template
    finder = table.donation_script if newest is None else p2pkh_script(newest.key_hash)
    prefix = gentx_prefix(table, finder, coinbase=context.coinbase, has_payload=bool(template.coinbase_payload))
    whole = prefix + bytes(_REF_HASH + _NONCE) + context.suffix
    return {
        "height": template.height,
        "previous_block": hash_hex(template.previous_block),
        "parent_share": optional_hash_hex(context.parent.previous_hash),
        "time": context.created,
        "total": amount(template.subsidy),
        "finder": {"address": script_to_text(snapshot.node, finder), "amount": amount(table.finder_bonus)},
        "hex": whole.hex(),
        "parts": _parts(len(prefix), len(whole), context),
        "outputs": _outputs(snapshot.node, table, finder=finder, own=own),
    }


def _outputs(node: Node, table: Payouts, *, finder: bytes, own: set[bytes]) -> list[dict[str, Any]]:
    """Return all outputs in the transaction's order, which is the share-chain format's: miners by their
    scripts, what the chain pays, the donation, the commitment. Thousands of them take some ten milliseconds."""
    nothing = amount(0)
    bonus = nothing if finder == table.donation_script else amount(table.finder_bonus)

    def output(kind: str, script: bytes, duffs: int) -> dict[str, Any]:
        shown = script_to_text(node, script)
        return {
            "kind": kind,
            "script": script.hex(),
            "address": None if shown[0] == "!" else shown,
            "amount": amount(duffs),
            "finder_part": bonus if kind == MINER and script == finder else nothing,
            "own": script in own,
        }

    return [
        *(output(_kind(made, script), script, duffs) for made, script, duffs in table.outputs_for(finder)),
        output("commitment", _COMMITMENT + bytes(_REF_HASH + _NONCE), 0),
    ]


def _kind(made: str, script: bytes) -> str:
    if made != PAYMENT:
        return made
    return "credit_pool" if script == _CREDIT_POOL else "masternode"


PARTS: Final = {
    "version": "version and type: 3 and 5 if there is a payload, otherwise 1 and 0",
    "input": "the only input; it spends nothing: a coinbase creates new coins",
    "script": "the coinbase script: the block height, then data of the pool",
    "sequence": "all ones",
    "outputs": "their number, then the amount and script of each; the commitment starts at the end",
    "ref_hash": "commits to the share; zeros here, because each job has its own",
    "nonce": "varied by the miner; zeros here",
    "lock_time": "no lock time",
    "payload": "required by Dash: height, merkle roots, ChainLock, credit pool",
}
"""The stretches of the transaction in their order, and what each of them is."""


def _parts(prefix: int, whole: int, context: WorkContext) -> list[dict[str, Any]]:
    """Return the transaction's stretches in their order, without gaps."""
    script = 4 + 1 + 36
    script_length = 1 + len(context.coinbase)  # it has at most 100 bytes
    outputs = script + script_length + 4
    ends = {
        "version": 4,
        "input": script,
        "script": script + script_length,
        "sequence": outputs,
        "outputs": prefix,
        "ref_hash": prefix + _REF_HASH,
        "nonce": prefix + _REF_HASH + _NONCE,
        "lock_time": prefix + _REF_HASH + _NONCE + 4,
        "payload": whole,
    }
    parts, start = [], 0
    for name, end in ends.items():
        if end > start:
            parts.append({"name": name, "from": start, "length": end - start, "text": PARTS[name]})
        start = end
    return parts


ENDPOINTS = (
    Endpoint(
        "/api/v1/coinbase",
        "The coinbase transaction of the next block, and whom it pays; null without work. Each job has its "
        "own coinbase, which differs in the finder's output, ref_hash and nonce",
        nullable(
            record(
                height=count("height of the block"),
                previous_block=HASH,
                parent_share=nullable({**HASH, "description": "the share that the next share builds on"}),
                time={**TIME, "description": "when this work was made, Unix seconds"},
                total=AMOUNT,
                finder=record(
                    "the finder's bonus, 2% of what miners are paid; here it goes to this node",
                    address=text(),
                    amount=AMOUNT,
                ),
                hex=text(
                    "the whole transaction, with zeros in place of the bytes that differ between jobs",
                    pattern="^([0-9a-f]{2})+$",
                ),
                parts=array(
                    record(
                        **{
                            "name": words(*PARTS),
                            "from": count("offset of its first byte"),
                            "length": count("bytes"),
                            "text": text(),
                        }
                    ),
                    "consecutive parts that make up the whole transaction",
                ),
                outputs=array(
                    record(
                        kind=words(
                            *KINDS,
                            description="masternode: a masternode or, in a superblock, a proposal; "
                            "credit_pool: Dash Platform; commitment: no payment; commits to "
                            "the share",
                        ),
                        script=text("hexadecimal"),
                        address=nullable(text("null if the script has no address")),
                        amount=AMOUNT,
                        finder_part={**AMOUNT, "description": "the part of the amount that is the finder's bonus"},
                        own=boolean("whether it pays this node's own address: its fee"),
                    ),
                    "in transaction order",
                ),
            )
        ),
        view=coinbase,
    ),
)
