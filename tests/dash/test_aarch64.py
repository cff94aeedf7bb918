"""The C code for 64-bit ARM: compiled by a cross compiler and run by an emulator, if this machine has both."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pool.dash.x11_providers import KNOWN_ANSWERS
from tests.dash.c_sources import SHA256_SOURCES, SOURCES, STRICT
from tests.support import ROOT, vectors

COMPILER = shutil.which("aarch64-linux-gnu-gcc")
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
AS_SETUP_COMPILES = ["-O3", "-fno-tree-vectorize"]
FUNCTIONS = ["blake", "bmw", "groestl", "skein", "jh", "keccak", "luffa", "cubehash", "shavite", "simd", "echo"]


Build = Callable[[Path, str], Path]


def compile_c(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the cross compiler in a folder. Warnings are errors."""
    command = [str(COMPILER), *STRICT, *AS_SETUP_COMPILES, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return a function that builds a program of the sources of a folder, compiled once, and its main file."""
    if COMPILER is None or EMULATOR is None:
        pytest.skip("no aarch64-linux-gnu-gcc and qemu-aarch64 (apt install gcc-aarch64-linux-gnu qemu-user)")
    target = tmp_path_factory.mktemp("aarch64")
    (target / "empty.c").write_text("int main(void)\n{\n    return 0;\n}\n")
    if compile_c(target, "-static", "empty.c").returncode:
        pytest.skip("no C library for aarch64 (apt install libc6-dev-arm64-cross)")

    def build_program(folder: Path, main: str) -> Path:
        objects = target / folder.name
        if not objects.exists():
            objects.mkdir()
            sources = [path for path in sorted(folder.glob("*.c")) if path.stem != "module"]
            compiled = compile_c(objects, "-c", *sources)
            assert compiled.returncode == 0, compiled.stderr
        program = target / Path(main).stem
        source = ROOT / "tests/dash" / main
        linked = compile_c(target, "-static", f"-I{folder}", source, *objects.glob("*.o"), "-o", program)
        assert linked.returncode == 0, linked.stderr
        return program

    return build_program


def run(program: Path, *arguments: str, messages: str = "") -> str:
    """Run a program on an emulated processor that has all instructions, and return its output."""
    command = [str(EMULATOR), "-cpu", "max", str(program), *arguments]
    done = subprocess.run(command, input=messages, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("folder", "fuzz", "arguments"),
    [(SOURCES, "x11_fuzz.c", ("1", "600")), (SHA256_SOURCES, "sha256_fuzz.c", ("1",))],
)
def test_each_form_computes_what_the_general_one_does(build, folder, fuzz, arguments):
    assert run(build(folder, fuzz), *arguments) == ""


def test_published_answers_of_x11(build):
    answers = [(name, each) for name in FUNCTIONS for each in vectors(f"x11/{name}")["vectors"]]
    lines = [f"{name} {each['message']}\n" for name, each in answers]
    lines += [f"x11 {header.hex()}\n" for header, _ in KNOWN_ANSWERS]
    levels, *found = run(build(SOURCES, "x11_answers.c"), messages="".join(lines)).splitlines()
    assert levels.split() == ["portable", "neon", "aes"]
    assert found[: len(answers)] == [each["digest"] for _, each in answers]
    hashes = [[answer.to_bytes(32, "little").hex()] * 3 for _, answer in KNOWN_ANSWERS]
    assert [line.split() for line in found[len(answers) :]] == hashes


def test_sha256_of_many_lengths(build):
    chance = random.Random(1)
    messages = [b"abc", *(chance.randbytes(length) for length in range(300))]
    lines = "".join(f"{message.hex()}\n" for message in messages)
    levels, *found = run(build(SHA256_SOURCES, "sha256_answers.c"), messages=lines).splitlines()
    assert levels.split() == ["portable", "sha"]
    assert [line.split() for line in found] == [[hashlib.sha256(each).hexdigest()] * 2 for each in messages]
