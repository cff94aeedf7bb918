"""What a Dash Core reports of itself: whether it is the right one and ready, and what it warns of."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from p2pool.base.errors import OperatorError
from p2pool.base.text import excerpt, printable
from p2pool.dashd.rpc import BLOCK_NOT_FOUND, Caller, RpcError, RpcUnavailable
from p2pool.networks.parameters import Network

MINIMUM_VERSION = 200_000
MAX_TIME_OFFSET = 60
"""Seconds by which a daemon's clock may differ from those of its peers before the operator is warned."""
_MAX_WARNING = 300
_MAX_FORKS, _MAX_FORK_NAME = 100, 32
_MOST_BLOCKS_BEHIND = 3
"""Blocks by which the answers of two healthy daemons may differ, since both are asked every ten seconds."""
_CERTAIN = ("locked_in", "active")
"""States (BIP 9) of a hard fork that activates, whatever comes."""
_NOT_BEGUN = ("defined", "failed")
"""States of a fork that a daemon does not expect: the one after them is `started`, for a whole period."""


class WrongDaemon(OperatorError):
    """A Dash Core that this node must not mine on: another chain, or too old."""


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """What getblockchaininfo and getnetworkinfo say. `progress` is 1.0 once the chain is verified; `time_offset`
    is the seconds by which its peers' clocks are ahead of its own."""

    agent: str
    version: int
    chain: str
    blocks: int
    headers: int
    initial_download: bool
    progress: float
    connections: int
    time_offset: int
    warnings: str
    forks: tuple[tuple[str, str, int], ...] = ()
    """Forks of the chain's rules: name, BIP 9 state (`active` also for one that is buried in the software), and
    the height where its rules begin; 0 if that is not known yet."""

    def not_expected(self, other: DaemonFacts) -> list[tuple[str, int]]:
        """Return the forks that are certain to the other daemon and that this one knows nothing of, with the
        height where their rules begin. Empty if this daemon is behind: it may learn of them yet."""
        if self.initial_download or self.blocks < other.blocks - _MOST_BLOCKS_BEHIND:
            return []
        own = {name: state for name, state, _ in self.forks}
        return [
            (name, height)
            for name, state, height in other.forks
            if state in _CERTAIN and own.get(name, _NOT_BEGUN[0]) in _NOT_BEGUN
        ]

    @property
    def line(self) -> str:
        """Return a short description, for the log."""
        return f"{self.agent} on chain {self.chain}, height {self.blocks}"

    def problems(self) -> list[str]:
        """Return what the operator should know."""
        found = []
        if self.initial_download:
            found.append(f"is still synchronising ({self.progress:.1%}, block {self.blocks} of {self.headers})")
        if self.warnings:
            found.append(f"warns: {self.warnings}")
        if abs(self.time_offset) > MAX_TIME_OFFSET:
            found.append(
                f"has a clock that differs by {self.time_offset} s from those of its peers: synchronise it"
            )
        return found


def _number(answer: Mapping[str, Any], name: str, default: int = 0) -> int:
    value = answer.get(name, default)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else default


def _text(answer: Mapping[str, Any], name: str) -> str:
    """Return a text, or a list of them (as newer versions give warnings)."""
    value = answer.get(name, "")
    parts = value[:10] if isinstance(value, list) else [value]
    return printable("; ".join(part for part in parts if isinstance(part, str)).strip(), _MAX_WARNING)


def _forks(chain_info: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    """Return those of `softforks` that have a state; malformed ones are skipped."""
    forks = chain_info.get("softforks")
    found = []
    for name, fork in list(forks.items())[:_MAX_FORKS] if isinstance(forks, dict) else ():
        if not isinstance(fork, dict) or not isinstance(name, str):
            continue
        bip9 = fork.get("bip9")
        state, activation = _CERTAIN[-1], 0
        if isinstance(bip9, dict):
            state, activation = _text(bip9, "status")[:_MAX_FORK_NAME], _number(bip9, "activation_height")
        found.append((printable(name, _MAX_FORK_NAME), state, _number(fork, "height") or activation))
    return tuple(found)


def parse_facts(chain_info: Any, network_info: Any) -> DaemonFacts:
    """Return the facts in two answers. Raises RpcUnavailable if they are not objects."""
    if not isinstance(chain_info, Mapping) or not isinstance(network_info, Mapping):
        raise RpcUnavailable("getblockchaininfo or getnetworkinfo did not answer with an object")
    progress = chain_info.get("verificationprogress", 0.0)
    known = isinstance(progress, int | float)
    warnings = [_text(chain_info, "warnings"), _text(network_info, "warnings")]
    return DaemonFacts(
        agent=_text(network_info, "subversion")[:64],
        version=_number(network_info, "version"),
        chain=_text(chain_info, "chain")[:64],
        blocks=_number(chain_info, "blocks"),
        headers=_number(chain_info, "headers"),
        initial_download=chain_info.get("initialblockdownload") is True,
        progress=float(min(1.0, max(0.0, progress))) if known else 0.0,
        connections=_number(network_info, "connections"),
        time_offset=_number(network_info, "timeoffset"),
        warnings="; ".join(dict.fromkeys(text for text in warnings if text)),
        forks=_forks(chain_info),
    )


async def read_facts(rpc: Caller) -> DaemonFacts:
    """Ask a daemon for its facts. Raises RpcError, RpcUnavailable."""
    return parse_facts(await rpc.call("getblockchaininfo"), await rpc.call("getnetworkinfo"))


async def check_daemon(rpc: Caller, network: Network) -> DaemonFacts:
    """Check that this is a daemon to mine on, and return its facts. Raises WrongDaemon, RpcError,
    RpcUnavailable."""
    parent = network.parent
    chain_info, network_info = await rpc.call("getblockchaininfo"), await rpc.call("getnetworkinfo")
    facts = parse_facts(chain_info, network_info)
    chain = chain_info.get("chain")
    wrong = f"dashd is on the chain {excerpt(chain)}, but --net {network.name} needs "
    if parent.chain is not None and chain != parent.chain:
        raise WrongDaemon(f"{wrong}{parent.chain!r}: start the right dashd, or choose another --net")
    if parent.chain is None and chain == "main":
        raise WrongDaemon(f"{wrong}a test network: start the right dashd, or choose another --net")
    if parent.known_block is not None:
        try:
            await rpc.call("getblockheader", parent.known_block)
        except RpcError as error:
            if error.code != BLOCK_NOT_FOUND:
                raise
            raise WrongDaemon(f"{wrong}the one that has block {parent.known_block}") from None
    version = network_info.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < MINIMUM_VERSION:
        raise WrongDaemon(
            f"dashd has version {excerpt(version)}; {MINIMUM_VERSION} (20.0) or newer is needed: upgrade it"
        )
    await _check_submission(rpc)
    return facts


async def _check_submission(rpc: Caller) -> None:
    """Find out before work is given whether a found block may be submitted: an rpcwhitelist can leave that out.
    What is submitted is nothing, which every Dash Core refuses to decode. Raises RpcForbidden, RpcUnavailable."""
    with suppress(RpcError):
        await rpc.call("submitblock", "")
