"""Chains of shares made on the spot, on a network where every hash has enough work."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from p2pool.dashd.template import BlockTemplate
from p2pool.jobs.context import WorkContext, build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import DASH_REGTEST, Network
from p2pool.share.generation import PayeeFields, ShareData
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker

NOW = 1_700_000_000.0


def easy_network(chain_length: int = 4320) -> Network:
    """Regtest's rules over a main network's length, with a window that no weight limit cuts."""
    return replace(
        DASH_REGTEST,
        chain_length=chain_length,
        real_chain_length=chain_length,
        spread=1000,
        target_lookbehind=100,
        share_period=20,
    )


def voting(context: WorkContext, tracker: Tracker, version: int) -> WorkContext:
    """The context of a maker of shares that votes for a version of its own choice."""
    template, parent = context.template, context.parent
    data = ShareData(
        previous_hash=parent.previous_hash,
        coinbase=context.coinbase,
        coinbase_payload=template.coinbase_payload,
        subsidy=template.subsidy,
        payment_amount=template.payment_amount,
        payments=template.payments,
        desired_version=version,
    )
    hashes = [transaction.hash for transaction in template.transactions]
    refs = context.version.rules.references(tracker, parent.previous_hash, height=parent.height, wanted=hashes)
    return replace(context, packer=context.version.codec.packer(data, parent, refs))


def grow_chain(
    tracker: Tracker,
    template: BlockTemplate,
    count: int,
    payees: int,
    best: int | None = None,
    seed: int = 1,
    vote: Callable[[int], int] | None = None,
    start: float = NOW,
    *,
    pace: float | None = None,
    header_time: Callable[[int, float], float] = lambda number, now: now,
) -> list[Share]:
    """Add `count` shares on top of `best`, or from `start` (Unix seconds) on, paying `payees` addresses in turn;
    verified without a check. `vote` gives the version that share number n votes for; without it, that is what this
    node votes for.

    They are found every `pace` seconds (the network's share period), here, and `header_time(number, now)` is what
    their headers say.
    """
    rng = random.Random(seed)
    network = tracker.network
    keys = [rng.randbytes(20) for _ in range(payees)]
    now = start
    if best is not None:
        now = float(tracker.get(best).timestamp)
    shares = []
    for number in range(count):
        now += network.share_period if pace is None else pace
        context = build_work_context(tracker, best, template=template, network=network, now=now)
        if vote is not None:
            context = voting(context, tracker, vote(number))
        payee = PayeeFields(keys[number % payees], 655, 0, rng.getrandbits(32))
        header = int(header_time(number, now))
        job = Job(context, payee, desired_target=2**256 - 1, share_timestamp=int(now), header_timestamp=header)
        outcome = next(
            o
            for nonce in range(1 << 16)
            if (
                o := job.check(rng.randbytes(8), timestamp=header, nonce=nonce, version=template.version)
            ).meets_share
        )
        share = outcome.share()
        tracker.add(share, now, live=True)
        tracker.trust(share.hash)
        best = share.hash
        shares.append(share)
    return shares
