"""The generated parts of docs/simulation.md: tables of what exists, and of what was measured, with its plots.

`python -m tests.simulation.document` brings them up to date; a test checks that they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.simulation.adversaries import KINDS as ADVERSARIES
from tests.simulation.experiments.command import EXPERIMENTS
from tests.simulation.experiments.running import markdown
from tests.simulation.faults import DURATIONS, KINDS, OF_THE_WORLD
from tests.simulation.gateway_faults import BROKER_KINDS, GATEWAY_DURATIONS, GATEWAY_KINDS
from tests.simulation.gateway_invariants import GATEWAY_INVARIANTS
from tests.simulation.invariants import INVARIANTS
from tests.simulation.pages import PagesAnswer
from tests.simulation.world import read_world

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "simulation.md"
PLOTS: Final = PAGE.with_suffix("")
_BLOCK = re.compile(r"(<!-- (\w+): generated -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Write the page and the plots."""
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
    PLOTS.mkdir(exist_ok=True)
    for name, svg in plots().items():
        (PLOTS / f"{name}.svg").write_text(svg, "utf-8")


def with_tables(text: str) -> str:
    """Return the page with all generated tables as they are now. Raises KeyError for one that nobody makes."""
    tables = {**_of_code(), **_of_experiments()}
    return _BLOCK.sub(lambda match: f"{match[1]}\n{tables[match[2]]}\n\n{match[3]}", text)


def plots() -> dict[str, str]:
    """Return the SVG documents of all experiments, by name."""
    found = {}
    for experiment in EXPERIMENTS.values():
        rows = experiment.read()
        if rows:
            found.update({name: chart.svg() for name, chart in experiment.charts(rows).items()})
    return found


def _of_code() -> dict[str, str]:
    every = (*INVARIANTS, PagesAnswer, *GATEWAY_INVARIANTS)
    invariants = [[f"`{each.__name__}`", _text(each)] for each in every]
    adversaries = [[f"`{kind}`", _text(each)] for kind, each in ADVERSARIES.items()]
    return {
        "invariants": markdown(["invariant", "what holds"], invariants),
        "faults": _faults(),
        "gateways": _gateway_faults(),
        "adversaries": markdown(["adversary", "what it does"], adversaries),
    }


def _faults() -> str:
    worlds = [read_world(name) for name in ("default", "small")]
    lines = []
    for kind, happen in KINDS.items():
        low, high = DURATIONS[kind]
        rates = [f"{getattr(world.faults, OF_THE_WORLD.get(kind, kind)):g}" for world in worlds]
        lines.append([f"`{kind}`", _text(happen), f"{low:g} to {high:g} s", *rates])
    return markdown(["fault", "what happens", "lasts", *(f"`{world.name}`" for world in worlds)], lines)


def _gateway_faults() -> str:
    lines = []
    for kind, happen in (*GATEWAY_KINDS.items(), *BROKER_KINDS.items()):
        low, high = GATEWAY_DURATIONS[kind]
        lines.append([f"`{kind}`", _text(happen), f"{low:g} to {high:g} s"])
    return markdown(["fault", "what happens", "lasts"], lines)


def _text(thing: Callable[..., object] | type) -> str:
    return " ".join((thing.__doc__ or "").split())


def _of_experiments() -> dict[str, str]:
    found = {}
    for experiment in EXPERIMENTS.values():
        rows = experiment.read()
        found.update(experiment.tables(rows) if rows else {experiment.name: "Not measured yet."})
    return found


if __name__ == "__main__":
    main()
