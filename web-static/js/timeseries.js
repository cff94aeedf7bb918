// Groups of graphs of /api/v1/history/series, with their tools.

import { BASE, fetchJson, historyProblem } from "./api.js";
import { byId, inTurn, make } from "./dom.js";
import { Graph } from "./graph.js";
import { RANGES, readChoice, writeChoice } from "./graphaddress.js";
import { t } from "./language.js";
import { pollPath } from "./page.js";

const REFRESH = 30000;
/** Requested points: about one for every other pixel of a graph. */
const POINTS = matchMedia("(max-width: 40rem)").matches ? 240 : 500;
/** The node accepts at most so many figure names, but returns all figures if none is named. */
const MAX_FIGURES = 10;
/** Steps drawn at least, when few have data. */
const MIN_STEPS = 12;
/** The most blocks that the node tells at once. */
const MAX_BLOCKS = 500;
/** The figure of a miner that is shown over those of the pool. */
const MINER_FIGURE = "hash_rate";
const HOUR = 3600;
const RANGE_TEXTS = { hour: t("Hour"), day: t("Day"), week: t("Week"), month: t("Month"), year: t("Year") };

/**
 * Graphs that share a time range, a request and a cursor. What the reader chooses is kept in the page's address.
 *
 * `tools` is the id of the element for the range buttons and the CSV link; `label` names the graphs to screen readers;
 * for `of` and `name` see /api/v1/history/series; `graphs` are the options of each Graph; `hasOptions`: there are
 * buttons for averages and blocks, and a field for a miner whose hash rate is shown in graphs that have a line for it.
 */
export class GraphGroup {
  /** @param {any} options */
  constructor({ tools, label, of, name = null, graphs, hasOptions = false }) {
    const { range, average, blocks, miner } = readChoice();
    this.of = of;
    this.name = name;
    this.range = range ?? "day";
    this.isChosen = range !== null;
    this.miner = hasOptions ? miner : null;
    this.isBlocksShown = blocks;
    this.graphs = graphs.map((options) => new Graph(options, `graphs-${tools}`));
    const figures = graphs.flatMap(({ lines }) => lines.map(({ figure }) => figure));
    this.figures = [...new Set(figures)];
    this.overFigure = graphs.find(({ over }) => over)?.over.figure;
    this.buttons = RANGES.map((each) => this.button(each));
    this.csv = make("a", { class: "csv" }, "CSV");
    const options = hasOptions ? [this.options(average, blocks), this.minerForm()] : [];
    byId(tools).append(
      make("div", { class: "choice", role: "group", "aria-label": t`Time range: ${label}` }, ...this.buttons),
      ...options,
      this.csv,
    );
    if (hasOptions) this.graphs.forEach((graph) => graph.showAverage(average));
    this.mark();
    this.again = pollPath(() => this.path(""), REFRESH, (value, status) => this.show(value, status));
    if (graphs.some((options) => options.blocks)) {
      this.blocksAgain = pollPath(() => this.blocksPath(), REFRESH, (value, status) => this.showBlocks(value, status));
    }
  }

  button(range) {
    const button = make("button", { type: "button", "data-range": range }, RANGE_TEXTS[range]);
    button.addEventListener("click", () => {
      writeChoice({ range });
      this.choose(range);
    });
    return button;
  }

  options(average, blocks) {
    const averages = toggle(t("Average and peak"), average, (isOn) => {
      writeChoice({ average: isOn ? "1" : null });
      this.graphs.forEach((graph) => graph.showAverage(isOn));
    });
    const marks = toggle(t("Blocks"), blocks, (isOn) => {
      writeChoice({ blocks: isOn ? null : "0" });
      this.isBlocksShown = isOn;
      if (isOn) this.blocksAgain?.();
      else this.graphs.forEach((graph) => graph.mark([]));
    });
    return make("div", { class: "choice", role: "group", "aria-label": t("Show in the graphs") }, averages, marks);
  }

