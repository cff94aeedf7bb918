"""Notify lines that are put together of shared hexadecimal: the same bytes as JSON makes, and few of them kept."""

from __future__ import annotations

import random

import orjson
import pytest

from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.share.generation import PayeeFields
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum import notify_lines
from p2pool.stratum.job_registry import IssuedJob, JobRegistry
from p2pool.stratum.notify_lines import NotifyLines, line_size, swap_words
from tests.chains import NOW, easy_network, grow_chain
from tests.stratum.miner import FakeWork
from tests.support import make_template

PAYLOAD = bytes(range(170))


def make_context(payees: int, *, payload: bytes = PAYLOAD, transactions: int = 5):
    """Work on a chain that pays so many addresses."""
    rng = random.Random(payees)
    hashes = [rng.randbytes(32) for _ in range(transactions)]
    template = make_template(transactions=hashes, bits=0x1B00FFFF, coinbase_payload=payload)
    tracker = Tracker(easy_network())
    shares = grow_chain(tracker, template, 2 * payees, payees)
    return build_work_context(
        tracker, shares[-1].hash, template=template, network=tracker.network, now=shares[-1].timestamp + 20.0
    )


def make_job(context, key_hash: bytes, nonce: int = 1) -> Job:
    """A job on the context that pays this key."""
    return Job(
        context,
        PayeeFields(key_hash, 655, 0, nonce),
        desired_target=2**256 - 1,
        share_timestamp=int(NOW),
        header_timestamp=int(NOW),
    )


def plain_line(job_id: str, job: Job, *, clean: bool) -> bytes:
    """The line as JSON makes it of its fields."""
    template = job.context.template
    params = [
        job_id,
        swap_words(template.previous_block.to_bytes(32, "little")).hex(),
        job.coinb1.hex(),
        job.coinb2.hex(),
        [entry.hex() for entry in template.branch],
        f"{job.version:08x}",
        f"{template.bits:08x}",
        f"{job.timestamp:08x}",
        clean,
    ]
    return orjson.dumps({"id": None, "method": "mining.notify", "params": params}) + b"\n"


@pytest.mark.parametrize("payload", [b"", PAYLOAD])
@pytest.mark.parametrize("transactions", [0, 5])
def test_a_line_is_what_json_makes_of_its_fields(payload, transactions):
    """For payees who are paid already and others, in any order."""
    context = make_context(20, payload=payload, transactions=transactions)
    keys = [script[3:23] for script in context.payouts.amounts] + [bytes([n]) * 20 for n in range(0, 256, 15)]
    random.Random(1).shuffle(keys)
    lines = NotifyLines(context)
    for number, key in enumerate(keys):
        job = make_job(context, key)
        for clean in (True, False):
            line = lines.line(f"{number:x}", job, clean=clean)
            assert line == plain_line(f"{number:x}", job, clean=clean)
            assert lines.line(f"{number:x}", job, clean=clean) is line  # for the next connection


def test_a_job_of_other_work_has_its_own_line():
    context, other = make_context(3), make_context(4)
    job = make_job(other, bytes(20))
    assert NotifyLines(context).line("1f", job, clean=True) == plain_line("1f", job, clean=True)
    assert IssuedJob("2", job).notify(False) == plain_line("2", job, clean=False)


def test_the_kept_lines_are_bounded_in_bytes_and_dropped_with_the_work(monkeypatch):
    context = make_context(3)
    jobs = [make_job(context, bytes([number]) * 20) for number in range(10)]
    size = len(plain_line("0", jobs[0], clean=True))
    monkeypatch.setattr(notify_lines, "MAX_LINE_BYTES", 3 * size)
    lines = NotifyLines(context)
    made = [lines.line(f"{number}", job, clean=True) for number, job in enumerate(jobs)]
    again = [lines.line(f"{number}", job, clean=True) for number, job in enumerate(jobs)]
    assert again == made
    assert [one is other for one, other in zip(made, again, strict=True)] == [True] * 3 + [False] * 7
    lines.close()
    assert lines.line("0", jobs[0], clean=True) == made[0]
    assert lines.line("0", jobs[0], clean=True) is not made[0]
    assert (lines.context, lines._lines, len(lines._hex), lines._outputs) == (None, ({}, {}), 0, b"")


def test_newer_work_closes_the_lines_of_all_earlier_jobs():
    work = FakeWork()
    registry = JobRegistry(work)
    registry.work_changed(work.template.previous_block, True, NOW)
    issued = registry.job_for("10.0.0.1", (b"\x01" * 20, None))
    line = issued.notify(True)
    assert issued.lines.context is issued.job.context
    registry.work_changed(work.template.previous_block, True, NOW)
    assert issued.lines.context is None
    assert issued.notify(True) == line


@pytest.mark.parametrize("payees", [1, 20, 60])
def test_the_size_of_a_line_is_known_before_there_is_one(payees):
    context = make_context(payees)
    size = len(plain_line("ffffffff", make_job(context, bytes(20)), clean=False))
    assert size <= line_size(context) <= size + 2000


def test_jobs_of_an_earlier_process_share_their_lines_if_they_are_on_the_newest_work():
    work = FakeWork()
    registry = JobRegistry(work)
    registry.work_changed(work.template.previous_block, True, NOW)
    newest = IssuedJob("1", work.make_job(b"\x01" * 20, None), generation=registry.generation)
    older = IssuedJob("2", work.make_job(b"\x02" * 20, None), generation=registry.generation - 1)
    for issued in (newest, older):
        registry.restore(issued, ["10.0.0.1"])
    assert newest.lines is not None
    assert newest.notify(True) is newest.notify(True)
    assert older.lines is None
    assert older.notify(True) == plain_line("2", older.job, clean=True)


def test_most_lines_are_dropped_when_all_connections_have_them(monkeypatch):
    context = make_context(3)
    jobs = [make_job(context, bytes([number]) * 20) for number in range(10)]
    size = len(plain_line("0", jobs[0], clean=True))
    monkeypatch.setattr(notify_lines, "_MAX_IDLE_LINE_BYTES", 3 * size)
    lines = NotifyLines(context)
    made = [lines.line(f"{number}", job, clean=True) for number, job in enumerate(jobs)]
    assert len(lines._lines[True]) == 10
    lines.sent_to_all()
    assert not lines._lines[True]
    assert [lines.line(f"{number}", job, clean=True) for number, job in enumerate(jobs)] == made
    assert len(lines._lines[True]) == 3
    lines.sent_to_all()
    assert len(lines._lines[True]) == 3  # there is room for them


def test_many_lines_are_kept_only_during_a_job_broadcast(monkeypatch):
    monkeypatch.setattr(notify_lines, "_MAX_IDLE_LINE_BYTES", 0)
    work = FakeWork()
    registry = JobRegistry(work)
    for is_sent in (False, True):
        registry.work_changed(work.template.previous_block, True, NOW)
        if is_sent:
            registry.sent_to_all()
        issued = registry.job_for("10.0.0.1", (b"\x01" * 20, None))
        assert issued.notify(True)
        assert len(issued.lines._lines[True]) == (not is_sent)
        registry.sent_to_all()
        assert not issued.lines._lines[True]
