// The other nodes: who is connected, what they run, and where more of them were seen.

import { barsTable } from "../js/bars.js";
import { byId, make, setText, timeNode, setTime } from "../js/dom.js";
import { bytes, integer, known, significant } from "../js/format.js";
import { Listing, showPages } from "../js/listing.js";
import { originText, originsText } from "../js/origins.js";
import { lookUp, startPage } from "../js/page.js";
import { Table, emptyNote, textColumn } from "../js/table.js";

const PAGE = 25;

const milliseconds = (seconds) => (known(seconds) ? `${significant(seconds * 1000, 3)}\u00a0ms` : "not measured yet");
const direction = ({ incoming }) => (incoming ? "came to us" : "we went to it");

// --- connected ---------------------------------------------------------------------------------------------

const peers = new Listing("peers", {
  caption: "Connected nodes: address, direction, how it became known, software, protocol, since when, round trip, and transactions",
  order: ["Round trip", false],
  what: "an address or software",
  search: ({ address, software }) => `${address} ${software}`,
  perPage: 50,
  columns: [
    { title: "Address", head: true, words: true, by: ({ address }) => address, create: ({ address }) => make("span", { class: "mono" }, address) },
    { ...textColumn("Direction", direction, null), words: true, by: direction },
    { ...textColumn("Known from", originText, null), words: true, by: originText },
    { ...textColumn("Software", ({ software }) => software || "–", null), words: true, by: ({ software }) => software },
    { ...textColumn("Protocol", ({ protocol }) => String(protocol)), by: ({ protocol }) => protocol },
    {
      title: "Connected",
      by: ({ connected_since: since }) => since,
      create: ({ connected_since: since }) => timeNode(Math.round(since)),
      update: (cell, { connected_since: since }) => {
        // It is reckoned anew each second, and may be a second off.
        const node = cell.firstElementChild;
        if (Math.abs(Number(node.dataset.unix) - since) > 2) setTime(node, Math.round(since));
      },
    },
    { ...textColumn("Round trip", ({ round_trip: trip }) => milliseconds(trip)), by: ({ round_trip: trip }) => trip },
    { ...textColumn("Transactions it has", (peer) => integer(peer.known_transactions)), by: (peer) => peer.known_transactions },
    { ...textColumn("Kept for it", (peer) => bytes(peer.remembered_bytes)), by: (peer) => peer.remembered_bytes },
  ],
});

function showPeers({ incoming, outgoing, peers: list }) {
  setText(byId("f-all"), integer(list.length));
  setText(byId("f-out"), integer(outgoing));
  setText(byId("f-in"), integer(incoming));
  setText(byId("f-in-note"), incoming === 0 && outgoing > 0 ? "nobody yet; can others reach its port?" : "they came to this node");
  const trips = list.map((peer) => peer.round_trip).filter(known).sort((a, b) => a - b);
  setText(byId("f-trip"), trips.length > 0 ? milliseconds(trips[Math.floor(trips.length / 2)]) : "–");
  if (trips.length > 1) setText(byId("f-trip-note"), `the middle one; ${milliseconds(trips[0])} to ${milliseconds(trips.at(-1))}`);
  setText(byId("f-kept"), bytes(list.reduce((sum, peer) => sum + peer.remembered_bytes, 0)));
  peers.show(
    list.map((peer) => ({ ...peer, key: `${peer.address} ${peer.incoming}` })),
    "No other node is connected. Alone, this node’s shares are seen by nobody else.",
  );
  showSoftware(list);
}

let shownSoftware = null;

function showSoftware(list) {
  const counts = new Map();
  for (const { software, protocol } of list) {
    const name = `${software || "no name"} (protocol ${protocol})`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const rows = [...counts].sort(([, a], [, b]) => b - a);
  const key = JSON.stringify(rows);
  if (key === shownSoftware) return;
  shownSoftware = key;
  const bars = rows.map(([name, count]) => ({ name, part: count / list.length, text: integer(count) }));
  byId("software-body").replaceChildren(
    bars.length === 0 ? make("p", { class: "empty" }, "No other node is connected.") : barsTable("Connected nodes by software", ["Software", "Nodes"], bars),
  );
}

let shownVotes = null;

function showVotes({ share_version: own, version_votes: votes }) {
  setText(byId("own-version"), String(own));
  const key = JSON.stringify(votes);
  if (key === shownVotes) return;
  shownVotes = key;
  const rows = Object.entries(votes).sort(([, a], [, b]) => b - a).map(([version, part]) => ({ name: `Version ${version}`, part }));
  byId("votes-body").replaceChildren(
    rows.length === 0 ? make("p", { class: "empty" }, "The chain has no shares of the last hour.") : barsTable("Votes of the last hour’s shares by version", ["Voted for", "Part of the last hour’s work"], rows),
  );
}

// --- known addresses ---------------------------------------------------------------------------------------

const addresses = new Table("known", {
  caption: "Known addresses of nodes: address, whether connected, how it became known, first and last seen",
  few: PAGE,
  empty: emptyNote(),
  columns: [
    { title: "Address", head: true, create: ({ address }) => make("span", { class: "mono" }, address) },
    textColumn("Connected", ({ connected }) => (connected ? "yes" : "no"), null),
    textColumn("Known from", originText, null),
    { title: "Last seen", create: (node) => timeNode(node.last_seen), update: (cell, node) => setTime(cell.firstElementChild, node.last_seen) },
    { title: "First seen", create: (node) => timeNode(node.first_seen) },
  ],
});
addresses.few = PAGE;

let page = 0;
const again = lookUp(() => `api/v1/known_nodes?offset=${page * PAGE}&limit=${PAGE}`, 15000, (value, status) => {
  if (status !== 200) return;
  setText(byId("f-known"), integer(value.total));
  setText(byId("known-from"), value.total === 0 ? "" : ` They are known from: ${originsText(value.found_by)}.`);
  addresses.show(value.nodes.map((node) => ({ ...node, key: node.address })), make("span", {}, "No node was seen yet."));
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
