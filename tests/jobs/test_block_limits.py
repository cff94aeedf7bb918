"""Blocks that fit: the largest coinbase that a finder can have, and what is said where nothing helps."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from p2pool.dash.block import parse_block
from p2pool.dash.script import coinbase_script, script_signature_operations
from p2pool.dash.transaction import Transaction, TxInput, TxOutput, parse_transaction
from p2pool.dashd.template import BlockTemplate, TemplateTransaction
from p2pool.jobs.block_limits import MAX_COINBASE_SIZE, Coinbase, fit_block, left_out_notice
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.share.check import check_share
from p2pool.share.generation import PayeeFields
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW, easy_network, grow_chain
from tests.support import make_template

NETWORK = easy_network()
PAYEES = 20


def transaction(number: int, size: int, operations: int = 0) -> TemplateTransaction:
    """A transaction of so many bytes, at least 315."""
    made = Transaction(2, 0, (TxInput(number + 1, 0, b""),), (TxOutput(5, bytes(size - 62)),), 0)
    return TemplateTransaction(made.pack(), made.hash.to_bytes(32, "little"), 100, operations)


def full_template(size: int = 2_000_000, each: int = 30_000, **changes) -> BlockTemplate:
    """A template whose transactions and 80 bytes of header have so many bytes."""
    sizes = [each] * (size // each - 1) + [each + size % each - 81]
    made = tuple(transaction(number, each_size) for number, each_size in enumerate(sizes))
    template = make_template(transactions=[each.hash_bytes for each in made], **changes)
    return replace(template, transactions=made, depends=((),) * len(made))


def chain_of(payees: int) -> tuple[Tracker, int]:
    tracker = Tracker(NETWORK)
    return tracker, grow_chain(tracker, make_template(), payees + 2, payees)[-1].hash


def job_of(context, key_hash: bytes) -> Job:
    return Job(
        context,
        PayeeFields(key_hash, 655, 0, 7),
        desired_target=2**256 - 1,
        share_timestamp=int(NOW),
        header_timestamp=int(NOW),
    )


def gentx_of(job: Job) -> bytes:
    return job.check(bytes(8), timestamp=int(NOW), nonce=0, version=1).gentx


@pytest.mark.parametrize("payload", [b"", b"\x03\x00" + bytes(200)])
@pytest.mark.parametrize("payments", [(), (("!6a", 5), ("!76a914" + "11" * 20 + "88ac", 6), ("!ae", 7))])
def test_the_largest_coinbase_is_that_of_a_finder_who_is_new(payload, payments):
    tracker, best = chain_of(PAYEES)
    template = make_template(coinbase_payload=payload, payments=payments, payment_amount=18 * bool(payments))
    context = build_work_context(tracker, best, template=template, network=NETWORK, now=NOW)
    largest = Coinbase.largest(
        context.payouts, script=context.coinbase, suffix=context.suffix, has_payload=bool(payload)
    )
    new = gentx_of(job_of(context, b"\xee" * 20))
    assert largest.size == len(new)
    read = parse_transaction(new)
    scripts = [item.script for item in read.inputs] + [output.script for output in read.outputs]
    assert largest.signature_operations == sum(map(script_signature_operations, scripts))
    known = next(iter(context.payouts.amounts))[3:23]
    assert len(gentx_of(job_of(context, known))) == largest.size - 34


def test_signature_operations_of_scripts():
    assert script_signature_operations(bytes.fromhex("76a914" + "ac" * 20 + "88ac")) == 1
    assert script_signature_operations(b"\xac\xad\xae\xaf") == 42
    assert script_signature_operations(b"\x4d\xff\xff\xac") == 0
    assert script_signature_operations(b"\xac\x05\xac") == 1
    assert script_signature_operations(b"\x6a") == 0
    assert script_signature_operations(coinbase_script(70_000, b"", b"\x04\xac\xac\xac\xac")) == 0


@pytest.mark.parametrize("payees", [1, 45, 60, 300])
def test_a_full_template_and_a_coinbase_fit_into_a_block(payees):
    """dashd counts 1000 bytes for the coinbase: about 25 addresses."""
    tracker, best = chain_of(payees)
    template = full_template(1_999_080)
    context = build_work_context(tracker, best, template=template, network=NETWORK, now=NOW)
    block = job_of(context, b"\xee" * 20).check(bytes(8), timestamp=int(NOW), nonce=0, version=1).block()
    assert len(block) <= 2_000_000
    assert context.refusal is None
    if payees > 45:
        assert context.whole_template is template
        assert context.left_out == 1
        assert context.notice.startswith("1 of 66 transactions, 100 duffs of fees, are left out")
        assert "blockmaxsize=1900000" in context.notice
        assert context.template.subsidy == template.subsidy - 100
    assert (context.left_out > 0) is (context.notice is not None) is (context.whole_template is not None)


def test_a_block_may_have_exactly_the_limit():
    tracker, best = chain_of(PAYEES)
    largest = len(
        gentx_of(
            job_of(
                build_work_context(tracker, best, template=make_template(), network=NETWORK, now=NOW), b"\xee" * 20
            )
        )
    )
    for size, left_out in ((2_000_000 - largest, 0), (2_000_001 - largest, 1)):
        context = build_work_context(tracker, best, template=full_template(size), network=NETWORK, now=NOW)
        assert context.left_out == left_out
        block = job_of(context, b"\xee" * 20).check(bytes(8), timestamp=int(NOW), nonce=0, version=1).block()
        assert (len(block) == 2_000_000) is (left_out == 0)


def test_too_many_signature_operations_are_left_out_too():
    tracker, best = chain_of(PAYEES)
    made = tuple(transaction(number, 400, 1000) for number in range(40))
    template = make_template(transactions=[each.hash_bytes for each in made])
    template = replace(template, transactions=made, depends=((),) * 40)
    context = build_work_context(tracker, best, template=template, network=NETWORK, now=NOW)
    assert context.left_out == 1
    limited = replace(template, signature_operations_limit=30_000 + PAYEES + 2)
    assert build_work_context(tracker, best, template=limited, network=NETWORK, now=NOW).left_out == 10


def test_the_limits_are_those_that_the_template_names():
    tracker, best = chain_of(PAYEES)
    context = build_work_context(
        tracker, best, template=full_template(990_000, size_limit=1_000_000), network=NETWORK, now=NOW
    )
    assert context.left_out == 0
    context = build_work_context(
        tracker, best, template=full_template(999_500, size_limit=1_000_000), network=NETWORK, now=NOW
    )
    assert context.left_out == 1


def test_work_on_the_same_template_leaves_out_the_same():
    tracker, best = chain_of(60)
    template = full_template(1_999_080)
    first = build_work_context(tracker, best, template=template, network=NETWORK, now=NOW)
    second = build_work_context(tracker, best, template=template, network=NETWORK, now=NOW, previous=first)
    assert second.template is first.template
    assert second.whole_template is template
    other = full_template(1_999_080)
    assert (
        build_work_context(tracker, best, template=other, network=NETWORK, now=NOW, previous=first).template
        is not first.template
    )
    shorter = replace(first.template, transactions=template.transactions)  # fits no more
    third = build_work_context(
        tracker, best, template=template, network=NETWORK, now=NOW, previous=replace(first, template=shorter)
    )
    assert third.left_out == 1


def test_work_made_before_is_used_again_as_long_as_it_fits_exactly():
    made = tuple(transaction(number, 400, 1000) for number in range(40))
    template = make_template(transactions=[each.hash_bytes for each in made])
    whole = replace(template, transactions=made, depends=((),) * 40, size_limit=40 * 400)
    shorter = fit_block(whole, Coinbase(1000, 2000)).template
    count = len(shorter.transactions)
    assert 0 < count < 38
    largest = Coinbase(whole.size_limit - 80 - 1 - 400 * count, whole.signature_operations_limit - 1000 * count)
    for coinbase, fits in (
        (largest, True),
        (replace(largest, size=largest.size + 1), False),
        (replace(largest, signature_operations=largest.signature_operations + 1), False),
    ):
        fit = fit_block(whole, coinbase, shorter)
        assert (fit.template is shorter) is fits
        assert len(fit.template.transactions) == count - (not fits)
        assert fit.refusal is None


@pytest.mark.parametrize(("count", "length"), [(251, 1), (252, 3)])
def test_the_length_of_the_count_of_transactions_is_part_of_a_block(count, length):
    """The coinbase is counted as well: 252 others make 253, which take three bytes."""
    made = tuple(transaction(number, 400) for number in range(count))
    template = replace(make_template(), transactions=made, depends=((),) * count)
    coinbase = Coinbase(1000, 50)
    exact = replace(template, size_limit=80 + length + coinbase.size + 400 * count)
    assert fit_block(exact, coinbase).template is exact
    short = replace(template, size_limit=exact.size_limit - 1)
    assert len(fit_block(short, coinbase).template.transactions) == count - 1


@pytest.mark.parametrize("platform", [(), (("!6a", (50_000_000_000 - 6600) * 3 // 4 * 375 // 1000),)])
def test_without_fees_the_masternode_gets_less_and_the_coinbase_pays_that(platform):
    """dashd accepts no other amount, and other nodes compare the coinbase with the share's own payments."""
    tracker, best = chain_of(60)
    script = b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"
    burnt = sum(amount for _, amount in platform)
    template = full_template(1_999_080)
    payments = (*platform, ("!" + script.hex(), template.subsidy * 3 // 4 - burnt))
    template = replace(
        template,
        payments=payments,
        payment_amount=template.subsidy * 3 // 4,
        masternode_payments=len(payments),
    )
    assert template.fees == 6600
    context = build_work_context(tracker, best, template=template, network=NETWORK, now=NOW)
    assert context.left_out == 1
    less = (template.subsidy - 100) * 3 // 4
    paid = [*((b"\x6a", amount) for _, amount in platform), (script, less - burnt)]
    assert context.payouts.payments == paid
    assert context.template.payments == (*platform, ("!" + script.hex(), less - burnt))
    gentx = parse_transaction(gentx_of(job_of(context, b"\xee" * 20)))
    assert sum(output.value for output in gentx.outputs) == template.subsidy - 100
    assert [(output.script, output.value) for output in gentx.outputs[-2 - len(paid) : -2]] == paid


def stuck(template: BlockTemplate) -> BlockTemplate:
    """Amounts that no rule known here gives: nothing can be left out."""
    return replace(template, payments=(("!51", 7),), payment_amount=7, masternode_payments=1)


def test_where_nothing_can_be_left_out_there_is_work_and_a_sentence():
    tracker, best = chain_of(60)
    context = build_work_context(tracker, best, template=stuck(full_template(1_999_080)), network=NETWORK, now=NOW)
    assert context.left_out == 0
    for part in ("bytes", "2000000", "bad-blk-length", "blockmaxsize=1900000 in dash.conf", "masternode"):
        assert part in context.refusal
    size = len(job_of(context, b"\xee" * 20).check(bytes(8), timestamp=int(NOW), nonce=0, version=1).block())
    assert f"up to {size} bytes" in context.refusal


def test_the_same_of_signature_operations():
    tracker, best = chain_of(60)
    made = (transaction(1, 400, 39_950),)
    template = replace(make_template(transactions=[made[0].hash_bytes]), transactions=made, depends=((),))
    context = build_work_context(tracker, best, template=stuck(template), network=NETWORK, now=NOW)
    for part in ("40012 signature operations", "40000", "bad-blk-sigops", "blockmaxsize"):
        assert part in context.refusal


def test_a_block_of_exactly_the_size_has_too_many_signature_operations_only():
    made = (transaction(1, 400, 39_950),)
    template = replace(make_template(transactions=[made[0].hash_bytes]), transactions=made)
    coinbase = Coinbase(1000, 51)
    exact = replace(template, size_limit=80 + 1 + coinbase.size + 400)
    assert "40001 signature operations" in fit_block(exact, coinbase).refusal
    assert "up to 1481 bytes" in fit_block(replace(exact, size_limit=1480), coinbase).refusal


def test_a_coinbase_that_is_too_large_by_itself():
    template = make_template()
    assert MAX_COINBASE_SIZE == 100_000  # Dash's rule since DIP 1
    fit = fit_block(template, Coinbase(MAX_COINBASE_SIZE, 5))
    assert fit.refusal is None
    fit = fit_block(template, Coinbase(MAX_COINBASE_SIZE + 1, 5))
    assert fit.template is template
    assert "bad-txns-oversize" in fit.refusal


def test_what_stands_against_the_template_itself_comes_first():
    template = replace(make_template(), refusal="its payload is wrong")
    assert fit_block(template, Coinbase(1000, 5)).refusal == "its payload is wrong"
    assert left_out_notice(template, template) is None


def test_whoever_finds_the_block_it_fits():
    tracker, best = chain_of(60)
    context = build_work_context(tracker, best, template=full_template(1_999_080), network=NETWORK, now=NOW)
    rng = random.Random(5)
    finders = [script[3:23] for script in context.payouts.amounts][:10] + [rng.randbytes(20) for _ in range(10)]
    sizes = {
        len(job_of(context, finder).check(bytes(8), timestamp=int(NOW), nonce=0, version=1).block())
        for finder in finders
    }
    assert max(sizes) <= 2_000_000


def test_shares_of_shortened_work_are_shares_as_any_other():
    """What other nodes check of a share is what its maker put into it: they need not know what was left out."""
    tracker, best = chain_of(60)
    template = full_template(1_999_080, payments=(("!6a", 5), ("!51", 7)), payment_amount=12)
    context = build_work_context(tracker, best, template=template, network=NETWORK, now=NOW)
    assert context.left_out == 1
    job = job_of(context, b"\xee" * 20)
    outcome = next(
        o for n in range(1 << 16) if (o := job.check(bytes(8), timestamp=int(NOW), nonce=n, version=1)).meets_share
    )
    share = outcome.share()
    assert share.subsidy == template.subsidy - 100
    rebuilt = check_share(share, tracker, NETWORK)
    block = parse_block(outcome.block())
    assert rebuilt.other_transaction_hashes == tuple(t.hash for t in block.transactions[1:])
    assert rebuilt.gentx == outcome.gentx
    tracker.add(share, NOW)
    tracker.trust(share.hash)
    follows = build_work_context(
        tracker, share.hash, template=template, network=NETWORK, now=NOW, previous=context
    )
    assert follows.left_out == 1
    assert share.hash == follows.parent.previous_hash
