"""What people are notified of as votes for a newer share version rise and fall."""

from __future__ import annotations

import pytest

from p2pool.alerts.votes import CALM, MARGIN, PATIENCE, VoteWatch
from p2pool.pool_stats import ChainFigures, EventKind, VoteFigures
from tests.alerts.happenings import snapshot
from tests.chains import NOW

RISEN, FALLEN = EventKind.VOTES_RISEN, EventKind.VOTES_FALLEN
REFUSED, ACCEPTED = EventKind.OWN_VOTES_REFUSED, EventKind.OWN_VOTES_ACCEPTED


class Looker:
    """A watch that is asked every five seconds."""

    def __init__(self) -> None:
        self.watch, self.now = VoteWatch(), NOW

    def hold(
        self, chain: float | None, window: float | None = 0.0, seconds: float = CALM + PATIENCE, **more
    ) -> list:
        """What is notified while the votes stay like this."""
        end, found = self.now + seconds, []
        leading = 36 if chain or window else None
        figures = ChainFigures(votes=VoteFigures(leading, chain, window, chain, **more))
        while self.now < end:
            self.now += 5
            found += self.watch.check(snapshot(self.now, chain=figures))
        return found


def brief(events) -> list[tuple]:
    return [(each.kind, each.subject, each.details.get("percent")) for each in events]


def test_each_level_is_notified_once_while_the_votes_rise():
    looker = Looker()
    assert looker.hold(0.0) == []
    told = [brief(looker.hold(part)) for part in (0.01, 0.3, 0.5, 0.59, 0.61, 0.84, 0.85, 0.9, 0.95, 1.0, 1.0)]
    levels = [found[0][2] if found else None for found in told]
    assert levels == [0, None, 50, None, 60, None, 85, None, 95, None, None]
    assert all(len(found) <= 1 and all(each[:2] == (RISEN, "chain") for each in found) for found in told)


def test_levels_that_are_reached_at_once_are_one_event_of_the_highest():
    (found,) = Looker().hold(0.87)
    assert found.details == {"span": "chain", "percent": 85, "part": 0.87, "version": 36, "since": NOW + 5}
    assert found.text == (
        "85% or more of the whole share chain's work votes for share versions above 16: 87.0%, mostly for 36"
    )


def test_the_oldest_tenth_is_distinguished_from_the_chain():
    looker = Looker()
    assert brief(looker.hold(0.7, 0.0)) == [(RISEN, "chain", 60)]
    (found,) = looker.hold(0.7, 0.004)
    assert brief([found]) == [(RISEN, "window", 0)]
    assert found.text == (
        "some of the work of the share chain's oldest tenth votes for share versions above 16: 0.4%, mostly for 36"
    )
    assert brief(looker.hold(0.7, 0.6)) == [(RISEN, "window", 60)]


@pytest.mark.parametrize("level", [50, 60, 85, 95])
def test_a_level_is_notified_again_only_after_the_votes_fell_clearly(level):
    looker = Looker()
    assert len(looker.hold(level / 100)) == 1
    for _ in range(5):  # around the level
        assert looker.hold((level - MARGIN + 0.5) / 100) == []
        assert looker.hold((level + 2) / 100, seconds=60) == []
    below = (level - MARGIN - 0.5) / 100
    assert looker.hold(below, seconds=CALM - 60) == []
    assert looker.hold((level + 1) / 100) == []  # not for long enough
    fell = looker.hold(below)
    assert brief(fell) == [(FALLEN, "chain", level)]
    assert f"less than {level}% of the whole share chain's work" in fell[0].text
    assert fell[0].details["lasted"] > 0
    assert brief(looker.hold(level / 100)) == [(RISEN, "chain", level)]


def test_votes_that_are_gone():
    looker = Looker()
    looker.hold(0.97)
    (found,) = looker.hold(0.0)
    assert brief([found]) == [(FALLEN, "chain", 0)]
    assert found.text.startswith("none of the whole share chain's work votes for share versions above 16 any more")
    assert found.details["version"] == 36  # which they were for
    assert looker.hold(0.0) == []


def test_a_vote_on_a_fork_that_goes_is_no_news():
    looker = Looker()
    for _ in range(10):
        assert looker.hold(0.001, seconds=PATIENCE - 5) == []
        assert looker.hold(0.0, seconds=20) == []


def test_while_the_chain_is_too_short_nothing_changes():
    looker = Looker()
    assert looker.hold(None, None) == []
    assert len(looker.hold(0.6, 0.6)) == 2
    assert looker.hold(None, None, seconds=3 * CALM) == []
    assert looker.hold(0.6, 0.6) == []


def test_that_c2pool_refuses_our_votes_is_notified_once_and_once_when_it_is_over():
    looker = Looker()
    found = looker.hold(0.96, refused=True)
    assert brief(found) == [(RISEN, "chain", 95), (REFUSED, "", None)]
    assert "c2pool-dash rejects this node's shares, which vote for 16" in found[1].text
    for _ in range(5):  # around the level
        assert looker.hold(0.94, seconds=60, refused=False) == []
        assert looker.hold(0.95, seconds=60, refused=True) == []
    assert brief(looker.hold(0.94, refused=False)) == [(ACCEPTED, "", None)]
    assert brief(looker.hold(0.96, refused=True)) == [(REFUSED, "", None)]
