"""The simulated daemon of an auxiliary chain: what it gives, what it takes, and everything that it must refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from p2pool.dash.auxpow import AuxPow, AuxWork, commit_to
from p2pool.dash.block import BlockHeader
from p2pool.dash.hashes import sha256d
from p2pool.dash.merkle import walk_branch
from p2pool.dash.script import coinbase_script
from p2pool.dash.target import MAX_UINT256
from p2pool.dash.transaction import NO_INDEX, Transaction, TxInput, TxOutput
from p2pool.dashd.merged import parse_aux_work
from p2pool.simnet.aux_daemon import (
    AuxChain,
    ProofInvalid,
    SimulatedAuxDaemon,
    build_aux_methods,
    parse_arguments,
)
from p2pool.simnet.faults import FaultControls
from p2pool.simnet.rpc import RpcDispatcher
from tests.environment import make_environment

NOW = 1_700_000_000.0
OTHERS = (AuxWork(7, 77, 1), AuxWork(8, 88, 1))


def a_chain(attempts: float = 2.0) -> AuxChain:
    return AuxChain(5, attempts, lambda: NOW)


class Proof:
    """A proof for a chain's candidate, in parts that a test may spoil before the work is done."""

    def __init__(self, chain: AuxChain) -> None:
        self.chain = chain
        self.block = chain.candidate()
        aux = commit_to([AuxWork(5, self.block.hash, chain.target), *OTHERS])
        place = [work.chain_id for work in aux.works].index(5)
        self.slot, self.chain_branch = aux.slots[place], aux.branches[place]
        self.commitment = aux.data
        self.coinbase_branch: tuple[bytes, ...] = (b"\x01" * 32, b"\x02" * 32)
        self.script: bytes | None = None
        self.spends: tuple[int, int] = (0, NO_INDEX)
        self.coinbase: bytes | None = None

    def made(self, enough: bool = True, **changes: Any) -> AuxPow:
        script = (
            coinbase_script(300, b"", b"pool", commitment=self.commitment) if self.script is None else self.script
        )
        inputs = (TxInput(*self.spends, script),)
        coinbase = self.coinbase or Transaction(1, 0, inputs, (TxOutput(1, b"\x51"),), 0).pack()
        root = walk_branch(sha256d(coinbase), self.coinbase_branch)
        for nonce in range(1000):
            header = BlockHeader(1, 2, int.from_bytes(root, "little"), int(NOW), 0x1D00FFFF, nonce)
            found = header.hash()
            if (found <= self.chain.target) is enough:
                proof = AuxPow(coinbase, found, self.coinbase_branch, self.chain_branch, self.slot, header.pack())
                return replace(proof, **changes)
        raise RuntimeError("no work")


# --- the chain -------------------------------------------------------------------------------------------


def test_a_candidate_stays_until_the_tip_changes():
    chain = a_chain()
    first = chain.candidate()
    assert chain.candidate() is first
    assert first.header.previous_block == chain.tip.hash
    chain.find_elsewhere()
    second = chain.candidate()
    assert (second.height, second.header.previous_block) == (2, chain.tip.hash)
    assert second.hash != first.hash


def test_a_proof_makes_a_block():
    chain = a_chain()
    connected: list = []
    chain.block_connected.subscribe(connected.append)
    proof = Proof(chain)
    made = proof.made()
    block = chain.submit(proof.block.hash, made)
    assert connected == [block] == [chain.tip]
    assert (block.height, block.hash, block.parent_hash) == (1, proof.block.hash, made.parent_hash)
    assert chain.block(block.hash) is block
    with pytest.raises(KeyError):
        chain.submit(proof.block.hash, made)


def test_an_earlier_candidate_on_the_same_tip_is_good_and_one_on_another_is_not():
    chain = a_chain()
    proof = Proof(chain)
    chain.refresh()
    assert chain.candidate() is not proof.block
    assert chain.submit(proof.block.hash, proof.made()).height == 1
    stale = Proof(chain)
    chain.find_elsewhere()
    with pytest.raises(KeyError):
        chain.submit(stale.block.hash, stale.made())


