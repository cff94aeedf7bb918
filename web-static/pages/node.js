// The node page: status, resource usage and settings of the node.

import { byId, make, setText, setTime, timeNode } from "../js/dom.js";
import { absoluteTime, bytes, duration, hostAndPort, integer, known, percent, significant } from "../js/format.js";
import { originsText } from "../js/origins.js";
import { pollPath, startPage } from "../js/page.js";
import { Table, copyValueBoth, emptyNote, textColumn } from "../js/table.js";

const SLOW_PERIOD = 10000;
const MONTH = 30 * 86400;

const seconds = (value) => (known(value) ? (value < 1 ? `${significant(value * 1000, 3)}\u00a0ms` : `${significant(value, 3)}\u00a0s`) : "–");
const yesNo = (value) => (value ? "yes" : "no");

/** Fill a dl.rows with [term, note or null, value (text or node)], if it has changed. */
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
  caption: "Dash Core daemons: address, state, height, last response, latency, connections and version",
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
        setText(node, problem ?? (serving ? "active" : "standby"));
      },
    },
    textColumn("Height", ({ height }) => (height === null ? "–" : integer(height))),
    textColumn("Last response", ({ last_answer: last }) => (known(last) ? `${duration(last)} ago` : "–")),
    textColumn("Latency", ({ answer_time: time }) => seconds(time)),
    textColumn("Connections", ({ connections }) => (connections === null ? "–" : integer(connections))),
    textColumn("Version", ({ version }) => version || "–", null),
  ],
});

const NOTIFICATION_SOURCES = {
  p2p: "Dash Core, p2p",
  zmq: "Dash Core, ZMQ",
  long_poll: "Dash Core, long polling",
  heartbeat: "Dash Core, heartbeat",
  poll: "Dash Core, regular polling",
  network: "Dash network node",
  pool: "pool peer",
  submission: "own block accepted by Dash Core",
};

const times = new Table("times", {
  caption: "Latencies: measurement, count, median, 99th percentile and mean",
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: "Measurement", head: true, create: ({ key, what }) => (what === undefined ? key : what) },
    textColumn("Count", ({ count }) => integer(count)),
    textColumn("Median", ({ median }) => seconds(median)),
    textColumn("99th percentile", ({ p99 }) => seconds(p99)),
    textColumn("Mean", ({ average }) => seconds(average)),
  ],
});

function showDashd(dashd) {
  daemons.show(dashd.daemons.map((daemon) => ({ ...daemon, key: daemon.address })), make("span", {}, "No Dash Core daemons known yet."));
  const good = dashd.daemons.filter(({ problem }) => problem === null).length;
  setText(byId("f-dashd"), dashd.problem === null ? "OK" : "problem");
  byId("f-dashd").className = dashd.problem === null ? "good" : "bad";
  setText(byId("f-dashd-note"), `${integer(good)} of ${integer(dashd.daemons.length)} ${dashd.daemons.length === 1 ? "daemon" : "daemons"} OK`);
  const sources = Object.entries(dashd.new_block_to_job).map(([source, latency]) => ({
    ...latency,
    key: source,
    what: `New block (${Object.hasOwn(NOTIFICATION_SOURCES, source) ? NOTIFICATION_SOURCES[source] : source})`,
  }));
  times.show(
    [...sources, { ...dashd.block_sending, key: "sending", what: "Sending a found block" }].filter(({ count }) => count > 0),
    make("span", {}, "No measurements yet: no new block since the node started."),
  );
  const commonest = sources.filter(({ count }) => count > 0).sort((a, b) => b.count - a.count)[0];
  setText(byId("f-block"), commonest === undefined ? "–" : seconds(commonest.median));
  const waiting = dashd.blocks_waiting;
  const lead = "Provides block templates and receives found blocks. The node uses the best dashd; if it fails, another takes over within seconds.";
  setText(byId("daemons-lead"), waiting > 0 ? `${lead} The outcome of ${integer(waiting)} found ${waiting === 1 ? "block" : "blocks"} is pending.` : lead);
}

const broadcaster = new Table("broadcaster", {
  caption: "Dash network nodes: address, version, connected since and clock offset",
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: "Address", head: true, create: ({ key }) => make("span", { class: "mono" }, key) },
    textColumn("Version", ({ version }) => version || "–", null),
    { title: "Connected", create: ({ since }) => timeNode(since), update: (cell, { since }) => setTime(cell.firstElementChild, since) },
    textColumn("Clock offset", ({ clock_offset: offset }) => `${significant(offset, 2)}\u00a0s`),
  ],
});

