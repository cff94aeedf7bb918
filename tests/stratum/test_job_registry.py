"""The job book: one job an address and tip, ids that fit, how long a job is judged, and that it stays small."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from p2pool.jobs.context import WorkContext
from p2pool.jobs.job import Job
from p2pool.share.generation import PayeeFields
from p2pool.stratum import job_registry
from p2pool.stratum.job_registry import GRACE, MAX_VARIANTS, IssuedJob, JobRegistry
from p2pool.stratum.notify_lines import swap_words
from tests.stratum.miner import NOW, FakeWork
from tests.support import needs_interpreted

HOST = "10.0.0.1"
KEY = b"\x01" * 20


def make_book() -> tuple[FakeWork, JobRegistry]:
    work = FakeWork()
    book = JobRegistry(work)
    book.work_changed(work.template.previous_block, True, NOW)
    return work, book


def hold_at_most(monkeypatch, jobs: int) -> None:
    """Leave room for so many jobs, as if contexts took no memory."""
    monkeypatch.setattr(job_registry, "MAX_HELD_BYTES", jobs * job_registry.JOB_BYTES)
    monkeypatch.setattr(WorkContext, "size", 0)


def make_job_on(context: WorkContext, key: bytes) -> Job:
    """A job on a context that is there already."""
    return Job(
        context,
        PayeeFields(key, 655, 0, 1),
        desired_target=2**256 - 1,
        share_timestamp=int(NOW),
        header_timestamp=int(NOW),
    )


def move_to(work: FakeWork, book: JobRegistry, block: int, now: float = NOW) -> None:
    work.template = replace(work.template, previous_block=block)
    book.work_changed(block, True, now)


def test_one_job_an_address_and_wish_until_the_work_changes():
    work, book = make_book()
    first = book.job_for(HOST, (KEY, None))
    assert book.job_for(HOST, (KEY, None)) is first
    others = [book.job_for(HOST, (KEY, 5.0)), book.job_for(HOST, (b"\x02" * 20, None))]
    assert len({first.job_id, *(o.job_id for o in others)}) == 3
    assert work.made == 3
    book.work_changed(work.template.previous_block, True, NOW)
    again = book.job_for(HOST, (KEY, None))
    assert again is not first
    assert again.job_id != first.job_id


def test_no_work_is_no_job_and_is_asked_for_again():
    work, book = make_book()
    template, work.template = work.template, None
    assert book.job_for(HOST, (KEY, None)) is None
    work.template = template
    assert book.job_for(HOST, (KEY, None)) is not None


def test_a_variant_is_other_work_and_there_are_few():
    work, book = make_book()
    jobs_ = [book.job_for(HOST, (KEY, None), variant) for variant in range(MAX_VARIANTS + 1)]
    assert len({job.job_id for job in jobs_}) == len(jobs_)
    assert len({job.job.coinb1 for job in jobs_}) == len(jobs_)
    assert [book.job_for("10.0.0.2", (KEY, None), job.variant) for job in jobs_] == jobs_  # shared by all
    assert work.made == MAX_VARIANTS + 1
    assert book.job_for(HOST, (KEY, None), MAX_VARIANTS + 1) is None


def test_ids_stay_within_eight_hex_digits():
    _, book = make_book()
    book._counter = 2**32 - 2
    ids = [book.job_for(HOST, (KEY, float(number))).job_id for number in range(3)]
    assert ids == ["ffffffff", "0", "1"]


def test_a_job_is_the_newest_until_the_work_changes_and_ended_when_that_was_clean():
    work, book = make_book()
    job = book.job_for(HOST, (KEY, None))
    assert book.is_newest(job)
    assert not book.ended(job)
    book.work_changed(work.template.previous_block, False, NOW)
    assert not book.is_newest(job)
    assert not book.ended(job)
    refreshed = book.job_for(HOST, (KEY, None))
    book.work_changed(work.template.previous_block, True, NOW)
    book.work_changed(work.template.previous_block, False, NOW)
    assert book.ended(job)
    assert book.ended(refreshed)
    assert not book.ended(book.job_for(HOST, (KEY, None)))


def test_a_job_is_judged_while_its_previous_block_is_the_tip_and_for_a_grace_time_after():
    work, book = make_book()
    job = book.job_for(HOST, (KEY, None))
    first_block = job.job.context.template.previous_block
    assert book.judged_by(job, NOW + 1e6) is job.job
    book.work_changed(first_block, True, NOW + 10)
    assert book.judged_by(job, NOW + 1e6)  # only the share chain moved
    move_to(work, book, 0xBEEF, NOW + 100)
    assert book.judged_by(job, NOW + 100 + GRACE)
    assert not book.judged_by(job, NOW + 100 + GRACE + 1)
    # a reorganisation: the old block is the tip again, and later ends a second time
    move_to(work, book, first_block, NOW + 150)
    assert book.judged_by(job, NOW + 1e6)
    move_to(work, book, 0xBEEF, NOW + 300)
    assert book.judged_by(job, NOW + 300 + GRACE)
    assert not book.judged_by(job, NOW + 300 + GRACE + 1)


def test_a_job_whose_time_is_over_is_released_whoever_still_knows_its_id():
    work, book = make_book()
    job = book.job_for(HOST, (KEY, None))
    assert book.job_for("10.0.0.2", (KEY, None)) is job
    variant = book.job_for(HOST, (KEY, None), 1)
    move_to(work, book, 0xBEEF, NOW + 100)
    newer = book.job_for(HOST, (KEY, None))
    book.retire(NOW + 100 + GRACE)
    assert job.job is not None
    book.retire(NOW + 101 + GRACE)
    assert (job.job, variant.job) == (None, None)
    assert job.notify(True) == b""
    assert book.judged_by(newer, NOW + 1e6)
    assert book._held_count == 1


def test_very_many_jobs_are_released_in_portions(monkeypatch):
    monkeypatch.setattr(job_registry, "_RETIRED_AT_ONCE", 10)
    work, book = make_book()
    for number in range(25):
        book.job_for(HOST, (number.to_bytes(20, "big"), None))
    move_to(work, book, 0xBEEF, NOW)
    left = []
    for _ in range(4):
        book.retire(NOW + GRACE + 1)
        left.append(book._held_count)
    assert left == [15, 5, 0, 0]
    assert not book._ended


@needs_interpreted("p2pool.jobs.context")
def test_jobs_on_the_current_block_are_many_but_bounded(monkeypatch):
    hold_at_most(monkeypatch, 10)
    work, book = make_book()
    issued = []
    for _ in range(30):
        book.work_changed(work.template.previous_block, True, NOW)
        issued.append(book.job_for(HOST, (KEY, None)))
    assert [job.job is not None for job in issued] == [False] * 20 + [True] * 10
    assert book._held_count == 10


def test_a_context_counts_once_however_many_jobs_are_on_it(monkeypatch):
    work, book = make_book()
    context = work.make_job(KEY, None).context
    monkeypatch.setattr(work, "make_job", lambda key, difficulty: make_job_on(context, key))
    for number in range(10):
        book.job_for(HOST, (bytes([number]) * 20, None))
        book.job_for("10.0.0.2", (bytes([number]) * 20, None))
    assert (book._held_count, book._context_bytes) == (20, context.size)
    move_to(work, book, 0xBEEF, NOW)
    book.retire(NOW + GRACE + 1)
    assert (book._held_count, book._context_bytes, book._contexts) == (0, 0, {})


@needs_interpreted("p2pool.jobs.context")
def test_contexts_of_many_payees_are_bounded_in_bytes(monkeypatch):
    """A few of them take more than all of their jobs."""
    size = 100 * job_registry.JOB_BYTES
    monkeypatch.setattr(job_registry, "MAX_HELD_BYTES", 3 * size)
    monkeypatch.setattr(WorkContext, "size", size)
    work, book = make_book()
    issued = []
    for _ in range(10):
        book.work_changed(work.template.previous_block, True, NOW)
        issued.append(book.job_for(HOST, (KEY, None)))
    assert [job.job is not None for job in issued] == [False] * 8 + [True] * 2
    assert book._context_bytes == 2 * size


@needs_interpreted("p2pool.jobs.context")
def test_making_room_takes_a_bounded_time(monkeypatch):
    """Many jobs on few contexts: none of them is dropped before its last job."""
    work, book = make_book()
    contexts = [work.make_job(KEY, None).context for _ in range(3)]
    monkeypatch.setattr(WorkContext, "size", 1000 * job_registry.JOB_BYTES)
    for context in contexts:
        book.work_changed(work.template.previous_block, True, NOW)
        monkeypatch.setattr(work, "make_job", lambda key, difficulty, on=context: make_job_on(on, key))
        for number in range(100):
            book.job_for(f"host{number}", (bytes([number]) * 20, None))
    monkeypatch.setattr(job_registry, "MAX_HELD_BYTES", 2200 * job_registry.JOB_BYTES)
    before = book._held_count
    book.job_for("another", (KEY, None))
    assert book._held_count == before + 1 - job_registry._RELEASED_AT_ONCE
    for number in range(20):
        book.job_for(f"other{number}", (KEY, None))
    assert len(book._contexts) == 2


def test_no_flood_of_jobs_makes_another_host_s_job_unknown(monkeypatch):
    """Fails where jobs are given up first in, first out: the flood of four hosts pushes out the honest one's."""
    hold_at_most(monkeypatch, 200)
    work, book = make_book()
    honest = []
    for _ in range(10):
        book.work_changed(work.template.previous_block, True, NOW)
        honest.append(book.job_for("honest", (KEY, None)))
        for number in range(100):
            for variant in range(MAX_VARIANTS + 1):
                book.job_for(f"flood{number % 4}", (number.to_bytes(20, "little"), None), variant)
    assert all(book.judged_by(job, NOW) for job in honest)
    # Beyond the bound there are at most those on the newest work.
    assert book._held_count <= 200 + 100 * (MAX_VARIANTS + 1)


