"""The screen of `status`."""

from __future__ import annotations

from typing import Any

from p2pool.operators.status import render_status


def views(**changes: Any) -> dict[str, Any]:
    node = {
        "version": "1.0.0",
        "network": "dash",
        "uptime": 3720.0,
        "workers": 3,
        "connections": 4,
        "hash_rate": 2e9,
        "dead_hash_rate": 1e8,
        "shares": {"total": 9, "orphan": 1, "dead": 0},
        "efficiency": 0.95,
        "next_payout": {"dash": "0.5", "duffs": 50_000_000},
        "payout_addresses": [{"address": "Xa"}, {"address": "Xb"}],
        "peers": {"incoming": 1, "outgoing": 6},
        "warnings": ["the disk is full"],
    }
    pool = {
        "symbol": "DASH",
        "observed_hash_rate": 5e9,
        "stale_proportion": 0.02,
        "observed_time_to_block": 86_400.0,
        "share_chain_height": 4320,
        "share_difficulty": 12.5,
    }
    daemon = {
        "address": "http://h:9998/",
        "version": "/Dash Core:23.1.2/",
        "height": 7,
        "serving": True,
        "problem": None,
    }
    process = {"memory": 1 << 27, "reactor_delay": {"worst": 0.05}}
    found = {
        "node": node,
        "pool": pool,
        "dashd": {"daemons": [daemon, daemon | {"serving": False, "problem": "stuck"}], "blocks_waiting": 0},
        "process": process,
    }
    for name, changed in changes.items():
        found[name] |= changed
    return found


def test_all_that_is_known():
    assert render_status(views()).splitlines() == [
        "node         p2pool-dash 1.0.0 on dash, up 1 h 2 min",
        "miners       3 workers, 4 connections, 2.00 GH/s, 5.0% of it dead on arrival",
        "shares       9 in the chain, 1 orphan, 0 dead, efficiency 95.0%",
        "payout       0.5 DASH from the next block, to Xa, Xb",
        "pool         5.00 GH/s, 2.0% stale, expected time to a block 1 d 0 h",
        "share chain  4320 shares, difficulty 12.5",
        "peers        6 outgoing, 1 incoming",
        "dashd        http://h:9998/ /Dash Core:23.1.2/ height 7, serving",
        "dashd        http://h:9998/ /Dash Core:23.1.2/ height 7, PROBLEM: stuck",
        "process      128 MiB of memory, longest reactor delay 50 ms",
        "WARNING      the disk is full",
    ]


def test_what_is_not_known_yet():
    text = render_status(
        views(
            node={
                "efficiency": None,
                "payout_addresses": [],
                "hash_rate": 0.0,
                "dead_hash_rate": 0.0,
                "warnings": [],
            },
            pool={"observed_time_to_block": None},
            dashd={"blocks_waiting": 2},
            process={"memory": None},
        )
    )
    assert "expected time to a block unknown" in text
    assert "to no address yet" in text
    assert "blocks       2 found, whose outcome is pending" in text
    assert "WARNING" not in text


def test_texts_from_outside_do_not_control_the_terminal():
    assert "\x1b" not in render_status(views(node={"warnings": ["peer \x1b[2J says"]}))
