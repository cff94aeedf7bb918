// The node page: status, resource usage and settings of the node.

import { byId, make, setText, setTime, timeNode } from "../js/dom.js";
import { absoluteTime, bytes, duration, hostAndPort, integer, known, listed, milliseconds, percent, significant } from "../js/format.js";
import { plural, t, told } from "../js/language.js";
import { originsText } from "../js/origins.js";
import { pollPath, startPage } from "../js/page.js";
import { Table, copyValueBoth, emptyNote, textColumn } from "../js/table.js";

const SLOW_PERIOD = 10000;
const MONTH = 30 * 86400;

const seconds = (value) => (known(value) ? (value < 1 ? milliseconds(value) : t`${significant(value, 3)}\u00a0s`) : "–");
const yesNo = (value) => (value ? t("yes") : t("no"));

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
  caption: t("Dash Core daemons: address, state, height, last response, latency, connections and version"),
  few: 16,
  empty: emptyNote(),
  columns: [
    { title: t("Address"), head: true, create: ({ key }) => make("span", { class: "mono" }, key) },
    {
      title: t("State"),
      create: () => make("span", { class: "status" }),
      update: (cell, { serving, problem }) => {
        const node = cell.firstElementChild;
        node.className = `status ${problem !== null ? "refused" : serving ? "accepted" : ""}`;
        setText(node, problem ?? (serving ? t("active") : t("standby")));
      },
    },
    textColumn(t("Height"), ({ height }) => (height === null ? "–" : integer(height))),
    textColumn(t("Last response"), ({ last_answer: last }) => (known(last) ? t`${duration(last)} ago` : "–")),
    textColumn(t("Latency"), ({ answer_time: time }) => seconds(time)),
    textColumn(t("Connections"), ({ connections }) => (connections === null ? "–" : integer(connections))),
    textColumn(t("Version"), ({ version }) => version || "–", null),
  ],
});

const NOTIFICATION_SOURCES = {
  p2p: t("Dash Core, p2p"),
  zmq: t("Dash Core, ZMQ"),
  long_poll: t("Dash Core, long polling"),
  heartbeat: t("Dash Core, heartbeat"),
  poll: t("Dash Core, regular polling"),
  network: t("Dash network node"),
  pool: t("pool peer"),
  submission: t("own block accepted by Dash Core"),
};

const times = new Table("times", {
  caption: t("Latencies: measurement, count, median, 99th percentile and mean"),
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: t("Measurement"), head: true, create: ({ key, what }) => (what === undefined ? key : what) },
    textColumn(t("Count"), ({ count }) => integer(count)),
    textColumn(t("Median"), ({ median }) => seconds(median)),
    textColumn(t("99th percentile"), ({ p99 }) => seconds(p99)),
    textColumn(t("Mean"), ({ average }) => seconds(average)),
  ],
});

function showDashd(dashd) {
  daemons.show(dashd.daemons.map((daemon) => ({ ...daemon, key: daemon.address })), make("span", {}, t("No Dash Core daemons known yet.")));
  const good = dashd.daemons.filter(({ problem }) => problem === null).length;
  setText(byId("f-dashd"), dashd.problem === null ? t("OK") : t("problem"));
  byId("f-dashd").className = dashd.problem === null ? "good" : "bad";
  setText(byId("f-dashd-note"), plural(dashd.daemons.length, "{1} of {0} daemon OK", "{1} of {0} daemons OK", integer(good)));
  const sources = Object.entries(dashd.new_block_to_job).map(([source, latency]) => ({
    ...latency,
    key: source,
    what: t`New block (${Object.hasOwn(NOTIFICATION_SOURCES, source) ? NOTIFICATION_SOURCES[source] : source})`,
  }));
  times.show(
    [...sources, { ...dashd.block_sending, key: "sending", what: t("Sending a found block") }].filter(({ count }) => count > 0),
    make("span", {}, t("No measurements yet: no new block since the node started.")),
  );
  const commonest = sources.filter(({ count }) => count > 0).sort((a, b) => b.count - a.count)[0];
  setText(byId("f-block"), commonest === undefined ? "–" : seconds(commonest.median));
  const waiting = dashd.blocks_waiting;
  const lead = t("Provides block templates and receives found blocks. The node uses the best dashd; if it fails, another takes over within seconds.");
  setText(byId("daemons-lead"), waiting > 0 ? `${lead} ${plural(waiting, "The outcome of {0} found block is pending.", "The outcome of {0} found blocks is pending.")}` : lead);
}

