"""Makes jobs of a WorkContext: whom each pays, how hard its shares are, and which times it has.

The chain and the statistics are asked through `JobTerms`, so that jobs can be made wherever a context and a few
figures are: in the node itself, and in the gateways that serve its miners.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from twisted.logger import Logger

from p2pool.dash.hashes import optional_hash_hex
from p2pool.dash.target import (
    MAX_UINT256,
    average_attempts_to_target,
    difficulty_to_target,
    target_to_average_attempts,
)
from p2pool.dashd.template import BlockTemplate
from p2pool.jobs.context import WorkContext
from p2pool.jobs.job import Job
from p2pool.share.donation import is_donation_key, paid_as_donation
from p2pool.share.errors import ShareInvalid
from p2pool.share.generation import PayeeFields

LOCAL_PART = 0.0167
"""The part of the pool's shares that one node should make: beyond it its shares get harder instead."""
MAX_TEMPLATE_AGE = 3600.0
"""Seconds. Without dashd the header's time advances for so long; dashd rejects blocks two hours ahead."""
_log = Logger(namespace="p2pool.jobs")


class JobTerms(Protocol):
    """What a job takes from the node in addition to its WorkContext; asked anew for each job."""

    @property
    def fee(self) -> float:
        """Return the percentage of jobs that pay the operator."""

    @property
    def donation(self) -> int:
        """Return the donation of the miners' shares; 65535 for 100 %."""

    @property
    def stale_info(self) -> int:
        """Return what the next own share announces: STALE_NONE, STALE_ORPHAN or STALE_DOA."""

    @property
    def newest_template(self) -> BlockTemplate | None:
        """Return the newest answer of dashd, which may be newer than the template of the work."""

    def node_time(self, now: float) -> float:
        """Return the node's clock at a time of this process's clock, both in Unix seconds."""

    def operator_key_hash(self) -> bytes | None:
        """Return the 20 bytes that the fee pays; None while the node has no address of its own."""

    def recent_finders(self) -> Iterable[bytes]:
        """Return the key hashes that the newest shares of the best chain pay, newest first."""

    def local_rate(self, now: float) -> float:
        """Return the hash rate of all miners of this node, in hashes per second."""

    def pool_rate(self) -> float | None:
        """Return the hash rate of the whole pool; None while the share chain is too short to tell."""

    def address_rate(self, key_hash: bytes, now: float) -> float:
        """Return the hash rate of the miners of this node that mine to one address."""


@dataclass(frozen=True, slots=True)
class _Targets:
    """What decides the share targets of all addresses on a context within a second."""

    context: WorkContext
    second: int
    easiest: int
    """The target of addresses that earn enough."""
    dust_rate: float
    """The hash rate below which an address would be paid dust; 0 if none would be."""
    without_dust: int
    """The target of addresses that would be paid dust otherwise."""


class JobMaker:
    """Makes jobs; `chance` decides which of them are the fee."""

    def __init__(self, terms: JobTerms, chance: Random) -> None:
        self._terms = terms
        self._chance = chance
        self._targets: _Targets | None = None

    def make(
        self, context: WorkContext, key_hash: bytes, *, share_difficulty: float | None, now: float
    ) -> Job | None:
        """Return a job that pays `key_hash` or, with the probability of the fee, the operator, if that one has an
        address: nobody's work waits for it. Return None if the work can have no successor."""
        paid = self._paid(key_hash)
        if paid is None:
            return None
        key_hash, donation = paid
        payee = PayeeFields(
            key_hash=key_hash,
            donation=donation,
            stale_info=self._terms.stale_info,
            nonce=self._chance.getrandbits(32),
        )
        try:
            return Job(
                context,
                payee,
                desired_target=self.desired_target(context, key_hash, share_difficulty=share_difficulty, now=now),
                share_timestamp=int(self._terms.node_time(now)),
                header_timestamp=_header_time(context.template, self._terms.newest_template, now),
            )
        except ShareInvalid as error:
            parent = context.parent.previous_hash
            share_hash = optional_hash_hex(parent) or "none"
            _log.error("cannot make work on share {share_hash}: {error}", share_hash=share_hash, error=error)
            return None

    def _paid(self, key_hash: bytes) -> tuple[bytes, int] | None:
        """Return the key and the donation of a miner's next job; with the probability of the fee it pays the
        operator."""
        terms = self._terms
        if terms.fee and self._chance.uniform(0, 100) < terms.fee:
            operator = terms.operator_key_hash()
            if operator is not None and is_donation_key(operator):
                return paid_as_donation((key_hash, *terms.recent_finders()))
            key_hash = operator or key_hash
        if is_donation_key(key_hash):
            return paid_as_donation((terms.operator_key_hash(), *terms.recent_finders()))
        return key_hash, terms.donation

    def desired_target(
        self, context: WorkContext, key_hash: bytes, *, share_difficulty: float | None, now: float
    ) -> int:
        """Return the share target to request: the miner's, else the easiest, made harder for a node that finds a
        large part of all shares and for miners whose payouts would be dust."""
        if share_difficulty is not None:
            return difficulty_to_target(share_difficulty)
        targets = self._targets
        if targets is None or targets.context is not context or targets.second != int(now):
            targets = self._targets = self._targets_of(context, now)
        if targets.dust_rate and self._terms.address_rate(key_hash, now) < targets.dust_rate:
            return targets.without_dust
        return targets.easiest

    def _targets_of(self, context: WorkContext, now: float) -> _Targets:
        terms, network, template = self._terms, context.network, context.template
        easiest = MAX_UINT256
        local_rate = terms.local_rate(now)
        if local_rate > 0:
            easiest = min(easiest, average_attempts_to_target(local_rate * network.share_period / LOCAL_PART))
        pool_rate = terms.pool_rate()
        kept = template.subsidy * (1 - terms.donation / 65535)
        dust_rate, without_dust = 0.0, easiest
        if pool_rate is not None and template.subsidy > 0:
            dust = network.parent.dust_threshold
            dust_rate = dust * max(pool_rate, 1.0) / kept if kept > 0 else math.inf
            block_attempts = target_to_average_attempts(template.target)
            attempts = block_attempts * network.spread * dust / template.subsidy
            without_dust = min(easiest, average_attempts_to_target(attempts))
        return _Targets(context, int(now), easiest, dust_rate, without_dust)


def _header_time(template: BlockTemplate, newest: BlockTemplate | None, now: float) -> int:
    """Return dashd's clock, continued since its newest answer: this machine's may have been set meanwhile."""
    if newest is not None and newest.previous_block == template.previous_block:
        template = newest
    elapsed = min(max(0.0, now - template.received), MAX_TEMPLATE_AGE)
    return int(max(template.current_time + elapsed, template.minimum_time))
