"""Parse answers to getblocktemplate. Source: Dash Core's getblocktemplate as captured from version 23.1.2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from p2pool.base.errors import ParseError
from p2pool.base.text import excerpt
from p2pool.dash.address import AddressVersions, payee_script
from p2pool.dash.hashes import hash_hex, sha256d
from p2pool.dash.merkle import coinbase_branch
from p2pool.dash.target import is_compact_target
from p2pool.dash.transaction import LAST_KNOWN_TYPE, has_stable_hash, special_type, transaction_hash
from p2pool.dashd.shortening import leave_out
from p2pool.dashd.template import (
    MAX_BLOCK_SIZE,
    MAX_SIGNATURE_OPERATIONS,
    BlockTemplate,
    TemplateTransaction,
)

_MAX_UINT32, _MAX_AMOUNT = 0xFFFFFFFF, 2**63 - 1
MAX_TRANSACTIONS = 65_535
"""A share's merkle link has at most 16 entries."""
PORTION = 1000
"""Transactions that are decoded before others get their turn on the reactor: four milliseconds of it."""
MAX_KNOWN = 20_000
"""Transactions in one generation of the cache: more than two of the largest blocks have."""


class TransactionCache:
    """The transactions of recent templates by their hash as hex, so that each is decoded and hashed once,
    whichever daemon's template it is in. Bound: two generations of MAX_KNOWN and one template."""

    def __init__(self) -> None:
        self._new: dict[str, TemplateTransaction] = {}
        self._old: dict[str, TemplateTransaction] = {}
        self._last: tuple[tuple[TemplateTransaction, ...], tuple[bytes, ...]] = ((), ())

    def get(self, text: str) -> TemplateTransaction | None:
        """Return the transaction of a hash as hex; None if it is not known."""
        held = self._new.get(text)
        if held is None:
            held = self._old.get(text)
            if held is not None:
                self._new[text] = held
        return held

    def add(self, text: str, transaction: TemplateTransaction) -> None:
        """Keep a transaction that was decoded; not one whose hash can come again with other bytes."""
        if has_stable_hash(transaction.data):
            return
        if len(self._new) >= MAX_KNOWN:
            self._old, self._new = self._new, {}
        self._new[text] = transaction

    def branch(self, transactions: tuple[TemplateTransaction, ...]) -> tuple[bytes, ...]:
        """Return the merkle branch of a coinbase with these, computed only if they are not those of the last
        call."""
        last, branch = self._last
        if transactions != last:
            branch = tuple(coinbase_branch([transaction.hash_bytes for transaction in transactions]))
            self._last = (transactions, branch)
        return branch


