// Common parts of the charts drawn with D3: they fit their holder, and work with pointer, keyboard and screen reader.
// Their colours come from the style sheet, and so follow the theme.

import { d3 } from "./d3.js";
import { make, setText } from "./dom.js";
import { plural } from "./language.js";

/** Call `draw(width)` now and whenever the width of the holder changes. Return a function that draws again. */
export function fitWidth(holder, draw) {
  let width = 0;
  const again = () => {
    if (width > 0) draw(width);
  };
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now === width) return;
    width = now;
    again();
  }).observe(holder);
  return again;
}

/**
 * A chart whose items are picked one at a time, by pointer or arrow keys; a line below describes the picked one. To a
 * screen reader it is a slider whose value is that description.
 */
export class PickChart {
  /** `label` names the chart; `hint` is shown while nothing is picked. */
  constructor(holder, { label, hint = "" }) {
    this.svg = d3
      .create("svg")
      .attr("class", "chart")
      .attr("role", "slider")
      .attr("tabindex", "0")
      .attr("aria-label", label)
      .attr("aria-orientation", "horizontal");
    this.hint = hint;
    this.readout = make("p", { class: "readout" }, hint);
    this.items = [];
    this.picked = -1;
    this.describe = String;
    holder.replaceChildren(this.svg.node(), this.readout);
    this.svg.on("keydown", (event) => this.key(event));
    this.svg.on("pointerleave", () => this.pick(-1));
    this.svg.on("blur", () => this.pick(-1));
  }

  /** Show these items: `nodes` are their elements in the same order, `describe(item)` returns the text for one. */
  show(items, nodes, describe) {
    this.items = items;
    this.nodes = nodes;
    this.describe = describe;
    nodes.on("pointerenter.pick", (event) => this.pick(nodes.nodes().indexOf(event.currentTarget)));
    this.svg.attr("aria-valuemin", 0).attr("aria-valuemax", Math.max(0, items.length - 1));
    this.pick(this.picked < items.length ? this.picked : -1);
  }

  pick(at) {
    this.picked = at;
    this.nodes?.classed("picked", (_, i) => i === at);
    const text = at < 0 ? this.hint : this.describe(this.items[at]);
    setText(this.readout, text);
    const last = Math.max(0, this.items.length - 1);
    this.svg
      .attr("aria-valuenow", at < 0 ? last : at)
      .attr("aria-valuetext", at < 0 ? plural(this.items.length, "{0} item; use the arrow keys to read each", "{0} items; use the arrow keys to read each") : text);
  }

  key(event) {
    const last = this.items.length - 1;
    if (last < 0) return;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
    const from = this.picked < 0 ? last + 1 : this.picked;
    let to;
    if (event.key in steps) to = from + steps[event.key];
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = last;
    else if (event.key === "Escape") to = -1;
    else return;
    event.preventDefault();
    this.pick(event.key === "Escape" ? -1 : Math.min(last, Math.max(0, to)));
  }
}

/** Return a legend with entries [class of the mark, text]. */
export function legend(...entries) {
  const items = entries.map(([mark, text]) => make("li", {}, make("span", { class: `mark-box ${mark}`, "aria-hidden": "true" }), text));
  return make("ul", { class: "chart-legend" }, ...items);
}
