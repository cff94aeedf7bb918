// The share chain: drawn with its forks, its ends, and its shares page by page, newest first.

import { ask } from "../js/api.js";
import { ChainChart } from "../js/chainchart.js";
import { byId, make, refreshTimes, setText, shareLink } from "../js/dom.js";
import { difficulty, integer, isHash, shortHash } from "../js/format.js";
import { lookUp, startPage, whileVisible } from "../js/page.js";
import { startShareSearch } from "../js/sharesearch.js";
import { Table, copyValueBoth, emptyNote, textColumn, timeColumn } from "../js/table.js";

const PERIOD = 5000;
const PAGE = matchMedia("(max-width: 40rem)").matches ? 25 : 50;
/** Shares that are drawn: what a wide screen has room for, and some beyond. */
const DRAWN = matchMedia("(min-width: 112rem)").matches ? 200 : 100;
/** ms between two looks at the forks, however fast shares come. */
const LEAST_PERIOD = 1000;
const MOST_ENDS = 12;
/** The node lists no more hashes than this. */
const LISTED = 1000;
const ENDS = [
  ["heads", "Heads"],
  ["verified_heads", "Verified heads"],
  ["tails", "Tails"],
  ["verified_tails", "Verified tails"],
];
const STALE = {
  orphan: "announces that an earlier share of its miner lost the race against another one",
  doa: "dead on arrival: announces that an earlier share of its miner came too late",
};

const from = (new URLSearchParams(location.search).get("from") ?? "").trim().toLowerCase();
const pagePath = `web/chain?count=${PAGE}${from === "" ? "" : `&from=${encodeURIComponent(from)}`}`;
const shownTexts = new Map();

// --- the list ----------------------------------------------------------------------------------------------

const table = new Table("chain", {
  caption: "Shares of the chain, newest first: when found, hash, payout address, difficulty, stale and block",
  few: 400,
  empty: emptyNote(),
  columns: [
    timeColumn("Found"),
    { title: "Share", head: true, create: ({ hash }) => shareLink(hash) },
    { title: "Payout address", create: (share) => copyValueBoth(share.payout_address, "address") },
    textColumn("Difficulty", (share) => difficulty(share.difficulty)),
    { title: "Stale", create: ({ stale_info: stale }) => staleNode(stale) },
    { title: "Block", create: ({ is_block: isBlock }) => blockNode(isBlock) },
  ],
});

function staleNode(stale) {
  if (stale === null) return make("span", { class: "soft none" }, "no");
  return make("span", { title: Object.hasOwn(STALE, stale) ? STALE[stale] : null }, String(stale));
}

function blockNode(isBlock) {
  if (!isBlock) return make("span", { class: "soft none" }, "no");
  return make("span", { class: "status accepted", title: "Its hash also met the network’s target" }, "Dash block");
}

const pageLink = (text, start) =>
  make("a", { href: start === null ? "chain.html" : `chain.html?from=${encodeURIComponent(start)}` }, text);

function showPage(page) {
  const shares = page.shares.filter(({ hash }) => isHash(hash));
  const older = from !== "";
  setText(byId("chain-title"), older ? `Shares from ${shortHash(from)} down` : "Newest shares");
  const lead = older ? `${counted(page.held, "share")} of this chain are held here, this one included.` : "From the best share down.";
  setText(byId("chain-lead"), lead);
  table.show(
    shares.map((share) => ({ ...share, key: share.hash, ts: share.time_found })),
    make("span", {}, "No share yet. The chain begins with the first share that a miner finds."),
  );
  byId("stale-note").hidden = shares.length === 0;
  showPager(page, older);
}

function showPager(page, older) {
  const steps = older ? [pageLink("⇤ Newest", null)] : [];
  if (page.next !== null) steps.push(pageLink("Older →", page.next));
  else if (page.shares.length > 0) steps.push(make("span", {}, endOf(page)));
  byId("pager").replaceChildren(...steps);
  byId("pager").hidden = steps.length === 0;
}

function endOf(page) {
  if (page.missing_parent === null) return "The last one listed is the chain’s first share";
  return "Older shares are not held here: forgotten, or not got yet";
}

const counted = (n, noun) => `${integer(n)} ${noun}${n === 1 ? "" : "s"}`;

/** Instead of the list: why there is none. */
function showNone(title, ...texts) {
  setText(byId("chain-title"), title);
  setText(byId("chain-lead"), "");
  table.show([], make("span", {}, ...texts));
  byId("stale-note").hidden = true;
  byId("pager").replaceChildren(pageLink("Newest shares", null));
  byId("pager").hidden = false;
}

