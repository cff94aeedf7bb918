// Peers on the transition page: share types that this node does not know, and peer software.

import { byId, setText, timeNode } from "./dom.js";
import { integer, listed } from "./format.js";
import { plural, t } from "./language.js";
import { Table, emptyNote, textColumn, timeColumn } from "./table.js";

const words = (title, text) => textColumn(title, text, "words");
const peers = (count) => plural(count, "{0} peer", "{0} peers");

// --- share types -------------------------------------------------------------------------------------------

const types = new Table("types", {
  caption: t("Shares of unknown types: type, shares, sending hosts, sender of the first one, first and last seen"),
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: t("Type"), head: true, create: ({ type }) => document.createTextNode(type === null ? t("above 127") : String(type)) },
    textColumn(t("Shares"), ({ shares }) => integer(shares)),
    textColumn(t("Hosts"), ({ hosts }) => integer(hosts)),
    words(t("First sender"), ({ peer, software }) => (software === "" ? peer : `${peer} (${software})`)),
    { title: t("First seen"), create: ({ first_seen: first }) => timeNode(Math.round(first)) },
    timeColumn(t("Last seen")),
  ],
});

/** Show the section "types" of the view. */
export function showTypes({ known, newer }) {
  const lead =
    newer.length === 0
      ? t`This node knows share types up to ${known}. No peer has sent a newer one since it started.`
      : t`This node knows share types up to ${known}. It ignores the newer ones below and does not ban their senders. A single peer may have made them up; if several send them, look for a newer release of p2pool-dash.`;
  setText(byId("types-lead"), lead);
  types.show(
    newer.map((row) => ({ ...row, key: row.type ?? "other", ts: Math.round(row.last_seen) })),
    document.createTextNode(t("No shares of unknown types.")),
  );
}

// --- software and protocol ---------------------------------------------------------------------------------

const software = new Table("software", {
  caption: t("Connected peers by software and protocol version"),
  few: 13,
  empty: emptyNote(),
  columns: [
    { title: t("Software"), head: true, create: ({ software: name }) => document.createTextNode(name) },
    textColumn(t("Protocol"), ({ protocol }) => (protocol === null ? t("various") : String(protocol))),
    textColumn(t("Peers"), ({ incoming, outgoing }) => integer(incoming + outgoing)),
  ],
});

function lostText(lost) {
  if (lost.length === 0) return "";
  const names = lost.map((each) => t`${each.software} (previously up to ${peers(each.most)})`);
  return t`No longer connected: ${listed(names)}.`;
}

function closingText({ hosts, closes, highest_protocol: highest }) {
  if (hosts === 0) return "";
  const announced = highest === null ? "" : t` Their highest protocol version is ${highest}.`;
  return t`In the last hour, ${peers(hosts)} closed the connection within 10 seconds, ${integer(closes)} times in total.${announced} If many do, they may no longer accept this node.`;
}

/** Show the section "peers" of the view. */
export function showPeers({ announced, minimum, software: rows, lost, closing_early: closing }) {
  setText(byId("software-lead"), t`This node announces protocol version ${announced} and accepts peers from version ${minimum}.`);
  software.show(
    rows.map((row) => ({ ...row, key: `${row.software} ${row.protocol}` })),
    document.createTextNode(t("No peers connected.")),
  );
  setText(byId("software-lost"), [lostText(lost), closingText(closing)].filter((text) => text !== "").join(" "));
}
