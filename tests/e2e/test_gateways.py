"""Gateways with a real redis-server: one pool, whatever is killed or hangs between its parts. The tests follow
each other on one pool and leave it whole; at the end nothing is lost, and all is paid and counted once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from p2pool.gateway.messages import parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.session_messages import SessionRecord
from p2pool.simnet.miner_work import MiningJob
from tests.e2e.gateway_pool import GatewayPool, GatewayProcess, address_of
from tests.e2e.gateway_rigs import RIG, Rigs, counted
from tests.e2e.process import wait_for
from tests.e2e.stratum_client import ConnectionEnded, Refused, StratumClient

pytestmark = pytest.mark.e2e
KEY = "0123456789abcdef-e2e"
PROXY = "127.0.0.2"
"""Where connections of a load balancer come from, which name their clients."""
ROAMER = f"{address_of(11)}.roamer"
DUPLICATE = 22
SHARE_DIFFICULTY = 0.000008
"""A little above that of the easiest shares."""


def act(pool: GatewayPool, action: str, **parameters: Any) -> dict[str, Any]:
    """What the node answers to an operator's action."""
    answer = requests.post(
        f"http://127.0.0.1:{pool.node.port}/api/v1/admin/{action}",
        json=parameters,
        headers={"X-API-Key": KEY},
        timeout=20,
    )
    answer.raise_for_status()
    return dict(answer.json())


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayPool]:
    with ExitStack() as stack:
        pool = GatewayPool(
            tmp_path_factory.mktemp("gateways"),
            stack,
            node_flags=("--api-key", KEY),
            gateway_flags=("--min-difficulty", "1e-9", "--stratum-proxy-protocol", PROXY),
        )
        wait_for("work at all gateways", lambda: all(gateway.has_work() for gateway in pool.gateways))
        yield pool


@pytest.fixture(scope="module")
def rigs(pool: GatewayPool) -> Iterator[Rigs]:
    rigs = Rigs(pool)
    yield rigs
    for number in range(len(pool.gateways)):
        rigs.leave(number)


def test_the_shares_of_all_gateways_are_one_chain_and_are_paid(pool: GatewayPool):
    addresses = {address_of(number) for number in range(3)}

    def mined() -> bool:
        return addresses <= {row["payout_address"] for row in pool.chain()}

    wait_for("shares of all miners in the chain", mined)
    wait_for("payouts", lambda: addresses <= pool.node.get("current_payouts").keys())
    wait_for("two blocks", lambda: sum(each.block for each in pool.found()) >= 2)


def test_the_figures_of_a_worker_are_summed_over_gateways(pool: GatewayPool, rigs: Rigs):
    for number, count in enumerate((3, 4, 5)):
        rigs.submit(number, count)
    rigs.check()
    assert rigs.accepted == 12
    worker = pool.node.get(f"api/v1/workers/{RIG}")
    assert worker["connections"] == 3
    assert worker["hash_rate"] > 0

    def rows() -> dict[str, dict[str, Any]]:
        stratum = pool.node.get("api/v1/stratum")
        whole = sum(row["accepted"] for row in stratum["gateways"]) == stratum["accepted"]
        return {row["address"]: row for row in stratum["gateways"]} if whole else {}

    by_address = wait_for("the gateways' rows", rows)
    assert len(by_address) == 3
    for gateway, count in zip(pool.gateways, (3, 4, 5), strict=True):
        row = by_address[f"127.0.0.1:{gateway.port}"]
        assert row["present"]
        assert row["accepted"] >= count


