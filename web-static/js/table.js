// Tables that keep their rows from one update to the next.

import { byId, copyValue, make, setText, setTime, timeNode } from "./dom.js";
import { keepFocus } from "./focus.js";
import { integer, shortened } from "./format.js";
import { t } from "./language.js";

const MAX_ROWS = 1000;
const SMALL_SCREEN = matchMedia("(max-width: 40rem)").matches;

/**
 * A table that keeps its rows by key. On narrow screens the style sheet shows each row as a card; roles are set
 * explicitly because changing `display` would remove them.
 */
export class Table {
  constructor(name, { caption, columns, few, empty }) {
    this.columns = columns;
    this.few = SMALL_SCREEN ? Math.ceil(few / 2) : few;
    this.all = false;
    /** @type {any[]} */
    this.items = [];
    this.rows = new Map();
    this.body = make("tbody", { role: "rowgroup" });
    const heads = columns.map(({ title, side }) => make("th", { scope: "col", role: "columnheader", class: side }, title));
    this.table = make(
      "table",
      { role: "table", class: columns.length > 3 ? "cards" : null },
      make("caption", { class: "unseen" }, caption),
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
      this.body,
    );
    this.empty = empty;
    this.more = make("button", { type: "button", class: "more" });
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.show(this.items);
    });
    this.cut = make("p", { class: "note" });
    this.count = byId(`${name}-count`);
    this.holder = byId(`${name}-body`);
    this.holder.append(this.empty, this.table, this.more, this.cut);
    this.show([]);
    setText(this.empty, t("Loading…"));
  }

  /**
   * Show the items, each with a unique `key`; `emptyNode` if there are none.
   * @param {any[]} items
   * @param {?Node} emptyNode
   */
  show(items, emptyNode = null) {
    this.items = items;
    const none = items.length === 0;
    this.table.hidden = none;
    this.empty.hidden = !none;
    if (emptyNode !== null && this.emptyNode !== emptyNode) {
      this.emptyNode = emptyNode;
      this.empty.replaceChildren(emptyNode);
    }
    if (this.count !== null) setText(this.count, none ? "" : integer(items.length));
    this.more.hidden = items.length <= this.few;
    setText(this.more, this.all ? t`Show only the first ${this.few}` : t`Show all ${integer(items.length)}`);
    const shown = items.slice(0, this.all ? MAX_ROWS : this.few);
    this.cut.hidden = !(this.all && items.length > MAX_ROWS);
    setText(this.cut, t`Only the first ${integer(MAX_ROWS)} are shown; the JSON lists all of them.`);
    this.sync(shown);
  }

  sync(items) {
    const focused = document.activeElement;
    const wanted = new Map(items.map((item) => [item.key, item]));
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      row.remove();
      this.rows.delete(key);
    }
    let at = this.body.firstElementChild;
    for (const [key, item] of wanted) {
      let row = this.rows.get(key);
      if (row === undefined) {
        row = this.createRow(item);
        this.rows.set(key, row);
      }
      this.columns.forEach((column, i) => column.update?.(row.children[i], item));
      if (row === at) at = at.nextElementSibling;
      else this.body.insertBefore(row, at);
    }
    keepFocus(focused, this.body);
  }

  createRow(item) {
    const cells = this.columns.map(({ title, side, head, create }) => {
      const attributes = { class: side, "data-label": title };
      const cell = head
        ? make("th", { ...attributes, scope: "row", role: "rowheader" })
        : make("td", { ...attributes, role: "cell" });
      if (create !== undefined) cell.append(create(item));
      return cell;
    });
    return make("tr", { role: "row" }, ...cells);
  }
}

/**
 * Return a column of plain texts; `side` is the class of its cells.
 * @param {?string} side
 */
export const textColumn = (title, text, side = "number") => ({ title, side, update: (cell, item) => setText(cell, text(item)) });

export const timeColumn = (title, head = false) => ({
  title,
  head,
  create: (item) => timeNode(item.ts),
  update: (cell, item) => setTime(cell.firstElementChild, item.ts),
});

export const emptyNote = () => make("p", { class: "empty" });

/** Return a button that copies a value, and shows it in full if there is room. */
export function copyValueBoth(full, what) {
  const text = shortened(full, 8, 6);
  const button = copyValue(full, text, what);
  button.replaceChildren(make("span", { class: "is-long" }, full), make("span", { class: "is-short" }, text));
  return button;
}
