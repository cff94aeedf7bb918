"""Several processes share the tests: `order` says which of them belong together.

pytest-xdist is silent about one that dies between tests or whose session
does not end well: its tests have passed, but what it measured is lost. Here, such a run fails.

What was measured is written before anything else of the session's end, while no warning is an error (such as of
temporary directories that the garbage collector finds then)."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Generator
from typing import Any

import pytest
from slipcover import pytest_plugin as slipcover_plugin

from tests.tools.order import unit_of

_lost: list[str] = []
"""What is known of each worker that was lost; in the process that hands out the tests."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out units where files were asked for."""
    from xdist.scheduler import LoadFileScheduling

    class LoadUnitScheduling(LoadFileScheduling):
        """Hands out the tests of a unit together."""

        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return LoadUnitScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Note a worker that did not end its session, or ended it with an error."""
    output = getattr(node, "workeroutput", {})
    if error is not None or not output.get("ended"):
        _lost.append(f"worker {node.gateway.id}: {output.get('failure') or error or 'did not say that it ended'}")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Tell the other process how a worker's session ended; there, fail if one was lost."""
    output: dict[str, object] = getattr(session.config, "workeroutput", {})
    try:
        if hasattr(session.config, "workeroutput") and slipcover_plugin._slipcover_instance is not None:
            with warnings.catch_warnings(action="ignore"):
                slipcover_plugin.pytest_sessionfinish(session, session.exitstatus)
            slipcover_plugin._slipcover_instance = None  # it has been asked
        yield
    except BaseException:
        output["failure"] = traceback.format_exc()
        raise
    output["ended"] = True
    if _lost:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which workers were lost."""
    for text in _lost:
        terminalreporter.write_line(f"LOST {text}", red=True)
