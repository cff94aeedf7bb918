"""Jobs as records for another process: they come back as they were, or as an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from p2pool.base.errors import ParseError
from p2pool.jobs.job_records import ContextRecord, JobRecords, record_jobs, restore_jobs
from p2pool.networks import DASH
from tests.home import KEY, Home, at_work

OTHER_KEY = b"\x08" * 20


def home_with_transactions() -> Home:
    return at_work(transactions=[bytes([number]) * 32 for number in range(3)])


def two_jobs(home: Home) -> JobRecords:
    jobs = [home.node.make_job(key, None) for key in (KEY, OTHER_KEY)]
    return record_jobs(home.network, [job for job in jobs if job is not None])


def test_jobs_on_one_work_share_its_record_and_come_back_as_they_were():
    home = home_with_transactions()
    jobs = [home.node.make_job(key, None) for key in (KEY, OTHER_KEY)]
    records = record_jobs(home.network, jobs)
    assert (len(records.contexts), len(records.transactions)) == (1, 3)
    restored = restore_jobs(records, home.network)
    assert restored[0].context is restored[1].context
    for before, after in zip(jobs, restored, strict=True):
        for name in ("coinb1", "coinb2", "bits", "timestamp", "version", "payee", "share_timestamp"):
            assert getattr(after, name) == getattr(before, name), name
        assert after.context.template.transactions == before.context.template.transactions


def _with_context(**changes: Any) -> Callable[[JobRecords], JobRecords]:
    return lambda records: replace(records, contexts=(replace(records.contexts[0], **changes),))


def _with_bits(bits: int) -> Callable[[JobRecords], JobRecords]:
    def change(records: JobRecords) -> JobRecords:
        context: ContextRecord = records.contexts[0]
        return _with_context(template=replace(context.template, bits=bits))(records)

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda records: replace(records, network=DASH.name), "jobs of the network 'dash'"),
        (_with_context(share_type=99), "share type 99"),
        (_with_context(transactions=(0, 3)), "place 3 of a table of 3"),
        (_with_context(payout=1), "payouts that do not follow"),
        (_with_bits(1 << 32), "compact target"),
        (_with_bits(-1), "compact target"),
        (lambda records: replace(records, jobs=(replace(records.jobs[0], context=1),)), "place 1 of a table of 1"),
        (lambda records: replace(records, jobs=(replace(records.jobs[0], bits=-1),)), "compact target"),
    ],
)
def test_records_that_make_no_sense_are_errors(change, problem):
    home = home_with_transactions()
    with pytest.raises(ParseError, match=problem):
        restore_jobs(change(two_jobs(home)), home.network)
