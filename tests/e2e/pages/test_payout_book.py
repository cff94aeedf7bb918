"""The payout book: what blocks paid an address, against the API."""

from __future__ import annotations

import csv
import io

import pytest

from tests.e2e.pages.places import address_of
from tests.e2e.pages.pool import FIRST

pytestmark = pytest.mark.e2e


def test_the_book_says_what_the_api_says(pool, browser):
    view = browser.open(address_of("payoutbook", pool)).wait_until_live()

    def agree() -> bool:
        told = pool.get(f"api/v1/history/income/{FIRST}?range=month")
        rows = view.texts("#income-body tbody tr:first-child > *")
        return (
            told["blocks"] > 0
            and view.text("#b-blocks") == str(told["blocks"])
            and view.text("#b-amount").startswith(told["amount"]["dash"])
            and len(rows) == 4
            and rows[0] == told["periods"][0]["period"]
            and rows[2].startswith(told["periods"][0]["amount"]["dash"])
        )

    view.wait_for("the sums of the API", agree, 90)
    view.wait_for("payouts", lambda: view.text("#payouts-count") != "")
    newest = pool.get(f"api/v1/history/payouts/{FIRST}?range=month")["payouts"]
    shown = view.texts("#payouts-body tbody tr td:nth-child(5)")
    assert {text.split()[0] for text in shown} <= {each["amount"]["dash"] for each in newest}
    view.page.get_by_role("button", name="Months").click()
    view.wait_for("months", lambda: len(view.text("#income-body tbody tr:first-child > :first-child")) == 7)


@pytest.mark.parametrize("link", ["#income-csv", "#payouts-csv"])
def test_tables_can_be_downloaded(link, pool, browser):
    view = browser.open(address_of("payoutbook", pool)).wait_until_live()
    view.wait_for("the book", lambda: view.page.locator(link).is_visible())
    with view.page.expect_download() as download:
        view.page.locator(link).click()
    rows = list(csv.reader(io.StringIO(download.value.path().read_text("utf-8"))))
    assert "amount" in rows[0]


@pytest.mark.parametrize(
    ("query", "visible", "says"),
    [("", False, ""), ("?address=nonsense", False, "This is not a Dash address. Check it for typing errors.")],
)
def test_without_a_usable_address_it_asks_for_one(query, visible, says, browser):
    view = browser.open(f"payoutbook.html{query}").wait_until_live()
    view.wait_for("the answer", lambda: view.text("#problem") == says)
    assert view.page.locator("#book").is_visible() is visible
    assert view.page.get_by_label("Dash address").is_visible()
