// The miner page: one worker, or one address with all its workers: now, over time, and payouts.

import { fetchJson } from "../js/api.js";
import { statusText } from "../js/blocks.js";
import { byId, copyButton, copyValue, inTurn, make, refreshTimes, setText, shareLink, timeNode, workerLink } from "../js/dom.js";
import { coins, difficulty, estimatedRate, exact, hashRate, integer, isHash, listed, percent, shortHash, shortened, significant } from "../js/format.js";
import { difficultyText } from "../js/judgement.js";
import { phrase, plural, t } from "../js/language.js";
import { rememberButton } from "../js/mine.js";
import { incomeNote, incomeText, payoutsNote, payoutsText, periodOf, showState, showVerdict, waitText } from "../js/miner.js";
import { showMinerAlerts } from "../js/mineralerts.js";
import { pollPath, startPage, whileVisible } from "../js/page.js";
import { qrButton } from "../js/qr.js";
import { Table, emptyNote, textColumn, timeColumn } from "../js/table.js";
import { explainTerms } from "../js/terms.js";
import { GraphGroup } from "../js/timeseries.js";
import { WindowStrip } from "../js/windowstrip.js";
import { addressOf } from "../js/workers.js";

const PERIOD = 5000;
/** Workers of an address that are listed, those with the highest hash rates. */
const WORKERS = 100;
const LONG_PERIOD = 30000;
/** Polling interval of the payment window in ms: the pool finds a share every 20 s. */
const WINDOW_PERIOD = 10000;
const SHARES = 50;
const REJECTIONS = [
  ["stale", t("Stale"), t("Work on a job that the node does not know any more: from before a restart or a lost session, or more than 60 s too late.")],
  ["low_difficulty", t("Low difficulty"), t("The miner ignores its difficulty, or its hardware produces errors.")],
  ["duplicate", t("Duplicate"), t("Submitted twice: usually a bug in the miner’s software.")],
  ["unauthorized", t("Unauthorised worker"), t("Submitted under a name that was not authorised on the connection.")],
  ["not_subscribed", t("Not subscribed"), t("Submitted before mining.subscribe: the miner does not follow the protocol.")],
  ["malformed", t("Malformed"), t("Not a valid submission.")],
];

const query = new URLSearchParams(location.search);
// Legacy front ends use "address" and "id".
const name = (query.get("name") ?? query.get("address") ?? query.get("id") ?? "").trim();
const address = addressOf(name);
const isAddress = name === address;

const put = (id, text) => setText(byId(id), text);
let symbol = "DASH";
/** Latest answers with amounts, to be shown again once the coin symbol is known. */
const shownAmounts = new Map();

// --- tables ------------------------------------------------------------------------------------------------

const rejectedTable = new Table("refused", {
  caption: t("Rejected submissions by reason: number and percentage of all submissions"),
  few: REJECTIONS.length,
  empty: emptyNote(),
  columns: [
    {
      title: t("Reason"),
      head: true,
      create: ({ title, note }) => make("span", {}, title, make("span", { class: "note" }, note)),
    },
    textColumn(t("Submissions"), ({ count }) => integer(count)),
    textColumn(t("Percentage"), ({ part }) => percent(part)),
  ],
});

const workersTable = new Table("workers", {
  caption: t("Workers of this address: name, status, hash rate, dead on arrival (DOA), difficulty, rejected and last accepted submission"),
  few: 25,
  empty: emptyNote(),
  columns: [
    { title: t("Worker"), head: true, create: (worker) => nameCell(worker) },
    {
      title: t("Status"),
      create: () => make("span", { class: "badge" }),
      update: (cell, { state }) => showState(cell.firstElementChild, state),
    },
    textColumn(t("Hash rate"), estimatedRate),
    textColumn(t("DOA"), (worker) => (worker.hash_rate > 0 ? percent(worker.dead_hash_rate / worker.hash_rate) : "–")),
    textColumn(t("Difficulty"), (worker) => (worker.connections > 0 ? difficulty(worker.difficulty) : t("not connected"))),
    textColumn(t("Rejected"), ({ accepted, refused }) => (refused > 0 ? percent(refused / (accepted + refused)) : t("none"))),
    timeColumn(t("Last accepted")),
  ],
});

