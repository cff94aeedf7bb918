"""Notices two gateways that have the same name: their figures would be mixed up, and actions would miss one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pool.base.bounded import BoundedDict, BoundedSet
from p2pool.base.text import printable
from p2pool.gateway.sums_messages import SumsMessage

MAX_NAMES: Final = 256
"""Names of gateways that are remembered."""
MAX_SHOWN: Final = 128
"""Characters of a name or address that are shown."""
MAX_RUNS: Final = 8
"""Earlier runs that are remembered of a name."""


@dataclass(frozen=True, slots=True)
class _Reporter:
    """Who reported last under a name."""

    run: int
    address: str


class NameWatch:
    """Remembers which run of a gateway reports under each name. A run that reports again after another one is
    another gateway: one that was restarted never does."""

    def __init__(self) -> None:
        self._last: BoundedDict[str, _Reporter] = BoundedDict(MAX_NAMES)
        self._former: BoundedDict[str, BoundedSet[int]] = BoundedDict(MAX_NAMES)
        self._reported: BoundedSet[str] = BoundedSet(MAX_NAMES)

    def problem(self, report: SumsMessage) -> str | None:
        """Take a report that is new. Return what is wrong with its name, once; None if all is well."""
        last = self._last.get(report.gateway)
        self._last[report.gateway] = _Reporter(report.run, report.address)
        if last is None or last.run == report.run:
            return None
        former = self._former.setdefault(report.gateway, BoundedSet(MAX_RUNS))
        former.add(last.run)
        if report.run not in former or report.gateway in self._reported:
            return None
        self._reported.add(report.gateway)
        places = " and ".join(sorted({printable(each, MAX_SHOWN) for each in (last.address, report.address)}))
        return (
            f"two gateways have the name {printable(report.gateway, MAX_SHOWN)}, at {places}: give each a "
            "--gateway-name of its own; their figures are mixed up, and bans and actions may miss one of them"
        )
