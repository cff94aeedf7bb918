// The first page: shows what the node says, live, or asks it every two seconds, while the tab is visible.

import {
  ask,
  byId,
  clockTime,
  coins,
  copy,
  copyValue,
  difficulty,
  duration,
  hashRate,
  integer,
  isHash,
  longShort,
  make,
  nodeNow,
  percent,
  refreshTimes,
  setBanner,
  setText,
  shareLink,
  shortHash,
  shortWorker,
  significant,
  showNetwork,
} from "./common.js";
import { follow } from "./live.js";
import { Table, copyValueBoth, emptyNote, textColumn, timeColumn } from "./table.js";

const PERIOD = 2000;
const PATHS = [
  "local_stats",
  "global_stats",
  "recent_blocks",
  "recent_shares",
  "current_payouts",
  "payout_addr",
  "peer_list",
  "dashd_status",
  "broadcaster_status",
];
const REFUSALS = {
  20: "malformed",
  21: "stale job",
  22: "duplicate",
  23: "below difficulty",
  24: "not authorized",
  25: "not subscribed",
};
const STATUS = {
  accepted: "In the chain; its coins can be spent after 100 confirmations",
  confirmed: "In the chain for good: its coins can be spent",
  orphaned: "Valid, but another block took its place",
  refused: "Refused by Dash Core",
  sent: "Sent, but not in the chain yet",
};

let symbol = "DASH";
let lastGood = null;
let firstFailure = null;

// --- tables ------------------------------------------------------------------------------------------------

const minerColumn = (title) => ({
  title,
  create: ({ miner }) => (miner ? longShort(miner, shortWorker(miner)) : "a miner of another node"),
});

const workersTable = new Table("workers", {
  caption: "Workers on this node: name, hash rate, dead part and difficulty",
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: "Worker", head: true, create: ({ key }) => longShort(key, shortWorker(key)) },
    textColumn("Hash rate", ({ rate }) => hashRate(rate)),
    textColumn("Dead part", ({ rate, dead }) => (rate > 0 ? percent(dead / rate) : "–")),
    textColumn("Difficulty", (w) => (w.difficulty === undefined ? "not connected" : difficulty(w.difficulty))),
  ],
});

const payoutsTable = new Table("payouts", {
  caption: "Current payouts: address, amount and part of the whole",
  few: 15,
  empty: emptyNote(),
  columns: [
    { title: "Address", head: true, create: ({ key }) => copyValueBoth(key, "address") },
    textColumn("Amount", ({ amount }) => coins(amount)),
    {
      title: "Part",
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
    },
  ],
});

const blocksTable = new Table("blocks", {
  caption: "Found blocks: time, height, hash, finder, value and status",
  few: 10,
  empty: emptyNote(),
  columns: [
    timeColumn("Found"),
    { ...textColumn("Height", ({ number }) => integer(number)), head: true },
    { title: "Block hash", create: ({ hash }) => copyValue(hash, shortHash(hash), "block hash") },
    minerColumn("Found by"),
    textColumn("Value", ({ value }) => `${coins(value)}\u00a0${symbol}`),
    {
      title: "Status",
      create: () => make("span", { class: "status" }),
      update: (cell, { status, reason, confirmations, chainlock }) => {
        const node = cell.firstElementChild;
        node.className = `status ${Object.hasOwn(STATUS, status) ? status : ""}`;
        node.title = (STATUS[status] ?? "") + (reason ? `: ${reason}` : "");
        const depth = confirmations > 0 ? `, ${integer(confirmations)} deep${chainlock ? ", ChainLock" : ""}` : "";
        setText(node, status === "refused" && reason ? `${status}: ${reason}` : status + depth);
      },
    },
  ],
});

const daemonsTable = new Table("daemons", {
  caption: "Dash Core daemons: address, state, height, time for an answer and version",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "Address", head: true, create: ({ key }) => make("span", { class: "mono" }, key) },
    {
      title: "State",
      create: () => make("span", { class: "status" }),
      update: (cell, { serving, problem }) => {
        const node = cell.firstElementChild;
        node.className = `status ${problem !== null ? "refused" : serving ? "accepted" : ""}`;
        setText(node, problem ?? (serving ? "gives work" : "stands by"));
      },
    },
    textColumn("Height", ({ height }) => (height === null ? "–" : integer(height))),
    textColumn("Answers in", ({ answer_time: time }) => (time === null ? "–" : `${significant(time * 1000, 3)}\u00a0ms`)),
    textColumn("Version", ({ version }) => version || "–", null),
  ],
});

