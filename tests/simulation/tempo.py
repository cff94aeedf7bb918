"""How often the timers of a simulated node come. In large worlds those that only look after things are rarer:
a node's dozen timers a second would be most of a simulation's work, and nothing that miners or peers see depends
on them while all is well."""

from __future__ import annotations

from importlib import import_module
from typing import Final

_SLOW: Final = {
    "p2pool.dashd.service.HEARTBEAT": 10.0,
    "p2pool.dashd.service.POLL_PERIOD": 60.0,
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
    "p2pool.peers.service.TICK": 10.0,
    "p2pool.peers.service.SAVE_PERIOD": 600.0,
    "p2pool.peers.hub.ASK_ADDRESSES_PERIOD": 20.0,
    "p2pool.peers.hub.TRIM_PERIOD": 60.0,
    "p2pool.peers.round_trips.PERIOD": 600.0,
    "p2pool.node.persistence.FLUSH_PERIOD": 5.0,
}
_usual: dict[str, float] = {}


def set_tempo(tempo: str) -> None:
    """Set the periods of timers: "usual" or "slow". Raises ValueError."""
    if tempo not in ("usual", "slow"):
        raise ValueError(f'tempo is {tempo!r}: it must be "usual" or "slow"')
    for path, slow in _SLOW.items():
        module, _, name = path.rpartition(".")
        usual = _usual.setdefault(path, getattr(import_module(module), name))
        setattr(import_module(module), name, usual if tempo == "usual" else slow)
