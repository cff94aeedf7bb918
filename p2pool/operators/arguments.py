"""The command line of a command for operators: its words, its own flags, and those of the node, which say which
node is meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2pool.app.commands import COMMANDS


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that only some commands have; without a `metavar` it takes no value."""

    name: str
    help: str
    metavar: str = ""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a command was given: its words, the values of its own flags by name (True for a switch), and the rest,
    which is for the node's parser."""

    words: tuple[str, ...]
    flags: dict[str, str | bool]
    rest: tuple[str, ...]
    default_datadir: Path

    def has(self, flag: str) -> bool:
        """Return whether a switch was given."""
        return flag in self.flags


def read_arguments(
    command: str,
    arguments: Sequence[str],
    default_datadir: Path,
    *,
    flags: Sequence[Flag] = (),
    words: str = "",
    takes_settings: bool = True,
) -> Arguments:
    """Return what a command was given. `words` names those that it needs, as help shows them (optional ones in
    brackets): they come right after its name. Usage errors and `--help` end the program as argparse does."""
    usage = " ".join(["%(prog)s", command, *([words] if words else []), "[OPTIONS]"])
    parser = argparse.ArgumentParser(
        prog="p2pool-dash",
        usage=usage,
        description=f"{COMMANDS[command]}.",
        epilog="All flags of the node are options, too (p2pool-dash --help lists them): give those with which the "
        "node is started, at least --config, --net and --datadir, if it has any."
        if takes_settings
        else None,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for flag in flags:
        kind = {"metavar": flag.metavar} if flag.metavar else {"action": "store_true"}
        parser.add_argument(flag.name, dest=flag.name, help=flag.help, **kind)  # type: ignore[arg-type]
    given = list(arguments)
    names = words.split()
    found: list[str] = []
    while given and len(found) < len(names) and not given[0].startswith("-"):
        found.append(given.pop(0))
    namespace, rest = parser.parse_known_args(given)
    missing = [name for name in names[len(found) :] if not name.startswith("[")]
    if missing:
        parser.error(f"{missing[0]} is missing: it follows {command}, before all flags")
    if rest and not takes_settings:
        parser.error(f"unexpected argument {rest[0].partition('=')[0]}")
    return Arguments(tuple(found), vars(namespace), tuple(rest), default_datadir)