/** Return the name of a worker without the address, which the page of the address shows. */
function nameCell(worker) {
  const rest = worker.name.slice(address.length + 1);
  return rest === "" ? make("span", { class: "soft" }, t("unnamed")) : workerLink(worker.name, make("span", { class: "mono" }, rest));
}

const payoutsTable = new Table("payouts", {
  caption: t("Blocks found by this address or paying it: time, height, hash, payout and status"),
  few: 10,
  empty: emptyNote(),
  columns: [
    timeColumn(t("Found")),
    { ...textColumn(t("Height"), (block) => integer(block.block_height)), head: true },
    { title: t("Block hash"), create: (block) => copyValue(block.block_hash, shortHash(block.block_hash), t("block hash")) },
    textColumn(t("Payout"), (block) => (block.payout === null ? t("unknown") : `${exact(block.payout)}\u00a0${symbol}`)),
    { title: t("Status"), create: () => make("span", { class: "status" }), update: (cell, { detailed_status: status }) => showStatus(cell.firstElementChild, status) },
  ],
});

function showStatus(node, status) {
  node.className = `status ${["accepted", "confirmed", "refused"].includes(status) ? status : ""}`;
  setText(node, statusText(status));
}

const sharesTable = new Table("shares", {
  caption: t("Shares: time, hash, worker, work and status"),
  few: 10,
  empty: emptyNote(),
  columns: [
    timeColumn(t("Found")),
    { title: t("Share"), head: true, create: ({ hash }) => shareLink(hash) },
    ...(isAddress ? [{ title: t("Worker"), create: ({ worker }) => nameCell({ name: worker }) }] : []),
    textColumn(t("Work"), ({ work }) => (typeof work === "number" ? t`${significant(work, 3)} hashes` : "–")),
    {
      title: t("Status"),
      create: () => make("span", { class: "status" }),
      update: (cell, { dead }) => {
        cell.firstElementChild.className = dead ? "status refused" : "";
        setText(cell.firstElementChild, dead ? t("dead on arrival") : t("valid"));
      },
    },
  ],
});

const EMPTY = {
  workers: make("span", {}, t("No workers with this address are connected, or were recently.")),
  payouts: make("span", {}, t("No payouts known to this node. Every block pays the miners of the most recent shares.")),
  shares: make("span", {}, t("No shares known to this node.")),
  refused: make("span", {}, t("No submissions rejected.")),
  unknown: make("span", {}, t("No submissions known to this node.")),
};

// --- figures -----------------------------------------------------------------------------------------------

/** Show the figures of a worker, or the sums of an address. */
function showFigures(item) {
  const { hash_rate: rate } = item;
  put("f-rate", estimatedRate(item));
  put("f-rate-note", rateNote(item));
  put("f-dead", rate > 0 ? percent(item.dead_hash_rate / rate) : "–");
  put("f-difficulty", item.connections > 0 ? difficulty(item.difficulty) : "–");
  const all = item.accepted + item.refused;
  put("f-accepted", integer(item.accepted));
  put("f-accepted-note", item.dead > 0 ? t`${integer(item.dead)} of them dead on arrival` : item.accepted > 0 ? t("submissions, none dead on arrival") : t("submissions"));
  put("f-refused", item.refused > 0 ? percent(item.refused / all) : percent(0));
  put("f-refused-note", t`${integer(item.refused)} of ${integer(all)} submissions`);
  put("f-shares", integer(item.shares));
  put("f-shares-note", t("found since the node started"));
  byId("f-last").replaceChildren(item.last_share === null ? t("never") : timeNode(item.last_share));
  put("f-last-note", listed([isAddress ? t("across all its workers") : item.user_agent || t("unknown software"), connectedNote(item)]));
  const rows = REJECTIONS.map(([key, title, note]) => ({ key, title, note, count: item.refused_by[key] ?? 0 }));
  rejectedTable.show(rows.filter(({ count }) => count > 0).map((row) => ({ ...row, part: row.count / all })), EMPTY.refused);
}

