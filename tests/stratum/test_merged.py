"""Submissions that are blocks of auxiliary chains: always handed on, never a reason for another verdict."""

from __future__ import annotations

import pytest

from p2pool.dash.auxpow import AuxWork, commit_to
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import DASH_REGTEST
from p2pool.share.generation import PayeeFields
from p2pool.sharechain.tracker import Tracker
from tests.stratum.miner import ADDRESS, EASY, NOW, FakeWork, Miner, code


class MergedWork(FakeWork):
    """Jobs that commit to a block of one auxiliary chain."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self.aux = commit_to([AuxWork(1, 11, target)])

    def make_job(self, key_hash: bytes, share_difficulty: float | None) -> Job | None:
        self.made += 1
        tracker = Tracker(DASH_REGTEST)
        context = build_work_context(
            tracker, None, template=self.template, network=DASH_REGTEST, now=NOW, aux=self.aux
        )
        job = Job(
            context,
            PayeeFields(key_hash, 655, 0, self.made),
            desired_target=2**256 - 1,
            share_timestamp=int(NOW),
            header_timestamp=int(NOW),
        )
        job.share_target = self.share_target
        return job


HARDER, EASIER = EASY >> 4, 2**256 - 1


def merged_miner(target: int) -> Miner:
    return Miner(work=MergedWork(target))


def only_accepted(miner: Miner) -> tuple:
    (accepted,) = miner.stats.of("record_accepted")
    return accepted


def test_the_commitment_reaches_the_miner():
    miner = merged_miner(HARDER)
    notify = miner.login()
    assert miner.work.aux.data.hex() in notify[2]


@pytest.mark.parametrize("target", [HARDER, EASIER])
def test_an_aux_block_that_is_a_pseudoshare_counts_as_one(target):
    miner, plain = merged_miner(target), Miner()
    nonce = miner.find(miner_notify := miner.login(), min(EASY, target))
    assert miner.submit(miner_notify, nonce)[0]["result"] is True
    ((outcome, worker),) = miner.work.solved_outcomes
    assert worker == ADDRESS
    assert outcome.meets_aux
    assert not outcome.meets_share
    notify = plain.login()
    assert plain.submit(notify, plain.find(notify, EASY))[0]["result"] is True
    assert only_accepted(miner) == only_accepted(plain)
    assert code(miner.submit(miner_notify, nonce)) == 22
    assert len(miner.work.solved_outcomes) == 1


def test_a_pseudoshare_that_is_no_aux_block_is_not_handed_on():
    miner = merged_miner(HARDER)
    notify = miner.login()
    assert miner.submit(notify, miner.find(notify, EASY, above=HARDER))[0]["result"] is True
    assert miner.work.solved_outcomes == []


def test_an_aux_block_below_the_difficulty_is_handed_on_and_refused_as_before():
    miner = merged_miner(EASIER)
    notify = miner.login()
    nonce = miner.find(notify, EASIER, above=EASY)
    assert code(miner.submit(notify, nonce)) == 23
    assert len(miner.work.solved_outcomes) == 1
    assert miner.stats.of("record_accepted") == []
    assert not miner.session.earning
    assert code(miner.submit(notify, nonce)) == 22


def test_an_aux_block_of_an_unknown_worker_or_with_wrong_version_bits_is_handed_on_and_refused():
    miner = merged_miner(EASIER)
    notify = miner.login()
    assert code(miner.submit(notify, "00000001", worker="somebody")) == 24
    assert code(miner.submit(notify, "00000002", ADDRESS, "00ffe000")) == 20
    assert len(miner.work.solved_outcomes) == 2
    assert miner.stats.of("record_accepted") == []
