// The peers page: connected peers, their software, and known addresses.

import { barsTable } from "../js/bars.js";
import { byId, make, setText, timeNode, setTime } from "../js/dom.js";
import { bytes, duration, integer, known, milliseconds } from "../js/format.js";
import { phrase, t } from "../js/language.js";
import { Listing, showPages } from "../js/listing.js";
import { originText, originsText } from "../js/origins.js";
import { pollPath, startPage } from "../js/page.js";
import { Table, emptyNote, textColumn } from "../js/table.js";

const PAGE = 25;

const tripText = (seconds) => (known(seconds) ? milliseconds(seconds) : t("not measured yet"));
const direction = ({ incoming }) => (incoming ? t("incoming") : t("outgoing"));

// --- connected ---------------------------------------------------------------------------------------------

const peers = new Listing("peers", {
  caption: t("Connected peers: address and neighbourhood, direction, source, software, protocol, connected since, round trip, new shares, and transactions"),
  order: [t("Round trip"), false],
  label: t("Search by address or software"),
  search: ({ address, software }) => `${address} ${software}`,
  perPage: 50,
  columns: [
    {
      title: t("Address"),
      head: true,
      words: true,
      by: ({ address }) => address,
      create: ({ address, group }) => make("span", { class: "mono" }, address, make("span", { class: "note" }, group)),
    },
    { ...textColumn(t("Direction"), direction, "whole"), words: true, by: direction },
    { ...textColumn(t("Source"), originText, null), words: true, by: originText },
    { ...textColumn(t("Software"), ({ software }) => software || "–", null), words: true, by: ({ software }) => software },
    { ...textColumn(t("Protocol"), ({ protocol }) => String(protocol)), by: ({ protocol }) => protocol },
    {
      title: t("Connected"),
      by: ({ connected_since: since }) => since,
      create: ({ connected_since: since }) => timeNode(Math.round(since)),
      update: (cell, { connected_since: since }) => {
        // The node recomputes it each second; it may be a second off.
        const node = cell.firstElementChild;
        if (Math.abs(Number(node.dataset.unix) - since) > 2) setTime(node, Math.round(since));
      },
    },
    { ...textColumn(t("Round trip"), ({ round_trip: trip }) => tripText(trip)), by: ({ round_trip: trip }) => trip },
    {
      title: t("New shares"),
      side: "number",
      by: (peer) => peer.brought_shares,
      create: () => make("span", {}, make("span"), make("span", { class: "note" }, ...phrase`last ${timeNode(null)}`)),
      update: (cell, { brought_shares: count, last_brought: last }) => {
        const [number, note] = cell.firstElementChild.children;
        setText(number, integer(count));
        note.hidden = last === null;
        const time = note.firstElementChild;
        // The node recomputes it each second; it may be a second off.
        if (last !== null && !(Math.abs(Number(time.dataset.unix) - last) <= 2)) setTime(time, Math.round(last));
      },
    },
    {
      title: t("Transactions"),
      side: "number",
      create: () => make("span", {}, make("span"), make("span", { class: "note" })),
      update: (cell, peer) => {
        const [count, memory] = cell.firstElementChild.children;
        setText(count, integer(peer.known_transactions));
        setText(memory, t`${bytes(peer.remembered_bytes)} held`);
      },
      by: (peer) => peer.known_transactions,
    },
  ],
});

const disconnections = new Table("ended", {
  caption: t("Recent disconnections: address, direction, software, duration of the connection, end, and reason"),
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: t("Address"), head: true, create: ({ address }) => make("span", { class: "mono" }, address) },
    textColumn(t("Direction"), direction, "whole"),
    textColumn(t("Software"), ({ software }) => software || "–", null),
    textColumn(t("Connected for"), ({ lasted }) => duration(lasted)),
    { title: t("Ended"), create: () => timeNode(null), update: (cell, { time }) => setTime(cell.firstElementChild, time) },
    textColumn(t("Reason"), ({ reason }) => reason, null),
  ],
});

