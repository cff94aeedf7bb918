"""SHA-256 and merkle trees: the extension against FIPS 180-4, and each implementation against hashlib."""

from __future__ import annotations

import random
import subprocess
import sys
from hashlib import sha256
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import p2pool.dash
from p2pool.dash import hashes, sha256_hashlib
from p2pool.dash.sha256 import PROBLEM, choose, is_correct, load_built_in
from p2pool.dash.sha256_hashlib import INITIAL_STATE
from tests.support import ROOT

BUILT_IN: Any = load_built_in()
LEVELS = BUILT_IN.levels() if BUILT_IN is not None else ()
HASH = bytes(range(32))


@pytest.fixture(params=["hashlib", *LEVELS])
def code(request):
    """Return an implementation; the extension with each of the sets of instructions that this processor has."""
    if request.param == "hashlib":
        yield sha256_hashlib
        return
    BUILT_IN.select(request.param)
    yield BUILT_IN
    BUILT_IN.select(LEVELS[-1])


def twice(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def tree(leaves: list[bytes]) -> list[list[bytes]]:
    """Return all levels of a merkle tree, those of odd length with the repeated hash."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        level = levels[-1]
        if len(level) % 2:
            level.append(level[-1])
        levels.append([twice(level[i] + level[i + 1]) for i in range(0, len(level), 2)])
    return levels


@pytest.mark.skipif(BUILT_IN is None, reason="the extension is not compiled")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_published_answers(level, message, digest):
    BUILT_IN.select(level)
    assert BUILT_IN.sha256(message).hex() == digest
    BUILT_IN.select(LEVELS[-1])


def test_the_levels():
    assert ("portable", "sha")[: len(LEVELS)] == LEVELS


def test_messages_of_many_lengths(code):
    chance = random.Random(1)
    for size in [*range(260), *(chance.randrange(100_000) for _ in range(40))]:
        message = chance.randbytes(size)
        assert code.sha256d(message) == twice(message)
        assert code.sha256d(memoryview(message)) == code.sha256d(bytearray(message)) == twice(message)
        whole = chance.randrange(size // 64 + 1) * 64
        state = code.compress(INITIAL_STATE, message[:whole])
        assert code.continue_sha256(state, whole, message[whole:]) == sha256(message).digest()
        assert code.continue_sha256d(state, whole, message[whole:]) == twice(message)


@pytest.mark.parametrize("kind", [hashes.MidstatePrefix, hashes.HashlibPrefix])
def test_a_prefix_is_hashed_once_for_many_messages(kind):
    chance = random.Random(3)
    for _ in range(200):
        first, second, rest = (chance.randbytes(chance.randrange(200)) for _ in range(3))
        short = kind().extended(first)
        prefix = short.extended(second)
        assert prefix.sha256d(rest) == twice(first + second + rest)
        assert short.sha256d(rest) == twice(first + rest)
        assert prefix.digest() == sha256(first + second).digest()
        assert short.digest() == sha256(first).digest()


def test_midstates_are_used_if_the_extension_is():
    assert isinstance(hashes.EMPTY_PREFIX, hashes.HashlibPrefix if BUILT_IN is None else hashes.MidstatePrefix)


def test_a_message_may_be_as_long_as_its_length_has_room_for(code):
    for hashed in (2**32, 2**61 - 64):
        expected = sha256_hashlib.compress_python(
            HASH, b"rest\x80" + bytes(51) + (8 * (hashed + 4)).to_bytes(8, "big")
        )
        assert code.continue_sha256d(HASH, hashed, b"rest") == sha256(expected).digest()


def test_merkle_trees_of_many_sizes(code):
    chance = random.Random(2)
    for size in [*range(1, 70), 511, 512, 513, 1500]:
        leaves = [chance.randbytes(32) for _ in range(size)]
        levels = tree(leaves)
        root = levels[-1][0]
        assert code.merkle_root(leaves) == code.merkle_root(tuple(leaves)) == root
        for index in {0, size - 1, chance.randrange(size)}:
            branch = [level[index >> height ^ 1] for height, level in enumerate(levels[:-1])]
            assert code.merkle_branch(leaves, index) == branch
            assert code.walk_branch(leaves[index], tuple(branch), index) == root
        assert code.coinbase_branch(leaves[1:]) == code.merkle_branch(leaves, 0)
        assert code.coinbase_branch(tuple(leaves[1:])) == code.merkle_branch((HASH, *leaves[1:]), 0)


def test_small_trees(code):
    assert code.merkle_root([]) == bytes(32)
    assert code.merkle_root([HASH]) == code.walk_branch(HASH, [], 0) == HASH
    assert code.merkle_branch([], 0) == code.merkle_branch([HASH], 0) == code.coinbase_branch([]) == []


def test_long_branches(code):
    """A hostile share may have a branch of as many entries as a message has room for."""
    expected = HASH
    for _ in range(1000):
        expected = twice(expected + HASH)
    assert code.walk_branch(HASH, [HASH] * 1000, 0) == expected


@pytest.mark.parametrize("wrong", [b"", HASH[1:], HASH + b"\x00"])
def test_hashes_of_another_length_are_refused(code, wrong):
    for call in (
        lambda: code.compress(wrong, bytes(64)),
        lambda: code.continue_sha256d(wrong, 0, b""),
        lambda: code.merkle_root([HASH, wrong]),
        lambda: code.merkle_branch([wrong, HASH], 1),
        lambda: code.coinbase_branch([HASH, wrong]),
        lambda: code.walk_branch(wrong, [HASH], 0),
        lambda: code.walk_branch(HASH, [HASH, wrong], 0),
    ):
        with pytest.raises(ValueError, match=f"expected 32 bytes, not {len(wrong)}"):
            call()


@pytest.mark.parametrize("size", [1, 63, 65])
def test_parts_of_blocks_are_refused(code, size):
    with pytest.raises(ValueError, match=f"{size} bytes are not whole blocks"):
        code.compress(HASH, bytes(size))
    for continued in (code.continue_sha256, code.continue_sha256d):
        with pytest.raises(ValueError, match=f"{size} bytes are not whole blocks"):
            continued(HASH, size, b"")


def test_places_outside_a_tree_are_refused(code):
    for leaves, index in (([HASH] * 3, 3), ([HASH] * 3, -1), ([], 1)):
        with pytest.raises(IndexError, match=f"no leaf {index} among {len(leaves)}"):
            code.merkle_branch(leaves, index)
    with pytest.raises(ValueError, match="index too large"):
        code.walk_branch(HASH, [HASH], 2)


@pytest.mark.skipif(BUILT_IN is None, reason="the extension is not compiled")
def test_the_extension_refuses_other_types():
    for call in (
        lambda: BUILT_IN.sha256d("text"),
        lambda: BUILT_IN.compress(HASH),
        lambda: BUILT_IN.compress(HASH, bytearray(64)),
        lambda: BUILT_IN.continue_sha256d(HASH, "0", b""),
        lambda: BUILT_IN.merkle_root(5),
        lambda: BUILT_IN.merkle_root([5]),
        lambda: BUILT_IN.walk_branch(HASH, {HASH}, 0),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(OverflowError):
        BUILT_IN.continue_sha256d(HASH, -1, b"")
    with pytest.raises(ValueError, match="this processor has no"):
        BUILT_IN.select("neon")


def test_what_is_used():
    assert PROBLEM == ""
    assert is_correct(sha256_hashlib, random.Random(1))
    assert choose(None, random.Random(1)) == (sha256_hashlib, "")


@pytest.mark.parametrize(
    "function",
    [
        "sha256d",
        "continue_sha256",
        "continue_sha256d",
        "compress",
        "merkle_root",
        "walk_branch",
        "coinbase_branch",
    ],
)
def test_code_that_computes_wrong_hashes_is_not_used(function):
    names = ["sha256d", "compress", "continue_sha256", "continue_sha256d", "merkle_root", "merkle_branch"]
    functions = {name: getattr(sha256_hashlib, name) for name in [*names, "coinbase_branch", "walk_branch"]}
    right = SimpleNamespace(**functions)
    assert choose(right, random.Random(1)) == (right, "")
    wrong_value = [bytes(32)] if function == "coinbase_branch" else bytes(32)
    wrong = SimpleNamespace(**(functions | {function: lambda *arguments: wrong_value}))
    chosen, problem = choose(wrong, random.Random(1))
    assert chosen is sha256_hashlib
    assert problem.startswith("the built-in code computes a wrong hash; hashlib is used instead.")


def test_the_folder_of_the_sources_is_not_the_extension(monkeypatch):
    monkeypatch.setattr(p2pool.dash, "_sha256", ModuleType("p2pool.dash._sha256"), raising=False)
    assert load_built_in() is None
    monkeypatch.undo()
    assert load_built_in() is BUILT_IN


HIDDEN = """
import sys
sys.modules["p2pool.dash._sha256"] = None
from p2pool.dash import hashes, merkle, sha256
branch = merkle.coinbase_branch([bytes([i]) * 32 for i in range(50)])
root = merkle.walk_branch(hashes.sha256d(b"coinbase"), tuple(branch))
prefix = type(hashes.EMPTY_PREFIX).__name__
print(sha256.IMPLEMENTATION.__name__, repr(sha256.PROBLEM), root.hex(), prefix)
"""


def test_a_node_without_the_extension_uses_hashlib():
    run = subprocess.run([sys.executable, "-c", HIDDEN], cwd=ROOT, capture_output=True, text=True, check=True)
    root = tree([twice(b"coinbase"), *(bytes([i]) * 32 for i in range(50))])[-1][0]
    assert run.stdout == f"p2pool.dash.sha256_hashlib '' {root.hex()} HashlibPrefix\n"
