// The transition to another share version: who votes for what, and what other software would make of it.

import { byId, make, setText, shareLink, timeNode } from "../js/dom.js";
import { duration, integer, percent, shortHash } from "../js/format.js";
import { showPeers, showTypes } from "../js/othernodes.js";
import { startPage } from "../js/page.js";
import { Table, emptyNote, textColumn } from "../js/table.js";

const VIEW = "api/v1/transition";

// --- votes -------------------------------------------------------------------------------------------------

const partIn = (name) => (row) => (row[name] === undefined ? "none" : `${percent(row[name].work)}, ${counted(row[name].shares)}`);
const counted = (shares) => `${integer(shares)}\u00a0share${shares === 1 ? "" : "s"}`;
const votesTable = new Table("votes", {
  caption: "Votes by share version: part of the work and number of shares in the last hour, the whole chain and its oldest tenth",
  few: 30,
  empty: emptyNote(),
  columns: [
    { title: "Version", head: true, create: ({ version }) => make("span", {}, versionText(version)) },
    textColumn("Last hour", partIn("recent")),
    textColumn("Whole chain", partIn("chain")),
    textColumn("Oldest tenth", partIn("window")),
  ],
});
const levels = new Table("levels", {
  caption: "Levels of votes for newer versions: whether each is reached in the whole chain and in its oldest tenth",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "Level", head: true, create: ({ percent: level }) => make("span", {}, level === 0 ? "any vote" : `${level}% of the work`) },
    textColumn("Whole chain", ({ chain }) => reachedText(chain)),
    textColumn("Oldest tenth", ({ window: inWindow }) => reachedText(inWindow)),
  ],
});

/** Votes are 64-bit numbers; numbers here are exact up to 2^53. */
const versionText = (version) => (Number.isSafeInteger(version) ? String(version) : `about ${version.toExponential(3)}`);
const reachedText = (reached) => (reached === null ? "unknown" : reached ? "reached" : "not reached");

function showVotes(votes) {
  const { chain, window: oldest, recent } = votes;
  setText(byId("f-own"), String(votes.own));
  for (const node of document.querySelectorAll(".own")) setText(node, String(votes.own));
  setText(byId("f-parent"), votes.parent === null ? "none" : String(votes.parent));
  for (const [name, tally] of Object.entries({ recent, chain, window: oldest })) {
    const none = tally.shares === 0;
    setText(byId(`f-${name}`), none ? "–" : percent(tally.newer_work));
    setText(byId(`f-${name}-note`), none ? "no shares there yet" : `of the work, and ${integer(tally.newer)} of ${counted(tally.shares)}`);
  }
  const lead = `Votes count by work: a share that was harder to find counts for more. There are ${counted(recent.shares)} of the last hour. A full chain has ${counted(chain.wanted)}; its oldest tenth, which the rules read, has ${counted(oldest.wanted)} and begins ${integer(oldest.from_parent)} behind the newest.`;
  const short = ` This chain has only ${counted(chain.shares)} so far: the rules do not apply before it is full.`;
  setText(byId("votes-lead"), votes.enough_shares ? lead : lead + short);
  votesTable.show(versionRows(votes), make("span", {}, "The chain has no shares yet: nobody has voted."));
  const others = Math.max(recent.other_versions, chain.other_versions, oldest.other_versions);
  setText(byId("votes-others"), others === 0 ? "" : `${integer(others)} more versions have less work and are not listed.`);
  showRefusedVotes(votes.refused_by_c2pool);
  levels.show(votes.levels.map((level) => ({ ...level, key: level.percent })));
}

/** Shares of the best chain that c2pool-dash refuses for their votes. */
function showRefusedVotes({ shares, newest, shares_above: above }) {
  const holder = byId("votes-refused");
  holder.hidden = newest === null;
  if (newest === null || holder.dataset.of === `${newest} ${shares} ${above}`) return;
  holder.dataset.of = `${newest} ${shares} ${above}`;
  const text = `c2pool-dash refuses ${counted(shares)} of the last hour for ${shares === 1 ? "its vote" : "their votes"}. The newest is `;
  holder.replaceChildren(text, shareLink(newest), `, with ${counted(above)} above it: nodes that run c2pool-dash follow another branch.`);
}

/** A row for each version that is listed for one of the three. */
function versionRows(votes) {
  const rows = new Map();
  for (const name of ["recent", "chain", "window"]) {
    for (const one of votes[name].versions) rows.set(one.version, { ...rows.get(one.version), key: one.version, version: one.version, [name]: one });
  }
  return [...rows.values()].sort((a, b) => a.version - b.version);
}

// --- next --------------------------------------------------------------------------------------------------

const SPANS = { chain: "the whole chain", window: "the oldest tenth" };
const steps = new Table("steps", {
  caption: "What happens once enough of the work votes for the version: what it needs, what it has, what is missing, and when it gets there",
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: "What happens", head: true, side: "words", create: ({ meaning }) => make("span", {}, meaning) },
    textColumn("Needs", ({ percent: needed, span }) => `${needed}% of ${SPANS[span]}`),
    textColumn("Has", ({ part }) => percent(part)),
    textColumn("Missing", ({ missing }) => (missing === 0 ? "nothing" : percent(missing))),
    textColumn("If votes go on as in the last hour", ({ reached, at_present_rate: when }) => whenText(reached, when)),
    textColumn("If all shares vote for it", ({ reached, at_the_earliest: when }) => whenText(reached, when)),
  ],
});

function whenText(reached, when) {
  if (reached === null) return "unknown";
  if (reached) return "now";
  return when === null ? "never" : `in ${counted(when.shares)}, about ${duration(when.seconds)}`;
}

function showNext(next, { parent, own, enough_shares: enough }) {
  const none = "No share votes for a newer version: nothing is about to change.";
  const some = `Version ${next.version} has most of the votes for newer versions. What other software does once enough of the work votes for it:`;
  setText(byId("next-lead"), next.version === null ? none : enough ? some : `${some} (not before the chain is full)`);
  const texts = [];
  if (next.own_shares_refused) texts.push(`c2pool-dash refuses shares that vote ${own}, as this node’s do, on top of shares that vote otherwise.`);
  if (next.own_share_now !== null) texts.push(`It would refuse a share of this node now: the newest share votes ${parent} (${next.own_share_now}).`);
  else if (next.own_shares_refused) texts.push(`The newest share votes ${parent}, so it would accept one now.`);
  setText(byId("next-own"), texts.join(" "));
  byId("next-own").hidden = texts.length === 0;
  byId("next-own").classList.toggle("bad", texts.length > 0);
  steps.show(next.steps.map((step) => ({ ...step, key: step.rule })), make("span", {}, "No rule is waiting for votes."));
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

function showBranches({ part, problem, branches: list }) {
  const lead = list.length === 0
    ? "Everything heard in the last hour follows this node’s rules."
    : `${percent(part)} of the work heard in the last hour is on shares that this node refuses.`;
  setText(byId("refused-lead"), problem ?? lead);
  byId("refused-lead").classList.toggle("bad", problem !== null);
  branches.show(list.map((branch) => ({ ...branch, key: branch.first_share })), document.createTextNode("No refused shares."));
}

startPage({
  views: [VIEW],
  show(values) {
    const now = values.get(VIEW);
    if (now === undefined) return;
    showVotes(now.votes);
    showNext(now.next, now.votes);
    setText(byId("period"), duration(now.next.share_period));
    showTypes(now.types);
    showPeers(now.peers);
    showBranches(now.refused);
  },
});
