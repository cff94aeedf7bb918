// One worker, or one payout address with all of its workers: now, over time, and what it is paid.

import { addressOf, byAddress, fetchWorkers } from "../js/workers.js";
import { askJson } from "../js/api.js";
import { byId, copyButton, copyValue, make, refreshTimes, setText, shareLink, timeNode, workerLink } from "../js/dom.js";
import { coins, difficulty, hashRate, integer, isHash, percent, shortHash, shortened, significant } from "../js/format.js";
import { lookUp, startPage, whileVisible } from "../js/page.js";
import { Table, emptyNote, textColumn, timeColumn } from "../js/table.js";
import { GraphGroup } from "../js/timeseries.js";

const PERIOD = 5000;
const LONG_PERIOD = 30000;
const SHARES = 50;
const REFUSALS = [
  ["stale", "For a stale job", "Work on an earlier block: usually a slow link to the miner."],
  ["low_difficulty", "Below the difficulty", "The miner does not know its difficulty, or its hardware errs."],
  ["duplicate", "Sent twice", "The miner repeats itself: usually its software."],
  ["unauthorized", "Of no authorized worker", "Sent under a name that was not told before."],
  ["not_subscribed", "Before subscribing", "The miner does not follow the protocol."],
  ["malformed", "Malformed", "Not understood at all."],
];

const query = new URLSearchParams(location.search);
// "address" and "id" are what older front ends call it.
const name = (query.get("name") ?? query.get("address") ?? query.get("id") ?? "").trim();
const address = addressOf(name);
const isAddress = name === address;

const put = (id, text) => setText(byId(id), text);
let symbol = "DASH";
/** Newest answers with amounts, to be told again once the coin's symbol is known. */
const told = new Map();

// --- tables ------------------------------------------------------------------------------------------------

const refusedTable = new Table("refused", {
  caption: "Refused submissions by reason: number and part of all submissions",
  few: REFUSALS.length,
  empty: emptyNote(),
  columns: [
    {
      title: "Reason",
      head: true,
      create: ({ title, note }) => make("span", {}, title, make("span", { class: "note" }, note)),
    },
    textColumn("Submissions", ({ count }) => integer(count)),
    textColumn("Part", ({ part }) => percent(part)),
  ],
});

const workersTable = new Table("workers", {
  caption: "Workers of this address: name, hash rate, dead part, difficulty, refused part and last accepted submission",
  few: 25,
  empty: emptyNote(),
  columns: [
    { title: "Worker", head: true, create: (worker) => nameCell(worker) },
    textColumn("Hash rate", (worker) => hashRate(worker.hash_rate)),
    textColumn("Dead part", (worker) => (worker.hash_rate > 0 ? percent(worker.dead_hash_rate / worker.hash_rate) : "–")),
    textColumn("Difficulty", (worker) => (worker.connections > 0 ? difficulty(worker.difficulty) : "not connected")),
    textColumn("Refused", ({ accepted, refused }) => (refused > 0 ? percent(refused / (accepted + refused)) : "none")),
    timeColumn("Last accepted"),
  ],
});

/** Within the page of its address a worker needs no address before its name. */
function nameCell(worker) {
  const rest = worker.name.slice(address.length + 1);
  return rest === "" ? make("span", { class: "soft" }, "without a name") : workerLink(worker.name, make("span", { class: "mono" }, rest));
}

const payoutsTable = new Table("payouts", {
  caption: "Blocks that this address found or that pay it: time, height, hash, payout and status",
  few: 10,
  empty: emptyNote(),
  columns: [
    timeColumn("Found"),
    { ...textColumn("Height", (block) => integer(block.block_height)), head: true },
    { title: "Block hash", create: (block) => copyValue(block.block_hash, shortHash(block.block_hash), "block hash") },
    textColumn("Payout", (block) => (block.payout === null ? "not known" : `${block.payout}\u00a0${symbol}`)),
    { title: "Status", create: () => make("span", { class: "status" }), update: (cell, { detailed_status: status }) => showStatus(cell.firstElementChild, status) },
  ],
});

function showStatus(node, status) {
  node.className = `status ${["accepted", "confirmed", "refused"].includes(status) ? status : ""}`;
  setText(node, status);
}

const sharesTable = new Table("shares", {
  caption: "Shares: time, hash, worker, work and whether in time",
  few: 10,
  empty: emptyNote(),
  columns: [
    timeColumn("Found"),
    { title: "Share", head: true, create: ({ hash }) => shareLink(hash) },
    ...(isAddress ? [{ title: "Worker", create: ({ worker }) => nameCell({ name: worker }) }] : []),
    textColumn("Work", ({ work }) => (typeof work === "number" ? `${significant(work, 3)} hashes` : "–")),
    {
      title: "In time",
      create: () => make("span", { class: "status" }),
      update: (cell, { dead }) => {
        cell.firstElementChild.className = dead ? "status refused" : "";
        setText(cell.firstElementChild, dead ? "too late (dead)" : "yes");
      },
    },
  ],
});

