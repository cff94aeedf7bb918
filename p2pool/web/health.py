"""Whether the program is alive and ready, for orchestrators and load balancers: what /healthz and /readyz of nodes
and gateways say. Anybody may ask, so nothing here names an address or repeats an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

HEALTH_PATHS: Final = frozenset((b"/healthz", b"/readyz"))
"""The paths that need no key and no password."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What keeps miners from getting work. `code` is for programs and never changes, `message` is for people."""

    code: str
    message: str


STOPPING: Final = Missing("stopping", "The program is stopping.")
LOADING_SHARES: Final = Missing("loading_shares", "The share chain is being loaded from disk.")
NO_DASHD: Final = Missing(
    "no_dashd",
    "There is no fresh block template: Dash Core does not answer or is not synchronised. The log and "
    "/api/v1/dashd say why.",
)
NO_PEERS: Final = Missing("no_peers", "The node is not connected to any other node.")
DOWNLOADING_SHARES: Final = Missing("downloading_shares", "The share chain is being downloaded from other nodes.")
NO_WORK: Final = Missing("no_work", "There is no work for miners. The log says why.")
NO_BROKER: Final = Missing("no_broker", "The broker does not answer, so there is no work from the node.")
EVERY_CODE: Final = tuple(
    each.code for each in (STOPPING, LOADING_SHARES, NO_DASHD, NO_PEERS, DOWNLOADING_SHARES, NO_WORK, NO_BROKER)
)


def liveness() -> dict[str, Any]:
    """Return the JSON of /healthz: whoever receives it knows that the reactor turns."""
    return {"alive": True}


def readiness(missing: Sequence[Missing]) -> dict[str, Any]:
    """Return the JSON of /readyz."""
    return {
        "ready": not missing,
        "missing": [{"code": each.code, "message": each.message} for each in missing],
    }


def readiness_status(answer: dict[str, Any]) -> int:
    """Return the HTTP status of an answer of `readiness`."""
    return 200 if answer["ready"] else 503
