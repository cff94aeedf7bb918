"""X11 in C, as Python calls it: against published answers, against x11_hash, and its forms against each other."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from p2pool.dash.x11_providers import KNOWN_ANSWERS, load_built_in, load_x11_hash
from tests.support import vectors

if load_built_in() is None:
    pytest.skip("the extension is not compiled", allow_module_level=True)

from p2pool.dash import _x11

FUNCTIONS = ["blake", "bmw", "groestl", "skein", "jh", "keccak", "luffa", "cubehash", "shavite", "simd", "echo"]
LEVELS = _x11.levels()


@pytest.fixture(params=LEVELS)
def level(request):
    """Let the extension use one of the sets of instructions that this processor has."""
    _x11.select(request.param)
    yield request.param
    _x11.select(LEVELS[-1])


def length_of(name: str) -> int:
    """Return the length of the messages that a function hashes in X11."""
    return 80 if name == "blake" else 64


def test_the_functions_are_those_of_x11():
    assert list(_x11.used()) == FUNCTIONS
    all_levels = (["portable", "neon", "aes"], ["portable", "aes", "avx2", "avx512"])
    assert list(LEVELS) in [levels[: len(LEVELS)] for levels in all_levels]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_published_answers(name):
    for answer in vectors(f"x11/{name}")["vectors"]:
        assert _x11.digest(name, bytes.fromhex(answer["message"])).hex() == answer["digest"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_form_computes_what_the_general_one_does(name, level):
    chance, size = random.Random(name), length_of(name)
    messages = [bytes(size), b"\xff" * size, *(chance.randbytes(size) for _ in range(398))]
    expected = [_x11.digest(name, message) for message in messages]
    assert [_x11.step(name, message) for message in messages] == expected
    for i in range(0, 400, 4):
        assert _x11.step_four(name, *messages[i : i + 4]) == b"".join(expected[i : i + 4])
    assert LEVELS.index(_x11.used()[name]) <= LEVELS.index(level)


def test_known_answers(level):
    for header, answer in KNOWN_ANSWERS:
        assert int.from_bytes(_x11.x11(header), "little") == answer


def test_20000_headers_against_x11_hash(level):
    package = load_x11_hash()
    if package is None:
        pytest.skip("x11_hash is not installed")
    chance = random.Random(level)
    headers = [chance.randbytes(80) for _ in range(20_000)]
    expected = package.many(headers)
    assert list(map(_x11.x11, headers)) == expected
    assert _x11.x11_many(headers) == expected


def test_any_number_of_headers(level):
    headers = [bytes([i]) * 80 for i in range(11)]
    for count in range(12):
        assert _x11.x11_many(tuple(headers[:count])) == [_x11.x11(header) for header in headers[:count]]


def test_many_threads_at_once():
    headers = [bytes([i]) * 80 for i in range(256)]
    expected = _x11.x11_many(headers)
    with ThreadPoolExecutor(8) as pool:
        for hashes in pool.map(lambda _: [_x11.x11(header) for header in headers], range(16)):
            assert hashes == expected


@pytest.mark.parametrize("header", [b"", bytes(79), bytes(81)])
def test_headers_of_another_size_are_refused(header):
    with pytest.raises(ValueError, match=f"expected 80 bytes, not {len(header)}"):
        _x11.x11(header)
    with pytest.raises(ValueError, match="expected 80 bytes"):
        _x11.x11_many([bytes(80), header])


@pytest.mark.parametrize("header", [None, "x" * 80, bytearray(80), memoryview(bytes(80))])
def test_only_bytes_are_hashed(header):
    for call in (_x11.x11, lambda wrong: _x11.x11_many([bytes(80), wrong])):
        with pytest.raises(TypeError):
            call(header)


def test_other_wrong_arguments_are_refused():
    with pytest.raises(TypeError):
        _x11.x11_many(5)
    with pytest.raises(ValueError, match="no function of X11 is called sha"):
        _x11.digest("sha", b"")
    with pytest.raises(ValueError, match="expected 64 bytes, not 80"):
        _x11.step("jh", bytes(80))
    with pytest.raises(ValueError, match="expected 64 bytes, not 63"):
        _x11.step_four("jh", bytes(64), bytes(64), bytes(64), bytes(63))
    with pytest.raises(ValueError, match="this processor has no 'sse9'"):
        _x11.select("sse9")
