"""Transactions with bytes of their own, for templates."""

from __future__ import annotations

from dataclasses import replace

from p2pool.dash.hashes import sha256d
from p2pool.dash.merkle import coinbase_branch
from p2pool.dashd.template import BlockTemplate, TemplateTransaction
from tests.support import make_template


def transaction(number: int, size: int = 60) -> TemplateTransaction:
    """A transaction of a plain type; what it holds does not matter."""
    data = b"\x02\x00\x00\x00" + number.to_bytes(8, "little") + bytes(size - 12)
    return TemplateTransaction(data, sha256d(data), 0)


def template_with(*transactions: TemplateTransaction, **changes: object) -> BlockTemplate:
    """A template with these transactions."""
    hashes = [each.hash_bytes for each in transactions]
    return replace(make_template(**changes), transactions=transactions, branch=tuple(coinbase_branch(hashes)))
