"""What the pages of miners reckon, in their own language: an address's sums are those that the node tells."""

from __future__ import annotations

from tests.e2e.test_page_modules import needs_node_js, pytestmark, run
from tests.web.busy import busy_pool

__all__ = ["pytestmark"]
SUMS = (
    "connections",
    "hash_rate",
    "dead_hash_rate",
    "accepted",
    "refused",
    "dead",
    "shares",
    "last_share",
    "workers",
)


@needs_node_js
def test_the_sums_of_an_address_are_the_nodes_own(tmp_path):
    pool = busy_pool()
    pool.refresh()
    workers = pool.ask("/api/v1/workers?limit=500").json["workers"]
    hostile = {**workers[0], "name": "__proto__.<img src=x>"}
    rows = run(
        tmp_path,
        ("workers.js", "miner.js", "dom.js", "format.js", "api.js"),
        """
        import { byAddress } from "./workers.js";
        console.log(JSON.stringify(byAddress(given)));
        """,
        [*workers, hostile],
    )
    by_name = {row["name"]: row for row in rows}
    assert by_name.pop("__proto__")["accepted"] == hostile["accepted"]
    assert by_name.keys() == {worker["name"].partition(".")[0] for worker in workers}
    assert len(by_name) < len(workers)
    for address, row in by_name.items():
        told = pool.ask(f"/api/v1/addresses/{address}").json
        assert {name: row[name] for name in SUMS} == {name: told[name] for name in SUMS}
        own = [worker for worker in workers if worker["name"].partition(".")[0] == address]
        assert sum(row["refused_by"].values()) == sum(sum(worker["refused_by"].values()) for worker in own)
        assert row["state"] == pool.ask(f"/api/v1/miners/{address}").json["state"]
        assert row["difficulty"] == max(worker["difficulty"] for worker in own)
