"""This node: /local_stats, /node_info, /uptime, /fee, /web_rate_stats, /api/v1/node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from p2pool.dash.target import target_to_average_attempts
from p2pool.networks.parameters import ANNOUNCED_PROTOCOL, MINIMUM_PROTOCOL
from p2pool.node import Node
from p2pool.share.share import STALE_DOA, STALE_ORPHAN
from p2pool.sharechain.figures import shares_of_last_hour
from p2pool.web.api.endpoint import Endpoint, amount
from p2pool.web.api.payouts import own_addresses, own_payouts, own_work, payout_amounts
from p2pool.web.api.peers import (
    MAPPED_PORTS,
    REACHABLE,
    bootstrap_figures,
    connects_only,
    mapped_ports,
    peer_counts,
    peer_origins,
    reachable_figures,
)
from p2pool.web.api.pool import best_max_target, stale_proportion
from p2pool.web.api.rates import RATE_FIELDS, rate_figures
from p2pool.web.api.schema import (
    AMOUNT,
    DASH,
    DEAD_HASH_RATE,
    HASH_RATE,
    PART,
    SECONDS,
    TIME,
    array,
    boolean,
    count,
    mapping,
    nullable,
    number,
    record,
    text,
)
from p2pool.web.api.stratum import BAN_COST
from p2pool.web.sources import Snapshot

DUFFS = 1e-8


@dataclass(frozen=True, slots=True)
class OwnHour:
    """This node's shares among those of the chain's last hour; `orphans` and `dead` are what they announce as
    stale. `rate` is theirs, in hashes a second."""

    shares: int = 0
    orphans: int = 0
    dead: int = 0
    rate: float = 0.0

    @property
    def total(self) -> int:
        """Return the number of shares, stale ones included."""
        return self.shares + self.orphans + self.dead

    @property
    def stale(self) -> float | None:
        """Return the stale proportion of the shares; None without any."""
        return (self.orphans + self.dead) / self.total if self.total else None


def own_hour(node: Node) -> OwnHour:
    """Return the figures of this node's own shares of the last hour."""
    lookbehind, best = shares_of_last_hour(node.tracker, node.best_share), node.best_share
    if best is None or lookbehind < 2:
        return OwnHour()
    own = set(node.own_share_hashes())
    chain = list(node.tracker.ancestors(best, lookbehind))
    ours = [share for share in chain if share.hash in own]
    seconds = max(1, chain[0].timestamp - chain[-1].timestamp)
    return OwnHour(
        shares=len(ours),
        orphans=sum(share.stale_info == STALE_ORPHAN for share in ours),
        dead=sum(share.stale_info == STALE_DOA for share in ours),
        rate=sum(share.attempts for share in ours if share is not chain[-1]) / seconds,
    )


