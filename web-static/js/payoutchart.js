// Who gets how much of a block: an area for each, as large as his part.

import { PickChart, fitWidth, legend } from "./charts.js";
import { d3 } from "./d3.js";
import { make } from "./dom.js";
import { integer, percent, shortened } from "./format.js";

/** Areas: what is smaller than the greatest so many is one area together. */
const MOST = 80;

const KINDS = {
  miner: ["k-miner", "a miner of the pool"],
  own: ["k-own", "this node’s own address: its fee"],
  finder: ["k-finder", "the finder’s part"],
  masternode: ["k-masternode", "masternode or treasury"],
  credit_pool: ["k-platform", "Dash Platform"],
  donation: ["k-donation", "p2pool’s developers"],
  others: ["k-others", "all others"],
};

export class PayoutChart {
  constructor(holder) {
    this.legend = make("div");
    const inside = make("div");
    holder.replaceChildren(this.legend, inside);
    this.chart = new PickChart(inside, {
      label: "Parts of the block, the greatest first",
      hint: "Point at an area, or use the arrow keys, to read whose it is.",
    });
    this.items = [];
    this.draw = fitWidth(inside, (width) => this.paint(width));
  }

  /** items: [{key, label, kind, duffs (number), text}]; `text` tells of one in full. */
  show(items) {
    const sorted = items.filter(({ duffs }) => duffs > 0).sort((a, b) => b.duffs - a.duffs);
    const rest = sorted.slice(MOST);
    this.total = d3.sum(sorted, ({ duffs }) => duffs);
    this.items = sorted.slice(0, MOST);
    if (rest.length > 0) {
      const duffs = d3.sum(rest, (item) => item.duffs);
      const text = `${integer(rest.length)} others together: ${percent(duffs / this.total, 2)}`;
      this.items.push({ key: "others", label: `${integer(rest.length)} others`, kind: "others", duffs, text });
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

/** A label in so many characters: its beginning and its end. */
function fitted(label, most) {
  if (label.length <= most) return label;
  const head = Math.max(2, Math.ceil((most - 1) / 2));
  return shortened(label, head, Math.max(1, most - 1 - head));
}
