"""The TOML file of `--config`: settings under the names of the flags, checked as if they had been flags."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from p2pool.app.settings import all_settings
from p2pool.base.errors import OperatorError
from p2pool.base.paths import decode_text
from p2pool.base.settings import Given, Setting, read_integer, read_number

MAX_FILE: Final = 1 << 20
"""Bytes of the file."""


def read_settings_file(path: Path) -> dict[str, tuple[Given, ...]]:
    """Return what the file gives for each key. Raises OperatorError."""
    table = _read_table(path)
    settings = {setting.key: setting for setting in all_settings().values() if setting.in_file}
    files = {setting.file_key: setting for setting in settings.values() if setting.secret is not None}
    given: dict[str, tuple[Given, ...]] = {}
    for name, value in table.items():
        key = name.replace("-", "_")
        if key not in settings and key not in files:
            raise _refused(path, f"unknown setting {name!r} (settings are named like the flags)")
        setting = settings.get(key)
        label = files[key].file_flag if setting is None else setting.label
        texts = _texts(path, name=name, value=value, setting=setting)
        if texts:
            # A list may be written under both spellings of its name, with - and with _.
            former = given.get(key, ()) if setting is not None and setting.is_list else ()
            given[key] = (*former, *(Given(f"--config: {path}: {label}", text) for text in texts))
        if setting is not None and setting.read is not None and _is_read_always(setting):
            for each in given[key]:
                setting.read(each)
    return given


def _is_read_always(setting: Setting) -> bool:
    """Return whether a wrong value is refused even if a flag replaces it: what a right one is does not depend on
    the machine."""
    return setting.read in (read_integer, read_number) or setting.name == "net"


def _refused(path: Path, message: str) -> OperatorError:
    return OperatorError(f"--config: {path}: {message}")


def _texts(path: Path, *, name: str, value: Any, setting: Setting | None) -> list[str]:
    """Return the texts that flags would have had for a value; none for a switch that is off."""
    if setting is not None and setting.is_switch:
        if not isinstance(value, bool):
            raise _refused(path, f"{name} must be true or false")
        return ["true"] if value else []
    is_list = setting is not None and setting.is_list and isinstance(value, list)
    values = value if is_list else [value]
    for each in values:
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            raise _refused(path, f"{name} cannot be a {type(each).__name__}")
    return [str(each) for each in values]


def _read_table(path: Path) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise OperatorError(f"--config: {path} has more than {MAX_FILE} bytes: is this the right file?")
        return tomllib.loads(decode_text(data))
    except OSError as error:
        raise OperatorError(f"--config: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OperatorError(f"--config: {path} is not TOML: it is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"--config: {path} is not TOML: {error}") from None
    except RecursionError:
        raise OperatorError(
            f"--config: {path} is nested too deeply: settings are text, numbers and lists"
        ) from None