def spoil(name: str, value: Any):
    return lambda proof: setattr(proof, name, value)


def change_commitment(at: int):
    def change(proof: Proof) -> None:
        data = bytearray(proof.commitment)
        data[at] ^= 1
        proof.commitment = bytes(data)

    return change


BEFORE_THE_WORK = {
    "no magic": (change_commitment(0), "no merged mining"),
    "another root": (change_commitment(20), "another root"),
    "another size": (change_commitment(36), "a tree of"),
    "another nonce": (change_commitment(40), "slot"),
    "no commitment": (spoil("script", b"\x02ab"), "no merged mining"),
    "a short one": (spoil("script", b"\xfa\xbemm" + bytes(39)), "bytes needed"),
    "two": (lambda proof: setattr(proof, "script", proof.commitment * 2), "more than one"),
    "no coinbase": (spoil("spends", (1, 0)), "no coinbase"),
    "no transaction": (spoil("coinbase", b"\x01\x02\x03"), "cannot be read"),
    "a long branch": (lambda proof: setattr(proof, "chain_branch", (*proof.chain_branch, bytes(32))), "root"),
    "a slot outside": (spoil("slot", 1 << 20), "outside the tree"),
    "another slot": (lambda proof: setattr(proof, "slot", proof.slot ^ 1), "root"),
}


@pytest.mark.parametrize("name", BEFORE_THE_WORK)
def test_what_breaks_one_rule_is_refused_for_it(name):
    change, reason = BEFORE_THE_WORK[name]
    chain = a_chain()
    refused: list = []
    chain.refused.subscribe(refused.append)
    proof = Proof(chain)
    change(proof)
    with pytest.raises(ProofInvalid, match=reason):
        chain.submit(proof.block.hash, proof.made())
    assert len(refused) == 1
    assert chain.tip.height == 0
    good = Proof(chain)
    assert chain.submit(good.block.hash, good.made()).height == 1  # nothing but the one rule was broken


def test_too_little_work_is_refused():
    proof = Proof(a_chain())
    with pytest.raises(ProofInvalid, match="above the target"):
        proof.chain.submit(proof.block.hash, proof.made(enough=False))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parent_hash": 5}, "parent's hash"),
        ({"coinbase_branch": (bytes(32),)}, "not in the parent block"),
        ({"coinbase_branch": ()}, "not in the parent block"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(changes, reason):
    proof = Proof(a_chain())
    with pytest.raises(ProofInvalid, match=reason):
        proof.chain.submit(proof.block.hash, proof.made(**changes))


def test_work_on_the_same_block_in_another_chain_s_slot_is_refused():
    """The commitment is sound, but for the slot: another chain's id would allow two blocks of one chain."""
    chain = a_chain()
    proof = Proof(chain)
    aux = commit_to([AuxWork(6, proof.block.hash, 1), *OTHERS])
    place = [work.chain_id for work in aux.works].index(6)
    proof.commitment, proof.slot, proof.chain_branch = aux.data, aux.slots[place], aux.branches[place]
    with pytest.raises(ProofInvalid, match="in place of"):
        chain.submit(proof.block.hash, proof.made())


@given(st.data())
def test_no_changed_bit_of_a_proof_makes_another_block(data):
    chain = a_chain()
    proof = Proof(chain)
    packed = bytearray(proof.made().pack())
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= 1 << data.draw(st.integers(0, 7))
    answers, _ = calls(chain, ("getauxblock", f"{proof.block.hash:064x}", bytes(packed).hex()))
    # The header's hash is in the proof, so that another nonce with enough work is refused as well.
    assert answers[0]["result"] in (False, None)
    assert chain.tip.height == 0


# --- RPC -------------------------------------------------------------------------------------------------


def calls(chain: AuxChain, *requests: tuple) -> tuple[list[dict], list[int]]:
    clock = Clock()
    dispatcher = RpcDispatcher(build_aux_methods(chain), FaultControls(clock.seconds), lambda s: None)
    answers, statuses = [], []
    for method, *params in requests:
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        results: list = []
        Deferred.fromCoroutine(dispatcher.handle(body)).addBoth(results.append)
        answers.append(json.loads(results[0].body))
        statuses.append(results[0].status)
    return answers, statuses


def test_the_work_that_it_gives_is_understood():
    chain = a_chain(1000)
    answers, _ = calls(chain, ("getauxblock",))
    assert parse_aux_work(answers[0]["result"]) == AuxWork(5, chain.candidate().hash, chain.target)
    assert parse_aux_work(answers[0]["result"] | {"bits": None}).target == chain.target


def test_a_block_by_rpc():
    chain = a_chain()
    proof = Proof(chain)
    made = proof.made()
    block_hash = f"{proof.block.hash:064x}"
    answers, _ = calls(
        chain,
        ("getblockcount",),
        ("getauxblock", block_hash, made.pack().hex()),
        ("getblockcount",),
        ("getbestblockhash",),
        ("getblock", block_hash),
        ("getauxblock", block_hash, made.pack().hex()),
        ("simnet_findblock",),
        ("getblock", block_hash),
    )
    results = [answer["result"] for answer in answers]
    assert results[:4] == [0, True, 1, block_hash]
    assert results[4]["parentblock"] == f"{made.parent_hash:064x}"
    assert (results[4]["height"], results[4]["confirmations"]) == (1, 1)
    assert answers[5]["error"] == {"code": -8, "message": "block hash unknown"}
    assert results[7]["confirmations"] == 2
    assert chain.block(int(results[6], 16)).parent_hash is None


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (["00" * 32], -8),
        ([None, "00"], -8),
        (["00", "00"], -8),
        (["zz" * 32, "00"], -8),
        (["00" * 32, "zz"], -22),
        (["00" * 32, "00"], -22),
        ([5, "00"], -3),
        (["a", "b", "c"], -1),
    ],
)
def test_calls_that_make_no_sense(params, code):
    answers, _ = calls(a_chain(), ("getauxblock", *params))
    assert answers[0]["error"]["code"] == code


