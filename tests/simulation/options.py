"""Options that must be handled before anything of p2pool is imported."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.mutations.defects import DEFECTS
from tests.simulation.mutations.editing import install


def insert_defect(arguments: Sequence[str]) -> None:
    """Put the deliberate defect in place that `--defect NAME` asks for, if it does. Raises SystemExit."""
    if "--defect" not in arguments[:-1]:
        return
    name = arguments[arguments.index("--defect") + 1]
    edits = [edit for defect in DEFECTS if defect.name == name for edit in defect.edits]
    if not edits:
        raise SystemExit(f"there is no defect {name!r}: python -m tests.simulation.mutations --list")
    install(edits)
