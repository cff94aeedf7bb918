// A treemap of a block's payouts: an area for each payee, proportional to the amount.

import { PickChart, fitWidth, legend } from "./charts.js";
import { d3 } from "./d3.js";
import { make } from "./dom.js";
import { integer, percent, shortened } from "./format.js";
import { t } from "./language.js";

/** Smaller payouts than the largest so many are combined in one area. */
const MAX_AREAS = 80;

const KINDS = {
  miner: ["k-miner", t("miner")],
  own: ["k-own", t("this node’s own address")],
  finder: ["k-finder", "finder’s bonus"],
  masternode: ["k-masternode", t("masternode or treasury")],
  credit_pool: ["k-platform", t("Dash Platform")],
  donation: ["k-donation", t("donation to the developers")],
  others: ["k-others", t("all others")],
};

export class PayoutChart {
  constructor(holder) {
    this.legend = make("div");
    const inside = make("div");
    holder.replaceChildren(this.legend, inside);
    this.chart = new PickChart(inside, {
      label: t("Payouts of the block, largest first"),
      hint: t("Hover over an area, or use the arrow keys, to see the payee."),
    });
    this.items = [];
    this.draw = fitWidth(inside, (width) => this.paint(width));
  }

  /** Draw items {key, label, kind, duffs (number), text}; `text` is the full description of one. */
  show(items) {
    const sorted = items.filter(({ duffs }) => duffs > 0).sort((a, b) => b.duffs - a.duffs);
    const rest = sorted.slice(MAX_AREAS);
    this.total = d3.sum(sorted, ({ duffs }) => duffs);
    this.items = sorted.slice(0, MAX_AREAS);
    if (rest.length > 0) {
      const duffs = d3.sum(rest, (item) => item.duffs);
      const text = t`${integer(rest.length)} others combined: ${percent(duffs / this.total, 2)}`;
      this.items.push({ key: "others", label: t`${integer(rest.length)} others`, kind: "others", duffs, text });
    }
    const kinds = new Set(this.items.map(({ kind }) => kind));
    this.legend.replaceChildren(legend(...Object.entries(KINDS).filter(([kind]) => kinds.has(kind)).map(([, entry]) => entry)));
    this.draw();
  }

  paint(width) {
    const { svg } = this.chart;
    const height = Math.round(Math.min(420, Math.max(240, width * 0.32)));
    svg.attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
    const root = d3.hierarchy({ children: this.items }).sum(({ duffs }) => duffs ?? 0).sort((a, b) => b.value - a.value);
    d3.treemap().tile(d3.treemapSquarify.ratio(1.4)).size([width, height]).paddingInner(2).round(true)(root);
    const areas = svg.selectAll("g.area").data(root.leaves().filter(({ data }) => data.key !== undefined), ({ data }) => data.key)
      .join((enter) => {
        const group = enter.append("g");
        group.append("rect");
        group.append("text").attr("class", "who");
        group.append("text").attr("class", "part");
        return group;
      })
      .attr("class", ({ data }) => `area ${KINDS[data.kind][0]}`)
      .attr("transform", ({ x0, y0 }) => `translate(${x0},${y0})`);
    areas.select("rect").attr("width", ({ x0, x1 }) => Math.max(1, x1 - x0)).attr("height", ({ y0, y1 }) => Math.max(1, y1 - y0));
    const room = ({ x0, x1 }) => Math.floor((x1 - x0 - 14) / 7.6);
    const tall = ({ y0, y1 }) => y1 - y0;
    areas.select(".who").attr("x", 7).attr("y", 19)
      .text((leaf) => (tall(leaf) < 26 || room(leaf) < 5 ? "" : fitted(leaf.data.label, room(leaf))));
    areas.select(".part").attr("x", 7).attr("y", 36)
      .text((leaf) => (tall(leaf) < 44 || room(leaf) < 5 ? "" : percent(leaf.data.duffs / this.total, 1)));
    this.chart.show(root.leaves().filter(({ data }) => data.key !== undefined), areas, ({ data }) => data.text);
  }
}

/** Return a label of at most `max` characters: its beginning and its end. */
function fitted(label, max) {
  if (label.length <= max) return label;
  const head = Math.max(2, Math.ceil((max - 1) / 2));
  return shortened(label, head, Math.max(1, max - 1 - head));
}
