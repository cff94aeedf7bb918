// A small table with bars that show the parts of a whole.

import { make } from "./dom.js";
import { percent } from "./format.js";

/** Return a table of rows {name, part (0 to 1), text}: `heads` are the column titles, `text` is shown next to the bar. */
export function barsTable(caption, heads, rows) {
  const head = make("tr", { role: "row" }, ...heads.map((title) => make("th", { scope: "col", role: "columnheader" }, title)));
  const body = rows.map(({ name, part, text }) => {
    const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span"));
    bar.firstElementChild.style.width = `${(part * 100).toFixed(2)}%`;
    return make(
      "tr",
      { role: "row" },
      make("th", { scope: "row", role: "rowheader" }, name),
      make("td", { role: "cell", class: "bar-cell half" }, make("span", { class: "bar-box" }, bar, make("span", { class: "bar-text" }, text ?? percent(part)))),
    );
  });
  return make(
    "table",
    { role: "table" },
    make("caption", { class: "unseen" }, caption),
    make("thead", { role: "rowgroup" }, head),
    make("tbody", { role: "rowgroup" }, ...body),
  );
}