function showBroadcaster({ enabled, peers, blocks_broadcast: sent }) {
  const rows = peers.active.map((peer) => ({
    ...peer,
    key: hostAndPort(peer.host, peer.port),
    since: Math.round(peer.connected_since / 5) * 5, // recomputed each second
  }));
  broadcaster.show(rows, make("span", {}, enabled ? "No Dash network nodes connected. Found blocks are sent to Dash Core, which relays them." : "The broadcaster is disabled (--disable-broadcaster)."));
  const count = sent === 0 ? "" : ` ${integer(sent)} ${sent === 1 ? "block" : "blocks"} sent since the node started.`;
  setText(byId("broadcaster-lead"), `Found blocks are sent to these Dash network nodes as well as to Dash Core.${count}`);
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
    ["Fee", "Percentage of the work on this node that goes to the operator.", percent(node.fee, 2)],
    ["Donation", "Percentage that goes to the developers.", percent(node.donation, 2)],
    ["Operator’s addresses", node.fee > 0 ? "Addresses that the fee is paid to." : "This node’s own addresses; there is no fee.", own.length === 0 ? "none yet" : list],
    ["X11 provider", "The implementation of the proof of work, and the processor instructions that it uses.", x11Text(node.x11)],
    ["Efficiency", "Yield relative to the pool average: above 100%, this node loses less to stale shares.", node.efficiency === null ? "–" : percent(node.efficiency)],
  ]);
  showRows("others", [
    ["Reachable from outside", reachableNote(node), REACHABLE[node.reachable.answer] ?? node.reachable.answer],
    ...node.mapped_ports.map(({ network, method, address, since }) => [
      `Port forwarding, ${network === "ipv6" ? "IPv6" : "IPv4"}`,
      `By the router (${method}), since ${absoluteTime(since)}.`,
      address,
    ]),
    ["Peers by source", "The Peers page lists each one.", originsText(node.peers_found_by) || "none"],
    node.connect_only
      ? ["Outgoing connections", "--connect-only: the node looks for no others.", "only to --p2pool-node"]
      : ["Last bootstrap lookup", bootstrapNote(node.bootstrap), bootstrapText(node.bootstrap)],
  ]);
}

function x11Text({ provider, instructions }) {
  return provider === "" ? "–" : instructions === "" ? provider : `${provider} (${instructions})`;
}

const REACHABLE = { yes: "yes", no: "no", unknown: "not known" };
const KNOWN_BY = {
  "yes incoming": "Other nodes connect from public addresses.",
  "yes router": "The router says that it forwards the port; nobody has connected yet.",
  "no router": "The router forwards the port, but its own address is not public: there is another router.",
  "no silence": "Others are told of this node, and nobody connected for a day. Is the port forwarded, and not blocked?",
  "no settings": "The port for other nodes is open to this machine only.",
};

function reachableNote({ reachable: { answer, since, known_by: how }, onion }) {
  const words = KNOWN_BY[`${answer} ${how}`] ?? "No node has connected from a public address, and no router has said that it forwards the port.";
  const time = known(since) ? `Since ${absoluteTime(since)}. ` : "";
  return onion === null ? time + words : `${time}${words} Through Tor: ${onion}.`;
}

function bootstrapText({ last_look_up: time, addresses_found: found }) {
  return time === null ? "none so far" : `${integer(found)} ${found === 1 ? "address" : "addresses"}`;
}

function bootstrapNote({ last_look_up: time }) {
  const why = "This node looks up addresses while it has fewer than two outgoing connections.";
  return time === null ? why : `${absoluteTime(time)}. ${why}`;
}

function showProcess(process) {
  const delay = process.reactor_delay;
  setText(byId("f-memory"), known(process.memory) ? bytes(process.memory) : "–");
  setText(byId("f-delay"), seconds(delay.worst));
  showRows("process", [
    ["Memory", null, known(process.memory) ? bytes(process.memory) : "–"],
    ["CPU time", "All threads, since the node started.", duration(process.cpu_seconds)],
    ["Open files", "Each miner connection uses one.", `${integer(process.open_files)} of ${process.max_files === null ? "unlimited" : integer(process.max_files)}`],
    ["Threads", null, integer(process.threads)],
    ["Event loop delay", "Median.", seconds(delay.median)],
    ["Event loop delay, worst 1%", "99th percentile. Miners wait during a delay.", seconds(delay.p99)],
    ["Garbage collection pause", "Median.", seconds(process.garbage_collection.median)],
  ]);
}