@needs_interpreted("p2pool.jobs.context")
def test_a_flood_for_somebody_else_s_address_costs_that_address_nothing(monkeypatch):
    hold_at_most(monkeypatch, 50)
    work, book = make_book()
    honest = []
    for _ in range(20):
        book.work_changed(work.template.previous_block, True, NOW)
        for variant in range(MAX_VARIANTS + 1):
            book.job_for("flood", (KEY, None), variant)  # first, so that it is the one that has them built
        honest.append(book.job_for("honest", (KEY, None)))
    assert all(book.judged_by(job, NOW) for job in honest)


def test_the_newest_job_is_never_given_up(monkeypatch):
    """Of a farm with more addresses than jobs may be held, beside a crowd with one each."""
    hold_at_most(monkeypatch, 20)
    _, book = make_book()
    farm = [book.job_for("farm", (number.to_bytes(20, "big"), None)) for number in range(30)]
    for number in range(100):
        book.job_for(f"host{number}", (KEY, None))
    assert all(job.job is not None for job in farm)


def test_the_book_is_bounded(monkeypatch):
    monkeypatch.setattr(job_registry, "MAX_ADDRESS_JOBS", 10)
    work, book = make_book()
    for number in range(40):
        book.job_for(HOST, (number.to_bytes(20, "big"), None))
    assert len(book._current) == 10
    made = work.made
    book.job_for(HOST, ((39).to_bytes(20, "big"), None))
    assert work.made == made
    book.job_for(HOST, (bytes(20), None))  # forgotten: made anew, as a job like any other
    assert work.made == made + 1
    for block in range(1000):
        move_to(work, book, block)
    assert len(book._ended) <= 16
    assert len(book._current) == 0


