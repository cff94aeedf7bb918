"""The screen of `top`, without a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pool.operators.cells import width_of
from p2pool.operators.keys import KeyReader, press
from p2pool.operators.top_screen import (
    COLUMNS,
    FAINT,
    PLAIN,
    SELECTED,
    SORTED,
    STYLES,
    TITLE,
    WARNING,
    Answers,
    Screen,
    Selection,
    Shown,
    Size,
    render,
)
from tests.operators.test_status import views

NOW = 1_000_000.0
USUAL = Size(80, 24)
EVIL = "\x1b[31m\u202eשלום\u0301" + "x" * 2000


def worker(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "connections": 1,
        "difficulty": 12345.6,
        "accepted": 70,
        "refused": 2,
        "shares": 3,
        "hash_rate": 2e9,
        "dead_hash_rate": 1e8,
        "hash_rates": {"1m": 1e9},
        "user_agent": "cgminer/4.10",
        "last_share": NOW - 75,
    } | changes


def answers(*workers: dict[str, Any], when: float = 5.0, cpu: float | None = 10.0, **changes: Any) -> Answers:
    found = views(**changes)
    found["process"] |= {"cpu_seconds": cpu}
    found["process"]["reactor_delay"] |= {"last": 0.002}
    found["stratum"] = {"submissions_per_second": 1.25, "refused_per_second": 0.5, "banned_hosts": 1}
    block = {"height": 77, "status": "confirmed", "worker": "X" * 34 + ".rig9", "time": NOW - 3600}
    block |= {"round": {"luck": 150.0}}
    found["blocks"] = {"blocks": [block, block | {"worker": "", "round": {"luck": None}}]}
    page = list(workers or [worker(f"Xaddress.rig{number}") for number in range(1, 4)])
    found["workers"] = {"time": NOW, "total": 300, "offset": 0, "workers": page}
    return Answers(found, Selection(), when)


def shown(*workers: dict[str, Any], **changes: Any) -> Shown:
    return Shown(now=6.0).answered(answers(*workers, **changes))


def lines(screen: Screen) -> list[str]:
    return ["".join(text for text, _ in row).rstrip() for row in screen.rows]


def styles(screen: Screen, words: str) -> set[str]:
    """The styles of the row that holds some words."""
    (row,) = [row for row, line in zip(screen.rows, lines(screen), strict=True) if words in line]
    return {style for text, style in row if text.strip()}


def test_all_at_the_usual_size():
    screen = render(shown(), USUAL)
    assert lines(screen) == [
        "p2pool-dash 1.0.0 on dash, up 1 h 2 min",
        "WARNING      the disk is full",
        "miners       3 workers, 4 connections, 2.00 GH/s, 5.0% of it dead on arrival",
        "submissions  1.2/s, 0.5/s refused, 1 hosts banned",
        "shares       9 in the chain, 1 orphan, 0 dead, efficiency 95.0%",
        "payout       0.5 DASH from the next block, to Xa, Xb",
        "pool         5.00 GH/s, 2.0% stale, expected time to a block 1 d 0 h",
        "share chain  4320 shares, difficulty 12.5",
        "peers        6 outgoing, 1 incoming",
        "dashd        http://h:9998/ /Dash Core:23.1.2/ height 7, serving",
        "dashd        http://h:9998/ /Dash Core:23.1.2/ height 7, PROBLEM: stuck",
        "process      128 MiB, reactor delay 2 ms, longest 50 ms",
        "block        77 confirmed, found 1 h ago by XXXXXXXXXX…XXXX.rig9, luck 150%",
        "block        77 confirmed, found 1 h ago by another node",
        "WORKER                            HASH RATE   DEAD DIFFICULTY LAST SHARE REFUSED",
        "Xaddress.rig1                     2.00 GH/s   5.0%      12346  1 min ago       2",
        "Xaddress.rig2                     2.00 GH/s   5.0%      12346  1 min ago       2",
        "Xaddress.rig3                     2.00 GH/s   5.0%      12346  1 min ago       2",
        *[""] * 5,
        "workers 1-3 of 300, by hash rate                 q quit  s sort  p pause  ? help",
    ]
    assert screen.room == 8
    assert styles(screen, "stuck") == {WARNING}
    assert SELECTED in styles(screen, "HASH RATE")


def test_a_wide_screen_has_all_columns_and_whole_names():
    name = "X" * 34 + ".rig1"
    screen = lines(render(shown(worker(name)), Size(160, 50)))
    (head,) = [line for line in screen if line.startswith("WORKER")]
    assert head.split() == " ".join(column.title for column in COLUMNS).split()
    assert any(line.startswith(f"{name} ") for line in screen)


@pytest.mark.parametrize("size", [Size(80, 24), Size(160, 50), Size(20, 5), Size(1, 1), Size(300, 2), Size(79, 9)])
@pytest.mark.parametrize("helping", [False, True])
def test_the_screen_is_as_large_as_the_terminal_whatever_is_on_it(size, helping):
    changes = {"node": {"warnings": [EVIL] * 9}, "dashd": {"daemons": [views()["dashd"]["daemons"][0]] * 30}}
    evil = worker(EVIL, user_agent=EVIL, last_share=None, hash_rate=0.0, difficulty=1e300)
    full = shown(*[evil] * 70, **changes)
    selection = Selection(helping=helping)
    for each in (full, replace(full, problem=EVIL), Shown(problem=EVIL), Shown()):
        screen = render(replace(each, selection=selection), size)
        assert len(screen.rows) == size.height
        for row in screen.rows:
            assert sum(width_of(text) for text, _ in row) == size.width
            assert all(style in STYLES and text.isprintable() for text, style in row)
        assert screen.room <= size.height


def test_warnings_leave_room_for_workers():
    screen = render(shown(*[worker("X")] * 9, node={"warnings": ["bad"] * 9}), USUAL)
    assert sum("WARNING" in line for line in lines(screen)) == 6
    assert "and 4 more: see status" in "\n".join(lines(screen))
    assert sum(line.startswith("X ") for line in lines(screen)) == screen.room == 8


def test_names_are_cut_where_they_do_not_differ():
    name = "Xaddressthathas34charactersinallxx.rig17"
    text = "\n".join(lines(render(shown(worker(name)), USUAL)))
    assert "Xaddressthathas…rsinallxx.rig17" in text


def test_workers_that_changed_stand_out():
    before = [worker("a"), worker("b"), worker("c", connections=0)]
    after = [worker("a"), worker("b", refused=3), worker("c", connections=0, refused=9), worker("new")]
    screen = render(shown(*before).answered(answers(*after)), USUAL)
    looks = [styles(screen, f"{name} ".ljust(33)) for name in ("a", "b", "c", "new")]
    assert looks == [{PLAIN}, {WARNING}, {FAINT}, {PLAIN}]


def processor(*measured: tuple[float, float | None]) -> str:
    """What is shown of the processor after the node has answered with these times."""
    each = Shown()
    for when, cpu in measured:
        each = each.answered(answers(when=when, cpu=cpu))
    (line,) = [line for line in lines(render(each, USUAL)) if line.startswith("process")]
    return line.split()[1] if "of a core" in line else ""


def test_processor_time_is_compared_with_what_was_measured_before():
    assert processor((0, 10.0)) == ""
    assert processor((0, 10.0), (2, 11.0)) == "50%"
    assert processor((0, 10.0), (2, 11.0), (4, 11.0)) == "50%", "the node has not measured it again yet"
    assert processor((0, 10.0), (2, 11.0), (4, 11.0), (7, 12.0)) == "20%"
    assert processor((0, 10.0), (2, 1.0)) == "", "it was restarted"
    assert processor((0, 10.0), (2, None), (4, 1.0)) == ""


def test_a_node_that_is_away_is_said_to_be():
    first = lines(render(Shown(problem="no node answers"), USUAL))
    assert first[1] == "no node answers; trying again"
    later = render(replace(shown(), problem="no node answers", now=25.0), USUAL)
    assert lines(later)[0].endswith(" 20 s old")
    assert styles(later, "no node answers; trying again") == {WARNING}
    assert "Xaddress.rig1" in "\n".join(lines(later)), "what is known stays"
    assert lines(render(Shown(), USUAL))[1].startswith("asking the node")


def test_a_pause_and_an_empty_node_are_said():
    assert lines(render(replace(shown(), selection=Selection(paused=True)), USUAL))[0].endswith(" paused")
    empty = shown()
    empty.last.views["workers"].update(total=0, workers=[])
    screen = render(empty, USUAL)
    assert lines(screen)[-1].startswith("no workers, by hash rate")
    assert screen.rows[0][0][1] == screen.rows[-1][0][1] == TITLE


# --- keys ----------------------------------------------------------------------------------------------------


def pressed(*keys: str, total: int = 300, room: int = 10) -> Selection | None:
    selection: Selection | None = Selection()
    for key in keys:
        assert selection is not None
        selection = press(key, selection, total=total, room=room)
    return selection


def test_keys_sort():
    assert pressed().order == "sort=hash_rate&order=desc"
    assert pressed("s").order == "sort=dead_hash_rate&order=desc"
    assert pressed("left").order == "sort=name&order=asc"
    assert pressed("left", "left").column == len(SORTED) - 1
    assert pressed(*["right"] * len(SORTED)) == pressed()
    assert pressed("down", "s").offset == 0


def test_keys_scroll_within_the_workers():
    assert pressed("down", "down", "up").offset == 1
    assert pressed("up").offset == 0
    assert pressed("page down").offset == 10
    assert pressed("page down", "page up").offset == 0
    assert pressed("end").offset == 290
    assert pressed("end", "down").offset == 290
    assert pressed("end", "home").offset == 0
    assert pressed("down", "end", total=3).offset == 0


def test_other_keys():
    assert pressed("q") is None
    assert pressed("?", "q") is None
    assert pressed("?").helping
    assert pressed("?", "s") == pressed(), "any key leaves help"
    assert pressed("p").paused
    assert pressed("p", "p") == pressed("x", "\x1b") == pressed()


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"sq", ["s", "q"]),
        (b"\x1b[A\x1bOB\x1b[5~x\x1b[6~", ["up", "down", "page up", "x", "page down"]),
        (b"\x1b[H\x1bOF\x1b[1~\x1b[4~", ["home", "end", "home", "end"]),
        (b"\x1b[1;5A\x1b[99~\x1b[<0;1;1M\x1b[200~?", ["?"]),
        ("é\u202e?".encode(), ["?"]),
        (b"\x1b[" + b"1" * 40 + b"q?", ["?"]),
        (b"\x1b?", ["\x1b", "?"]),
    ],
)
def test_bytes_are_keys_in_whatever_pieces(data, keys):
    assert list(KeyReader().feed(data)) == keys
    reader = KeyReader()
    assert [key for byte in data for key in reader.feed(bytes([byte]))] == keys or len(data) > 40


def test_what_is_never_finished_is_not_kept():
    reader = KeyReader()
    for _ in range(100):
        list(reader.feed(b"\x1b[1"))
        list(reader.feed(b"1" * 100))
    assert len(reader._rest) <= 32
