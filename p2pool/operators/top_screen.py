"""The screen of `p2pool-dash top`: a pure function of what the node answered, what the operator selected, and
the size of the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from p2pool.base.text import format_duration, format_rate
from p2pool.operators.cells import fit, safe, width_of
from p2pool.operators.status import LABEL_WIDTH, status_rows

PLAIN: Final = ""
TITLE: Final = "title"
LABEL: Final = "label"
WARNING: Final = "warning"
SELECTED: Final = "selected"
FAINT: Final = "faint"
STYLES: Final = (PLAIN, TITLE, LABEL, WARNING, SELECTED, FAINT)

Row = tuple[tuple[str, str], ...]
"""A line of the screen: (text, style) from left to right, together as wide as the screen."""
_MOST_BLOCKS: Final = 3
_MOST_WARNINGS: Final = 5
_LEAST_WORKERS: Final = 8
"""Rows that are left to workers, even if warnings and Dash Cores are many."""
_NAME_WIDTH: Final = 28
"""Columns below which a name is hard to tell from others: an address and the worker's own name, cut in the
middle."""
_WIDEST_NAME: Final = 70
_FINDER_WIDTH: Final = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table of workers. `sort` is what the API calls its order, "" if it has none."""

    title: str
    width: int
    sort: str
    text: Callable[[Mapping[str, Any], float], str]
    """Returns the text for a worker at a time (Unix seconds)."""
    ascending: bool = False
    is_text: bool = False
    """Whether it is on the left of its column."""


def _ago(seconds: float) -> str:
    """Return a duration in at most seven characters."""
    return " ".join(format_duration(max(0.0, seconds)).split()[:2])


def _difficulty(value: float) -> str:
    return f"{value:.0f}" if 1000 <= value < 1e9 else f"{value:.4g}"


def _dead(worker: Mapping[str, Any], _: float) -> str:
    rate = worker["hash_rate"]
    return f"{worker['dead_hash_rate'] / rate:.1%}" if rate else "-"


def _last_share(worker: Mapping[str, Any], now: float) -> str:
    last = worker["last_share"]
    return "never" if last is None else f"{_ago(now - last)} ago"


COLUMNS: Final = (
    Column("WORKER", _NAME_WIDTH, "name", lambda worker, _: worker["name"], ascending=True, is_text=True),
    Column("HASH RATE", 11, "hash_rate", lambda worker, _: format_rate(worker["hash_rate"])),
    Column("DEAD", 6, "dead_hash_rate", _dead),
    Column("DIFFICULTY", 10, "difficulty", lambda worker, _: _difficulty(worker["difficulty"])),
    Column("LAST SHARE", 10, "last_share", _last_share),
    Column("REFUSED", 7, "refused", lambda worker, _: str(worker["refused"])),
    Column("ACCEPTED", 8, "accepted", lambda worker, _: str(worker["accepted"])),
    Column("SHARES", 7, "shares", lambda worker, _: str(worker["shares"])),
    Column("LINKS", 5, "connections", lambda worker, _: str(worker["connections"])),
    Column("IN 1 MIN", 11, "", lambda worker, _: format_rate(worker["hash_rates"]["1m"])),
    Column("SOFTWARE", 20, "", lambda worker, _: worker["user_agent"], is_text=True),
)
"""The first has what is left of the width. The later ones are left out if the screen is narrow."""
SORTED: Final = tuple(column for column in COLUMNS if column.sort)


@dataclass(frozen=True, slots=True)
class Size:
    """Columns and lines of a terminal."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What the operator selected: the place in `SORTED` of the column by which workers are sorted, and the
    number of workers above the first one shown."""

    column: int = 1
    offset: int = 0
    paused: bool = False
    helping: bool = False

    @property
    def order(self) -> str:
        """Return the words of a question for workers that sort them."""
        column = SORTED[self.column]
        return f"sort={column.sort}&order={'asc' if column.ascending else 'desc'}"

    def sorted_by(self, step: int) -> Selection:
        """Return the selection with the column so many places to the right, and the first workers shown."""
        return replace(self, column=(self.column + step) % len(SORTED), offset=0)

    def moved(self, to: int, total: int, room: int) -> Selection:
        """Return the selection with another offset, so that `room` workers of `total` are shown if there are so
        many."""
        return replace(self, offset=max(0, min(to, total - room)))


