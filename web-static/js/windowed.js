// A table of thousands of rows, of which only those in view (and some around them) are in the page.

import { byId, make, setText } from "./dom.js";

/** Up to so many rows all are in the page, where the browser's own search finds them. */
const ALL = 200;
/** Rows around those in view: what the Tab key reaches next. */
const AROUND = 15;

/**
 * Columns: {id, title, side, head, sort(item), create(item), update(cell, item)}; those with `sort` have a button in
 * their head. Rows are of one height, whatever is in them (the class "windowed" sees to it).
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
    const count = this.items.length;
    const height = this.rowHeight();
    let [first, last] = [0, count];
    if (count > ALL) {
      const top = -this.body.getBoundingClientRect().top;
      first = Math.min(Math.max(0, Math.floor(top / height) - AROUND), count);
      last = Math.min(count, Math.max(first, Math.ceil((top + innerHeight) / height) + AROUND));
    }
    const keep = new Set();
    let at = this.above.nextElementSibling;
    if (this.above.parentNode === null) {
      this.body.append(this.above, this.below);
      at = this.below;
    }
    setHeight(this.above, first * height);
    setHeight(this.below, (count - last) * height);
    for (let i = first; i < last; i += 1) {
      const item = this.items[i];
      const row = this.row(item);
      keep.add(item.name);
      row.setAttribute("aria-rowindex", String(i + 2));
      this.columns.forEach((column, n) => column.update?.(row.children[n], item));
      if (row === at) at = at.nextElementSibling;
      else this.body.insertBefore(row, at);
    }
    for (const [name, row] of this.rows) {
      if (keep.has(name)) continue;
      // Focus that leaves with its row would start again at the top of the page.
      if (row.contains(document.activeElement)) this.table.focus({ preventScroll: true });
      row.remove();
      this.rows.delete(name);
    }
  }

  /** Of the rows in the page; the style sheet's where there is none yet. */
  rowHeight() {
    const [row] = this.rows.values();
    return row?.getBoundingClientRect().height || 36;
  }

  row(item) {
    let row = this.rows.get(item.name);
    if (row === undefined) {
      const cells = this.columns.map(({ id, title, side, head, create }) => {
        const attributes = { class: `${side ?? ""} col-${id}`, "data-label": title };
        const cell = head ? make("th", { ...attributes, scope: "row", role: "rowheader" }) : make("td", { ...attributes, role: "cell" });
        if (create !== undefined) cell.append(create(item));
        return cell;
      });
      row = make("tr", { role: "row" }, ...cells);
      this.rows.set(item.name, row);
    }
    return row;
  }
}

const spacer = (columns) => make("tr", { class: "spacer", "aria-hidden": "true", hidden: "" }, make("td", { colspan: columns }));

function setHeight(row, height) {
  row.hidden = height === 0;
  row.style.height = `${height}px`;
}
