// One graph over time: drawn by uPlot, and also given as a text and a table. Groups of them: timeseries.js.

import { byId, make, nextTurn, setText } from "./dom.js";
import { labelled, listed, zone } from "./format.js";
import { drawAverage, drawBlocks } from "./graphmarks.js";
import { language, lazily, locale, plural, t } from "./language.js";
import { whenThemeChanges } from "./shell.js";

const HEIGHT = 240;
/** Minimum distance in px of a time label's centre from the left edge of the graph. */
const LABEL_MARGIN = 26;
const DAY = 86400;
/** Blocks whose times are written in the summary. */
const MAX_LISTED = 12;

const NO_DATA = {
  hour: t("No data for this hour yet."),
  day: t("No data for this day yet."),
  week: t("No data for this week yet."),
  month: t("No data for this month yet."),
  year: t("No data for this year yet."),
};

/** Load uPlot and its style sheet when the first graph is drawn, so that figures do not wait for them. */
const loadPlot = lazily(async () => {
  const sheet = make("link", { rel: "stylesheet", href: new URL("../vendor/uPlot.min.css", import.meta.url).href });
  const isStyled = new Promise((resume) => (sheet.onload = sheet.onerror = resume));
  document.head.prepend(sheet); // what our own says comes after it
  const [module] = await Promise.all([import("../vendor/uPlot.esm.js"), isStyled]);
  return /** @type {any} */ (module.default);
});

/** Graphs are drawn when they are at most half a screen away from what the reader sees: phones take long for it. */
const NEAR = { rootMargin: "50% 0px" };

/** Call `act` once, when the element is near what the reader sees. */
function whenNear(element, act) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    observer.disconnect();
    act();
  }, NEAR);
  observer.observe(element);
}

/**
 * A graph in the element with the id `holder`. `lines` are {figure, label, colour (1 to 6), filled, dashed}; `format`
 * returns a value as text; `whole` means that values are whole numbers; `blocks`, that found blocks are marked in it;
 * `over` is a line like the others, on an axis of its own, which is shown while its data are there.
 */
export class Graph {
  constructor({ holder, title, lines, format, whole = false, blocks = false, over = null }, syncKey) {
    this.title = title;
    this.over = over;
    this.lines = over === null ? lines : [...lines, over];
    this.blocks = blocks;
    /** When blocks were found, in Unix seconds, oldest first. @type {number[]} */
    this.found = [];
    this.isAverageShown = false;
    /** The legend's item of `over`. @type {?HTMLElement} */
    this.overItem = null;
    this.format = format;
    this.syncKey = syncKey;
    /** The uPlot instance. @type {any} */
    this.plot = null;
    /** The times, and the values of each line. @type {any} */
    this.data = null;
    this.whole = whole;
    this.isNear = false;
    this.message = make("p", { class: "empty tall", role: "status" }, t("Loading…"));
    /** What is shown when there are data, made then. @type {any} */
    this.figure = null;
    byId(holder).append(this.message);
    whenThemeChanges(() => this.draw());
  }

