"""The functions of X11 in C, each by itself, against the published answers of its submission to NIST."""

from __future__ import annotations

import platform
import random
from pathlib import Path

import pytest

from tests.dash.x11_library import X11Library, build, compiler
from tests.support import vectors

NAMES = ["luffa", "cubehash", "shavite", "simd", "echo"]

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


def _processor_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def _supported_paths() -> list[str]:
    """Return the endings of the functions that this processor can run."""
    flags = _processor_flags() if platform.machine() in ("x86_64", "AMD64") else set()
    paths = [""]
    if {"aes", "sse4_1"} <= flags:
        paths.append("_aes")
    if {"aes", "avx2"} <= flags:
        paths.append("_avx2")
    return paths


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> X11Library:
    path = tmp_path_factory.mktemp("x11") / "functions.so"
    build([*NAMES, "aes"], path)
    built = X11Library(path)
    for name in NAMES:
        built.initialise(name)
    return built


@pytest.mark.parametrize("name", NAMES)
def test_published_answers(library, name):
    answers = vectors(f"x11/{name}")["vectors"]
    assert {0, 1, 64} <= {len(answer["message"]) // 2 for answer in answers}
    for answer in answers:
        assert library.hash_any(name, bytes.fromhex(answer["message"])).hex() == answer["digest"]


@pytest.mark.parametrize("path", _supported_paths())
@pytest.mark.parametrize("name", NAMES)
def test_messages_of_64_bytes(library, name, path):
    function = f"{name}_64{path}"
    if function not in library:
        pytest.skip(f"there is no x11_{function}")
    for answer in vectors(f"x11/{name}")["vectors"]:
        if len(answer["message"]) == 128:
            assert library.hash_64(function, bytes.fromhex(answer["message"])).hex() == answer["digest"]
    rng = random.Random(function)
    for message in [bytes(64), b"\xff" * 64, *(rng.randbytes(64) for _ in range(500))]:
        assert library.hash_64(function, message) == library.hash_any(name, message)


@pytest.mark.skipif("_avx2" not in _supported_paths(), reason="the processor lacks AVX2")
@pytest.mark.parametrize("name", NAMES)
def test_four_messages_at_once(library, name):
    function = f"{name}_64_x4"
    if function not in library:
        pytest.skip(f"there is no x11_{function}")
    rng = random.Random(function)
    for _ in range(200):
        messages = [rng.randbytes(64) for _ in range(4)]
        assert library.hash_4(function, messages) == [library.hash_any(name, message) for message in messages]
