"""Gateways with a real redis-server: one pool, whatever is killed or hangs between its parts."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.gateway_pool import GatewayPool, address_of
from tests.e2e.process import wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[GatewayPool]:
    with ExitStack() as stack:
        pool = GatewayPool(tmp_path, stack)
        wait_for("work at all gateways", lambda: all(gateway.has_work() for gateway in pool.gateways))
        yield pool


def test_the_shares_of_all_gateways_are_one_chain_and_are_paid(pool: GatewayPool):
    addresses = {address_of(number) for number in range(3)}

    def mined() -> bool:
        return addresses <= {row["payout_address"] for row in pool.chain()}

    wait_for("shares of all miners in the chain", mined)
    wait_for("payouts", lambda: addresses <= pool.node.get("current_payouts").keys())
    wait_for("two blocks", lambda: sum(each.block for each in pool.found()) >= 2)
    pool.check_end()


def test_a_gateway_that_is_killed_delivers_what_it_found_when_it_is_back(pool: GatewayPool):
    pool.wait_until_found(3)
    pool.redis.freeze()  # so that something is left to deliver
    killed = pool.gateways[0]
    before = sum(each.worker.startswith(address_of(0)) for each in pool.found())
    wait_for(
        "a solution of its miner",
        lambda: sum(each.worker.startswith(address_of(0)) for each in pool.found()) > before,
    )
    wait_for("its file", lambda: list(killed.directory.glob("data/simnet/solutions/*")))
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait()
    pool.redis.thaw()
    pool.restart_gateway(0)
    pool.gateways[0].wait_for_line("of an earlier run to the node")
    pool.wait_until_found(3)
    pool.check_end()


def test_a_broker_that_is_killed_and_comes_back_empty_costs_nothing(pool: GatewayPool):
    pool.wait_until_found(3)
    pool.redis.kill()
    for process in (pool.node, *pool.gateways):
        process.wait_for_line("the broker cannot be used")
    pool.wait_until_found(2)
    pool.redis.start()
    wait_for("work from the new broker", lambda: all(gateway.has_work() for gateway in pool.gateways))
    pool.wait_until_found(3)
    pool.check_end()


def test_a_broker_that_hangs_for_ten_seconds_costs_nothing(pool: GatewayPool):
    pool.wait_until_found(3)
    pool.redis.freeze()
    time.sleep(10)
    for gateway in pool.gateways:
        health = gateway.health()  # the reactor is not blocked
        assert health is not None
        assert not health["broker"]
    pool.redis.thaw()
    pool.wait_until_found(3)
    pool.check_end()
