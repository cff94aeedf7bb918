"""The node and auxiliary chains: when their blocks make work, and in which order solved work goes out."""

from __future__ import annotations

from p2pool.dash.auxpow import AuxWork, commit_to
from p2pool.dash.target import MAX_UINT256
from tests.home import EVERY_HASH_A_BLOCK, KEY, Home, at_work
from tests.logged import logged
from tests.support import make_template


def test_new_aux_blocks_make_work_that_is_not_clean_and_only_where_it_is_other_work():
    home = at_work()
    old_job = home.node.make_job(KEY, None)
    aux = commit_to([AuxWork(1, 11, 99)])
    home.node.set_aux(aux)
    assert home.names() == []  # told when it is due
    home.node.renew_aux_work()
    assert home.last("work_changed").clean is False
    assert home.node.context.aux is aux
    assert home.node.is_current(old_job)
    home.told.clear()
    home.node.renew_aux_work()
    assert home.names() == []
    home.node.set_aux(None)
    home.node.renew_aux_work()
    assert home.node.context.aux is None
    assert home.node.context.coinbase == old_job.context.coinbase


def test_work_made_for_another_reason_has_the_newest_aux_blocks():
    home = at_work()
    aux = commit_to([AuxWork(1, 11, 99)])
    home.node.set_aux(aux)
    home.mine()
    assert home.node.context.aux is aux
    home.told.clear()
    home.node.renew_aux_work()
    assert home.names() == []


def test_aux_blocks_before_the_first_template_wait_for_it():
    home = Home()
    aux = commit_to([AuxWork(1, 11, 99)])
    home.node.set_aux(aux)
    home.node.renew_aux_work()
    assert home.names() == []
    home.node.set_template(make_template())
    assert home.node.context.aux is aux


def test_one_hash_is_a_block_a_share_and_two_aux_blocks_and_those_come_last():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    home.node.aux_block_found.subscribe(lambda found: home.told.append(("aux_block_found", found)))
    easy, easier, none = AuxWork(1, 11, MAX_UINT256), AuxWork(2, 22, MAX_UINT256), AuxWork(3, 33, 0)
    home.node.set_aux(commit_to([easier, easy, none]))
    home.node.renew_aux_work()
    outcome = home.solve()
    home.told.clear()
    home.node.solved(outcome, "me.rig")
    found = [value for name, value in home.told if name == "aux_block_found"]
    assert [(f.work, f.worker) for f in found] == [(easy, "me.rig"), (easier, "me.rig")]
    assert [f.proof() for f in found] == [outcome.aux_proof(f.work) for f in found]
    assert home.names() == [
        "block_found",
        "add",
        "share_added",
        "record_share",
        "aux_block_found",
        "aux_block_found",
    ]


def test_an_aux_block_alone_is_neither_share_nor_block():
    home = at_work()
    found: list = []
    home.node.aux_block_found.subscribe(found.append)
    home.node.set_aux(commit_to([AuxWork(1, 11, MAX_UINT256)]))
    home.node.renew_aux_work()
    job = home.node.make_job(KEY, None)
    job.share_target = job.block_target = 0
    home.told.clear()
    home.node.solved(job.check(bytes(8), timestamp=job.timestamp, nonce=1, version=job.version), "w")
    assert len(found) == 1
    assert home.names() == []


def test_a_subscriber_that_fails_over_aux_blocks_costs_no_block():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    home.node.aux_block_found.subscribe(lambda found: 1 // 0)
    home.node.set_aux(commit_to([AuxWork(1, 11, MAX_UINT256)]))
    home.node.renew_aux_work()
    outcome = home.solve()
    home.told.clear()
    with logged() as log:
        home.node.solved(outcome, "w")
    assert len(log.tracebacks) == 1
    assert "block_found" in home.names()
    assert outcome.hash in home.tracker
