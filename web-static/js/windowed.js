// A table of thousands of rows; only those in view, and some around them, are in the page.

import { byId, make, setText } from "./dom.js";
import { keepFocus } from "./focus.js";

/** Up to so many rows are all in the page, where the search of the browser finds them. */
const FULL_ROWS = 200;
/** Rows above and below those in view, for the Tab key to reach. */
const MARGIN_ROWS = 15;
/** A focused row farther from those in view is removed. */
const MAX_FOCUS_DISTANCE = 100;

/**
 * Columns are {id, title, side, head, sort(item), create(), update(cell, item)}; those with `sort` have a button in
 * their header. Rows are reused for other items, so `update` must set everything that differs. All rows have the same
 * height (the class "windowed" ensures it).
 */
export class WindowedTable {
  constructor(name, { caption, columns, sort, descending = true, empty }) {
    this.columns = columns;
    this.sort = sort;
    this.descending = descending;
    /** Called after a click on a column header has changed the order. @type {(() => void) | null} */
    this.onSort = null;
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
    this.emptyNote = make("p", { class: "empty" }, "Loading…");
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
    this.body.addEventListener("focusin", () => this.items.length > FULL_ROWS && this.render());
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

  /** Sort by a column. */
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

  /** Show the items, each with a unique `name`. */
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

  /** Return which items belong in the page: [first, after the last]. */
  range(height) {
    const count = this.items.length;
    if (count <= FULL_ROWS) return [0, count];
    const top = -this.body.getBoundingClientRect().top;
    let first = Math.floor(top / height) - MARGIN_ROWS;
    let last = Math.ceil((top + innerHeight) / height) + MARGIN_ROWS;
    // Rows around the focus exist before the browser scrolls to them.
    const focused = this.focusedIndex();
    if (focused !== null && focused > first - MAX_FOCUS_DISTANCE && focused < last + MAX_FOCUS_DISTANCE) {
      first = Math.min(first, focused - MARGIN_ROWS);
      last = Math.max(last, focused + MARGIN_ROWS);
    }
    first = Math.min(Math.max(0, first), count);
    return [first, Math.min(count, Math.max(first, last))];
  }

  focusedIndex() {
    const row = document.activeElement?.closest("tr[aria-rowindex]") ?? null;
    return row !== null && this.body.contains(row) ? Number(row.getAttribute("aria-rowindex")) - 2 : null;
  }

  /** Remove and return the rows of items that are out of view, for reuse. */
  leaving(keep) {
    const free = [];
    for (const [name, row] of this.rows) {
      if (keep.has(name)) continue;
      // If the focus were lost with its row, Tab would start again at the top of the page.
      if (row.contains(document.activeElement)) this.table.focus({ preventScroll: true });
      this.rows.delete(name);
      row.remove(); // so that the remaining rows need not move, which would take their focus
      free.push(row);
    }
    return free;
  }

  /** Return the height of a row, or that of the style sheet if there is none yet. */
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
