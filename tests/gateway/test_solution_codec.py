"""What a miner of a gateway solves reaches the node as if the miner were its own."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from p2pool.base.errors import ParseError
from p2pool.dash.auxpow import AuxWork, commit_to
from p2pool.dash.target import MAX_UINT256
from p2pool.gateway.messages import SolutionMessage, WorkMessage, pack_message, parse_message
from p2pool.gateway.solution_codec import ReadSolution, read_solution, solution_message
from p2pool.gateway.work_codec import WorkChangeSent, context_of, transactions_key, work_message
from p2pool.jobs.job import Outcome
from p2pool.jobs.job_maker import JobMaker
from p2pool.networks import DASH_TESTNET
from p2pool.node.node import FoundAuxBlock, Solution
from p2pool.share.errors import Reason, ShareInvalid
from tests.gateway.terms import FixedTerms
from tests.home import EVERY_HASH_A_BLOCK, KEY, Home, at_work
from tests.logged import logged
from tests.support import make_template


def solve_at_a_gateway(home: Home) -> Outcome:
    """An outcome of work that travelled."""
    node = home.node
    sent = work_message(
        WorkChangeSent(node.context, clean=True, more_to_come=False),
        view=home.tracker,
        terms=node.job_terms,
        now=home.now,
    )
    message = parse_message(WorkMessage, pack_message(sent))
    context = context_of(message, home.network, now=500.0)
    maker = JobMaker(FixedTerms(ahead=home.now - 500), node._jobs._chance)
    job = maker.make(context, KEY, share_difficulty=None, now=500.0)
    return home.solve(job)


def received(outcome: Outcome, home: Home) -> ReadSolution:
    sent = solution_message(outcome, gateway="gate-1", worker="me.rig", found=home.now)
    return read_solution(parse_message(SolutionMessage, pack_message(sent)), home.network)


def taken(read: ReadSolution, home: Home, transactions: tuple[bytes, ...] = ()) -> Solution:
    return Solution(
        worker=read.worker,
        found=read.found,
        block=None if read.block is None else read.block.complete(transactions),
        share=read.share,
        aux=tuple(FoundAuxBlock(work, lambda proof=proof: proof, read.worker) for work, proof in read.aux),
    )


def test_a_share_of_a_gateway_becomes_an_own_share():
    home = at_work()
    outcome = solve_at_a_gateway(home)
    home.told.clear()
    home.node.take_solution(taken(received(outcome, home), home))
    home.run()
    assert home.names() == ["add", "share_added", "record_share", "thought", "work_changed"]
    assert home.node.best_share == outcome.hash
    assert home.node.own_share_hashes() == [outcome.hash]
    (record,) = home.stats.snapshot(home.now).recent_shares
    assert (record.worker, record.dead) == ("me.rig", False)


def test_a_share_that_comes_twice_is_taken_once():
    home = at_work()
    solution = taken(received(solve_at_a_gateway(home), home), home)
    home.node.take_solution(solution)
    home.run()
    home.told.clear()
    home.node.take_solution(solution)
    assert home.names() == ["add"]
    assert home.stats.snapshot(home.now).shares == 1


def test_a_share_that_comes_too_late_is_dead():
    home = at_work()
    solution = taken(received(solve_at_a_gateway(home), home), home)
    home.node.set_template(make_template(previous_block=0xBEEF, height=201))
    home.node.take_solution(solution)
    (record,) = home.stats.snapshot(home.now).recent_shares
    assert record.dead


def test_a_block_is_sent_first_and_is_the_one_that_the_node_would_have_made():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    outcome = solve_at_a_gateway(home)
    assert outcome.job.context.transactions_key == transactions_key(home.node.template)
    data = tuple(transaction.data for transaction in home.node.template.transactions)
    home.told.clear()
    home.node.take_solution(taken(received(outcome, home), home, data))
    found = home.last("block_found")
    assert home.names()[:2] == ["block_found", "add"]
    assert (found.block_hash, found.share_hash, found.height) == (outcome.hash, outcome.hash, 200)
    assert found.data.endswith(b"".join(data))
    assert found.data[:80] == outcome.header


def test_blocks_of_auxiliary_chains_come_last_with_their_proofs():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    home.node.aux_block_found.subscribe(lambda found: home.told.append(("aux_block_found", found)))
    home.node.set_aux(commit_to([AuxWork(1, 11, MAX_UINT256), AuxWork(2, 22, 0)]))
    home.node.renew_aux_work()
    outcome = solve_at_a_gateway(home)
    home.told.clear()
    home.node.take_solution(taken(received(outcome, home), home))
    found = home.last("aux_block_found")
    assert found.work == AuxWork(1, 11, MAX_UINT256)
    assert found.proof() == outcome.aux_proof(found.work)
    names = home.names()
    assert names[0] == "block_found"
    assert names[-1] == "aux_block_found"


def test_what_does_not_parse_is_rejected():
    home = at_work()
    outcome = solve_at_a_gateway(home)
    message = solution_message(outcome, gateway="g", worker="w", found=home.now)
    with pytest.raises(ParseError, match="check --broker"):
        read_solution(message, DASH_TESTNET)
    with pytest.raises(ParseError, match="malformed SolutionMessage"):
        parse_message(SolutionMessage, pack_message(message)[:-3])


def test_a_share_that_cannot_be_read_does_not_cost_the_block():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    message = solution_message(solve_at_a_gateway(home), gateway="g", worker="w", found=home.now)
    for share in (message.share[:-1], b"\x24" + message.share[1:]):
        read = read_solution(msgspec.structs.replace(message, share=share), home.network)
        assert read.share is None
        assert read.problem.startswith("a gateway's share is invalid")
        assert read.block.block_hash == int.from_bytes(message.hash, "little")


def test_a_share_that_cannot_be_made_does_not_cost_the_block(monkeypatch):
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    outcome = solve_at_a_gateway(home)

    def broken(self):
        raise ShareInvalid(Reason.PAYEE_MALFORMED, "a bug")

    monkeypatch.setattr(Outcome, "share", broken)
    with logged() as log:
        message = solution_message(outcome, gateway="g", worker="w", found=home.now)
    assert "cannot make the share of a solution" in "".join(log.lines)
    assert message.share is None
    assert message.block.header == outcome.header


@pytest.mark.parametrize("found", [float("nan"), float("inf"), -1.0])
def test_times_are_numbers(found):
    home = at_work()
    message = solution_message(solve_at_a_gateway(home), gateway="g", worker="w", found=found)
    with pytest.raises(ParseError):
        parse_message(SolutionMessage, pack_message(message))


def test_the_hash_is_computed_and_not_believed():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    outcome = solve_at_a_gateway(home)
    message = solution_message(outcome, gateway="g", worker="w", found=home.now)
    lie = msgspec.structs.replace(message, hash=bytes(32))
    read = read_solution(lie, home.network)
    assert read.block.block_hash == read.share.hash == outcome.hash


def test_a_share_that_waited_for_the_node_is_kept_until_peers_have_sent_its_parent():
    home = at_work()
    parents = [home.mine() for _ in range(2)]
    outcome = home.solve()
    restarted = at_work()
    restarted.now = home.now + 400
    found = replace(taken(received(outcome, home), home), found=home.now)
    restarted.node.take_solution(found)
    restarted.run()
    assert restarted.node.wanted == [parents[-1].hash]
    restarted.node.add_shares(parents, "peer", requested=True)
    restarted.run()
    assert restarted.node.best_share == outcome.hash


def test_shares_that_a_node_finds_at_its_start_are_not_late_if_they_extend_the_chain():
    home = at_work()
    home.mine()
    chain, solutions = list(home.tracker.ancestors(home.node.best_share, 9)), []
    for _ in range(2):
        outcome = home.solve()
        home.node.solved(outcome, "w")
        home.run()
        solutions.append(taken(received(outcome, home), home))
    restarted = Home()  # dashd has not answered yet
    restarted.node.add_shares(chain, None)
    restarted.run()
    for solution in solutions:
        restarted.node.take_solution(solution)
    assert restarted.stats.snapshot(restarted.now).dead_shares == 0
    restarted.run()
    assert restarted.node.best_share == solutions[-1].share.hash
    late = solve_at_a_gateway(home)
    home.mine()
    home.node.take_solution(taken(received(late, home), home))
    assert home.stats.snapshot(home.now).dead_shares == 1
