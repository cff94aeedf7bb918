// How the node is doing and how it is set up.

import { byId, make, setText, setTime, timeNode } from "../js/dom.js";
import { absoluteTime, bytes, duration, hostAndPort, integer, known, percent, significant } from "../js/format.js";
import { originsText } from "../js/origins.js";
import { lookUp, startPage } from "../js/page.js";
import { Table, copyValueBoth, emptyNote, textColumn } from "../js/table.js";

const SLOW_PERIOD = 10000;
const MONTH = 30 * 86400;

const seconds = (value) => (known(value) ? (value < 1 ? `${significant(value * 1000, 3)}\u00a0ms` : `${significant(value, 3)}\u00a0s`) : "–");
const yesNo = (value) => (value ? "yes" : "no");

/** Fills a dl.rows with [term, note or null, value (text or node)], where it says something else by now. */
function showRows(id, rows) {
  const holder = byId(id);
  const key = JSON.stringify(rows.map(([term, note, value]) => [term, note, typeof value === "string" ? value : value.textContent]));
  if (holder.dataset.shown === key) return;
  holder.dataset.shown = key;
  holder.replaceChildren(
    ...rows.map(([term, note, value]) => {
      const name = make("dt", {}, term);
      if (note !== null) name.append(make("span", { class: "note" }, note));
      return make("div", {}, name, make("dd", {}, value));
    }),
  );
}

// --- Dash Core ---------------------------------------------------------------------------------------------

const daemons = new Table("daemons", {
  caption: "Dash Core daemons: address, state, height, last answer, time for an answer, connections and version",
  few: 16,
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
    textColumn("Last answer", ({ last_answer: last }) => (known(last) ? `${duration(last)} ago` : "–")),
    textColumn("Answers in", ({ answer_time: time }) => seconds(time)),
    textColumn("Connections", ({ connections }) => (connections === null ? "–" : integer(connections))),
    textColumn("Version", ({ version }) => version || "–", null),
  ],
});

const ROADS = {
  p2p: "Dash Core by p2p",
  zmq: "Dash Core by ZMQ",
  long_poll: "Dash Core by long poll",
  heartbeat: "Dash Core, asked whether it lives",
  poll: "Dash Core, asked for a template",
  network: "a node of the Dash network",
  pool: "a node of the pool",
};

const times = new Table("times", {
  caption: "Times: what, how often, half of the times below, 99 of 100 below, and average",
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: "What", head: true, create: ({ key, what }) => (what === undefined ? key : what) },
    textColumn("Times", ({ count }) => integer(count)),
    textColumn("Half below", ({ median }) => seconds(median)),
    textColumn("99% below", ({ p99 }) => seconds(p99)),
    textColumn("Average", ({ average }) => seconds(average)),
  ],
});

function showDashd(dashd) {
  daemons.show(dashd.daemons.map((daemon) => ({ ...daemon, key: daemon.address })), make("span", {}, "No daemon is known yet."));
  const good = dashd.daemons.filter(({ problem }) => problem === null).length;
  setText(byId("f-dashd"), dashd.problem === null ? "well" : "trouble");
  byId("f-dashd").className = dashd.problem === null ? "good" : "bad";
  setText(byId("f-dashd-note"), `${integer(good)} of ${integer(dashd.daemons.length)} ${dashd.daemons.length === 1 ? "daemon" : "daemons"} in order`);
  const roads = Object.entries(dashd.new_block_to_job).map(([road, told]) => ({
    ...told,
    key: road,
    what: `A new block, told by ${Object.hasOwn(ROADS, road) ? ROADS[road] : road}`,
  }));
  times.show(
    [...roads, { ...dashd.block_sending, key: "sending", what: "Sending a found block" }].filter(({ count }) => count > 0),
    make("span", {}, "Nothing to measure yet: no new block since the start."),
  );
  const fastest = roads.filter(({ count }) => count > 0).sort((a, b) => b.count - a.count)[0];
  setText(byId("f-block"), fastest === undefined ? "–" : seconds(fastest.median));
  const waiting = dashd.blocks_waiting;
  const lead = "Where work comes from and where found blocks go. The best daemon serves; another takes over within seconds.";
  setText(byId("daemons-lead"), waiting > 0 ? `${lead} ${integer(waiting)} found ${waiting === 1 ? "block is" : "blocks are"} not settled yet.` : lead);
}

const broadcaster = new Table("broadcaster", {
  caption: "Nodes of the Dash network: address, version, since when connected and how far their clock is ahead",
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: "Address", head: true, create: ({ key }) => make("span", { class: "mono" }, key) },
    textColumn("Version", ({ version }) => version || "–", null),
    { title: "Connected", create: ({ since }) => timeNode(since), update: (cell, { since }) => setTime(cell.firstElementChild, since) },
    textColumn("Its clock is ahead by", ({ clock_offset: offset }) => `${significant(offset, 2)}\u00a0s`),
  ],
});

