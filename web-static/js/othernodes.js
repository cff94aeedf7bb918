// Peers on the transition page: share types that this node does not know, and peer software.

import { byId, setText, timeNode } from "./dom.js";
import { integer } from "./format.js";
import { Table, emptyNote, textColumn, timeColumn } from "./table.js";

const words = (title, text) => textColumn(title, text, "words");
const peers = (count) => (count === 1 ? "1 peer" : `${integer(count)} peers`);

// --- share types -------------------------------------------------------------------------------------------

const types = new Table("types", {
  caption: "Shares of unknown types: type, shares, sending hosts, sender of the first one, first and last seen",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "Type", head: true, create: ({ type }) => document.createTextNode(type === null ? "above 127" : String(type)) },
    textColumn("Shares", ({ shares }) => integer(shares)),
    textColumn("Hosts", ({ hosts }) => integer(hosts)),
    words("First sender", ({ peer, software }) => (software === "" ? peer : `${peer} (${software})`)),
    { title: "First seen", create: ({ first_seen: first }) => timeNode(Math.round(first)) },
    timeColumn("Last seen"),
  ],
});

/** Show the section "types" of the view. */
export function showTypes({ known, newer }) {
  const lead =
    newer.length === 0
      ? `This node knows share types up to ${known}. No peer has sent a newer one since it started.`
      : `This node knows share types up to ${known}. It ignores the newer ones below and does not ban their senders. A single peer may have made them up; if several send them, look for a newer release of p2pool-dash.`;
  setText(byId("types-lead"), lead);
  types.show(
    newer.map((row) => ({ ...row, key: row.type ?? "other", ts: Math.round(row.last_seen) })),
    document.createTextNode("No shares of unknown types."),
  );
}

// --- software and protocol ---------------------------------------------------------------------------------

const software = new Table("software", {
  caption: "Connected peers by software and protocol version",
  few: 13,
  empty: emptyNote(),
  columns: [
    { title: "Software", head: true, create: ({ software: name }) => document.createTextNode(name) },
    textColumn("Protocol", ({ protocol }) => (protocol === null ? "various" : String(protocol))),
    textColumn("Peers", ({ incoming, outgoing }) => integer(incoming + outgoing)),
  ],
});

function lostText(lost) {
  if (lost.length === 0) return "";
  const names = lost.map((each) => `${each.software} (previously up to ${peers(each.most)})`);
  return `No longer connected: ${names.join(", ")}.`;
}

function closingText({ hosts, closes, highest_protocol: highest }) {
  if (hosts === 0) return "";
  const announced = highest === null ? "" : ` Their highest protocol version is ${highest}.`;
  return `In the last hour, ${peers(hosts)} closed the connection within 10 seconds, ${integer(closes)} times in total.${announced} If many do, they may no longer accept this node.`;
}

/** Show the section "peers" of the view. */
export function showPeers({ announced, minimum, software: rows, lost, closing_early: closing }) {
  setText(byId("software-lead"), `This node announces protocol version ${announced} and accepts peers from version ${minimum}.`);
  software.show(
    rows.map((row) => ({ ...row, key: `${row.software} ${row.protocol}` })),
    document.createTextNode("No peers connected."),
  );
  setText(byId("software-lost"), [lostText(lost), closingText(closing)].filter((text) => text !== "").join(" "));
}
