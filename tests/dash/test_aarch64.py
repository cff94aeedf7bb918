"""The C code for 64-bit ARM: compiled by a cross compiler and run by an emulator, if this machine has both."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from p2pool.dash.x11_providers import KNOWN_ANSWERS
from tests.dash.c_sources import SHA256_SOURCES, SOURCES, STRICT
from tests.support import ROOT, vectors

COMPILER = shutil.which("aarch64-linux-gnu-gcc")
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
AS_SETUP_COMPILES = ["-O3", "-fno-tree-vectorize"]
FUNCTIONS = ["blake", "bmw", "groestl", "skein", "jh", "keccak", "luffa", "cubehash", "shavite", "simd", "echo"]


@pytest.fixture(scope="module", autouse=True)
def _can_compile(tmp_path_factory: pytest.TempPathFactory) -> None:
    if COMPILER is None or EMULATOR is None:
        pytest.skip("no aarch64-linux-gnu-gcc and qemu-aarch64 (apt install gcc-aarch64-linux-gnu qemu-user)")
    folder = tmp_path_factory.mktemp("empty")
    (folder / "empty.c").write_text("int main(void)\n{\n    return 0;\n}\n")
    command = [COMPILER, "-static", folder / "empty.c", "-o", folder / "empty"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no C library for aarch64 (apt install libc6-dev-arm64-cross)")


def build(target: Path, folder: Path, main: str) -> Path:
    """Compile the sources of a folder and a program that calls them. Warnings are errors."""
    sources = [path for path in sorted(folder.glob("*.c")) if path.stem != "module"]
    program = target / Path(main).stem
    command = [str(COMPILER), *STRICT, *AS_SETUP_COMPILES, "-static", f"-I{folder}"]
    command += [*map(str, sources), str(ROOT / "tests/dash" / main), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program


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
def test_each_form_computes_what_the_general_one_does(tmp_path, folder, fuzz, arguments):
    assert run(build(tmp_path, folder, fuzz), *arguments) == ""


def test_published_answers_of_x11(tmp_path):
    answers = [(name, each) for name in FUNCTIONS for each in vectors(f"x11/{name}")["vectors"]]
    lines = [f"{name} {each['message']}\n" for name, each in answers]
    lines += [f"x11 {header.hex()}\n" for header, _ in KNOWN_ANSWERS]
    levels, *found = run(build(tmp_path, SOURCES, "x11_answers.c"), messages="".join(lines)).splitlines()
    assert levels.split() == ["portable", "neon", "aes"]
    assert found[: len(answers)] == [each["digest"] for _, each in answers]
    hashes = [[answer.to_bytes(32, "little").hex()] * 3 for _, answer in KNOWN_ANSWERS]
    assert [line.split() for line in found[len(answers) :]] == hashes


def test_sha256_of_many_lengths(tmp_path):
    chance = random.Random(1)
    messages = [b"abc", *(chance.randbytes(length) for length in range(300))]
    lines = "".join(f"{message.hex()}\n" for message in messages)
    levels, *found = run(build(tmp_path, SHA256_SOURCES, "sha256_answers.c"), messages=lines).splitlines()
    assert levels.split() == ["portable", "sha"]
    assert [line.split() for line in found] == [[hashlib.sha256(each).hexdigest()] * 2 for each in messages]
