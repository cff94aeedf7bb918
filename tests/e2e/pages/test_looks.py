"""How pages look, to the eye and to a screen reader, at three widths, light and dark. Pictures are kept as
build/screenshots/PAGE-WIDTH-SCHEME.png, for people to look at."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.pages.browser import WIDTHS, View
from tests.e2e.pages.layout import faults, shifts, watch_shifts
from tests.e2e.pages.places import PAGES, address_of

pytestmark = pytest.mark.e2e
SCHEMES = ("light", "dark")
SERIOUS = {"serious", "critical"}
TO_AXE = {(WIDTHS[-1], "light"), (WIDTHS[0], "dark")}
"""Where axe-core looks, which takes its time: both schemes, and both forms of tables."""
AXE = {
    "resultTypes": ["violations"],
    "rules": {name: {"enabled": True} for name in ("label-content-name-mismatch", "target-size")},
}
"""Two rules are off by default: who speaks to the machine says what can be read on a button, and fingers need
targets of 24 pixels, or as much room around them."""


def violations(view: View) -> list[dict[str, Any]]:
    """What axe-core finds, all of it printed."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(view.page, options=AXE).response["violations"]
    for fault in found:
        nodes = [node["html"][:150] for node in fault["nodes"][:3]]
        print(f"{view.page.url}: {fault['impact']} {fault['id']}: {fault['help']}: {nodes}")
    return found


def serious(found: list[dict[str, Any]]) -> list[str]:
    """Those that keep people out."""
    return [
        f"{fault['id']}: {node['html'][:150]} {node['failureSummary']}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_at_every_width_light_and_dark(page, pool, browser):
    """At each width in a tab that begins with it, as pages may ask for it once."""
    misplaced, keeps_out = {}, {}
    for width in WIDTHS:
        view = browser.open(address_of(page, pool), width=width, prepare=watch_shifts, is_whole=False)
        view.wait_until_live()
        misplaced[width] = shifts(view)
        for scheme in SCHEMES:
            view.page.emulate_media(color_scheme=scheme)
            view.picture(f"{page}-{width}-{scheme}")
            if scheme == SCHEMES[0]:  # colours move nothing
                misplaced[width] += faults(view)
            if (width, scheme) in TO_AXE:
                keeps_out[width, scheme] = serious(violations(view))
    assert {where: found for where, found in misplaced.items() if found} == {}
    assert set(keeps_out) == TO_AXE
    assert {where: found for where, found in keeps_out.items() if found} == {}


def test_colours_follow_the_system_and_the_readers_choice(pool, browser):
    view = browser.open("index.html", scheme="dark").wait_until_live()

    def ground() -> str:
        return view.tell("getComputedStyle(document.body).backgroundColor")

    dark = ground()
    view.page.emulate_media(color_scheme="light")
    light = ground()
    assert light != dark
    button = view.page.get_by_role("button", name="Theme")
    seen = []
    for _ in range(3):
        button.click()
        seen.append(ground())
    assert set(seen) == {light, dark}
    while ground() != dark:
        button.click()
    view.page.goto(view.page.url.replace("index", "chain"))
    assert ground() == dark


def test_faults_are_seen(pool, browser):
    """Each kind of them, on a page that has none."""
    view = browser.open("share.html", width=360).wait_until_live()
    assert faults(view) == []
    assert serious(violations(view)) == []
    view.tell("""() => {
        const add = (style, text) => {
            const node = document.createElement("p");
            node.style.cssText = style;
            node.textContent = text;
            document.querySelector("main").append(node);
        };
        add("width: 500px", "wide");
        add("width: 40px; overflow: hidden; white-space: nowrap", "cut off after some letters");
        add("", "below");
        add("margin-top: -1.2rem", "above");
        add("color: #888; background: #999", "pale");
        for (const name of ["small", "too small"]) {
            const button = document.createElement("button");
            button.style.cssText = "width: 12px; height: 12px; padding: 0; font-size: 3px";
            button.textContent = name;
            document.querySelector("main").append(button);
        }
        document.querySelector("main button").setAttribute("aria-label", "something else");
    }""")
    found = " ".join(faults(view))
    assert "the page is 5" in found
    assert "cut off: p in #main" in found
    assert 'one on the other: p in #main "below" and p in #main "above"' in found
    assert {fault.partition(":")[0] for fault in serious(violations(view))} == {
        "color-contrast",
        "label-content-name-mismatch",
        "target-size",
    }
