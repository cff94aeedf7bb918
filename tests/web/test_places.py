"""Where people land who type an address: a page, never JSON."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pool.web.not_found import PAGES, wants_page
from tests.support import ROOT
from tests.web.pages import Pool

STATIC = ROOT / "web-static"
BROWSER = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
NOWHERE = ["/nothing", "/nothing/at/all", "/api/v1/nothing", "/static/nothing.html", "/static/js/", "/miners/x"]


@pytest.fixture(scope="module")
def pool() -> Pool:
    pool = Pool(web_static=STATIC)
    pool.refresh()
    return pool


@pytest.mark.parametrize("path", NOWHERE)
def test_a_browser_gets_a_page_with_navigation_and_a_program_gets_json(pool, path):
    page, program = pool.ask(path, "GET", BROWSER), pool.ask(path, "GET", "Accept: */*")
    assert (page.status, program.status) == (404, 404)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert program.json["error"]["code"] == "not_found"
    assert pool.ask(path, "POST", BROWSER).headers["content-type"] != page.headers["content-type"]
    for answer in (page, program):
        assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Accept", "no-store")
    text = page.body.decode()
    assert "Page not found" in text
    # The links are relative, and lead to files that there are.
    for link in re.findall(r'(?:href|src)="([^"]+)"', text):
        assert (STATIC / (Path("/x") / link).as_posix().partition("static/")[2]).is_file()
        assert link.count("../") == path.count("/") - 1
    head = pool.ask(path, "HEAD", BROWSER)
    assert (head.status, head.body, head.headers["content-length"]) == (404, b"", str(len(page.body)))


def test_the_address_is_escaped(pool):
    page = pool.ask("/<script>alert(1)</script>" + "x" * 500, "GET", BROWSER).body.decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert len(page) < 3000


@pytest.mark.parametrize(
    ("accept", "wanted"), [(None, False), ("*/*", False), ("application/json", False), ("TEXT/HTML;q=0.5", True)]
)
def test_who_wants_a_page(accept, wanted):
    assert wants_page(accept) is wanted


def test_the_navigation_is_that_of_the_pages():
    script = (STATIC / "js" / "shell.js").read_text("utf-8").partition("const PAGES")[2].partition("];")[0]
    assert tuple(re.findall(r"""\["(\S+)", t\("(.+?)"\)\]""", script)) == PAGES


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/", "index.html"),
        ("/miners.html", "miners.html"),
        ("/dashboard", "dashboard.html"),
        ("/graphs?Week", "graphs.html?Week"),
        ("/share.html?hash=12", "share.html?hash=12"),
        ("/votes", "transition.html"),
        ("/shares", "chain.html"),
        ("/favicon.ico", "favicon.svg"),
    ],
)
def test_short_forms_lead_to_the_page(pool, path, file):
    answer = pool.ask(path)
    assert (answer.status, answer.headers["location"]) == (302, f"static/{file}")
    assert pool.ask("/static/" + file.partition("?")[0]).status == 200


def test_each_page_has_a_short_form(pool):
    for path in STATIC.glob("*.html"):
        assert pool.ask(f"/{path.name}").status == 302
        # Programs find the API below /api.
        assert pool.ask(f"/{path.stem}").status == (404 if path.stem == "api" else 302)


@pytest.mark.parametrize(
    "path", ["/..%2findex", "/Miners", "/.git", "/miners.html.html", "/style.css", "/nothing.html"]
)
def test_what_is_no_page_has_no_short_form(pool, path):
    assert pool.ask(path).status == 404


def test_robots_are_told_what_to_read(pool):
    answer = pool.ask("/robots.txt")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.body.startswith(b"User-agent: *\n")
    assert b"\nDisallow: /\n" in answer.body


def test_links_with_the_share_alone_are_understood():
    share = (STATIC / "pages" / "share.js").read_text("utf-8")
    assert "location.hash" in share
    assert "hashchange" in share
