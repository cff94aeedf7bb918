// Miners' connections: rates, difficulty, software, refused submissions, hosts that misbehave, and bans.

import { BASE } from "../js/api.js";
import { byId, make, setText } from "../js/dom.js";
import { difficulty, duration, integer, percent, significant } from "../js/format.js";
import { lookUp, startPage, whileVisible } from "../js/page.js";
import { Table, emptyNote, textColumn, timeColumn } from "../js/table.js";
import { GraphGroup } from "../js/timeseries.js";
import { REASONS, fetchWorkers } from "../js/workers.js";

const WORKERS_PERIOD = 15000;
const SETTINGS_PERIOD = 600000;
const KEY = "p2pool-api-key";
const SETTINGS = [
  ["share-rate", "Seconds between two submissions that are aimed at"],
  ["start-difficulty", "Difficulty that a miner starts with"],
  ["min-difficulty", "Least difficulty"],
  ["max-difficulty", "Highest difficulty"],
  ["max-connections", "Most connections"],
  ["max-connections-per-ip", "Most connections of one address"],
  ["ban-duration", "Seconds that a ban lasts"],
];

const put = (id, text) => setText(byId(id), text);
const rate = (value) => `${significant(value, 3)}\u00a0/s`;
const sentence = (text) => text[0].toUpperCase() + text.slice(1).replaceAll("_", " ");

// --- tables ------------------------------------------------------------------------------------------------

const barColumn = (title) => ({
  title,
  side: "bar-cell",
  create: () => {
    const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span"));
    return make("span", { class: "bar-box" }, bar, make("span", { class: "bar-text" }));
  },
  update: (cell, { part, length }) => {
    const [bar, text] = cell.firstElementChild.children;
    bar.firstElementChild.style.width = `${(length * 100).toFixed(2)}%`;
    setText(text, percent(part));
  },
});

const counts = (name, { caption, title, number, empty, few = 12 }) => {
  const table = new Table(name, {
    caption,
    few,
    empty: emptyNote(),
    columns: [{ title, head: true, create: ({ text }) => text }, textColumn(number, ({ count }) => integer(count)), barColumn("Part")],
  });
  const none = make("span", {}, empty);
  /** Pairs of [text, number], in their order. */
  return (pairs) => {
    const total = pairs.reduce((sum, [, count]) => sum + count, 0);
    const most = Math.max(1, ...pairs.map(([, count]) => count));
    table.show(pairs.map(([text, count]) => ({ key: text, text, count, part: count / Math.max(1, total), length: count / most })), none);
  };
};

const showAgents = counts("agents", {
  caption: "Software of connected workers: name, number and part",
  title: "Software",
  number: "Workers",
  empty: "No miner is connected.",
});
const showRefused = counts("refused", {
  caption: "Refused submissions by reason: number and part",
  title: "Reason",
  number: "Submissions",
  empty: "No submission was refused.",
});
const showDifficulties = counts("vardiff", {
  caption: "Connected workers by difficulty: from, number and part",
  title: "Difficulty from",
  number: "Workers",
  empty: "No miner is connected.",
  few: 30,
});
const showOffences = counts("offences", {
  caption: "Connections turned away and offences: what for, number and part",
  title: "What for",
  number: "Times",
  empty: "Nobody was turned away or charged.",
});

const hostsTable = new Table("hosts", {
  caption: "Hosts that cost most: address, cost, connections, submissions and refused ones",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "Host", head: true, create: ({ host }) => make("span", { class: "mono" }, host) },
    textColumn("Cost", ({ cost }) => significant(cost, 3)),
    textColumn("Connections", (host) => integer(host.connections)),
    textColumn("Submissions", (host) => integer(host.submissions)),
    textColumn("Refused", (host) => integer(host.refused)),
  ],
});

const bansTable = new Table("bans", {
  caption: "Bans: host, since when, time that remains, reason, and a button that lifts it",
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: "Host", head: true, create: ({ host }) => make("span", { class: "mono" }, host) },
    timeColumn("Since"),
    textColumn("Remaining", ({ remaining }) => duration(Math.max(0, remaining))),
    textColumn("Reason", ({ reason }) => reason, null),
    { title: "Lift", create: ({ host }) => liftButton(host) },
  ],
});

const NONE = { hosts: make("span", {}, "None: all miners behave."), bans: make("span", {}, "Nobody is banned.") };

// --- figures -----------------------------------------------------------------------------------------------

const pairs = (counted, name = (key) => key) =>
  Object.entries(counted).filter(([, count]) => count > 0).map(([key, count]) => [name(key), count]).sort(([, a], [, b]) => b - a);

