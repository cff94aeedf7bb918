// The stratum page: connections, rates, gateways, worker difficulty, software, rejected submissions, ban scores and bans.

import { BASE } from "../js/api.js";
import { byId, make, setText } from "../js/dom.js";
import { ago, difficulty, duration, hashRate, integer, percent, significant } from "../js/format.js";
import { t } from "../js/language.js";
import { pollPath, startPage } from "../js/page.js";
import { Table, emptyNote, textColumn, timeColumn } from "../js/table.js";
import { GraphGroup } from "../js/timeseries.js";
import { REASONS } from "../js/workers.js";

const SETTINGS_PERIOD = 600000;
const KEY = "p2pool-api-key";
const SETTINGS = [
  ["share-rate", t("Target interval between submissions, in seconds")],
  ["start-difficulty", t("Initial difficulty")],
  ["min-difficulty", t("Minimum difficulty")],
  ["max-difficulty", t("Maximum difficulty")],
  ["max-connections", t("Maximum connections")],
  ["max-connections-per-ip", t("Maximum connections per IP address")],
  ["ban-duration", t("Ban duration in seconds")],
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
    columns: [{ title, head: true, create: ({ text }) => text }, textColumn(number, ({ count }) => integer(count)), barColumn(t("Percentage"))],
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
  caption: t("Software of connected workers: name, number of workers and percentage"),
  title: t("Software"),
  number: t("Workers"),
  empty: t("No miners connected."),
});
const showRejected = counts("refused", {
  caption: t("Rejected submissions by reason: number and percentage"),
  title: t("Reason"),
  number: t("Submissions"),
  empty: t("No submissions rejected."),
});
const difficultiesTable = new Table("vardiff", {
  caption: t("Connected workers by difficulty: minimum, number of workers, their hash rate and percentage of the workers"),
  few: 30,
  empty: emptyNote(),
  columns: [
    { title: t("Difficulty (at least)"), head: true, create: (row) => difficulty(row.difficulty) },
    textColumn(t("Workers"), ({ workers }) => integer(workers)),
    textColumn(t("Hash rate"), (row) => hashRate(row.hash_rate)),
    barColumn(t("Percentage")),
  ],
});
const showOffences = counts("offences", {
  caption: t("Rejected connections and offences: reason, number and percentage"),
  title: t("Reason"),
  number: t("Count"),
  empty: t("No rejected connections or offences."),
});

const hostsTable = new Table("hosts", {
  caption: t("Hosts by ban score: address, ban score, connections, submissions and rejected submissions"),
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: t("Host"), head: true, create: ({ host }) => make("span", { class: "mono" }, host) },
    textColumn(t("Ban score"), ({ cost, never_banned: never }) => significant(cost, 3) + (never ? t(" (never banned)") : "")),
    textColumn(t("Connections"), (host) => integer(host.connections)),
    textColumn(t("Submissions"), (host) => integer(host.submissions)),
    textColumn(t("Rejected"), (host) => integer(host.refused)),
  ],
});

const gatewaysTable = new Table("gateways", {
  caption: t("Gateways: name, address, connections, hash rate, accepted and rejected submissions, last report and version"),
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: t("Gateway"), head: true, create: ({ name }) => name },
    textColumn(t("Address"), ({ address }) => address, null),
    textColumn(t("Connections"), (gateway) => (gateway.present ? integer(gateway.connections) : t("gone"))),
    textColumn(t("Hash rate"), (gateway) => hashRate(gateway.hash_rate)),
    textColumn(t("Accepted"), (gateway) => integer(gateway.accepted)),
    textColumn(t("Rejected"), (gateway) => integer(gateway.refused)),
    textColumn(t("Last report"), (gateway) => ago(gateway.seconds_since_heard)),
    textColumn(t("Version"), ({ version }) => version, null),
  ],
});

const bansTable = new Table("bans", {
  caption: t("Bans: host, since, remaining time, reason, who banned it, and a button to unban the host"),
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: t("Host"), head: true, create: ({ host }) => make("span", { class: "mono" }, host) },
    timeColumn(t("Since")),
    textColumn(t("Remaining"), ({ remaining }) => duration(Math.max(0, remaining))),
    textColumn(t("Reason"), ({ reason }) => reason, null),
    textColumn(t("Banned by"), ({ source }) => source || t("this node"), null),
    { title: t("Unban"), create: ({ host }) => unbanButton(host) },
  ],
});

const NONE = { gateways: make("span", {}, t("No gateways.")), hosts: make("span", {}, t("No hosts with a ban score.")), bans: make("span", {}, t("No banned hosts.")), miners: make("span", {}, t("No miners connected.")) };

// --- figures -----------------------------------------------------------------------------------------------

const pairs = (counted, name = (key) => key) =>
  Object.entries(counted).filter(([, count]) => count > 0).map(([key, count]) => [name(key), count]).sort(([, a], [, b]) => b - a);

function showStratum(s) {
  put("f-connections", integer(s.connections));
  put("f-connections-note", t`${significant(s.connections_per_second, 3)} new per second`);
  put("f-workers", integer(s.workers));
  put("f-submissions", rate(s.submissions_per_second));
  put("f-submissions-note", s.dead > 0 ? t`${integer(s.accepted)} accepted since the node started, ${integer(s.dead)} of them dead on arrival` : t`${integer(s.accepted)} accepted since the node started`);
  const all = s.accepted + s.refused;
  put("f-refused", all > 0 ? percent(s.refused / all) : percent(0));
  put("f-refused-note", t`${integer(s.refused)} of ${integer(all)} submissions; now ${significant(s.refused_per_second, 3)} per second`);
  put("f-turned", integer(Object.values(s.turned_away).reduce((sum, count) => sum + count, 0)));
  put("f-banned", integer(s.banned_hosts));
  showAgents(pairs(s.user_agents, (agent) => agent || t("not reported")));
  showRejected(pairs(s.refused_by, (reason) => sentence(REASONS[reason] ?? reason)));
  showDifficulties(s.difficulties);
  const offences = [...pairs(s.turned_away, (reason) => t`Rejected connection: ${reason}`), ...pairs(s.offences, (kind) => t`Offence: ${kind}`)];
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
  const button = make("button", { type: "button", class: "small" }, t("Unban"), make("span", { class: "unseen" }, t` host ${host}`));
  button.addEventListener("click", async () => {
    const key = keyField.value.trim();
    if (key === "") {
      put("answer", t("Enter an API key for this node first."));
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
    if (response === undefined) return t`No response from the node: ${error.message}.`;
  }
  if (!response.ok) return t`The node rejected the request (status ${response.status}): ${value?.error?.message ?? t("no reason given")}.`;
  keepKey(key);
  return value?.was_banned ? t`Unbanned ${host}.` : t`${host} was no longer banned.`;
}

byId("key-form").addEventListener("submit", (event) => event.preventDefault());
byId("forget").addEventListener("click", () => {
  keyField.value = "";
  keepKey("");
  put("answer", t("API key forgotten."));
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
  label: t("miners"),
  of: "pool",
  graphs: [
    {
      holder: "graph-miners",
      title: t("Connections, workers and addresses"),
      format: (value) => significant(value, 4),
      whole: true,
      lines: [
        { figure: "workers", label: t("Workers"), colour: 1, filled: true },
        { figure: "connected_addresses", label: t("Addresses"), colour: 3 },
        { figure: "connections", label: t("Connections"), colour: 2, dashed: true }, // usually as many as workers
      ],
    },
  ],
});
