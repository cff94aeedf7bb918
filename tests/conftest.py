"""Settings of the whole suite."""

import gc
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings
from slipcover import pytest_plugin as slipcover_plugin

from tests.tools.order import spread_end_to_end

pytest_plugins = ["tests.tools.workers"]

# Speed is the business of tests/bench: a busy machine must not make a property fail.
settings.register_profile("p2pool", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("p2pool")

# What measures coverage would otherwise rewrite code now and then, which takes time, memory and calls: some tests
# count those of our own code.
if slipcover_plugin._slipcover_instance is not None:
    slipcover_plugin._slipcover_instance.d_miss_threshold = sys.maxsize

# What runs in a shell's background ignores Ctrl-C, and so would the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spread end-to-end tests if several workers share the tests."""
    if hasattr(config, "workerinput"):
        items[:] = spread_end_to_end(items)


def pytest_collection_finish() -> None:
    """Exempt the collected tests and all modules from garbage collection: tests that call `gc.collect` would spend
    their time on them."""
    gc.collect()
    gc.freeze()
