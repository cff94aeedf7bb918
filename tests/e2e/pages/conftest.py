"""One pool and one browser for the tests of this directory; of a failed test, what the browser showed is kept."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

import pytest

from tests.e2e.pages.browser import PICTURES, Browser, View, running_browser, skip_without_chromium
from tests.e2e.pages.places import PAGES, address_of
from tests.e2e.pages.pool import Pool, running_pool

_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="package")
def pool(tmp_path_factory) -> Iterator[Pool]:
    """It mines as long as the tests run."""
    skip_without_chromium()
    alerts = ("--miner-alerts", "ntfy,webhook", "--alert-page", "http://pool.example.org/")
    with running_pool(tmp_path_factory.mktemp("pool"), *alerts) as pool:
        yield pool


@pytest.fixture(scope="package")
def _browser(pool) -> Iterator[Browser]:
    with running_browser(pool.url) as browser:
        yield browser


@pytest.fixture
def browser(_browser, request) -> Iterator[Browser]:
    """Its pages are closed after each test."""
    yield _browser
    _keep_of_a_failure(_browser.views, request)
    _browser.close()


@pytest.fixture(scope="package")
def _tour(pool, _browser) -> Iterator[Browser]:
    tour = _browser.another()
    for page in PAGES:
        tour.open(address_of(page, pool))
    for view in tour.views:
        view.wait_until_live()
    yield tour
    tour.close()


@pytest.fixture
def tour(_tour, request) -> Iterator[dict[str, View]]:
    """All pages, each in a tab that stays open: for tests that look at them and leave them as they are."""
    views = dict(zip(PAGES, _tour.views, strict=True))
    yield views
    page = getattr(request.node, "callspec", None) and request.node.callspec.params.get("page")
    _keep_of_a_failure([views[page]] if page else _tour.views, request)


def _keep_of_a_failure(views: list[View], request: pytest.FixtureRequest) -> None:
    name = re.sub(r"[^\w.]+", "-", f"failed-{request.node.name}")
    for old in PICTURES.glob(f"{name}-*"):
        old.unlink()
    if request.node.stash.get(_FAILED, False):
        for number, view in enumerate(views):
            view.keep(f"{name}-{number}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """pytest's: remembers for `browser` how it went."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report
