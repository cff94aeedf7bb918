// A drawing of the share chain with its forks: the latest share is at the right, the best chain in the lowest lane.
// Every share is a link; the arrow keys move from one to the next.

import { fitWidth, legend } from "./charts.js";
import { d3 } from "./d3.js";
import { make, setText } from "./dom.js";
import { difficulty, integer, listed, shortHash, shortened } from "./format.js";
import { placeShares } from "./lanes.js";
import { t } from "./language.js";

const MIN_STEP = 20;
const LANE = 30;
const RADIUS = 7;
const MARGIN = { top: 16, right: 20, bottom: 30, left: 20 };

function classOf(share) {
  const words = ["share"];
  if (share.is_block) words.push("block");
  if (share.own) words.push("own");
  if (!share.in_best_chain) words.push("aside");
  if (!share.verified) words.push("unverified");
  if (share.stale_info !== null) words.push("stale-told");
  return words.join(" ");
}

function describe(share) {
  const facts = [t`Share ${shortHash(share.hash)}`, t`height ${integer(share.height)}`, t`pays ${shortened(share.address, 6, 4)}`];
  facts.push(t`difficulty ${difficulty(share.difficulty)}`);
  if (share.own) facts.push(t("found on this node"));
  if (share.is_block) facts.push(t("also a Dash block"));
  facts.push(share.in_best_chain ? t("in the best chain") : t("on a fork"));
  if (!share.verified) facts.push(t("not verified yet"));
  if (share.stale_info !== null) facts.push(t`reports a stale share (${share.stale_info})`);
  return listed(facts);
}

const HINT = t("Hover over a share, or move along the chain with the arrow keys, to see its details; Enter opens it.");

export class ChainChart {
  constructor(holder) {
    this.x = (_share) => 0;
    this.y = (_share) => 0;
    this.scroll = make("div", { class: "chart-scroll" });
    this.svg = d3.create("svg").attr("class", "chart chain-chart").attr("role", "group").attr("aria-label", t("Latest shares and forks"));
    this.readout = make("p", { class: "readout", "aria-live": "off" }, HINT);
    this.scroll.append(this.svg.node());
    const marks = [["m-best", t("best chain")], ["m-own", t("found on this node")], ["m-aside", t("fork")], ["m-block", t("also a Dash block")]];
    holder.replaceChildren(legend(...marks, ["m-stale", t("reports a stale share")], ["m-unverified", t("not verified yet")]), this.scroll, this.readout);
    this.links = this.svg.append("g").attr("class", "links");
    this.axis = this.svg.append("g").attr("class", "grid");
    this.nodes = this.svg.append("g");
    this.shares = [];
    this.current = null;
    this.draw = fitWidth(holder, (width) => this.paint(width));
  }

  /** Draw the shares of /api/v1/tree. */
  show(shares) {
    this.shares = placeShares(shares);
    if (!this.shares.some(({ hash }) => hash === this.current)) this.current = this.shares[0]?.hash ?? null;
    this.draw();
  }

  paint(width) {
    const columns = d3.max(this.shares, ({ column }) => column) ?? 0;
    const lanes = d3.max(this.shares, ({ lane }) => lane) ?? 0;
    const inside = width - MARGIN.left - MARGIN.right;
    const step = Math.max(MIN_STEP, Math.min(48, inside / Math.max(1, columns)));
    const whole = Math.max(width, MARGIN.left + columns * step + MARGIN.right);
    const height = MARGIN.top + lanes * LANE + MARGIN.bottom;
    const atEnd = this.scroll.scrollLeft + this.scroll.clientWidth >= this.scroll.scrollWidth - 2 * MIN_STEP;
    this.x = (share) => whole - MARGIN.right - (columns - share.column) * step;
    this.y = (share) => MARGIN.top + (lanes - share.lane) * LANE;
    this.svg.attr("viewBox", `0 0 ${whole} ${height}`).attr("width", whole).attr("height", height);
    this.paintLinks();
    this.paintAxis(height, step);
    this.paintShares();
    // A view of the latest shares follows them; one that was scrolled back stays there.
    if (atEnd || !this.painted) this.scroll.scrollLeft = this.scroll.scrollWidth;
    this.painted = true;
  }

