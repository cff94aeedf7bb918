"""What must hold in every world. Each invariant watches a simulation, and says what is wrong.

A new one is a class with a docstring that states what it holds, some of the methods of `Invariant`, and a place in
INVARIANTS. The modules are by concern.
"""

from __future__ import annotations

from typing import Final

from tests.simulation.invariants.agreement import AllAgree, SharesSpread, TheBestShareIsRight
from tests.simulation.invariants.base import Invariant, Violation
from tests.simulation.invariants.blocks import BlocksArrive
from tests.simulation.invariants.conduct import (
    HonestSharesAreValid,
    NobodyHonestIsBanned,
    NobodyIsEclipsed,
    NoInternalErrors,
)
from tests.simulation.invariants.cost import StepsAreShort
from tests.simulation.invariants.forgery import NobodyBuildsOnForgedShares
from tests.simulation.invariants.income import SharesFollowWork
from tests.simulation.invariants.memory import MemoryStaysFlat
from tests.simulation.invariants.patience import SharesWithoutPeersCount
from tests.simulation.invariants.payouts import EverybodyIsPaid, FindersOwnTheirShares
from tests.simulation.invariants.starvation import NewcomersCatchUp
from tests.simulation.invariants.storage import AnnouncedBlocksSurvive, StoredSharesSurvive
from tests.simulation.invariants.tables import TablesStayBounded
from tests.simulation.invariants.work import MinersHaveCurrentWork

__all__ = ["INVARIANTS", "Invariant", "Violation"]

INVARIANTS: Final[tuple[type[Invariant], ...]] = (
    NoInternalErrors,
    NobodyHonestIsBanned,
    NobodyIsEclipsed,
    HonestSharesAreValid,
    BlocksArrive,
    EverybodyIsPaid,
    FindersOwnTheirShares,
    AllAgree,
    SharesSpread,
    TheBestShareIsRight,
    StoredSharesSurvive,
    AnnouncedBlocksSurvive,
    TablesStayBounded,
    StepsAreShort,
    NobodyBuildsOnForgedShares,
    MemoryStaysFlat,
    MinersHaveCurrentWork,
    SharesFollowWork,
    NewcomersCatchUp,
    SharesWithoutPeersCount,
)
