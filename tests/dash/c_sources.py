"""What tests need to compile the C sources of X11 and SHA-256 by themselves."""

from __future__ import annotations

import shutil

from tests.support import ROOT

SOURCES = ROOT / "p2pool" / "dash" / "_x11"
SHA256_SOURCES = ROOT / "p2pool" / "dash" / "_sha256"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]


def compiler() -> str | None:
    """Return the path of a C compiler, or None if this machine has none."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
