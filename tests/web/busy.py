"""A node in memory on which everything happened that an endpoint can tell of."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred

from p2pool.base.hosts import NetworkKind
from p2pool.dash.address import encode_address
from p2pool.dashd.broadcaster import BroadcasterPeer
from p2pool.dashd.merged import AuxFigures
from p2pool.dashd.pool import DaemonFigures
from p2pool.networks import DASH_REGTEST
from p2pool.peers.figures import (
    AddressCounts,
    EndedConnection,
    KnownBy,
    KnownNode,
    MappedPort,
    PeerFigures,
    Reachable,
    ReachableFigures,
)
from p2pool.pool_stats import (
    BlockRecord,
    BlockStatus,
    EarlyCloses,
    EventKind,
    EventRecord,
    LostSoftware,
    NewerType,
    PeerCensus,
    ShareRecord,
    SoftwareCount,
)
from p2pool.stratum.guard import Guard, GuardSettings, Offence
from p2pool.web.sources import OpenPort
from tests.chains import NOW
from tests.pool_stats.sums import Report, record_report
from tests.support import make_template
from tests.web.pages import Pool

SUBSIDY, PAYMENTS = 50_000_000_000, 10_000_000_000
VERSIONS = DASH_REGTEST.parent.addresses
ALICE, BOB, NOBODY = (encode_address(VERSIONS.pubkey_hash, bytes([n]) * 20) for n in (0xA1, 0xB0, 0x0F))


def payee(pool: Pool, number: int = 0) -> str:
    """An address that the pool's chain pays."""
    return encode_address(VERSIONS.pubkey_hash, pool.shares[number].pubkey_hash)


def busy_pool(count: int = 60) -> Pool:
    """After some refreshes."""
    template = make_template(subsidy=SUBSIDY, payments=(("!6a", PAYMENTS),), payment_amount=PAYMENTS)
    pool = Pool(count, template, keeps_history=True)
    stats, now = pool.stats, pool.now
    for share in pool.shares[::3]:
        pool.node._own_shares.add(share)
    pool.miner = payee(pool)
    for name, connected in ((f"{ALICE}.rig1", True), (f"{ALICE}.rig2", False), (pool.miner, True)):
        if connected:
            stats.record_connected(now)
        stats.record_worker_on(name, difficulty=8.0, now=now)
        stats.record_software(name, "miner/1")
        for second in range(5):
            stats.record_accepted(name, attempts=6e6, difficulty=8.0, dead=second == 4, now=now + second)
        if not connected:
            stats.record_worker_off(name)
    stats.record_refused(f"{ALICE}.rig1", 23, now)
    record_report(stats, Report(), now)
    stats.record_share(ShareRecord(now + 1, pool.shares[-1].hash, pool.miner, False, 500))
    stats.record_share(ShareRecord(now + 2, 0xDEAD, f"{ALICE}.rig1", True, 700))
    for number, status in ((10, BlockStatus.CONFIRMED), (30, BlockStatus.ACCEPTED), (count - 2, BlockStatus.SENT)):
        share = pool.shares[number]
        stats.record_block(
            BlockRecord(share.timestamp, share.hash, 100 + number, pool.miner, share.hash, SUBSIDY, status)
        )
    stats.record_block(BlockRecord(now, 0xBAD, 199, f"{ALICE}.rig1", None, SUBSIDY, BlockStatus.REFUSED, "bad-cb"))
    stats.record_new_block_job("zmq", 0.01)
    stats.record_block_sent(0.002)
    guard = Guard(GuardSettings(), stats)
    guard.offence(guard.connected("10.0.0.1", now), Offence.LOGIN, now)
    guard.ban("10.9.9.9", now=now, seconds=1000, reason="by the operator")
    guard.tick(now)
    end = EndedConnection(
        now - 300, "10.1.2.3", 8999, False, "p2pool-dash/1.0", 3700.0, "nothing received for 100 s"
    )
    brought = {"group": "10.1.2.3", "brought_shares": 3, "last_brought": 40.0, "last_end": end}
    pool.peers = [
        PeerFigures("10.1.2.3", 8999, False, "p2pool-dash/1.0", 1700, 61.7, 12, 3456, 0.0123, **brought),
        PeerFigures("2001:db8::5", 9000, True, "other", 1700, 1.0, 0, 0, None),
    ]
    pool.daemons = [
        DaemonFigures("http://a:1/", True, None, 199, 1.5, 0.25, "/Dash Core:23.1.2/", 8),
        DaemonFigures("http://b:1/", False, "down", None, None, None, "", None),
    ]
    pool.broadcaster = [BroadcasterPeer("192.0.2.7", 9999, "/x/", 5.0, 0.1)]
    object.__setattr__(pool.sources, "merged", lambda: [AuxFigures("http://c:1/", 5, 2, 1, None)])
    event = EventRecord(now, EventKind.BAN, "10.0.0.1", "10.0.0.1 is banned", {"seconds": 5})
    pool.sources.history.record_event(event)
    census = PeerCensus(
        software=(SoftwareCount("p2pool-dash", 1700, 0, 1), SoftwareCount("other", 1700, 1, 0)),
        newer_types=(NewerType(36, 2, now, now, "10.1.2.3:8999", "c2pool", 1),),
        lost=(LostSoftware("c2pool", 700.0, 2),),
        early_closes=EarlyCloses(1, 1, 2, 60.0, now, 3600, 3600),
    )
    object.__setattr__(pool.sources, "census", lambda: census)
    known = [
        KnownNode("10.1.2.3", 8999, NOW, now, group="10.1.2.3", answered=True),
        KnownNode("2001:db8::7", 8999, NOW, NOW + 60, group="2001:db8::/32", sources=("10.1.2.3",)),
    ]
    mapped = MappedPort(NetworkKind.IPV4, "PCP", "203.0.113.5", 8999, now - 3600)
    object.__setattr__(pool.sources, "known_nodes", lambda: known)
    object.__setattr__(pool.sources, "address_counts", lambda: AddressCounts(1, 1))
    object.__setattr__(pool.sources, "ended_connections", lambda: [end])
    object.__setattr__(pool.sources, "mapped_ports", lambda: [mapped])
    reachable = ReachableFigures(Reachable.YES, now - 3600, KnownBy.INCOMING)
    object.__setattr__(pool.sources, "reachable", lambda: reachable)
    ports = [
        OpenPort("miners", 7903),
        OpenPort("miners, through TLS", 7904, "AA:BB", 1_900_000_000, "CC:DD"),
    ]
    object.__setattr__(pool.sources, "listening", lambda: ports)
    object.__setattr__(pool.sources, "settings", {"fee": 0.5, "p2pool-nodes": ["10.1.2.3"], "api-keys": True})
    for _ in range(8):
        pool.now += 10
        pool.refresh()
    ensureDeferred(pool.sources.history.flush())
    return pool


__all__ = ["ALICE", "BOB", "NOBODY", "NOW", "PAYMENTS", "SUBSIDY", "busy_pool", "payee"]
