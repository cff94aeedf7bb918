"""Jobs with a commitment to auxiliary chains: shares that check, and proofs that those chains accept."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.dash.auxpow import AuxWork, commit_to, find_commitment, parse_auxpow
from p2pool.dash.block import parse_block
from p2pool.dash.transaction import parse_transaction
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import DASH_REGTEST
from p2pool.share.generation import PayeeFields
from p2pool.share.versions import parse_envelope
from p2pool.sharechain.tracker import Tracker
from p2pool.simnet.aux_daemon import AuxBlock, AuxChain, check_proof
from tests.support import make_template

NOW = 1_700_000_000.0
EASY = 2**256 - 1


def job_with(aux, tracker=None, best=None, target=EASY, **template) -> Job:
    template = make_template(**template)
    context = build_work_context(
        tracker or Tracker(DASH_REGTEST), best, template=template, network=DASH_REGTEST, now=NOW, aux=aux
    )
    return Job(
        context,
        PayeeFields(b"\x07" * 20, 655, 0, 1),
        desired_target=target,
        share_timestamp=int(NOW),
        header_timestamp=int(NOW),
    )


def outcomes(job: Job, count: int = 1 << 16, seed: int = 0):
    nonces = random.Random(seed)
    return (
        job.check(nonces.randbytes(8), timestamp=job.timestamp, nonce=nonce, version=job.version)
        for nonce in range(count)
    )


def chains(*ids: int, attempts: float = 2.0) -> list[AuxChain]:
    return [AuxChain(chain_id, attempts, lambda: NOW) for chain_id in ids]


def work_of(chain: AuxChain) -> tuple[AuxWork, AuxBlock]:
    block = chain.candidate()
    return AuxWork(chain.chain_id, block.hash, chain.target), block


def test_without_merged_mining_nothing_is_met_and_nothing_is_in_the_coinbase():
    job = job_with(None)
    assert job.aux_target == -1
    assert job.context.coinbase == b"\x02\xc8\x00" + DASH_REGTEST.coinbase_extension
    outcome = next(outcomes(job))
    outcome.hash = 0
    assert not outcome.meets_aux
    assert outcome.aux_works() == ()
    with pytest.raises(ValueError, match="not in this job"):
        outcome.aux_proof(AuxWork(1, 2, 3))


def test_one_comparison_with_the_easiest_target_and_then_each_chain_s_own():
    easy, hard = AuxWork(1, 11, 2**252), AuxWork(2, 22, 2**248)
    job = job_with(commit_to([easy, hard]))
    assert job.aux_target == easy.target
    met = {0: 0, 1: 0, 2: 0}
    for outcome in outcomes(job, 2000):
        works = outcome.aux_works()
        assert outcome.meets_aux is bool(works)
        assert works == tuple(w for w in (easy, hard) if outcome.hash <= w.target)
        met[len(works)] += 1
    assert all(met.values())


def test_a_hash_equal_to_a_target_meets_it():
    """Equality cannot be mined: the hash is given."""
    easy, hard = AuxWork(1, 11, 2**252), AuxWork(2, 22, 2**248)
    job = job_with(commit_to([easy, hard]), target=2**240)
    outcome = next(outcomes(job))
    for target, meets in (
        (job.share_target, lambda: outcome.meets_share),
        (job.block_target, lambda: outcome.meets_block),
        (job.aux_target, lambda: outcome.meets_aux),
        (hard.target, lambda: hard in outcome.aux_works()),
    ):
        for outcome.hash, expected in ((target - 1, True), (target, True), (target + 1, False)):
            assert meets() is expected


def test_a_proof_for_work_of_another_job_is_refused():
    outcome = next(outcomes(job_with(commit_to([AuxWork(1, 11, EASY)]))))
    with pytest.raises(ValueError, match="chain 1"):
        outcome.aux_proof(AuxWork(1, 12, EASY))


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 2000), min_size=1, max_size=6, unique=True),
    st.lists(st.binary(min_size=32, max_size=32), max_size=9),
    st.binary(max_size=40),
    st.integers(0, 2**32),
)
def test_every_chain_accepts_the_proof_and_the_share_checks(ids, transactions, payload, seed):
    """One template, one job: the same outcome is a share, a block, and a block of each chain."""
    held = chains(*ids)
    works = [work_of(chain) for chain in held]
    aux = commit_to(work for work, _ in works)
    tracker = Tracker(DASH_REGTEST)
    best = None
    for height in range(3):
        job = job_with(
            aux, tracker, best, transactions=transactions, coinbase_payload=payload, height=200 + height
        )
        outcome = next(o for o in outcomes(job, seed=seed) if o.meets_share and len(o.aux_works()) == len(ids))
        share = outcome.share()
        tracker.add(share, NOW)
        rebuilt = tracker.check(share)  # raises where the share is not what the chain prescribes
        assert rebuilt.gentx == outcome.gentx
        assert parse_envelope(share.envelope, DASH_REGTEST).coinbase == share.coinbase == job.context.coinbase
        assert 2 <= len(share.coinbase) <= 100
        assert find_commitment(share.coinbase).root == aux.root
        script = parse_transaction(outcome.gentx).inputs[0].script
        assert script == share.coinbase
        assert aux.data in script
        for chain, (work, block) in zip(held, works, strict=True):
            proof = parse_auxpow(outcome.aux_proof(work))
            assert check_proof(block, proof, chain_id=chain.chain_id, target=chain.target) == outcome.hash
        best = share.hash
    for chain, (work, block) in zip(held, works, strict=True):
        assert chain.submit(work.hash, parse_auxpow(outcome.aux_proof(work))).height == 1
        assert chain.tip.hash == block.hash


def test_a_block_carries_the_commitment_too():
    aux = commit_to([AuxWork(3, 33, EASY)])
    outcome = next(outcomes(job_with(aux)))
    block = parse_block(outcome.block())
    assert find_commitment(block.transactions[0].inputs[0].script).root == aux.root


def test_long_coinbase_flags_are_what_is_cut():
    aux = commit_to([AuxWork(3, 33, EASY)])
    job = job_with(aux, coinbase_flags=b"f" * 90)
    assert len(job.context.coinbase) == 100
    assert aux.data in job.context.coinbase