const ports = new Table("ports", {
  caption: "Open ports: port, purpose and certificate",
  few: 10,
  empty: emptyNote(),
  columns: [
    { ...textColumn("Port", ({ port }) => String(port), "whole"), head: true },
    textColumn("Purpose", ({ purpose }) => purpose, null),
    { title: "Certificate", create: () => make("span"), update: (cell, port) => showCertificate(cell.firstElementChild, port) },
  ],
});

function showCertificate(node, { fingerprint, other_fingerprint: other, expires }) {
  const key = `${fingerprint} ${other} ${expires}`;
  if (node.dataset.shown === key) return;
  node.dataset.shown = key;
  if (fingerprint === null) {
    node.replaceChildren(make("span", { class: "soft" }, "none (not encrypted)"));
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
  caption: "Merged-mined chains: daemon, chain, accepted and rejected blocks, and state",
  few: 16,
  empty: emptyNote(),
  columns: [
    { title: "Daemon", head: true, create: ({ key }) => make("span", { class: "mono" }, key) },
    textColumn("Chain", ({ chain_id: chain }) => (chain === null ? "–" : String(chain))),
    textColumn("Accepted", ({ accepted }) => integer(accepted)),
    textColumn("Rejected", ({ refused }) => integer(refused)),
    textColumn("State", ({ problem }) => problem ?? "OK", null),
  ],
});

// --- polled resources ------------------------------------------------------------------------

pollPath("api/v1/history/status", SLOW_PERIOD, (value, status) => {
  const lead = byId("history-lead");
  if (status !== 200 || value.database === null) {
    showRows("history", []);
    const why = status === 404 ? "This node keeps no history." : (value?.problem ?? value?.error?.message ?? `History is unavailable (status ${status}).`);
    setText(lead, why);
    return;
  }
  setText(lead, value.problem === null ? "The database behind the graphs and older lists." : `Problem: ${value.problem}`);
  lead.classList.toggle("bad", value.problem !== null);
  const rows = [
    ["Database", null, value.database],
    ["Node name", "Several nodes can share a database.", String(value.node)],
    ["Retention", "Full-resolution samples; older ones are downsampled. Blocks are kept forever.", `${significant(value.retention_days, 3)} days`],
    ["Pending writes", null, integer(value.waiting)],
  ];
  if (known(value.oldest)) rows.push(["Oldest data", null, absoluteTime(value.oldest)]);
  showRows("history", rows);
});

const alerts = new Table("alerts", {
  caption: "Webhook and alert destinations: name, kind, host, events, delivered, waiting and lost messages, last success and failure",
  few: 30,
  empty: emptyNote(),
  columns: [
    { ...textColumn("Destination", ({ key }) => key, null), head: true },
    textColumn("Kind", ({ kind }) => kind, null),
    textColumn("Host", ({ host }) => host, null),
    textColumn("Events", ({ events }) => events.join(", ").replaceAll("_", " "), null),
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

pollPath("api/v1/alerts", SLOW_PERIOD, (value, status) => {
  byId("alerts").hidden = status !== 200;
  if (status !== 200) return;
  alerts.show(value.destinations.map((each) => ({ ...each, key: each.id })), make("span", {}, "No webhook or alert destinations configured."));
  const parts = [`${integer(value.sent)} ${value.sent === 1 ? "message" : "messages"} sent since the node started.`];
  if (value.quiet_times.length > 0) parts.push(`Quiet hours: ${value.quiet_times.join(", ")}${value.is_quiet ? " (now)" : ""}; ${integer(value.held)} held back.`);
  if (value.problem !== null) parts.push(`Problem: ${value.problem}.`);
  setText(byId("alerts-lead"), parts.join(" "));
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
pollPath("api/v1/config", 60000, (value, status) => {
  if (status !== 200) return;
  settings = Object.entries(value.settings).map(([name, setting]) => [name, settingText(setting)]);
  showSettings();
});

// --- the page ----------------------------------------------------------------------------------------------

const VIEWS = {
  "api/v1/node": showNode,
  "api/v1/dashd": showDashd,
  broadcaster_status: showBroadcaster,
  "api/v1/process": showProcess,
  "api/v1/ports": (list) => ports.show(list.map((port) => ({ ...port, key: `${port.port} ${port.purpose}` })), make("span", {}, "No open ports yet.")),
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
