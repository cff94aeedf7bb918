"""Chain values as Dash Core's JSON: keys, order and types follow the captures of v23. Called by `rpc_methods`."""

from __future__ import annotations

from p2pool.base.errors import ParseError
from p2pool.dash.address import AddressVersions
from p2pool.dash.hashes import hash_hex
from p2pool.dash.target import bits_to_target
from p2pool.dash.transaction import COINBASE_TYPE, QUORUM_COMMITMENT_TYPE, Transaction, TxOutput
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.economy import Payee
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.mempool import Mempool, MempoolEntry
from p2pool.simnet.parameters import ChainRules
from p2pool.simnet.payloads import (
    BitSet,
    CoinbasePayload,
    QuorumCommitment,
    parse_coinbase_payload,
    parse_quorum_commitment,
)
from p2pool.simnet.scripts import assembly, descriptor, script_address, script_type
from p2pool.simnet.template import SimulatedTemplate, TemplateEntry
from p2pool.wire.codec import pack_uint32, pack_uint256

Json = dict[str, object]
_DUFFS = 100_000_000


def dash(duffs: int) -> float:
    """Return an amount as JSON shows it."""
    return duffs / _DUFFS


def bits_difficulty(bits: int) -> float:
    """Return the difficulty as Dash Core computes and prints it: from the compact form, 16 digits."""
    shift, mantissa = bits >> 24, bits & 0xFFFFFF
    return float(f"{0xFFFF / mantissa * 256.0 ** (29 - shift):.16g}")


# --- templates ----------------------------------------------------------------------------------------------


def _payee(payee: Payee) -> Json:
    return {"payee": payee.payee, "script": payee.script.hex(), "amount": payee.amount}


def _template_transaction(transaction: TemplateEntry) -> Json:
    return {
        "data": transaction.raw.hex(),
        "hash": hash_hex(transaction.hash),
        "depends": list(transaction.depends),
        "fee": transaction.fee,
        "sigops": transaction.signature_operations,
    }


def render_template(template: SimulatedTemplate, signals: Json, now: float, *, superblocks: bool) -> Json:
    """Return a getblocktemplate answer. `signals` are its version, rules and vbavailable."""
    previous_hash = template.previous.hash_hex
    return {
        "capabilities": ["proposal"],
        **signals,
        "vbrequired": 0,
        "previousblockhash": previous_hash,
        "transactions": [_template_transaction(transaction) for transaction in template.transactions],
        "coinbaseaux": {},
        "coinbasevalue": template.coinbase_value,
        "longpollid": f"{previous_hash}{template.updates}",
        "target": hash_hex(bits_to_target(template.bits)),
        "mintime": template.minimum_time,
        "mutable": ["time", "transactions", "prevblock"],
        "noncerange": "00000000ffffffff",
        "sigoplimit": 40000,
        "sizelimit": 2000000,
        "curtime": max(int(now), template.minimum_time),
        "bits": f"{template.bits:08x}",
        "previousbits": f"{template.previous.header.bits:08x}",
        "height": template.height,
        "masternode": [_payee(payee) for payee in template.masternode],
        "masternode_payments_started": True,
        "masternode_payments_enforced": True,
        "superblock": [_payee(payee) for payee in template.superblock],
        "superblocks_started": superblocks,
        "superblocks_enabled": superblocks,
        "coinbase_payload": template.coinbase_payload.hex(),
    }


# --- blocks -------------------------------------------------------------------------------------------------


def render_header(chain: SimulatedChain, block: ChainBlock) -> Json:
    """Return a getblockheader answer, and the start of a getblock one."""
    header = block.header
    active = block in chain.active
    result: Json = {
        "hash": block.hash_hex,
        "confirmations": chain.height - block.height + 1 if active else -1,
        "height": block.height,
        "version": header.version,
        "versionHex": f"{header.version:08x}",
        "merkleroot": hash_hex(header.merkle_root),
        "time": header.timestamp,
        "mediantime": block.median_time,
        "nonce": header.nonce,
        "bits": f"{header.bits:08x}",
        "difficulty": bits_difficulty(header.bits),
        "chainwork": hash_hex(block.work),
        "nTx": block.transaction_count,
    }
    if block.previous is not None:
        result["previousblockhash"] = block.previous.hash_hex
    following = chain.active.after(block)
    if following is not None:
        result["nextblockhash"] = following.hash_hex
    result["chainlock"] = chain.is_locked(block)
    return result


