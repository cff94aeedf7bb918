"""The help page, which is the short form of documents that no node serves: the same questions and terms, and an
entry for each term that labels of other pages explain."""

from __future__ import annotations

import re

from tests.support import ROOT

STATIC = ROOT / "web-static"
HELP = (STATIC / "help.html").read_text("utf-8")
ENTRIES = dict(re.findall(r'<div id="([\w-]+)"><dt>(.*?)</dt><dd>.+?</dd></div>', HELP))
PAGES = ("index", "worker", "miners", "blocks", "graphs")
"""Those whose labels are explained."""


def labels() -> dict[str, list[str]]:
    """The ids of labels, by the id of the term's entry."""
    table = (STATIC / "js" / "terms.js").read_text("utf-8").partition("TERMS = {")[2].partition("};")[0]
    return {
        term: re.findall(r'"([^"]+)"', ids)
        for term, ids in re.findall(r'^  "?([\w-]+)"?: \[(.*)\],$', table, re.M)
    }


def test_its_questions_are_those_of_the_documents():
    asked = re.findall(r"<summary>(.+?)</summary>", HELP)
    assert len(asked) >= 8
    assert set(asked) <= set(re.findall(r"^### (.+)$", (ROOT / "docs" / "faq.md").read_text("utf-8"), re.M))


def test_each_term_of_the_miners_guide_has_an_entry():
    guide = (ROOT / "docs" / "miners.md").read_text("utf-8").partition("### Terms")[2].partition("\n#")[0]
    terms = {row.rpartition(": ")[2] for row in re.findall(r"^\| ([a-z: ]+) \|", guide, re.M)} - {"term"}
    assert {"share", "estimating"} <= terms
    # What is rejected for its difficulty, or sent twice, is explained with the message about it.
    assert terms - {"low difficulty", "duplicate"} <= set(ENTRIES)


def test_each_explained_label_has_an_entry_and_is_on_a_page():
    texts = {page: (STATIC / f"{page}.html").read_text("utf-8") for page in PAGES}
    shown = labels()
    assert set(shown) == set(ENTRIES)
    for term, ids in shown.items():
        for id in ids:
            pattern = rf'<h2 id="{id}"|<div><dt>[^<]+(?:<span[^>]*>[^<]*</span>)?</dt>\s*<dd(?:>\s*<b)? id="{id}"'
            assert any(re.search(pattern, text) for text in texts.values()), (term, id)
    for page in PAGES:
        assert "explainTerms();" in (STATIC / "pages" / f"{page}.js").read_text("utf-8")
        assert any(f'"{id}"' in texts[page] for ids in shown.values() for id in ids), page
