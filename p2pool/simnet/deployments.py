"""Which soft forks a simulated chain knows, as getblockchaininfo and getblocktemplate tell of them.

Test chains have all of them from their first block on; the main chain has them where captures 70 say.
"""

from __future__ import annotations

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


def softforks(main: bool, height: int) -> Json:
    """The `softforks` object at a tip of that height: a fork is active where the next block is under its rules."""
    forks: Json = {
        name: {
            "type": "buried",
            "active": height + 1 >= (at if main else _FIRST_BLOCK),
            "height": at if main else _FIRST_BLOCK,
        }
        for name, at in _MAIN_HEIGHTS.items()
    }
    return forks if main else forks | _signalled(height)


def template_rules(main: bool, height: int) -> list[str]:
    """The `rules` of the template for the block after a tip of that height."""
    return ["csv"] if main or not _signalling_is_over(height) else ["csv", "testdummy"]


def _signalling_is_over(height: int) -> bool:
    """Whether the one fork of test chains that is signalled by version bits is active: not on the genesis."""
    return height >= _FIRST_BLOCK


def _signalled(height: int) -> Json:
    state = {"start_time": 0, "timeout": _NO_TIMEOUT, "min_activation_height": 0}
    over = _signalling_is_over(height)
    since = _FIRST_BLOCK if over else 0
    testdummy: Json = {
        "type": "bip9",
        "bip9": {"status": "active" if over else "defined", **state, "ehf": False, "since": since},
    }
    if over:
        testdummy["height"] = since
    return {
        "v24": {"type": "bip9", "bip9": {"status": "defined", **state, "ehf": True, "since": 0}, "active": False},
        "testdummy": testdummy | {"active": over},
    }
