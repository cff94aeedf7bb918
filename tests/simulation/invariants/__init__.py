"""What must hold in every world. Each invariant watches a simulation, and says what is wrong.

A new one is a class with a docstring that states what it holds, some of the methods of `Invariant`, and a place in
INVARIANTS. The modules are by concern.
"""

from __future__ import annotations

from typing import Final

from tests.simulation.invariants.agreement import AllAgree, SharesSpread, TheBestShareIsRight
from tests.simulation.invariants.base import Invariant, Violation
from tests.simulation.invariants.blocks import BlocksArrive
from tests.simulation.invariants.conduct import NobodyHonestIsBanned, NoInternalErrors
from tests.simulation.invariants.income import WorkIsPaid
from tests.simulation.invariants.payouts import EverybodyIsPaid
from tests.simulation.invariants.storage import StoredSharesSurvive
from tests.simulation.invariants.tables import TablesStayBounded

__all__ = ["INVARIANTS", "Invariant", "Violation"]

INVARIANTS: Final[tuple[type[Invariant], ...]] = (
    NoInternalErrors,
    NobodyHonestIsBanned,
    BlocksArrive,
    EverybodyIsPaid,
    AllAgree,
    SharesSpread,
    TheBestShareIsRight,
    StoredSharesSurvive,
    TablesStayBounded,
    WorkIsPaid,
)
