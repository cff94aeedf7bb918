// A table of many rows: searched, put in order by a click on a column's head, and shown a page at a time.

import { make, setText } from "./dom.js";
import { integer } from "./format.js";
import { Table, emptyNote } from "./table.js";

/**
 * Wants what Table wants, and puts its tools before the table. Columns may have `by(item)`, a number or text to order
 * by (`words` where it is a text); `order` is [column's title, whether descending]; `search(item)` gives the text to search in, `what` says what
 * is searched.
 */
export class Listing {
  constructor(name, { caption, columns, order, search, what, perPage = 50 }) {
    this.columns = columns;
    [this.title, this.descending] = order;
    this.search = search;
    this.perPage = perPage;
    this.page = 0;
    this.items = [];
    this.table = new Table(name, { caption, columns, few: perPage, empty: emptyNote() });
    this.table.few = perPage; // on small screens, too
    this.makeHeads();
    this.table.holder.prepend(this.makeTools(name, what));
    this.pager = make("nav", { class: "pages", "aria-label": "Pages of the table", hidden: "" });
    this.table.holder.append(this.pager);
  }

  makeTools(name, what) {
    this.field = make("input", { type: "search", id: `${name}-search`, autocomplete: "off", spellcheck: "false", maxlength: "200" });
    this.field.addEventListener("input", () => this.turn(0));
    this.choice = make("select", { id: `${name}-order` });
    for (const { title, by, words = false } of this.columns) {
      if (by === undefined) continue;
      const [down, up] = words ? ["Z to A", "A to Z"] : ["high to low", "low to high"];
      this.choice.append(make("option", { value: `${title}:1` }, `${title}, ${down}`));
      this.choice.append(make("option", { value: `${title}:0` }, `${title}, ${up}`));
    }
    this.choice.addEventListener("change", () => {
      const [title, descending] = this.choice.value.split(":");
      this.orderBy(title, descending === "1");
    });
    return make(
      "div",
      { class: "tools", role: "search" },
      make("div", { class: "field grow" }, make("label", { for: this.field.id }, `Search ${what}`), this.field),
      make("div", { class: "field" }, make("label", { for: this.choice.id }, "Order"), this.choice),
    );
  }

  makeHeads() {
    const heads = this.table.table.tHead.rows[0].cells;
    this.columns.forEach(({ title, by, words = false }, i) => {
      if (by === undefined) return;
      const button = make("button", { type: "button", class: "sort" }, title);
      button.addEventListener("click", () => this.orderBy(title, this.title === title ? !this.descending : !words));
      heads[i].replaceChildren(button);
    });
  }

  orderBy(title, descending) {
    [this.title, this.descending] = [title, descending];
    this.turn(0);
  }

  /** Shows the items, each with a `key` of its own; `emptyText` where there are none. */
  show(items, emptyText) {
    this.items = items;
    this.emptyText = emptyText;
    this.turn(this.page);
  }

  turn(page) {
    const wanted = this.field.value.trim().toLowerCase();
    const found = wanted === "" ? [...this.items] : this.items.filter((item) => this.search(item).toLowerCase().includes(wanted));
    const { by } = this.columns.find(({ title }) => title === this.title);
    const sign = this.descending ? -1 : 1;
    found.sort((a, b) => sign * compared(by(a), by(b)) || compared(a.key, b.key));
    const pages = Math.max(1, Math.ceil(found.length / this.perPage));
    this.page = Math.min(page, pages - 1);
    const none = this.items.length > 0 ? `Nothing here has “${this.field.value.trim()}” in it.` : this.emptyText;
    this.table.show(found.slice(this.page * this.perPage, (this.page + 1) * this.perPage), make("span", {}, none));
    setText(this.table.count, this.items.length === 0 ? "" : counted(found.length, this.items.length));
    this.sayOrder();
    this.showPager(pages);
  }

  sayOrder() {
    const heads = this.table.table.tHead.rows[0].cells;
    this.columns.forEach(({ title, by }, i) => {
      if (by === undefined) return;
      if (title === this.title) heads[i].setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else heads[i].removeAttribute("aria-sort");
    });
    this.choice.value = `${this.title}:${this.descending ? 1 : 0}`;
  }

  showPager(pages) {
    showPages(this.pager, this.page, pages, (page) => this.turn(page));
  }
}

/** Fills a pager: "Previous", "3 of 12", "Next"; hidden where there is one page only. */
export function showPages(nav, page, pages, go) {
  nav.hidden = pages <= 1;
  if (nav.childElementCount === 0) {
    const [back, on] = ["← Previous", "Next →"].map((text) => make("button", { type: "button", class: "button" }, text));
    nav.append(back, make("span", { role: "status" }), on);
  }
  const [back, where, on] = nav.children;
  setText(where, `Page ${integer(page + 1)} of ${integer(pages)}`);
  back.disabled = page === 0;
  on.disabled = page >= pages - 1;
  back.onclick = () => go(page - 1);
  on.onclick = () => go(page + 1);
}

const counted = (found, all) => (found === all ? integer(all) : `${integer(found)} of ${integer(all)}`);

/** What is not known comes last in rising order. */
function compared(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return a < b ? -1 : 1;
}
