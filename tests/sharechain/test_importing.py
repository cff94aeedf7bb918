"""Share files of the other software, and our archive's, which look alike."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.sharechain import importing
from p2pool.sharechain.archive import ShareArchive
from p2pool.sharechain.importing import ImportCounts, read_share_files, share_files
from p2pool.sharechain.tracker import Tracker
from tests.chains import easy_network, grow_chain
from tests.support import TESTS, make_template, network_of, vectors

NETWORK = easy_network(20)
SHARES = grow_chain(Tracker(NETWORK), make_template(), 6, 3)
LINES = [b"5 " + share.envelope.hex().encode() + b"\n" for share in SHARES]


def read(*paths, network=NETWORK):
    counts = ImportCounts()
    return [share.hash for share in read_share_files(list(paths), network, counts)], counts


def test_a_file_that_the_other_software_wrote():
    directory = TESTS / "vectors" / "sharestore"
    before = (directory / "shares.0").read_bytes()
    expected = vectors("sharestore")
    hashes, counts = read(*share_files(directory), network=network_of(vectors("shares")["net"]))
    assert sorted(f"{share_hash:064x}" for share_hash in hashes) == sorted(expected["share_hashes"])
    assert (counts.files, counts.shares, counts.damaged) == (1, len(expected["share_hashes"]), 0)
    assert (directory / "shares.0").read_bytes() == before


def test_files_in_the_order_of_their_numbers_then_the_archive(tmp_path):
    numbered, archived = (10, 9, 0, 3, 20), (2, 1, 4, 3)
    others = ("shares.x", "shares.1.bak", "shares.sqlite", "shares-1.txt", "shares-1", "log.gz")
    for name in (*(f"shares.{number}" for number in numbered), *(f"shares-{n}.gz" for n in archived), *others):
        (tmp_path / name).write_text("")
    (tmp_path / "shares.5").mkdir()
    assert [path.name for path in share_files(tmp_path)] == [
        *(f"shares.{number}" for number in sorted(numbered)),
        *(f"shares-{number}.gz" for number in sorted(archived)),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"5 " + LINES[0][2:50] + b"\n",
        b"5\n",
        b"5 zz\n",
        b"5 \xff\xfe\n",
        b"9 00\n",
        b"junk\n",
        LINES[0][:-3] + b"01\n",
        b"5 00" + LINES[0][4:],
        b"\x00" * 100 + b"\n",
    ],
)
def test_corrupt_lines_are_passed_over_and_counted(tmp_path, line):
    path = tmp_path / "shares.3"
    path.write_bytes(LINES[1] + line + b"2 abc\n0 x\n1\n\n" + LINES[2])
    hashes, counts = read(path)
    assert hashes == [SHARES[1].hash, SHARES[2].hash]
    assert (counts.shares, counts.damaged) == (2, 1)
    assert counts.first_damage.startswith("shares.3 line 2: ")


def test_a_line_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "MAX_LINE", 4000)
    path = tmp_path / "shares.0"
    path.write_bytes(LINES[0] + b"5 " + b"0" * 20_000 + b"\n" + LINES[1])
    hashes, counts = read(path)
    assert hashes == [SHARES[0].hash, SHARES[1].hash]
    assert (counts.damaged, counts.first_damage) == (1, "shares.0 line 2: too long")


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_without_end_may_be_the_last(tmp_path, monkeypatch, end):
    monkeypatch.setattr(importing, "MAX_LINE", 4000)
    path = tmp_path / "shares.0"
    path.write_bytes(LINES[0] + b"5 " + b"0" * 20_000 + end)
    hashes, counts = read(path)
    assert hashes == [SHARES[0].hash]
    assert (counts.damaged, counts.first_damage) == (1, "shares.0 line 2: too long")


def test_the_last_line_need_not_end_and_a_line_may_be_as_long_as_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "MAX_LINE", max(map(len, LINES[:2])))
    path = tmp_path / "shares.0"
    path.write_bytes(LINES[0] + LINES[1] + LINES[0].rstrip())
    hashes, counts = read(path)
    assert hashes == [SHARES[number].hash for number in (0, 1, 0)]
    assert counts.damaged == 0


def test_an_archive_that_was_cut_short(tmp_path):
    path = ShareArchive(tmp_path).write(1, [(16, share.contents) for share in SHARES])
    path.write_bytes(path.read_bytes()[:-20])
    hashes, counts = read(path)
    assert hashes == [share.hash for share in SHARES][: len(hashes)]
    assert counts.damaged == 1
    path.write_bytes(b"no gzip")
    assert read(path)[1].damaged == 1


def test_the_same_shares_make_the_same_archive_file(tmp_path):
    first = ShareArchive(tmp_path / "a").write(7, [(16, share.contents) for share in SHARES])
    second = ShareArchive(tmp_path / "b").write(7, [(16, share.contents) for share in SHARES])
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()) == b"".join(LINES)


@given(st.binary(max_size=400))
def test_no_file_is_an_exception(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("old") / "shares.0"
    path.write_bytes(LINES[0] + data)
    read(path)
