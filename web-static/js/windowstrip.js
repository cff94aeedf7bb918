// A strip of the payment window of an address (/api/v1/window): where its shares are, what they pay, when they leave.

import { byId, make, setText } from "./dom.js";
import { duration, integer, listed, percent, significant } from "./format.js";
import { plural, t } from "./language.js";
import { Table, emptyNote, textColumn } from "./table.js";

/** The parts in which the node tells the window. */
const BINS = 48;
/** Labels of the axis, as parts of the window. */
const MARKS = [0, 0.25, 0.5, 0.75, 1];

const counted = (count) => plural(count, "{0} share", "{0} shares");

export class WindowStrip {
  constructor() {
    this.symbol = "";
    this.table = new Table("window", {
      caption: t("Shares of this address in the payment window: age, number, found on this node, what the next block pays for them, and when they leave"),
      few: BINS,
      empty: emptyNote(),
      columns: [
        { ...textColumn(t("Age"), (row) => row.age), head: true },
        textColumn(t("Shares"), ({ shares }) => integer(shares)),
        textColumn(t("Found on this node"), ({ found_here: here }) => integer(here)),
        textColumn(t("Next block pays"), ({ payout }) => this.coins(payout)),
        textColumn(t("All have left in"), ({ leave_until: seconds }) => duration(seconds)),
      ],
    });
    this.none = make("span", {}, t("No shares of this address in the window."));
  }

  coins(amount) {
    return `${significant(Number(amount.dash), 4)} ${this.symbol}`;
  }

  show(value, symbol) {
    this.symbol = symbol;
    const { length, pace, bins } = value;
    const age = (part) => duration(part * length * pace);
    setText(byId("w-lead"), this.lead(value));
    setText(byId("w-now"), this.now(value));
    setText(byId("w-next"), this.next(value));
    byId("w-strip").replaceChildren(this.draw(value));
    const rows = bins.map((bin) => ({ ...bin, key: bin.bin, age: bin.bin === 0 ? t`up to ${age(1 / BINS)}` : t`${age(bin.bin / BINS)} to ${age((bin.bin + 1) / BINS)}` }));
    this.table.show(rows, this.none);
  }

  lead({ length, shares, pace }) {
    if (length === 0) return t("The payment window of the pool: the newest shares of all miners. The pool has no shares yet.");
    const filled = shares < length ? t` The chain is young: the window has ${integer(shares)} of them so far.` : "";
    return t`A block pays for the newest ${integer(length)} shares of the pool, so a share is paid for about ${duration(length * pace)}: new ones enter on the left, old ones leave on the right.${filled}`;
  }

  now({ own_shares: own, found_here: here, shares, next_payout: payout, next_payout_part: part, next_to_leave: leaves }) {
    if (own === 0) return t("No share of this address is in the window: the next block does not pay it.");
    return t`${integer(own)} of ${counted(shares)} belong to this address, ${integer(here)} of them found on this node. The next block pays ${this.coins(payout)} for them, ${percent(part)} of what miners get. The oldest leaves in about ${duration(leaves)}.`;
  }

  next({ length, one_more_share: more, fades, own_shares: own }) {
    if (length === 0) return "";
    const added = t`One more share would add about ${this.coins(more)}.`;
    if (own === 0) return added;
    const told = fades.map(({ after, payout }) => t`${this.coins(payout)} in ${duration(after)}`);
    return t`${added} Without any new share, the payout falls to ${listed(told)}.`;
  }

  draw(value) {
    const { bins, length, pace, shares } = value;
    const most = Math.max(1, ...bins.map(({ payout }) => payout.duffs));
    const ground = make("div", { class: "strip-ground" });
    ground.style.width = `${length > 0 ? 100 * Math.min(1, shares / length) : 0}%`;
    const bars = bins.map((bin) => {
      const title = t`${counted(bin.shares)}, ${this.coins(bin.payout)}; all have left in ${duration(bin.leave_until)}`;
      const here = make("span", { class: "w-here" });
      here.style.height = `${(100 * bin.found_here) / bin.shares}%`;
      const bar = make("span", { class: "strip-bar w-other", title }, here);
      bar.style.left = `${(100 * bin.bin) / BINS}%`;
      bar.style.width = `${90 / BINS}%`;
      bar.style.height = `${Math.max(4, (100 * bin.payout.duffs) / most)}%`;
      return bar;
    });
    const marks = (length > 0 ? MARKS : []).map((part) => make("span", {}, part === 0 ? t("now") : duration(part * length * pace)));
    const label = t`${this.now(value)} The table below has the same in figures.`;
    return make("div", { role: "img", "aria-label": label }, make("div", { class: "strip-bars" }, ground, ...bars), make("div", { class: "strip-marks" }, ...marks));
  }
}
