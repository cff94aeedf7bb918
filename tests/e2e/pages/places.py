"""The pages, and where each of them is found with something to show."""

from __future__ import annotations

from urllib.parse import quote

from tests.e2e.pages.pool import HOSTILE, Pool

PAGES = (
    *("index", "miners", "worker", "stratum", "blocks", "payouts", "payoutbook"),
    *("chain", "share", "peers", "transition", "node", "graphs", "events", "api", "help"),
)


def address_of(page: str, pool: Pool) -> str:
    """Below /static/."""
    if page == "worker":
        return f"worker.html?name={quote(HOSTILE, safe='')}"
    if page == "payoutbook":
        return f"payoutbook.html?address={HOSTILE.partition('.')[0]}"
    if page == "share":
        return f"share.html?hash={pool.get('web/best_share_hash')}"
    return f"{page}.html"
