// The miners page: every worker, or every address with all its workers.

import { byId, make, setText, setTime } from "../js/dom.js";
import { difficulty, estimatedRate, hashRate, integer, percent, roughRate, shortWorker } from "../js/format.js";
import { STATE_GROUPS, showState } from "../js/miner.js";
import { startPage, whileVisible } from "../js/page.js";
import { WindowedTable } from "../js/windowed.js";
import { MAX_WORKERS, byAddress, fetchWorkers } from "../js/workers.js";

const PERIOD = 5000;
/** Polling interval in ms when there are more workers than the node returns at once. */
const LONG_PERIOD = 15000;
const FEW = 500;

const query = new URLSearchParams(location.search);
const state = {
  view: query.get("view") === "addresses" ? "addresses" : "workers",
  search: query.get("search") ?? "",
  who: Object.keys(STATE_GROUPS).find((who) => who === query.get("who")) ?? "all",
};
/** @type {?any[]} */
let workers = null;
let total = 0;
let fetchedAt = 0;

// --- tables ------------------------------------------------------------------------------------------------

const text = (id, title, value, show, side = "number") => ({
  id,
  title,
  side,
  sort: value,
  update: (cell, item) => setText(cell, show(item)),
});
const deadRatio = ({ hash_rate: rate, dead_hash_rate: dead }) => (rate > 0 ? dead / rate : 0);
const rejectedRatio = ({ accepted, refused }) => (refused > 0 ? refused / (accepted + refused) : 0);

const difficultyOf = (item) => (item.connections > 0 ? difficulty(item.difficulty) : "disconnected");

const nameColumn = (title) => ({
  id: "name",
  title,
  head: true,
  sort: ({ name }) => name,
  create: () => make("a", { class: "quiet mono" }),
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
    title: "Status",
    sort: ({ state }) => state,
    create: () => make("span", { class: "badge" }),
    update: (cell, { state }) => showState(cell.firstElementChild, state),
  },
  {
    ...text("rate", "Hash rate", ({ hash_rate: rate }) => rate, roughRate),
    update: (cell, item) => {
      setText(cell, roughRate(item));
      cell.title = item.estimating ? estimatedRate(item) : "";
    },
  },
  text("hour", "1 hour", (item) => item.hash_rates["1h"] ?? 0, (item) => hashRate(item.hash_rates["1h"])),
  text("day", "1 day", (item) => item.hash_rates["1d"] ?? 0, (item) => hashRate(item.hash_rates["1d"])),
  text("dead", "DOA", deadRatio, (item) => (item.hash_rate > 0 ? percent(deadRatio(item)) : "–")),
  {
    ...text("difficulty", "Difficulty", (item) => item.difficulty, difficultyOf),
    update: (cell, item) => {
      setText(cell, difficultyOf(item));
      cell.title = difficultyOf(item); // in full, where it is cut off
    },
  },
  text("accepted", "Accepted", ({ accepted }) => accepted, ({ accepted }) => integer(accepted)),
  text("refused", "Rejected", rejectedRatio, (item) => (item.refused > 0 ? `${integer(item.refused)} (${percent(rejectedRatio(item))})` : "0")),
  text("shares", "Shares", ({ shares }) => shares, ({ shares }) => integer(shares)),
  {
    id: "last",
    title: "Last accepted",
    side: "number",
    sort: (item) => item.last_share ?? 0,
    create: () => make("time"),
    update: (cell, item) => setTime(cell.firstElementChild, item.last_share),
  },
];

const nothing = () => {
  if (state.search !== "" || state.who !== "all") return "No matches. Change the search, or choose All.";
  return "No miners connected yet. The dashboard shows how to connect one.";
};