const sharesTable = new Table("shares", {
  caption: "Shares found by this node's miners: time, hash, worker and whether in time",
  few: 10,
  empty: emptyNote(),
  columns: [
    timeColumn("Found"),
    { title: "Share", head: true, create: ({ hash }) => shareLink(hash) },
    minerColumn("Worker"),
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

const peersTable = new Table("peers", {
  caption: "Connected nodes: address, direction, software, since when, known transactions and round-trip time",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "Address", head: true, create: ({ key }) => make("span", { class: "mono" }, key) },
    textColumn("Direction", ({ incoming }) => (incoming ? "incoming" : "outgoing"), "whole"),
    textColumn("Software", ({ version }) => version || "–", null),
    timeColumn("Connected"),
    textColumn("Transactions", (peer) => integer(peer.known_transactions)),
    textColumn("Round trip", ({ ping }) => (ping === null ? "–" : `${significant(ping, 3)}\u00a0ms`)),
  ],
});

// Empty states, made once: `show` swaps them in only where they change.
const linkToConnect = () => make("a", { href: "#connect" }, "How to connect a miner");
const EMPTY = {
  workers: make("span", {}, "No miner is connected yet. ", linkToConnect()),
  shares: make("span", {}, "None yet. A share appears here when a miner of this node solves one."),
  blocks: make("span", {}, "None yet. The pool’s expected time to a block is shown above; luck decides the rest."),
  peers: make("span", {}, "None: until another node connects, this one is a pool of its own."),
  daemons: make("span", {}, "None is known yet: the node is starting."),
  payouts: make("span", {}, "Nobody yet: payouts follow from the share chain, and it has no share."),
};

// --- showing -----------------------------------------------------------------------------------------------

const put = (id, text) => setText(byId(id), text);

function showGlobal(g, local) {
  symbol = g.symbol;
  showNetwork(g.network);
  const waiting = g.block_height === null;
  const poolKnown = g.share_chain_height >= 2;
  put("f-pool", poolKnown ? hashRate(g.pool_hash_rate) : "not known yet");
  const part = g.network_hashrate > 0 ? g.pool_hash_rate / g.network_hashrate : null;
  put("f-pool-note", poolNote(poolKnown, part));
  put("f-chain", integer(g.share_chain_height));
  put("f-height", waiting ? "–" : integer(g.block_height));
  put("f-diff", waiting ? "–" : difficulty(g.network_block_difficulty));
  put("f-diff-note", waiting ? "waiting for Dash Core" : `network at ${hashRate(g.network_hashrate)}`);
  put("h-stale", percent(g.pool_stale_prop));
  put("n-held", integer(g.shares_held));
  if (local === null) return;
  const attempts = local.attempts_to_block;
  const able = typeof attempts === "number" && poolKnown && g.pool_hash_rate > 0;
  put("f-time", able ? duration(attempts / g.pool_hash_rate) : "not known yet");
  put("f-time-note", able ? "for the whole pool, on average" : "needs a pool hash rate and Dash Core");
  document.title = poolKnown ? `${hashRate(g.pool_hash_rate)} – p2pool-dash node` : "p2pool-dash node";
}

function poolNote(poolKnown, part) {
  if (!poolKnown) return "the share chain has fewer than two shares";
  if (part === null) return "all miners of the pool";
  return part >= 1 ? "about all of the network, going by its difficulty" : `${percent(part, 2)} of the whole network`;
}

function showLocal(l) {
  put("f-local", hashRate(l.hash_rate));
  const count = Object.keys(l.miner_last_difficulties).length;
  put("f-local-note", localNote(l, count));
  put("h-eff", l.efficiency === null ? "no shares yet" : percent(l.efficiency));
  put("h-perfect", l.efficiency_if_miner_perfect === null ? "–" : percent(l.efficiency_if_miner_perfect));
  put("h-total", integer(l.shares.total));
  put("h-orphan", counted(l.shares.orphan, l.shares.total));
  put("h-dead", counted(l.shares.dead, l.shares.total));
  const { accepted, dead, refused } = l.submissions;
  put("h-accepted", integer(accepted));
  const parts = Object.entries(refused).map(([code, n]) => `${integer(n)} ${REFUSALS[code] ?? `code ${code}`}`);
  const late = dead > 0 ? `${integer(dead)} of them came too late. ` : "";
  put("h-refused", late + (parts.length === 0 ? "No submission was refused." : `Refused: ${parts.join(", ")}.`));
  put("n-version", `${l.version} (protocol ${l.protocol_version})`);
  put("n-uptime", duration(l.uptime));
  put("n-connections", integer(l.connections));
  put("n-peers", `${integer(l.peers.incoming + l.peers.outgoing)} (${integer(l.peers.outgoing)} outgoing)`);
  put("n-fee", percent(l.fee / 100, 2));
  put("n-donation", percent(l.donation_proportion, 2));
  const waiting = l.attempts_to_block === null;
  put("n-value", waiting ? "–" : `${coins(l.block_value)}\u00a0${symbol}`);
  if (!waiting) {
    const miners = `${coins(l.block_value_miner)} of it to miners, ${coins(l.block_value_payments)}`;
    put("n-value-note", `${miners} to masternodes and the chain’s other payees.`);
    put("payouts-lead", payoutsLead(l));
  }
  showWarnings(l.warnings);
  showWorkers(l);
}

function localNote(l, count) {
  if (l.connections === 0) return "no miner is connected";
  const workers = `${integer(count)} ${count === 1 ? "worker" : "workers"}`;
  if (!(l.hash_rate > 0)) return `${workers}, nothing delivered yet`;
  return l.dead_hash_rate > 0 ? `${workers}, ${percent(l.dead_hash_rate / l.hash_rate)} of their work dead` : workers;
}

function payoutsLead(l) {
  return (
    `Who would get what of the miners’ ${coins(l.block_value_miner)} ${symbol} if the pool found a block now. ` +
    "Of each part, 2% goes to whoever finds the block."
  );
}

const counted = (n, total) => (total > 0 ? `${integer(n)} (${percent(n / total)})` : integer(n));

function showWarnings(warnings) {
  const ids = new Set(warnings.map((_, i) => `warning-${i}`));
  warnings.forEach((text, i) => setBanner(`warning-${i}`, "warning", `Warning: ${text}`));
  for (const node of [...byId("banner").children]) {
    if (node.id.startsWith("warning-") && !ids.has(node.id)) node.remove();
  }
}

function showWorkers(l) {
  const rates = l.miner_hash_rates;
  const connected = l.miner_last_difficulties;
  const names = new Set([...Object.keys(connected), ...Object.keys(rates)]);
  const at = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);
  const workers = [...names].map((name) => ({
    key: name,
    rate: at(rates, name) ?? 0,
    dead: at(l.miner_dead_hash_rates, name) ?? 0,
    difficulty: at(connected, name),
  }));
  workers.sort((a, b) => b.rate - a.rate || (a.key < b.key ? -1 : 1));
  workersTable.show(workers, EMPTY.workers);
}

