"""Which soft forks a simulated chain knows, as getblockchaininfo and getblocktemplate report them.

Test chains have all of them from their first block on, but for `testdummy`, which miners may be asked to signal
for a while, and `v24`; the main chain has them at the heights of captures 70.

Dash Core activates `v24` by version bit 12 (deploymentinfo.cpp, versionbits.cpp): masternodes signal first (EHF),
then four fifths of the blocks of a period must have the bit, falling to three fifths; the next period is locked
in, and the rules hold after it. `gbt_force` is set, so templates contain the bit and, later, the rule `v24`
whatever a client says that it understands. A simulated chain goes through the same states at fixed heights and
counts the bits, but activates whether they are set or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p2pool.simnet.finder import BLOCK_VERSION
from p2pool.simnet.render import Json

_MAIN_HEIGHTS = {
    "bip34": 951,
    "bip66": 245817,
    "bip65": 619382,
    "bip147": 939456,
    "csv": 622944,
    "dip0001": 782208,
    "dip0003": 1028160,
    "dip0008": 1088640,
    "dip0020": 1516032,
    "dip0024": 1737792,
    "realloc": 1374912,
    "v19": 1899072,
    "v20": 1987776,
    "mn_rr": 2128896,
    "withdrawals": 2201472,
}
_FIRST_BLOCK = 1
_NO_TIMEOUT = 9223372036854775807
_TESTDUMMY_BIT = 28
V24_BIT = 12
"""The version bit by which blocks signal `v24`."""
V24_PERIOD = 10
"""Blocks in a signalling period of a simulated chain: 4032 on Dash's main chain, 250 on regtest."""
_ACTIVE_STATES = {"active": 0, "locked_in": 1, "started": 2}
"""How many periods before the activation each state begins."""


@dataclass(frozen=True, slots=True)
class Signalling:
    """What soft forks depend on: the last height at which `testdummy` is signalled, the height where `v24`
    activates, and how many blocks of the best chain from a height up to another have a version bit."""

    testdummy_until: int = 0
    v24_height: int | None = None
    count: Callable[[int, int, int], int] = lambda first, last, bit: 0


def v24_state(height: int, activation: int | None) -> tuple[str, int]:
    """Return the BIP 9 state of `v24` for the block after a tip of that height, and the height since which it
    holds."""
    if activation is not None:
        for state, periods in _ACTIVE_STATES.items():
            since = max(0, activation - periods * V24_PERIOD)
            if height + 1 >= since:
                return state, since
    return "defined", 0


def softforks(main: bool, height: int, signalling: Signalling) -> Json:
    """Return the `softforks` object at a tip of that height: a fork is active if the next block is under its
    rules."""
    forks: Json = {
        name: {
            "type": "buried",
            "active": height + 1 >= (at if main else _FIRST_BLOCK),
            "height": at if main else _FIRST_BLOCK,
        }
        for name, at in _MAIN_HEIGHTS.items()
    }
    if not main:
        return forks | {
            "v24": _v24(height, signalling),
            "testdummy": _testdummy(height, signalling.testdummy_until),
        }
    # Dash Core does not show a fork that can never become active.
    return forks if signalling.v24_height is None else forks | {"v24": _v24(height, signalling)}


def template_signals(main: bool, height: int, signalling: Signalling) -> Json:
    """Return `version`, `rules` and `vbavailable` of the template for the block after a tip of that height."""
    testdummy = "defined" if main else _testdummy_status(height, signalling.testdummy_until)
    states = {
        "testdummy": (testdummy, _TESTDUMMY_BIT),
        "v24": (v24_state(height, signalling.v24_height)[0], V24_BIT),
    }
    available = {name: bit for name, (state, bit) in states.items() if state in ("started", "locked_in")}
    return {
        "version": BLOCK_VERSION | sum(1 << bit for bit in available.values()),
        "rules": ["csv", *(name for name, (state, _) in states.items() if state == "active")],
        "vbavailable": available,
    }


def _testdummy_status(height: int, signalling_until: int) -> str:
    """Return the state of the one fork of test chains that miners signal: on the genesis it has not begun."""
    if height < _FIRST_BLOCK:
        return "defined"
    return "started" if height < signalling_until else "active"


_TIMES = {"start_time": 0, "timeout": _NO_TIMEOUT, "min_activation_height": 0}


def _testdummy(height: int, signalling_until: int) -> Json:
    status = _testdummy_status(height, signalling_until)
    active = status == "active"
    since = max(_FIRST_BLOCK, signalling_until) if active else _FIRST_BLOCK if height else 0
    fork: Json = {"type": "bip9", "bip9": {"status": status, **_TIMES, "ehf": False, "since": since}}
    if active:
        fork["height"] = since
    return fork | {"active": active}


def _v24(height: int, signalling: Signalling) -> Json:
    status, since = v24_state(height, signalling.v24_height)
    signalled = status in ("started", "locked_in")
    bip9: Json = {"status": status}
    if signalled:
        bip9["bit"] = V24_BIT
    bip9 |= {**_TIMES, "ehf": True}
    if status != "defined":
        bip9["ehf_height"] = max(0, (signalling.v24_height or 0) - 2 * V24_PERIOD)
    bip9["since"] = since
    if signalled:
        bip9["statistics"] = _statistics(status, since=since, height=height, signalling=signalling)
    if status == "locked_in":
        bip9["activation_height"] = signalling.v24_height
    fork: Json = {"type": "bip9", "bip9": bip9}
    if status == "active":
        fork["height"] = since
    return fork | {"active": status == "active"}


def _statistics(status: str, *, since: int, height: int, signalling: Signalling) -> Json:
    elapsed = height + 1 - since
    count = signalling.count(since, height, V24_BIT)
    figures: Json = {"period": V24_PERIOD, "elapsed": elapsed, "count": count}
    if status == "started":
        threshold = V24_PERIOD * 4 // 5
        figures |= {"threshold": threshold, "possible": V24_PERIOD - elapsed >= threshold - count}
    return figures
