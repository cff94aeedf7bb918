"""What moves each metric: its cause, the sample that shows it, and the sample's value before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from p2pool.base.process import ProcessFigures
from p2pool.dash.target import difficulty_to_target, target_to_bits
from p2pool.dashd.broadcaster import BroadcasterPeer
from p2pool.dashd.figures import DashCoreFigures
from p2pool.dashd.pool import DaemonFigures
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.peers.figures import PeerFigures
from p2pool.pool_stats import (
    BanRecord,
    BlockRecord,
    BlockStatus,
    EarlyCloses,
    LostSoftware,
    NewerType,
    PeerCensus,
    ShareRecord,
    SoftwareCount,
    X11Figures,
)
from p2pool.share.generation import PayeeFields
from p2pool.share.share import STALE_DOA, STALE_NONE, STALE_ORPHAN
from p2pool.sharechain.own_shares import StaleCounts
from p2pool.sharechain.refused import RefusalCause
from p2pool.sharechain.tracker import Arrival
from p2pool.web.view_cache import ViewCache
from p2pool.web.views import Views
from tests.pool_stats.sums import gateway_sums, record_report
from tests.support import make_template
from tests.web.pages import Pool

ANNOUNCED = {
    "p2pool_connected_workers": "gauge",
    "p2pool_pool_hashrate": "gauge",
    "p2pool_shares_accepted": "counter",
    "p2pool_shares_rejected": "counter",
    "p2pool_blocks_found": "counter",
}
"""The first metrics, by the names and types under which they were announced; none has labels."""
CHANGED = object()
"""The value is another one than before; which one is not for this table to say."""
SHARES = 30
"""Of the chain that the pool begins with."""
HERE = "yA.1"
DAEMON = "http://a:1/"


@dataclass(frozen=True)
class Cause:
    """`sample` and `labels` are those of the sample to look at; None for one that is not there."""

    happen: Callable[[Pool], object]
    before: float | None
    after: object
    sample: str | None = None
    labels: tuple[tuple[str, str], ...] = ()


def with_sources(pool: Pool, **changes) -> None:
    """Look at other sources."""
    pool.sources = replace(pool.sources, **changes)
    pool.views = Views(pool.sources)


def census(**figures) -> Callable[[Pool], None]:
    """Let other nodes be so."""
    return lambda pool: with_sources(pool, census=lambda: PeerCensus(**figures))


def newer_votes(pool: Pool) -> None:
    """Let all shares vote for version 36."""
    for share in pool.shares:
        share.desired_version = 36
    with_sources(pool, cache=ViewCache())


def one_newer_vote(pool: Pool) -> None:
    """Let one share vote for version 36 on a chain whose others do not."""
    pool.shares[-10].desired_version = 36
    with_sources(pool, cache=ViewCache())


def long_chain_of_newer_votes(pool: Pool) -> None:
    """Let all shares vote for version 36 on a chain that is long enough for rules about votes."""
    pool.tracker.network = replace(pool.tracker.network, chain_length=SHARES)
    newer_votes(pool)


def refuse_shares(pool: Pool) -> None:
    """Let all that was heard be refused."""
    origin = RefusalCause(pool.shares[0].hash, "wrong absheight")
    for share in pool.shares:
        pool.node.refused.take(share, origin, Arrival(pool.now, "192.0.2.1:1"))


def add_share(pool: Pool, stale_info: int = STALE_NONE) -> None:
    """One more share on the best one."""
    node, tracker = pool.node, pool.tracker
    pool.now += 20
    context = build_work_context(
        tracker, node.best_share, template=make_template(), network=tracker.network, now=pool.now
    )
    payee = PayeeFields(b"\x05" * 20, 655, stale_info, 77)
    job = Job(
        context, payee, desired_target=2**256 - 1, share_timestamp=int(pool.now), header_timestamp=int(pool.now)
    )
    outcome = next(
        o
        for nonce in range(1 << 16)
        if (o := job.check(bytes(8), timestamp=job.timestamp, nonce=nonce, version=job.version)).meets_share
    )
    share = outcome.share()
    tracker.add(share, pool.now, live=True)
    tracker.trust(share.hash)
    node.loaded()
    assert node.best_share == share.hash


def fork(pool: Pool) -> None:
    """A share beside the best one, which stays."""
    node, best = pool.node, pool.node.best_share
    node.best_share = pool.shares[-2].hash
    job = Job(
        build_work_context(
            pool.tracker, node.best_share, template=make_template(), network=node.network, now=pool.now
        ),
        PayeeFields(b"\x06" * 20, 655, 0, 78),
        desired_target=2**256 - 1,
        share_timestamp=int(pool.now),
        header_timestamp=make_template().current_time,
    )
    outcome = next(
        o
        for nonce in range(1 << 16)
        if (o := job.check(bytes(8), timestamp=job.timestamp, nonce=nonce, version=job.version)).meets_share
    )
    pool.tracker.add(outcome.share(), pool.now)
    node.best_share = best


def daemon(**changes) -> Callable[[Pool], None]:
    figures = DaemonFigures(DAEMON, True, None, 100, 1.5, 0.25, "/Dash Core:23.1.2/", 8)
    return lambda pool: pool.daemons.append(replace(figures, **changes))


def dash_core(**changes) -> Callable[[Pool], None]:
    return lambda pool: with_sources(pool, dashd=lambda: DashCoreFigures(None, **changes))


def peer(incoming: bool) -> Callable[[Pool], None]:
    return lambda pool: pool.peers.append(PeerFigures("10.1.2.3", 1, incoming, "x", 1, 5.0, 0, 0, 0.125))


def block(number: int, status: BlockStatus, time: float = 0.0) -> Callable[[Pool], None]:
    return lambda pool: pool.stats.record_block(BlockRecord(time or pool.now, number, 1, HERE, None, 1, status))


def accepted(dead: bool = False) -> Callable[[Pool], None]:
    return lambda pool: pool.stats.record_accepted(HERE, attempts=6e6, difficulty=8.0, dead=dead, now=pool.now)


def refused(pool: Pool) -> None:
    pool.stats.record_accepted(
        HERE, attempts=1, difficulty=8.0, dead=False, now=pool.now
    )  # names only those who are there
    pool.stats.record_refused(HERE, 23, pool.now)


def chain_share(dead: bool) -> Callable[[Pool], None]:
    def happen(pool: Pool) -> None:
        pool.stats.record_accepted(HERE, attempts=1, difficulty=8.0, dead=False, now=pool.now)
        pool.stats.record_share(ShareRecord(pool.now, 1, HERE, dead, 5))

    return happen


def ban(pool: Pool) -> None:
    """One that is over as well."""
    pool.stats.record_bans(
        [
            BanRecord("10.0.0.1", pool.now, pool.now + 5, "x"),
            BanRecord("10.0.0.2", pool.now - 9, pool.now - 1, "x"),
        ]
    )


def process(pool: Pool) -> None:
    pool.stats.record_process(ProcessFigures(5_000_000, 12.5, 40, 1024, 7))


def worker_on(pool: Pool) -> None:
    pool.stats.record_worker_on(HERE, difficulty=8.0, now=pool.now)


def gateway_reports(pool: Pool) -> None:
    """Five submissions accepted and two rejected, of one worker."""
    record_report(pool.stats, gateway_sums(HERE), pool.now)


def store_fails(pool: Pool) -> None:
    with_sources(pool, store_problem=lambda: "the disk is full")


def no_peers(pool: Pool) -> None:
    pool.node.work_problem = "not connected to any other node"


def work_with(pool: Pool, **changes) -> None:
    """Work that is otherwise than it was."""
    node = pool.node
    if node.context is None:
        node.context = build_work_context(
            pool.tracker, node.best_share, template=make_template(), network=pool.tracker.network, now=pool.now
        )
    node.context = replace(node.context, **changes)


def own_stales(pool: Pool) -> None:
    pool.node.stale_counts = lambda: StaleCounts(20, 2, 1, 0, 0)


def harder_shares(pool: Pool) -> None:
    """The best share says which is the least difficulty of the next."""
    pool.shares[-1].max_bits = target_to_bits(difficulty_to_target(8.0))


def starts_later(pool: Pool) -> None:
    pool.stats.start_time += 5


LOW = (("reason", "low_difficulty"), ("code", "23"))
WORKER = (("worker", HERE),)
GATEWAY = (("gateway", "front:7903"),)
ON = (("daemon", DAEMON),)
RATE = (1 - 15 / 16 / 3) * 6e6 / (1 + 15 / 16 * 10)
"""The estimate after one submission of 6e6 hashes, within the first second."""
GATEWAY_RATE = (5 - 11 / 16 / 3) * 6e6 / 5 / (1 + 11 / 16 * 10)
"""The estimate after five submissions of 6e6 hashes together."""

CAUSES: dict[str, Cause] = {
    "p2pool_connected_workers": Cause(worker_on, 0, 1),
    "p2pool_known_workers": Cause(accepted(), 0, 1),
    "p2pool_known_addresses": Cause(accepted(), 0, 1),
    "p2pool_connections": Cause(lambda pool: pool.stats.record_connected(pool.now), 0, 1),
    "p2pool_connections_accepted_total": Cause(lambda pool: pool.stats.record_connected(pool.now), 0, 1),
    "p2pool_connections_turned_away_total": Cause(
        lambda pool: pool.stats.record_turned_away("banned", pool.now), None, 1, labels=(("reason", "banned"),)
    ),
    "p2pool_offences_total": Cause(
        lambda pool: pool.stats.record_offence("malformed lines"), None, 1, labels=(("kind", "malformed lines"),)
    ),
    "p2pool_bans": Cause(ban, 0, 1),
    "p2pool_local_hashrate": Cause(accepted(), 0, RATE),
    "p2pool_local_dead_hashrate": Cause(accepted(dead=True), 0, RATE),
    "p2pool_shares_accepted": Cause(accepted(), 0, 1),
    "p2pool_shares_dead_total": Cause(accepted(dead=True), 0, 1),
    "p2pool_shares_rejected": Cause(refused, 0, 1),
    "p2pool_shares_rejected_by_reason_total": Cause(refused, 0, 1, labels=LOW),
    "p2pool_chain_shares_found_total": Cause(chain_share(False), 0, 1),
    "p2pool_chain_shares_dead_total": Cause(chain_share(True), 0, 1),
    "p2pool_worker_hashrate": Cause(accepted(), None, RATE, labels=WORKER),
    "p2pool_worker_dead_hashrate": Cause(accepted(dead=True), None, RATE, labels=WORKER),
    "p2pool_worker_connections": Cause(worker_on, None, 1, labels=WORKER),
    "p2pool_worker_shares_accepted_total": Cause(accepted(), None, 1, labels=WORKER),
    "p2pool_worker_shares_rejected_total": Cause(refused, None, 1, labels=WORKER),
    "p2pool_worker_chain_shares_total": Cause(chain_share(False), None, 1, labels=WORKER),
    "p2pool_submit_latency_seconds": Cause(
        lambda pool: pool.stats.record_submissions(3, 0.004), 0, 3, "p2pool_submit_latency_seconds_count"
    ),
    "p2pool_job_fan_out_seconds": Cause(
        lambda pool: pool.stats.record_job_broadcast(0.3), 0, 0.3, "p2pool_job_fan_out_seconds_sum"
    ),
    "p2pool_gateway_up": Cause(gateway_reports, None, 1, labels=GATEWAY),
    "p2pool_gateway_connections": Cause(gateway_reports, None, 3, labels=GATEWAY),
    "p2pool_gateway_hashrate": Cause(gateway_reports, None, GATEWAY_RATE, labels=GATEWAY),
    "p2pool_gateway_shares_accepted_total": Cause(gateway_reports, None, 5, labels=GATEWAY),
    "p2pool_gateway_shares_rejected_total": Cause(gateway_reports, None, 2, labels=GATEWAY),
    "p2pool_gateway_last_report_timestamp_seconds": Cause(gateway_reports, None, CHANGED, labels=GATEWAY),
    "p2pool_pool_hashrate": Cause(add_share, CHANGED, CHANGED),
    "p2pool_pool_observed_hashrate": Cause(add_share, CHANGED, CHANGED),
    "p2pool_share_chain_height": Cause(add_share, SHARES, SHARES + 1),
    "p2pool_share_chain_absolute_height": Cause(add_share, SHARES, SHARES + 1),
    "p2pool_share_chain_last_share_timestamp_seconds": Cause(add_share, CHANGED, CHANGED),
    "p2pool_share_chain_last_share_found_timestamp_seconds": Cause(add_share, CHANGED, CHANGED),
    "p2pool_share_chain_shares_held": Cause(fork, SHARES, SHARES + 1),
    "p2pool_share_chain_shares_verified": Cause(add_share, SHARES, SHARES + 1),
    "p2pool_share_chain_heads": Cause(fork, 1, 2),
    "p2pool_share_difficulty": Cause(harder_shares, CHANGED, 8),
    "p2pool_stale_ratio": Cause(lambda pool: add_share(pool, STALE_ORPHAN), 0, 1 / 32),
    "p2pool_orphan_ratio": Cause(
        lambda pool: add_share(pool, STALE_ORPHAN), 0, 1 / 32, labels=(("scope", "pool"),)
    ),
    "p2pool_dead_on_arrival_ratio": Cause(
        lambda pool: add_share(pool, STALE_DOA), 0, 1 / 32, labels=(("scope", "pool"),)
    ),
    "p2pool_store_problem": Cause(store_fails, 0, 1),
    "p2pool_work_problem": Cause(no_peers, 0, 1),
    "p2pool_block_problem": Cause(lambda pool: work_with(pool, refusal="bad-blk-length"), 0, 1),
    "p2pool_transactions_left_out": Cause(
        lambda pool: work_with(pool, whole_template=make_template(transactions=[bytes(32)] * 3)), 0, 3
    ),
    "p2pool_peers": Cause(peer(incoming=True), 0, 1, labels=(("direction", "incoming"),)),
    "p2pool_peer_round_trip_seconds": Cause(peer(incoming=False), None, 0.125, labels=(("of", "farthest"),)),
    "p2pool_blocks_found": Cause(block(1, BlockStatus.ACCEPTED), 0, 1),
    "p2pool_blocks": Cause(block(1, BlockStatus.REFUSED), 0, 1, labels=(("status", "refused"),)),
    "p2pool_last_block_timestamp_seconds": Cause(block(1, BlockStatus.SENT, 123.0), None, 123),
    "p2pool_newer_votes_ratio": Cause(newer_votes, 0, 1, labels=(("span", "recent"),)),
    "p2pool_newer_votes_version": Cause(newer_votes, None, 36),
    "p2pool_own_votes_refused": Cause(long_chain_of_newer_votes, 0, 1),
    "p2pool_refused_votes": Cause(one_newer_vote, 0, 1),
    "p2pool_refused_work_ratio": Cause(refuse_shares, 0, 1),
    "p2pool_chain_split": Cause(refuse_shares, 0, 1),
    "p2pool_refused_branch_work_ratio": Cause(refuse_shares, None, 1, labels=(("reason", "wrong absheight"),)),
    "p2pool_peers_by_software": Cause(
        census(software=(SoftwareCount("c2pool", 3600, 1, 2),)), 0, 3, labels=(("software", "c2pool"),)
    ),
    "p2pool_peers_by_protocol": Cause(
        census(software=(SoftwareCount("c2pool", 3600, 1, 2),)), 0, 3, labels=(("protocol", "3600"),)
    ),
    "p2pool_newer_type_shares_total": Cause(
        census(newer_types=(NewerType(36, 5, 1.0, 2.0, "8.1.0.1:9", "c2pool", 1),)),
        None,
        5,
        labels=(("type", "36"),),
    ),
    "p2pool_peers_lost_software": Cause(census(lost=(LostSoftware("c2pool", 99.0, 2),)), 0, 1),
    "p2pool_peers_closing_early": Cause(census(early_closes=EarlyCloses(3, 2, 5)), 0, 3),
    "p2pool_dashd_up": Cause(lambda pool: setattr(pool, "problem", "it does not answer"), 1, 0),
    "p2pool_daemon_up": Cause(daemon(problem="down"), None, 0, labels=ON),
    "p2pool_daemon_serving": Cause(daemon(), None, 1, labels=ON),
    "p2pool_daemon_height": Cause(daemon(), None, 100, labels=ON),
    "p2pool_daemon_answer_seconds": Cause(daemon(), None, 0.25, labels=ON),
    "p2pool_block_height": Cause(lambda pool: pool.node.set_template(make_template(height=300)), 199, 299),
    "p2pool_network_difficulty": Cause(
        lambda pool: pool.node.set_template(make_template(bits=0x1D00FFFF)), CHANGED, 1
    ),
    "p2pool_broadcaster_peers": Cause(
        lambda pool: pool.broadcaster.append(BroadcasterPeer("192.0.2.7", 9999, "/x/", 5.0, 0.1)), 0, 1
    ),
    "p2pool_blocks_waiting": Cause(dash_core(blocks_waiting=2), 0, 2),
    "p2pool_spool_problem": Cause(dash_core(spool_problem="the disk is full"), 0, 1),
    "p2pool_new_block_to_job_seconds": Cause(
        lambda pool: pool.stats.record_new_block_job("zmq", 0.02),
        None,
        1,
        "p2pool_new_block_to_job_seconds_count",
        (("road", "zmq"),),
    ),
    "p2pool_block_sending_seconds": Cause(
        lambda pool: pool.stats.record_block_sent(0.002), 0, 1, "p2pool_block_sending_seconds_count"
    ),
    "p2pool_start_time_seconds": Cause(starts_later, CHANGED, CHANGED),
    "process_start_time_seconds": Cause(starts_later, CHANGED, CHANGED),
    "process_resident_memory_bytes": Cause(process, None, 5_000_000),
    "process_cpu_seconds_total": Cause(process, None, 12.5),
    "process_open_fds": Cause(process, None, 40),
    "process_max_fds": Cause(process, None, 1024),
    "process_threads": Cause(process, None, 7),
    "p2pool_reactor_delay_seconds": Cause(
        lambda pool: pool.stats.record_reactor_delay(0.25, pool.now), 0, 1, "p2pool_reactor_delay_seconds_count"
    ),
    "p2pool_reactor_delay_last_seconds": Cause(
        lambda pool: pool.stats.record_reactor_delay(0.25, pool.now), 0, 0.25
    ),
    "p2pool_reactor_delay_worst_seconds": Cause(
        lambda pool: [pool.stats.record_reactor_delay(delay, pool.now) for delay in (0.25, 0.1)], 0, 0.25
    ),
    "p2pool_gc_pause_seconds": Cause(
        lambda pool: pool.stats.record_gc_pause(0.01), 0, 0.01, "p2pool_gc_pause_seconds_sum"
    ),
    "p2pool_x11_provider_info": Cause(
        lambda pool: pool.stats.record_x11(X11Figures("built-in", "avx2")),
        None,
        1,
        labels=(("provider", "built-in"), ("instructions", "avx2")),
    ),
    "p2pool_x11_problem": Cause(
        lambda pool: pool.stats.record_x11(X11Figures("x11_hash", problem="a wrong hash")), 0, 1
    ),
    "p2pool_alerts_sent_total": Cause(lambda pool: pool.stats.record_alert(), 0, 1),
}
"""By the metric's name."""
