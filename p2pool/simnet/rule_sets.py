"""Rule sets of simulated chains by name: `v23` and `v24@HEIGHT`, as the command lines of the node and of the
simulated daemon take them.

`v24` is what Dash Core's development branch will enforce once its hard fork `v24` is active. No release of Dash
Core contains it; the sources are in docs/design/simulated-network.md ("Changes in Dash Core 24").
"""

from __future__ import annotations

from p2pool.base.text import without_login

V23 = "v23"
"""The rules of the released Dash Core 23."""
V24 = "v24"
"""The rules of Dash Core 24, from a height on."""
MAX_ACTIVATION_HEIGHT = 10_000_000
FORMS = f"{V23}, {V24} or {V24}@HEIGHT"
"""What can be given, for messages."""


def parse_rules(text: str) -> int | None:
    """Return the height from which the rules of Dash Core 24 hold, None for never. `v24` alone means from the
    first block on. Raises ValueError with a phrase that says what is wrong."""
    name, separator, height = text.partition("@")
    if name == V23 and not separator:
        return None
    if name != V24:
        raise ValueError(f"{without_login(text)} is not {FORMS}")
    if not separator:
        return 1
    if not (
        height.isascii() and height.isdigit() and len(height) < 9 and 1 <= int(height) <= MAX_ACTIVATION_HEIGHT
    ):
        raise ValueError(f"{without_login(height) or 'nothing'} is not a height from 1 to {MAX_ACTIVATION_HEIGHT}")
    return int(height)
