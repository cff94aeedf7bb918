"""`p2pool-dash completion SHELL`: a script that completes the command line in a shell, made of the declarations.
It is static: completing starts no process of ours."""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from p2pool.base.errors import OperatorError
from p2pool.operators.arguments import read_arguments
from p2pool.operators.command_line import (
    HELP,
    PROGRAMS,
    VERSION,
    FirstWord,
    Option,
    first_words,
    node_options,
    node_settings,
)

_HELP_WIDTH: Final = 70


def completion(arguments: Sequence[str], default_datadir: Path) -> int:
    """Print the script for a shell. Return 0. Raises OperatorError."""
    (shell,) = read_arguments("completion", arguments, default_datadir).words
    if shell not in SCRIPTS:
        raise OperatorError(f"there is no completion for {shell!r}: give one of {', '.join(SCRIPTS)}")
    sys.stdout.write(SCRIPTS[shell]())
    return 0


def _all_options(words: Sequence[FirstWord]) -> list[Option]:
    found = {option.names[-1]: option for each in words for option in each.own}
    found |= {option.names[-1]: option for option in node_options()}
    return list(found.values())


def _names(options: Sequence[Option]) -> str:
    return " ".join(name for option in options for name in option.names)


def _short(text: str) -> str:
    return textwrap.shorten(text, _HELP_WIDTH, placeholder=" ...")


# --- bash ----------------------------------------------------------------------------------------------------

_BASH: Final = """\
# Completion of p2pool-dash for bash: put it into /usr/share/bash-completion/completions/p2pool-dash.
_p2pool_dash() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous= files= words= flags=
    ((COMP_CWORD > 0)) && previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    # bash splits --flag=value at the "=".
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]] && ((COMP_CWORD > 2)); then
        previous=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    case $previous in
{values}
    *)
        if ((COMP_CWORD == 1)); then
            words={commands}
        fi
        case ${{COMP_WORDS[1]}}:$COMP_CWORD in
{after}
        esac
        flags={settings}
        case ${{COMP_WORDS[1]}} in
{flags}
        *) flags+={node} ;;
        esac
        if [[ $current == -* || -z $words$files ]]; then
            words+=" $flags"
        fi
        ;;
    esac
    COMPREPLY=()
    if [[ -n $files ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen "$files" -- "$current")
    fi
    local matching
    mapfile -t matching < <(compgen -W "$words" -- "$current")
    COMPREPLY+=("${{matching[@]}}")
}}
complete -F _p2pool_dash {programs}
"""


def bash() -> str:
    """Return the script for bash 4 or newer."""
    words = first_words()
    return _BASH.format(
        values="\n".join(_bash_values(_all_options(words))),
        commands=shlex.quote(" ".join(each.name for each in words)),
        after="\n".join(_bash_words(words)),
        flags="\n".join(f"        {each.name}) flags{_bash_flags(each)} ;;" for each in words),
        settings=shlex.quote(_names(node_settings())),
        node=shlex.quote(f" {_names([HELP, VERSION])}"),
        programs=" ".join(PROGRAMS),
    )


def _bash_flags(word: FirstWord) -> str:
    """Return what becomes of the variable with all flags of the node."""
    if word.settings == tuple(node_settings()):
        return f"+={shlex.quote(f' {_names(word.own)}')}"
    return f"={shlex.quote(_names([*word.own, *word.settings]))}"


def _bash_values(options: Sequence[Option]) -> Iterator[str]:
    """Yield the case of each kind of value: choices, directories, files, and those that nothing is known of."""
    for option in options:
        if option.choices:
            yield f"    {'|'.join(option.names)}) words={shlex.quote(' '.join(option.choices))} ;;"
    rest = [option for option in options if option.metavar and not option.choices]
    kinds = {
        "files=-d": [option for option in rest if option.names_a_directory],
        "files=-f": [option for option in rest if option.names_a_file],
        ":": [option for option in rest if not option.names_a_file and not option.names_a_directory],
    }
    for action, those in kinds.items():
        names = "|".join(name for option in those for name in option.names)
        yield f"    {names}) {action} ;;"


def _words_after(word: FirstWord) -> list[str]:
    """Return the words after a command, as help shows them but without brackets."""
    return [each.strip("[]") for each in word.words.split()]


def _fixed(word: str) -> list[str]:
    """Return the words that a word in help stands for: those in small letters are meant as they are."""
    return word.split("|") if re.fullmatch("[a-z|]+", word) else []


def _bash_words(words: Sequence[FirstWord]) -> Iterator[str]:
    for each in words:
        for place, word in enumerate(_words_after(each), 2):
            action = {"DIR": "files=-d", "FILE": "files=-f"}.get(word, "")
            if _fixed(word):
                action = f"words={shlex.quote(' '.join(_fixed(word)))}"
            if action:
                yield f"        {each.name}:{place}) {action} ;;"


# --- zsh -----------------------------------------------------------------------------------------------------