function showPayouts(payouts) {
  const total = Object.values(payouts).reduce((sum, amount) => sum + amount, 0);
  const items = Object.entries(payouts).map(([key, amount]) => ({ key, amount, part: total > 0 ? amount / total : 0 }));
  items.sort((a, b) => b.amount - a.amount);
  for (const item of items) item.length = item.amount / items[0].amount;
  payoutsTable.show(items, EMPTY.payouts);
}

let newestBlock = null;

function showBlocks(blocks) {
  blocksTable.show(blocks.map((block) => ({ ...block, key: block.hash })), EMPTY.blocks);
  const newest = blocks[0];
  if (newestBlock !== null && newest !== undefined && newest.hash !== newestBlock) {
    setText(byId("said"), `The pool found block ${integer(newest.number)}.`);
  }
  newestBlock = newest?.hash ?? "";
}

function showShares(shares) {
  sharesTable.show(shares.filter(({ hash }) => isHash(hash)).map((share) => ({ ...share, key: share.hash })), EMPTY.shares);
}

function showPeers(peers) {
  peersTable.show(peers.map((peer) => ({ ...peer, key: peer.address, ts: peer.connected_since })), EMPTY.peers);
}

function showDaemons({ daemons, new_block_to_job: roads, blocks_waiting: waiting }) {
  daemonsTable.show(daemons.map((daemon) => ({ ...daemon, key: daemon.address })), EMPTY.daemons);
  const parts = ["Where work comes from and where found blocks go."];
  const heard = Object.values(roads).reduce((sum, { count }) => sum + count, 0);
  if (heard > 0) {
    const total = Object.values(roads).reduce((sum, { count, average }) => sum + count * average, 0);
    parts.push(`Work on a new block left ${significant((total / heard) * 1000, 3)}\u00a0ms after the first news of it, on average.`);
  }
  if (waiting > 0) parts.push(`Found blocks whose fate is not known yet: ${integer(waiting)}.`);
  if (broadcasters !== null) parts.push(`Nodes of the network that found blocks are sent to as well: ${integer(broadcasters)}.`);
  put("daemons-lead", parts.join(" "));
}

