"""Build the functions of X11 as a library that tests call directly: `X11Library`."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

from tests.support import ROOT

SOURCES = ROOT / "p2pool" / "dash" / "_x11"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]


def compiler() -> str | None:
    """Return the path of a C compiler, or None if this machine has none."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(names: list[str], target: Path) -> None:
    """Compile the sources whose names begin with one of `names` to a shared library."""
    sources = [str(path) for path in sorted(SOURCES.glob("*.c")) if path.stem.split("_")[0] in names]
    command = [str(compiler()), *STRICT, "-O1", "-fPIC", "-shared", *sources, "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True, text=True)


class X11Library:
    """Hash functions in a shared library, by the names of their C functions without the prefix x11_."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    def __contains__(self, name: str) -> bool:
        return hasattr(self._library, f"x11_{name}")

    def initialise(self, name: str) -> None:
        """Fill the tables of a function, if it has any."""
        if f"{name}_init" in self:
            getattr(self._library, f"x11_{name}_init")()

    def hash_any(self, name: str, message: bytes) -> bytes:
        """Return the digest of a message of any length."""
        digest = ctypes.create_string_buffer(64)
        getattr(self._library, f"x11_{name}")(message, ctypes.c_size_t(len(message)), digest)
        return digest.raw

    def hash_64(self, name: str, message: bytes) -> bytes:
        """Return the digest of 64 bytes, which is written over them."""
        buffer = ctypes.create_string_buffer(message, 64)
        getattr(self._library, f"x11_{name}")(buffer, buffer)
        return buffer.raw

    def hash_4(self, name: str, messages: list[bytes]) -> list[bytes]:
        """Return the digests of four messages of 64 bytes, hashed side by side and written over them."""
        buffers = [ctypes.create_string_buffer(message, 64) for message in messages]
        pointers = (ctypes.c_void_p * 4)(*map(ctypes.addressof, buffers))
        getattr(self._library, f"x11_{name}")(pointers, pointers)
        return [buffer.raw for buffer in buffers]