  build() {
    this.values = this.lines.map(() => make("b", {}));
    this.at = make("li", { class: "graph-at" });
    this.canvas = make("div", {
      class: "graph-canvas",
      role: "slider",
      tabindex: "0",
      "aria-label": t`${this.title}: use the arrow keys to select a time`,
      "aria-orientation": "horizontal",
    });
    this.table = make("tbody");
    this.list = make("p", { class: "graph-blocks", hidden: "" });
    this.figure = make("div", { class: "graph" }, this.legend(), this.canvas, this.details());
    this.message.after(this.figure);
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.plot?.setCursor({ left: -10, top: -10 }));
    this.figure.addEventListener("fullscreenchange", () => this.resize());
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    whenNear(this.figure, () => {
      this.isNear = true;
      this.draw();
    });
  }

  legend() {
    const items = this.lines.map(({ label, colour, dashed }, i) =>
      make("li", {}, make("span", { class: `swatch c${colour}${dashed ? " dashed" : ""}`, "aria-hidden": "true" }), `${label} `, this.values[i]),
    );
    if (this.over !== null) [this.overItem] = items.slice(-1);
    return make("div", { class: "graph-head" }, make("ul", { class: "legend" }, ...items, this.at), this.fullscreenButton());
  }

  fullscreenButton() {
    if (!document.fullscreenEnabled) return "";
    const button = make("button", { type: "button", class: "small graph-whole", title: t("Full screen") });
    button.setAttribute("aria-label", t`${this.title}: full screen`);
    button.addEventListener("click", () => (document.fullscreenElement === null ? this.figure.requestFullscreen() : document.exitFullscreen()));
    return button;
  }

  details() {
    const heads = ["", t("Minimum"), t("Mean"), t("Maximum"), t("Latest")];
    return make(
      "details",
      {},
      make("summary", {}, t("Summary")),
      make(
        "table",
        {},
        make("caption", { class: "unseen" }, t`${this.title}: minimum, mean, maximum and latest value`),
        make("thead", {}, make("tr", {}, ...heads.map((head, i) => (i === 0 ? make("td") : make("th", { scope: "col", class: "number" }, head))))),
        this.table,
      ),
      this.list,
    );
  }

  wait() {
    this.figure?.classList.add("waiting");
  }

  showProblem(problem) {
    this.data = null;
    if (this.figure !== null) this.figure.hidden = true;
    this.message.hidden = false;
    setText(this.message, problem);
  }

  show({ times, figures, step }, range) {
    const columns = this.lines.map(({ figure }) => figures[figure] ?? times.map(() => null));
    this.figure?.classList.remove("waiting");
    if (!columns.some((column) => column.some((value) => value !== null))) {
      this.showProblem(NO_DATA[range]);
      return;
    }
    if (this.figure === null) this.build();
    this.data = [times, ...columns];
    this.step = step;
    if (this.overItem !== null) this.overItem.hidden = !columns.at(-1).some((value) => value !== null);
    this.message.hidden = true;
    this.figure.hidden = false;
    this.summarise();
    this.draw();
  }

  /** Mark these times, in Unix seconds, at which blocks were found. */
  mark(found) {
    if (!this.blocks) return;
    this.found = found;
    this.summarise();
    this.plot?.redraw();
  }

  /** Show the average and the peak of each line, or no longer. */
  showAverage(isShown) {
    this.isAverageShown = isShown;
    this.plot?.redraw();
  }

  /** Fill the summary table: the data for those who do not see the graph or need exact values. */
  summarise() {
    if (this.data === null) return;
    const within = this.found.filter((unix) => unix >= this.data[0][0]);
    const listed = within.slice(-MAX_LISTED).reverse().map((unix) => DATE_TIME().format(new Date(unix * 1000)));
    const more = within.length - listed.length;
    this.list.hidden = within.length === 0;
    const times = listed.join("; ") + (more > 0 ? t`; and ${more} before` : "");
    setText(this.list, t`Blocks found: ${within.length} (${times})`);
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
    columns.forEach((column, i) => setText(this.values[i], column[shown] === null ? t("unknown") : this.format(column[shown])));
    const latestText = this.step >= DAY ? t("latest") : t`latest; times in ${zone()}`;
    const when = index === null ? latestText : `${stepTime(times[shown], this.step)}${this.foundIn(times[shown])}`;
    setText(this.at, when);
    const summary = listed(this.lines.map(({ label }, i) => `${label} ${this.values[i].textContent}`));
    this.canvas.setAttribute("aria-valuenow", String(shown));
    this.canvas.setAttribute("aria-valuetext", labelled(when, summary));
  }

  /** Return how many blocks were found in a step, as text that follows its time. */
  foundIn(start) {
    const count = this.found.filter((unix) => unix >= start && unix < start + this.step).length;
    return count === 0 ? "" : plural(count, ", block found", ", {0} blocks found");
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
    this.plot.setCursor({ left: this.plot.valToPos(this.data[0][to], "x"), top: this.plot.height / 3 });
  }

  resize() {
    const [width, height] = [this.canvas.clientWidth, this.height()];
    if (width > 0 && this.plot !== null && (this.plot.width !== width || this.plot.height !== height)) this.plot.setSize({ width, height });
  }

  /** Return the height of the drawing in px: all that is left of a full screen. */
  height() {
    return document.fullscreenElement === this.figure ? Math.max(HEIGHT, this.canvas.clientHeight) : HEIGHT;
  }

  async draw() {
    if (!this.isNear || this.data === null) return;
    const uPlot = await loadPlot();
    await nextTurn();
    if (this.data === null || this.canvas.clientWidth === 0) return;
    const colours = this.colours();
    const look = JSON.stringify([colours, this.overItem?.hidden]);
    if (this.plot !== null && this.look === look) {
      this.plot.setData(this.data);
      return;
    }
    this.look = look;
    this.plot?.destroy();
    this.plot = new uPlot(this.options(colours), this.data, this.canvas);
  }

  colours() {
    palette ??= readPalette();
    return { ...palette, lines: this.lines.map(({ colour }) => palette.lines[colour - 1]) };
  }

  /** Draw what lies over the lines. Averages of the first line and of `over` only: more texts would cover each other. */
  drawMarks(plot, { block, ground, lines, font }) {
    drawBlocks(plot, this.found, block);
    if (!this.isAverageShown) return;
    const look = { ground, font, format: this.format };
    drawAverage(plot, 1, { ...look, colour: lines[0], isRight: false });
    if (this.over !== null) drawAverage(plot, lines.length, { ...look, colour: lines.at(-1), isRight: true });
  }

  options({ text, grid, ground, block, lines }) {
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const format = this.format;
    return {
      width: this.canvas.clientWidth,
      height: this.height(),
      padding: [8, 30, 0, 0], // half of the last time label
      legend: { show: false },
      cursor: { y: false, drag: { setScale: false, x: false, y: false }, sync: { key: this.syncKey } },
      scales: { x: { time: true }, y: { range: fromNought }, over: { range: fromNought } },
      axes: [
        { ...axis, values: timeLabels, space: 70, size: 26 },
        {
          ...axis,
          values: (_, splits) => splits.map((value) => format(value)),
          size: (_, labels) => 14 + 7 * Math.max(4, ...(labels ?? []).map((label) => label.length)),
          incrs: this.whole ? wholeSteps() : undefined,
        },
        {
          ...axis,
          scale: "over",
          side: 1,
          grid: { show: false },
          stroke: lines.at(-1),
          show: this.overItem?.hidden === false,
          values: (_, splits) => splits.map((value) => format(value)),
          size: (_, labels) => 14 + 7 * Math.max(4, ...(labels ?? []).map((label) => label.length)),
        },
      ],
      series: [
        {},
        ...this.lines.map(({ label, filled, dashed }, i) => ({
          label,
          scale: this.over !== null && i === this.lines.length - 1 ? "over" : "y",
          stroke: lines[i],
          width: 1.75,
          dash: dashed ? [6, 5] : undefined,
          fill: filled ? lines[i].replace(/^rgb\((.+)\)$/, "rgba($1, 0.13)") : undefined,
          points: { show: true, size: 5, fill: lines[i], filter: isolated },
        })),
      ],
      hooks: {
        setCursor: [(plot) => this.data !== null && this.point(plot.cursor.idx ?? null)],
        draw: [(plot) => this.drawMarks(plot, { block, ground, lines, font })],
      },
    };
  }
}

