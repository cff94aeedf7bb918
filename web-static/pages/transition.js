// The transition to another share version: who votes for what, and what other software would make of it.

import { byId, make, setText, timeNode } from "../js/dom.js";
import { duration, integer, percent, shortHash } from "../js/format.js";
import { startPage } from "../js/page.js";
import { Table, emptyNote, textColumn } from "../js/table.js";

const VIEW = "api/v1/transition";
const SPANS = { chain: "whole chain", window: "oldest tenth" };

// --- votes -------------------------------------------------------------------------------------------------

const partIn = (name) => (row) => (row[name] === undefined ? "none" : `${percent(row[name].work)} (${integer(row[name].shares)})`);
const votesTable = new Table("votes", {
  caption: "Votes by share version: part of the work and number of shares in the last hour, the whole chain and its oldest tenth",
  few: 30,
  empty: emptyNote(),
  columns: [
    { title: "Version", head: true, create: ({ version }) => document.createTextNode(String(version)) },
    textColumn("Last hour", partIn("recent")),
    textColumn("Whole chain", partIn("chain")),
    textColumn("Oldest tenth", partIn("window")),
  ],
});

function showVotes(votes) {
  setText(byId("f-own"), String(votes.own));
  setText(byId("f-parent"), votes.parent === null ? "none" : String(votes.parent));
  for (const name of ["recent", "chain", "window"]) setText(byId(`f-${name}`), percent(votes[name].newer_work));
  const rows = new Map();
  for (const name of ["recent", "chain", "window"]) {
    for (const one of votes[name].versions) rows.set(one.version, { ...rows.get(one.version), key: one.version, version: one.version, [name]: one });
  }
  votesTable.show([...rows.values()].sort((a, b) => a.version - b.version), document.createTextNode("No share yet: nobody has voted."));
}

// --- next --------------------------------------------------------------------------------------------------

const steps = new Table("steps", {
  caption: "What would happen at which part of the work, how much is missing, and when at the earliest",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "What", head: true, create: ({ meaning }) => document.createTextNode(meaning) },
    textColumn("Needs", ({ percent: needed, span }) => `${needed}% of the ${SPANS[span]}`),
    textColumn("Has", ({ part }) => percent(part)),
    textColumn("When", whenText),
  ],
});

function whenText({ reached, in_shares: shares, in_seconds: seconds }) {
  if (reached === null) return "unknown";
  if (reached) return "now";
  return shares === null ? "not at the present rate" : `in ${integer(shares)} shares, about ${duration(seconds)}`;
}

function showNext(next) {
  const lead = next.version === null ? "No share votes for a newer version: nothing is about to change." : `For version ${next.version}:`;
  setText(byId("next-lead"), lead);
  steps.show(next.steps.map((step) => ({ ...step, key: step.rule })), document.createTextNode("Nothing to wait for."));
}

// --- refused -----------------------------------------------------------------------------------------------

const software = ({ software: names }) => Object.entries(names).map(([name, count]) => `${name} (${integer(count)})`).join(", ");
const branches = new Table("refused", {
  caption: "Shares that this node refuses, and what others built on them: the rule, the first share, since when, part of the last hour’s work, shares, and who sent them",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "Rule", head: true, words: true, create: ({ reason }) => document.createTextNode(reason) },
    { title: "First share", create: ({ first_share: hash }) => make("span", { class: "mono", title: hash }, shortHash(hash)) },
    { title: "Since", create: ({ since }) => timeNode(Math.round(since)) },
    textColumn("Last hour’s work", ({ part }) => percent(part)),
    textColumn("Shares", ({ shares }) => integer(shares)),
    { ...textColumn("Sent by", software, null), words: true },
  ],
});

function showRefused({ part, problem, branches: list }) {
  const lead = list.length === 0
    ? "Everything heard in the last hour follows this node’s rules."
    : `${percent(part)} of the work heard in the last hour is on shares that this node refuses.`;
  setText(byId("refused-lead"), problem ?? lead);
  byId("refused-lead").classList.toggle("bad", problem !== null);
  branches.show(list.map((branch) => ({ ...branch, key: branch.first_share })), document.createTextNode("No refused shares."));
}

// --- the sections of "types" and "peers" come here ------------------------------------------------

startPage({
  views: [VIEW],
  show(values) {
    const now = values.get(VIEW);
    if (now === undefined) return;
    showVotes(now.votes);
    showNext(now.next);
    showRefused(now.refused);
  },
});
