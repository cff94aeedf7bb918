"""docs/settings.md says what the packages declare."""

from __future__ import annotations

from p2pool.app.settings import GROUPS
from tests.app.settings_page import page
from tests.support import ROOT


def test_the_page_is_up_to_date():
    written = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert written == page(), "run: python -m tests.app.settings_page > docs/settings.md"


def test_it_has_a_row_for_every_setting():
    rows = [line for line in page().splitlines() if line.startswith("| `-")]
    assert len(rows) == sum(len(list(group.settings)) for group in GROUPS)
