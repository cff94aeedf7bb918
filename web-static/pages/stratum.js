// The stratum page: connections, rates, gateways, worker difficulty, software, rejected submissions, ban scores and bans.

import { BASE } from "../js/api.js";
import { byId, make, setText } from "../js/dom.js";
import { ago, difficulty, duration, hashRate, integer, percent, significant } from "../js/format.js";
import { pollPath, startPage } from "../js/page.js";
import { Table, emptyNote, textColumn, timeColumn } from "../js/table.js";
import { GraphGroup } from "../js/timeseries.js";
import { REASONS } from "../js/workers.js";

const SETTINGS_PERIOD = 600000;
const KEY = "p2pool-api-key";
const SETTINGS = [
  ["share-rate", "Target interval between submissions, in seconds"],
  ["start-difficulty", "Initial difficulty"],
  ["min-difficulty", "Minimum difficulty"],
  ["max-difficulty", "Maximum difficulty"],
  ["max-connections", "Maximum connections"],
  ["max-connections-per-ip", "Maximum connections per IP address"],
  ["ban-duration", "Ban duration in seconds"],
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
    columns: [{ title, head: true, create: ({ text }) => text }, textColumn(number, ({ count }) => integer(count)), barColumn("Percentage")],
  });
  const none = make("span", {}, empty);
  /** Show pairs of [text, count], in this order. */
  return (pairs) => {
    const total = pairs.reduce((sum, [, count]) => sum + count, 0);
    const max = Math.max(1, ...pairs.map(([, count]) => count));
    table.show(pairs.map(([text, count]) => ({ key: text, text, count, part: count / Math.max(1, total), length: count / max })), none);
  };
};

const showAgents = counts("agents", {
  caption: "Software of connected workers: name, number of workers and percentage",
  title: "Software",
  number: "Workers",
  empty: "No miners connected.",
});
const showRejected = counts("refused", {
  caption: "Rejected submissions by reason: number and percentage",
  title: "Reason",
  number: "Submissions",
  empty: "No submissions rejected.",
});
const difficultiesTable = new Table("vardiff", {
  caption: "Connected workers by difficulty: minimum, number of workers, their hash rate and percentage of the workers",
  few: 30,
  empty: emptyNote(),
  columns: [
    { title: "Difficulty (at least)", head: true, create: (row) => difficulty(row.difficulty) },
    textColumn("Workers", ({ workers }) => integer(workers)),
    textColumn("Hash rate", (row) => hashRate(row.hash_rate)),
    barColumn("Percentage"),
  ],
});
const showOffences = counts("offences", {
  caption: "Rejected connections and offences: reason, number and percentage",
  title: "Reason",
  number: "Count",
  empty: "No rejected connections or offences.",
});

const hostsTable = new Table("hosts", {
  caption: "Hosts by ban score: address, ban score, connections, submissions and rejected submissions",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "Host", head: true, create: ({ host }) => make("span", { class: "mono" }, host) },
    textColumn("Ban score", ({ cost, never_banned: never }) => significant(cost, 3) + (never ? " (never banned)" : "")),
    textColumn("Connections", (host) => integer(host.connections)),
    textColumn("Submissions", (host) => integer(host.submissions)),
    textColumn("Rejected", (host) => integer(host.refused)),
  ],
});

const gatewaysTable = new Table("gateways", {
  caption: "Gateways: name, address, connections, hash rate, accepted and rejected submissions, last report and version",
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: "Gateway", head: true, create: ({ name }) => name },
    textColumn("Address", ({ address }) => address, null),
    textColumn("Connections", (gateway) => (gateway.present ? integer(gateway.connections) : "gone")),
    textColumn("Hash rate", (gateway) => hashRate(gateway.hash_rate)),
    textColumn("Accepted", (gateway) => integer(gateway.accepted)),
    textColumn("Rejected", (gateway) => integer(gateway.refused)),
    textColumn("Last report", (gateway) => ago(gateway.seconds_since_heard)),
    textColumn("Version", ({ version }) => version, null),
  ],
});

const bansTable = new Table("bans", {
  caption: "Bans: host, since, remaining time, reason, who banned it, and a button to unban the host",
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: "Host", head: true, create: ({ host }) => make("span", { class: "mono" }, host) },
    timeColumn("Since"),
    textColumn("Remaining", ({ remaining }) => duration(Math.max(0, remaining))),
    textColumn("Reason", ({ reason }) => reason, null),
    textColumn("Banned by", ({ source }) => source || "this node", null),
    { title: "Unban", create: ({ host }) => unbanButton(host) },
  ],
});

const NONE = { gateways: make("span", {}, "No gateways."), hosts: make("span", {}, "No hosts with a ban score."), bans: make("span", {}, "No banned hosts."), miners: make("span", {}, "No miners connected.") };

// --- figures -----------------------------------------------------------------------------------------------