function showBroadcaster({ enabled, peers, blocks_broadcast: sent }) {
  const rows = peers.active.map((peer) => ({
    ...peer,
    key: hostAndPort(peer.host, peer.port),
    since: Math.round(peer.connected_since / 5) * 5, // reckoned anew each second
  }));
  broadcaster.show(rows, make("span", {}, enabled ? "No node is connected now. Found blocks go to Dash Core, which passes them on." : "It is switched off (--disable-broadcaster)."));
  const count = sent === 0 ? "" : ` ${integer(sent)} ${sent === 1 ? "block was" : "blocks were"} sent since the start.`;
  setText(byId("broadcaster-lead"), `Nodes of the Dash network that a found block is sent to, beside Dash Core.${count}`);
}

// --- the node itself ---------------------------------------------------------------------------------------

function showNode(node) {
  setText(byId("f-version"), node.version);
  setText(byId("f-version-note"), `protocol ${node.protocol_version}, ${node.network}`);
  setText(byId("f-uptime"), duration(node.uptime));
  setText(byId("f-uptime-note"), `since ${absoluteTime(node.start_time)}`);
  const own = node.payout_addresses.map(({ address }) => copyValueBoth(address, "address"));
  const list = make("ul", {}, ...own.map((button) => make("li", {}, button)));
  showRows("own", [
    ["Fee", "The part of the work done here that goes to the operator.", percent(node.fee, 2)],
    ["Donation", "The part that goes to p2pool’s developers.", percent(node.donation, 2)],
    ["Operator’s addresses", "Where the fee is paid to.", own.length === 0 ? "none yet" : list],
    ["Efficiency", "Yield compared with the pool’s average: above 100% this node loses less to stale shares.", node.efficiency === null ? "–" : percent(node.efficiency)],
  ]);
  showRows("others", [
    ["Connected", "How this node learnt of them. The Peers page lists each one.", originsText(node.peers_found_by) || "none"],
    ["Last look-up", "This node looks for others while it has fewer than two outgoing connections.", lookText(node.bootstrap)],
  ]);
}

function lookText({ last_look_up: time, addresses_found: found }) {
  if (time === null) return "not needed since the start";
  return `${absoluteTime(time)}: ${integer(found)} ${found === 1 ? "address" : "addresses"}`;
}

function showProcess(process) {
  const delay = process.reactor_delay;
  setText(byId("f-memory"), known(process.memory) ? bytes(process.memory) : "–");
  setText(byId("f-delay"), seconds(delay.worst));
  showRows("process", [
    ["Memory", null, known(process.memory) ? bytes(process.memory) : "–"],
    ["Processor time", "Of all threads since the start.", duration(process.cpu_seconds)],
    ["Open files", "Every miner’s connection is one.", `${integer(process.open_files)} of ${process.max_files === null ? "any number" : integer(process.max_files)}`],
    ["Threads", null, integer(process.threads)],
    ["Event loop late by", "Half of the times less than this.", seconds(delay.median)],
    ["Late in 1 of 100 times by", "While it is late, miners wait.", seconds(delay.p99)],
    ["Garbage collection", "Half of the times less than this.", seconds(process.garbage_collection.median)],
  ]);
}

const ports = new Table("ports", {
  caption: "Open ports: number, what for, and the certificate",
  few: 10,
  empty: emptyNote(),
  columns: [
    { ...textColumn("Port", ({ port }) => String(port), "whole"), head: true },
    textColumn("For", ({ purpose }) => purpose, null),
    { title: "Certificate", create: () => make("span"), update: (cell, port) => showCertificate(cell.firstElementChild, port) },
  ],
});

function showCertificate(node, { fingerprint, other_fingerprint: other, expires }) {
  const key = `${fingerprint} ${other} ${expires}`;
  if (node.dataset.shown === key) return;
  node.dataset.shown = key;
  if (fingerprint === null) {
    node.replaceChildren(make("span", { class: "soft" }, "none: not encrypted"));
    return;
  }
  const left = expires - Date.now() / 1000;
  const soon = left < MONTH ? "bad" : null;
  const until = left < 0 ? `expired on ${absoluteTime(expires)}` : `valid until ${absoluteTime(expires)}`;
  const digits = make("span", { class: "note mono whole-wrap" }, `SHA-256 ${fingerprint}`);
  const rsa = other === null ? [] : [make("span", { class: "note mono whole-wrap" }, `RSA: SHA-256 ${other}`)];
  node.replaceChildren(make("span", { class: soon }, until), digits, ...rsa);
}

const merged = new Table("merged", {
  caption: "Other chains: daemon, chain, blocks taken and refused, and state",
  few: 16,
  empty: emptyNote(),
  columns: [
    { title: "Daemon", head: true, create: ({ key }) => make("span", { class: "mono" }, key) },
    textColumn("Chain", ({ chain_id: chain }) => (chain === null ? "–" : String(chain))),
    textColumn("Taken", ({ accepted }) => integer(accepted)),
    textColumn("Refused", ({ refused }) => integer(refused)),
    textColumn("State", ({ problem }) => problem ?? "in order", null),
  ],
});

