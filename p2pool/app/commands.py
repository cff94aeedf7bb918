"""The commands for operators: the first words of the command line that do not start a node, each declared once.
Package `operators` carries them out; the node never imports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that only some commands have; without a `metavar` it takes no value."""

    name: str
    help: str
    metavar: str = ""


URL_FLAG: Final = Flag(
    "--url", "the address of the node's pages, like http://127.0.0.1:7903/, instead of the settings' own", "URL"
)
JSON_FLAG: Final = Flag("--json", "print JSON, for programs")
REPLACE_FLAG: Final = Flag("--replace", "move the files that are in the data directory aside, instead of refusing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command: what help says of it, the `words` after its name as help shows them (optional ones in
    brackets), its own flags, and whether it `takes_settings`, that is all flags of the node."""

    help: str
    words: str = ""
    flags: tuple[Flag, ...] = ()
    takes_settings: bool = True

    @property
    def usage(self) -> str:
        """Return what follows the name: its words, and whether there are options."""
        has_options = self.takes_settings or self.flags
        return " ".join([*([self.words] if self.words else []), *(["[OPTIONS]"] if has_options else [])])


COMMANDS: Final[Mapping[str, Command]] = {
    "backup": Command(words="DIR", help="save the node's data to a new directory, also while it runs"),
    "check": Command(
        words="[gateway]",
        help="check settings, this machine and Dash Core (for a gateway: the broker), and say what to do",
    ),
    "completion": Command(
        words="bash|zsh|fish",
        takes_settings=False,
        help="print a script that completes this command line in a shell",
    ),
    "config": Command(
        words="init [FILE]",
        takes_settings=False,
        help="write a settings file with every setting in it, commented out",
    ),
    "explain": Command(
        words="SHARE|BLOCK|ADDRESS", flags=(URL_FLAG,), help="say what the running node knows of it"
    ),
    "man": Command(takes_settings=False, help="print the manual page: p2pool-dash man | man -l -"),
    "restore": Command(
        words="DIR",
        flags=(REPLACE_FLAG,),
        help="put a backup into the data directory of a node that does not run",
    ),
    "status": Command(
        flags=(URL_FLAG, JSON_FLAG),
        help="show the running node, its miners, Dash Core and warnings on one screen",
    ),
    "top": Command(flags=(URL_FLAG,), help="show the running node and its miners on a screen that is refreshed"),
}
"""Every command by its name."""