const EMPTY = {
  workers: make("span", {}, "None is here, and none was lately."),
  payouts: make("span", {}, "None that this node remembers. Every block pays whoever is in the share chain’s newest part."),
  shares: make("span", {}, "None that this node remembers."),
  refused: make("span", {}, "No submission was refused."),
  unknown: make("span", {}, "The node remembers no submission of it."),
};

// --- figures -----------------------------------------------------------------------------------------------

/** A worker's figures, or an address's sums. */
function showFigures(item) {
  const { hash_rate: rate, hash_rates: rates } = item;
  put("f-rate", hashRate(rate));
  put("f-rate-note", `1 min ${hashRate(rates["1m"])}, 1 h ${hashRate(rates["1h"])}, 1 d ${hashRate(rates["1d"])}`);
  put("f-dead", rate > 0 ? percent(item.dead_hash_rate / rate) : "–");
  put("f-difficulty", item.connections > 0 ? difficulty(item.difficulty) : "–");
  put("f-difficulty-note", item.connections > 0 ? connectedNote(item) : "not connected");
  const all = item.accepted + item.refused;
  put("f-accepted", integer(item.accepted));
  put("f-accepted-note", item.dead > 0 ? `${integer(item.dead)} of them came too late` : "submissions, all in time");
  put("f-refused", item.refused > 0 ? percent(item.refused / all) : "0%");
  put("f-refused-note", `${integer(item.refused)} of ${integer(all)} submissions`);
  put("f-shares", integer(item.shares));
  put("f-shares-note", "that entered the share chain, since the node’s start");
  byId("f-last").replaceChildren(item.last_share === null ? "never" : timeNode(item.last_share));
  put("f-last-note", isAddress ? "of all its workers" : item.user_agent || "software not known");
  const rows = REFUSALS.map(([key, title, note]) => ({ key, title, note, count: item.refused_by[key] ?? 0 }));
  refusedTable.show(rows.filter(({ count }) => count > 0).map((row) => ({ ...row, part: row.count / all })), EMPTY.refused);
}

function connectedNote({ connections, workers }) {
  const links = `${integer(connections)} ${connections === 1 ? "connection" : "connections"}`;
  return isAddress ? `the highest of ${integer(workers)} ${workers === 1 ? "worker" : "workers"}, ${links}` : links;
}

function showUnknown(text) {
  if (isNoAddress) text = ""; // the page's title says it
  setText(byId("unknown"), text);
  byId("unknown").hidden = text === "";
}

async function look() {
  try {
    if (isAddress) await lookAtAddress();
    else await lookAtWorker();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    return; // the page says that the node is gone
  }
  refreshTimes();
}

async function lookAtWorker() {
  const { status, value } = await askJson(`api/v1/workers/${encodeURIComponent(name)}`);
  if (status === 200) {
    showUnknown("");
    showFigures(value);
  } else if (status === 404) {
    refusedTable.show([], EMPTY.unknown);
    showUnknown("This node knows no such worker now. It forgets those that have been away for long; what history has of it stands below.");
  }
}

async function lookAtAddress() {
  const answer = await fetchWorkers({ address });
  if (answer === null) return;
  const workers = answer.workers.map((worker) => ({ ...worker, key: worker.name, ts: worker.last_share }));
  workers.sort((a, b) => b.hash_rate - a.hash_rate || (a.name < b.name ? -1 : 1));
  workersTable.show(workers, EMPTY.workers);
  showUnknown(workers.length === 0 ? "No worker of this address is at this node. What it gets from blocks, and what history has of it, stands below." : "");
  if (workers.length > 0) showFigures(byAddress(answer.workers)[0]);
  else refusedTable.show([], EMPTY.unknown);
}

let isNoAddress = false;

/** There is nothing to be told of it. */
function showNoAddress() {
  isNoAddress = true;
  showUnknown("");
  byId("title").replaceChildren("No Dash address: ", make("span", { class: "mono" }, name));
  byId("lead").replaceChildren("Nobody can mine for it at this node. An address may be of another network, or mistyped.");
  byId("miner").hidden = true;
}

function showAddress(value, status) {
  told.set(showAddress, [value, status]);
  if (isAddress && value?.error?.code === "not_an_address") showNoAddress();
  if (status !== 200) {
    put("f-payout", status === 404 ? `0 ${symbol}` : "–");
    return;
  }
  put("f-payout", `${value.next_payout.dash} ${symbol}`);
  put("f-payout-note", `${percent(value.next_payout_part)} of what the next block pays to miners`);
}

