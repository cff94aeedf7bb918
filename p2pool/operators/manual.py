"""`p2pool-dash man`: the manual page in roff (man(7)), made of the declarations of commands and settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from p2pool import __version__
from p2pool.app.settings import all_settings
from p2pool.operators.arguments import read_arguments
from p2pool.operators.command_line import HELP, VERSION, Option, first_words, options_by_group

_DESCRIPTION: Final = (
    "p2pool-dash is a node of a decentralised mining pool for Dash. Miners connect to it, and each block that the "
    "pool finds pays all of them directly in its coinbase transaction, so nobody holds their money. It needs a "
    "running Dash Core (dashd).",
    "Without a command it starts the node. It mines to the address that -a gives, or else to one of dashd's "
    "wallet. A gateway serves miners for a node, on this machine or another one.",
)
_ENVIRONMENT: Final = (
    "Settings that are not secrets can also be variables: P2POOL_SHARE_RATE=5 is --share-rate 5. The command line "
    "overrides them, and they override the settings file. Secrets have these variables:"
)
_STATUS: Final = (
    ("0", "It was stopped by a signal, or the command succeeded."),
    ("1", "It failed, or a command found a fault."),
    ("2", "The operator has to correct something: the message says what."),
)
_FILES: Final = (
    ("/etc/p2pool-dash/p2pool.toml", "settings, by the unit for systemd; else what --config names"),
    ("~/.p2pool-dash", "data directory (--datadir), with a directory for each network"),
)
_EXAMPLES: Final = (
    ("try it without dashd", "p2pool-dash --net simnet"),
    ("mine with dashd on this machine", "p2pool-dash -a YOUR_DASH_ADDRESS"),
    ("check a set-up", "p2pool-dash check --config /etc/p2pool-dash/p2pool.toml"),
    ("watch the running node", "p2pool-dash top --config /etc/p2pool-dash/p2pool.toml"),
)


def man(arguments: Sequence[str], default_datadir: Path) -> int:
    """Print the page. Return 0."""
    read_arguments("man", arguments, default_datadir)
    sys.stdout.write(manual())
    return 0


def manual() -> str:
    """Return the page in roff."""
    return "\n".join(line for line in _lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH P2POOL\\-DASH 1 "" "p2pool\\-dash {_text(__version__)}"'
    yield from (".SH NAME", _text("p2pool-dash") + " \\- a decentralised mining pool for Dash")
    yield from _synopsis()
    yield ".SH DESCRIPTION"
    yield _text(_DESCRIPTION[0])
    for paragraph in _DESCRIPTION[1:]:
        yield from (".PP", _text(paragraph))
    yield from _commands()
    yield from (".SH OPTIONS", *_option(HELP), *_option(VERSION))
    for name, title, options in options_by_group():
        yield f'.SS "{_text(name)}: {_text(title)}"'
        for option in options:
            yield from _option(option)
    yield from (".SH ENVIRONMENT", _text(_ENVIRONMENT))
    for setting in all_settings().values():
        if setting.secret is not None:
            yield from _tagged(setting.secret.variable, f"as {setting.flag}")
    for title, rows in (("EXIT STATUS", _STATUS), ("FILES", _FILES)):
        yield f'.SH "{title}"'
        for tag, text in rows:
            yield from _tagged(tag, text)
    yield ".SH EXAMPLES"
    for purpose, command in _EXAMPLES:
        yield from _tagged(command, purpose)


def _synopsis() -> Iterator[str]:
    yield ".SH SYNOPSIS"
    yield f"{_bold('p2pool-dash')} [OPTIONS] [[RPCUSER] RPCPASS]"
    for word in first_words():
        options = " [OPTIONS]" if word.settings or len(word.own) > 1 else ""
        yield from (".br", f"{_bold(f'p2pool-dash {word.name}')} {_text(word.words)}{options}".replace("  ", " "))


def _commands() -> Iterator[str]:
    """Yield the commands, each with the flags that the node has not."""
    yield ".SH COMMANDS"
    yield _text(
        "A command is the first word. To name the node that is meant, give the flags with which it is started, at "
        "least --config, --net and --datadir, if it has any."
    )
    for word in first_words():
        yield from _tagged(f"{word.name} {word.words}".strip(), f"{word.help}.")
        own = [option for option in word.own if option.names != HELP.names and option != VERSION]
        if own:
            yield ".RS"
            for option in own:
                yield from _option(option)
            yield ".RE"


def _option(option: Option) -> Iterator[str]:
    return _tagged(", ".join(option.names), option.help, option.metavar)


def _tagged(tag: str, text: str, value: str = "") -> Iterator[str]:
    """Yield a paragraph with a tag."""
    yield ".TP"
    yield _bold(tag) + (f" {_text(value)}" if value else "")
    yield _text(text)


def _bold(text: str) -> str:
    return f"\\fB{_text(text)}\\fR"


def _text(text: str) -> str:
    """Return a text as roff shows it as it is: nothing in it is taken for a request or an escape."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