def test_a_message_and_a_ban_reach_all_gateways(pool: GatewayPool):
    def served(port: int, host: str) -> bool:
        header = f"PROXY TCP4 {host} 127.0.0.1 1000 {port}\r\n".encode()
        try:
            with StratumClient(port, header=header, source=PROXY) as client:
                client.subscribe()
        except ConnectionEnded:
            return False
        return True

    ports = [gateway.port for gateway in pool.gateways]
    worker = f"{address_of(12)}.a"

    def reaches_all() -> bool:
        answer = act(pool, "message", text="back in five minutes", worker=worker)
        return bool((answer["gateways"], answer["gateway_connections"]) == (3, 3))

    with ExitStack() as stack:
        clients = [stack.enter_context(StratumClient(port)).login(worker) for port in ports]
        wait_for("answers of all gateways", reaches_all)
        for client in clients:
            wait_for("the message", lambda it=client: it.read_all() or it.messages)
            assert set(client.messages) == {"back in five minutes"}
    assert [served(port, "192.0.2.9") for port in ports] == [True, True, True]
    act(pool, "ban", host="192.0.2.9", seconds=600, reason="a test")
    for gateway in pool.gateways:  # within seconds: they compare their bans every half minute, too
        gateway.wait_for_line("banned 192.0.2.9 for 600 s: a test (banned by node ", 8)
    assert [served(port, "192.0.2.9") for port in ports] == [False, False, False]
    assert [served(port, "192.0.2.10") for port in ports] == [True, True, True]
    assert act(pool, "unban", host="192.0.2.9")["was_banned"]
    for gateway in pool.gateways:
        gateway.wait_for_line("lifted the ban of 192.0.2.9", 8)
    assert [served(port, "192.0.2.9") for port in ports] == [True, True, True]


# --- sessions ----------------------------------------------------------------------------------------------------


def log_in(pool: GatewayPool, number: int) -> StratumClient:
    """A miner at a gateway with a difficulty that no other has."""
    return StratumClient(pool.gateways[number].port).login(f"{ROAMER}/0.0000001", password="d=0.0000005")


def move(pool: GatewayPool, former: StratumClient, number: int) -> StratumClient:
    """The same miner at another gateway: it names its session, and nothing else of it. A gateway of a busy machine
    may not find it in time; then the miner tries again."""
    for _ in range(5):
        client = StratumClient(pool.gateways[number].port)
        client.login(f"{ROAMER}/0.0000001", session=former.session_id, password="x")
        if client.session_id == former.session_id:
            break
        client.close()
    assert client.session_id == former.session_id
    assert client.extranonce1 == former.extranonce1
    assert client.difficulty == former.difficulty == 0.0000005
    client.mined = former.mined
    return client


def submit_in_flight(pool: GatewayPool, job: MiningJob, client: StratumClient) -> None:
    """A solution for a job that another gateway issued is accepted, and counted once."""
    assert job.job_id not in {each.job_id for each in client.jobs}
    before = counted(pool, ROAMER)
    assert client.mine(job) is True
    refuse_again(client, job)
    wait_for("the submission's count", lambda: counted(pool, ROAMER) > before)
    assert counted(pool, ROAMER) == before + 1


def find_share(pool: GatewayPool, job: MiningJob, client: StratumClient) -> None:
    """A share for a job that another gateway issued is accepted by the chain."""
    found = solutions(pool)
    client.difficulty = SHARE_DIFFICULTY
    assert client.mine(job) is True
    (share,) = solutions(pool) - found
    wait_for("the share", lambda: (pool.node.try_get(f"web/share/{share}") or {}).get("local", {}).get("verified"))


def refuse_again(client: StratumClient, job: MiningJob) -> None:
    """The last submission is a duplicate if it is sent again."""
    client.mined -= 1
    with pytest.raises(Refused) as refused:
        client.mine(job)
    assert refused.value.code == DUPLICATE


def solutions(pool: GatewayPool) -> set[str]:
    """The shares that the miner found, at any gateway."""
    return {each.hash for each in pool.found() if each.worker == ROAMER}


def remembers(pool: GatewayPool, client: StratumClient) -> bool:
    """Whether the broker has the miner's session with its newest job."""
    data = pool.redis.call("GET", Names("simnet").session(client.session_id))
    if not isinstance(data, bytes):
        return False
    record = parse_message(SessionRecord, data)
    return client.jobs[-1].job_id in {job.job_id for job in record.jobs}


