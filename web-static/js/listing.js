// A table of many rows, with search, sorting and pages.

import { make, setText } from "./dom.js";
import { integer, listed } from "./format.js";
import { t } from "./language.js";
import { Table, emptyNote } from "./table.js";

/**
 * Takes what Table takes. Columns with `by(item)` can be sorted by that number or text (`words` if text); `order` is
 * [title of the column, whether descending]; `search(item)` returns the text to search in, `label` is that of the search field.
 */
export class Listing {
  constructor(name, { caption, columns, order, search, label, perPage = 50 }) {
    this.columns = columns;
    this.title = order[0];
    this.descending = order[1];
    this.search = search;
    this.perPage = perPage;
    this.page = 0;
    this.items = [];
    this.table = new Table(name, { caption, columns, few: perPage, empty: emptyNote() });
    this.table.few = perPage; // on small screens too
    this.makeHeads();
    this.table.holder.prepend(this.makeTools(name, label));
    this.pager = make("nav", { class: "pages", "aria-label": t("Table pages"), hidden: "" });
    this.table.holder.append(this.pager);
  }

  makeTools(name, label) {
    this.field = make("input", { type: "search", id: `${name}-search`, autocomplete: "off", spellcheck: "false", maxlength: "200" });
    this.field.addEventListener("input", () => this.turn(0));
    this.choice = make("select", { id: `${name}-order` });
    for (const { title, by, words = false } of this.columns) {
      if (by === undefined) continue;
      const [down, up] = words ? [t("Z to A"), t("A to Z")] : [t("high to low"), t("low to high")];
      this.choice.append(make("option", { value: `${title}:1` }, listed([title, down])));
      this.choice.append(make("option", { value: `${title}:0` }, listed([title, up])));
    }
    this.choice.addEventListener("change", () => {
      const [title, descending] = this.choice.value.split(":");
      this.orderBy(title, descending === "1");
    });
    return make(
      "div",
      { class: "tools", role: "search" },
      make("div", { class: "field grow" }, make("label", { for: this.field.id }, label), this.field),
      make("div", { class: "field" }, make("label", { for: this.choice.id }, t("Sort by")), this.choice),
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

  /** Show the items, each with a unique `key`; `emptyText` if there are none. */
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
    const none = this.items.length > 0 ? t`No matches for “${this.field.value.trim()}”.` : this.emptyText;
    this.table.show(found.slice(this.page * this.perPage, (this.page + 1) * this.perPage), make("span", {}, none));
    setText(this.table.count, this.items.length === 0 ? "" : counted(found.length, this.items.length));
    this.markOrder();
    this.showPager(pages);
  }

  markOrder() {
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

/** Fill a pager: "Previous", "Page 3 of 12", "Next"; it is hidden if there is only one page. */
export function showPages(nav, page, pages, go) {
  nav.hidden = pages <= 1;
  if (nav.childElementCount === 0) {
    const [previous, next] = [t("← Previous"), t("Next →")].map((text) => make("button", { type: "button", class: "button" }, text));
    nav.append(previous, make("span", { role: "status" }), next);
  }
  const [previous, where, next] = nav.children;
  setText(where, t`Page ${integer(page + 1)} of ${integer(pages)}`);
  previous.disabled = page === 0;
  next.disabled = page >= pages - 1;
  previous.onclick = () => go(page - 1);
  next.onclick = () => go(page + 1);
}

const counted = (found, all) => (found === all ? integer(all) : t`${integer(found)} of ${integer(all)}`);

/** Compare two values; unknown ones come last in ascending order. */
function compared(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return a < b ? -1 : 1;
}
