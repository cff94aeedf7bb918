"""The command line and its help, made from the settings that all topics declare."""

from __future__ import annotations

import argparse
import itertools
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from p2pool import __version__
from p2pool.app.commands import COMMANDS
from p2pool.app.compiled import describe
from p2pool.app.settings import GATEWAY_GROUPS, GROUPS, Group, all_settings
from p2pool.base.settings import Given, Setting
from p2pool.base.text import without_login

_DESCRIPTION: Final = """\
A p2pool node for Dash: miners connect to it, and each block that the pool finds pays all of them directly in its
coinbase transaction, so nobody holds their money. It needs a running Dash Core (dashd).
"""

_GATEWAY_USAGE: Final = "%(prog)s gateway [OPTIONS]"
_GATEWAY_DESCRIPTION: Final = """\
A gateway serves miners for a p2pool node, on this machine or on another one: it gets its work from the node, and
sends it what miners solve, through a Redis server. Payout address, fee and donation are those of the node. How to
set up Redis, the node and its gateways is in docs/scaling.md.
"""

_GATEWAY_EXAMPLES: Final = """\
examples:
  the broker's URL in a file:            {program} gateway --broker-file FILE -w 7903
  found blocks to a dashd as well:       {program} gateway --broker-file FILE --dashd http://USER:PASSWORD@HOST:9998
  gateways that the node itself starts:  {program} --broker-file FILE --gateways 4 --web-port 7900 -w 7903

The node needs the same --broker and --net. Each gateway needs a --datadir and a --gateway-name of its own. Other
settings of a node have no effect here, but are accepted: node and gateways can share a settings file (--config).
"""

_EXAMPLES: Final = """\
examples:
  try it without dashd:              {program} --net simnet
  mine with dashd on this machine:   {program} -a YOUR_DASH_ADDRESS
  pay dashd's own wallet:            {program}
  with RPC user and password:        {program} -a YOUR_DASH_ADDRESS rpcuser rpcpassword
  serve miners for a node:           {program} gateway --help

commands (p2pool-dash COMMAND --help explains one):
{commands}

Then connect X11 miners to  stratum+tcp://THIS_MACHINE:PORT  with a Dash address as the username, and open
http://THIS_MACHINE:PORT/ in a browser. A TOML file (--config) can set everything that flags can, and is a safer
place for secrets: other users of this machine can see the command line.
"""
WORDS: Final = "rpc_arguments"
"""The key of the words that are not flags: [RPCUSER] RPCPASS."""
_HELP: Final = "help"


