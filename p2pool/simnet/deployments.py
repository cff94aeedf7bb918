"""Which soft forks a simulated chain knows, as getblockchaininfo and getblocktemplate tell of them.

Test chains have all of them from their first block on, but for one that miners may be asked to signal for a
while; the main chain has them where captures 70 say.
"""

from __future__ import annotations

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


def softforks(main: bool, height: int, signalling_until: int) -> Json:
    """The `softforks` object at a tip of that height: a fork is active where the next block is under its rules."""
    forks: Json = {
        name: {
            "type": "buried",
            "active": height + 1 >= (at if main else _FIRST_BLOCK),
            "height": at if main else _FIRST_BLOCK,
        }
        for name, at in _MAIN_HEIGHTS.items()
    }
    return forks if main else forks | _signalled(height, signalling_until)


def template_signals(main: bool, height: int, signalling_until: int) -> Json:
    """`version`, `rules` and `vbavailable` of the template for the block after a tip of that height."""
    status = "defined" if main else _testdummy_status(height, signalling_until)
    started = status == "started"
    return {
        "version": BLOCK_VERSION | (1 << _TESTDUMMY_BIT if started else 0),
        "rules": ["csv", "testdummy"] if status == "active" else ["csv"],
        "vbavailable": {"testdummy": _TESTDUMMY_BIT} if started else {},
    }


def _testdummy_status(height: int, signalling_until: int) -> str:
    """Of the one fork of test chains that miners signal: on the genesis it has not begun."""
    if height < _FIRST_BLOCK:
        return "defined"
    return "started" if height < signalling_until else "active"


def _signalled(height: int, signalling_until: int) -> Json:
    state = {"start_time": 0, "timeout": _NO_TIMEOUT, "min_activation_height": 0}
    status = _testdummy_status(height, signalling_until)
    active = status == "active"
    since = max(_FIRST_BLOCK, signalling_until) if active else _FIRST_BLOCK if height else 0
    testdummy: Json = {"type": "bip9", "bip9": {"status": status, **state, "ehf": False, "since": since}}
    if active:
        testdummy["height"] = since
    return {
        "v24": {"type": "bip9", "bip9": {"status": "defined", **state, "ehf": True, "since": 0}, "active": False},
        "testdummy": testdummy | {"active": active},
    }
