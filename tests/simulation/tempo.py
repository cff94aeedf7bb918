"""How often the timers of a simulated node come. In large worlds those that only look after things are rarer:
a node's dozen timers a second would be most of a simulation's work, and nothing that miners or peers see depends
on them while all is well."""

from __future__ import annotations

from importlib import import_module
from typing import Final

_SLOW: Final = {
    "p2pool.dashd.service.HEARTBEAT": 10.0,
    "p2pool.dashd.service.POLL_PERIOD": 240.0,
    "p2pool.dashd.service.FACTS_PERIOD": 600.0,
    "p2pool.dashd.pool.WATCH_PERIOD": 10.0,
    "p2pool.app.dashd.SAVE_PERIOD": 5.0,
    "p2pool.app.dashd.ROOM_PERIOD": 20.0,
    "p2pool.app.dashd.FOLLOW_PERIOD": 20.0,
    "p2pool.app.dashd.LIST_PERIOD": 60.0,
    "p2pool.app.peers.PROGRESS_PERIOD": 60.0,
    "p2pool.app.stratum.SAVE_PERIOD": 60.0,
    "p2pool.app.stratum.WORK_PERIOD": 10.0,
    "p2pool.app.stratum.CERTIFICATE_PERIOD": 3600.0,
    "p2pool.stratum.server.TICK": 10.0,
    "p2pool.peers.service.TICK": 5.0,
    "p2pool.peers.service.SAVE_PERIOD": 600.0,
    "p2pool.peers.hub.ASK_ADDRESSES_PERIOD": 120.0,
    "p2pool.peers.hub.TRIM_PERIOD": 60.0,
    "p2pool.peers.round_trips.PERIOD": 600.0,
    "p2pool.app.root.REFRESH_PERIOD": 300.0,
    "p2pool.app.status_log.ADVICE_PERIOD": 60.0,
    "p2pool.history.service.FLUSH_PERIOD": 600.0,
    "p2pool.alerts.service.POLL_PERIOD": 60.0,
    "p2pool.alerts.service.DELIVER_PERIOD": 10.0,
    "p2pool.node.persistence.FLUSH_PERIOD": 5.0,
    "p2pool.broker.operations.WAIT": 5.0,
    "p2pool.gateway.node_watch.CHECK": 5.0,
    "p2pool.gateway.prefix_lease.CHECK": 5.0,
    "p2pool.gateway.session_exchange.PERIOD": 3.0,
    "p2pool.gateway.shared_counts.PERIOD": 6.0,
    "p2pool.gateway.solution_intake.AGAIN": 2.0,
    "p2pool.gateway.solution_intake.CHECK_MISSED": 5.0,
    "p2pool.gateway.solution_sender.CHECK": 2.0,
    "p2pool.gateway.sums_sender.PERIOD": 2.0,
}
_RARE: Final = _SLOW | {
    "p2pool.dashd.service.HEARTBEAT": 60.0,
    "p2pool.dashd.pool.WATCH_PERIOD": 60.0,
    "p2pool.app.dashd.SAVE_PERIOD": 20.0,
    "p2pool.app.dashd.ROOM_PERIOD": 300.0,
    "p2pool.app.dashd.FOLLOW_PERIOD": 60.0,
    "p2pool.app.stratum.SAVE_PERIOD": 300.0,
    "p2pool.app.stratum.WORK_PERIOD": 60.0,
    "p2pool.stratum.server.TICK": 60.0,
    "p2pool.peers.service.TICK": 60.0,
    "p2pool.peers.hub.ASK_ADDRESSES_PERIOD": 900.0,
    "p2pool.peers.hub.TRIM_PERIOD": 300.0,
    "p2pool.peers.round_trips.PERIOD": 3600.0,
    "p2pool.node.persistence.FLUSH_PERIOD": 40.0,
}
_RAREST: Final = _RARE | {
    "p2pool.dashd.service.HEARTBEAT": 300.0,
    "p2pool.dashd.pool.WATCH_PERIOD": 300.0,
    "p2pool.app.dashd.SAVE_PERIOD": 300.0,
    "p2pool.app.dashd.FOLLOW_PERIOD": 300.0,
    "p2pool.app.dashd.LIST_PERIOD": 300.0,
    "p2pool.app.peers.PROGRESS_PERIOD": 600.0,
    "p2pool.app.stratum.WORK_PERIOD": 300.0,
    "p2pool.stratum.server.TICK": 120.0,
    "p2pool.peers.service.SAVE_PERIOD": 3600.0,
    "p2pool.node.persistence.FLUSH_PERIOD": 300.0,
}
"""For worlds of a thousand nodes in which nothing fails."""
TEMPI: Final[dict[str, dict[str, float]]] = {"usual": {}, "slow": _SLOW, "rare": _RARE, "rarest": _RAREST}
_usual: dict[str, float] = {}


def set_tempo(tempo: str) -> None:
    """Set the periods of timers to one of TEMPI. Raises ValueError."""
    if tempo not in TEMPI:
        raise ValueError(f"tempo is {tempo!r}: it must be one of {', '.join(TEMPI)}")
    for path in _RAREST:
        module, _, name = path.rpartition(".")
        usual = _usual.setdefault(path, getattr(import_module(module), name))
        setattr(import_module(module), name, TEMPI[tempo].get(path, usual))