const tables = {
  workers: new WindowedTable("workers", {
    caption: "Workers: name, status, hash rates, dead on arrival (DOA), difficulty, accepted and rejected submissions, shares, last accepted submission, software",
    sort: "rate",
    empty: nothing,
    columns: [
      nameColumn("Worker"),
      ...figures,
      {
        id: "software",
        title: "Software",
        sort: (item) => item.user_agent,
        create: () => make("span", {}),
        update: (cell, item) => {
          setText(cell.firstElementChild, item.user_agent || "–");
          cell.firstElementChild.title = item.user_agent;
        },
      },
    ],
  }),
  addresses: new WindowedTable("addresses", {
    caption: "Addresses: workers, status, hash rates, dead on arrival (DOA), difficulty, accepted and rejected submissions, shares, last accepted submission",
    sort: "rate",
    empty: nothing,
    columns: [nameColumn("Address"), text("workers", "Workers", (item) => item.workers, (item) => integer(item.workers)), ...figures],
  }),
};

// --- controls ----------------------------------------------------------------------------------------------

const sortSelect = byId("sort");
/** Names of the two sort directions of columns that are not amounts. */
const DIRECTIONS = { name: ["Z to A", "A to Z"], state: ["Z to A", "A to Z"], software: ["Z to A", "A to Z"], last: ["latest first", "oldest first"] };

function fillSortSelect() {
  const table = tables[state.view];
  const options = table.columns.filter(({ sort }) => sort !== undefined).flatMap(({ id, title }) => {
    const [down, up] = DIRECTIONS[id] ?? ["high to low", "low to high"];
    return [make("option", { value: `${id}:1` }, `${title}, ${down}`), make("option", { value: `${id}:0` }, `${title}, ${up}`)];
  });
  sortSelect.replaceChildren(...options);
  markSortSelect();
}

function markSortSelect() {
  const { sort, descending } = tables[state.view];
  sortSelect.value = `${sort}:${descending ? 1 : 0}`;
}

for (const table of Object.values(tables)) table.onSort = markSortSelect;
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
byId("search").addEventListener("input", () => {
  state.search = byId("search").value;
  changed();
});
choice("view");
choice("who");

/** Apply the changed choice, and keep it in the URL for reloads and bookmarks. */
function changed() {
  const wanted = Object.entries(state).filter(([name, value]) => value !== (name === "view" ? "workers" : name === "who" ? "all" : ""));
  const search = new URLSearchParams(wanted).toString();
  history.replaceState(null, "", search === "" ? "miners.html" : `miners.html?${search}`);
  fillSortSelect();
  show();
}

// --- showing -----------------------------------------------------------------------------------------------

function show() {
  if (workers === null) return;
  const wanted = state.search.trim().toLowerCase();
  const matches = (item) =>
    (state.who === "all" || STATE_GROUPS[state.who].includes(item.state)) &&
    (wanted === "" || item.name.toLowerCase().includes(wanted) || item.user_agent.toLowerCase().includes(wanted));
  // An address matches if one of its workers does; its figures are the sums over all of them.
  const chosen = workers.filter(matches);
  let shown = chosen;
  if (state.view === "addresses") {
    const names = new Set(byAddress(chosen).map(({ name }) => name));
    shown = byAddress(workers).filter(({ name }) => names.has(name));
  }
  byId("workers").hidden = state.view !== "workers";
  byId("addresses").hidden = state.view !== "addresses";
  tables[state.view].show(shown);
  const all = state.view === "workers" ? workers.length : byAddress(workers).length;
  const [one, several] = state.view === "workers" ? ["worker", "workers"] : ["address", "addresses"];
  const noun = all === 1 ? one : several;
  setText(byId("found"), shown.length === all ? `${integer(all)} ${noun}` : `${integer(shown.length)} of ${integer(all)} ${noun}`);
  byId("cut").hidden = total <= MAX_WORKERS;
}

async function poll() {
  const now = Date.now();
  if (workers !== null && workers.length > FEW && now - fetchedAt < LONG_PERIOD) return;
  let answer;
  try {
    answer = await fetchWorkers();
  } catch {
    return; // the banner says that the node does not answer
  }
  if (answer === null) return;
  fetchedAt = now;
  ({ workers, total } = answer);
  show();
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
startPage({ views: ["api/v1/stratum"], show: (values) => values.has("api/v1/stratum") && showStratum(values.get("api/v1/stratum")) });
whileVisible(poll, PERIOD);
