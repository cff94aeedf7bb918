"""`p2pool-dash status`: the running node on one screen, from its JSON API."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from p2pool.app.commands import JSON_FLAG
from p2pool.base.text import format_duration, format_rate
from p2pool.operators.arguments import read_arguments
from p2pool.operators.cells import safe
from p2pool.operators.node_api import node_api, understood

VIEWS: Final = ("node", "pool", "dashd", "process")
"""The parts of the API that the screen is made of."""
_UNKNOWN: Final = "unknown"
LABEL_WIDTH: Final = 12


def status(arguments: Sequence[str], default_datadir: Path) -> int:
    """Print the screen, or with --json what it is made of. Return 0; a node that does not answer is an error."""
    given = read_arguments("status", arguments, default_datadir)
    api = node_api(given)
    views = {name: api.get(name) for name in VIEWS}
    with understood(api):
        text = json.dumps(views, indent=2) if given.has(JSON_FLAG) else render_status(views)
    sys.stdout.write(f"{text}\n")
    return 0


def render_status(views: Mapping[str, Any]) -> str:
    """Return the screen. What the node does not know yet is shown as such."""
    warnings = (("WARNING", warning) for warning in views["node"]["warnings"])
    return "\n".join(f"{name:<{LABEL_WIDTH}} {safe(text)}" for name, text in (*status_rows(views), *warnings))


def status_rows(views: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is said of the node without its warnings: (what it is about, the text), not made safe yet."""
    node, pool = views["node"], views["pool"]
    return [
        ("node", f"p2pool-dash {node['version']} on {node['network']}, up {format_duration(node['uptime'])}"),
        ("miners", _miners(node)),
        ("shares", _shares(node)),
        ("payout", f"{node['next_payout']['dash']} {pool['symbol']} from the next block, {_addresses(node)}"),
        ("pool", _pool(pool)),
        ("share chain", f"{pool['share_chain_height']} shares, difficulty {pool['share_difficulty']:.4g}"),
        ("peers", f"{node['peers']['outgoing']} outgoing, {node['peers']['incoming']} incoming"),
        *_dashd(views["dashd"]),
        ("process", _process(views["process"])),
    ]


def _miners(node: Mapping[str, Any]) -> str:
    rate, dead = node["hash_rate"], node["dead_hash_rate"]
    stale = f", {dead / rate:.1%} of it dead on arrival" if rate and dead else ""
    return f"{node['workers']} workers, {node['connections']} connections, {format_rate(rate)}{stale}"


def _shares(node: Mapping[str, Any]) -> str:
    shares, efficiency = node["shares"], node["efficiency"]
    yields = "" if efficiency is None else f", efficiency {efficiency:.1%}"
    return f"{shares['total']} in the chain, {shares['orphan']} orphan, {shares['dead']} dead{yields}"


def _addresses(node: Mapping[str, Any]) -> str:
    return "to " + (", ".join(each["address"] for each in node["payout_addresses"]) or "no address yet")


def _pool(pool: Mapping[str, Any]) -> str:
    expected = pool["observed_time_to_block"]
    block = _UNKNOWN if expected is None else format_duration(expected)
    return (
        f"{format_rate(pool['observed_hash_rate'])}, {pool['stale_proportion']:.1%} stale, expected time to a "
        f"block {block}"
    )


def _dashd(dashd: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for daemon in dashd["daemons"]:
        role = "serving" if daemon["serving"] else "standby"
        state = role if daemon["problem"] is None else f"PROBLEM: {daemon['problem']}"
        height = _UNKNOWN if daemon["height"] is None else daemon["height"]
        yield "dashd", f"{daemon['address']} {daemon['version']} height {height}, {state}"
    if dashd["blocks_waiting"]:
        yield "blocks", f"{dashd['blocks_waiting']} found, whose outcome is pending"


def _process(process: Mapping[str, Any]) -> str:
    memory, delay = process["memory"], process["reactor_delay"]["worst"]
    used = _UNKNOWN if memory is None else f"{memory / 1024**2:.0f} MiB"
    return f"{used} of memory, longest reactor delay {1000 * delay:.0f} ms"
