"""The command line of a command for operators: its words, its own flags, and those of the node, which say which
node is meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2pool.app.commands import COMMANDS, Flag


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a command was given: its words, the values of its own flags by name (True for a switch), and the rest,
    which is for the node's parser."""

    words: tuple[str, ...]
    flags: dict[str, str | bool]
    rest: tuple[str, ...]
    default_datadir: Path

    def has(self, flag: Flag) -> bool:
        """Return whether a switch was given."""
        return flag.name in self.flags


def read_arguments(name: str, arguments: Sequence[str], default_datadir: Path) -> Arguments:
    """Return what the command of this name was given: its words come right after its name. Usage errors and
    `--help` end the program as argparse does."""
    command = COMMANDS[name]
    parser = argparse.ArgumentParser(
        prog="p2pool-dash",
        usage=f"%(prog)s {name} {command.usage}".rstrip(),
        description=f"{name}: {command.help}.",
        epilog="All flags of the node are options, too (p2pool-dash --help lists them): give those with which the "
        "node is started, at least --config, --net and --datadir, if it has any."
        if command.takes_settings
        else None,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for flag in command.flags:
        kind = {"metavar": flag.metavar} if flag.metavar else {"action": "store_true"}
        parser.add_argument(flag.name, dest=flag.name, help=flag.help, **kind)  # type: ignore[arg-type]
    given = list(arguments)
    names = command.words.split()
    found: list[str] = []
    while given and len(found) < len(names) and not given[0].startswith("-"):
        word = names[len(found)]
        if word.startswith("[") and word.islower() and given[0] != word.strip("[]"):
            break  # what is optional and no placeholder
        found.append(given.pop(0))
    namespace, rest = parser.parse_known_args(given)
    missing = [each for each in names[len(found) :] if not each.startswith("[")]
    if missing:
        parser.error(f"{missing[0]} is missing: it follows {name}, before all flags")
    if rest and not command.takes_settings:
        parser.error(f"unexpected argument {rest[0].partition('=')[0]}")
    return Arguments(tuple(found), vars(namespace), tuple(rest), default_datadir)