_ZSH: Final = """\
#compdef {programs}
# Completion of p2pool-dash for zsh: put it into a directory of $fpath, as _p2pool-dash.
_p2pool-dash() {{
    local -a commands=(
{commands}
    )
    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
        _describe -t commands command commands
        return
    fi
    local -a settings=(
        {settings}
    )
    case $words[2] in
{cases}
    *)
        _arguments {node} $settings
        ;;
    esac
}}
if [[ $funcstack[1] == _p2pool-dash ]]; then
    _p2pool-dash "$@"
else
    compdef _p2pool-dash {programs}
fi
"""


def zsh() -> str:
    """Return the script for zsh."""
    words = first_words()
    return _ZSH.format(
        programs=" ".join(PROGRAMS),
        commands="\n".join(f"        {shlex.quote(f'{each.name}:{_zsh_text(each.help)}')}" for each in words),
        cases="\n".join(_zsh_case(each) for each in words),
        settings=_zsh_specs(node_settings(), " "),
        node=_zsh_specs([HELP, VERSION]),
    )


def _zsh_specs(options: Sequence[Option], end: str = " \\") -> str:
    return f"{end}\n            ".join(shlex.quote(spec) for option in options for spec in _zsh_option(option))


def _zsh_case(word: FirstWord) -> str:
    actions = {"DIR": "_directories", "FILE": "_files"}
    specs = [_zsh_specs(word.own)]
    if word.settings == tuple(node_settings()):
        specs.append("$settings")
    elif word.settings:
        specs.append(_zsh_specs(word.settings))
    for place, each in enumerate(_words_after(word), 1):
        action = f"({' '.join(_fixed(each))})" if _fixed(each) else actions.get(each, " ")
        specs.append(shlex.quote(f"{place}:{_zsh_text(each)}:{action}"))
    arguments = " \\\n            ".join(specs)
    call = ["        shift words", "        (( CURRENT-- ))", f"        _arguments {arguments}"]
    return "\n".join([f"    {word.name})", *call, "        ;;"])


def _zsh_option(option: Option) -> Iterator[str]:
    """Yield what _arguments takes for each name of an option."""
    star = "*" if option.repeats else ""
    if option.choices:
        action = f"({' '.join(option.choices)})"
    else:
        action = "_directories" if option.names_a_directory else "_files" if option.names_a_file else " "
    value = f":{_zsh_text(option.metavar.strip('[]'))}:{action}" if option.metavar else ""
    value = f":{value}" if option.metavar == HELP.metavar else value  # two colons: it may be left out
    for name in option.names:
        equals = "=" if value and name.startswith("--") else ""
        yield f"{star}{name}{equals}[{_zsh_text(_short(option.help))}]{value}"


def _zsh_text(text: str) -> str:
    return re.sub(r"([\\\[\]:])", r"\\\1", text)


# --- fish ----------------------------------------------------------------------------------------------------


def fish() -> str:
    """Return the script for fish."""
    words = first_words()
    lines = [
        "# Completion of p2pool-dash for fish: put it into /usr/share/fish/vendor_completions.d/p2pool-dash.fish.",
        "complete -c p2pool-dash -f",
    ]
    for each in words:
        lines.append(
            f"complete -c p2pool-dash -n __fish_use_subcommand -a {each.name} -d {_fish_text(_short(each.help))}"
        )
    of_node = tuple(node_settings())
    others = " ".join(each.name for each in words if each.settings != of_node)
    lines += [_fish_option(option, f"not __fish_seen_subcommand_from {others}") for option in node_options()]
    for each in words:
        condition = f"__fish_seen_subcommand_from {each.name}"
        # Those that take all flags of the node have its --help as well.
        more = each.own[1:] if each.settings == of_node else (*each.own, *each.settings)
        lines += [_fish_option(option, condition) for option in more]
        for place, word in enumerate(_words_after(each), 2):
            arguments = f"-a {shlex.quote(' '.join(_fixed(word)))}" if _fixed(word) else ""
            if word in ("DIR", "FILE"):
                arguments = "-a '(__fish_complete_directories)'" if word == "DIR" else "-F"
            if arguments:
                there = f"{condition}; and test (count (commandline -opc)) -eq {place}"
                lines.append(f"complete -c p2pool-dash -n {shlex.quote(there)} {arguments}")
    return "\n".join([*lines, "complete -c run_p2pool.py -w p2pool-dash", ""])


def _fish_option(option: Option, condition: str) -> str:
    parts = ["complete", "-c", "p2pool-dash", "-n", shlex.quote(condition)]
    for name in option.names:
        parts += ["-l", name[2:]] if name.startswith("--") else ["-s", name[1:]]
    if option.choices:
        parts += ["-f" if option.metavar == HELP.metavar else "-x", "-a", shlex.quote(" ".join(option.choices))]
    elif option.names_a_directory:
        parts += ["-x", "-a", "'(__fish_complete_directories)'"]
    elif option.metavar:
        parts += ["-r", "-F"] if option.names_a_file else ["-x"]
    return " ".join([*parts, "-d", _fish_text(_short(option.help))])


def _fish_text(text: str) -> str:
    """Return a text in fish's single quotes, in which only \\\\ and \\' are special."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS: Final[Mapping[str, Callable[[], str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
