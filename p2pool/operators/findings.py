"""What `check` finds: one line each, with what to do about it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

_WIDTH: Final = 100
_INDENT: Final = " " * 9


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    """The node does not start, gives no work, or serves nobody."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found about a subject; `advice` says what to do, unless the text says it already."""

    level: Level
    subject: str
    text: str
    advice: str = ""


def ok(subject: str, text: str) -> Finding:
    """Return the finding that nothing is wrong."""
    return Finding(Level.OK, subject, text)


def warning(subject: str, text: str, advice: str = "") -> Finding:
    """Return the finding of something that works, but not well."""
    return Finding(Level.WARNING, subject, text, advice)


def fault(subject: str, text: str, advice: str = "") -> Finding:
    """Return the finding of something without which the node does not work."""
    return Finding(Level.FAULT, subject, text, advice)


def exit_status(findings: Sequence[Finding]) -> int:
    """Return 1 if there is a fault, else 0."""
    return int(any(each.level is Level.FAULT for each in findings))


def render(findings: Sequence[Finding]) -> str:
    """Return the findings as text, in their order, and a summary."""
    lines = [line for each in findings for line in _lines(each)]
    counts = Counter(each.level for each in findings)
    summary = ", ".join(f"{counts[level]} {_plural(level, counts[level])}" for level in Level)
    return "\n".join([*lines, "", f"{len(findings)} checks: {summary}", ""])


def _lines(finding: Finding) -> list[str]:
    lines = _wrap(f"{finding.level.value:<9}{finding.subject}: {finding.text}", first="")
    return lines + (_wrap(f"-> {finding.advice}", first=_INDENT) if finding.advice else [])


def _wrap(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _plural(level: Level, count: int) -> str:
    return level.value if level is Level.OK or count == 1 else f"{level.value}s"