def render_block(chain: SimulatedChain, block: ChainBlock, full: bool) -> Json:
    """Return a getblock answer of verbosity 1 or, `full`, 2. OSError if the disk fails."""
    decoded = chain.read(block)
    result = render_header(chain, block)
    result["size"] = block.size
    if full:
        fees = chain.fees(block)
        versions = chain.rules.addresses
        locked = chain.is_locked(block)
        result["tx"] = [
            render_transaction(
                transaction,
                hash_,
                versions,
                fee=None if fees is None or i == 0 else fees[i - 1],
                locked=locked,
            )
            for i, (transaction, hash_) in enumerate(
                zip(decoded.block.transactions, decoded.transaction_hashes, strict=True)
            )
        ]
    else:
        result["tx"] = [hash_hex(hash_) for hash_ in decoded.transaction_hashes]
    payload = _coinbase_payload(decoded.coinbase)
    if payload is not None:
        result["cbTx"] = payload
    return result


def render_transaction(
    transaction: Transaction, hash_: int, versions: AddressVersions, *, fee: int | None, locked: bool = False
) -> Json:
    """Return a transaction as getblock shows it; `fee` in duffs, None for a coinbase or if it is not known.

    `locked` is whether its block is chainlocked, which counts as much as an InstantSend lock of its own."""
    raw = transaction.pack()
    result: Json = {
        "txid": hash_hex(hash_),
        "version": transaction.version,
        "type": transaction.type,
        "size": len(raw),
        "locktime": transaction.lock_time,
        "vin": _inputs(transaction),
        "vout": [_output(output, index, versions) for index, output in enumerate(transaction.outputs)],
    }
    if transaction.has_payload:
        result["extraPayloadSize"] = len(transaction.extra_payload)
        result["extraPayload"] = transaction.extra_payload.hex()
        payload = _coinbase_payload(transaction)
        if payload is not None:
            result["cbTx"] = payload
        commitment = _commitment(transaction)
        if commitment is not None:
            result["qcTx"] = commitment
    if transaction.has_stable_hash:
        result["instanceHash"] = hash_hex(transaction.instance_hash)
    if fee is not None:
        result["fee"] = dash(fee)
    result["hex"] = raw.hex()
    result["instantlock"] = locked
    result["instantlock_internal"] = False
    return result


def render_transaction_in_block(
    chain: SimulatedChain, block: ChainBlock, hash_: int, *, in_active_chain: bool
) -> Json | None:
    """Return a getrawtransaction answer; None if the block does not hold it. OSError if the disk fails.

    `in_active_chain` is whether to say if the block is in the best chain: only to who named it."""
    decoded = chain.read(block)
    if hash_ not in decoded.transaction_hashes:
        return None
    transaction = decoded.block.transactions[decoded.transaction_hashes.index(hash_)]
    active, locked = block in chain.active, chain.is_locked(block)
    result: Json = {"in_active_chain": active} if in_active_chain else {}
    result |= render_transaction(transaction, hash_, chain.rules.addresses, fee=None, locked=locked)
    locks = {name: result.pop(name) for name in ("instantlock", "instantlock_internal")}
    result["blockhash"] = block.hash_hex
    result["height"] = block.height if active else -1
    result["confirmations"] = chain.height - block.height + 1 if active else 0
    if active:
        result["time"] = result["blocktime"] = block.header.timestamp
    return result | locks | {"chainlock": locked}


def _inputs(transaction: Transaction) -> list[Json]:
    if transaction.is_coinbase:
        only = transaction.inputs[0]
        return [{"coinbase": only.script.hex(), "sequence": only.sequence}]
    return [
        {
            "txid": hash_hex(item.previous_hash),
            "vout": item.previous_index,
            "scriptSig": {"asm": assembly(item.script), "hex": item.script.hex()},
            "sequence": item.sequence,
        }
        for item in transaction.inputs
    ]


def _output(output: TxOutput, index: int, versions: AddressVersions) -> Json:
    script: Json = {
        "asm": assembly(output.script),
        "desc": descriptor(output.script, versions),
        "hex": output.script.hex(),
    }
    address = script_address(output.script, versions)
    if address is not None:
        script["address"] = address
    script["type"] = script_type(output.script)
    return {"value": dash(output.value), "valueSat": output.value, "n": index, "scriptPubKey": script}


def _coinbase_payload(transaction: Transaction) -> Json | None:
    if transaction.type != COINBASE_TYPE:
        return None
    try:
        return render_coinbase_payload(parse_coinbase_payload(transaction.extra_payload))
    except ParseError:
        return None


def render_coinbase_payload(payload: CoinbasePayload) -> Json:
    """Return the `cbTx` object of a coinbase."""
    result: Json = {
        "version": payload.version,
        "height": payload.height,
        "merkleRootMNList": hash_hex(payload.masternode_list_root),
    }
    if payload.version >= 2:
        result["merkleRootQuorums"] = hash_hex(payload.quorums_root)
    if payload.version >= 3:
        result["bestCLHeightDiff"] = payload.best_chainlock_height_difference
        result["bestCLSignature"] = payload.best_chainlock_signature.hex()
        result["creditPoolBalance"] = dash(payload.credit_pool_balance)
    if payload.version >= 4:
        result["merkleRootAssetUnlocks"] = hash_hex(payload.asset_unlocks_root)
    return result


