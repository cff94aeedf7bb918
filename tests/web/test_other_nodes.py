"""What other nodes are, at /api/v1/transition: share types that only they know, their software and protocol."""

from __future__ import annotations

from p2pool.networks.parameters import ANNOUNCED_PROTOCOL, MINIMUM_PROTOCOL
from p2pool.pool_stats import EarlyCloses, LostSoftware, NewerType, PeerCensus, SoftwareCount
from tests.chains import NOW
from tests.support import make_template
from tests.web.pages import Pool

HOSTILE = "<script>alert(1)</script>"
CENSUS = PeerCensus(
    software=(SoftwareCount("c2pool", 3600, 2, 1), SoftwareCount("other", None, 1, 0)),
    newer_types=(
        NewerType(36, 7, NOW, NOW + 5, "8.1.0.1:9", HOSTILE, 2),
        NewerType(None, 3, NOW + 1, NOW + 2, "8.2.0.1:9", "c2pool", 1),
    ),
    lost=(LostSoftware("legacy p2pool-dash", 100.0, 4),),
    early_closes=EarlyCloses(3, 2, 9, 60.0, NOW, 1700, 3600),
)


def sections(census: PeerCensus | None) -> dict:
    """The view's answer."""
    pool = Pool(5, make_template())
    if census is not None:
        object.__setattr__(pool.sources, "census", lambda: census)
    pool.refresh()
    return pool.ask("/api/v1/transition").json


def test_nothing_of_other_nodes():
    answer = sections(None)
    assert answer["types"] == {"known": 16, "shares": 0, "newer": []}
    assert answer["peers"] == {
        "announced": ANNOUNCED_PROTOCOL,
        "minimum": MINIMUM_PROTOCOL,
        "software": [],
        "lost": [],
        "closing_early": {
            "hosts": 0,
            "closes": 0,
            "since": None,
            "lowest_protocol": None,
            "highest_protocol": None,
        },
    }


def test_all_of_other_nodes():
    answer = sections(CENSUS)
    types, peers = answer["types"], answer["peers"]
    assert types["shares"] == 10
    assert types["newer"][0] == {
        "type": 36,
        "shares": 7,
        "first_seen": NOW,
        "last_seen": NOW + 5,
        "peer": "8.1.0.1:9",
        "software": HOSTILE,
        "hosts": 2,
    }
    assert types["newer"][1]["type"] is None
    assert peers["software"] == [
        {"software": "c2pool", "protocol": 3600, "incoming": 2, "outgoing": 1},
        {"software": "other", "protocol": None, "incoming": 1, "outgoing": 0},
    ]
    (lost,) = peers["lost"]
    assert (lost["software"], lost["most"]) == ("legacy p2pool-dash", 4)
    assert peers["closing_early"] == {
        "hosts": 3,
        "closes": 9,
        "since": NOW,
        "lowest_protocol": 1700,
        "highest_protocol": 3600,
    }
