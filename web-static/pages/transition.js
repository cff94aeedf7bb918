// The share version transition page: votes, and what other software would do because of them.

import { byId, make, setText, shareLink, timeNode } from "../js/dom.js";
import { duration, integer, listed, percent, shortHash } from "../js/format.js";
import { phrase, plural, t } from "../js/language.js";
import { showPeers, showTypes } from "../js/othernodes.js";
import { startPage } from "../js/page.js";
import { Table, emptyNote, textColumn } from "../js/table.js";

const VIEW = "api/v1/transition";

// --- votes -------------------------------------------------------------------------------------------------

const votesIn = (name) => (row) => (row[name] === undefined ? t("none") : listed([percent(row[name].work), counted(row[name].shares)]));
const counted = (shares) => plural(shares, "{0}\u00a0share", "{0}\u00a0shares");
const votesTable = new Table("votes", {
  caption: t("Votes by share version: percentage of the work and number of shares in the last hour, the whole chain and its oldest tenth"),
  few: 30,
  empty: emptyNote(),
  columns: [
    { title: t("Version"), head: true, create: ({ version }) => make("span", {}, versionText(version)) },
    textColumn(t("Last hour"), votesIn("recent")),
    textColumn(t("Whole chain"), votesIn("chain")),
    textColumn(t("Oldest tenth"), votesIn("window")),
  ],
});
const levels = new Table("levels", {
  caption: t("Alert thresholds of votes for newer versions, reached or not in the whole chain and its oldest tenth"),
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: t("Threshold"), head: true, create: ({ percent: level }) => make("span", {}, level === 0 ? t("any vote") : t`${level}% of the work`) },
    textColumn(t("Whole chain"), ({ chain }) => reachedText(chain)),
    textColumn(t("Oldest tenth"), ({ window: inWindow }) => reachedText(inWindow)),
  ],
});

/** Votes are 64-bit integers; JavaScript numbers are exact only up to 2^53. */
const versionText = (version) => (Number.isSafeInteger(version) ? String(version) : t`about ${version.toExponential(3)}`);
const reachedText = (reached) => (reached === null ? t("unknown") : reached ? t("reached") : t("not reached"));

function showVotes(votes) {
  const { chain, window: oldest, recent } = votes;
  setText(byId("f-own"), String(votes.own));
  for (const node of document.querySelectorAll(".own")) setText(node, String(votes.own));
  setText(byId("f-parent"), votes.parent === null ? t("none") : String(votes.parent));
  for (const [name, tally] of Object.entries({ recent, chain, window: oldest })) {
    const none = tally.shares === 0;
    setText(byId(`f-${name}`), none ? "–" : percent(tally.newer_work));
    setText(byId(`f-${name}-note`), none ? t("no shares yet") : t`of the work: ${integer(tally.newer)} of ${counted(tally.shares)}`);
  }
  const lead = t`Votes are weighted by work: a share that was harder to find counts more. The last hour has ${counted(recent.shares)}. A full chain has ${counted(chain.wanted)}; its oldest tenth, to which the rules apply, has ${counted(oldest.wanted)} and starts ${counted(oldest.from_parent)} before the latest.`;
  const short = t` This chain has only ${counted(chain.shares)} so far: the rules do not apply until it is full.`;
  setText(byId("votes-lead"), votes.enough_shares ? lead : lead + short);
  votesTable.show(versionRows(votes), make("span", {}, t("No votes: the chain has no shares yet.")));
  const others = Math.max(recent.other_versions, chain.other_versions, oldest.other_versions);
  setText(byId("votes-others"), others === 0 ? "" : plural(others, "{0} more version has less work and is not listed.", "{0} more versions have less work and are not listed."));
  showRejectedVotes(votes.refused_by_c2pool);
  levels.show(votes.levels.map((level) => ({ ...level, key: level.percent })));
}

/** Show the shares of the best chain that c2pool-dash rejects because of their votes. */
function showRejectedVotes({ shares, newest, shares_above: above }) {
  const holder = byId("votes-refused");
  holder.hidden = newest === null;
  if (newest === null || holder.dataset.of === `${newest} ${shares} ${above}`) return;
  holder.dataset.of = `${newest} ${shares} ${above}`;
  const text = plural(shares, "c2pool-dash rejects {0}\u00a0share of the last hour because of its vote.", "c2pool-dash rejects {0}\u00a0shares of the last hour because of their votes.");
  const rest = phrase`The latest is ${shareLink(newest)}, with ${counted(above)} built on it: nodes that run c2pool-dash follow another branch.`;
  holder.replaceChildren(text, " ", ...rest);
}

