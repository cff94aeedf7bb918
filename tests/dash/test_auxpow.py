"""Merged mining's pure forms: the tree, the commitment, and the proof, against a second way to compute each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash.auxpow import (
    COMMITMENT_SIZE,
    MAGIC,
    MAX_CHAIN_ID,
    MAX_COINBASE_BRANCH,
    MAX_TREE_DEPTH,
    AuxPow,
    AuxWork,
    commit_to,
    find_commitment,
    parse_auxpow,
    slot_of,
)
from p2pool.dash.merkle import merkle_branch, merkle_root, walk_branch_indexed
from p2pool.dash.script import coinbase_script, push_number
from p2pool.dash.transaction import NO_INDEX, Transaction, TxInput, TxOutput

hashes = st.integers(0, 2**256 - 1)
entries = st.binary(min_size=32, max_size=32)
chain_ids = st.lists(st.integers(0, 300), min_size=1, max_size=8, unique=True)
COINBASE = Transaction(3, 5, (TxInput(0, NO_INDEX, b"\x01\x05"),), (TxOutput(7, b"\x6a"),), 0, b"a payload").pack()
EXTENSION = b"\x0d/P2Pool-DASH/"


def works_of(ids) -> list[AuxWork]:
    return [AuxWork(i, 1000 + i, 2**200 + i) for i in ids]


# --- slots -----------------------------------------------------------------------------------------------


@given(st.integers(0, MAX_CHAIN_ID), st.integers(0, MAX_TREE_DEPTH))
def test_a_slot_is_what_the_formula_says(chain_id, depth):
    size = 1 << depth
    assert slot_of(chain_id, size) == (1103515245 * chain_id + 1103515245 * 12345 + 12345) % size


@given(st.integers(0, MAX_CHAIN_ID), st.integers(0, 2**32 - 1), st.integers(0, MAX_TREE_DEPTH))
def test_a_slot_with_a_nonce_is_two_steps_of_the_generator(chain_id, nonce, depth):
    state = (nonce * 1103515245 + 12345) % 2**32
    state = (state + chain_id) % 2**32
    assert slot_of(chain_id, 1 << depth, nonce) == (state * 1103515245 + 12345) % 2**32 % (1 << depth)


# --- the tree --------------------------------------------------------------------------------------------


def test_no_chains_make_no_commitment():
    assert commit_to([]) is None


def test_one_chain_is_its_own_root():
    aux = commit_to([AuxWork(5, 0xABC, 99)])
    assert (aux.size, aux.slots, aux.branches) == (1, (0,), ((),))
    assert aux.data == MAGIC + (0xABC).to_bytes(32, "big") + bytes.fromhex("0100000000000000")
    assert len(aux.data) == COMMITMENT_SIZE


@given(chain_ids)
def test_the_tree_is_the_smallest_in_which_every_chain_has_its_slot(ids):
    aux = commit_to(works_of(ids))
    assert [work.chain_id for work in aux.works] == sorted(ids)
    assert aux.size >= len(ids)
    assert aux.size & (aux.size - 1) == 0
    assert aux.slots == tuple(slot_of(i, aux.size) for i in sorted(ids))
    assert len(set(aux.slots)) == len(ids)
    half = aux.size // 2
    assert half < len(ids) or len({slot_of(i, half) for i in ids}) < len(ids)
    assert aux.easiest_target == max(work.target for work in aux.works)


@given(chain_ids)
def test_root_and_branches_are_those_of_a_tree_with_empty_slots_of_zero(ids):
    aux = commit_to(works_of(ids))
    leaves = [0] * aux.size
    for slot, work in zip(aux.slots, aux.works, strict=True):
        leaves[slot] = work.hash
    assert int.from_bytes(aux.root, "little") == merkle_root(leaves)
    packed = [leaf.to_bytes(32, "little") for leaf in leaves]
    for slot, branch, work in zip(aux.slots, aux.branches, aux.works, strict=True):
        assert list(branch) == merkle_branch(packed, slot)
        assert walk_branch_indexed(work.hash.to_bytes(32, "little"), branch, slot) == aux.root
    assert find_commitment(aux.data).root == aux.root
    assert (find_commitment(aux.data).size, find_commitment(aux.data).nonce) == (aux.size, 0)


@given(st.lists(st.integers(0, MAX_CHAIN_ID), min_size=1, max_size=16, unique=True))
def test_any_sixteen_chains_have_a_tree_and_a_huge_one_costs_little(ids):
    aux = commit_to(works_of(ids))
    assert aux.size <= 1 << MAX_TREE_DEPTH
    for slot, branch, work in zip(aux.slots, aux.branches, aux.works, strict=True):
        assert 1 << len(branch) == aux.size
        assert walk_branch_indexed(work.hash.to_bytes(32, "little"), branch, slot) == aux.root


def test_ids_that_differ_in_the_last_bit_only_make_the_largest_tree():
    aux = commit_to(works_of([0, 1 << 29]))
    assert aux.size == 1 << 30
    assert all(len(branch) == MAX_TREE_DEPTH for branch in aux.branches)


@pytest.mark.parametrize("ids", [[-1], [MAX_CHAIN_ID + 1], [3, 3], [1, -2]])
def test_ids_without_a_tree_are_refused(ids):
    with pytest.raises(ValueError, match="chain ids"):
        commit_to(works_of(ids))


def test_which_works_a_hash_meets():
    easy, hard = AuxWork(1, 1, 500), AuxWork(2, 2, 400)
    aux = commit_to([hard, easy])
    assert aux.met_by(501) == ()
    assert aux.met_by(500) == (easy,)
    assert aux.met_by(400) == (easy, hard)


# --- in the coinbase -------------------------------------------------------------------------------------


@given(st.integers(0, 2**31 - 1), st.binary(max_size=90), chain_ids)
def test_the_commitment_stands_whole_behind_the_height(height, flags, ids):
    aux = commit_to(works_of(ids))
    script = coinbase_script(height, flags, EXTENSION, commitment=aux.data)
    push = push_number(height)
    assert script.startswith(push + bytes([COMMITMENT_SIZE]) + aux.data)
    assert script == (push + bytes([COMMITMENT_SIZE]) + aux.data + flags + EXTENSION)[:100]


def test_without_a_commitment_the_script_is_what_it_was():
    assert coinbase_script(300, b"flags", EXTENSION) == push_number(300) + b"flags" + EXTENSION


@pytest.mark.parametrize("script", [b"", b"\x03abc", MAGIC + bytes(39), MAGIC, MAGIC + bytes(40) + MAGIC])
def test_a_script_without_exactly_one_whole_commitment(script):
    with pytest.raises(ParseError):
        find_commitment(script)


def test_a_root_that_holds_the_magic_itself_counts_as_a_second_one():
    with pytest.raises(ParseError, match="more than one"):
        find_commitment(MAGIC + bytes(10) + MAGIC + bytes(26))


# --- the proof -------------------------------------------------------------------------------------------


@given(
    hashes,
    st.lists(entries, max_size=MAX_COINBASE_BRANCH),
    st.lists(entries, max_size=MAX_TREE_DEPTH),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=80, max_size=80),
)
def test_a_proof_comes_back_as_it_was(parent_hash, coinbase_branch, chain_branch, slot, header):
    proof = AuxPow(COINBASE, parent_hash, tuple(coinbase_branch), tuple(chain_branch), slot, header)
    assert parse_auxpow(proof.pack()) == proof


def test_a_proof_byte_by_byte():
    proof = AuxPow(COINBASE, 0x0102, (b"\xaa" * 32,), (b"\xbb" * 32, b"\xcc" * 32), 3, b"\xdd" * 80)
    assert proof.pack().hex() == (
        COINBASE.hex()
        + ("0201" + "00" * 30)
        + ("01" + "aa" * 32 + "00000000")
        + ("02" + "bb" * 32 + "cc" * 32 + "03000000")
        + "dd" * 80
    )


PROOF = AuxPow(COINBASE, 7, (bytes(32),), (bytes(32),), 1, bytes(80)).pack()


@given(st.integers(0, len(PROOF) - 1))
def test_a_proof_that_is_cut_short_is_refused(size):
    with pytest.raises(ParseError):
        parse_auxpow(PROOF[:size])


def test_a_proof_with_something_behind_it_is_refused():
    with pytest.raises(ParseError):
        parse_auxpow(PROOF + b"\x00")


@pytest.mark.parametrize(
    "changes",
    [
        {"coinbase_branch": (bytes(32),) * (MAX_COINBASE_BRANCH + 1)},
        {"chain_branch": (bytes(32),) * (MAX_TREE_DEPTH + 1)},
    ],
)
def test_a_branch_that_is_too_long_is_refused(changes):
    fields = {"coinbase_branch": (), "chain_branch": ()} | changes
    proof = AuxPow(COINBASE, 7, slot=0, header=bytes(80), **fields)
    with pytest.raises(ParseError, match="branch"):
        parse_auxpow(proof.pack())


def test_a_coinbase_that_is_not_the_first_transaction_is_refused():
    index_at = len(COINBASE) + 32 + 1 + 32
    changed = PROOF[:index_at] + b"\x01" + PROOF[index_at + 1 :]
    with pytest.raises(ParseError, match="transaction 1"):
        parse_auxpow(changed)


@given(st.binary(max_size=400))
def test_garbage_is_refused_as_such(data):
    with pytest.raises(ParseError):
        parse_auxpow(data)
