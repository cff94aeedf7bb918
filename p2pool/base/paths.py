"""Paths as operators write them on the command line, in settings and in the environment. For one that no file can
have, the error names the setting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from p2pool.base.errors import OperatorError
from p2pool.base.text import without_login

MAX_NAME: Final = 255
"""Bytes of a file's name on common file systems."""
MAX_PATH: Final = 4095
"""Bytes of a path on Linux."""


def parse_path(flag: str, text: str | Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path that the value of a setting names, with its ~ resolved. Raises OperatorError."""
    given = str(text)
    why = _why_no_path(given, environment)
    if why is None:
        try:
            path = Path(given).expanduser()
        except RuntimeError as error:
            why = str(error).rstrip(".")
        else:
            why = _why_too_long(path)
            if why is None:
                return path
    shown = without_login(given)
    shown = shown if len(shown) <= 200 and shown.isprintable() else ascii(shown[:200])
    raise OperatorError(f"{flag} {shown}: {why}")


def home_directory() -> Path | None:
    """Return the home directory of the user that runs this; None if it is unknown."""
    if _why_no_home(os.environ) is not None:
        return None
    try:
        return Path.home()
    except RuntimeError:
        return None


def default_in_home(name: str) -> Path:
    """Return the path of a file or directory in the home directory. If that is unknown the path still begins
    with ~, and `parse_path` says why."""
    return (home_directory() or Path("~")) / name


def decode_text(data: bytes) -> str:
    """Return the text of a file in UTF-8, without the byte order mark that some editors put first. Raises
    UnicodeDecodeError."""
    return data.decode("utf-8-sig")


def _why_no_path(given: str, environment: Mapping[str, str]) -> str | None:
    if not given:
        return "the path is empty; give one, or omit the setting"
    if "\0" in given:
        return "a path cannot contain a NUL character"
    return _why_no_home(environment) if given == "~" or given.startswith("~/") else None


def _why_no_home(environment: Mapping[str, str]) -> str | None:
    home = environment.get("HOME")
    if home is not None and not home.startswith("/"):
        state = "is empty" if not home else "is not an absolute path"
        return f"HOME in the environment {state}: set it to the user's home directory, or give an absolute path"
    return None


def _why_too_long(path: Path) -> str | None:
    if len(os.fsencode(path)) > MAX_PATH or any(len(os.fsencode(part)) > MAX_NAME for part in path.parts):
        return f"a file's name has at most {MAX_NAME} bytes, and a path {MAX_PATH}"
    return None
