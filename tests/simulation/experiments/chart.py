"""Small SVG charts: readable on light and dark pages, and told apart by shape as well as by colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 52
_MARKERS: Final = ("circle", "square", "triangle", "diamond")
_STYLE: Final = """
text{font:13px system-ui,sans-serif;fill:#222}
.t{font-size:15px;font-weight:600}
.p{fill:#fff}.g{stroke:#ddd}.a{stroke:#666}
.c0{--c:#0072b2}.c1{--c:#d55e00}.c2{--c:#007a5a}.c3{--c:#a6478c}
.s{stroke:var(--c);fill:none;stroke-width:2}.d{stroke-dasharray:6 4}.m{fill:var(--c);stroke:none}
@media (prefers-color-scheme:dark){
text{fill:#e6e6e6}.p{fill:#16181c}.g{stroke:#3a3d44}.a{stroke:#999}
.c0{--c:#56b4e9}.c1{--c:#e69f00}.c2{--c:#35c79a}.c3{--c:#dd8fc4}}
"""
"""The colours of Okabe and Ito, which people with any kind of colour vision tell apart."""


@dataclass(frozen=True)
class Point:
    """A value, with the ends of its confidence interval if it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one kind. What is to be compared shares a `colour`; theory is a dashed line without markers."""

    name: str
    points: Sequence[Point]
    colour: int = 0
    theory: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What a chart shows. `percent`: values are parts of one. `ticks` are the values named below it."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    ticks: Sequence[float] = field(default_factory=tuple)
    log_x: bool = False
    log_y: bool = False
    percent: bool = False

    def svg(self) -> str:
        """Return the chart as an SVG document."""
        return _Drawing(self).svg()


class _Drawing:
    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        points = [point for series in chart.series for point in series.points]
        xs = [point.x for point in points] + list(chart.ticks)
        ys = [value for point in points for value in (point.y, point.low, point.high) if value is not None]
        self._x = _Scale(min(xs), max(xs), log=chart.log_x, room=0.05)
        low = min(value for value in ys if value > 0) if chart.log_y else min(0.0, *ys)
        room = 1 + 0.08 * len(chart.series)  # for the legend
        self._y = _Scale(low, max(ys) * room or 1.0, log=chart.log_y)

    def x(self, value: float) -> float:
        """Return the place of a value from the left."""
        return LEFT + self._x.part(value) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return the place of a value from the top."""
        return HEIGHT - BOTTOM - self._y.part(value) * (HEIGHT - TOP - BOTTOM)

    def svg(self) -> str:
        """Return the document."""
        chart = self.chart
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img">',
            f"<title>{escape(chart.title)}</title><style>{_STYLE}</style>",
            f'<rect class="p" width="{WIDTH}" height="{HEIGHT}"/>',
            _text(LEFT, 24, chart.title, name="t"),
            *self._axes(),
            *(part for series in chart.series for part in self._line(series)),
            *self._legend(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _axes(self) -> list[str]:
        chart, bottom = self.chart, HEIGHT - BOTTOM
        parts = []
        for value in self._y.ticks():
            place = self.y(value)
            parts.append(f'<path class="g" d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}"/>')
            label = f"{100 * value:g}%" if chart.percent else f"{value:,g}"
            parts.append(_text(LEFT - 8, place + 4, label, anchor="end"))
        for value in chart.ticks or self._x.ticks():
            parts.append(f'<path class="a" d="M{self.x(value):.1f} {bottom}v5"/>')
            parts.append(_text(self.x(value), bottom + 19, f"{value:,g}", anchor="middle"))
        parts.append(f'<path class="a" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>')
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, chart.x_label, anchor="middle"))
        middle = (TOP + bottom) / 2
        turned = f' transform="rotate(-90 16 {middle:g})"'
        parts.append(_text(16, middle, chart.y_label, anchor="middle", more=turned))
        return parts

    def _line(self, series: Series) -> list[str]:
        shift = 0 if series.theory else 6 * series.colour  # so that intervals are next to each other
        places = " ".join(f"{self.x(point.x) + shift:.1f},{self.y(point.y):.1f}" for point in series.points)
        kind = f"s c{series.colour}"
        parts = [f'<polyline class="{kind}{" d" if series.theory else ""}" points="{places}"/>']
        if series.theory:
            return parts
        for point in series.points:
            x = self.x(point.x) + shift
            if point.low is not None and point.high is not None:
                low, high = self.y(point.low), self.y(point.high)
                parts.append(f'<path class="{kind}" d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
            parts.append(_marker(series.colour, x, self.y(point.y)))
        return parts

    def _legend(self) -> list[str]:
        parts, top = [], TOP + 4
        longest = max(len(series.name) for series in self.chart.series)
        left = self._legend_place(longest)
        for series in self.chart.series:
            dashes = " d" if series.theory else ""
            parts.append(f'<path class="s c{series.colour}{dashes}" d="M{left} {top}h26"/>')
            if not series.theory:
                parts.append(_marker(series.colour, left + 13, top))
            parts.append(_text(left + 34, top + 4, series.name))
            top += 18
        return parts

    def _legend_place(self, longest: int) -> int:
        """Return where the legend begins: on the side where the lines are lower."""
        middle = (LEFT + WIDTH - RIGHT) / 2
        sides: dict[bool, list[float]] = {False: [], True: []}
        for series in self.chart.series:
            for point in series.points:
                sides[self.x(point.x) > middle].append(self.y(point.y if point.high is None else point.high))
        right = min(sides[True], default=HEIGHT) > min(sides[False], default=HEIGHT)
        return WIDTH - RIGHT - 44 - 7 * longest if right else LEFT + 10


class _Scale:
    """Values from low to high as parts from 0 to 1."""

    def __init__(self, low: float, high: float, *, log: bool, room: float = 0.0) -> None:
        self._log = log
        if log:
            low, high = math.log10(low), math.log10(high)
        size = high - low or 1.0
        self.low, self.high = low - room * size, high + room * size

    def part(self, value: float) -> float:
        """Return the place of a value."""
        number = math.log10(max(value, 10**self.low)) if self._log else value
        return (number - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return round values to name."""
        if self._log:
            exponents = range(math.floor(self.low), math.ceil(self.high) + 1)
            every = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
            return [value for value in every if self.low <= math.log10(value) <= self.high]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough * 0.999)
        count = int((self.high - self.low) / step) + 2
        values = [(math.ceil(self.low / step) + number) * step for number in range(count)]
        return [round(value, 10) for value in values if value <= self.high + 1e-9]


def _marker(colour: int, x: float, y: float) -> str:
    shape = _MARKERS[colour % len(_MARKERS)]
    kind = f'class="m c{colour}"'
    if shape == "circle":
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    if shape == "square":
        return f'<rect {kind} x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    if shape == "triangle":
        return f'<path {kind} d="M{x:.1f} {y - 5.5:.1f}l5.5 10h-11z"/>'
    return f'<path {kind} d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"/>'


def _text(x: float, y: float, text: str, *, name: str = "", anchor: str = "", more: str = "") -> str:
    kind = f' class="{name}"' if name else ""
    end = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}{end}{more}>{escape(text)}</text>'