function rateNote({ estimating, accepted, hash_rates: rates }) {
  if (estimating) return accepted > 0 ? t("estimating: too few submissions yet") : t("estimating: no submissions yet");
  return t`1 min ${hashRate(rates["1m"])}, 1 h ${hashRate(rates["1h"])}, 1 d ${hashRate(rates["1d"])}`;
}

const connectedNote = ({ connections }) => plural(connections, "{0} connection", "{0} connections");

/** Show the judgement, and what the miner may expect. */
function showMiner(value, status) {
  shownAmounts.set(showMiner, [value, status]);
  if (status !== 200) return;
  showVerdict(value);
  const { expected } = value;
  put("e-submission", waitText(expected?.submission_time));
  put("e-share", waitText(expected?.share_time));
  put("e-payout", waitText(expected?.payout_time));
  const [day, week, month] = [1, 7, 30].map((days) => periodOf(expected, days));
  put("e-day", incomeText(day, symbol));
  put("e-day-note", incomeNote(day, expected?.probability, symbol));
  put("e-month", incomeText(month, symbol));
  put("e-month-note", incomeNote(month, expected?.probability, symbol));
  put("e-week", payoutsText(week));
  put("e-week-note", payoutsNote(week, expected?.probability));
  put("f-difficulty-note", value.difficulty === null ? t("not connected") : difficultyText(value.difficulty));
}

function showUnknown(text) {
  if (isNoAddress) text = ""; // the title of the page says it
  setText(byId("unknown"), text);
  byId("unknown").hidden = text === "";
}

async function poll() {
  try {
    if (isAddress) await pollAddress();
    else await pollWorker();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    return; // the banner says that the node does not answer
  }
  refreshTimes();
}

async function pollWorker() {
  const { status, value } = await fetchJson(`api/v1/workers/${encodeURIComponent(name)}`);
  if (status === 200) {
    showUnknown("");
    showFigures(value);
  } else if (status === 404) {
    rejectedTable.show([], EMPTY.unknown);
    showUnknown(t("This node has no record of this worker: it drops workers after a long absence. Any history is shown below."));
  }
}

async function pollAddress() {
  const path = `api/v1/workers?address=${encodeURIComponent(address)}&limit=${WORKERS}`;
  const [list, sums] = await Promise.all([fetchJson(path), fetchJson(`api/v1/addresses/${encodeURIComponent(address)}`)]);
  if (list.status !== 200) return;
  const { workers, total } = list.value;
  workersTable.show(workers.map((worker) => ({ ...worker, key: worker.name, ts: worker.last_share })), EMPTY.workers);
  setText(byId("workers-count"), total === 0 ? "" : integer(total));
  byId("more-workers").hidden = total <= WORKERS;
  showUnknown(total === 0 ? t("No workers with this address on this node. Its payouts and any history are shown below.") : "");
  if (total > 0 && sums.status === 200) showFigures(sums.value);
  else rejectedTable.show([], EMPTY.unknown);
}

let isNoAddress = false;

/** Show that the name is not an address. */
function showNoAddress() {
  isNoAddress = true;
  showUnknown("");
  byId("title").replaceChildren(...phrase`Not a Dash address: ${make("span", { class: "mono" }, name)}`);
  byId("lead").replaceChildren(t("This node does not accept miners for it. The address may be mistyped, or belong to another network."));
  byId("miner").hidden = true;
}

function showAddress(value, status) {
  shownAmounts.set(showAddress, [value, status]);
  if (isAddress && value?.error?.code === "not_an_address") showNoAddress();
  if (status !== 200) {
    put("f-payout", status === 404 ? `0 ${symbol}` : "–");
    return;
  }
  put("f-payout", `${exact(value.next_payout.dash)} ${symbol}`);
  put("f-payout-note", t`${percent(value.next_payout_part)} of what the next block pays to miners`);
}

