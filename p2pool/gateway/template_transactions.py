"""The transactions of a template as they travel: each once, under the hash of its bytes, and a list of them.

The list names the transactions of a block in their order, with their sizes; the key of the template is the hash of
the list. So whoever has the key can verify every byte, wherever it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from p2pool.base.errors import ParseError
from p2pool.broker.operations import extend, put
from p2pool.broker.tables import count_fields, put_fields
from p2pool.dash.hashes import sha256d
from p2pool.dashd.template import MAX_BLOCK_SIZE, BlockTemplate, TemplateTransaction
from p2pool.dashd.template_parsing import MAX_TRANSACTIONS
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort

LIFETIME: Final = 1800.0
"""Seconds for which the broker keeps transactions after they were last in use."""
PORTION_SIZE: Final = 256 * 1024
"""Bytes of one request, unless a single transaction is larger."""
PORTION_COUNT: Final = 1_000
"""Transactions of one request."""
MAX_SIZE: Final = 2 * MAX_BLOCK_SIZE
"""Bytes that the transactions of one template may have together."""
_PLAIN: Final = b"\x00\x00"
_ENTRY: Final = 36


class Listed(NamedTuple):
    """A transaction in the list of a template: the double SHA-256 of all its bytes, and their number."""

    hash: bytes
    size: int


@dataclass(frozen=True, slots=True)
class TemplateTransactions:
    """The transactions of one template. `data` are in the order of `listed`."""

    key: bytes
    previous_block: bytes
    listed: tuple[Listed, ...]
    data: tuple[bytes, ...]


def transactions_key(template: BlockTemplate) -> bytes:
    """Return the key of a template's transactions: 32 bytes that depend on what they are and on their order; empty
    if there are none."""
    return sha256(_pack(_list(template))).digest() if template.transactions else b""


def transactions_of(template: BlockTemplate, key: bytes) -> TemplateTransactions:
    """Return the transactions of a template whose key is known."""
    return TemplateTransactions(
        key=key,
        previous_block=template.previous_block.to_bytes(32, "little"),
        listed=tuple(_list(template)),
        data=tuple(transaction.data for transaction in template.transactions),
    )


def _list(template: BlockTemplate) -> list[Listed]:
    return [Listed(_content_hash(each), len(each.data)) for each in template.transactions]


def _content_hash(transaction: TemplateTransaction) -> bytes:
    """Return the double SHA-256 of a transaction's bytes, which is its hash unless it is of a special type: the
    hash of some withdrawals leaves out what a quorum signs."""
    if transaction.data[2:4] == _PLAIN:
        return transaction.hash_bytes
    return sha256d(transaction.data)


def _pack(listed: Sequence[Listed]) -> bytes:
    return b"".join([each.hash + each.size.to_bytes(4, "little") for each in listed])


def parse_list(key: bytes, data: bytes) -> tuple[Listed, ...]:
    """Return what a list of transactions holds. Raises ParseError, also if it is not the one of this key."""
    if sha256(data).digest() != key:
        raise ParseError("the list of a template's transactions does not match its key")
    if len(data) % _ENTRY or len(data) > MAX_TRANSACTIONS * _ENTRY:
        raise ParseError(f"a list of transactions has {len(data)} bytes")
    listed = tuple(
        Listed(data[at : at + 32], int.from_bytes(data[at + 32 : at + _ENTRY], "little"))
        for at in range(0, len(data), _ENTRY)
    )
    total = sum(each.size for each in listed)
    if total > MAX_SIZE:
        raise ParseError(f"the transactions of a template have {total} bytes")
    return listed


def is_genuine(listed: Listed, data: bytes | None) -> bool:
    """Return whether these are the bytes of a listed transaction."""
    return data is not None and len(data) == listed.size and sha256d(data) == listed.hash


def portions(listed: Sequence[Listed]) -> Iterator[list[Listed]]:
    """Yield transactions in portions that are small enough for one request."""
    portion: list[Listed] = []
    size = 0
    for each in listed:
        if portion and (size + each.size > PORTION_SIZE or len(portion) >= PORTION_COUNT):
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += each.size
    if portion:
        yield portion


async def store_transactions(
    broker: BrokerPort, names: Names, content: TemplateTransactions, *, stored: set[bytes]
) -> None:
    """Store transactions in the broker, but for those that are `stored`, to which it adds the others; the list
    comes last, when all are there. Raises BrokerError."""
    data = {each.hash: data for each, data in zip(content.listed, content.data, strict=True)}
    missing = [Listed(each, len(data[each])) for each in data if each not in stored]
    table = names.block_transactions(content.previous_block)
    for portion in portions(missing):
        values = {each.hash: data[each.hash] for each in portion}
        await broker.ask(put_fields(table, values, seconds=LIFETIME))
        stored.update(values)
    await broker.ask(put(names.template(content.key), _pack(content.listed), seconds=LIFETIME))


async def restore_transactions(broker: BrokerPort, names: Names, content: TemplateTransactions) -> None:
    """Store transactions in the broker unless all are there. Raises BrokerError."""
    needed = {each.hash for each in content.listed}
    is_listed = await broker.ask(extend(names.template(content.key), seconds=LIFETIME))
    count = await broker.ask(count_fields(names.block_transactions(content.previous_block), seconds=LIFETIME))
    if not is_listed or count < len(needed):
        await store_transactions(broker, names, content, stored=set())
