"""The table that a swarm shows: pure functions from the nodes' own figures to lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from p2pool.base.text import format_rate, printable

HEADING = "node  best share  height  peers  pool rate     blocks  page"


@dataclass(frozen=True, slots=True)
class NodeState:
    """What one node answered last. `problem` is why it did not answer; None if it did."""

    number: int
    page: str
    problem: str | None = "starting"
    best_share: str | None = None
    height: int = 0
    incoming: int = 0
    outgoing: int = 0
    pool_rate: float = 0.0
    blocks: int = 0


class NodeAnswers(NamedTuple):
    """What a node answers to /web/chain, /global_stats, /local_stats and /recent_blocks, out of JSON."""

    chain: Any
    overall: Any
    local: Any
    blocks: Any


def read_state(number: int, page: str, answers: NodeAnswers) -> NodeState:
    """Return the state that a node's answers show. Raises KeyError, TypeError or ValueError for other forms."""
    chain, overall, local, blocks = answers
    return NodeState(
        number=number,
        page=page,
        problem=None,
        best_share=chain["best_share"],
        height=int(chain["held"]),
        incoming=int(local["peers"]["incoming"]),
        outgoing=int(local["peers"]["outgoing"]),
        pool_rate=float(overall["pool_hash_rate"]),
        blocks=sum(1 for block in blocks if block["detailed_status"] == "accepted"),
    )


def row(state: NodeState) -> str:
    """Return one node's line of the table."""
    if state.problem is not None:
        return f"{state.number:>4}  {printable(state.problem):<49}{state.page}"
    best = "none" if state.best_share is None else state.best_share[-8:]
    return (
        f"{state.number:>4}  {best:<10}  {state.height:>6}  {f'{state.incoming}+{state.outgoing}':>5}  "
        f"{format_rate(state.pool_rate):<12}  {state.blocks:>6}  {state.page}"
    )


def summary(states: Sequence[NodeState], block_height: int) -> str:
    """Return the line below: whether the nodes agree."""
    answering = [state for state in states if state.problem is None]
    best = {state.best_share for state in answering}
    if not answering:
        text = "no node answers yet"
    elif best == {None}:
        text = "no share yet"
    elif len(best) == 1 and len(answering) == len(states):
        text = f"all {len(states)} on the same best share"
    else:
        shares = "best share" if len(best) == 1 else "best shares"
        text = f"{len(best)} {shares} among {len(answering)} of {len(states)} nodes"
    return f"{text}; {sum(state.blocks for state in states)} blocks found, the simulated chain has {block_height}"


def frame(lines: Sequence[str], drawn: int, width: int) -> str:
    """Return these lines for a terminal of `width` columns, drawn over the last frame of `drawn` lines. What
    does not fit is cut off, as a line that wraps would be two."""
    up = f"\x1b[{drawn}A" if drawn else ""
    return up + "".join(f"\r{line[:width]}\x1b[K\n" for line in lines)
