// The miners page: every worker, or every address with all its workers, a page of the list at a time.

import { byId, make, setText, setTime } from "../js/dom.js";
import { difficulty, estimatedRate, hashRate, integer, listed, percent, roughRate, shortWorker } from "../js/format.js";
import { plural, t } from "../js/language.js";
import { showPages } from "../js/listing.js";
import { STATE_GROUPS, showState } from "../js/miner.js";
import { pollPath, startPage } from "../js/page.js";
import { PagedTable } from "../js/paged.js";
import { explainTerms } from "../js/terms.js";

const PERIOD = 5000;
/** Rows on a page of the list. */
const PAGE = 200;
/** Pause in typing, in ms, after which the node searches. */
const TYPING = 250;

const query = new URLSearchParams(location.search);
const state = {
  view: query.get("view") === "addresses" ? "addresses" : "workers",
  search: query.get("search") ?? "",
  who: STATE_GROUPS.find((who) => who === query.get("who")) ?? "all",
};
let page = 0;

// --- tables ------------------------------------------------------------------------------------------------

const text = (id, title, sort, show, side = "number") => ({
  id,
  title,
  side,
  sort,
  update: (cell, item) => setText(cell, show(item)),
});
const deadRatio = ({ hash_rate: rate, dead_hash_rate: dead }) => (rate > 0 ? dead / rate : 0);
const rejectedRatio = ({ accepted, refused }) => (refused > 0 ? refused / (accepted + refused) : 0);

const difficultyOf = (item) => (item.connections > 0 ? difficulty(item.difficulty) : t("disconnected"));

const nameColumn = (title) => ({
  id: "name",
  title,
  head: true,
  sort: "name",
  create: () => make("a", { class: "quiet mono", translate: "no" }),
  update: (cell, { name }) => {
    const link = cell.firstElementChild;
    if (link.title === name) return;
    link.title = name;
    link.href = `worker.html?name=${encodeURIComponent(name)}`;
    link.replaceChildren(make("span", { class: "is-long" }, name), make("span", { class: "is-short" }, shortWorker(name)));
  },
});

const figures = [
  {
    id: "state",
    title: t("Status"),
    create: () => make("span", { class: "badge" }),
    update: (cell, { state }) => showState(cell.firstElementChild, state),
  },
  {
    ...text("rate", t("Hash rate"), "hash_rate", roughRate),
    update: (cell, item) => {
      setText(cell, roughRate(item));
      cell.title = item.estimating ? estimatedRate(item) : "";
    },
  },
  text("hour", t("1 hour"), "hash_rate_1h", (item) => hashRate(item.hash_rates["1h"])),
  text("day", t("1 day"), "hash_rate_1d", (item) => hashRate(item.hash_rates["1d"])),
  text("dead", t("DOA"), "dead_part", (item) => (item.hash_rate > 0 ? percent(deadRatio(item)) : "–")),
  {
    ...text("difficulty", t("Difficulty"), "difficulty", difficultyOf),
    update: (cell, item) => {
      setText(cell, difficultyOf(item));
      cell.title = difficultyOf(item); // in full, where it is cut off
    },
  },
  text("accepted", t("Accepted"), "accepted", ({ accepted }) => integer(accepted)),
  text("refused", t("Rejected"), "refused_part", (item) => (item.refused > 0 ? `${integer(item.refused)} (${percent(rejectedRatio(item))})` : "0")),
  text("shares", t("Shares"), "shares", ({ shares }) => integer(shares)),
  {
    id: "last",
    title: t("Last accepted"),
    side: "number",
    sort: "last_share",
    create: () => make("time"),
    update: (cell, item) => setTime(cell.firstElementChild, item.last_share),
  },
];

const nothing = () => {
  if (state.search !== "" || state.who !== "all") return t("No matches. Change the search, or choose All.");
  return t("No miners connected yet. The dashboard shows how to connect one.");
};

const tables = {
  workers: new PagedTable("workers", {
    caption: t("Workers: name, status, hash rates, dead on arrival (DOA), difficulty, accepted and rejected submissions, shares, last accepted submission, software"),
    sort: "rate",
    empty: nothing,
    changed: reordered,
    columns: [
      nameColumn(t("Worker")),
      ...figures,
      {
        id: "software",
        title: t("Software"),
        sort: "user_agent",
        create: () => make("span", {}),
        update: (cell, item) => {
          setText(cell.firstElementChild, item.user_agent || "–");
          cell.firstElementChild.title = item.user_agent;
        },
      },
    ],
  }),
  addresses: new PagedTable("addresses", {
    caption: t("Addresses: workers, status, hash rates, dead on arrival (DOA), difficulty, accepted and rejected submissions, shares, last accepted submission"),
    sort: "rate",
    empty: nothing,
    changed: reordered,
    columns: [nameColumn(t("Address")), text("workers", t("Workers"), "workers", (item) => integer(item.workers)), ...figures],
  }),
};