const broadcaster = new Table("broadcaster", {
  caption: t("Dash network nodes: address, version, connected since and clock offset"),
  few: 20,
  empty: emptyNote(),
  columns: [
    { title: t("Address"), head: true, create: ({ key }) => make("span", { class: "mono" }, key) },
    textColumn(t("Version"), ({ version }) => version || "–", null),
    { title: t("Connected"), create: ({ since }) => timeNode(since), update: (cell, { since }) => setTime(cell.firstElementChild, since) },
    textColumn(t("Clock offset"), ({ clock_offset: offset }) => t`${significant(offset, 2)}\u00a0s`),
  ],
});

function showBroadcaster({ enabled, peers, blocks_broadcast: sent }) {
  const rows = peers.active.map((peer) => ({
    ...peer,
    key: hostAndPort(peer.host, peer.port),
    since: Math.round(peer.connected_since / 5) * 5, // recomputed each second
  }));
  broadcaster.show(rows, make("span", {}, enabled ? t("No Dash network nodes connected. Found blocks are sent to Dash Core, which relays them.") : t("The broadcaster is disabled (--disable-broadcaster).")));
  const count = sent === 0 ? "" : ` ${plural(sent, "{0} block sent since the node started.", "{0} blocks sent since the node started.")}`;
  setText(byId("broadcaster-lead"), t("Found blocks are sent to these Dash network nodes as well as to Dash Core.") + count);
}

// --- the node itself ---------------------------------------------------------------------------------------

function showNode(node) {
  setText(byId("f-version"), node.version);
  setText(byId("f-version-note"), t`protocol ${node.protocol_version}, ${node.network}`);
  setText(byId("f-uptime"), duration(node.uptime));
  setText(byId("f-uptime-note"), t`since ${absoluteTime(node.start_time)}`);
  const own = node.payout_addresses.map(({ address }) => copyValueBoth(address, t("address")));
  const list = make("ul", {}, ...own.map((button) => make("li", {}, button)));
  showRows("own", [
    [t("Fee"), t("Percentage of the work on this node that goes to the operator."), percent(node.fee, 2)],
    [t("Donation"), t("Percentage that goes to the developers."), percent(node.donation, 2)],
    [t("Operator’s addresses"), node.fee > 0 ? t("Addresses that the fee is paid to.") : t("This node’s own addresses; there is no fee."), own.length === 0 ? t("none yet") : list],
    [t("X11 provider"), t("The implementation of the proof of work, and the processor instructions that it uses."), x11Text(node.x11)],
    [t("Efficiency"), t("Yield relative to the pool average: above 100%, this node loses less to stale shares."), node.efficiency === null ? "–" : percent(node.efficiency)],
  ]);
  showRows("others", [
    [t("Reachable from outside"), reachableNote(node), REACHABLE[node.reachable.answer] ?? node.reachable.answer],
    ...node.mapped_ports.map(({ network, method, address, since }) => [
      t`Port forwarding, ${network === "ipv6" ? "IPv6" : "IPv4"}`,
      t`By the router (${method}), since ${absoluteTime(since)}.`,
      address,
    ]),
    [t("Peers by source"), t("The Peers page lists each one."), originsText(node.peers_found_by) || t("none")],
    node.connect_only
      ? [t("Outgoing connections"), t("--connect-only: the node looks for no others."), t("only to --p2pool-node")]
      : [t("Last bootstrap lookup"), bootstrapNote(node.bootstrap), bootstrapText(node.bootstrap)],
  ]);
}

