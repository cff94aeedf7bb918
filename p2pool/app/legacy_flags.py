"""Command lines written for legacy p2pool-dash: flags that have no meaning here, files of arguments, and words
that only look like an RPC password. Used by `config`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pool.app.commands import COMMANDS
from p2pool.base.errors import OperatorError
from p2pool.base.paths import decode_text
from p2pool.base.settings import Shown, read_integer, setting, settings_of, switch
from p2pool.base.text import without_login
from p2pool.dash.address import AddressError, payout_hash160
from p2pool.networks import NETWORKS

_INIT_COMMANDS: Final = frozenset(("start", "stop", "restart", "reload"))
"""Of init scripts. None of them is a likely name of an RPC user."""
_WORDS: Final = frozenset(("run", "daemon", "help", "version", "install", "update", "upgrade"))
_GATEWAY: Final = ("gateway", "gateways")
_NETWORK_WORDS: Final = ("mainnet", "testnet", "regtest", "main", "test")
_SHORTEST_PASSWORD: Final = 6
"""Characters; a shorter single word is more likely a typing error than a password."""
_TOO_SHORT: Final = "a single word is dashd's RPC password, and this one is very short"
_MAX_FILE: Final = 1 << 20
_MAX_NESTED: Final = 10


def _no_effect(instead: str) -> str:
    return f"no effect: {instead}"


@dataclass(frozen=True, kw_only=True)
class LegacyOptions:
    """Flags that legacy p2pool-dash has and that are spelt otherwise here, or do nothing."""

    testnet: bool = switch(shown=Shown.NEVER, help="use the testnet of --net; prefer --net dash_testnet")
    iocp: bool = switch(shown=Shown.NEVER, help=_no_effect("this node does not run on Windows"))
    irc_announce: bool = switch(shown=Shown.NEVER, help=_no_effect("use --alert-url, --alert-email or --webhook"))
    no_bugreport: bool = switch(
        shown=Shown.NEVER, help=_no_effect("this node sends no reports, and alerts go only to you")
    )
    compact_on_shutdown: bool = switch(
        shown=Shown.NEVER,
        help=_no_effect("there is nothing to compact; --disable-share-archive keeps no old shares"),
    )
    broadcaster_min_peers: int | None = setting(
        None,
        metavar="N",
        read=read_integer,
        shown=Shown.NEVER,
        help=_no_effect("use --broadcaster-max-peers for the number of connections"),
    )


def network_name(net: str, options: LegacyOptions) -> str:
    """Return the name of the network: `net`, or its testnet with --testnet. Raises OperatorError."""
    if not options.testnet:
        return net
    testnet = net if net.endswith("_testnet") else f"{net}_testnet"
    if testnet not in NETWORKS:
        raise OperatorError(f"--testnet: the network {net} has no testnet; give one of {', '.join(NETWORKS)}")
    return testnet


def legacy_notices(network: str, options: LegacyOptions) -> list[str]:
    """Return what to warn of at the start: old names, and flags that have no effect."""
    notices = [f"--testnet is an old name: use --net {network}"] if options.testnet else []
    for each in settings_of(LegacyOptions):
        if each.name != "testnet" and getattr(options, each.name):
            _, _, instead = each.help.partition(": ")
            notices.append(f"{each.flag} has no effect: {instead}")
    return notices


def expand_files(arguments: Sequence[str], depth: int = 0) -> list[str]:
    """Return the command line with each @FILE replaced by the words in it. Raises OperatorError."""
    expanded: list[str] = []
    for argument in arguments:
        if not argument.startswith("@"):
            expanded.append(argument)
            continue
        if depth == _MAX_NESTED:
            raise OperatorError(f"{argument}: argument files are nested more than {_MAX_NESTED} deep")
        try:
            with open(Path(argument[1:]), "rb") as file:
                data = file.read(_MAX_FILE + 1)
            if len(data) > _MAX_FILE:
                raise ValueError(f"it has more than {_MAX_FILE} bytes")  # a word cut in two may be another address
            words = decode_text(data).split()
        except (OSError, ValueError) as error:
            why, shown = getattr(error, "strerror", None) or error, "@" + without_login(argument[1:])
            raise OperatorError(
                f"{shown}: cannot read arguments from the file {shown[1:]}: {why} (a password that begins "
                "with @ is given as --rpcpassword=@...)"
            ) from None
        expanded += expand_files(words, depth + 1)
    return expanded


def check_positional(words: Sequence[str]) -> None:
    """Raise OperatorError if the words given as [RPCUSER] RPCPASS are more likely something else."""
    if len(words) > 2:
        raise OperatorError(f"{len(words)} RPC arguments; give [RPCUSER] RPCPASS, or nothing")
    for word in words:
        problem = _problem(word, len(words) == 1)
        if problem is not None:
            shown = "RPCPASS" if problem == _TOO_SHORT else without_login(word)
            raise OperatorError(
                f"{shown}: {problem}. If it is dashd's RPC password, give it as --rpcpassword (with --rpcuser)"
            )


def _problem(word: str, alone: bool) -> str | None:
    """Return why a word is not a plausible user or password; None if it may be one."""
    lower = word.lower()
    if lower in _GATEWAY:
        return "to start a gateway, write gateway as the first word; to let the node start gateways, --gateways N"
    if lower == "status" or (alone and lower in COMMANDS):
        return f"to carry out the command {lower}, write it as the first word, before all flags"
    if lower in _INIT_COMMANDS or (alone and lower in _WORDS):
        return "there is no such command: the node starts without one, and Ctrl-C or SIGTERM stops it"
    if alone and lower in (*NETWORKS, *_NETWORK_WORDS):
        return f"give the network as --net, one of {', '.join(NETWORKS)}, or the testnet as --testnet"
    if "://" in word:
        return "give the URL of a dashd as --dashd; miners connect to the worker port (-w)"
    if _is_address(word):
        return f"give a payout address as -a {word}"
    if alone and lower.endswith((".toml", ".conf")):
        shown = without_login(word)
        return f"give a file of settings as --config {shown}, a dash.conf as --dashd-config-path {shown}"
    if alone and len(word) < _SHORTEST_PASSWORD:
        return _TOO_SHORT
    return None


def _is_address(word: str) -> bool:
    for network in NETWORKS.values():
        try:
            payout_hash160(word, network.parent.addresses, network.name)
        except AddressError:
            continue
        return True
    return False
