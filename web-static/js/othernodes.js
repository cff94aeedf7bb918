// What other nodes are, on the page of the transition: share types that only they know, and their software.

import { byId, setText, timeNode } from "./dom.js";
import { integer } from "./format.js";
import { Table, emptyNote, textColumn, timeColumn } from "./table.js";

const words = (title, text) => textColumn(title, text, "words");
const nodes = (count) => (count === 1 ? "1 node" : `${integer(count)} nodes`);

// --- share types -------------------------------------------------------------------------------------------

const types = new Table("types", {
  caption: "Shares of types that this node does not know: how many, from how many hosts, who sent the first one, when",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "Type", head: true, create: ({ type }) => document.createTextNode(type === null ? "above 127" : String(type)) },
    textColumn("Shares", ({ shares }) => integer(shares)),
    textColumn("From hosts", ({ hosts }) => integer(hosts)),
    words("First from", ({ peer, software }) => (software === "" ? peer : `${peer} (${software})`)),
    { title: "First", create: ({ first_seen: first }) => timeNode(Math.round(first)) },
    timeColumn("Newest"),
  ],
});

/** The section "types" of the view. */
export function showTypes({ known, newer }) {
  const lead =
    newer.length === 0
      ? `This node knows share types up to ${known}. Since it was started, nobody has sent a newer one.`
      : `This node knows share types up to ${known}. It ignores the newer ones below, and does not ban their senders. A single node may have made them up. If several send them, look for a newer release of this software.`;
  setText(byId("types-lead"), lead);
  types.show(
    newer.map((row) => ({ ...row, key: row.type ?? "other", ts: Math.round(row.last_seen) })),
    document.createTextNode("No shares of unknown types."),
  );
}

// --- software and protocol ---------------------------------------------------------------------------------

const software = new Table("software", {
  caption: "Connected nodes by software and by the protocol that they announce",
  few: 13,
  empty: emptyNote(),
  columns: [
    { title: "Software", head: true, create: ({ software: name }) => document.createTextNode(name) },
    textColumn("Protocol", ({ protocol }) => (protocol === null ? "various" : String(protocol))),
    textColumn("Nodes", ({ incoming, outgoing }) => integer(incoming + outgoing)),
  ],
});

function lostText(lost) {
  if (lost.length === 0) return "";
  const names = lost.map((each) => `${each.software} (up to ${nodes(each.most)} before)`);
  return `No longer connected: ${names.join(", ")}.`;
}

function closingText({ hosts, closes, highest_protocol: highest }) {
  if (hosts === 0) return "";
  const announced = highest === null ? "" : ` They announced protocols up to ${highest}.`;
  return `In the last hour, ${nodes(hosts)} closed the connection within 10 seconds, ${integer(closes)} times in all.${announced} If many do, they may no longer accept this node.`;
}

/** The section "peers" of the view. */
export function showPeers({ announced, minimum, software: rows, lost, closing_early: closing }) {
  setText(byId("software-lead"), `This node announces protocol ${announced}, and accepts other nodes from ${minimum} on.`);
  software.show(
    rows.map((row) => ({ ...row, key: `${row.software} ${row.protocol}` })),
    document.createTextNode("No other node is connected."),
  );
  setText(byId("software-lost"), [lostText(lost), closingText(closing)].filter((text) => text !== "").join(" "));
}
