"""The job book: one job an address and tip, ids that fit, how long a job is judged, and that it stays small."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from p2pool.stratum import jobs
from p2pool.stratum.jobs import GRACE, IssuedJob, JobBook, swap_words
from tests.stratum.miner import NOW, FakeWork

KEY = b"\x01" * 20


def make_book() -> tuple[FakeWork, JobBook]:
    work = FakeWork()
    book = JobBook(work)
    book.work_changed(work.template.previous_block, NOW)
    return work, book


def move_to(work: FakeWork, book: JobBook, block: int, now: float = NOW) -> None:
    work.template = replace(work.template, previous_block=block)
    book.work_changed(block, now)


def test_one_job_an_address_and_wish_until_the_work_changes():
    work, book = make_book()
    first = book.job_for(KEY, None)
    assert book.job_for(KEY, None) is first
    others = [book.job_for(KEY, 5.0), book.job_for(b"\x02" * 20, None)]
    assert len({first.job_id, *(o.job_id for o in others)}) == 3
    assert work.made == 3
    book.work_changed(work.template.previous_block, NOW)
    again = book.job_for(KEY, None)
    assert again is not first
    assert again.job_id != first.job_id


def test_no_work_is_no_job_and_is_asked_for_again():
    work, book = make_book()
    template, work.template = work.template, None
    assert book.job_for(KEY, None) is None
    work.template = template
    assert book.job_for(KEY, None) is not None


def test_a_job_issued_again_is_the_same_work_under_another_id():
    _, book = make_book()
    first = book.job_for(KEY, None)
    second = book.reissue(first.job)
    assert second.job is first.job
    assert second.job_id != first.job_id
    assert json.loads(second.notify(True))["params"][1:] == json.loads(first.notify(True))["params"][1:]
    assert book.job_for(KEY, None) is first


def test_ids_stay_within_eight_hex_digits():
    _, book = make_book()
    first = book.job_for(KEY, None)
    book._counter = 2**32 - 2
    ids = [book.reissue(first.job).job_id for _ in range(3)]
    assert ids == ["ffffffff", "0", "1"]


def test_a_job_is_judged_while_its_parent_block_is_the_tip_and_for_a_grace_time_after():
    work, book = make_book()
    job = book.job_for(KEY, None)
    first_block = job.job.context.template.previous_block
    assert book.judged_by(job, NOW + 1e6) is job.job
    book.work_changed(first_block, NOW + 10)
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


def test_a_job_whose_time_is_over_is_let_go_whoever_still_knows_its_id():
    work, book = make_book()
    job = book.job_for(KEY, None)
    again = book.reissue(job.job)
    move_to(work, book, 0xBEEF, NOW + 100)
    newer = book.job_for(KEY, None)
    book.retire(NOW + 100 + GRACE)
    assert job.job is not None
    book.retire(NOW + 101 + GRACE)
    assert (job.job, again.job) == (None, None)
    assert job.notify(True) == b""
    assert book.judged_by(newer, NOW + 1e6)
    assert book._issued_count == 1


def test_jobs_on_the_current_block_are_many_but_bounded(monkeypatch):
    monkeypatch.setattr(jobs, "MAX_ISSUED", 10)
    work, book = make_book()
    issued = []
    for _ in range(30):
        book.work_changed(work.template.previous_block, NOW)
        issued.append(book.job_for(KEY, None))
    assert [job.job is not None for job in issued] == [False] * 20 + [True] * 10
    assert book._issued_count == 10


def test_the_book_is_bounded(monkeypatch):
    monkeypatch.setattr(jobs, "MAX_ADDRESS_JOBS", 10)
    work, book = make_book()
    for number in range(40):
        book.job_for(number.to_bytes(20, "big"), None)
    assert len(book._current) == 10
    made = work.made
    book.job_for((39).to_bytes(20, "big"), None)
    assert work.made == made
    book.job_for(bytes(20), None)  # forgotten: made anew, as a job like any other
    assert work.made == made + 1
    for block in range(1000):
        move_to(work, book, block)
    assert len(book._ended) <= 16
    assert len(book._current) == 0


def test_the_notify_line_is_what_the_job_says():
    _, book = make_book()
    issued = book.job_for(KEY, None)
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
    job = book.job_for(KEY, None).job
    job.version = job.timestamp = 1
    _, _, _, _, _, version, _, ntime, _ = json.loads(IssuedJob("1", job).notify(True))["params"]
    assert (version, ntime) == ("00000001", "00000001")


@given(st.binary(min_size=32, max_size=32))
def test_swapping_words_twice_changes_nothing(data):
    assert swap_words(swap_words(data)) == data
    assert swap_words(data)[:4] == data[3::-1]
