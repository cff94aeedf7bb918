"""What answers to submitblock mean: each row of the table, and that the documents have it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.dashd import answers
from p2pool.dashd.answers import Verdict, judge, judge_error
from tests.support import ROOT

_ROW = re.compile(r"^\| (.+) \| .+ \| ([A-Z]+) \|$", re.MULTILINE)
ROWS = [
    (answer.strip(), Verdict[verdict])
    for row, verdict in _ROW.findall(answers.__doc__ or "")
    for answer in row.split(",")
    if "error" not in row
]


@pytest.mark.parametrize(("answer", "verdict"), ROWS)
def test_each_row_of_the_table(answer, verdict):
    if answer.startswith("any other"):
        answer = "a word of a later version"
    assert judge(None if answer == "null" else answer.replace("*", "x")) is verdict


def test_the_table_has_all_verdicts():
    assert {verdict for _, verdict in ROWS} == set(Verdict) - {Verdict.UNANSWERED}


@given(st.text())
def test_only_known_words_are_final(answer):
    final = judge(answer) in (Verdict.REFUSED, Verdict.ACCEPTED)
    known = answer.startswith(("bad-", "mandatory-script-verify-flag-failed"))
    assert not final or known or answer in ("high-hash", "time-too-old", "duplicate-invalid")


@pytest.mark.parametrize("code", [-1, -3, -5, -8, -9, -10, -25, -26, -27, -28, -32601, 0])
def test_errors_are_no_verdicts(code):
    assert judge_error(code) is Verdict.UNANSWERED


def test_but_that_it_cannot_be_decoded_is_one():
    assert judge_error(-22) is Verdict.REFUSED


def test_operators_find_every_answer_in_their_guide():
    guide = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    for answer, _ in ROWS:
        assert f"`{answer}`" in guide or answer.startswith("any other"), answer