function showPayouts(value, status) {
  told.set(showPayouts, [value, status]);
  if (status !== 200) return;
  const sums = [
    ["p-found", value.blocks_found, integer],
    ["p-confirmed", value.confirmed_rewards, coins],
    ["p-maturing", value.maturing_rewards, coins],
  ];
  for (const [id, figure, format] of sums) put(id, format(figure));
  payoutsTable.show(value.blocks.map((block) => ({ ...block, key: block.block_hash, ts: block.timestamp })), EMPTY.payouts);
}

// --- shares ------------------------------------------------------------------------------------------------

let hasHistory = false;

function showHistoryShares(value, status) {
  hasHistory = status === 200;
  if (hasHistory) showShares(value.shares.map((share) => ({ ...share, work: share.attempts })));
}

/** Those of the node's memory, where there is no history, and for an address. */
function showRecentShares({ shares }) {
  if (!hasHistory) showShares(shares.filter(({ worker }) => (isAddress ? addressOf(worker) : worker) === name));
}

function showShares(shares) {
  const rows = shares.filter(({ hash }) => isHash(hash)).map((share) => ({ ...share, key: share.hash, ts: share.time }));
  sharesTable.show(rows, EMPTY.shares);
}

// --- the page ----------------------------------------------------------------------------------------------

const count = (figure, label, colour) => ({ figure, label, colour });
const perStep = (value) => (value === 0 ? "0" : significant(value, 3));

function drawGraphs() {
  const graphs = [
    {
      holder: "graph-rate",
      title: "Hash rate",
      format: hashRate,
      lines: [
        { figure: "hash_rate", label: "Hash rate", colour: 1, filled: true },
        { figure: "dead_rate", label: "of it dead", colour: 2 },
      ],
    },
    {
      holder: "graph-submissions",
      title: "Submissions in each step",
      format: perStep,
      lines: [
        count("accepted", "Accepted", 3),
        count("stale", "Stale", 2),
        count("low_difficulty", "Low difficulty", 4),
        count("duplicate", "Duplicate", 5),
        count("other_refused", "Other", 6),
      ],
    },
  ];
  if (!isAddress) {
    graphs.push({
      holder: "graph-difficulty",
      title: "Difficulty",
      format: difficulty,
      lines: [{ figure: "difficulty", label: "Difficulty", colour: 4 }],
    });
  } else {
    graphs.push({
      holder: "graph-payout",
      title: "Payout of a block",
      format: (value) => `${significant(value, 6)} ${symbol}`,
      lines: [{ figure: "payout", label: "From a block", colour: 1, filled: true }],
    });
  }
  new GraphGroup({ tools: "graph-tools", label: "this miner", of: isAddress ? "address" : "worker", name, graphs });
}

function showTitle() {
  const rest = name.slice(address.length + 1);
  document.title = `${isAddress ? shortened(address) : rest} – p2pool-dash`;
  byId("title").replaceChildren(isAddress ? "Address " : "Worker ", make("span", { class: "mono" }, isAddress ? address : rest));
  const own = make("span", { class: "mono" }, address);
  const lead = isAddress
    ? [copyButton(address, "the address"), " All workers that mine for this payout address at this node."]
    : ["Mines for ", make("a", { href: `worker.html?name=${encodeURIComponent(address)}` }, own), "."];
  byId("lead").replaceChildren(...lead);
}

function begin() {
  showTitle();
  for (const node of document.querySelectorAll("[data-only]")) node.hidden = node.dataset.only !== (isAddress ? "address" : "worker");
  const show = (values) => {
    const known = values.get("api/v1/pool")?.symbol ?? symbol;
    if (known !== symbol) {
      symbol = known;
      for (const [show, answer] of told) show(...answer);
    }
    if (values.has("api/v1/shares")) showRecentShares(values.get("api/v1/shares"));
  };
  startPage({ views: ["api/v1/pool", "api/v1/shares"], show });
  whileVisible(look, PERIOD);
  const path = encodeURIComponent(address);
  lookUp(`api/v1/addresses/${path}`, PERIOD, showAddress);
  lookUp(`miner_payouts/${path}`, LONG_PERIOD, showPayouts);
  if (!isAddress) lookUp(`api/v1/history/shares?worker=${encodeURIComponent(name)}&range=month&limit=${SHARES}`, LONG_PERIOD, showHistoryShares);
  drawGraphs();
}

byId("look").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = byId("look-name").value.trim();
  if (wanted !== "") location.search = `?name=${encodeURIComponent(wanted)}`;
});

if (name !== "") begin();
else {
  byId("miner").hidden = true;
  put("lead", "Choose one on the miners’ page, or look one up here.");
  startPage({});
}
