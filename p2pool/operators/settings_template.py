"""`p2pool-dash config init`: a settings file for --config with every setting in it, commented out, from the
declarations of all settings."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from p2pool.app.flags import file_help_text, help_text
from p2pool.app.settings import GROUPS, Group
from p2pool.base.errors import OperatorError, reason_of
from p2pool.base.paths import parse_path
from p2pool.base.settings import Setting
from p2pool.operators.arguments import read_arguments

MODE: Final = 0o640
"""Of the file: it is where secrets are written."""
_WIDTH: Final = 100
_LEGACY: Final = "legacy"
"""The group of flags that have no effect: nobody should begin with them."""
_HEAD: Final = """\
# Settings of p2pool-dash, for --config FILE. Each setting is commented out by a # without a space after it, and
# shows its default, or in capital letters what its value is. Remove the # to set one. Flags override this file.
"""


def config(arguments: Sequence[str], default_datadir: Path) -> int:
    """Write the file that is named, or to standard output. Return 0. Raises OperatorError."""
    given = read_arguments("config", arguments, default_datadir)
    action, *names = given.words
    if action != "init":
        raise OperatorError(f"there is no {action!r}: write p2pool-dash config init [FILE]")
    if not names:
        sys.stdout.write(settings_template())
        return 0
    path = parse_path("config init", names[0])
    write_template(path)
    sys.stdout.write(f"wrote {path}: edit it, then run p2pool-dash check --config {path}\n")
    return 0


def settings_template() -> str:
    """Return the text of the file, which sets nothing."""
    groups = [group for group in GROUPS if group.name != _LEGACY]
    return "\n".join([_HEAD, *(line for group in groups for line in _group(group))])


def write_template(path: Path) -> None:
    """Write the file. Raises OperatorError if something of this name exists, or it cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(settings_template())
    except FileExistsError:
        raise OperatorError(f"{path} exists, and is not overwritten: give another name") from None
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {reason_of(error)}", 1) from None


def _group(group: Group) -> Iterator[str]:
    yield f"# --- {group.name}: {group.title} ---\n"
    for setting in group.settings:
        if setting.in_file:
            yield from _setting(setting)


def _setting(setting: Setting) -> Iterator[str]:
    yield _comment(help_text(setting, setting.described_default()), setting.described_limits())
    yield f"#{_name(setting.flag)} = {_value(setting)}\n"
    if setting.secret is not None:
        yield _comment(file_help_text(setting), "")
        yield f'#{_name(setting.file_flag)} = "FILE"\n'


def _name(flag: str) -> str:
    return flag.removeprefix("--")


def _comment(text: str, limits: str) -> str:
    if limits:
        text += f" (between {limits})"
    return textwrap.fill(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _value(setting: Setting) -> str:
    """Return the default in TOML, or else what stands for the value."""
    if setting.is_switch:
        return "false"
    if isinstance(setting.default, int | float | str):
        return json.dumps(setting.default)
    placeholder = json.dumps(setting.metavar)
    return f"[{placeholder}]" if setting.is_list else placeholder