function x11Text({ provider, instructions }) {
  return provider === "" ? "–" : instructions === "" ? provider : `${provider} (${instructions})`;
}

const REACHABLE = { yes: t("yes"), no: t("no"), unknown: t("not known") };
const KNOWN_BY = {
  "yes incoming": t("Other nodes connect from public addresses."),
  "yes router": t("The router says that it forwards the port; nobody has connected yet."),
  "no router": t("The router forwards the port, but its own address is not public: there is another router."),
  "no silence": t("Others are told of this node, and nobody connected for a day. Is the port forwarded, and not blocked?"),
  "no settings": t("The port for other nodes is open to this machine only."),
};

function reachableNote({ reachable: { answer, since, known_by: how }, onion }) {
  const words = KNOWN_BY[`${answer} ${how}`] ?? t("No node has connected from a public address, and no router has said that it forwards the port.");
  const time = known(since) ? t`Since ${absoluteTime(since)}. ` : "";
  return onion === null ? time + words : t`${time}${words} Through Tor: ${onion}.`;
}

function bootstrapText({ last_look_up: time, addresses_found: found }) {
  return time === null ? t("none so far") : plural(found, "{0} address", "{0} addresses");
}

function bootstrapNote({ last_look_up: time }) {
  const why = t("This node looks up addresses while it has fewer than two outgoing connections.");
  return time === null ? why : `${absoluteTime(time)}. ${why}`;
}

function showProcess(process) {
  const delay = process.reactor_delay;
  setText(byId("f-memory"), known(process.memory) ? bytes(process.memory) : "–");
  setText(byId("f-delay"), seconds(delay.worst));
  showRows("process", [
    [t("Memory"), null, known(process.memory) ? bytes(process.memory) : "–"],
    [t("CPU time"), t("All threads, since the node started."), duration(process.cpu_seconds)],
    [t("Open files"), t("Each miner connection uses one."), t`${integer(process.open_files)} of ${process.max_files === null ? t("unlimited") : integer(process.max_files)}`],
    [t("Threads"), null, integer(process.threads)],
    [t("Event loop delay"), t("Median."), seconds(delay.median)],
    [t("Event loop delay, worst 1%"), t("99th percentile. Miners wait during a delay."), seconds(delay.p99)],
    [t("Garbage collection pause"), t("Median."), seconds(process.garbage_collection.median)],
  ]);
}

function purposeText({ purpose }) {
  const onion = /^(.+), also at (.+)$/.exec(purpose);
  return onion === null ? told(purpose) : t`${told(onion[1])}, also at ${onion[2]}`;
}

const ports = new Table("ports", {
  caption: t("Open ports: port, purpose and certificate"),
  few: 10,
  empty: emptyNote(),
  columns: [
    { ...textColumn(t("Port"), ({ port }) => String(port), "whole"), head: true },
    textColumn(t("Purpose"), purposeText, null),
    { title: t("Certificate"), create: () => make("span"), update: (cell, port) => showCertificate(cell.firstElementChild, port) },
  ],
});

function showCertificate(node, { fingerprint, other_fingerprint: other, expires }) {
  const key = `${fingerprint} ${other} ${expires}`;
  if (node.dataset.shown === key) return;
  node.dataset.shown = key;
  if (fingerprint === null) {
    node.replaceChildren(make("span", { class: "soft" }, t("none (not encrypted)")));
    return;
  }
  const left = expires - Date.now() / 1000;
  const soon = left < MONTH ? "bad" : null;
  const until = left < 0 ? t`expired on ${absoluteTime(expires)}` : t`valid until ${absoluteTime(expires)}`;
  const digits = make("span", { class: "note mono whole-wrap" }, `SHA-256 ${fingerprint}`);
  const rsa = other === null ? [] : [make("span", { class: "note mono whole-wrap" }, `RSA: SHA-256 ${other}`)];
  node.replaceChildren(make("span", { class: soon }, until), digits, ...rsa);
}

