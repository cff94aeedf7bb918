"""The C code under the address and undefined-behaviour sanitizers, with messages of many lengths."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.dash.c_sources import SHA256_SOURCES, SOURCES, STRICT, compiler
from tests.support import ROOT

SANITIZERS = ["-g1", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compile_program(target: Path, sources: list[Path], *flags: str) -> subprocess.CompletedProcess:
    """Compile a program with sanitizers; it may fail."""
    command = [str(compiler()), *STRICT, *SANITIZERS, *flags, *map(str, sources), "-o", str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("folder", "fuzz", "arguments"),
    [(SOURCES, "x11_fuzz.c", ("1", "600")), (SHA256_SOURCES, "sha256_fuzz.c", ("1",))],
)
def test_no_sanitizer_finds_anything(tmp_path, folder, fuzz, arguments):
    empty = tmp_path / "empty.c"
    empty.write_text("int main(void)\n{\n    return 0;\n}\n")
    if compiler() is None or compile_program(tmp_path / "empty", [empty]).returncode:
        pytest.skip("no C compiler with sanitizers")
    sources = [path for path in sorted(folder.glob("*.c")) if path.stem != "module"]
    program = tmp_path / "fuzz"
    built = compile_program(program, [*sources, ROOT / "tests/dash" / fuzz], f"-I{folder}")
    assert built.returncode == 0, built.stderr
    run = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
