// Graphs of /api/v1/history/series: drawn by uPlot, and also given as a text and a table.

import { BASE, historyProblem } from "./api.js";
import { byId, make, setText } from "./dom.js";
import { pollPath } from "./page.js";
import { whenThemeChanges } from "./shell.js";

export const RANGES = ["hour", "day", "week", "month", "year"];
const REFRESH = 30000;
/** Requested points: about one for every other pixel of a graph. */
const POINTS = matchMedia("(max-width: 40rem)").matches ? 240 : 500;
/** The node accepts at most so many figure names, but returns all figures if none is named. */
const MAX_FIGURES = 10;
const HEIGHT = 240;
/** Steps drawn at least, when few have data. */
const MIN_STEPS = 12;
/** Minimum distance in px of a time label's centre from the left edge of the graph. */
const LABEL_MARGIN = 26;
const HOUR = 3600;
const DAY = 86400;

/** @type {?Promise<any>} */
let loading = null;

/** Load uPlot when the first graph is drawn, so that figures do not wait for it. */
function loadPlot() {
  loading ??= import("../vendor/uPlot.esm.js").then((module) => module.default);
  return loading;
}

// --- the group ---------------------------------------------------------------------------------------------

/** Return the range in the address, as in graphs.html?week: legacy front ends have links like that. */
function wantedRange() {
  const wanted = location.search.slice(1).split("&")[0].toLowerCase();
  return RANGES.includes(wanted) ? wanted : "day";
}

/**
 * Graphs that share a time range, a request and a cursor.
 *
 * `tools` is the id of the element for the range buttons and the CSV link; `label` names the graphs to screen readers;
 * for `of` and `name` see /api/v1/history/series; `graphs` are the options of each Graph; `range` is the initial one.
 */
export class GraphGroup {
  /** @param {any} options */
  constructor({ tools, label, of, name = null, range = wantedRange(), graphs }) {
    this.of = of;
    this.name = name;
    this.range = range;
    this.isChosen = false;
    this.graphs = graphs.map((options) => new Graph(options, `graphs-${tools}`));
    const figures = graphs.flatMap(({ lines }) => lines.map(({ figure }) => figure));
    this.figures = [...new Set(figures)];
    this.buttons = RANGES.map((each) => this.button(each));
    this.csv = make("a", { class: "csv" }, "CSV");
    byId(tools).append(
      make("div", { class: "choice", role: "group", "aria-label": `Time range: ${label}` }, ...this.buttons),
      this.csv,
    );
    this.mark();
    this.again = pollPath(() => this.path(""), REFRESH, (value, status) => this.show(value, status));
  }

  button(range) {
    const title = range[0].toUpperCase() + range.slice(1);
    const button = make("button", { type: "button", "data-range": range }, title);
    button.addEventListener("click", () => this.choose(range));
    return button;
  }

  choose(range) {
    this.isChosen = true;
    this.range = range;
    this.mark();
    this.graphs.forEach((graph) => graph.wait());
    this.again();
  }

  mark() {
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.range === this.range));
    this.csv.href = new URL(this.path(".csv"), BASE).href;
  }

  path(suffix) {
    const query = new URLSearchParams({ of: this.of, range: this.range, points: String(POINTS) });
    if (this.name !== null) query.set("name", this.name);
    const figures = this.figures.length > MAX_FIGURES ? "" : `&figures=${this.figures.join(",")}`;
    return `api/v1/history/series${suffix}?${query}${figures}`;
  }

  show(value, status) {
    const problem = status === 200 ? null : problemOf(value, status);
    if (problem === null && !this.isChosen && this.range === "day" && isYoung(value)) {
      this.choose("hour"); // the day of a node that has just started is an empty graph
      return;
    }
    const series = problem === null ? withoutEmptyStart(value) : null;
    this.graphs.forEach((graph, i) => {
      if (problem === null) graph.show(series, this.range);
      else graph.showProblem(i === 0 ? problem : "Unavailable for the same reason.");
    });
    this.csv.hidden = problem !== null;
  }
}

/** Return the series without the empty time at its start, which would leave a graph with only a stroke at its end. */
function withoutEmptyStart({ times, figures, step }) {
  const columns = Object.values(figures);
  const known = times.findIndex((_, i) => columns.some((column) => column[i] !== null));
  const first = Math.max(0, Math.min(known, times.length - MIN_STEPS));
  const cut = Object.entries(figures).map(([name, column]) => [name, column.slice(first)]);
  return { times: times.slice(first), figures: Object.fromEntries(cut), step };
}

/** Return whether all data are from the last hour. */
function isYoung({ times, figures, to }) {
  const columns = Object.values(figures);
  const first = times.find((_, i) => columns.some((column) => column[i] !== null));
  return first !== undefined && first > to - HOUR;
}