def test_a_miner_finds_its_session_at_another_gateway_and_what_it_has_under_way_is_accepted(pool: GatewayPool):
    with pool.miners_at_rest(), log_in(pool, 0) as former:
        assert former.extranonce1[0] != 0
        mined = former.jobs[-1]
        assert former.mine(mined) is True
        wait_for("its count", lambda: counted(pool, ROAMER) == 1)
        wait_for("its session in the broker", lambda: former.read_all() or remembers(pool, former))
        with move(pool, former, 1) as client:
            refuse_again(client, mined)
            submit_in_flight(pool, former.jobs[-1], client)
            find_share(pool, former.jobs[-1], client)


def test_so_it_does_if_its_gateway_was_killed(pool: GatewayPool, rigs: Rigs):
    rigs.check()  # a gateway that is killed loses what it has not reported yet
    with pool.miners_at_rest(), log_in(pool, 2) as former:
        wait_for("its session in the broker", lambda: former.read_all() or remembers(pool, former))
        pool.gateways[2].kill()
        with move(pool, former, 0) as client:
            submit_in_flight(pool, former.jobs[-1], client)
    rigs.leave(2)
    rigs.submit(0, 2)
    rigs.submit(1, 2)
    rigs.check()
    pool.restart_gateway(2)
    wait_for("work at all gateways", pool.gateways[2].has_work)
    rigs.submit_everywhere(1)
    rigs.check()


def test_what_reaches_the_node_twice_counts_once(pool: GatewayPool, rigs: Rigs):
    names, node = Names("simnet"), pool.node
    rigs.check()
    node.process.send_signal(signal.SIGSTOP)
    try:
        rigs.submit_everywhere(2)
        pool.wait_until_found(1)

        with pool.redis.client() as client:
            for stream in (names.sums, names.solutions):
                for _, fields in wait_for(f"entries of {stream}", lambda it=stream: client.xrange(it)):
                    client.xadd(stream, fields)
                    client.xadd(stream, fields)
    finally:
        node.process.send_signal(signal.SIGCONT)
    rigs.check()


# --- faults ------------------------------------------------------------------------------------------------------


def test_a_gateway_that_is_killed_delivers_what_it_found_when_it_is_back(pool: GatewayPool, rigs: Rigs):
    rigs.check()
    pool.redis.freeze()  # so that something is left to deliver
    killed = pool.gateways[0]
    before = sum(each.worker.startswith(address_of(0)) for each in pool.found())
    wait_for(
        "a solution of its miner",
        lambda: sum(each.worker.startswith(address_of(0)) for each in pool.found()) > before,
    )
    wait_for("its file", lambda: list(killed.directory.glob("data/simnet/solutions/*")))
    rigs.submit(1, 3)
    killed.kill()
    rigs.leave(0)
    pool.redis.thaw()
    pool.restart_gateway(0)
    pool.gateways[0].wait_for_line("of an earlier run to the node")
    pool.wait_until_found(1)
    rigs.check()


def test_a_broker_that_is_killed_and_comes_back_empty_costs_nothing(pool: GatewayPool, rigs: Rigs):
    rigs.submit_everywhere(2)  # reported or not, when it dies
    pool.redis.kill()
    rigs.submit_everywhere(2)
    for process in (pool.node, *pool.gateways):
        process.wait_for_line("the broker cannot be used")
    pool.wait_until_found(1)
    pool.redis.start()
    wait_for("work from the new broker", lambda: all(gateway.has_work() for gateway in pool.gateways))
    rigs.submit_everywhere(1)
    rigs.check()


def test_a_broker_that_hangs_costs_nothing(pool: GatewayPool, rigs: Rigs):
    rigs.submit_everywhere(2)
    pool.redis.freeze()
    rigs.submit_everywhere(2)

    def misses_broker(gateway: GatewayProcess) -> bool:
        health = gateway.health()
        assert health is not None  # the reactor is not blocked
        return not health["broker"]

    for gateway in pool.gateways:
        wait_for("notice of the broker's silence", lambda it=gateway: misses_broker(it))
    rigs.submit_everywhere(2)
    pool.redis.thaw()
    rigs.submit_everywhere(1)
    pool.wait_until_found(1)
    rigs.check()


def test_at_the_end_nothing_is_lost_and_all_is_paid_and_counted_once(pool: GatewayPool, rigs: Rigs):
    rigs.check()  # nothing came twice since
    pool.check_end()
