"""docs/settings.md, written from the declared settings: `python -m tests.app.settings_page > docs/settings.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from p2pool.app.settings import GROUPS, Group
from p2pool.base.settings import Setting

HEAD = """# Settings

This page is generated from the settings that the packages declare, by `python -m tests.app.settings_page`; a test
checks that it is up to date. `p2pool-dash --help` prints the same settings, `p2pool-dash --help GROUP` one group.

- Every setting is a flag. In the TOML file that `--config` names, it is a key with the flag's name without the
  leading dashes: `--share-rate 5` is `share-rate = 5`, a flag without a value is `true`, and a flag that can be
  repeated is a list.
- In the environment, it is a variable with the flag's name in capitals: `--share-rate 5` is
  `P2POOL_SHARE_RATE=5`, a flag without a value is `true`, and the values of a list are separated by spaces. An
  empty variable sets nothing.
- A flag overrides the environment, that overrides the settings file, and that overrides the default.
- A secret can also be in a file of its own, which its `-file` flag names (on one line; for a list one value per
  line, where `#` begins a comment). The table names its environment variable. The variable of a single secret is
  used only if no flag or file gives the secret; a list of secrets combines the values of all sources.
- In Kubernetes, set `enableServiceLinks: false`: otherwise, services whose names begin with `p2pool` become
  variables that look like settings.
- Prefer a file or the environment for secrets: `ps` shows the words and flags of a command line to everyone on the
  machine.
- The credentials for dashd's RPC can also be given as the words `[RPCUSER] RPCPASS` on the command line. `@FILE`
  inserts the arguments in a file.
- `DATADIR/NET` is the directory of the network below `--datadir`.
"""


def page() -> str:
    """Return the page's text."""
    return "\n".join([HEAD, *(line for group in GROUPS for line in _group(group))]).rstrip() + "\n"


def _group(group: Group) -> Iterator[str]:
    yield f"## {group.title[0].upper()}{group.title[1:]}\n"
    yield f"`--help {group.name}`\n"
    yield "| flag | meaning | default | range |"
    yield "| --- | --- | --- | --- |"
    for setting in group.settings:
        yield _row(setting)
    yield ""


def _row(setting: Setting) -> str:
    names = [f"`{name}`" for name in (setting.short, f"{setting.flag} {setting.metavar}".strip()) if name]
    meaning = setting.help + ("; can be repeated" if setting.is_list else "")
    if setting.secret is not None:
        meaning += f". Secret: also `{setting.file_flag} FILE`, or `{setting.secret.variable}` in the environment"
    limits = setting.described_limits().replace(" and ", " to ")
    cells = [", ".join(names), meaning, setting.described_default(), limits]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(page())