function problemOf(value, status) {
  const code = value?.error?.code;
  if (status === 404) return code === "unknown_name" ? "History has no data for this name yet." : "This node keeps no history of these figures.";
  return `${historyProblem(value, status)} Everything else still works.`;
}

// --- one graph ---------------------------------------------------------------------------------------------

/**
 * A graph in the element with the id `holder`. `lines` are {figure, label, colour (1 to 6), filled, dashed}; `format`
 * returns a value as text; `whole` means that values are whole numbers.
 */
export class Graph {
  constructor({ holder, title, lines, format, whole = false }, syncKey) {
    this.title = title;
    this.lines = lines;
    this.format = format;
    this.whole = whole;
    this.syncKey = syncKey;
    /** The uPlot instance. @type {any} */
    this.plot = null;
    /** The times, and the values of each line. @type {any} */
    this.data = null;
    this.values = lines.map(() => make("b", {}));
    this.at = make("li", { class: "graph-at" });
    this.canvas = make("div", {
      class: "graph-canvas",
      role: "slider",
      tabindex: "0",
      "aria-label": `${title}: use the arrow keys to select a time`,
      "aria-orientation": "horizontal",
    });
    this.message = make("p", { class: "empty tall", role: "status" }, "Loading…");
    this.table = make("tbody");
    this.figure = make("div", { class: "graph", hidden: "" }, this.legend(), this.canvas, this.details());
    byId(holder).append(this.message, this.figure);
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.plot?.setCursor({ left: -10, top: -10 }));
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    whenThemeChanges(() => this.draw());
  }

  legend() {
    const items = this.lines.map(({ label, colour, dashed }, i) =>
      make("li", {}, make("span", { class: `swatch c${colour}${dashed ? " dashed" : ""}`, "aria-hidden": "true" }), `${label} `, this.values[i]),
    );
    return make("ul", { class: "legend" }, ...items, this.at);
  }

  details() {
    const heads = ["", "Minimum", "Mean", "Maximum", "Latest"];
    return make(
      "details",
      {},
      make("summary", {}, "Summary"),
      make(
        "table",
        {},
        make("caption", { class: "unseen" }, `${this.title}: minimum, mean, maximum and latest value`),
        make("thead", {}, make("tr", {}, ...heads.map((head, i) => (i === 0 ? make("td") : make("th", { scope: "col", class: "number" }, head))))),
        this.table,
      ),
    );
  }

  wait() {
    this.figure.classList.add("waiting");
  }

  showProblem(problem) {
    this.data = null;
    this.figure.hidden = true;
    this.message.hidden = false;
    this.message.classList.remove("tall");
    setText(this.message, problem);
  }

  show({ times, figures, step }, range) {
    const columns = this.lines.map(({ figure }) => figures[figure] ?? times.map(() => null));
    this.figure.classList.remove("waiting");
    if (!columns.some((column) => column.some((value) => value !== null))) {
      this.showProblem(`No data for this ${range} yet.`);
      return;
    }
    this.data = [times, ...columns];
    this.step = step;
    this.message.hidden = true;
    this.figure.hidden = false;
    this.summarise();
    this.draw();
  }

  /** Fill the summary table: the data for those who do not see the graph or need exact values. */
  summarise() {
    const rows = this.lines.map(({ label }, i) => {
      const known = this.data[i + 1].filter((value) => value !== null);
      const figures = known.length === 0 ? [null, null, null, null] : summary(known);
      const cells = figures.map((value) => make("td", { class: "number" }, value === null ? "–" : this.format(value)));
      return make("tr", {}, make("th", { scope: "row" }, label), ...cells);
    });
    this.table.replaceChildren(...rows);
    this.canvas.setAttribute("aria-valuemin", "0");
    this.canvas.setAttribute("aria-valuemax", String(this.data[0].length - 1));
    this.point(null);
  }

  /** Show the values of the step under the cursor in the legend, or the latest known ones. */
  point(index) {
    const [times, ...columns] = this.data;
    const latest = times.findLastIndex((_, i) => columns.some((column) => column[i] !== null));
    const shown = index ?? latest;
    columns.forEach((column, i) => setText(this.values[i], column[shown] === null ? "unknown" : this.format(column[shown])));
    const when = index === null ? "latest" : stepTime(times[shown], this.step);
    setText(this.at, when);
    const summary = this.lines.map(({ label }, i) => `${label} ${this.values[i].textContent}`).join(", ");
    this.canvas.setAttribute("aria-valuenow", String(shown));
    this.canvas.setAttribute("aria-valuetext", `${when}: ${summary}`);
  }

  key(event) {
    if (this.plot === null || this.data === null) return;
    const last = this.data[0].length - 1;
    const now = this.plot.cursor.idx ?? last;
    const page = Math.max(1, Math.round(last / 12));
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -page, PageUp: page, Home: -last, End: last };
    if (!Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    const to = Math.min(last, Math.max(0, now + steps[event.key]));
    this.plot.setCursor({ left: this.plot.valToPos(this.data[0][to], "x"), top: HEIGHT / 3 });
  }

  resize() {
    const width = this.canvas.clientWidth;
    if (width > 0 && this.plot !== null && this.plot.width !== width) this.plot.setSize({ width, height: HEIGHT });
  }

  async draw() {
    const uPlot = await loadPlot();
    if (this.data === null || this.canvas.clientWidth === 0) return;
    const colours = this.colours();
    const look = JSON.stringify(colours);
    if (this.plot !== null && this.look === look) {
      this.plot.setData(this.data);
      return;
    }
    this.look = look;
    this.plot?.destroy();
    this.plot = new uPlot(this.options(colours), this.data, this.canvas);
  }

  /** Return the current colours of the style sheet: a canvas does not resolve custom properties. */
  colours() {
    const probe = make("i", { class: "unseen" });
    this.canvas.append(probe);
    const read = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    const found = { text: read("--soft"), grid: read("--faint"), lines: this.lines.map(({ colour }) => read(`--c${colour}`)) };
    probe.remove();
    return found;
  }

  options({ text, grid, lines }) {
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const format = this.format;
    return {
      width: this.canvas.clientWidth,
      height: HEIGHT,
      padding: [8, 30, 0, 0], // half of the last time label
      legend: { show: false },
      cursor: { y: false, drag: { setScale: false, x: false, y: false }, sync: { key: this.syncKey } },
      scales: { x: { time: true }, y: { range: (_, least, most) => [Math.min(0, least ?? 0), most > 0 ? most * 1.06 : 1] } },
      axes: [
        { ...axis, values: timeLabels, space: 70, size: 26 },
        {
          ...axis,
          values: (_, splits) => splits.map((value) => format(value)),
          size: (_, labels) => 14 + 7 * Math.max(4, ...(labels ?? []).map((label) => label.length)),
          incrs: this.whole ? wholeSteps() : undefined,
        },
      ],
      series: [
        {},
        ...this.lines.map(({ label, filled, dashed }, i) => ({
          label,
          stroke: lines[i],
          width: 1.75,
          dash: dashed ? [6, 5] : undefined,
          fill: filled ? lines[i].replace(/^rgb\((.+)\)$/, "rgba($1, 0.13)") : undefined,
          points: { show: true, size: 5, fill: lines[i], filter: isolated },
        })),
      ],
      hooks: { setCursor: [(plot) => this.data !== null && this.point(plot.cursor.idx ?? null)] },
    };
  }
}