@dataclass(frozen=True, slots=True)
class Answers:
    """What the node answered at one time: the views of `status`, `stratum`, `blocks` and a page of `workers` in
    the order and from the offset of `selection`; `when` is this machine's monotonic clock."""

    views: Mapping[str, Any]
    selection: Selection
    when: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that a screen is made of. `previous` are the answers before the last, with which those are compared;
    `problem` is why there were none since."""

    last: Answers | None = None
    previous: Answers | None = None
    measured: Answers | None = None
    """The first answers with the processor time of the last ones: the node measures it every few seconds."""
    processor: float | None = None
    """The part of a processor core that the node used before it last measured."""
    problem: str = ""
    selection: Selection = Selection()
    now: float = 0.0

    def answered(self, answers: Answers) -> Shown:
        """Return what is shown after the node has answered."""
        measured, processor = self.measured, self.processor
        if measured is None or _processor_time(measured) != _processor_time(answers):
            processor = None if measured is None else _part_of_processor(measured, answers)
            measured = answers
        return replace(self, last=answers, previous=self.last, measured=measured, processor=processor, problem="")


def _processor_time(answers: Answers) -> float | None:
    seconds: float | None = answers.views["process"]["cpu_seconds"]
    return seconds


def _part_of_processor(before: Answers, after: Answers) -> float | None:
    """Return the part of a core that was used between two answers; None if unknown, or the node was
    restarted."""
    first, last, time = _processor_time(before), _processor_time(after), after.when - before.when
    return None if first is None or last is None or last < first or time <= 0 else (last - first) / time


@dataclass(frozen=True, slots=True)
class Screen:
    """The rows, as many as the screen has or fewer, and how many workers there is room for."""

    rows: tuple[Row, ...]
    room: int


def render(shown: Shown, size: Size) -> Screen:
    """Return the screen for a terminal of this size."""
    width = max(size.width, 1)
    room = 0
    if shown.selection.helping:
        rows = [_title("p2pool-dash top", width), *(_plain(text, width) for text in HELP)]
    elif shown.last is None:
        problem = f"{shown.problem}; trying again" if shown.problem else "asking the node"
        rows = [_title("p2pool-dash top", width), *_wrapped(problem, width)]
    else:
        kept = min(_LEAST_WORKERS, len(shown.last.views["workers"]["workers"]))
        above = list(_above(shown, shown.last, width))[: max(1, size.height - 2 - kept)]
        room = max(0, size.height - len(above) - 2)
        columns = _columns(width)
        workers = list(_workers(shown, shown.last, columns, width=width))[:room]
        rows = [*above, _heads(columns, shown.selection, width), *workers]
    space = max(0, size.height - 1)
    empty = [_plain("", width)] * (space - len(rows))
    return Screen((*rows[:space], *empty, _footer(shown, width)), room)


def _title(left: str, width: int, right: str = "") -> Row:
    right = fit(right, min(len(right), width))
    return ((fit(left, width - len(right)) + right, TITLE),)


def _plain(text: str, width: int, style: str = PLAIN) -> Row:
    return ((fit(text, width), style),)


def _wrapped(text: str, width: int) -> Iterator[Row]:
    for line in textwrap.wrap(safe(text), width):
        yield _plain(line, width, WARNING)


def _labelled(label: str, text: str, width: int, *, style: str = LABEL) -> Row:
    left = min(LABEL_WIDTH + 1, width)
    return ((fit(label, left), style), (fit(text, width - left), style if style == WARNING else PLAIN))


def _above(shown: Shown, last: Answers, width: int) -> Iterator[Row]:
    """Yield the rows above the table, the most important first: those at the end are left out of a low
    screen."""
    views = last.views
    (_, node), *rows = status_rows(views)
    age = shown.now - last.when
    state = "paused" if shown.selection.paused else f"{_ago(age)} old" if shown.problem else ""
    yield _title(node, width, state and f" {state} ")
    if shown.problem:
        yield _plain(f"{shown.problem}; trying again", width, WARNING)
    warnings = views["node"]["warnings"]
    for warning in warnings[:_MOST_WARNINGS]:
        yield _labelled("WARNING", warning, width, style=WARNING)
    if len(warnings) > _MOST_WARNINGS:
        yield _labelled("WARNING", f"and {len(warnings) - _MOST_WARNINGS} more: see status", width, style=WARNING)
    for label, text in rows:
        if label == "process":
            text = _process(views["process"], shown.processor)
        yield _labelled(label, text, width, style=WARNING if label == "dashd" and "PROBLEM: " in text else LABEL)
        if label == "miners":
            yield _labelled("submissions", _submissions(views["stratum"]), width)
    for block in views["blocks"]["blocks"][:_MOST_BLOCKS]:
        yield _labelled("block", _block(block, views["workers"]["time"]), width)


def _submissions(stratum: Mapping[str, Any]) -> str:
    rates = f"{stratum['submissions_per_second']:.1f}/s, {stratum['refused_per_second']:.1f}/s refused"
    return f"{rates}, {stratum['banned_hosts']} hosts banned"


def _process(process: Mapping[str, Any], processor: float | None) -> str:
    used = "" if processor is None else f"{processor:.0%} of a core, "
    memory = "" if process["memory"] is None else f"{process['memory'] / 1024**2:.0f} MiB, "
    delay = process["reactor_delay"]
    return f"{used}{memory}reactor delay {1000 * delay['last']:.0f} ms, longest {1000 * delay['worst']:.0f} ms"


def _block(block: Mapping[str, Any], now: float) -> str:
    luck = block["round"]["luck"]
    lucky = "" if luck is None else f", luck {luck:.0f}%"
    finder = fit(block["worker"], _FINDER_WIDTH, middle=True).strip() or "another node"
    return f"{block['height']} {block['status']}, found {_ago(now - block['time'])} ago by {finder}{lucky}"


def _columns(width: int) -> list[tuple[Column, int]]:
    """Return the columns that fit, with their widths."""
    fitting = [COLUMNS[0]]
    used = least = min(_NAME_WIDTH, width)
    for column in COLUMNS[1:]:
        if used + 1 + column.width > width:
            break
        fitting.append(column)
        used += 1 + column.width
    name = min(_WIDEST_NAME, least + width - used)
    return [(each, name if each is COLUMNS[0] else each.width) for each in fitting]


def _heads(columns: Sequence[tuple[Column, int]], selection: Selection, width: int) -> Row:
    spans = []
    for place, (column, size) in enumerate(columns):
        style = SELECTED if column is SORTED[selection.column] else LABEL
        spans.append((_cell(column, column.title, size), style))
        if place < len(columns) - 1:
            spans.append((" ", LABEL))
    return _filled(spans, width)


def _workers(shown: Shown, last: Answers, columns: Sequence[tuple[Column, int]], *, width: int) -> Iterator[Row]:
    """Yield a row for each worker. One that had submissions refused since the previous answers stands out, and
    one that is not connected is faint."""
    page = last.views["workers"]
    before = {} if shown.previous is None else _refused(shown.previous)
    for worker in page["workers"]:
        refused = worker["refused"]
        style = WARNING if refused > before.get(worker["name"], refused) else PLAIN
        style = style if worker["connections"] else FAINT
        texts = [_cell(column, column.text(worker, page["time"]), size) for column, size in columns]
        yield _filled([(" ".join(texts), style)], width)


def _refused(answers: Answers) -> dict[str, int]:
    return {worker["name"]: worker["refused"] for worker in answers.views["workers"]["workers"]}


def _cell(column: Column, text: str, width: int) -> str:
    is_name = column is COLUMNS[0]
    return fit(text, width, right=not column.is_text, middle=is_name and text != column.title)


def _filled(spans: Sequence[tuple[str, str]], width: int) -> Row:
    """Return the spans as a row of the whole width."""
    used = sum(width_of(text) for text, _ in spans)
    return (*spans, (" " * max(0, width - used), PLAIN))


def _footer(shown: Shown, width: int) -> Row:
    keys = "q quit  s sort  p pause  ? help"
    if shown.last is None or shown.selection.helping:
        return _title(keys, width)
    page = shown.last.views["workers"]
    first, count = page["offset"], len(page["workers"])
    by = SORTED[shown.selection.column].title.lower()
    where = f"workers {first + 1}-{first + count} of {page['total']}" if count else "no workers"
    return _title(f"{where}, by {by}", width, keys)


HELP: Final = (
    "",
    "  q, Ctrl-C          quit",
    "  s, right arrow     sort workers by the next column",
    "  left arrow         sort workers by the previous column",
    "  up, down           scroll by one worker",
    "  PgUp, PgDn         scroll by one screen",
    "  Home, End          scroll to the first or the last workers",
    "  p                  pause, and go on",
    "  ?                  show this help, and leave it",
    "",
    "Hash rates are those of the last ten minutes; DEAD is the part of them that came",
    "too late. DIFFICULTY is that of the connection, LAST SHARE when it last had a",
    "submission accepted, REFUSED how many were rejected since the node started.",
    "A worker that had submissions rejected since the last refresh stands out, and",
    "one that is not connected is faint.",
)