/** Return a row for each version listed in any of the three spans. */
function versionRows(votes) {
  const rows = new Map();
  for (const name of ["recent", "chain", "window"]) {
    for (const one of votes[name].versions) rows.set(one.version, { ...rows.get(one.version), key: one.version, version: one.version, [name]: one });
  }
  return [...rows.values()].sort((a, b) => a.version - b.version);
}

// --- next --------------------------------------------------------------------------------------------------

const SPANS = { chain: t("the whole chain"), window: t("the oldest tenth") };
const steps = new Table("steps", {
  caption: t("What happens once enough of the work votes for the version: required, current and missing votes, and forecasts"),
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: t("What happens"), head: true, side: "words", create: (step) => make("span", {}, meaningOf(step)) },
    textColumn(t("Required"), ({ percent: needed, span }) => t`${needed}% of ${SPANS[span]}`),
    textColumn(t("Current"), ({ part }) => percent(part)),
    textColumn(t("Missing"), ({ missing }) => (missing === 0 ? t("none") : percent(missing))),
    textColumn(t("At the last hour’s rate"), ({ reached, at_present_rate: when }) => whenText(reached, when)),
    textColumn(t("If every share votes for it"), ({ reached, at_the_earliest: when }) => whenText(reached, when)),
  ],
});

/** The rules of p2pool/web/api/transition.py, as the API words them. */
const MEANINGS = {
  c2pool_accepts: (version) => t`c2pool-dash accepts shares that vote for ${version} on top of shares that vote for a lower version`,
  legacy_switches: (version) => t`a release of legacy p2pool-dash that knows version ${version} accepts shares of that version`,
  c2pool_lifts_floor: () => t("c2pool-dash accepts new peers only if they announce protocol 3600 or higher"),
  c2pool_refuses_old: (version) => t`c2pool-dash rejects shares that vote for a version below ${version}, such as this node's, on top of shares that vote differently`,
};
const meaningOf = ({ rule, version, meaning }) => (Object.hasOwn(MEANINGS, rule) ? MEANINGS[rule](version) : meaning);

function whenText(reached, when) {
  if (reached === null) return t("unknown");
  if (reached) return t("now");
  return when === null ? t("never") : t`in ${counted(when.shares)}, about ${duration(when.seconds)}`;
}

function showNext(next, { parent, own, enough_shares: enough }) {
  const none = t("No shares vote for a newer version: no change is pending.");
  const when = enough ? t("Once enough of the work votes") : t("Once the chain is full and enough of the work votes");
  const some = t`Version ${next.version} has the most votes among newer versions. ${when} for it, other software does the following:`;
  setText(byId("next-lead"), next.version === null ? none : some);
  const texts = [];
  if (next.own_shares_refused) texts.push(t`c2pool-dash rejects this node’s shares, which vote for ${own}, on top of shares that vote for another version.`);
  if (next.own_share_now !== null) texts.push(t`It would reject a share of this node now: the latest share votes for ${parent} (${next.own_share_now}).`);
  else if (next.own_shares_refused) texts.push(t`The latest share votes for ${parent}, so it would accept one now.`);
  setText(byId("next-own"), texts.join(" "));
  byId("next-own").hidden = texts.length === 0;
  byId("next-own").classList.toggle("bad", texts.length > 0);
  steps.show(next.steps.map((step) => ({ ...step, version: next.version, key: step.rule })), make("span", {}, t("No upcoming steps.")));
}

// --- rejected -----------------------------------------------------------------------------------------------

const software = ({ software: names }) => listed(Object.entries(names).map(([name, count]) => `${name} (${integer(count)})`));
const branches = new Table("refused", {
  caption: t("Branches that start with a share that this node rejects: rule, first share, since, percentage of the last hour’s work, shares, and sending software"),
  few: 10,
  empty: emptyNote(),
  columns: [
    { title: t("Rule"), head: true, words: true, create: ({ reason }) => document.createTextNode(reason) },
    { title: t("First share"), create: ({ first_share: hash }) => make("span", { class: "mono", title: hash }, shortHash(hash)) },
    { title: t("Since"), create: ({ since }) => timeNode(Math.round(since)) },
    textColumn(t("Last hour’s work"), ({ part }) => percent(part)),
    textColumn(t("Shares"), ({ shares }) => integer(shares)),
    { ...textColumn(t("Sent by"), software, null), words: true },
  ],
});

function showBranches({ part, problem, branches: list }) {
  const lead = list.length === 0
    ? t("All shares received in the last hour follow this node’s rules.")
    : t`${percent(part)} of the work received in the last hour is on branches that this node rejects.`;
  setText(byId("refused-lead"), problem ?? lead);
  byId("refused-lead").classList.toggle("bad", problem !== null);
  branches.show(list.map((branch) => ({ ...branch, key: branch.first_share })), document.createTextNode(t("No rejected branches.")));
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