def test_a_block_that_is_not_there():
    answers, _ = calls(a_chain(), ("getblock", "00" * 32))
    assert answers[0]["error"]["code"] == -5


def test_a_bad_proof_is_false():
    proof = Proof(a_chain())
    packed = proof.made(parent_hash=1).pack().hex()
    answers, _ = calls(proof.chain, ("getauxblock", f"{proof.block.hash:064x}", packed))
    assert answers[0] == {"result": False, "error": None, "id": 1}


# --- the service and the program -------------------------------------------------------------------------


def test_life():
    reactor = MemoryReactorClock()
    daemon = SimulatedAuxDaemon(make_environment(reactor), a_chain(), rpc_port=18_555, user="u", password="p")
    daemon.startService()
    assert [(port, interface) for port, _, _, interface in reactor.tcpServers] == [(18_555, "127.0.0.1")]
    stopped: list = []
    Deferred.fromCoroutine(daemon.stopService()).addBoth(stopped.append)
    assert stopped == [None]
    assert reactor.getDelayedCalls() == []


def test_a_port_in_use(monkeypatch):
    reactor = MemoryReactorClock()

    def listen(port: int, factory: object, backlog: int = 50, interface: str = "") -> None:
        raise CannotListenError(interface, port, OSError("in use"))

    monkeypatch.setattr(reactor, "listenTCP", listen)
    with pytest.raises(CannotListenError):
        SimulatedAuxDaemon(make_environment(reactor), a_chain(), rpc_port=5, user="u", password="p").startService()


def test_the_command_line(capsys):
    options = parse_arguments(["--rpc-port", "0", "--chain-id", "9", "--attempts", "64"])
    assert (options.rpc_port, options.chain_id, options.rpc_user, options.attempts) == (0, 9, "aux", 64)
    for wrong in (["--rpc-port", "70000"], ["--rpc-port", "1", "--chain-id", "-1"], [], ["--rpc-port", "x"]):
        with pytest.raises(SystemExit) as ended:
            parse_arguments(wrong)
        assert ended.value.code == 2
    assert "not between" in capsys.readouterr().err


def test_the_easiest_chain():
    assert a_chain(1).target > MAX_UINT256 >> 9