def local_stats(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /local_stats."""
    pool, sources = snapshot.pool, snapshot.sources
    template = snapshot.node.template
    subsidy = 0 if template is None else template.subsidy
    payments = 0 if template is None else template.payment_amount
    return {
        **_last_hour(snapshot),
        "miner_hash_rates": {w.name: w.hash_rate for w in pool.workers if w.hash_rate > 0},
        "miner_dead_hash_rates": {w.name: w.dead_rate for w in pool.workers if w.dead_rate > 0},
        "miner_last_difficulties": {w.name: w.difficulty for w in pool.workers if w.connections},
        "hash_rate": pool.hash_rate,
        "dead_hash_rate": pool.dead_rate,
        **_efficiency(snapshot),
        "peers": peer_counts(snapshot),
        "submissions": {
            "accepted": pool.accepted,
            "dead": pool.dead,
            "refused": {str(code): count for code, count in pool.refused.items()},
        },
        "connections": pool.connections,
        "uptime": pool.time - pool.start_time,
        "attempts_to_share": float(target_to_average_attempts(best_max_target(snapshot))),
        "attempts_to_block": None if template is None else float(target_to_average_attempts(template.target)),
        "block_value": subsidy * DUFFS,
        "block_value_payments": payments * DUFFS,
        "block_value_miner": (subsidy - payments) * DUFFS,
        "warnings": warnings(snapshot),
        "donation_proportion": sources.donation / 100,
        "version": sources.version,
        "protocol_version": ANNOUNCED_PROTOCOL,
        "fee": sources.fee,
        "merged_mining": [
            {"daemon": f.url, "chain_id": f.chain_id, "accepted": f.accepted, "refused": f.refused}
            for f in sources.merged()
        ],
    }


def _efficiency(snapshot: Snapshot) -> dict[str, Any]:
    """Return the stale proportion of this node against the pool's, as an efficiency."""
    stales, good = snapshot.node.stale_counts(), 1 - stale_proportion(snapshot)
    total = stales.total
    return {
        "efficiency_if_miner_perfect": (1 - stales.orphans / total) / good if total else None,
        "efficiency": (1 - (stales.orphans + stales.dead) / total) / good if total else None,
        "shares": {"total": total, "orphan": stales.orphans, "dead": stales.dead},
    }


def _last_hour(snapshot: Snapshot) -> dict[str, Any]:
    """Return this node's shares of the last hour in the form of the legacy interface."""
    own, stale = snapshot.per_tip(own_hour), stale_proportion(snapshot)
    total = own.total
    return {
        "my_hash_rates_in_last_hour": {
            "note": "DEPRECATED",
            "nonstale": own.rate,
            "rewarded": own.rate / (1 - stale),
            # Of shares that are all stale there is no telling.
            "actual": own.rate / (1 - own.stale) if own.stale is not None and own.stale < 1 else 0.0,
        },
        "my_share_counts_in_last_hour": {
            "shares": total,
            "unstale_shares": own.shares,
            "stale_shares": own.orphans + own.dead,
            "orphan_stale_shares": own.orphans,
            "doa_stale_shares": own.dead,
        },
        "my_stale_proportions_in_last_hour": {
            "stale": own.stale,
            "orphan_stale": own.orphans / total if total else None,
            "dead_stale": own.dead / total if total else None,
        },
    }


def warnings(snapshot: Snapshot) -> list[str]:
    """Return what an operator should know."""
    problems = {
        "work": snapshot.node.work_problem,
        "peers": snapshot.sources.peers_notice(),
        "onion service": snapshot.sources.ports().onion_problem,
        "shares": snapshot.sources.store_problem(),
        "votes": snapshot.pool.chain.votes.problem,
        "branch": snapshot.pool.chain.votes.branch_problem,
        "payout address": snapshot.sources.payouts.problem,
        "split": snapshot.pool.chain.refused.problem,
        "gateways get no new work": snapshot.sources.broker_problem(),
        "X11": snapshot.pool.process.x11.problem,
    }
    merged = [(f"merged mining with {each.url}", each.problem) for each in snapshot.sources.merged()]
    others = [f"{what}: {problem}" for what, problem in [*problems.items(), *merged] if problem is not None]
    blocks = [f"blocks: {problem}" for problem in snapshot.node.block_problems()]
    return [*snapshot.sources.dashd().warnings, *blocks, *others, *snapshot.sources.lost_databases()]


def node_figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/node."""
    pool, sources, ports = snapshot.pool, snapshot.sources, snapshot.sources.ports()
    payouts = snapshot.per_tip(payout_amounts)
    return {
        "version": sources.version,
        "protocol_version": ANNOUNCED_PROTOCOL,
        "minimum_protocol": MINIMUM_PROTOCOL,
        "network": snapshot.node.network.name,
        "time": pool.time,
        "start_time": pool.start_time,
        "uptime": pool.time - pool.start_time,
        "external_ip": ports.external_ip,
        "through_proxy": sources.settings.get("proxy") is not None,
        "onion": ports.onion,
        "reachable": reachable_figures(snapshot),
        "mapped_ports": mapped_ports(snapshot),
        "connect_only": connects_only(snapshot),
        "worker_port": ports.worker_port,
        "worker_tls_port": ports.worker_tls_port,
        "p2p_port": ports.p2p_port,
        "fee": sources.fee / 100,
        "donation": sources.donation / 100,
        "payout_addresses": own_payouts(snapshot),
        "own_work": own_work(snapshot),
        "next_payout": amount(sum(payouts.get(address, 0) for address in own_addresses(snapshot))),
        **rate_figures(pool),
        "dead_hash_rate": pool.dead_rate,
        "connections": pool.connections,
        "workers": sum(1 for worker in pool.workers if worker.connections),
        "peers": peer_counts(snapshot),
        "peers_found_by": peer_origins(snapshot),
        "bootstrap": bootstrap_figures(snapshot),
        "memory": sources.process_memory(),
        "x11": {"provider": pool.process.x11.provider, "instructions": pool.process.x11.instructions},
        **_efficiency(snapshot),
        "warnings": warnings(snapshot),
    }


def node_info(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /node_info."""
    ports, network = snapshot.sources.ports(), snapshot.node.network
    return {
        "external_ip": ports.external_ip,
        "worker_port": network.worker_port if ports.worker_port is None else ports.worker_port,
        "p2p_port": network.p2p_port if ports.p2p_port is None else ports.p2p_port,
        "network": network.name,
    }


def web_rate_stats(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /web_rate_stats."""
    rates = snapshot.sources.web_rates()
    if rates is None:
        return {
            "active_ips": 0,
            "requests_last_minute": 0,
            "limit_per_minute": None,
            "burst_limit": None,
            "requests": 0,
            "limited": 0,
        }
    return {
        "active_ips": rates.hosts,
        "requests_last_minute": snapshot.cache.requests.since(rates.requests, snapshot.pool.time),
        "limit_per_minute": None if rates.rate is None else rates.rate * 60,
        "burst_limit": rates.burst,
        "requests": rates.requests,
        "limited": rates.limited,
    }


def security_config(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /security_config: what guards this node, without names and addresses. Workers are
    never banned or exempted by their names here, and no pace of submissions is forbidden."""
    rates, limits = snapshot.sources.web_rates(), snapshot.sources.stratum_limits()
    rate = None if rates is None else rates.rate
    return {
        "web_auth_enabled": snapshot.sources.web_password,
        "web_auth_username": None,
        "web_rate_limit_enabled": rate is not None,
        "web_requests_per_minute": None if rate is None else rate * 60,
        "web_burst_limit": None if rates is None else rates.burst,
        "ban_enabled": True,
        "ban_duration_seconds": snapshot.sources.ban_duration,
        "max_violations_before_ban": BAN_COST,
        "max_connections_per_ip": limits.max_connections_per_host,
        "max_share_rate_per_worker": None,
        "ip_whitelist_count": limits.never_banned,
        "worker_whitelist_count": 0,
    }


_EFFICIENCY = {
    "efficiency_if_miner_perfect": nullable(
        number("efficiency if no share of this node had been dead on arrival")
    ),
    "efficiency": nullable(
        number("yield relative to the pool average: above 1 if this node loses less to stale shares")
    ),
    "shares": record("this node's shares in the share chain", total=count(), orphan=count(), dead=count()),
}
_PEERS = record("connected nodes", incoming=count(), outgoing=count())
_MERGED = record(daemon=text(), chain_id=nullable(count()), accepted=count(), refused=count())
_LAST_HOUR = {
    "my_hash_rates_in_last_hour": record(note=text(), nonstale=HASH_RATE, rewarded=HASH_RATE, actual=HASH_RATE),
    "my_share_counts_in_last_hour": record(
        shares=count(),
        unstale_shares=count(),
        stale_shares=count(),
        orphan_stale_shares=count(),
        doa_stale_shares=count(),
    ),
    "my_stale_proportions_in_last_hour": record(
        stale=nullable(PART), orphan_stale=nullable(PART), dead_stale=nullable(PART)
    ),
}
_LOCAL_STATS = record(
    **_LAST_HOUR,
    miner_hash_rates=mapping(HASH_RATE, "by worker"),
    miner_dead_hash_rates=mapping(HASH_RATE, "the part that was dead on arrival, by worker"),
    miner_last_difficulties=mapping(number(), "difficulties of connected workers"),
    hash_rate=HASH_RATE,
    dead_hash_rate=HASH_RATE,
    **_EFFICIENCY,
    peers=_PEERS,
    submissions=record(accepted=count(), dead=count(), refused=mapping(count(), "by stratum error code")),
    connections=count("connections from miners"),
    uptime=SECONDS,
    attempts_to_share=number("average number of hashes for a share of minimum difficulty"),
    attempts_to_block=nullable(number("average number of hashes for a block")),
    block_value=DASH,
    block_value_payments=DASH,
    block_value_miner=DASH,
    warnings=array(text(), "warnings for the operator"),
    donation_proportion=PART,
    version=text(),
    protocol_version=count("protocol number announced to other nodes"),
    fee=number("percent"),
    merged_mining=array(_MERGED),
)
OWN_ADDRESSES = array(
    record(
        address=text(),
        weight={**PART, "description": "fraction of the node's own jobs that pay this address"},
        taken=nullable({**TIME, "description": "when dashd's wallet provided it, Unix seconds"}),
    )
)
ENDPOINTS = (
    Endpoint(
        "/api/v1/node",
        "This node",
        record(
            version=text(),
            protocol_version=count("protocol number announced to other nodes"),
            minimum_protocol=count("lowest protocol number accepted from other nodes"),
            network=text(),
            time={**TIME, "description": "when these figures were computed, Unix seconds"},
            start_time=TIME,
            uptime=SECONDS,
            external_ip=nullable(text()),
            through_proxy=boolean("whether other nodes are reached through a proxy (--proxy)"),
            onion=nullable(text("the address of the onion service while it is published (--onion)")),
            reachable=REACHABLE,
            mapped_ports=MAPPED_PORTS,
            connect_only=boolean("whether the node connects only to those of --p2pool-node (--connect-only)"),
            worker_port=nullable(count()),
            worker_tls_port=nullable(count("port for miners that use TLS; null if TLS is off")),
            p2p_port=nullable(count()),
            fee=PART,
            donation=PART,
            payout_addresses=OWN_ADDRESSES,
            own_work=record(
                "the hashes behind those of this node's latest 100 shares that pay its own addresses",
                fee=count("hashes of other addresses' miners, paid as the fee"),
                own_mining=count("hashes of miners that mine for these addresses"),
            ),
            next_payout={
                **AMOUNT,
                "description": "what the next block pays to these addresses, without the finder's bonus",
            },
            **RATE_FIELDS,
            dead_hash_rate=DEAD_HASH_RATE,
            connections=count("connections from miners"),
            workers=count("connected workers"),
            peers=_PEERS,
            peers_found_by=mapping(count(), "number of connected nodes, by how they became known"),
            bootstrap=record(
                "the search for other nodes while too few are connected",
                last_look_up=nullable(
                    {**TIME, "description": "Unix seconds; null if no search was needed since the start"}
                ),
                addresses_found=count("found by the last search"),
            ),
            memory=nullable(number("bytes")),
            x11=record(
                "the implementation of X11",
                provider=text("built-in, or the package that is used: x11_hash or dash_hash"),
                instructions=text(
                    "processor instructions that it uses: portable, neon, aes, avx2 or avx512; empty if unknown"
                ),
            ),
            **_EFFICIENCY,
            warnings=array(text(), "warnings for the operator"),
        ),
        view=node_figures,
    ),
    Endpoint("/local_stats", "This node and its miners", _LOCAL_STATS, view=local_stats),
    Endpoint(
        "/node_info",
        "Address and ports at which miners and other nodes reach this node",
        record(external_ip=nullable(text()), worker_port=count(), p2p_port=count(), network=text()),
        view=node_info,
    ),
    Endpoint(
        "/uptime",
        "Uptime in seconds",
        SECONDS,
        view=lambda snapshot: snapshot.pool.time - snapshot.pool.start_time,
    ),
    Endpoint("/fee", "The operator's fee", number("percent"), view=lambda snapshot: snapshot.sources.fee),
    Endpoint("/web/version", "The software's version", text(), view=lambda snapshot: snapshot.sources.version),
    Endpoint(
        "/security_config",
        "Limits for web clients and miners; null means no limit",
        record(
            web_auth_enabled=boolean("whether pages require a user and password"),
            web_auth_username=nullable(text("not disclosed")),
            web_rate_limit_enabled=boolean(),
            web_requests_per_minute=nullable(number("limit for one host")),
            web_burst_limit=nullable(number("burst of requests allowed to one host")),
            ban_enabled=boolean(),
            ban_duration_seconds=SECONDS,
            max_violations_before_ban=count("ban score at which the node bans a host"),
            max_connections_per_ip=count(),
            max_share_rate_per_worker=nullable(number("always null: there is no such limit")),
            ip_whitelist_count=count("networks that are never banned"),
            worker_whitelist_count=count("always 0: only networks can be exempted from bans"),
        ),
        view=security_config,
    ),
    Endpoint(
        "/web_rate_stats",
        "Web clients and their rate limits; null means no limit",
        record(
            active_ips=count(),
            requests_last_minute=count(),
            limit_per_minute=nullable(number("limit for one host")),
            burst_limit=nullable(number("burst of requests allowed to one host")),
            requests=count("since the start"),
            limited=count("requests that exceeded the rate limit"),
        ),
        view=web_rate_stats,
    ),
)