  minerForm() {
    const field = make("input", {
      type: "search",
      id: "over-miner",
      placeholder: t("address or worker"),
      autocomplete: "off",
      spellcheck: "false",
      maxlength: "200",
    });
    field.value = this.miner ?? "";
    this.minerProblem = make("span", { class: "graph-problem", role: "status" });
    const form = make(
      "form",
      { class: "graph-miner" },
      make("label", { for: "over-miner" }, t("Miner")),
      field,
      make("button", { class: "button" }, t("Compare")),
      this.minerProblem,
    );
    const apply = () => {
      this.miner = field.value.trim() || null;
      this.minerProblem.textContent = "";
      writeChoice({ miner: this.miner });
      this.again();
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      apply();
    });
    field.addEventListener("search", apply);
    return form;
  }

  choose(range) {
    this.isChosen = true;
    this.range = range;
    this.mark();
    this.graphs.forEach((graph) => graph.wait());
    this.again();
    this.blocksAgain?.();
  }

  mark() {
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.range === this.range));
    this.csv.href = new URL(this.path(".csv"), BASE).href;
  }

  path(suffix) {
    const figures = this.figures.length > MAX_FIGURES ? null : this.figures.join(",");
    return seriesPath({ suffix, of: this.of, name: this.name, range: this.range, figures });
  }

  blocksPath() {
    return this.isBlocksShown ? `api/v1/history/blocks?range=${this.range}&limit=${MAX_BLOCKS}` : null;
  }

  async show(value, status) {
    const problem = status === 200 ? null : problemOf(value, status);
    if (problem === null && !this.isChosen && this.range === "day" && isYoung(value)) {
      this.choose("hour"); // the day of a node that has just started is an empty graph
      return;
    }
    const { range } = this;
    const over = problem === null ? await this.fetchOver(value) : {};
    if (range !== this.range) return; // another one was chosen meanwhile
    const series = problem === null ? withoutEmptyStart({ ...value, figures: { ...value.figures, ...over } }) : null;
    const showOne = (graph, i) => {
      if (range !== this.range) return;
      if (problem === null) graph.show(series, range);
      else graph.showProblem(i === 0 ? problem : t("Unavailable for the same reason."));
    };
    inTurn(...this.graphs.map((graph, i) => () => showOne(graph, i)));
    this.csv.hidden = problem !== null;
  }

  /** Return the miner's hash rate at the times of a series, as a further figure of it; no figure if there is none. */
  async fetchOver({ times }) {
    const { miner } = this;
    if (miner === null || this.overFigure === undefined) return {};
    const of = miner.includes(".") ? "worker" : "address";
    const path = seriesPath({ of, name: miner, range: this.range, figures: MINER_FIGURE });
    const { value, status } = await fetchJson(path).catch(() => ({ value: null, status: 0 }));
    if (miner !== this.miner) return {};
    this.minerProblem.textContent = status === 200 || status === 0 ? "" : problemOf(value, status);
    if (status !== 200) return {};
    const known = new Map(value.times.map((unix, i) => [unix, value.figures[MINER_FIGURE][i]]));
    return { [this.overFigure]: times.map((unix) => known.get(unix) ?? null) };
  }

  showBlocks(value, status) {
    if (status !== 200 || !this.isBlocksShown) return; // the graphs say why history is away
    const found = value.blocks.map(({ time }) => time).reverse();
    this.graphs.forEach((graph) => graph.mark(found));
  }
}

function toggle(text, isOn, change) {
  const button = make("button", { type: "button", "aria-pressed": String(isOn) }, text);
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    change(now);
  });
  return button;
}

function seriesPath({ suffix = "", of, name, range, figures }) {
  const query = new URLSearchParams({ of, range, points: String(POINTS) });
  if (name !== null) query.set("name", name);
  return `api/v1/history/series${suffix}?${query}${figures === null ? "" : `&figures=${figures}`}`;
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
  if (status === 404) return code === "unknown_name" ? t("History has no data for this name yet.") : t("This node keeps no history of these figures.");
  return t`${historyProblem(value, status)} Everything else still works.`;
}