def _commitment(transaction: Transaction) -> Json | None:
    if transaction.type != QUORUM_COMMITMENT_TYPE:
        return None
    try:
        return render_commitment(parse_quorum_commitment(transaction.extra_payload))
    except ParseError:
        return None


def render_commitment(commitment: QuorumCommitment) -> Json:
    """Return the `qcTx` object of a quorum commitment."""

    def bits(bit_set: BitSet, name: str) -> Json:
        return {f"{name}Count": bit_set.count(), name: bit_set.data.hex()}

    return {
        "version": commitment.payload_version,
        "height": commitment.height,
        "commitment": {
            "version": commitment.version,
            "llmqType": commitment.quorum_type,
            "quorumHash": hash_hex(commitment.quorum_hash),
            "quorumIndex": commitment.quorum_index or 0,
            **bits(commitment.signers, "signers"),
            **bits(commitment.valid_members, "validMembers"),
            "quorumPublicKey": commitment.public_key.hex(),
            "quorumVvecHash": hash_hex(commitment.verification_vector_hash),
            "quorumSig": commitment.quorum_signature.hex(),
            "membersSig": commitment.members_signature.hex(),
        },
    }


# --- mempool ------------------------------------------------------------------------------------------------


def render_mempool_info(mempool: Mempool) -> Json:
    """Return an answer of getmempoolinfo."""
    size = sum(entry.size for entry in mempool)
    return {
        "loaded": True,
        "size": len(mempool),
        "bytes": size,
        "usage": 2 * size,
        "total_fee": dash(sum(entry.fee for entry in mempool)),
        "maxmempool": 300000000,
        "mempoolminfee": 1e-05,
        "minrelaytxfee": 1e-05,
        "instantsendlocks": 0,
        "unbroadcastcount": len(mempool),
    }


def render_mempool(mempool: Mempool) -> Json:
    """Return a verbose getrawmempool answer."""
    entries = {entry.hash: entry for entry in mempool}
    children: dict[int, list[int]] = {hash_: [] for hash_ in entries}
    for entry in entries.values():
        for parent in entry.depends:
            children[parent].append(entry.hash)
    parents = {hash_: list(entry.depends) for hash_, entry in entries.items()}
    return {
        hash_hex(hash_): _mempool_entry(
            entry,
            children=children[hash_],
            ancestors=_closure(hash_, parents, entries),
            descendants=_closure(hash_, children, entries),
        )
        for hash_, entry in entries.items()
    }


def _closure(start: int, edges: dict[int, list[int]], entries: dict[int, MempoolEntry]) -> list[MempoolEntry]:
    found: dict[int, None] = {}
    pending = [start]
    while pending:
        hash_ = pending.pop()
        if hash_ not in found:
            found[hash_] = None
            pending += edges[hash_]
    return [entries[hash_] for hash_ in found]


def _mempool_entry(
    entry: MempoolEntry,
    *,
    children: list[int],
    ancestors: list[MempoolEntry],
    descendants: list[MempoolEntry],
) -> Json:
    return {
        "vsize": entry.size,
        "time": int(entry.time),
        "height": entry.height,
        "descendantcount": len(descendants),
        "descendantsize": sum(other.size for other in descendants),
        "ancestorcount": len(ancestors),
        "ancestorsize": sum(other.size for other in ancestors),
        "fees": {
            "base": dash(entry.fee),
            "modified": dash(entry.fee),
            "ancestor": dash(sum(other.fee for other in ancestors)),
            "descendant": dash(sum(other.fee for other in descendants)),
        },
        "depends": [hash_hex(parent) for parent in entry.depends],
        "spentby": [hash_hex(child) for child in children],
        "instantlock": "false",
        "unbroadcast": True,
    }


# --- ChainLocks ---------------------------------------------------------------------------------------------


def render_chainlock(block: ChainBlock, rules: ChainRules) -> Json:
    """Return a getbestchainlock answer. The signature is nobody's: 96 bytes that depend on the block."""
    signature = b"".join(rules.derive(f"chainlock/{block.hash_hex}/{part}") for part in range(3))
    packed = pack_uint32(block.height) + pack_uint256(block.hash) + signature
    return {
        "blockhash": block.hash_hex,
        "height": block.height,
        "signature": signature.hex(),
        "known_block": True,
        "hex": packed.hex(),
    }
