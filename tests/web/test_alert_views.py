"""/api/v1/alerts: who is told what, and what became of it."""

from __future__ import annotations

from dataclasses import replace

import jsonschema

from p2pool.alerts.figures import AlertFigures, DestinationFigures
from p2pool.web.api.alerts import ENDPOINTS, alerts
from p2pool.web.sources import Snapshot
from tests.support import make_template
from tests.web.pages import Pool


def shown(pool: Pool, figures: AlertFigures | None) -> dict:
    answer = alerts(Snapshot(replace(pool.sources, alerts=lambda: figures), pool.stats.snapshot(pool.now)))
    jsonschema.validate(answer, ENDPOINTS[0].schema)
    return answer


def test_nobody_is_notified_by_default():
    answer = Pool(3, make_template()).view_snapshot
    assert alerts(answer)["destinations"] == []
    assert shown(Pool(3, make_template()), None)["problem"] is None


def test_destinations_with_what_became_of_them():
    pool = Pool(3, make_template())
    pool.stats.record_alert()
    good = DestinationFigures("a", "webhook", "h", ("ban",), 0, 5, 0, 9.0, None, "", None)
    bad = DestinationFigures("b", "email", "e.org", ("node_up",), 2, 0, 1, None, 8.0, "SMTP 550", 20.0)
    answer = shown(pool, AlertFigures((good, bad), ("node_up",), ("22:00-07:00",), True, 3, "disk full"))
    first, second = answer["destinations"]
    assert (first["last_success"], first["last_failure"], first["next_attempt"]) == (9.0, None, None)
    assert second["last_failure"] == {"time": 8.0, "reason": "SMTP 550"}
    assert (second["waiting"], second["lost"], second["next_attempt"]) == (2, 1, 20.0)
    assert (answer["held"], answer["is_quiet"], answer["quiet_times"]) == (3, True, ["22:00-07:00"])
    assert (answer["sent"], answer["problem"], answer["events"]) == (1, "disk full", ["node_up"])
