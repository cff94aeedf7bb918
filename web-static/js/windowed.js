// A table of thousands of rows, of which only those in view (and some around them) are in the page.

import { byId, make, setText } from "./dom.js";
import { keepFocus } from "./table.js";

/** Up to so many rows all are in the page, where the browser's own search finds them. */
const ALL = 200;
/** Rows around those in view: what the Tab key reaches next. */
const AROUND = 15;
/** Rows between the focus and those in view, beyond which it is given up. */
const FAR = 100;

/**
 * Columns: {id, title, side, head, sort(item), create(), update(cell, item)}; those with `sort` have a button in their
 * head. A row that leaves is used for another item, so `update` sets all that differs. Rows are of one height,
 * whatever is in them (the class "windowed" sees to it).
 */
export class WindowedTable {
  constructor(name, { caption, columns, sort, descending = true, empty }) {
    this.columns = columns;
    this.sort = sort;
    this.descending = descending;
    this.items = [];
    this.rows = new Map();
    this.heads = new Map();
    this.body = make("tbody", { role: "rowgroup" });
    this.above = spacer(columns.length);
    this.below = spacer(columns.length);
    this.table = make(
      "table",
      { role: "table", class: "cards windowed", tabindex: "-1" },
      make("caption", { class: "unseen" }, caption),
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...columns.map((column) => this.head(column)))),
      this.body,
    );
    this.emptyNote = make("p", { class: "empty" }, "Asking the node…");
    this.emptyText = empty;
    this.holder = byId(`${name}-body`);
    this.holder.append(this.emptyNote, this.table);
    this.table.hidden = true;
    this.markSort();
    let due = false;
    const later = () => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        this.render();
      });
    };
    addEventListener("scroll", later, { passive: true });
    new ResizeObserver(later).observe(this.holder);
    this.body.addEventListener("focusin", () => this.items.length > ALL && this.render());
  }

  head({ id, title, side, sort }) {
    const head = make("th", { scope: "col", role: "columnheader", class: `${side ?? ""} col-${id}` });
    if (sort === undefined) {
      head.append(title);
      return head;
    }
    const button = make("button", { type: "button", class: "sort" }, title);
    button.addEventListener("click", () => {
      if (this.sort === id) this.descending = !this.descending;
      else [this.sort, this.descending] = [id, side === "number"];
      this.order();
      this.onSort?.();
    });
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

  /** Sorts by a column, from outside the table. */
  sortBy(id, descending) {
    [this.sort, this.descending] = [id, descending];
    this.order();
  }

  order() {
    const { sort } = this.columns.find(({ id }) => id === this.sort);
    const sign = this.descending ? -1 : 1;
    const keyed = this.items.map((item) => [sort(item), item]);
    keyed.sort(([a, x], [b, y]) => (a < b ? -sign : a > b ? sign : x.name < y.name ? -1 : x.name > y.name ? 1 : 0));
    this.items = keyed.map(([, item]) => item);
    this.markSort();
    this.render();
  }

  /** Items, each with a `name` of its own. */
  show(items) {
    this.items = items;
    this.table.hidden = items.length === 0;
    this.emptyNote.hidden = items.length > 0;
    if (items.length === 0) setText(this.emptyNote, this.emptyText());
    this.table.setAttribute("aria-rowcount", String(items.length + 1));
    this.order();
  }

  render() {
    if (this.table.hidden || this.holder.closest("[hidden]") !== null) return;
    if (this.above.parentNode === null) this.body.append(this.above, this.below);
    const focused = document.activeElement;
    const height = this.rowHeight();
    const [first, last] = this.range(height);
    setHeight(this.above, first * height);
    setHeight(this.below, (this.items.length - last) * height);
    const wanted = this.items.slice(first, last);
    const keep = new Set(wanted.map(({ name }) => name));
    const free = this.leaving(keep);
    let at = this.above.nextElementSibling;
    wanted.forEach((item, i) => {
      let row = this.rows.get(item.name);
      if (row === undefined) {
        row = free.pop() ?? this.newRow();
        this.rows.set(item.name, row);
      }
      row.setAttribute("aria-rowindex", String(first + i + 2));
      this.columns.forEach((column, n) => column.update(row.children[n], item));
      if (row === at) at = at.nextElementSibling;
      else this.body.insertBefore(row, at);
    });
    keepFocus(focused, this.body);
  }

  /** Which items belong into the page: [first, behind the last]. */
  range(height) {
    const count = this.items.length;
    if (count <= ALL) return [0, count];
    const top = -this.body.getBoundingClientRect().top;
    let first = Math.floor(top / height) - AROUND;
    let last = Math.ceil((top + innerHeight) / height) + AROUND;
    // What the Tab key reaches next is there before the browser has scrolled to where it is.
    const focused = this.focusedIndex();
    if (focused !== null && focused > first - FAR && focused < last + FAR) {
      first = Math.min(first, focused - AROUND);
      last = Math.max(last, focused + AROUND);
    }
    first = Math.min(Math.max(0, first), count);
    return [first, Math.min(count, Math.max(first, last))];
  }

  focusedIndex() {
    const row = document.activeElement?.closest("tr[aria-rowindex]") ?? null;
    return row !== null && this.body.contains(row) ? Number(row.getAttribute("aria-rowindex")) - 2 : null;
  }

  /** Rows of items that are out of view, for others to use. */
  leaving(keep) {
    const free = [];
    for (const [name, row] of this.rows) {
      if (keep.has(name)) continue;
      // Focus that leaves with its row would start again at the top of the page.
      if (row.contains(document.activeElement)) this.table.focus({ preventScroll: true });
      this.rows.delete(name);
      row.remove(); // those that stay are not moved then: that would take the focus from them
      free.push(row);
    }
    return free;
  }

  /** Of the rows in the page; the style sheet's where there is none yet. */
  rowHeight() {
    const [row] = this.rows.values();
    return row?.getBoundingClientRect().height || 36;
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

const spacer = (columns) => make("tr", { class: "spacer", "aria-hidden": "true", hidden: "" }, make("td", { colspan: columns }));

function setHeight(row, height) {
  row.hidden = height === 0;
  row.style.height = `${height}px`;
}