const pairs = (counted, name = (key) => key) =>
  Object.entries(counted).filter(([, count]) => count > 0).map(([key, count]) => [name(key), count]).sort(([, a], [, b]) => b - a);

function showStratum(s) {
  put("f-connections", integer(s.connections));
  put("f-connections-note", `${significant(s.connections_per_second, 3)} new per second`);
  put("f-workers", integer(s.workers));
  put("f-submissions", rate(s.submissions_per_second));
  put("f-submissions-note", `${integer(s.accepted)} accepted since the node started${s.dead > 0 ? `, ${integer(s.dead)} of them dead on arrival` : ""}`);
  const all = s.accepted + s.refused;
  put("f-refused", all > 0 ? percent(s.refused / all) : "0%");
  put("f-refused-note", `${integer(s.refused)} of ${integer(all)} submissions; now ${significant(s.refused_per_second, 3)} per second`);
  put("f-turned", integer(Object.values(s.turned_away).reduce((sum, count) => sum + count, 0)));
  put("f-banned", integer(s.banned_hosts));
  showAgents(pairs(s.user_agents, (agent) => agent || "not reported"));
  showRejected(pairs(s.refused_by, (reason) => sentence(REASONS[reason] ?? reason)));
  showDifficulties(s.difficulties);
  const offences = [...pairs(s.turned_away, (reason) => `Rejected connection: ${reason}`), ...pairs(s.offences, (kind) => `Offence: ${kind}`)];
  showOffences(offences);
  byId("gateways").hidden = s.gateways.length === 0;
  gatewaysTable.show(s.gateways.map((gateway) => ({ ...gateway, key: gateway.name })), NONE.gateways);
  hostsTable.show(s.hosts.map((host) => ({ ...host, key: host.host })), NONE.hosts);
}

const showBans = ({ bans }) => bansTable.show(bans.map((ban) => ({ ...ban, key: ban.host, ts: ban.since })), NONE.bans);

/** Show the workers by difficulty, in powers of two. */
function showDifficulties(rows) {
  const total = rows.reduce((sum, { workers }) => sum + workers, 0);
  const max = Math.max(1, ...rows.map(({ workers }) => workers));
  difficultiesTable.show(rows.map((row) => ({ ...row, key: row.difficulty, part: row.workers / total, length: row.workers / max })), NONE.miners);
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

// --- unbanning -----------------------------------------------------------------------------------------

const keyField = byId("key");

/** Keep the key for this tab: in session storage, or only in the field if storage is forbidden. */
function keepKey(key) {
  try {
    if (key === "") sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, key);
  } catch {
    // it stays in the field
  }
  byId("forget").disabled = key === "";
}

function unbanButton(host) {
  const button = make("button", { type: "button", class: "small" }, "Unban", make("span", { class: "unseen" }, ` host ${host}`));
  button.addEventListener("click", async () => {
    const key = keyField.value.trim();
    if (key === "") {
      put("answer", "Enter an API key for this node first.");
      keyField.focus();
      return;
    }
    button.disabled = true;
    put("answer", await unban(host, key));
    button.disabled = false;
  });
  return button;
}

/** Unban a host, and return the result as a sentence. */
async function unban(host, key) {
  let response;
  /** @type {any} */
  let value = null;
  try {
    const headers = { "X-API-Key": key, "Content-Type": "application/json" };
    response = await fetch(new URL("api/v1/admin/unban", BASE), { method: "POST", headers, body: JSON.stringify({ host }) });
    value = await response.json();
  } catch (error) {
    if (response === undefined) return `No response from the node: ${error.message}.`;
  }
  if (!response.ok) return `The node rejected the request (status ${response.status}): ${value?.error?.message ?? "no reason given"}.`;
  keepKey(key);
  return value?.was_banned ? `Unbanned ${host}.` : `${host} was no longer banned.`;
}

byId("key-form").addEventListener("submit", (event) => event.preventDefault());
byId("forget").addEventListener("click", () => {
  keyField.value = "";
  keepKey("");
  put("answer", "API key forgotten.");
  keyField.focus();
});
keyField.addEventListener("change", () => keepKey(keyField.value.trim()));
try {
  keyField.value = sessionStorage.getItem(KEY) ?? "";
} catch {
  // storage is forbidden: no key is kept
}
byId("forget").disabled = keyField.value === "";

startPage({
  views: ["api/v1/stratum", "api/v1/bans"],
  show: (values) => {
    if (values.has("api/v1/stratum")) showStratum(values.get("api/v1/stratum"));
    if (values.has("api/v1/bans")) showBans(values.get("api/v1/bans"));
  },
});
pollPath("api/v1/config", SETTINGS_PERIOD, showSettings);
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
        { figure: "connections", label: "Connections", colour: 2, dashed: true }, // usually as many as workers
      ],
    },
  ],
});
