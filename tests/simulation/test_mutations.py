"""The proof that the simulation can fail, in part; `python -m tests.simulation.mutations` is the whole."""

from __future__ import annotations

import pytest

from tests.simulation.mutations.defects import DEFECTS, Defect
from tests.simulation.mutations.editing import Edit, EditFails, install
from tests.simulation.mutations.proof import look_for

pytestmark = pytest.mark.worlds

SMOKE = ("payout off by one duff", "store not synced", "ban for a known share")
"""Defects that are found within a second or two."""
EDITS = [edit for defect in DEFECTS for edit in defect.edits]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.module)
def test_edit_fits_the_code_as_it_is(edit: Edit) -> None:
    changed = edit.apply(edit.path.read_text("utf-8"))
    compile(changed, str(edit.path), "exec")


@pytest.mark.parametrize("defect", [each for each in DEFECTS if each.name in SMOKE], ids=lambda each: each.name)
def test_defect_is_found(defect: Defect) -> None:
    assert look_for(defect, seeds=4)[-1].invariant in defect.caught_by


def test_edit_that_fits_nothing_or_twice_is_an_error() -> None:
    with pytest.raises(EditFails, match="has this 0 times"):
        Edit("p2pool.share.rules", "no such code", "").apply("some code")
    with pytest.raises(EditFails, match="has this 2 times"):
        Edit("p2pool.share.rules", "code", "").apply("code and code")


def test_module_that_is_imported_already_cannot_be_edited() -> None:
    with pytest.raises(EditFails, match="imported already"):
        install([Edit(__name__, "", "")])


def test_names_are_unique() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)
