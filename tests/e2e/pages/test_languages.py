"""The pages in other languages than English: chosen by the reader, complete, and as steady as in English."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.pages.browser import WIDTHS, View
from tests.e2e.pages.layout import faults, shifts, watch_shifts
from tests.e2e.pages.places import PAGES, address_of
from tests.e2e.pages.pool import CONTROL, MARKUP, WORKERS
from tests.web import catalogue
from tests.web.page_text import has_letters, page_texts

pytestmark = pytest.mark.e2e
_WORD = re.compile(r"(?<![{</\w])[^\W\d_]{4,}(?![\w}])")
LONGER = 0.4
"""By how much German and Russian are longer than English."""
LANGUAGE = "document.documentElement.lang"
SEEN = """async (html) => {
  const { translatePage } = await import(new URL("js/translate.js", location.href));
  const seen = [];
  translatePage((text) => (seen.push(text), text), new DOMParser().parseFromString(html, "text/html"));
  return seen;
}"""


def _long(text: str) -> str:
    return _WORD.sub(lambda word: word[0] + "ö" * round(LONGER * len(word[0])), text)


def pseudo_language() -> dict[str, Any]:
    """A catalogue that makes every text longer."""
    texts, _ = catalogue.collect()
    messages = {key: {"other": _long(key)} if "one" in entry else _long(key) for key, entry in texts.items()}
    return {"meta": {"language": "Deutsch", "draft": True}, "messages": messages}


def speaking(messages: dict[str, Any]) -> Callable[[View], None]:
    """Prepare a page so that its German is this catalogue."""
    body = json.dumps(messages)

    def prepare(view: View) -> None:
        watch_shifts(view)
        view.page.add_init_script("localStorage.setItem('language', 'de')")
        view.page.route(
            "**/locales/de.json", lambda route: route.fulfill(body=body, content_type="application/json")
        )

    return prepare


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_room_for_longer_texts(page, pool, browser):
    found = {}
    for width in WIDTHS[:: len(WIDTHS) - 1]:
        prepare = speaking(pseudo_language())
        view = browser.open(address_of(page, pool), width=width, prepare=prepare, is_whole=False).wait_until_live()
        found[width] = shifts(view)
        view.picture(f"{page}-{width}-long")
        assert view.tell(LANGUAGE) == "de"
        assert "öö" in view.text("nav")
        found[width] += faults(view)
    assert {where: trouble for where, trouble in found.items() if trouble} == {}


def test_a_browser_finds_the_texts_that_the_catalogue_has(browser):
    view = browser.open("offline.html")
    found = {}
    for path in catalogue.STATIC.glob("*.html"):
        html = path.read_text("utf-8")
        found[path.name] = ({text for text in view.tell(SEEN, html) if has_letters(text)}, set(page_texts(html)))
    assert {name for name, (here, there) in found.items() if here != there} == set()


def test_a_german_reader_sees_german_and_numbers_with_a_comma(browser):
    view = browser.open("index.html", locale="de-DE").wait_until_live()
    assert view.tell(LANGUAGE) == "de"
    assert view.text(".top nav [aria-current]") == "Übersicht"
    assert re.fullmatch(r"Live, \d\d:\d\d:\d\d (MEZ|MESZ)", view.text("#live"))
    view.wait_for("a figure with a comma", lambda: re.match(r"\d+,\d", view.text("#f-pool")))
    shown = view.tell(
        "import('./js/format.js').then((m) => [m.coins(1234.5), m.percent(0.123), m.duration(7260), m.ago(90)])"
    )
    assert [text.replace("\u00a0", " ") for text in shown] == [
        "1234,50000000",
        "12,3 %",
        "2 h 1 min",
        "vor 1 min",
    ]
    swiss = browser.open("help.html", locale="de-CH")
    assert swiss.tell("import('./js/format.js').then((m) => m.integer(12345))") in ("12’345", "12'345")
    british = browser.open("help.html?lang=de")
    assert british.tell(LANGUAGE) == "de"
    british.page.goto(british.page.url.replace("help.html?lang=de", "blocks.html"))
    assert british.tell(LANGUAGE) == "de"


def test_the_choice_is_remembered_and_an_unknown_language_is_english(browser):
    view = browser.open("help.html?lang=xx").wait_until_live()
    assert view.tell(LANGUAGE) == "en"
    assert not [url for url in view.record.requests if "/locales/" in url]
    assert not view.tell("'translating' in document.documentElement.dataset")
    choice = view.page.locator("#language")
    assert choice.evaluate("(node) => [...node.options].map(({ text }) => text)")[:2] == [
        "English",
        "Deutsch (draft)",
    ]
    with view.page.expect_navigation():
        choice.select_option("ru")
    view.wait_until_live()
    assert (view.tell(LANGUAGE), view.text("h1")) == ("ru", "Справка")
    assert view.text(".draft") != ""
    view.page.goto(view.page.url.replace("help", "blocks"))
    assert view.tell(LANGUAGE) == "ru"
    with view.page.expect_navigation():
        view.page.locator("#language").select_option("en")
    view.wait_until_live()
    assert (view.tell(LANGUAGE), view.text("h1")) == ("en", "Blocks")


def test_without_its_catalogue_a_page_is_english(browser):
    def prepare(view: View) -> None:
        view.page.route("**/locales/*.json", lambda route: route.fulfill(status=404))

    view = browser.open("blocks.html?lang=de", prepare=prepare).wait_until_live()
    assert (view.tell(LANGUAGE), view.text("h1")) == ("en", "Blocks")
    assert view.page.locator("main").is_visible()


def test_names_of_miners_are_not_translated(browser):
    language = pseudo_language()
    language["messages"] |= {
        name: "translated" for worker in WORKERS for name in (worker, worker.partition(".")[2])
    }
    language["messages"]["Worker"] = f"{MARKUP} <b>&amp;</b>"
    view = browser.open("miners.html", prepare=speaking(language)).wait_until_live()
    names = view.wait_for("names", lambda: view.texts("#workers-body tbody th .is-long"))
    assert set(names) <= {*WORKERS, CONTROL.replace("\u202e", "?")}
    assert view.page.locator("main img, main table b").count() == 0
    assert all(
        view.page.locator("#workers-body tbody th a").evaluate_all(
            "(all) => all.map(({ translate }) => !translate)"
        )
    )
    assert view.record.trouble == []
