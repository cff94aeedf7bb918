// A table of one page of a long list, which the node searches, sorts and cuts.

import { byId, make, setText } from "./dom.js";
import { keepFocus } from "./focus.js";
import { t } from "./language.js";

/**
 * Columns are {id, title, side, head, sort, create(), update(cell, item)}; `sort` is the node's name of the sort key, and
 * those that have one have a button in their header. `changed()` is called when the reader wants another order. All rows
 * have the same height (the class "paged" ensures it), so that news moves nothing.
 */
export class PagedTable {
  constructor(name, { caption, columns, sort, descending = true, empty, changed }) {
    this.columns = columns;
    this.sort = sort;
    this.descending = descending;
    this.changed = changed;
    this.rows = new Map();
    this.heads = new Map();
    this.body = make("tbody", { role: "rowgroup" });
    this.table = make(
      "table",
      { role: "table", class: "cards paged", tabindex: "-1" },
      make("caption", { class: "unseen" }, caption),
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...columns.map((column) => this.head(column)))),
      this.body,
    );
    this.emptyNote = make("p", { class: "empty" }, t("Loading…"));
    this.emptyText = empty;
    byId(`${name}-body`).append(this.emptyNote, this.table);
    this.table.hidden = true;
    this.markSort();
  }

  head({ title, id, side, sort }) {
    const head = make("th", { scope: "col", role: "columnheader", class: `${side ?? ""} col-${id}` });
    if (sort === undefined) {
      head.append(title);
      return head;
    }
    const button = make("button", { type: "button", class: "sort" }, title);
    button.addEventListener("click", () => this.sortBy(id, this.sort === id ? !this.descending : side === "number"));
    head.append(button);
    this.heads.set(id, head);
    return head;
  }

  markSort() {
    for (const [id, head] of this.heads) {
      if (id === this.sort) head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  /** Ask for another order. */
  sortBy(id, descending) {
    [this.sort, this.descending] = [id, descending];
    this.markSort();
    this.changed();
  }

  /** The order as parameters of the node's lists. */
  get order() {
    const { sort } = this.columns.find(({ id }) => id === this.sort);
    return { sort, order: this.descending ? "desc" : "asc" };
  }

  /** Show the items of a page, each with a unique `name`; `first` is how many are on the pages before, `total` how many on all. */
  show(items, first, total) {
    this.table.hidden = items.length === 0;
    this.emptyNote.hidden = items.length > 0;
    if (items.length === 0) setText(this.emptyNote, this.emptyText());
    this.table.setAttribute("aria-rowcount", String(total + 1));
    const focused = document.activeElement;
    const keep = new Set(items.map(({ name }) => name));
    for (const [name, row] of this.rows) {
      if (keep.has(name)) continue;
      // If the focus were lost with its row, Tab would start again at the top of the page.
      if (row.contains(document.activeElement)) this.table.focus({ preventScroll: true });
      row.remove();
      this.rows.delete(name);
    }
    let at = this.body.firstElementChild;
    items.forEach((item, i) => {
      let row = this.rows.get(item.name);
      if (row === undefined) {
        row = this.newRow();
        this.rows.set(item.name, row);
      }
      row.setAttribute("aria-rowindex", String(first + i + 2));
      this.columns.forEach((column, n) => column.update(row.children[n], item));
      if (row === at) at = at.nextElementSibling;
      else this.body.insertBefore(row, at);
    });
    keepFocus(focused, this.body);
  }

  newRow() {
    const cells = this.columns.map(({ id, title, side, head, create }) => {
      const attributes = { class: `${side ?? ""} col-${id}`, "data-label": title };
      const cell = head ? make("th", { ...attributes, scope: "row", role: "rowheader" }) : make("td", { ...attributes, role: "cell" });
      if (create !== undefined) cell.append(create());
      return cell;
    });
    return make("tr", { role: "row" }, ...cells);
  }
}