class _ShowVersion(argparse.Action):
    """Shows the versions and ends the program. Libraries are imported, and X11 is tested, only for this."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        sys.stdout.write(describe_version())
        parser.exit()


def describe_version() -> str:
    """Return what a bug report has to say about the program, one thing a line: the version of p2pool-dash, Python,
    Twisted and OpenSSL, the X11 implementation, and whether modules are compiled."""
    from OpenSSL import SSL
    from twisted import __version__ as twisted_version

    from p2pool.dash.pow import PROVIDER

    lines = (
        f"p2pool-dash {__version__}",
        f"Python {platform.python_version()}",
        f"Twisted {twisted_version}",
        SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode(),
        f"X11 provider: {PROVIDER}",
        f"compiled: {describe()}",
    )
    return "".join(f"{line}\n" for line in lines)


def build_parser(
    default_datadir: Path, only: Group | None = None, *, gateway: bool = False
) -> argparse.ArgumentParser:
    """Return the parser, or one for the help of one group or of a gateway. It knows no defaults and no types: what
    was not given is absent from its result, and the rest is text."""
    program = "run_p2pool.py" if default_datadir.name == "data" else "p2pool-dash"
    examples = _GATEWAY_EXAMPLES if gateway else _EXAMPLES
    parser = argparse.ArgumentParser(
        prog=program,
        usage=_GATEWAY_USAGE if gateway else "%(prog)s [OPTIONS] [[RPCUSER] RPCPASS]",
        description=None if only is not None else _GATEWAY_DESCRIPTION if gateway else _DESCRIPTION,
        epilog=None if only is not None else examples.format(program=program, commands=_described_commands()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    if only is None:
        parser.add_argument(
            "-h",
            "--help",
            dest=_HELP,
            nargs="?",
            const="",
            metavar="GROUP",
            help=f"show this help, or one group of it: {', '.join(group.name for group in GROUPS)}",
        )
        parser.add_argument(
            "--version",
            action=_ShowVersion,
            nargs=0,
            help="show all versions, the X11 implementation, and whether modules are compiled",
        )
    for group in _shown_groups(only, gateway=gateway):
        section = parser.add_argument_group(f"{group.name} - {group.title}")
        for setting in group.settings:
            _add(
                section,
                setting,
                str(default_datadir) if setting.name == "datadir" else setting.described_default(),
            )
        if group.name == "dashd":
            section.add_argument(
                WORDS,
                metavar="[RPCUSER] RPCPASS",
                nargs="*",
                help="credentials for dashd's RPC, like --rpcuser and --rpcpassword",
            )
    return parser


def _described_commands() -> str:
    return "\n".join(f"{f'  {name} {each.usage}'.rstrip()}: {each.help}" for name, each in COMMANDS.items())


def _shown_groups(only: Group | None, *, gateway: bool) -> Sequence[Group]:
    if only is not None:
        return (only,)
    return [group for group in GROUPS if group.name in GATEWAY_GROUPS] if gateway else GROUPS


def _add(section: Any, setting: Setting, default: str) -> None:
    """Add one setting to a section of the parser, and the flag that names a file with it if it is a secret."""
    names = [name for name in (setting.short, setting.flag) if name]
    text = help_text(setting, default).replace("%", "%%")  # argparse formats help texts with %
    if setting.is_switch:
        section.add_argument(*names, dest=setting.key, action="store_true", help=text)
        return
    action = "append" if setting.is_list else "store"
    section.add_argument(*names, dest=setting.key, action=action, metavar=setting.metavar, help=text)
    if setting.secret is not None:
        section.add_argument(
            setting.file_flag, dest=setting.file_key, metavar="FILE", help=file_help_text(setting)
        )


def file_help_text(setting: Setting) -> str:
    """Return what help says about the flag that names a file with a secret."""
    if setting.is_list:
        return f"read values of {setting.flag} from this file, one per line"
    return f"read the value of {setting.flag} from this file"


def help_text(setting: Setting, default: str) -> str:
    """Return what help says about a setting: its meaning, whether it can be repeated, its default, and where a
    secret can be instead of on the command line."""
    parts = [setting.help]
    if setting.is_list:
        parts.append("; can be repeated")
    if setting.secret is not None:
        parts.append(f"; also in the environment as {setting.secret.variable}")
    if default:
        parts.append(f" (default: {default})")
    return "".join(parts)


def parse_command_line(
    arguments: Sequence[str], default_datadir: Path, *, gateway: bool = False
) -> tuple[dict[str, tuple[Given, ...]], tuple[str, ...]]:
    """Return what was given for each key, and the words that are not flags. Usage and help are those of a
    `gateway` or of the node. `--help`, `--version` and unknown
    flags end the program as argparse does."""
    parser = build_parser(default_datadir)
    parser.usage = _GATEWAY_USAGE if gateway else parser.usage
    _check_switches(arguments, parser)
    namespace, unknown = parser.parse_known_args(list(arguments))
    found = vars(namespace)
    if _HELP in found:
        _show_help(found[_HELP], parser, default_datadir, gateway=gateway)
    if unknown:
        parser.error(_why_unknown(unknown[0]))
    words = tuple(found.pop(WORDS, ()))
    settings = all_settings()
    labels = {setting.key: setting.label for setting in settings.values()}
    labels |= {setting.file_key: setting.file_flag for setting in settings.values() if setting.secret is not None}
    given = {}
    for key, value in found.items():
        values = value if key in settings and settings[key].is_list else [value]
        # The argparse of Python 3.11 makes an empty list of the value in --flag=--.
        given[key] = tuple(Given(labels[key], "--" if each == [] else str(each)) for each in values)
    return given, words


def _check_switches(arguments: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """End the program if a flag that takes no value has one. (argparse would repeat it: it may be a secret.)"""
    switches = {"--version", *(each.flag for each in all_settings().values() if each.is_switch)}
    for word in itertools.takewhile(lambda word: word != "--", arguments):
        flag, equals, _ = word.partition("=")
        if equals and flag in switches:
            parser.error(f"{flag} takes no value; write {flag} alone")


def _why_unknown(word: str) -> str:
    """Return what is wrong with a word of the command line, without what may be a secret in it."""
    if word.startswith("-"):
        return f"unknown flag {without_login(word.partition('=')[0])}; --help lists all flags"
    return "unexpected argument between the flags; give RPCUSER and RPCPASS next to each other"


def _show_help(name: str, parser: argparse.ArgumentParser, default_datadir: Path, *, gateway: bool) -> NoReturn:
    """Print the help of all groups, or of the one with this name, and end the program."""
    groups = {group.name: group for group in GROUPS}
    if name and name not in groups:
        parser.error(f"--help {name}: unknown group of settings; give one of {', '.join(groups)}")
    build_parser(default_datadir, groups.get(name), gateway=gateway).print_help()
    parser.exit()