// --- controls ----------------------------------------------------------------------------------------------

const sortSelect = byId("sort");
/** Names of the two sort directions of columns that are not amounts. */
const DIRECTIONS = { name: [t("Z to A"), t("A to Z")], software: [t("Z to A"), t("A to Z")], last: [t("latest first"), t("oldest first")] };

function fillSortSelect() {
  const table = tables[state.view];
  const options = table.columns.filter(({ sort }) => sort !== undefined).flatMap(({ id, title }) => {
    const [down, up] = DIRECTIONS[id] ?? [t("high to low"), t("low to high")];
    return [make("option", { value: `${id}:1` }, listed([title, down])), make("option", { value: `${id}:0` }, listed([title, up]))];
  });
  sortSelect.replaceChildren(...options);
  markSortSelect();
}

function markSortSelect() {
  const { sort, descending } = tables[state.view];
  sortSelect.value = `${sort}:${descending ? 1 : 0}`;
}

sortSelect.addEventListener("change", () => {
  const [id, descending] = sortSelect.value.split(":");
  tables[state.view].sortBy(id, descending === "1");
});

function choice(name) {
  /** @type {NodeListOf<HTMLElement>} */
  const found = document.querySelectorAll(`button[data-${name}]`);
  const buttons = [...found];
  const mark = () => buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset[name] === state[name])));
  for (const button of buttons) {
    button.addEventListener("click", () => {
      state[name] = button.dataset[name];
      mark();
      changed();
    });
  }
  mark();
}

byId("search").value = state.search;
let typing = 0;
byId("search").addEventListener("input", () => {
  state.search = byId("search").value;
  clearTimeout(typing);
  typing = setTimeout(changed, TYPING);
});
choice("view");
choice("who");

/** Apply the changed choice, and keep it in the URL for reloads and bookmarks. */
function changed() {
  const wanted = Object.entries(state).filter(([name, value]) => value !== (name === "view" ? "workers" : name === "who" ? "all" : ""));
  const search = new URLSearchParams(wanted).toString();
  history.replaceState(null, "", search === "" ? "miners.html" : `miners.html?${search}`);
  fillSortSelect();
  turn(0);
}

function reordered() {
  markSortSelect();
  turn(0);
}

// --- showing -----------------------------------------------------------------------------------------------

function path() {
  const asked = new URLSearchParams({ ...tables[state.view].order, limit: String(PAGE), offset: String(page * PAGE) });
  const search = state.search.trim();
  if (search !== "") asked.set("search", search);
  if (state.who !== "all") asked.set("state", state.who);
  return `api/v1/${state.view}?${asked}`;
}

const again = pollPath(path, PERIOD, show);

function turn(wanted) {
  page = wanted;
  again();
}

function show(value, status) {
  if (status !== 200) return; // busy for a moment, or starting: asked again soon
  if (value.workers === undefined === (state.view === "workers")) return; // of the view before
  const { total, known } = value;
  const items = state.view === "workers" ? value.workers : value.addresses.map((row) => ({ ...row, name: row.address }));
  if (items.length === 0 && page > 0) {
    turn(Math.max(0, Math.ceil(total / PAGE) - 1)); // the list has become shorter
    return;
  }
  byId("workers").hidden = state.view !== "workers";
  byId("addresses").hidden = state.view !== "addresses";
  tables[state.view].show(items, page * PAGE, total);
  const all = state.view === "workers" ? plural(known, "{0} worker", "{0} workers") : plural(known, "{0} address", "{0} addresses");
  setText(byId("found"), total === known ? all : t`${integer(total)} of ${all}`);
  showPages(byId("pages"), page, Math.ceil(total / PAGE), turn);
}

function showStratum(stratum) {
  const { hash_rate: rate, dead_hash_rate: dead, connections, workers: connected, shares } = stratum;
  setText(byId("f-rate"), estimatedRate(stratum));
  setText(byId("f-dead"), rate > 0 ? percent(dead / rate) : "–");
  setText(byId("f-workers"), integer(connected));
  setText(byId("f-connections"), integer(connections));
  setText(byId("f-shares"), integer(shares));
}

fillSortSelect();
explainTerms();
startPage({ views: ["api/v1/stratum"], show: (values) => values.has("api/v1/stratum") && showStratum(values.get("api/v1/stratum")) });