def _field(answer: Mapping[str, Any], name: str, kind: type, *, default: Any = None) -> Any:
    value = answer.get(name, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ParseError(f"getblocktemplate: {name} is {excerpt(value)}, not {kind.__name__}")
    return value


def _number(answer: Mapping[str, Any], name: str, maximum: int, *, default: int | None = None) -> int:
    value = _field(answer, name, int, default=default)
    if not 0 <= value <= maximum:
        raise ParseError(f"getblocktemplate: {name} is out of range")
    return int(value)


def _unhex(text: Any, name: str, size: int | None = None) -> bytes:
    try:
        data = bytes.fromhex(text)
    except (TypeError, ValueError):
        raise ParseError(f"getblocktemplate: {name} is {excerpt(text)}, not hexadecimal") from None
    if size is not None and len(data) != size:
        raise ParseError(f"getblocktemplate: {name} has {len(data)} bytes, not {size}")
    return data


def decode_ahead(answer: Any, known: TransactionCache) -> Iterator[None]:
    """Decode the transactions of an answer that are not known yet, pausing after each PORTION of them: at the
    start, a large mempool is new as a whole. Malformed ones are skipped: `parse_template` reports them."""
    entries = answer.get("transactions") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_TRANSACTIONS:
        return
    decoded = 0
    for entry in entries:
        text = entry.get("hash") if isinstance(entry, dict) else None
        if not isinstance(text, str) or known.get(text) is not None:
            continue
        try:
            transaction, right = _transaction(entry)
        except ParseError:
            return
        if right:
            known.add(text, transaction)
        decoded += 1
        if decoded % PORTION == 0:
            yield


def parse_template(
    answer: Mapping[str, Any],
    addresses: AddressVersions,
    received: float,
    *,
    known: TransactionCache | None = None,
) -> BlockTemplate:
    """Return the template in an answer. Transactions that are `known` are taken over undecoded. Raises ParseError.

    A transaction whose hash is wrong is left out, with what depends on it; `problems` reports it.
    """
    known = known or TransactionCache()
    if not isinstance(answer, Mapping):
        raise ParseError(f"getblocktemplate: the answer is {excerpt(answer)}, not an object")
    entries = _payment_entries(answer)
    transactions, wrong, problems = _transactions(_field(answer, "transactions", list), known)
    current_time = _number(answer, "curtime", _MAX_UINT32)
    auxiliary = _field(answer, "coinbaseaux", dict, default={})
    subsidy = _number(answer, "coinbasevalue", _MAX_AMOUNT)
    amount = sum(_number(each.entry, "amount", _MAX_AMOUNT) for each in entries)
    if amount > subsidy:
        raise ParseError(f"getblocktemplate: payees get {amount} duffs, but the block is worth {subsidy}")
    payments, of_masternode = _payments(entries, addresses)
    template = BlockTemplate(
        height=_number(answer, "height", _MAX_UINT32),
        version=_number(answer, "version", _MAX_UINT32),
        previous_block=int.from_bytes(_unhex(answer.get("previousblockhash"), "previousblockhash", 32), "big"),
        bits=_bits(answer),
        current_time=current_time,
        minimum_time=_number(answer, "mintime", _MAX_UINT32, default=current_time),
        subsidy=subsidy,
        payments=payments,
        payment_amount=amount,
        transactions=transactions,
        coinbase_flags=b"".join(_unhex(value, "coinbaseaux") for value in auxiliary.values()),
        coinbase_payload=_unhex(answer.get("coinbase_payload", ""), "coinbase_payload"),
        long_poll_id=_field(answer, "longpollid", str, default=""),
        received=received,
        branch=() if wrong else known.branch(transactions),
        masternode_payments=of_masternode,
        depends=_depends(answer["transactions"]),
        size_limit=_number(answer, "sizelimit", _MAX_UINT32, default=MAX_BLOCK_SIZE),
        signature_operations_limit=_number(answer, "sigoplimit", _MAX_UINT32, default=MAX_SIGNATURE_OPERATIONS),
        problems=tuple(problems),
    )
    return _without_wrong(template, wrong) if wrong else template


def _bits(answer: Mapping[str, Any]) -> int:
    """Return the compact target. One that no hash or every hash meets is refused: it would make every share a
    block."""
    bits = int.from_bytes(_unhex(answer.get("bits"), "bits", 4), "big")
    if not is_compact_target(bits):
        raise ParseError(f"getblocktemplate: bits {bits:08x} are not a valid target")
    return bits


class _PayeeEntry(NamedTuple):
    entry: Mapping[str, Any]
    of_masternode: bool


def _payment_entries(answer: Mapping[str, Any]) -> list[_PayeeEntry]:
    """Return the entries of masternode[] (an object in old versions), then superblock[]. ParseError for anything
    else: what must be paid is not skipped."""
    found = []
    for name in ("masternode", "superblock"):
        value = answer.get(name)
        if value is None or value == {}:
            continue
        entries = [value] if isinstance(value, Mapping) else value
        if not isinstance(entries, list):
            raise ParseError(f"getblocktemplate: {name} is {excerpt(value)}, not a list")
        for entry in entries:
            if not isinstance(entry, Mapping):
                raise ParseError(f"getblocktemplate: a payee is {excerpt(entry)}, not an object")
            found.append(_PayeeEntry(entry, name == "masternode"))
    return found


def _payments(entries: list[_PayeeEntry], addresses: AddressVersions) -> tuple[tuple[tuple[str, int], ...], int]:
    """Return the payments, and how many of them are the masternode's and the platform's."""
    payments, of_masternode = [], 0
    for entry, masternode in entries:
        amount = entry["amount"]
        payee = _payee_text(entry, addresses)
        if not amount:
            continue  # a share cannot express it, and dashd makes no such entry
        if not payee:
            raise ParseError(
                f"getblocktemplate: the {'masternode' if masternode else 'superblock'} payee "
                f"{excerpt(entry.get('payee'))} must be paid {amount} duffs, but is not an address of this "
                "network and has no script: without the payment every block would be rejected (bad-cb-payee)"
            )
        payments.append((payee, amount))
        of_masternode += masternode
    return tuple(payments), of_masternode


def _payee_text(entry: Mapping[str, Any], addresses: AddressVersions) -> str:
    """Return the address if it means exactly the script to pay, else the raw script as "!<hex>".

    What dashd demands is `script`; '' for an entry without either form, which cannot be paid.
    """
    payee, script = entry.get("payee"), entry.get("script")
    payee, script = "" if payee is None else payee, "" if script is None else script
    if not isinstance(payee, str) or not isinstance(script, str):
        raise ParseError(f"getblocktemplate: a payee is {excerpt(entry)}")
    demanded = _unhex(script, "a payee's script")
    if payee and payee[0] != "!":
        try:
            meant = payee_script(payee, addresses)
        except ParseError:
            meant = None
        if meant is not None and demanded in (b"", meant):
            return payee
    return "!" + demanded.hex() if demanded else ""


def _transactions(
    entries: list[Any], known: TransactionCache
) -> tuple[tuple[TemplateTransaction, ...], list[int], list[str]]:
    """Return the transactions, the places of those whose hash is wrong, and problems with hashes of unknown
    rules."""
    if len(entries) > MAX_TRANSACTIONS:
        raise ParseError(f"getblocktemplate: {len(entries)} transactions")
    transactions, wrong, unknown = [], [], []
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ParseError(f"getblocktemplate: a transaction is {excerpt(entry)}, not an object")
        text = entry.get("hash")
        held = known.get(text) if isinstance(text, str) else None
        if held is None:
            held, right = _transaction(entry)
            if right:
                known.add(entry["hash"], held)
            elif special_type(held.data) > LAST_KNOWN_TYPE:
                unknown.append(hash_hex(held.hash))
            else:
                wrong.append(place)
        transactions.append(held)
    if not unknown:
        return tuple(transactions), wrong, []
    text = (
        f"{_several('transaction', unknown)}: using dashd's hash, because this node does not know the type; "
        "upgrade p2pool-dash"
    )
    return tuple(transactions), wrong, [text]


def _transaction(entry: Mapping[str, Any]) -> tuple[TemplateTransaction, bool]:
    """Return the transaction of an entry, under the hash that the entry gives, and whether some rule makes that
    hash of its bytes."""
    data = _unhex(entry.get("data"), "a transaction's data")
    hash_bytes = _unhex(entry.get("hash"), "a transaction's hash", 32)[::-1]
    right = hash_bytes == transaction_hash(data) or (has_stable_hash(data) and hash_bytes == sha256d(data))
    fee, operations = (
        _number(entry, "fee", _MAX_AMOUNT, default=0),
        _number(entry, "sigops", _MAX_UINT32, default=0),
    )
    return TemplateTransaction(data, hash_bytes, fee, operations), right


def _depends(entries: list[dict[str, Any]]) -> tuple[tuple[int, ...], ...]:
    """Return the places that entries depend on (there they count from 1); nothing if one does not say."""
    found = []
    for place, entry in enumerate(entries):
        if "depends" not in entry:
            return ()
        depends = entry["depends"]
        if not depends:
            found.append(())
            continue
        if not isinstance(depends, list) or not all(type(n) is int and 0 < n <= place for n in depends):
            raise ParseError(f"getblocktemplate: transaction {place + 1} depends on {excerpt(depends)}")
        found.append(tuple(number - 1 for number in depends))
    return tuple(found)


def _without_wrong(template: BlockTemplate, wrong: list[int]) -> BlockTemplate:
    """Return the template without transactions whose hash is wrong."""
    shorter, refusal = leave_out(template, wrong)
    if shorter.subsidy < shorter.payment_amount:
        raise ParseError(
            f"getblocktemplate: payees get {shorter.payment_amount} duffs, but the block is worth "
            f"{shorter.subsidy}"
        )
    named = [hash_hex(template.transactions[place].hash) for place in wrong]
    text = (
        f"{_several('transaction', named)}: the hash does not match the data; left out, with the transactions "
        "that depend on it"
    )
    return replace(shorter, problems=(*template.problems, text), refusal=refusal)


def _several(what: str, names: list[str]) -> str:
    """Return the first of these by its name, the others by their number."""
    return f"{what} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
