"""Which share on the tip announces a new template: one that is itself a block on the template's previous block."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pool.jobs.context import build_work_context
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum.upcoming_work import is_newer_work_coming
from tests.chains import NOW, easy_network, grow_chain
from tests.support import make_template


@pytest.fixture(scope="module")
def chain():
    """(the work on the best share, that share)."""
    network, template = easy_network(), make_template(bits=0x207FFFFF)
    tracker = Tracker(network)
    best = grow_chain(tracker, template, 3, 2)[-1]
    context = build_work_context(tracker, best.hash, template=template, network=network, now=NOW)
    return context, best


def test_a_share_that_is_a_block(chain):
    context, best = chain
    target = replace(context, template=replace(context.template, bits=0x207FFFFF))
    assert best.hash <= target.template.target
    assert best.previous_block == target.template.previous_block
    assert is_newer_work_coming(target, best)


def test_a_share_that_is_no_block(chain):
    context, best = chain
    hard = replace(context, template=replace(context.template, bits=0x1B00FFFF))
    assert best.hash > hard.template.target
    assert not is_newer_work_coming(hard, best)


def test_a_share_on_another_previous_block(chain):
    context, best = chain
    newer = replace(context, template=replace(context.template, previous_block=0xBEEF))
    assert not is_newer_work_coming(newer, best)


def test_a_chain_without_a_share(chain):
    context, _ = chain
    assert not is_newer_work_coming(context, None)