function showPeers({ incoming, outgoing, peers: list, connect_only: connectOnly, addresses: counts, disconnections: ended }) {
  byId("connect-only").hidden = !connectOnly;
  setText(byId("f-known-note"), t`${integer(counts.tried)} tried, ${integer(counts.new)} new`);
  disconnections.show(ended.map((each) => ({ ...each, key: `${each.address} ${each.time}` })), make("span", {}, t("No peer has disconnected since the node started.")));
  setText(byId("f-all"), integer(list.length));
  setText(byId("f-out"), integer(outgoing));
  setText(byId("f-in"), integer(incoming));
  setText(byId("f-in-note"), incoming === 0 && outgoing > 0 ? t("none yet; is the p2p port reachable?") : t("opened by the peers"));
  const trips = list.map((peer) => peer.round_trip).filter(known).sort((a, b) => a - b);
  setText(byId("f-trip"), trips.length > 0 ? milliseconds(trips[Math.floor(trips.length / 2)]) : "–");
  if (trips.length > 1) setText(byId("f-trip-note"), t`median; range ${milliseconds(trips[0])} to ${milliseconds(trips.at(-1))}`);
  setText(byId("f-kept"), bytes(list.reduce((sum, peer) => sum + peer.remembered_bytes, 0)));
  peers.show(
    list.map((peer) => ({ ...peer, key: `${peer.address} ${peer.incoming}` })),
    t("No peers connected. Without peers, this node’s shares do not reach the pool."),
  );
  showSoftware(list);
}

/** @type {?string} */
let shownSoftware = null;

function showSoftware(list) {
  const counts = new Map();
  for (const { software, protocol } of list) {
    const name = t`${software || t("unnamed")} (protocol ${protocol})`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const rows = [...counts].sort(([, a], [, b]) => b - a);
  const key = JSON.stringify(rows);
  if (key === shownSoftware) return;
  shownSoftware = key;
  const bars = rows.map(([name, count]) => ({ name, part: count / list.length, text: integer(count) }));
  byId("software-body").replaceChildren(
    bars.length === 0 ? make("p", { class: "empty" }, t("No peers connected.")) : barsTable(t("Connected peers by software"), [t("Software"), t("Peers")], bars),
  );
}

/** @type {?string} */
let shownVotes = null;

function showVotes({ share_version: own, version_votes: votes }) {
  setText(byId("own-version"), String(own));
  const key = JSON.stringify(votes);
  if (key === shownVotes) return;
  shownVotes = key;
  const rows = Object.entries(votes).sort(([, a], [, b]) => b - a).map(([version, part]) => ({ name: t`Version ${version}`, part }));
  byId("votes-body").replaceChildren(
    rows.length === 0 ? make("p", { class: "empty" }, t("No shares in the last hour.")) : barsTable(t("Votes in the last hour by share version"), [t("Version"), t("Percentage of the last hour’s work")], rows),
  );
}

// --- known addresses ---------------------------------------------------------------------------------------

const addresses = new Table("known", {
  caption: t("Known addresses: address, neighbourhood, connected or not, tried or new, source, last and first seen"),
  few: PAGE,
  empty: emptyNote(),
  columns: [
    { title: t("Address"), head: true, create: ({ address }) => make("span", { class: "mono" }, address) },
    { title: t("Neighbourhood"), create: ({ group }) => make("span", { class: "mono" }, group) },
    textColumn(t("Connected"), ({ connected }) => (connected ? t("yes") : t("no")), null),
    textColumn(t("Table"), ({ tried }) => (tried ? t("tried") : t("new")), null),
    {
      title: t("Source"),
      create: () => make("span", {}, make("span"), make("span", { class: "note" })),
      update: (cell, node) => {
        const [source, senders] = cell.firstElementChild.children;
        setText(source, originText(node));
        setText(senders, node.found_by === "peer" && node.sent_by.length > 0 ? t`from ${node.sent_by.join(", ")}` : "");
      },
    },
    { title: t("Last seen"), create: (node) => timeNode(node.last_seen), update: (cell, node) => setTime(cell.firstElementChild, node.last_seen) },
    { title: t("First seen"), create: (node) => timeNode(node.first_seen) },
  ],
});
addresses.few = PAGE;

let page = 0;
const again = pollPath(() => `api/v1/known_nodes?offset=${page * PAGE}&limit=${PAGE}`, 15000, (value, status) => {
  if (status !== 200) return;
  setText(byId("f-known"), integer(value.total));
  setText(byId("known-from"), value.total === 0 ? "" : t` Sources: ${originsText(value.found_by)}.`);
  addresses.show(value.nodes.map((node) => ({ ...node, key: node.address })), make("span", {}, t("No addresses known yet.")));
  setText(byId("known-count"), value.total === 0 ? "" : integer(value.total));
  showPages(byId("known-pages"), page, Math.ceil(value.total / PAGE), (wanted) => {
    page = wanted;
    again();
  });
});

startPage({
  views: ["api/v1/peers", "api/v1/pool"],
  show(values) {
    const [now, pool] = [values.get("api/v1/peers"), values.get("api/v1/pool")];
    if (now !== undefined) showPeers(now);
    if (pool !== undefined) showVotes(pool);
  },
});