let broadcasters = null;

function showBroadcaster({ connected }) {
  broadcasters = connected;
}

function showAddress(address) {
  const holder = byId("n-address");
  if (typeof address !== "string" || holder.dataset.address === address) return;
  holder.dataset.address = address;
  holder.replaceChildren(copyValue(address, address, "address"));
}

// --- how to connect ----------------------------------------------------------------------------------------

function showHowToConnect() {
  const { hostname, port, protocol } = location;
  const host = `${hostname}:${port || (protocol === "https:" ? "PORT" : "80")}`;
  put("c-url", `stratum+tcp://${host}`);
  put("c-command", `cpuminer -a x11 -o stratum+tcp://${host} -u ADDRESS.worker -p x`);
  const hint = byId("c-hint");
  const near = ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  if (near) setText(hint, "Miners on other machines use this machine’s address instead.");
  else if (port === "") setText(hint, "This page came without a port, perhaps through a proxy: ask the operator for the node’s own.");
  else return;
  hint.hidden = false;
}

function showPrefix(network) {
  put("c-prefix", network === "dash" ? "it starts with X" : "on this test network it starts with y");
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", () => copy(byId(button.dataset.copy).textContent, button));
}

// --- polling -----------------------------------------------------------------------------------------------

async function askJson(path) {
  const { status, text } = await ask(path);
  return { status, value: status === 200 ? JSON.parse(text) : null };
}

async function poll() {
  // While nothing answers, one question is enough to find out when it does again.
  if (firstFailure !== null) {
    try {
      await ask(PATHS[0]);
    } catch {
      refreshTimes();
      return;
    }
  }
  const settled = await Promise.allSettled(PATHS.map(askJson));
  const answers = new Map(PATHS.map((path, i) => [path, settled[i].status === "fulfilled" ? settled[i].value : null]));
  if (settled.every(({ status }) => status === "rejected")) {
    firstFailure ??= lastGood ?? Date.now() / 1000;
    setBanner("offline", "offline", `No connection to the node since ${clockTime(firstFailure)}. Trying again; the figures below are from then.`);
    document.body.classList.add("stale");
    put("live", "No connection");
    refreshTimes();
    return;
  }
  showAll(new Map([...answers].map(([path, answer]) => [path, answer?.value ?? null])));
}

/** Shows what is known of the views, a Map; the others stay as they are. */
function showAll(values) {
  const value = (path) => values.get(path) ?? null;
  const starting = value("local_stats") === null;
  firstFailure = null;
  lastGood = Date.now() / 1000;
  setBanner("offline", "offline", null);
  setBanner("starting", "offline", starting ? "The node is starting; its figures follow in a moment." : null);
  document.body.classList.remove("stale");
  put("live", `Live, ${clockTime(nodeNow())}`);
  const [local, global] = [value("local_stats"), value("global_stats")];
  if (global !== null) {
    showGlobal(global, local);
    showPrefix(global.network);
  }
  if (local !== null) showLocal(local);
  show("recent_blocks", showBlocks);
  show("recent_shares", showShares);
  show("current_payouts", showPayouts);
  show("payout_addr", showAddress);
  show("peer_list", showPeers);
  show("broadcaster_status", showBroadcaster);
  show("dashd_status", showDaemons);
  refreshTimes();

  function show(path, shower) {
    const found = value(path);
    if (found !== null) shower(found);
  }
}

/** Says what a reader who does not see the page would miss; the rest shows itself within a second. */
function tell(event) {
  if (event.event === "alert" && !event.over) setText(byId("said"), `Warning: ${event.text}`);
}

showHowToConnect();
follow({ views: PATHS, show: showAll, news: tell, poll, period: PERIOD });
