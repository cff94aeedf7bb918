// One share of the chain, explained field by field, with links to its parent and its children.

import { ask, parseExact } from "../js/api.js";
import { addressVersions, asText, describeScript, fromHex, parseTransaction } from "../js/coinbase.js";
import { byId, copyButton, copyValue, make, refreshTimes, setText, shareLink, timeNode, workerLink } from "../js/dom.js";
import { absoluteTime, coins, difficulty, duffs, integer, isHash, percent, shortHash, shortened } from "../js/format.js";
import { startPage, whileVisible } from "../js/page.js";
import { startShareSearch } from "../js/sharesearch.js";

const PERIOD = 5000;
const MOST_TRANSACTIONS = 500;
const NO_SHARE = "None";
const NOT_KNOWN = "unknown";
const STALE = {
  orphan: "orphan: it announces that an earlier share of its miner lost the race against another one",
  doa: "dead on arrival: it announces that an earlier share of its miner came too late for its work",
};

const hash = (new URLSearchParams(location.search).get("hash") ?? "").trim().toLowerCase();
let network = { name: "", symbol: "DASH" };
let networkKnown = false;
let shownText = null;

// --- small pieces ------------------------------------------------------------------------------------------

function panel(title, ...children) {
  const id = `part-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return make("section", { class: "panel", "aria-labelledby": id }, make("h2", { id }, title), ...children);
}

/** Rows of [term, explanation, value node or text]. */
function facts(...rows) {
  const list = make("dl", { class: "facts" });
  for (const [term, explanation, ...values] of rows) {
    const detail = make("dd", {}, ...values);
    if (explanation) detail.append(make("span", { class: "note" }, explanation));
    list.append(make("div", {}, make("dt", {}, term), detail));
  }
  return list;
}

const mono = (text) => make("span", { class: "mono" }, text);
const fullHash = (text, what) => make("span", {}, mono(text), " ", copyButton(text, what));

function time(unix) {
  return make("span", {}, timeNode(unix), `, ${absoluteTime(unix)}`);
}

/** The difficulty of a target; difficulty 1 is 0xffff * 2**208. */
const targetDifficulty = (target) => (65535 * 2 ** 208) / (Number(target) + 1);
const targetAttempts = (target) => (1n << 256n) / (BigInt(target) + 1n);
const targetHex = (target) => BigInt(target).toString(16).padStart(64, "0");

function large(number) {
  return BigInt(number).toLocaleString("en");
}

// --- the share ---------------------------------------------------------------------------------------------

function summaryOf(share) {
  const { is_block: isBlock } = share.block;
  const kind = isBlock ? "This share is also a Dash block: its hash met the network’s target." : "A proof of work in the share chain.";
  const end = share.children.length === 0 ? " It has no children: it is the newest of its branch." : "";
  return kind + end;
}

function placePart(share) {
  const { local } = share;
  return panel(
    "Place in the chain",
    facts(
      ["Hash", "The share’s name: the X11 hash of its block header.", fullHash(share.hash, "the hash")],
      ["Parent", "The share that this one builds on.", share.parent === NO_SHARE ? "none: the first share of its chain" : shareLink(share.parent, share.parent)],
      ["Children", "Shares that build on this one. Where there are several, the chain with most work wins; the others become orphans.", childrenList(share.children)],
      ["Far parent", "The share about a hundred before, which nodes use to skip along the chain.", share.far_parent === NO_SHARE ? "none: the chain is still short" : shareLink(share.far_parent, share.far_parent)],
      ["Kind", "The format of the share. There is one today.", share.type_name],
      ["Verified", "Whether this node checked everything: the work, the difficulty and who is paid.", local.verified ? "yes" : "not yet, or it builds on shares that this node lacks"],
      ["Height", "Number of shares from the chain’s first to this one.", integer(share.share_data.absheight)],
      ["Work so far", "Hashes expected for all of these shares together.", large(share.share_data.abswork)],
    ),
  );
}

function childrenList(children) {
  if (children.length === 0) return "none yet";
  return make("ul", {}, ...children.map((child) => make("li", {}, shareLink(child, child))));
}

function minerPart(share) {
  const { share_data: data, local } = share;
  const peer = local.peer_first_received_from;
  const seen = typeof local.time_first_seen === "number" && local.time_first_seen > 0;
  const stale = data.stale_info;
  return panel(
    "Miner and time",
    facts(
      ["Payout address", "Who is paid for this share.", workerLink(data.payout_address, mono(data.payout_address)), " ", copyButton(data.payout_address, "the address")],
      ["Found", foundNote(local.time_found_source), time(local.time_found)],
      ["Timestamp", "For the rules of the share chain, which keep it near its parent’s: in a slow pool it lags behind.", time(data.timestamp)],
      ["First seen here", "When this node got it.", seen ? time(local.time_first_seen) : "not known"],
      ["Received from", "The node that passed it on first.", peer === null || peer === undefined ? "found by this node, or loaded from its disk" : String(peer)],
      ["Stale info", "How nodes tell the pool about lost work, so that hash rates can be corrected.", stale === null ? "none: it announces no lost share" : (STALE[stale] ?? stale)],
      ["Donation", "Part of this share’s payouts that goes to the developers.", percent(data.donation, 2)],
      ["Nonce", "A free number that makes shares differ.", mono(String(data.nonce))],
      ["Version wanted", "The share version that its miner’s node votes for.", integer(data.desired_version)],
    ),
  );
}

function foundNote(source) {
  if (source === "first_seen") return "When its miner found it: this node saw it at once.";
  return "When its miner found it, by the times in its and its neighbours’ headers: this node got it later.";
}

function difficultyPart(share) {
  const { target, max_target: easiest } = share.share_data;
  return panel(
    "Difficulty",
    facts(
      ["Difficulty", "How much harder than difficulty 1 this share had to be. It counts for payouts by this.", difficulty(targetDifficulty(target))],
      ["Work", "Hashes that it takes on average.", large(targetAttempts(target))],
      ["Least difficulty then", "The easiest that the pool allowed at this place of the chain.", difficulty(targetDifficulty(easiest))],
      ["Target", "The number that its hash must not exceed.", mono(targetHex(target))],
      ["Easiest target then", "The greatest that the pool allowed.", mono(targetHex(easiest))],
    ),
  );
}

function blockPart(share) {
  const { header, is_block: isBlock } = share.block;
  return panel(
    "As a block of Dash",
    facts(
      ["Is it a block?", "A share whose hash also meets the network’s target is a whole, valid block.", isBlock ? "yes" : "no: its hash met the share’s target only"],
      ["Network difficulty then", "What a block needed.", difficulty(targetDifficulty(header.target))],
      ["Network target then", "The number that a block’s hash must not exceed.", mono(targetHex(header.target))],
      ["Previous block", "The Dash block that it would have followed.", copyValue(header.previous_block, header.previous_block, "block hash")],
      ["Header’s time", "The time in the block’s header, by the clock of the Dash Core that gave the work.", time(header.timestamp)],
      ["Merkle root", "Commits to all transactions.", mono(header.merkle_root)],
      ["Nonce", "The number that the miner found.", mono(String(header.nonce))],
      ["Version", "Of the block’s format; some of its bits are free for miners to count with.", mono(`0x${Number(header.version).toString(16).padStart(8, "0")}`)],
    ),
  );
}

function coinbasePart(share) {
  const { gentx } = share.block;
  const part = panel(
    "Who this block would pay",
    make("p", { class: "lead" }, "The coinbase transaction creates the block’s coins. Every share must carry the exact outputs that the share chain demands."),
  );
  if (gentx.raw === NOT_KNOWN) {
    part.append(make("p", { class: "empty" }, "This node cannot rebuild the transaction: it lacks shares that come before this one."));
  } else {
    try {
      part.append(outputsTable(parseTransaction(fromHex(gentx.raw)), share.share_data.payout_address));
    } catch (error) {
      part.append(make("p", { class: "empty" }, `The transaction cannot be read: ${error.message}.`));
    }
  }
  part.append(
    facts(
      ["Total value", "New coins, and the fees of the block’s transactions.", `${coins(gentx.value)} ${network.symbol}`],
      ["Transaction", "Its hash, which the merkle root commits to.", mono(gentx.hash)],
      ["Coinbase script", "Starts with the block’s height; readable parts as text.", mono(readable(gentx.coinbase))],
      ["Last output’s nonce", "Tells miners’ work apart.", mono(gentx.last_txout_nonce)],
    ),
    otherTransactions(share.block.other_transaction_hashes),
  );
  if (gentx.raw !== NOT_KNOWN) part.append(folded("Raw transaction", gentx.raw));
  return part;
}

function readable(hex) {
  try {
    return asText(fromHex(hex));
  } catch {
    return hex;
  }
}

function outputsTable(transaction, payoutAddress) {
  const versions = addressVersions(network.name);
  const columns = [["Value", "number"], ["Pays to", null], ["Kind", null]];
  const label = (i, attributes) => ({ ...attributes, class: columns[i][1], "data-label": columns[i][0] });
  const rows = transaction.outputs.map(({ value, script }) => {
    const { kind, to } = describeScript(script, versions);
    const whom = to === null ? ["–"] : [copyValue(to, to, "address")];
    if (to !== null && to === payoutAddress) whom.push(make("span", { class: "note" }, "this share’s miner"));
    return make(
      "tr",
      { role: "row" },
      make("th", label(0, { scope: "row", role: "rowheader" }), duffs(value)),
      make("td", label(1, { role: "cell" }), ...whom),
      make("td", label(2, { role: "cell" }), kind),
    );
  });
  const heads = columns.map(([title, side]) => make("th", { scope: "col", role: "columnheader", class: side }, title));
  return make(
    "table",
    { role: "table", class: "cards" },
    make("caption", { class: "unseen" }, `Outputs of the coinbase transaction: value in ${network.symbol}, whom it pays and how`),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
    make("tbody", { role: "rowgroup" }, ...rows),
  );
}

function otherTransactions(hashes) {
  if (hashes.length === 0) return make("p", { class: "note" }, "No other transactions are known for it.");
  const left = hashes.length - MOST_TRANSACTIONS;
  const text = hashes.slice(0, MOST_TRANSACTIONS).join("\n") + (left > 0 ? `\nand ${integer(left)} more` : "");
  return folded(`Other transactions (${integer(hashes.length)})`, text);
}

function folded(title, text) {
  return make("details", {}, make("summary", {}, title), make("pre", { class: "raw", tabindex: "0", "aria-label": title }, text));
}

function showWalk(share) {
  const walk = byId("walk");
  const step = (text, target) =>
    make("a", { href: `share.html?hash=${encodeURIComponent(target)}`, title: target }, text, mono(shortHash(target)));
  const steps = [share.parent === NO_SHARE ? make("span", {}, "No parent: the chain’s first share") : step("← Parent ", share.parent)];
  if (share.children.length === 0) steps.push(make("span", {}, "No child yet; this page looks again by itself"));
  share.children.forEach((child, i) => steps.push(step(i === 0 ? "Child → " : "Other child → ", child)));
  steps.push(make("a", { href: `chain.html?from=${encodeURIComponent(share.hash)}` }, "The chain from here down"));
  walk.replaceChildren(...steps);
  walk.hidden = false;
}

function showShare(share) {
  setText(byId("title"), `Share ${shortHash(share.hash)}`);
  document.title = `Share ${shortHash(share.hash)} – p2pool-dash`;
  const summary = byId("summary");
  setText(summary, summaryOf(share));
  summary.hidden = false;
  showWalk(share);
  byId("content").replaceChildren(placePart(share), minerPart(share), difficultyPart(share), coinbasePart(share), blockPart(share));
}

// --- no share ----------------------------------------------------------------------------------------------

function showMissing(title, ...paragraphs) {
  setText(byId("title"), title);
  document.title = `${title} – p2pool-dash`;
  byId("walk").hidden = true;
  byId("summary").hidden = true;
  byId("content").replaceChildren(make("div", { class: "panel" }, ...paragraphs.map((text) => make("p", {}, text))));
  showRecent();
}

async function showRecent() {
  try {
    const { status, text } = await ask("recent_shares");
    const recent = status === 200 ? parseExact(text).filter((share) => isHash(share.hash)).slice(0, 5) : [];
    if (recent.length === 0) return;
    const items = recent.map((share) => make("li", {}, shareLink(share.hash, shortened(share.hash, 10, 10)), " ", timeNode(share.ts)));
    byId("content").append(panel("Shares found here lately", make("ul", {}, ...items)));
  } catch {
    // The list is a convenience; the page says all it needs without it.
  }
}

// --- asking ------------------------------------------------------------------------------------------------

async function askNetwork() {
  if (networkKnown) return;
  const { status, text } = await ask("global_stats");
  if (status !== 200) return;
  const answer = parseExact(text);
  network = { name: answer.network, symbol: answer.symbol };
  networkKnown = true;
}

async function look() {
  let answer;
  try {
    await askNetwork();
    answer = await ask(`web/share/${hash}`);
  } catch {
    return; // the page says that the node is gone
  }
  // Rebuilding would lose focus and selection, so only a changed answer does it.
  if (answer.text !== shownText) {
    shownText = answer.text;
    showAnswer(answer);
  }
  refreshTimes();
}

function showAnswer({ status, text }) {
  if (status === 200 && text === "null") showUnknown();
  else if (status === 200) showShare(parseExact(text));
  else showMissing("The node cannot answer now", `It answered with status ${status}. This page tries again by itself.`);
}

function showUnknown() {
  showMissing(
    "This node does not hold this share",
    `No share ${hash} is here. It may be too old (nodes forget shares that no longer count for payouts), ` +
      "never have reached this node, or be mistyped.",
    "Should it arrive, this page shows it by itself.",
  );
}

startShareSearch();
startPage({});
if (isHash(hash)) {
  byId("json").href = `../web/share/${hash}`;
  whileVisible(look, PERIOD);
} else {
  byId("json").hidden = true;
  const problem = hash === "" ? "Choose a share on the node’s page, or look one up by its hash." : "A share’s hash has 64 digits of 0-9 and a-f; this one does not.";
  showMissing(hash === "" ? "Which share?" : "That is not a share’s hash", problem);
  askNetwork().catch(() => {});
}
