"""docs/settings.md, written from the declared settings: `python -m tests.app.settings_page > docs/settings.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from p2pool.app.settings import GROUPS, Group
from p2pool.base.settings import Setting

HEAD = """# Settings

Made from what the packages declare by `python -m tests.app.settings_page`; a test checks that it is up to date.
`p2pool-dash --help` shows the same on the command line, `p2pool-dash --help GROUP` one group of it.

- Every setting is a flag, and a key of the same name without the dashes in front in the TOML file that `--config`
  names: `--share-rate 5` is `share-rate = 5`, a flag without a value is `true`, and one that can be repeated is a
  list.
- A flag wins over the settings file, and that over the default.
- A secret can also be in a file of its own, which its `-file` flag names (one line; for a list one per line, where
  `#` begins a comment), or in an environment variable (for a list separated by spaces). A single secret in the
  environment counts only if no flag or file gives it; a list has the values of all sources.
- The credentials for dashd's RPC can also be the words `[RPCUSER] RPCPASS` of the command line, and `@FILE` stands
  for the words in a file.
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