/** The colours of the theme, once a graph has needed them. @type {any} */
let palette = null;
whenThemeChanges(() => {
  palette = null;
});

/** Return the current colours of the style sheet: a canvas does not resolve custom properties. */
function readPalette() {
  const probe = make("i", { class: "unseen" });
  document.body.append(probe);
  const read = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const [text, grid, block, ground] = ["--soft", "--faint", "--good", "--surface"].map(read);
  const lines = [1, 2, 3, 4, 5, 6].map((number) => read(`--c${number}`));
  probe.remove();
  return { text, grid, block, ground, lines };
}

/** Return the range of an axis of values that begins at nought. */
function fromNought(_plot, least, most) {
  return [Math.min(0, least ?? 0), most > 0 ? most * 1.06 : 1];
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

const format = (options) => lazily(() => new Intl.DateTimeFormat(language === "en" ? "en-GB" : locale, options));
const ZONE = { timeZoneName: /** @type {const} */ ("short") };
const TIME = format({ hour: "2-digit", minute: "2-digit" });
const SECOND = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DATE = format({ day: "numeric", month: "short" });
const MONTH = format({ month: "short", year: "numeric" });
const DATE_TIME = format({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", ...ZONE });
const SECOND_ZONE = format({ hour: "2-digit", minute: "2-digit", second: "2-digit", ...ZONE });
const WHOLE_DATE = format({ day: "numeric", month: "short", year: "numeric" });

function timeLabels(plot, splits, _axis, _space, step) {
  return splits.map((unix) => {
    if (plot.valToPos(unix, "x") < LABEL_MARGIN) return "";
    const date = new Date(unix * 1000);
    if (step >= 28 * DAY) return MONTH().format(date);
    if (step >= DAY || (date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0)) return DATE().format(date);
    return (step < 60 ? SECOND : TIME)().format(date);
  });
}

/** Return the start of a step, as exact as its length allows. */
function stepTime(unix, step) {
  const date = new Date(unix * 1000);
  if (step >= DAY) return WHOLE_DATE().format(date);
  return (step >= 60 ? DATE_TIME : SECOND_ZONE)().format(date);
}
