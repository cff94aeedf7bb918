"""The pages speak through their catalogue: every text is in it, and every language has what its readers need."""

from __future__ import annotations

import re

import pytest

from p2pool.web.api.transition import RULES
from tests.web import catalogue
from tests.web.catalogue import ENGLISH, LOCALES, STATIC
from tests.web.page_text import page_texts
from tests.web.script_text import english_of, texts_of

UNFINISHED: set[str] = set()
"""Languages that may lack texts: the pages show those in English."""
NOT_FOR_PEOPLE = re.compile(
    r"""\((?:min|max|prefers)-.*\)|\.top\ .*|https?:|wss?:|noreferrer.*|12px\ .*|area\ .*|Date|Notification|None
    |(?:yes|no)\ \w+|status\ \w+|mono\ .*|number\ round|live\ updates:|Home|End|Escape|RSA:.*|another\ node""",
    re.VERBOSE,
)
"""Strings of scripts that look like English: media queries, selectors, classes, keys, and words of the node."""
STAY_ENGLISH = {"schema.js", "language.js", "translate.js"}
"""The types of the API page, whose descriptions are the node's, and the names of the languages."""


@pytest.fixture(scope="module")
def texts():
    found, problems = catalogue.collect()
    assert problems == []
    return found


def test_the_catalogue_is_up_to_date(texts):
    """If not: python -m tests.web.catalogue"""
    assert ENGLISH.read_text("utf-8") == catalogue.written(catalogue.english())
    assert len(texts) > 1000


@pytest.mark.parametrize("language", catalogue.languages())
def test_a_language_fits_the_texts(language, texts):
    assert catalogue.problems_of(language) == []
    lacking = catalogue.missing(language)
    assert lacking == [] or language in UNFINISHED
    assert lacking or language not in UNFINISHED, "complete: take it off the list"


def test_the_scripts_know_the_languages():
    theme, script = [(STATIC / "js" / name).read_text("utf-8") for name in ("theme.js", "language.js")]
    named = re.findall(r'"(\w+)"', re.findall(r"LANGUAGES = \[(.+)\]", theme)[0])
    assert sorted(named) == catalogue.languages()
    names = dict(re.findall(r'(\w+): "(.+?)"', re.findall(r"LANGUAGES = \{(.+)\}", script)[0]))
    metas = {path.stem: catalogue.read(path)["meta"] for path in LOCALES.glob("*.json")}
    assert names == {language: meta["language"] for language, meta in metas.items()}
    drafts = re.findall(r'"(\w+)"', re.findall(r"DRAFTS = \[(.*)\]", script)[0])
    assert sorted(drafts) == sorted(language for language, meta in metas.items() if meta.get("draft"))


def test_scripts_show_nothing_past_the_catalogue():
    """Whatever looks like English for people is given to t(), plural() or phrase()."""
    found = {}
    for path in catalogue.scripts():
        texts = [text for _, text in english_of(path.read_text("utf-8")) if not NOT_FOR_PEOPLE.fullmatch(text)]
        if texts and path.name not in STAY_ENGLISH:
            found[path.name] = texts
    assert found == {}


def test_pages_word_the_rules_of_a_transition_as_the_api_does(texts):
    assert {rule.meaning.replace("{version}", "{0}") for rule in RULES} <= texts.keys()


SCRIPT = r"""
import { t } from "./language.js"; // t("comment")
const at = /"t("/.test(x) ? t("One\u00a0a") : t`${f(`inner ${t("deep")}`, 1)} of ${b}`;
const few = plural(n, "{0} share", "{0} shares", g(1, 2)); put("v", "Hard-coded words");
make("p", { class: "two words" }, ...phrase`Mines to ${make("a", {}, "b")}.`, a.t("x"), t(variable));
"""


def test_texts_are_found_in_scripts():
    texts, problems = texts_of(SCRIPT)
    assert [text.key for text in texts] == ["One\u00a0a", "{0} of {1}", "deep", "{0} shares", "Mines to {0}."]
    assert texts[1].values == ('f(`inner ${t("deep")}`, 1)', "b")
    assert (texts[3].one, texts[3].values) == ("{0} share", ("n", "g(1, 2)"))
    assert problems == ["5: t needs a string or a template"]
    assert english_of(SCRIPT) == [(3, "inner {0}"), (4, "Hard-coded words")]


PAGE = """<html><head><title>A – b</title></head><body><p title="Tip">Ask  <a href="x"
  aria-label="Label">da<b>sh</b>d</a> for <i></i> <select><option>One</option></select> it
  <span class="note">Why</span></p>
<h2>Blocks <span id="n" class="count"></span></h2><p translate="no">Not this <b>nor this</b></p><code>x y</code>
<noscript>No script</noscript><p>–</p></body></html>"""


def test_texts_are_found_in_pages():
    assert page_texts(PAGE) == [
        *("A – b", "Tip", "Ask <0>da<1>sh</1>d</0> for <2/> <3/> it", "Label", "Why", "One", "Blocks"),
    ]


@pytest.mark.parametrize(
    ("key", "wording", "is_form", "fault"),
    [
        ("{0} of {1}", "{1} von {0}", False, ""),
        ("{0} of {1}", "{0} von", False, "has"),
        ("{0} of {1}", "{0} von {2}", False, "has"),
        ("{0} shares", "ein Anteil", True, ""),
        ("{1} of {0} shares", "ein Anteil", True, "has"),
        ("Ask <0>it</0><1/>", "<1/><0>es</0> fragen", False, ""),
        ("Ask <0>it</0><1/>", "es <1/></0>fragen<0>", False, "order"),
        ("Ask <0>it</0>", "<0>es</0> <0>fragen</0>", False, "order"),
        (" (now)", "(jetzt)", False, "blank"),
    ],
)
def test_faults_of_translations_are_found(key, wording, is_form, fault):
    found = catalogue._faults(key, wording, is_form=is_form)
    assert bool(found) == bool(fault)
    assert all(fault in each for each in found)