const merged = new Table("merged", {
  caption: t("Merged-mined chains: daemon, chain, accepted and rejected blocks, and state"),
  few: 16,
  empty: emptyNote(),
  columns: [
    { title: t("Daemon"), head: true, create: ({ key }) => make("span", { class: "mono" }, key) },
    textColumn(t("Chain"), ({ chain_id: chain }) => (chain === null ? "–" : String(chain))),
    textColumn(t("Accepted"), ({ accepted }) => integer(accepted)),
    textColumn(t("Rejected"), ({ refused }) => integer(refused)),
    textColumn(t("State"), ({ problem }) => problem ?? t("OK"), null),
  ],
});

// --- polled resources ------------------------------------------------------------------------

pollPath("api/v1/history/status", SLOW_PERIOD, (value, status) => {
  const lead = byId("history-lead");
  if (status !== 200 || value.database === null) {
    showRows("history", []);
    const why = status === 404 ? t("This node keeps no history.") : (value?.problem ?? value?.error?.message ?? t`History is unavailable (status ${status}).`);
    setText(lead, why);
    return;
  }
  setText(lead, value.problem === null ? t("The database behind the graphs and older lists.") : t`Problem: ${value.problem}`);
  lead.classList.toggle("bad", value.problem !== null);
  const rows = [
    [t("Database"), null, value.database],
    [t("Node name"), t("Several nodes can share a database."), String(value.node)],
    [t("Retention"), t("Full-resolution samples; older ones are downsampled. Blocks are kept forever."), plural(value.retention_days, "{0} day", "{0} days")],
    [t("Pending writes"), null, integer(value.waiting)],
  ];
  if (known(value.oldest)) rows.push([t("Oldest data"), null, absoluteTime(value.oldest)]);
  showRows("history", rows);
});

const alerts = new Table("alerts", {
  caption: t("Webhook and alert destinations: name, kind, host, events, delivered, waiting and lost messages, last success and failure"),
  few: 30,
  empty: emptyNote(),
  columns: [
    { ...textColumn(t("Destination"), ({ key }) => key, null), head: true },
    textColumn(t("Kind"), ({ kind }) => kind, null),
    textColumn(t("Host"), ({ host }) => host, null),
    textColumn(t("Events"), ({ events }) => events.join(", ").replaceAll("_", " "), null),
    textColumn(t("Delivered"), ({ delivered }) => integer(delivered)),
    textColumn(t("Waiting"), ({ waiting }) => integer(waiting)),
    textColumn(t("Lost"), ({ lost }) => integer(lost)),
    { title: t("Last success"), create: () => timeNode(null), update: (cell, { last_success: at }) => setTime(cell.firstElementChild, at) },
    {
      title: t("Last failure"),
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
  alerts.show(value.destinations.map((each) => ({ ...each, key: each.id })), make("span", {}, t("No webhook or alert destinations configured.")));
  const parts = [plural(value.sent, "{0} message sent since the node started.", "{0} messages sent since the node started.")];
  if (value.quiet_times.length > 0) parts.push(t`Quiet hours: ${listed(value.quiet_times) + (value.is_quiet ? t(" (now)") : "")}; ${integer(value.held)} held back.`);
  if (value.problem !== null) parts.push(t`Problem: ${value.problem}.`);
  setText(byId("alerts-lead"), parts.join(" "));
});

function settingText(value) {
  if (value === null) return t("not set");
  if (typeof value === "boolean") return yesNo(value);
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? t("none") : listed(value);
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
  "api/v1/ports": (list) => ports.show(list.map((port) => ({ ...port, key: `${port.port} ${port.purpose}` })), make("span", {}, t("No open ports yet."))),
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
