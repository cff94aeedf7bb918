"""The implementations of X11, and the choice of the one to use: the fastest that a self-test finds correct.

`pow` chooses once, when it is imported: the built-in extension `p2pool.dash._x11` if it was compiled, else the C
function inside the package x11_hash, else the package dash_hash.
"""

from __future__ import annotations

import ctypes
import importlib.util
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

HEADER_SIZE: Final = 80

HashFunction = Callable[[bytes], bytes]
ManyFunction = Callable[[Sequence[bytes]], list[bytes]]

BUILT_IN: Final = "built-in"
RANDOM_HEADERS: Final = 1000
"""Headers of the self-test. They cost 30 ms at every start."""


def genesis(time: int, bits: int, nonce: int) -> bytes:
    """Return the header of a genesis block; those of Dash's networks differ only in these fields."""
    merkle_root = "c762a6567f3cc092f0684bb62b7e00a84890b990f07cc71a6bb58d64b98e02e0"
    fields = b"".join(value.to_bytes(4, "little") for value in (time, bits, nonce))
    return bytes.fromhex("01000000" + "00" * 32 + merkle_root) + fields


KNOWN_ANSWERS: Final = (
    (
        genesis(1390095618, 0x1E0FFFF0, 28917698),
        0x00000FFD590B1485B3CAADC19B22E6379C733355108F107A430458CDF3407AB6,
    ),
    (
        genesis(1390666206, 0x1E0FFFF0, 3861367235),
        0x00000BAFBC94ADD76CB75E2EC92894837288A481E5C005F6563D91623BF8BC2C,
    ),
    (
        genesis(1417713337, 0x207FFFFF, 1096447),
        0x000008CA1832A4BAF228EB1553C03D3A2C8E02399550DD6EA8D65CEC3EF23D2E,
    ),
)
"""The genesis blocks of mainnet, testnet and regtest and their hashes, from Dash Core's chainparams.cpp."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An implementation of X11: functions from headers of 80 bytes to digests of 32.

    `name` is one of a few words; `instructions` is the set of processor instructions that it uses, if it is
    built-in, else "".
    """

    name: str
    digest: HashFunction
    many: ManyFunction
    instructions: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.instructions})" if self.instructions else self.name


@dataclass(frozen=True, slots=True)
class Choice:
    """The provider that is used, and the problem of a faster one that is not; "" if it has none."""

    provider: Provider
    problem: str = ""


def load_built_in() -> Provider | None:
    """Return the extension that is part of this package; None if it was not compiled."""
    try:
        from p2pool.dash._x11 import levels, x11, x11_many
    except ImportError:
        return None
    return Provider(BUILT_IN, x11, x11_many, levels()[-1])


def load_x11_hash() -> Provider | None:
    """Return the C function inside the package x11_hash; None if it is not installed.

    It is called through ctypes: its Python wrapper is broken from 3.11 on, the C function is not, and ctypes
    releases the interpreter's lock.
    """
    spec = importlib.util.find_spec("x11_hash")
    if spec is None or spec.origin is None:
        return None
    try:
        function = ctypes.CDLL(spec.origin).x11_hash
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    function.restype = None
    make_buffer = ctypes.c_char * 32

    def digest(header: bytes) -> bytes:
        output = make_buffer()
        function(header, output)
        return output.raw

    return one_by_one("x11_hash", digest)


def load_dash_hash() -> Provider | None:
    """Return the package dash_hash; None if it is not installed."""
    try:
        import dash_hash
    except ImportError:
        return None
    return one_by_one("dash_hash", dash_hash.getPoWHash)


def one_by_one(name: str, digest: HashFunction) -> Provider:
    """Return a provider that hashes many headers one after the other."""
    return Provider(name, digest, lambda headers: [digest(header) for header in headers])


def random_headers(chance: random.Random) -> list[bytes]:
    """Return the headers of a self-test."""
    return [chance.randbytes(HEADER_SIZE) for _ in range(RANDOM_HEADERS)]


def choose_provider(
    built_in: Provider | None, packages: Iterable[Provider | None], headers: Sequence[bytes]
) -> Choice:
    """Return the built-in provider if it is correct, else the first of the packages that is.

    Correct means that it computes the known answers and, for `headers`, what that package computes. Raises
    ImportError if there is none.
    """
    reference = next((each for each in packages if each is not None and not _wrong_answer(each)), None)
    problem = ""
    if built_in is not None:
        wrong = _wrong_answer(built_in) or (reference is not None and _difference(built_in, reference, headers))
        if not wrong:
            return Choice(built_in)
        used = "the node cannot run with it" if reference is None else f"{reference} is used instead"
        problem = (
            f"the built-in X11 ({built_in.instructions}) computes a wrong hash of {wrong.hex()}; {used}. "
            "Report this as a bug, with the model of this machine's processor"
        )
    if reference is None:
        raise ImportError(
            problem
            or "no working X11 implementation: install a C compiler and Python's headers, then run "
            "`python setup.py build_ext --inplace` or install one with `pip install x11_hash`"
        )
    return Choice(reference, problem)


def _wrong_answer(provider: Provider) -> bytes:
    """Return a header whose known answer a provider does not compute; b"" if there is none."""
    headers = [header for header, _ in KNOWN_ANSWERS] * 2  # more than four: enough to be hashed side by side
    expected = [answer.to_bytes(32, "little") for _, answer in KNOWN_ANSWERS] * 2
    return _first_difference(headers, _both_ways(provider, headers), [*expected, *expected])


def _difference(provider: Provider, reference: Provider, headers: Sequence[bytes]) -> bytes:
    """Return a header of which two providers compute different hashes; b"" if there is none."""
    expected = [reference.digest(header) for header in headers]
    return _first_difference(headers, _both_ways(provider, headers), [*expected, *expected])


def _both_ways(provider: Provider, headers: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of all headers, computed alone, and again together."""
    return [*map(provider.digest, headers), *provider.many(headers)]


def _first_difference(headers: Sequence[bytes], found: list[bytes], expected: list[bytes]) -> bytes:
    pairs = zip([*headers, *headers], found, expected, strict=True)
    return next((header for header, one, other in pairs if one != other), b"")
