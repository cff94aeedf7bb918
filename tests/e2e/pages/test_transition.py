"""The transition page of a node on whose chain most of the work votes for another share version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.pages.browser import running_browser, skip_without_chromium
from tests.e2e.pages.layout import faults
from tests.e2e.pages.shown import agrees
from tests.e2e.pages.test_looks import serious, violations
from tests.e2e.votes import SHARES, voting_nodes

pytestmark = pytest.mark.e2e
SPANS = {"Last hour": "recent", "Whole chain": "chain", "Oldest tenth": "window"}


def vote(number: int) -> int:
    """A few each for 17 and 2**64 - 1, then ever more for 36: all of the newest."""
    if number in (3, 30):
        return 17 if number == 3 else 2**64 - 1
    return 36 if number % 3 or number > SHARES - 40 else 16


@pytest.fixture(scope="module")
def voting(tmp_path_factory):
    """(the node, a browser on it)"""
    skip_without_chromium()
    with (
        voting_nodes(tmp_path_factory.mktemp("votes"), vote) as (node,),
        running_browser(f"http://127.0.0.1:{node.port}/static/") as browser,
    ):
        yield node, browser


def version_text(version: int) -> str:
    return str(version) if version < 2**53 else f"about {version:.3e}"


def wrong_votes(rows: list[dict[str, str]], votes: dict[str, Any]) -> list[str]:
    """Cells of the votes' table that do not say what the node does."""
    wrong = []
    for row in rows:
        for title, name in SPANS.items():
            told = [one for one in votes[name]["versions"] if version_text(one["version"]) == row["Version"]]
            part, _, shares = row[title].partition(", ")
            if not told:
                good = row[title] == "none"
            else:
                good = agrees(part, told[0]["work"]) and shares.split()[0] == str(told[0]["shares"])
            wrong += [] if good else [f"{title} of version {row['Version']}: {row[title]}, told {told}"]
    return wrong


def test_what_the_page_says_is_what_the_node_says(voting):
    node, browser = voting
    view = browser.open("transition.html").wait_until_live()
    told = node.get("api/v1/transition")
    votes, steps = told["votes"], told["next"]["steps"]
    assert len(votes["chain"]["versions"]) == 3
    for name in SPANS.values():
        assert agrees(view.text(f"#f-{name}"), votes[name]["newer_work"])
    rows = view.rows("votes-body")
    assert len(rows) == 4
    assert wrong_votes(rows, votes) == []
    words = {True: "reached", False: "not reached"}
    assert [(row["Whole chain"], row["Oldest tenth"]) for row in view.rows("levels-body")] == [
        (words[level["chain"]], words[level["window"]]) for level in votes["levels"]
    ]
    shown = view.rows("steps-body")
    assert [row["What happens"] for row in shown] == [step["meaning"] for step in steps]
    assert {step["reached"] for step in steps} == {True, False}
    for row, step in zip(shown, steps, strict=True):
        assert row["Required"].startswith(f"{step['percent']}% of ")
        assert agrees(row["Current"], step["part"])
        earliest = row["If every share votes for it"]
        wanted = f"in {step['at_the_earliest']['shares']} shares, about "
        assert earliest == "now" if step["reached"] else earliest.startswith(wanted)
    refused = votes["refused_by_c2pool"]
    assert refused["shares"] > 1
    assert f"c2pool-dash rejects {refused['shares']} shares of the last hour" in view.text("#votes-refused")
    assert refused["newest"] in view.page.get_attribute("#votes-refused a", "href")
    assert "which this node does not know" in view.text("#banner")
    assert view.record.trouble == []


@pytest.mark.parametrize("width", [360, 1440])
def test_it_is_readable_and_accessible_at_every_width(voting, width):
    _, browser = voting
    view = browser.open("transition.html", width=width).wait_until_live()
    view.picture(f"transition-voting-{width}")
    assert faults(view) == []
    assert serious(violations(view)) == []
    for table in ("votes", "levels", "steps"):
        assert view.texts(f"#{table}-body caption")[0]
