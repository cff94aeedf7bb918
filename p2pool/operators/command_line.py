"""All that the command line knows, as data: completion in shells and the manual page are made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from p2pool.app.child_settings import GATEWAY
from p2pool.app.commands import COMMANDS, Flag
from p2pool.app.flags import file_help_text, help_text
from p2pool.app.settings import GATEWAY_GROUPS, GROUPS
from p2pool.base.setting_values import OneOf
from p2pool.base.settings import Setting

PROGRAMS: Final = ("p2pool-dash", "run_p2pool.py")


@dataclass(frozen=True, slots=True)
class Option:
    """A flag with its `names`, the long one last. `metavar` stands for its value, "" for none; `choices` are all
    values, if they are few."""

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    repeats: bool = False

    @property
    def names_a_file(self) -> bool:
        """Return whether the value may be a file."""
        return "FILE" in self.metavar

    @property
    def names_a_directory(self) -> bool:
        """Return whether the value is a directory."""
        return self.metavar == "DIR"


HELP: Final = Option(
    ("-h", "--help"), "show this help, or one group of it", "[GROUP]", tuple(group.name for group in GROUPS)
)
VERSION: Final = Option(
    ("--version",), "show the version, the X11 implementation, and whether modules are compiled"
)
GATEWAY_HELP: Final = "serve miners for a node, with work that comes through a Redis server"


def options_by_group() -> Iterator[tuple[str, str, list[Option]]]:
    """Yield (name, title, options) of each group of the node's settings."""
    for group in GROUPS:
        yield group.name, group.title, [option for setting in group.settings for option in _of_setting(setting)]


def _of_setting(setting: Setting) -> Iterator[Option]:
    names = tuple(name for name in (setting.short, setting.flag) if name)
    choices = setting.read.known if isinstance(setting.read, OneOf) else ()
    text = help_text(setting, setting.described_default())
    yield Option(names, text, setting.metavar, choices, setting.is_list)
    if setting.secret is not None:
        yield Option((setting.file_flag,), file_help_text(setting), "FILE")


@dataclass(frozen=True, slots=True)
class FirstWord:
    """What can be the first word: its help, the words after it as help shows them, its own flags, and those of
    the node's settings that it takes."""

    name: str
    help: str
    words: str
    own: tuple[Option, ...]
    settings: tuple[Option, ...]


def first_words() -> list[FirstWord]:
    """Return the commands for operators and the gateway, by name."""
    help_of_command = Option(HELP.names, "show the help of this command")
    found = [
        FirstWord(
            name,
            command.help,
            command.words,
            (help_of_command, *_of_flags(command.flags)),
            tuple(node_settings()) if command.takes_settings else (),
        )
        for name, command in COMMANDS.items()
    ]
    of_gateways = [option for name, _, group in options_by_group() if name in GATEWAY_GROUPS for option in group]
    found.append(FirstWord(GATEWAY, GATEWAY_HELP, "", (HELP, VERSION), tuple(of_gateways)))
    return sorted(found, key=lambda each: each.name)


def _of_flags(flags: Sequence[Flag]) -> Iterator[Option]:
    for flag in flags:
        yield Option((flag.name,), flag.help, flag.metavar)


def node_settings() -> list[Option]:
    """Return the flags of all settings."""
    return [option for _, _, options in options_by_group() for option in options]


def node_options() -> list[Option]:
    """Return all flags of the node."""
    return [HELP, VERSION, *node_settings()]