  paintLinks() {
    const curve = (share) => {
      const [x1, y1, x2, y2] = [this.x(share.up), this.y(share.up), this.x(share), this.y(share)];
      const middle = x1 + Math.min(x2 - x1, 24) / 2;
      return y1 === y2 ? `M${x1},${y1}H${x2}` : `M${x1},${y1}C${middle},${y1} ${middle},${y2} ${x1 + Math.min(x2 - x1, 24)},${y2}H${x2}`;
    };
    this.links.selectAll("path").data(this.shares.filter(({ up }) => up !== null), ({ hash }) => hash).join("path")
      .attr("class", ({ in_best_chain: inBest }) => (inBest ? "best" : null)).attr("d", curve);
  }

  paintAxis(height, step) {
    const every = [5, 10, 20, 50].find((n) => n * step >= 70) ?? 100;
    const marked = this.shares.filter((share) => share.lane === 0 && share.height % every === 0);
    this.axis.selectAll("text").data(marked, ({ hash }) => hash).join("text")
      .attr("x", this.x).attr("y", height - 6).attr("text-anchor", "middle").text((share) => integer(share.height));
  }

  paintShares() {
    const shares = this.nodes.selectAll("a").data(this.shares, ({ hash }) => hash).join((enter) => {
      const link = enter.append("a").attr("href", ({ hash }) => `share.html?hash=${encodeURIComponent(hash)}`);
      link.append("circle").attr("class", "reach").attr("r", 13);
      link.append("path").attr("class", "dot");
      link.on("focus", (_event, share) => this.focused(share)).on("pointerenter", (_event, share) => setText(this.readout, describe(share)));
      link.on("blur", () => setText(this.readout, HINT)).on("pointerleave", () => setText(this.readout, HINT));
      link.on("keydown", (event, share) => this.key(event, share));
      return link;
    });
    shares
      .attr("class", classOf)
      .attr("aria-label", describe)
      .attr("tabindex", ({ hash }) => (hash === this.current ? 0 : -1))
      .attr("transform", (share) => `translate(${this.x(share)},${this.y(share)})`);
    const round = d3.symbol(d3.symbolCircle, Math.PI * RADIUS ** 2)();
    const square = d3.symbol(d3.symbolSquare, (2 * RADIUS) ** 2)();
    shares.select(".dot").attr("d", ({ is_block: isBlock }) => (isBlock ? square : round));
    this.elements = shares;
  }

  focused(share) {
    this.current = share.hash;
    this.elements.attr("tabindex", ({ hash }) => (hash === this.current ? 0 : -1));
    setText(this.readout, describe(share));
    // Scroll all of the share into view, not only its edge.
    const [x, { scrollLeft, clientWidth }] = [this.x(share), this.scroll];
    if (x < scrollLeft + 40) this.scroll.scrollLeft = x - 40;
    else if (x > scrollLeft + clientWidth - 40) this.scroll.scrollLeft = x - clientWidth + 40;
  }

  /** Move by key: left and right to parent and child, up and down to the nearest share in another lane, Home and End. */
  key(event, share) {
    const nearest = (list) => d3.least(list, (other) => Math.abs(other.column - share.column) * 100 + Math.abs(other.lane - share.lane));
    const line = this.shares.filter(({ in_best_chain: inBest }) => inBest);
    const moves = {
      ArrowLeft: () => share.up,
      ArrowRight: () => this.shares.filter(({ up }) => up?.hash === share.hash).sort((a, b) => a.lane - b.lane)[0],
      ArrowUp: () => nearest(this.shares.filter(({ lane }) => lane > share.lane)),
      ArrowDown: () => nearest(this.shares.filter(({ lane }) => lane < share.lane)),
      Home: () => line.at(-1),
      End: () => line[0],
    };
    if (!Object.hasOwn(moves, event.key)) return;
    event.preventDefault();
    const to = moves[event.key]();
    if (to === null || to === undefined) return;
    this.elements.filter(({ hash }) => hash === to.hash).node()?.focus({ preventScroll: true });
  }
}
