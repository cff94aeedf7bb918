// The share chain page: the chain drawn with its forks, its heads and tails, and its shares page by page.

import { fetchText } from "../js/api.js";
import { ChainChart } from "../js/chainchart.js";
import { byId, make, refreshTimes, setText, shareLink } from "../js/dom.js";
import { difficulty, integer, isHash, shortHash } from "../js/format.js";
import { phrase, plural, t } from "../js/language.js";
import { pollPath, startPage, whileVisible } from "../js/page.js";
import { startShareSearch } from "../js/sharesearch.js";
import { Table, copyValueBoth, emptyNote, textColumn, timeColumn } from "../js/table.js";

const PERIOD = 5000;
const PAGE = matchMedia("(max-width: 40rem)").matches ? 25 : 50;
/** Shares drawn: as many as a wide screen has room for, and some more. */
const DRAWN = matchMedia("(min-width: 112rem)").matches ? 200 : 100;
/** Minimum ms between two fetches of the forks, however fast shares arrive. */
const MIN_PERIOD = 1000;
const MAX_ENDS = 12;
/** The most hashes that the node lists. */
const LISTED = 1000;
const ENDS = [
  ["heads", t("Heads")],
  ["verified_heads", t("Verified heads")],
  ["tails", t("Tails")],
  ["verified_tails", t("Verified tails")],
];
const STALE = {
  orphan: t("orphan: reports that an earlier share of the same miner lost the race to another share"),
  doa: t("dead on arrival: reports that an earlier share of the same miner was submitted too late"),
};

const from = (new URLSearchParams(location.search).get("from") ?? "").trim().toLowerCase();
const pagePath = `web/chain?count=${PAGE}${from === "" ? "" : `&from=${encodeURIComponent(from)}`}`;
const shownTexts = new Map();

// --- the list ----------------------------------------------------------------------------------------------

const table = new Table("chain", {
  caption: t("Shares of the chain, latest first: time, hash, payout address, difficulty, stale and block"),
  few: 400,
  empty: emptyNote(),
  columns: [
    timeColumn(t("Found")),
    { title: t("Share"), head: true, create: ({ hash }) => shareLink(hash) },
    { title: t("Payout address"), create: (share) => copyValueBoth(share.payout_address, t("address")) },
    textColumn(t("Difficulty"), (share) => difficulty(share.difficulty)),
    { title: t("Stale"), create: ({ stale_info: stale }) => staleNode(stale) },
    { title: t("Block"), create: ({ is_block: isBlock }) => blockNode(isBlock) },
  ],
});

function staleNode(stale) {
  if (stale === null) return make("span", { class: "soft none" }, t("no"));
  return make("span", { title: Object.hasOwn(STALE, stale) ? STALE[stale] : null }, String(stale));
}

function blockNode(isBlock) {
  if (!isBlock) return make("span", { class: "soft none" }, t("no"));
  return make("span", { class: "status accepted", title: t("Its hash also met the network target") }, t("Dash block"));
}

const pageLink = (text, start) =>
  make("a", { href: start === null ? "chain.html" : `chain.html?from=${encodeURIComponent(start)}` }, text);

function showPage(page) {
  const shares = page.shares.filter(({ hash }) => isHash(hash));
  const older = from !== "";
  setText(byId("chain-title"), older ? t`Shares from ${shortHash(from)} backwards` : t("Latest shares"));
  const lead = older ? t`This node holds ${plural(page.held, "{0} share", "{0} shares")} from here backwards.` : t("From the best share backwards.");
  setText(byId("chain-lead"), lead);
  table.show(
    shares.map((share) => ({ ...share, key: share.hash, ts: share.time_found })),
    make("span", {}, t("No shares yet. The chain starts with the first share that a miner finds.")),
  );
  byId("stale-note").hidden = shares.length === 0;
  showPager(page, older);
}

function showPager(page, older) {
  const steps = older ? [pageLink(t("⇤ Latest"), null)] : [];
  if (page.next !== null) steps.push(pageLink(t("Older →"), page.next));
  else if (page.shares.length > 0) steps.push(make("span", {}, endOf(page)));
  byId("pager").replaceChildren(...steps);
  byId("pager").hidden = steps.length === 0;
}

function endOf(page) {
  if (page.missing_parent === null) return t("The last share listed is the first of the chain");
  return t("This node does not hold older shares: they were dropped, or are not downloaded yet");
}

/** Show why there is no list. */
function showNone(title, ...texts) {
  setText(byId("chain-title"), title);
  setText(byId("chain-lead"), "");
  table.show([], make("span", {}, ...texts));
  byId("stale-note").hidden = true;
  byId("pager").replaceChildren(pageLink(t("Latest shares"), null));
  byId("pager").hidden = false;
}

// --- the forks ---------------------------------------------------------------------------------------------

const forks = new Table("forks", {
  caption: t("Latest shares outside the best chain: time, hash, height, payout address, difficulty, parent share, verified and found on this node"),
  few: 50,
  empty: emptyNote(),
  columns: [
    timeColumn(t("Found")),
    { title: t("Share"), head: true, create: ({ hash }) => shareLink(hash) },
    textColumn(t("Height"), ({ height }) => integer(height)),
    { title: t("Payout address"), create: ({ address }) => copyValueBoth(address, t("address")) },
    textColumn(t("Difficulty"), (share) => difficulty(share.difficulty)),
    { title: t("Parent share"), create: ({ parent }) => (parent === null ? t("none: first share") : shareLink(parent)) },
    textColumn(t("Verified"), ({ verified }) => (verified ? t("yes") : t("not yet")), null),
    textColumn(t("Found on this node"), ({ own }) => (own ? t("yes") : t("no")), null),
  ],
});