// --- what is asked for now and then ------------------------------------------------------------------------

lookUp("api/v1/history/status", SLOW_PERIOD, (value, status) => {
  const lead = byId("history-lead");
  if (status !== 200 || value.database === null) {
    showRows("history", []);
    const why = status === 404 ? "This node keeps no history." : (value?.problem ?? value?.error?.message ?? `It cannot be asked now (status ${status}).`);
    setText(lead, why);
    return;
  }
  setText(lead, value.problem === null ? "It is being written; graphs and older lists are made of it." : `Trouble: ${value.problem}`);
  lead.classList.toggle("bad", value.problem !== null);
  const rows = [
    ["Database", null, value.database],
    ["This node’s name in it", "Several nodes may share one database.", String(value.node)],
    ["Kept for", "Single samples; then means over longer times. Blocks are kept for ever.", `${significant(value.retention_days, 3)} days`],
    ["Waiting to be written", null, integer(value.waiting)],
  ];
  if (known(value.oldest)) rows.push(["Begins", null, absoluteTime(value.oldest)]);
  showRows("history", rows);
});

const alerts = new Table("alerts", {
  caption: "Destinations of webhooks and alerts: name, kind, host, events, deliveries, and the last success and failure",
  few: 30,
  empty: emptyNote(),
  columns: [
    { ...textColumn("Destination", ({ key }) => key, null), head: true },
    textColumn("Kind", ({ kind }) => kind, null),
    textColumn("Host", ({ host }) => host, null),
    textColumn("Told of", ({ events }) => events.join(", ").replaceAll("_", " "), null),
    textColumn("Delivered", ({ delivered }) => integer(delivered)),
    textColumn("Waiting", ({ waiting }) => integer(waiting)),
    textColumn("Lost", ({ lost }) => integer(lost)),
    { title: "Last success", create: () => timeNode(null), update: (cell, { last_success: at }) => setTime(cell.firstElementChild, at) },
    {
      title: "Last failure",
      create: () => make("span", {}, timeNode(null), make("span", { class: "note" })),
      update: (cell, { last_failure: failure }) => {
        const [time, reason] = cell.firstElementChild.children;
        setTime(time, failure?.time ?? null);
        setText(reason, failure?.reason ?? "");
      },
    },
  ],
});

lookUp("api/v1/alerts", SLOW_PERIOD, (value, status) => {
  byId("alerts").hidden = status !== 200;
  if (status !== 200) return;
  alerts.show(value.destinations.map((each) => ({ ...each, key: each.id })), make("span", {}, "Nobody is told anything: no webhook and no alert is set up."));
  const told = [`${integer(value.sent)} messages were sent since the start.`];
  if (value.quiet_times.length > 0) told.push(`Quiet times: ${value.quiet_times.join(", ")}${value.is_quiet ? " (now)" : ""}; ${integer(value.held)} held back.`);
  if (value.problem !== null) told.push(`Trouble: ${value.problem}.`);
  setText(byId("alerts-lead"), told.join(" "));
});

function settingText(value) {
  if (value === null) return "not set";
  if (typeof value === "boolean") return yesNo(value);
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : value;
}

let settings = [];

function showSettings() {
  const wanted = byId("settings-search").value.trim().toLowerCase();
  const found = settings.filter(([name, text]) => `${name} ${text}`.toLowerCase().includes(wanted));
  showRows("settings-body", found.map(([name, text]) => [name, null, text]));
  setText(byId("settings-count"), integer(found.length));
  byId("settings-none").hidden = found.length > 0;
}

byId("settings-search").addEventListener("input", showSettings);
lookUp("api/v1/config", 60000, (value, status) => {
  if (status !== 200) return;
  settings = Object.entries(value.settings).map(([name, setting]) => [name, settingText(setting)]);
  showSettings();
});

// --- all of it ---------------------------------------------------------------------------------------------

const VIEWS = {
  "api/v1/node": showNode,
  "api/v1/dashd": showDashd,
  broadcaster_status: showBroadcaster,
  "api/v1/process": showProcess,
  "api/v1/ports": (list) => ports.show(list.map((port) => ({ ...port, key: `${port.port} ${port.purpose}` })), make("span", {}, "No port is open yet.")),
  "api/v1/merged": (list) => {
    byId("merged").hidden = list.length === 0;
    merged.show(list.map((each) => ({ ...each, key: each.daemon })));
  },
};

startPage({
  views: Object.keys(VIEWS),
  show(values) {
    for (const [view, shower] of Object.entries(VIEWS)) {
      const value = values.get(view);
      if (value !== undefined) shower(value);
    }
  },
});