function showStratum(s) {
  put("f-connections", integer(s.connections));
  put("f-connections-note", `${rate(s.connections_per_second)} new ones`);
  put("f-workers", integer(s.workers));
  put("f-submissions", rate(s.submissions_per_second));
  put("f-submissions-note", `${integer(s.accepted)} accepted since the start, ${integer(s.dead)} of them too late`);
  const all = s.accepted + s.refused;
  put("f-refused", all > 0 ? percent(s.refused / all) : "0%");
  put("f-refused-note", `${integer(s.refused)} of ${integer(all)}, now ${rate(s.refused_per_second)}`);
  put("f-turned", integer(Object.values(s.turned_away).reduce((sum, count) => sum + count, 0)));
  put("f-banned", integer(s.banned_hosts));
  showAgents(pairs(s.user_agents, (agent) => agent || "not told"));
  showRefused(pairs(s.refused_by, (reason) => sentence(REASONS[reason] ?? reason)));
  const offences = [...pairs(s.turned_away, (reason) => `Turned away: ${reason}`), ...pairs(s.offences, (kind) => `Charged: ${kind}`)];
  showOffences(offences);
  hostsTable.show(s.hosts.map((host) => ({ ...host, key: host.host })), NONE.hosts);
}

const showBans = ({ bans }) => bansTable.show(bans.map((ban) => ({ ...ban, key: ban.host, ts: ban.since })), NONE.bans);

async function lookAtWorkers() {
  let answer;
  try {
    answer = await fetchWorkers({ connected: "true" });
  } catch {
    return; // the page says that the node is gone
  }
  if (answer === null) return;
  const found = answer.workers.map((worker) => worker.difficulty).filter((value) => value > 0).sort((a, b) => a - b);
  const groups = new Map();
  for (const value of found) {
    const power = 2 ** Math.floor(Math.log2(value) + 1e-9);
    groups.set(power, (groups.get(power) ?? 0) + 1);
  }
  showDifficulties([...groups].map(([power, count]) => [difficulty(power), count]));
  const range = `From ${difficulty(found[0])} to ${difficulty(found.at(-1))}, in the middle ${difficulty(found[found.length >> 1])}.`;
  put("vardiff-lead", `Each miner’s difficulty adapts to its speed.${found.length === 0 ? "" : ` ${range}`}`);
}

function showSettings(value, status) {
  if (status !== 200) return;
  const rows = SETTINGS.filter(([flag]) => ["number", "string"].includes(typeof value.settings[flag])).map(([flag, text]) => {
    const setting = value.settings[flag];
    const shown = typeof setting === "number" ? significant(setting, 6) : setting;
    return make("div", {}, make("dt", {}, text, make("span", { class: "note mono" }, `--${flag}`)), make("dd", {}, shown));
  });
  byId("vardiff-settings").replaceChildren(...rows);
}

// --- lifting a ban -----------------------------------------------------------------------------------------

const keyField = byId("key");

/** The key lives in this tab: in its session storage, or in the field alone where that is forbidden. */
function keep(key) {
  try {
    if (key === "") sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, key);
  } catch {
    // the field has it
  }
  byId("forget").disabled = key === "";
}

function liftButton(host) {
  const button = make("button", { type: "button", class: "small" }, "Lift", make("span", { class: "unseen" }, ` the ban of ${host}`));
  button.addEventListener("click", async () => {
    const key = keyField.value.trim();
    if (key === "") {
      put("answer", "Type an API key of this node first.");
      keyField.focus();
      return;
    }
    button.disabled = true;
    put("answer", await lift(host, key));
    button.disabled = false;
  });
  return button;
}

/** What to tell of the node's answer. */
async function lift(host, key) {
  let response;
  let value = null;
  try {
    const headers = { "X-API-Key": key, "Content-Type": "application/json" };
    response = await fetch(new URL("api/v1/admin/unban", BASE), { method: "POST", headers, body: JSON.stringify({ host }) });
    value = await response.json();
  } catch (error) {
    if (response === undefined) return `The node did not answer: ${error.message}.`;
  }
  if (!response.ok) return `The node refused (${response.status}): ${value?.error?.message ?? "it gave no reason"}.`;
  keep(key);
  return value.was_banned ? `The ban of ${host} is lifted.` : `${host} was not banned any more.`;
}

byId("key-form").addEventListener("submit", (event) => event.preventDefault());
byId("forget").addEventListener("click", () => {
  keyField.value = "";
  keep("");
  put("answer", "The key is forgotten.");
  keyField.focus();
});
keyField.addEventListener("change", () => keep(keyField.value.trim()));
try {
  keyField.value = sessionStorage.getItem(KEY) ?? "";
} catch {
  // none is kept
}
byId("forget").disabled = keyField.value === "";

startPage({
  views: ["api/v1/stratum", "api/v1/bans"],
  show: (values) => {
    if (values.has("api/v1/stratum")) showStratum(values.get("api/v1/stratum"));
    if (values.has("api/v1/bans")) showBans(values.get("api/v1/bans"));
  },
});
whileVisible(lookAtWorkers, WORKERS_PERIOD);
lookUp("api/v1/config", SETTINGS_PERIOD, showSettings);
new GraphGroup({
  tools: "graph-tools",
  label: "miners",
  of: "pool",
  graphs: [
    {
      holder: "graph-miners",
      title: "Connections, workers and addresses",
      format: (value) => significant(value, 4),
      whole: true,
      lines: [
        { figure: "workers", label: "Workers", colour: 1, filled: true },
        { figure: "connected_addresses", label: "Addresses", colour: 3 },
        { figure: "connections", label: "Connections", colour: 2, dashed: true }, // mostly as many as workers
      ],
    },
  ],
});
