"""Secrets from files of their own and from the environment, in addition to flags and the settings file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from p2pool.base.errors import OperatorError, reason_of
from p2pool.base.paths import decode_text, parse_path
from p2pool.base.settings import Given, Setting

MAX_FILE: Final = 65_536
"""Bytes of a file with a secret."""


def add_secrets(
    given: dict[str, tuple[Given, ...]], settings: Iterable[Setting], environment: Mapping[str, str]
) -> None:
    """Replace, in `given`, the files of secrets by what is in them, and add the environment. A list has the values
    of all sources; a single secret is that of the flag or of the file, else of the environment. Raises
    OperatorError."""
    for setting in settings:
        secret = setting.secret
        if secret is None:
            continue
        flags, files = given.pop(setting.key, ()), given.pop(setting.file_key, ())
        if flags and files and not setting.is_list:
            raise OperatorError(f"{setting.flag} and {setting.file_flag} are both given: give one of them")
        found = [*flags, *(each for file in files for each in _from_file(setting, file))]
        variable = environment.get(secret.variable)
        if secret.only_with and secret.only_with not in given:
            variable = None
        if variable is not None and setting.is_list:
            words = (variable.replace(",", " ") if secret.commas else variable).split()
            found += [Given(secret.variable, word) for word in words]
        elif variable is not None and not found:
            found = [_not_empty(Given(secret.variable, variable))]
        if found:
            given[setting.key] = tuple(found)


def _from_file(setting: Setting, file: Given) -> list[Given]:
    """Return what a file has: a single secret, or a list with one per line, where # begins a comment."""
    lines = ", one value per line" if setting.is_list else ""
    path = parse_path(file.source, file.text)
    text = _read_text(path, file.source, f"give a text file{lines}")
    source = f"{file.source} {path}"
    if not setting.is_list:
        return [_not_empty(Given(source, text.strip("\r\n")))]
    values = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    if not values and setting.secret is not None and not setting.secret.may_be_empty:
        raise OperatorError(f"{source}: there is no value in it; give one per line")
    return [Given(source, value) for value in values]


def _not_empty(given: Given) -> Given:
    if not given.text:
        raise OperatorError(f"{given.source}: it is empty; give the secret, or leave the setting out")
    if "\n" in given.text or "\r" in given.text:
        raise OperatorError(f"{given.source}: it has more than one line; give one line with the secret")
    return given


def _read_text(path: Path, source: str, advice: str) -> str:
    try:
        with open(path, "rb") as opened:
            data = opened.read(MAX_FILE + 1)
        if len(data) <= MAX_FILE:
            return decode_text(data)
        reason = f"it has more than {MAX_FILE} bytes"
    except OSError as error:
        reason = reason_of(error)
    except UnicodeDecodeError:
        reason = "it is not text"
    raise OperatorError(f"{source}: cannot read {path}: {reason}; {advice}")