/** @type {?ChainChart} */
let chart = null;
/** @type {?string} */
let drawn = null;

function showTree({ shares }) {
  if (shares.length === 0) {
    byId("tree-body").replaceChildren(make("p", { class: "empty" }, t("No shares yet. The chain starts with the first share that a miner finds.")));
    chart = null;
  } else {
    chart ??= new ChainChart(byId("tree-body"));
    chart.show(shares);
  }
  const aside = shares.filter(({ in_best_chain: inBest }) => !inBest);
  forks.show(
    aside.map((share) => ({ ...share, key: share.hash, ts: share.time_found })),
    make("span", {}, plural(shares.length, "No forks among the latest {0} share.", "No forks among the latest {0} shares.")),
  );
}

const fetchTree = pollPath(`api/v1/tree?count=${DRAWN}`, PERIOD, (value, status) => {
  const text = JSON.stringify(value);
  if (status !== 200 || text === drawn) return;
  drawn = text;
  showTree(value);
});

/** @type {?number} */
let treeDue = null;

/** Draw a new share soon; several that arrive together are drawn at once. */
function fetchTreeSoon() {
  if (treeDue !== null) return;
  treeDue = setTimeout(() => {
    treeDue = null;
    fetchTree();
  }, MIN_PERIOD);
}

// --- heads and tails ----------------------------------------------------------------------------------------------

const ends = new Map();

function showEnds() {
  const rows = ENDS.filter(([path]) => ends.has(path)).map(([path, title]) =>
    make("div", {}, make("dt", {}, `${title} (${count(ends.get(path))})`), make("dd", {}, ...endsList(path))),
  );
  if (rows.length > 0) byId("ends-body").replaceChildren(make("dl", { class: "ends" }, ...rows));
}

const count = (hashes) => (hashes.length >= LISTED ? t`${integer(LISTED)} or more` : integer(hashes.length));

function endsList(path) {
  const hashes = ends.get(path);
  if (hashes.length === 0) return [t("none")];
  const items = hashes.slice(0, MAX_ENDS).map((hash) => make("li", {}, shareLink(hash)));
  const list = make("ul", {}, ...items);
  if (hashes.length <= MAX_ENDS) return [list];
  const all = make("a", { href: `../web/${path}` }, t("view all as JSON"));
  return [list, make("span", { class: "note" }, ...phrase`and ${integer(hashes.length - MAX_ENDS)} more: ${all}`)];
}

function showBest(hash) {
  const none = !isHash(hash) || /^0+$/.test(hash);
  byId("f-best").replaceChildren(none ? t("none yet") : shareLink(hash));
}

function showGlobal(figures) {
  setText(byId("f-length"), integer(figures.share_chain_height));
}

// --- updating ------------------------------------------------------------------------------------------------

/** Show an answer only if it has changed: a rebuilt list would lose focus and selection. */
function show(path, { status, text }, shower) {
  if (status !== 200 || shownTexts.get(path) === text) return;
  shownTexts.set(path, text);
  shower(JSON.parse(text));
}

function showAnswer(answer) {
  if (answer.status === 200) {
    show(pagePath, answer, showPage);
    return;
  }
  shownTexts.delete(pagePath);
  if (answer.status === 404 && from !== "") {
    showNone(
      t("Share not found on this node"),
      t`This node does not hold share ${from}. It may be too old (nodes drop shares that no longer count for payouts), may never have reached this node, or may be mistyped.`,
    );
  } else {
    showNone(t("The node returned an error"), t`It answered with status ${answer.status}. This page retries automatically.`);
  }
}

async function poll() {
  const paths = ["global_stats", "web/best_share_hash", ...ENDS.map(([path]) => `web/${path}`)];
  let page;
  let answers;
  try {
    const asked = [pagePath, ...paths].map((path) => (path === pagePath && !isValid ? null : fetchText(path)));
    [page, ...answers] = await Promise.all(asked);
  } catch {
    return; // the banner says that the node does not answer
  }
  const [figures, best, ...lists] = answers;
  show("global_stats", figures, showGlobal);
  show("best", best, showBest);
  let changed = false;
  ENDS.forEach(([path], i) =>
    show(path, lists[i], (hashes) => {
      ends.set(path, hashes.filter(isHash));
      setText(byId(`f-${path.replace("_", "-")}`), count(hashes));
      changed = true;
    }),
  );
  if (changed) showEnds();
  if (page !== null) showAnswer(page);
  refreshTimes();
}

const isValid = from === "" || isHash(from);
byId("json").href = `../${pagePath}`;
if (!isValid) {
  byId("json").hidden = true;
  showNone(t("Invalid share hash"), t("A share hash has 64 hex digits (0-9, a-f)."));
}
startShareSearch();
startPage({
  onEvent(event) {
    if (event.event === "share") fetchTreeSoon();
  },
});
whileVisible(poll, PERIOD);
