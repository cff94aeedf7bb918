"""New work on its way to a gateway: what the gateway makes of it is what the node would have made."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash.address import encode_address
from p2pool.dash.auxpow import AuxWork, commit_to
from p2pool.gateway.action_messages import ActionMessage, BanRow
from p2pool.gateway.messages import MAX_MESSAGE, SCHEMA, SolutionMessage, WorkMessage, pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.remote_work import RemoteWork
from p2pool.gateway.sums_messages import SumsMessage
from p2pool.gateway.work_codec import WorkChangeSent, context_of, work_message
from p2pool.jobs.context import WorkContext, build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import DASH_TESTNET
from p2pool.pool_stats import PoolStats
from p2pool.share.generation import PayeeFields
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW, easy_network, grow_chain
from tests.environment import make_environment
from tests.gateway.fake_broker import FakeBroker
from tests.gateway.terms import FixedTerms
from tests.logged import logged
from tests.support import make_template

NETWORK = easy_network(chain_length=200)


def made(
    seed: int, count: int, *, payees: int = 5, aux: bool = False, transactions: int = 3
) -> tuple[Tracker, WorkContext]:
    """A chain, and the work on it."""
    rng = random.Random(seed)
    tracker = Tracker(NETWORK)
    template = make_template(transactions=[rng.randbytes(32) for _ in range(transactions)])
    best = grow_chain(tracker, template, count, payees, seed=seed)[-1].hash if count else None
    commitment = commit_to([AuxWork(7, rng.getrandbits(255), 2**250)]) if aux else None
    return tracker, build_work_context(tracker, best, template=template, network=NETWORK, now=NOW, aux=commitment)


def sent(tracker: Tracker, context: WorkContext, **terms: object) -> WorkMessage:
    message = work_message(
        WorkChangeSent(context, clean=True, more_to_come=False), view=tracker, terms=FixedTerms(**terms), now=NOW
    )
    return parse_message(WorkMessage, pack_message(message))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 30),
    payees=st.integers(1, 9),
    aux=st.booleans(),
    transactions=st.integers(0, 5),
    key=st.binary(min_size=20, max_size=20),
    nonce=st.integers(0, 2**32 - 1),
)
def test_a_gateway_makes_the_same_jobs(seed, count, payees, aux, transactions, key, nonce):
    tracker, context = made(seed, count, payees=payees, aux=aux, transactions=transactions)
    copy = context_of(sent(tracker, context), NETWORK, NOW)
    assert copy.tip == context.tip
    assert (copy.parent, copy.refs, copy.share_data) == (context.parent, context.refs, context.share_data)
    assert copy.aux == context.aux
    jobs = [
        Job(
            work,
            PayeeFields(key, 655, 253, nonce),
            desired_target=2**256 - 1,
            share_timestamp=int(NOW),
            header_timestamp=context.template.current_time,
        )
        for work in (context, copy)
    ]
    node, gateway = jobs
    assert (gateway.coinb1, gateway.coinb2, gateway.share_info) == (node.coinb1, node.coinb2, node.share_info)
    assert (gateway.share_target, gateway.block_target, gateway.version) == (
        node.share_target,
        node.block_target,
        node.version,
    )
    outcomes = [job.check(b"12345678", timestamp=job.timestamp, nonce=1, version=job.version) for job in jobs]
    assert outcomes[0].hash == outcomes[1].hash
    assert outcomes[0].header == outcomes[1].header


def test_the_age_of_a_template_survives_clocks_that_differ():
    tracker, context = made(1, 0)
    context = replace(context, template=replace(context.template, received=NOW - 7))
    copy = context_of(sent(tracker, context), NETWORK, now=55.0)
    assert copy.template.received == pytest.approx(48.0)


def test_work_of_another_network_is_rejected():
    tracker, context = made(1, 3)
    with pytest.raises(ParseError, match="check --net"):
        context_of(sent(tracker, context), DASH_TESTNET, NOW)


def test_work_of_a_share_type_that_is_not_known_is_rejected():
    tracker, context = made(1, 3)
    message = msgspec.structs.replace(sent(tracker, context), share_type=99)
    with pytest.raises(ParseError, match="type 99"):
        context_of(message, NETWORK, NOW)


def remote_work() -> RemoteWork:
    broker = FakeBroker()
    return RemoteWork(make_environment(), NETWORK, broker=broker, names=Names(NETWORK.name), rates=PoolStats(0.0))


def test_another_format_says_so_before_anything_else():
    tracker, context = made(1, 3)
    message = msgspec.structs.replace(sent(tracker, context), schema=SCHEMA + 1)
    with pytest.raises(ParseError, match=f"format {SCHEMA + 1}, not {SCHEMA}"):
        parse_message(WorkMessage, pack_message(message))
    with pytest.raises(ParseError, match="format 9"):
        parse_message(WorkMessage, msgspec.msgpack.encode({"schema": 9, "anything": None}))


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_messages_are_parse_errors_and_nothing_else(data):
    tracker, context = made(3, 5)
    packed = bytearray(pack_message(sent(tracker, context)))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    del packed[data.draw(st.integers(len(packed) // 2, len(packed))) :]
    try:
        context_of(parse_message(WorkMessage, bytes(packed)), NETWORK, NOW)
    except ParseError:
        pass


@settings(max_examples=300)
@given(data=st.data())
def test_jobs_of_damaged_messages_are_made_or_the_work_is_passed_over(data):
    tracker, context = made(3, 5)
    packed = bytearray(pack_message(sent(tracker, context)))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    work = remote_work()
    work.take(bytes(packed))
    work.make_job(bytes(20), None)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("template", {"bits": 0}),
        ("parent", {"abswork_modulus": b""}),
        ("parent", {"absheight": -1}),
        ("parent", {"target_limit": b""}),
        ("weights", {"by_script": [(b"x" * 200, b"\xff" * 64)]}),
        ("terms", {"local_rate": 1e-320}),
        ("terms", {"local_rate": float("inf")}),
        ("terms", {"pool_rate": float("nan")}),
        ("terms", {"pool_rate": float("-inf")}),
    ],
)
def test_figures_that_make_no_sense_cost_one_log_line(part, changes):
    tracker, context = made(3, 5)
    message = sent(tracker, context)
    changed = msgspec.structs.replace(getattr(message, part), **changes)
    work = remote_work()
    with logged() as log:
        for _ in range(3):
            work.take(pack_message(msgspec.structs.replace(message, **{part: changed})))
            work.make_job(bytes(20), None)
    assert len(log.lines) <= 1
    assert not log.tracebacks


def test_payments_that_exceed_the_subsidy_are_rejected():
    tracker, context = made(1, 3)
    message = sent(tracker, context)
    payee = encode_address(NETWORK.parent.addresses.pubkey_hash, bytes(20))
    template = msgspec.structs.replace(message.template, subsidy=1, payments=[(payee, 2)])
    with pytest.raises(ParseError, match="no share can be made"):
        context_of(msgspec.structs.replace(message, template=template), NETWORK, NOW)


@pytest.mark.parametrize("kind", [WorkMessage, SolutionMessage, SumsMessage, ActionMessage, BanRow])
@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xa1a" * 100_000,
        b"\x82\xa6schema\x01\xa1x" + b"\x91" * 100_000,
        b"\x82\xa6schema\x01\xa3aux\xdd\xff\xff\xff\xff",
        bytes(MAX_MESSAGE + 1),
        msgspec.msgpack.encode({"schema": 1, "id": 1, "origin": "x", "action": {"type": "y" * 100_000}}),
    ],
    ids=["nested", "nested field", "huge list", "huge", "huge tag"],
)
def test_hostile_messages_are_parse_errors_with_short_texts(kind, data):
    with pytest.raises(ParseError) as raised:
        parse_message(kind, data)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("template", {"current_time": 2**32 - 1}),
        ("parent", {"absheight": -1}),
        ("parent", {"absheight": 2**63 - 1}),
        ("parent", {"abswork_modulus": b""}),
        ("weights", {"by_script": [(b"s", b"\xff" * 64)]}),
    ],
)
def test_work_of_numbers_out_of_their_range_is_a_parse_error_and_no_surprise_later(part, changes):
    message = sent(*made(1, 3))
    part_changed = msgspec.structs.replace(getattr(message, part), **changes)
    changed = msgspec.structs.replace(message, **{part: part_changed})
    with pytest.raises(ParseError, match="work that no share can be made of"):
        context_of(parse_message(WorkMessage, pack_message(changed)), NETWORK, NOW)


def test_rates_that_are_no_numbers_are_parse_errors():
    message = sent(*made(1, 3))
    for rate in (float("nan"), float("inf"), -1.0):
        terms = msgspec.structs.replace(message.terms, local_rate=rate)
        with pytest.raises(ParseError, match="local_rate"):
            parse_message(WorkMessage, pack_message(msgspec.structs.replace(message, terms=terms)))
