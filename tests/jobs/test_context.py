"""A WorkContext never changes: it is values all the way down, and no job that is made from it leaves a trace."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import FrozenInstanceError
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType, MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.dash.auxpow import AuxWork, commit_to
from p2pool.dash.hashes import HashlibPrefix, MidstatePrefix
from p2pool.dashd.template_parsing import parse_template
from p2pool.jobs.coinbases import Coinbases, SharedCoinbase
from p2pool.jobs.context import WorkContext, build_work_context
from p2pool.jobs.job import Job
from p2pool.share.codec_16 import Codec16, Packer16
from p2pool.share.generation import PayeeFields
from p2pool.share.payouts import PayoutTable
from p2pool.share.versions import parse_envelope
from p2pool.sharechain.tracker import Tracker
from tests.support import capture, make_template, network_of, vectors

VALUES = (int, float, str, bytes, bool, type(None), type, FunctionType, BuiltinFunctionType)
BUILT_ONCE = (PayoutTable, Packer16, Codec16, Coinbases, SharedCoinbase, MidstatePrefix, HashlibPrefix)
"""Classes without `frozen`: their attributes are set when they are made, and only read by their methods."""
HASHING = type(sha256())
NOW = 1_700_000_000.0


def deep(value: Any) -> Any:
    """Everything in a value, as one that can be hashed. Raises TypeError for what can be changed."""
    kind = type(value)
    if kind in VALUES:
        return value
    if isinstance(value, tuple | frozenset):
        return kind.__name__, tuple(map(deep, value))
    if kind is MappingProxyType:
        return tuple((deep(key), deep(each)) for key, each in value.items())
    if dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen:
        return kind.__name__, tuple(deep(getattr(value, field.name)) for field in dataclasses.fields(value))
    if kind is HASHING:
        return value.copy().digest()  # the one object that could be changed: it is seen if it was
    if kind in BUILT_ONCE:
        return kind.__name__, tuple(deep(getattr(value, name)) for name in getattr(kind, "__slots__", ()))
    raise TypeError(f"{kind.__name__} is not immutable: {value!r:.100}")


def real_chain(count: int) -> tuple[Tracker, int]:
    """The first shares of the vectors, and the newest of them."""
    data = vectors("shares")
    tracker = Tracker(network_of(data["net"]))
    for row in data["shares"][:count]:
        share = parse_envelope(bytes.fromhex(row["raw"]), tracker.network)
        tracker.add(share, 0.0)
    return tracker, share.hash


TRACKER, BEST = real_chain(120)
REAL = parse_template(
    capture("60_getblocktemplate_with_masternodes_and_txs_empty_obj")["response"]["result"],
    TRACKER.network.parent.addresses,
    NOW,
)


def context_of(template: Any, best: int | None = BEST, aux: Any = None) -> WorkContext:
    return build_work_context(TRACKER, best, template=template, network=TRACKER.network, now=NOW, aux=aux)


payees = st.builds(
    PayeeFields, st.binary(min_size=20, max_size=20), st.integers(0, 65535), st.sampled_from([0, 253, 254]),
    st.integers(0, 2**32 - 1),
)  # fmt: skip


@settings(max_examples=60)
@given(
    st.one_of(
        st.just(REAL),
        st.builds(
            lambda payload, hashes: make_template(coinbase_payload=payload, transactions=hashes),
            st.binary(max_size=40),
            st.lists(st.binary(min_size=32, max_size=32), max_size=4),
        ),
    ),
    st.sampled_from([BEST, None]),
    st.lists(st.integers(1, 2**20), max_size=3, unique=True),
    st.lists(payees, min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_no_job_changes_the_work_that_it_is_made_from(template, best, chains, payees, nonce):
    aux = commit_to([AuxWork(chain, chain + 1, 2**250) for chain in chains])
    context = context_of(template, best, aux)
    before = deep(context)
    hash(before)
    for payee in payees:
        job = Job(context, payee, desired_target=2**256 - 1, share_timestamp=int(NOW), header_timestamp=int(NOW))
        outcome = job.check(random.Random(nonce).randbytes(8), timestamp=job.timestamp, nonce=nonce, version=1)
        outcome.share()
        outcome.block()
    assert deep(context) == before == deep(context_of(template, best, aux))


def test_no_field_can_be_set():
    context = context_of(REAL)
    for field in dataclasses.fields(WorkContext):
        with pytest.raises(FrozenInstanceError):
            setattr(context, field.name, None)
    with pytest.raises(TypeError):
        context.payouts.amounts[b"another"] = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("changing", [[], {}, set(), bytearray(), (1, [2]), MappingProxyType({1: [2]}), object()])
def test_what_can_be_changed_is_recognised(changing):
    with pytest.raises(TypeError, match="is not immutable"):
        deep(changing)


def test_the_size_of_a_context_grows_with_its_payees_and_transactions():
    """About: what is measured besides its own objects is shared with other contexts."""
    payees = build_work_context(TRACKER, BEST, template=REAL, network=TRACKER.network, now=NOW)
    nobody = build_work_context(TRACKER, None, template=REAL, network=TRACKER.network, now=NOW)
    assert payees.size - nobody.size >= 4 * 34 * (len(payees.payouts.amounts) - len(nobody.payouts.amounts)) > 0
    many = context_of(make_template(transactions=[bytes([number]) * 32 for number in range(100)]))
    few = context_of(make_template(transactions=[bytes(32)]))
    assert many.size - few.size >= 99 * 150