def test_replaced_jobs_are_shrunk_and_judged_as_before():
    work, book = make_book()
    old = book.job_for(HOST, (KEY, None))
    line, digest, job = old.notify(True), old.job.digest, old.job
    book.retire(NOW)
    assert job._ref_hash is not None  # it is on the newest work
    move_to(work, book, 0xBEEF)
    book.retire(NOW)
    assert job._ref_hash is job._coinbase is job._absorbed is None
    assert book.judged_by(old, NOW) is job
    assert (old.notify(True), job.digest) == (line, digest)


def test_jobs_that_wait_to_be_shrunk_are_bounded(monkeypatch):
    monkeypatch.setattr(job_registry, "MAX_ADDRESS_JOBS", 10)
    work, book = make_book()
    for block in range(100):
        for number in range(3):
            book.job_for(HOST, (number.to_bytes(20, "big"), None))
        move_to(work, book, block)
        assert len(book._former) <= 10


def test_the_notify_line_is_what_the_job_says():
    _, book = make_book()
    issued = book.job_for(HOST, (KEY, None))
    job, template = issued.job, issued.job.context.template
    message = json.loads(issued.notify(True))
    assert (message["id"], message["method"]) == (None, "mining.notify")
    job_id, prevhash, coinb1, coinb2, branch, version, bits, ntime, clean = message["params"]
    assert job_id == issued.job_id
    assert swap_words(bytes.fromhex(prevhash)) == template.previous_block.to_bytes(32, "little")
    assert (bytes.fromhex(coinb1), bytes.fromhex(coinb2)) == (job.coinb1, job.coinb2)
    assert branch == [entry.hex() for entry in template.branch]
    assert (version, bits, ntime) == (f"{job.version:08x}", f"{template.bits:08x}", f"{job.timestamp:08x}")
    assert clean is True
    assert json.loads(issued.notify(False))["params"] == [*message["params"][:8], False]
    assert issued.notify(True).endswith(b"\n")
    assert issued.notify(True) is issued.notify(True)  # made once for all connections


def test_small_numbers_keep_their_eight_digits():
    _, book = make_book()
    job = book.job_for(HOST, (KEY, None)).job
    job.version = job.timestamp = 1
    _, _, _, _, _, version, _, ntime, _ = json.loads(IssuedJob("1", job).notify(True))["params"]
    assert (version, ntime) == ("00000001", "00000001")


@given(st.binary(min_size=32, max_size=32))
def test_swapping_words_twice_changes_nothing(data):
    assert swap_words(swap_words(data)) == data
    assert swap_words(data)[:4] == data[3::-1]


def test_many_sites_hold_a_job_and_the_last_of_them_releases_it():
    issued = IssuedJob("1", make_job_on(FakeWork().make_job(KEY, None).context, KEY))
    sites = [f"10.0.0.{number}" for number in range(20)]
    for count, site in enumerate(sites, 1):
        issued.held_by(site)
        issued.held_by(site)
        assert sorted(issued.holders) == sorted(sites[:count])
        assert isinstance(issued.holders, tuple) == (count <= 8)
    for site in sites:
        issued.let_go_by(site)
    assert not issued.holders
    issued = IssuedJob("2", issued.job)
    issued.held_by("a")
    issued.held_by("b")
    issued.let_go_by("a")
    assert issued.holders == ("b",)
