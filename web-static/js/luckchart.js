// A chart of the luck per round as bars up and down from 100 %, and the cumulative luck as a line.

import { PickChart, fitWidth, legend } from "./charts.js";
import { d3 } from "./d3.js";
import { make } from "./dom.js";
import { absoluteTime, duration, percent, shortHash, timesOf, zone } from "./format.js";
import { t } from "./language.js";

const HEIGHT = 240;
const MARGIN = { top: 10, right: 8, bottom: 24, left: 48 };
/** The scale ends at rounds that took a sixteenth of the expected work, or sixteen times as much. */
const MAX_FACTOR = 16;

const bounded = (luck) => Math.min(MAX_FACTOR, Math.max(1 / MAX_FACTOR, luck));

/** Return "Block …: took 3 min, expected 5 min. Luck 166%; cumulative 98%." */
function describe(round) {
  const block = t`Block ${shortHash(round.hash)}, ${absoluteTime(round.time)}`;
  if (round.luck === null) return t`${block}: the work of this round is unknown to this node.`;
  const took = t`took ${duration(round.time_to_find)}, expected ${duration(round.expected_time)}`;
  return t`${block}: ${took}. Luck ${percent(round.luck / 100, 0)}; cumulative ${percent(round.all, 0)}.`;
}

export class LuckChart {
  constructor(holder) {
    const inside = make("div");
    holder.replaceChildren(
      legend(["lucky", t("less work than expected")], ["unlucky", t("more work than expected")], ["line", t("cumulative luck")]),
      inside,
    );
    this.chart = new PickChart(inside, {
      label: t("Luck per round"),
      hint: t`Hover over a bar, or use the arrow keys, to see the details of the round. Times are in ${zone()}.`,
    });
    this.rounds = [];
    this.draw = fitWidth(inside, (width) => this.paint(width));
  }

  /** Draw the rounds of /api/v1/luck, which come newest first. */
  show(rounds) {
    let [expected, actual] = [0, 0];
    this.rounds = [...rounds].reverse().map((round) => {
      if (round.luck !== null) {
        expected += round.expected_work;
        actual += round.actual_work;
      }
      return { ...round, all: actual > 0 ? expected / actual : null };
    });
    this.draw();
  }

  paint(width) {
    const { svg } = this.chart;
    const lucks = this.rounds.filter(({ luck }) => luck !== null).map(({ luck }) => bounded(luck / 100));
    const reach = Math.max(2, ...lucks.map((luck) => Math.max(luck, 1 / luck)));
    const x = d3.scaleBand(d3.range(this.rounds.length), [MARGIN.left, width - MARGIN.right]).padding(0.2);
    // Keep the bars narrow if there are few.
    const wide = Math.min(x.bandwidth(), 36);
    const at = (i) => x(i) + (x.bandwidth() - wide) / 2;
    const y = d3.scaleLog([1 / reach, reach], [HEIGHT - MARGIN.bottom, MARGIN.top]).base(2);
    svg.attr("viewBox", `0 0 ${width} ${HEIGHT}`).attr("width", width).attr("height", HEIGHT);
    const ticks = d3.range(-4, 5).map((n) => 2 ** n).filter((n) => n >= 1 / reach && n <= reach);
    const grid = svg.selectAll("g.grid").data([0]).join("g").attr("class", "grid");
    grid.selectAll("line").data(ticks).join("line")
      .attr("x1", MARGIN.left).attr("x2", width - MARGIN.right).attr("y1", y).attr("y2", y)
      .attr("class", (n) => (n === 1 ? "even" : null));
    grid.selectAll("text").data(ticks).join("text")
      .attr("x", MARGIN.left - 6).attr("y", (n) => y(n) + 4).attr("text-anchor", "end").text((n) => percent(n, 1));
    const bars = svg.selectAll("g.bars").data([0]).join("g").attr("class", "bars")
      .selectAll("g").data(this.rounds, ({ hash }) => hash).join((enter) => {
        const group = enter.append("g");
        group.append("rect").attr("class", "reach");
        group.append("rect").attr("class", "value");
        return group;
      })
      .attr("class", ({ luck }) => (luck === null ? "unknown" : luck >= 100 ? "lucky" : "unlucky"));
    bars.select(".reach").attr("x", (_, i) => x(i)).attr("width", x.step()).attr("y", 0).attr("height", HEIGHT - MARGIN.bottom);
    bars.select(".value").attr("x", (_, i) => at(i)).attr("width", wide)
      .attr("y", ({ luck }) => (luck === null ? y(1) - 2 : Math.min(y(1), y(bounded(luck / 100)))))
      .attr("height", ({ luck }) => (luck === null ? 4 : Math.max(2, Math.abs(y(1) - y(bounded(luck / 100))))));
    const line = d3.line().defined(({ all }) => all !== null)
      .x((_, i) => x(i) + x.bandwidth() / 2).y(({ all }) => y(bounded(Math.min(reach, Math.max(1 / reach, all)))));
    svg.selectAll("path.all").data([this.rounds]).join("path").attr("class", "all").attr("d", line).raise();
    this.paintTimes(svg, x, width);
    this.chart.show(this.rounds, bars, describe);
  }

  paintTimes(svg, x, width) {
    const every = Math.max(1, Math.ceil(this.rounds.length / Math.max(2, Math.floor(width / 130))));
    const text = timesOf(this.rounds[0].time, this.rounds.at(-1).time);
    const shown = this.rounds.map((round, i) => [round, i]).filter(([, i]) => i % every === 0);
    svg.selectAll("g.times").data([0]).join("g").attr("class", "times grid")
      .selectAll("text").data(shown, ([{ hash }]) => hash).join("text")
      .attr("x", ([, i]) => x(i) + x.bandwidth() / 2).attr("y", HEIGHT - 6)
      .attr("text-anchor", ([, i]) => (i === 0 ? "start" : "middle"))
      .text(([{ time }]) => text(time));
  }
}