// --- the forks ---------------------------------------------------------------------------------------------

const forks = new Table("forks", {
  caption: "Shares of the newest that are not in the best chain: when found, hash, height, payout address, difficulty and finder",
  few: 50,
  empty: emptyNote(),
  columns: [
    timeColumn("Found"),
    { title: "Share", head: true, create: ({ hash }) => shareLink(hash) },
    textColumn("Height", ({ height }) => integer(height)),
    { title: "Payout address", create: ({ address }) => copyValueBoth(address, "address") },
    textColumn("Difficulty", (share) => difficulty(share.difficulty)),
    { title: "Builds on", create: ({ parent }) => (parent === null ? "nothing: a first share" : shareLink(parent)) },
    textColumn("Verified", ({ verified }) => (verified ? "yes" : "not yet"), null),
    textColumn("Found here", ({ own }) => (own ? "yes" : "no"), null),
  ],
});

let chart = null;
let drawn = null;

function showTree({ shares }) {
  if (shares.length === 0) {
    byId("tree-body").replaceChildren(make("p", { class: "empty" }, "No share yet. The chain begins with the first share that a miner finds."));
    chart = null;
  } else {
    chart ??= new ChainChart(byId("tree-body"));
    chart.show(shares);
  }
  const aside = shares.filter(({ in_best_chain: inBest }) => !inBest);
  forks.show(
    aside.map((share) => ({ ...share, key: share.hash, ts: share.time_found })),
    make("span", {}, `None of the newest ${integer(shares.length)} shares is on a fork.`),
  );
}

const askTree = lookUp(`api/v1/tree?count=${DRAWN}`, PERIOD, (value, status) => {
  const text = JSON.stringify(value);
  if (status !== 200 || text === drawn) return;
  drawn = text;
  showTree(value);
});

let treeDue = null;

/** A share came: draw it soon, once for several that come together. */
function askTreeSoon() {
  treeDue ??= setTimeout(() => {
    treeDue = null;
    askTree();
  }, LEAST_PERIOD);
}

// --- the ends ----------------------------------------------------------------------------------------------

const ends = new Map();

function showEnds() {
  const rows = ENDS.filter(([path]) => ends.has(path)).map(([path, title]) =>
    make("div", {}, make("dt", {}, `${title} (${count(ends.get(path))})`), make("dd", {}, ...endsList(path))),
  );
  if (rows.length > 0) byId("ends-body").replaceChildren(make("dl", { class: "ends" }, ...rows));
}

const count = (hashes) => (hashes.length >= LISTED ? `${integer(LISTED)} or more` : integer(hashes.length));

function endsList(path) {
  const hashes = ends.get(path);
  if (hashes.length === 0) return ["none"];
  const items = hashes.slice(0, MOST_ENDS).map((hash) => make("li", {}, shareLink(hash)));
  const list = make("ul", {}, ...items);
  if (hashes.length <= MOST_ENDS) return [list];
  const all = make("a", { href: `../web/${path}` }, "all as JSON");
  return [list, make("span", { class: "note" }, `and ${integer(hashes.length - MOST_ENDS)} more: `, all)];
}

function showBest(hash) {
  const none = !isHash(hash) || /^0+$/.test(hash);
  byId("f-best").replaceChildren(none ? "none yet" : shareLink(hash));
}

function showGlobal(figures) {
  setText(byId("f-length"), integer(figures.share_chain_height));
}

// --- asking ------------------------------------------------------------------------------------------------

/** Shows an answer where it differs from the last one: a rebuilt list would lose focus and selection. */
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
      "This node does not hold this share",
      `No share ${from} is here. It may be too old (nodes forget shares that no longer count for payouts), `,
      "never have reached this node, or be mistyped.",
    );
  } else {
    showNone("The node cannot answer now", `It answered with status ${answer.status}. This page tries again by itself.`);
  }
}

async function look() {
  const paths = ["global_stats", "web/best_share_hash", ...ENDS.map(([path]) => `web/${path}`)];
  let page;
  let answers;
  try {
    const asked = [pagePath, ...paths].map((path) => (path === pagePath && !isAskable ? null : ask(path)));
    [page, ...answers] = await Promise.all(asked);
  } catch {
    return; // the page says that the node is gone
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

const isAskable = from === "" || isHash(from);
byId("json").href = `../${pagePath}`;
if (!isAskable) {
  byId("json").hidden = true;
  showNone("That is not a share’s hash", "A share’s hash has 64 digits of 0-9 and a-f; this one does not.");
}
startShareSearch();
startPage({
  news(event) {
    if (event.event === "share") askTreeSoon();
  },
});
whileVisible(look, PERIOD);
