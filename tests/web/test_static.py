"""The pages as files: what they refer to is there, and nothing in them needs more than the policy allows."""

from __future__ import annotations

import gzip
import json
import re
from html.parser import HTMLParser

import pytest

from p2pool.dashd.block_notifications import NotificationSource
from p2pool.pool_stats import EventKind
from p2pool.pool_stats.judgement import Reason
from tests.support import ROOT, make_template
from tests.web.pages import Pool

STATIC = ROOT / "web-static"
PAGES = sorted(STATIC.glob("*.html"))
MOVED = {"miner.html": "worker.html", "dashboard.html": "index.html"}
PLAIN = {*MOVED, "offline.html"}
"""Pages without the shell."""
"""Addresses of older front ends, and where they lead."""
MAX_WEIGHT = 142_000
"""Bytes of a page's files: with its figures, it shall stay under 150 kB."""
SCRIPTS = sorted((*STATIC.glob("js/*.js"), *STATIC.glob("pages/*.js")))


class Page(HTMLParser):
    """A page's elements: (name, attributes)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))


def page_of(path) -> Page:
    return Page(path.read_text("utf-8"))


def test_there_are_pages():
    assert {path.name for path in PAGES} >= {"index.html", "share.html", "chain.html"}
    assert {path.name for path in SCRIPTS} >= {"page.js", "index.js", "share.js", "chain.js"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_has_what_the_shell_fills_and_what_people_without_it_need(path):
    text, page = path.read_text("utf-8"), page_of(path)
    assert [tag for tag, _ in page.elements].count("h1") == 1
    if path.name in PLAIN:
        return
    [description] = [a["content"] for tag, a in page.elements if tag == "meta" and a.get("name") == "description"]
    assert 50 < len(description) < 160
    assert 'href="#main"' in text
    ids = {attributes["id"]: tag for tag, attributes in page.elements if "id" in attributes}
    assert {id: ids[id] for id in ("top", "main", "foot")} == {"top": "header", "main": "main", "foot": "footer"}
    assert {"banner", "said"} <= ids.keys()
    assert "noscript" in [tag for tag, _ in page.elements]
    assert "js/theme.js" in [attributes.get("src") for tag, attributes in page.elements if tag == "script"]


_DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
_IMPORTED = re.compile(r"^import \{([^}]+)\}", re.MULTILINE)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_module_declares_each_name_once(path):
    """A second declaration of a name is a syntax error: nothing of the module runs."""
    text = path.read_text("utf-8")
    imported = [name.split()[-1] for names in _IMPORTED.findall(text) for name in names.split(",") if name.strip()]
    names = imported + _DECLARED.findall(text)
    assert {name for name in names if names.count(name) > 1} == set()


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_address_leads_to_the_page_with_and_without_scripts(old, new):
    page = page_of(STATIC / old)
    assert {"rel": "canonical", "href": new} in [attributes for tag, attributes in page.elements if tag == "link"]
    assert [attributes["href"] for tag, attributes in page.elements if tag == "a"] == [new]
    assert (STATIC / new).is_file()


def test_the_navigation_knows_every_page():
    text = (STATIC / "js" / "shell.js").read_text("utf-8")
    named = set(re.findall(r'"(\w+\.html)"', text))
    assert named == {path.name for path in PAGES} - PLAIN


def test_the_pages_can_be_installed():
    manifest = json.loads((STATIC / "manifest.webmanifest").read_text("utf-8"))
    for icon in manifest["icons"]:
        assert (STATIC / icon["src"]).is_file()
    assert (STATIC / manifest["start_url"]).is_file()
    for path in PAGES:
        if path.name not in PLAIN:
            assert '<link rel="manifest" href="manifest.webmanifest" ' in path.read_text("utf-8"), path.name


def test_the_service_worker_keeps_files_that_there_are():
    worker = (STATIC / "sw.js").read_text("utf-8")
    (kept,) = re.findall(r"const OFFLINE = \[(.+)\];", worker)
    files = re.findall(r'"([^"]+)"', kept)
    assert "offline.html" in files
    assert all((STATIC / name).is_file() for name in files)
    page = page_of(STATIC / "offline.html")
    needed = {a.get("href") or a.get("src") for tag, a in page.elements if tag in ("link", "script")}
    assert needed < set(files)


def test_libraries_come_with_their_licences():
    vendor = STATIC / "vendor"
    said = (vendor / "README.md").read_text("utf-8")
    libraries = {path.name for path in vendor.iterdir()} - {"README.md"}
    assert {"uPlot.esm.js", "uPlot.LICENSE", "d3.min.js", "d3.LICENSE"} <= libraries
    assert all(f"`{name}`" in said for name in libraries)


def test_a_package_holds_all_of_the_pages():
    """setup.py names patterns two levels deep."""
    assert not [path for path in STATIC.glob("*/*/*") if path.is_file()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_refers_to_is_answered(path):
    pool = Pool(5, make_template(), STATIC, keeps_history=True)
    for _ in range(2):
        pool.now += 10
        pool.refresh()
    page = page_of(path)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    references = [a[name] for _, a in page.elements for name in ("href", "src") if name in a]
    assert references
    for reference in references:
        if reference.startswith("#"):
            assert reference[1:] in ids
            continue
        assert not re.match(r"[a-z]+:|//", reference), reference
        reference, _, place = reference.partition("#")
        if place:
            assert f' id="{place}"' in (STATIC / reference).read_text("utf-8"), reference
        target = "/" + reference[3:] if reference.startswith("../") else "/static/" + reference
        assert pool.ask(target).status == 200, reference
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert attributes.get(name, ids[0]) in ids


def imported(script) -> set[str]:
    """What a module imports at once, and what that imports: below web-static."""
    found, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        for name in re.findall(r'(?:from|import) "(.+?)"', path.read_text("utf-8")):
            module = (path.parent / name).resolve()
            if module not in found:
                found.add(module)
                waiting.append(module)
    return {str(module.relative_to(STATIC)) for module in found}


@pytest.mark.parametrize("path", [path for path in PAGES if path.name not in PLAIN], ids=lambda path: path.name)
def test_a_page_asks_for_all_its_modules_at_once(path):
    """Otherwise a browser finds them one after another, a round trip each."""
    elements = page_of(path).elements
    [script] = [a["src"] for tag, a in elements if tag == "script" and a.get("type") == "module"]
    preloaded = [a["href"] for tag, a in elements if tag == "link" and a.get("rel") == "modulepreload"]
    assert sorted(preloaded) == sorted(imported(STATIC / script))


@pytest.mark.parametrize("path", [path for path in PAGES if path.name not in PLAIN], ids=lambda path: path.name)
def test_a_page_is_light(path):
    """It and all that it loads, compressed. The rest of the limit is for figures: many miners do not make more."""
    elements = page_of(path).elements
    files = {path, *(STATIC / a[name] for _, a in elements for name in ("href", "src") if _is_loaded(a.get(name)))}
    for script in [file for file in files if file.suffix == ".js"]:
        files |= {script.parent / name for name in re.findall(r'import\("(.+?)"\)', script.read_text("utf-8"))}
    files.discard(STATIC / "js" / ".." / "vendor" / "lean-qr.mjs")  # when somebody asks for a QR code
    assert sum(len(gzip.compress(file.read_bytes(), 5)) for file in files) < MAX_WEIGHT


def _is_loaded(reference: str | None) -> bool:
    return reference is not None and reference.endswith((".js", ".css", ".svg", ".mjs"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_has_no_inline_code(path):
    page = page_of(path)
    for tag, attributes in page.elements:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_s_script_looks_for_is_on_it(path):
    page = page_of(path)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    scripts = [attributes["src"] for tag, attributes in page.elements if tag == "script"]
    for script in scripts:
        text = (STATIC / script).read_text("utf-8")
        assert set(re.findall(r'byId\("([^"$]+)"\)', text)) <= ids


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_script_makes_no_markup_of_texts_and_asks_this_node_only(path):
    text = path.read_text("utf-8")
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert forbidden not in text
    assert not re.search(r"https?://", text)
    for name in re.findall(r'(?: from |import\()"(.+?)"', text):
        assert (path.parent / name).is_file()


def words_of(script: str, table: str) -> list[str]:
    """The keys of an object of a script."""
    text = (STATIC / script).read_text("utf-8")
    return re.findall(r"^  (\w+): ", text.partition(f"{table} = {{")[2].partition("\n};")[0], re.MULTILINE)


def test_pages_know_every_kind_of_event():
    assert words_of("js/events.js", "KINDS") == list(EventKind)


def test_pages_have_words_for_every_reason_of_a_judgement():
    """But for those that are about no worker: the node's own sentence says it."""
    assert words_of("js/judgement.js", "WHY") == [
        reason for reason in Reason if reason not in (Reason.WRONG_ADDRESS, Reason.UNKNOWN)
    ]


def test_the_node_page_knows_every_source_of_block_notifications():
    assert words_of("pages/node.js", "NOTIFICATION_SOURCES") == list(NotificationSource)


@pytest.mark.parametrize("path", [*PAGES, *SCRIPTS, STATIC / "style.css"], ids=lambda path: path.name)
def test_no_file_refers_to_the_root_of_the_site(path):
    """A reverse proxy may serve the node below a path."""
    text = path.read_text("utf-8")
    assert not re.findall(
        r"""(?:href|src|action)=["']?/[^"'\s>]*|["'`]/[\w$]+/?[\w./$-]*["'`?{]|url\(["']?/""", text
    )