/** Return the indexes of values between two gaps, which a line would not show. */
function isolated(plot, series) {
  const values = plot.data[series];
  const missing = (i) => values[i] === null || values[i] === undefined;
  return values.map((_, i) => i).filter((i) => !missing(i) && missing(i - 1) && missing(i + 1));
}

function summary(values) {
  let [least, most, sum] = [Infinity, -Infinity, 0];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
    sum += value;
  }
  return [least, sum / values.length, most, values.at(-1)];
}

/** Return 1, 2, 5, 10, ...: the steps of an axis of whole numbers. */
function wholeSteps() {
  return Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat();
}

// --- time --------------------------------------------------------------------------------------------------

const format = (options) => new Intl.DateTimeFormat("en-GB", options);
const TIME = format({ hour: "2-digit", minute: "2-digit" });
const SECOND = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DATE = format({ day: "numeric", month: "short" });
const MONTH = format({ month: "short", year: "numeric" });
const DATE_TIME = format({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const WHOLE_DATE = format({ day: "numeric", month: "short", year: "numeric" });

function timeLabels(plot, splits, _axis, _space, step) {
  return splits.map((unix) => {
    if (plot.valToPos(unix, "x") < LABEL_MARGIN) return "";
    const date = new Date(unix * 1000);
    if (step >= 28 * DAY) return MONTH.format(date);
    if (step >= DAY || (date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0)) return DATE.format(date);
    return (step < 60 ? SECOND : TIME).format(date);
  });
}

/** Return the start of a step, as exact as its length allows. */
function stepTime(unix, step) {
  const date = new Date(unix * 1000);
  if (step >= DAY) return WHOLE_DATE.format(date);
  return (step >= 60 ? DATE_TIME : SECOND).format(date);
}