function showPayouts(value, status) {
  shownAmounts.set(showPayouts, [value, status]);
  if (status !== 200) return;
  const sums = [
    ["p-found", value.blocks_found, integer],
    ["p-paid", value.blocks_paid, integer],
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

/** Show the recent shares in the node's memory: for an address, or if there is no history. */
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
      title: t("Hash rate"),
      format: hashRate,
      lines: [
        { figure: "hash_rate", label: t("Hash rate"), colour: 1, filled: true },
        { figure: "dead_rate", label: t("DOA"), colour: 2 },
      ],
    },
    {
      holder: "graph-submissions",
      title: t("Submissions per interval"),
      format: perStep,
      lines: [
        count("accepted", t("Accepted"), 3),
        count("stale", t("Stale"), 2),
        count("low_difficulty", t("Low difficulty"), 4),
        count("duplicate", t("Duplicate"), 5),
        count("other_refused", t("Other rejected"), 6),
      ],
    },
  ];
  if (!isAddress) {
    graphs.push({
      holder: "graph-difficulty",
      title: t("Difficulty"),
      format: difficulty,
      lines: [{ figure: "difficulty", label: t("Difficulty"), colour: 4 }],
    });
  } else {
    graphs.push({
      holder: "graph-payout",
      title: t("Payout per block"),
      format: (value) => `${significant(value, 6)} ${symbol}`,
      lines: [{ figure: "payout", label: t("Per block"), colour: 1, filled: true }],
    });
  }
  new GraphGroup({ tools: "graph-tools", label: t("this miner"), of: isAddress ? "address" : "worker", name, graphs });
}

function showTitle() {
  const rest = name.slice(address.length + 1);
  document.title = `${isAddress ? shortened(address) : rest} – p2pool-dash`;
  const shown = make("span", { class: "mono" }, isAddress ? address : rest);
  byId("title").replaceChildren(...(isAddress ? phrase`Address ${shown}` : phrase`Worker ${shown}`));
  const own = make("span", { class: "mono" }, address);
  const lead = isAddress
    ? [copyButton(address, t("the address")), " ", qrButton(() => address, t("the address")), t(" All workers on this node that mine to this address.")]
    : phrase`Mines to ${make("a", { href: `worker.html?name=${encodeURIComponent(address)}` }, own)}.`;
  byId("lead").replaceChildren(...lead);
}

function begin() {
  showTitle();
  rememberButton(byId("remember"), name);
  for (const node of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-only]"))) node.hidden = node.dataset.only !== (isAddress ? "address" : "worker");
  const show = (values) => {
    const known = values.get("api/v1/pool")?.symbol ?? symbol;
    if (known !== symbol) {
      symbol = known;
      for (const [show, answer] of shownAmounts) show(...answer);
    }
    if (values.has("api/v1/shares")) showRecentShares(values.get("api/v1/shares"));
  };
  explainTerms();
  startPage({ views: ["api/v1/pool", "api/v1/shares"], show });
  whileVisible(poll, PERIOD);
  const path = encodeURIComponent(address);
  byId("more-workers-link").href = `miners.html?search=${path}`;
  byId("book").href = `payoutbook.html?address=${path}`;
  pollPath(`api/v1/miners/${encodeURIComponent(name)}`, PERIOD, showMiner);
  pollPath(`api/v1/addresses/${path}`, PERIOD, showAddress);
  inTurn(() => followPayoutsAndShares(path), drawGraphs, () => isAddress && showMinerAlerts(address));
}

/** Keep the tables and the strip below the miner's figures up to date. */
function followPayoutsAndShares(path) {
  const strip = new WindowStrip();
  const showWindow = (value, status) => {
    shownAmounts.set(showWindow, [value, status]);
    if (status === 200) strip.show(value, symbol);
  };
  pollPath(`api/v1/window/${path}`, WINDOW_PERIOD, showWindow);
  pollPath(`miner_payouts/${path}`, LONG_PERIOD, showPayouts);
  if (!isAddress) pollPath(`api/v1/history/shares?worker=${encodeURIComponent(name)}&range=month&limit=${SHARES}`, LONG_PERIOD, showHistoryShares);
}

byId("look").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = byId("look-name").value.trim();
  if (wanted !== "") location.search = `?name=${encodeURIComponent(wanted)}`;
});

if (name !== "") begin();
else {
  byId("miner").hidden = true;
  byId("verdict").hidden = true;
  byId("keep").hidden = true;
  put("lead", t("Select a miner on the miners page, or find one below."));
  startPage({});
}
