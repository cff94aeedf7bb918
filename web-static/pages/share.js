// The share page: one share, explained field by field, with links to its parent and children.

import { fetchText, parseExact } from "../js/api.js";
import { addressVersions, asText, describeScript, fromHex, parseTransaction } from "../js/coinbase.js";
import { byId, copyButton, copyValue, make, refreshTimes, setText, shareLink, timeNode, workerLink } from "../js/dom.js";
import { absoluteTime, coins, difficulty, duffs, integer, isHash, percent, shortHash, shortened } from "../js/format.js";
import { locale, t } from "../js/language.js";
import { startPage, whileVisible } from "../js/page.js";
import { startShareSearch } from "../js/sharesearch.js";

const PERIOD = 5000;
const MAX_TRANSACTIONS = 500;
const NO_SHARE = "None";
const UNKNOWN = "unknown";
const STALE = {
  orphan: t("orphan: it reports that an earlier share of the same miner lost the race to another share"),
  doa: t("dead on arrival: it reports that an earlier share of the same miner was submitted too late"),
};

// share.html#HASH is shorter to write. The fragment may also be that of a part of the page.
const given = new URLSearchParams(location.search).get("hash") ?? (isHash(location.hash.slice(1)) ? location.hash.slice(1) : "");
const hash = given.trim().toLowerCase();
addEventListener("hashchange", () => isHash(location.hash.slice(1)) && location.reload());
let network = { name: "", symbol: "DASH" };
let networkKnown = false;
let shownText = null;

// --- small pieces ------------------------------------------------------------------------------------------

function panel(name, title, ...children) {
  const id = `part-${name}`;
  return make("section", { class: "panel", "aria-labelledby": id }, make("h2", { id }, title), ...children);
}

/** Return a list of rows [term, explanation, value (node or text)]. */
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

/** Return the difficulty of a target; difficulty 1 is 0xffff * 2**208. */
const targetDifficulty = (target) => (65535 * 2 ** 208) / (Number(target) + 1);
const targetAttempts = (target) => (1n << 256n) / (BigInt(target) + 1n);
const targetHex = (target) => BigInt(target).toString(16).padStart(64, "0");

function large(number) {
  return BigInt(number).toLocaleString(locale);
}

// --- the share ---------------------------------------------------------------------------------------------

function summaryOf(share) {
  const { is_block: isBlock } = share.block;
  const kind = isBlock ? t("This share is also a Dash block: its hash met the network target.") : t("A proof of work in the share chain.");
  const end = share.children.length === 0 ? t(" It has no children: it is the latest share of its branch.") : "";
  return kind + end;
}

function positionPart(share) {
  const { local } = share;
  return panel(
    "position-in-the-chain",
    t("Position in the chain"),
    facts(
      [t("Hash"), t("The X11 hash of its block header, which identifies the share."), fullHash(share.hash, t("the hash"))],
      [t("Parent share"), t("The share that this one builds on."), share.parent === NO_SHARE ? t("none: the first share of its chain") : shareLink(share.parent, share.parent)],
      [t("Children"), t("Shares that build on this one. If there are several, the branch with the most work wins and the others become orphans."), childrenList(share.children)],
      [t("Far parent share"), t("The share about a hundred shares back, which lets nodes skip along the chain."), share.far_parent === NO_SHARE ? t("none: the chain is still short") : shareLink(share.far_parent, share.far_parent)],
      [t("Type"), t("The format of the share. Only one is in use."), share.type_name],
      [t("Verified"), t("Whether this node has checked everything: work, difficulty and payouts."), local.verified ? t("yes") : t("not yet, or it builds on shares that this node does not have")],
      [t("Height"), t("Number of shares from the first of the chain to this one."), integer(share.share_data.absheight)],
      [t("Cumulative work"), t("Expected hashes for all shares up to this one."), large(share.share_data.abswork)],
    ),
  );
}

function childrenList(children) {
  if (children.length === 0) return t("none yet");
  return make("ul", {}, ...children.map((child) => make("li", {}, shareLink(child, child))));
}

function minerPart(share) {
  const { share_data: data, local } = share;
  const peer = local.peer_first_received_from;
  const seen = typeof local.time_first_seen === "number" && local.time_first_seen > 0;
  const stale = data.stale_info;
  return panel(
    "miner-and-time",
    t("Miner and time"),
    facts(
      [t("Payout address"), t("Who is paid for this share."), workerLink(data.payout_address, mono(data.payout_address)), " ", copyButton(data.payout_address, t("the address"))],
      [t("Found"), foundNote(local.time_found_source), time(local.time_found)],
      [t("Share timestamp"), t("Used by the rules of the share chain, which keep it close to that of the parent share: in a slow pool it lags."), time(data.timestamp)],
      [t("First seen"), t("When this node received it."), seen ? time(local.time_first_seen) : t("unknown")],
      [t("Received from"), t("The peer that relayed it first."), peer === null || peer === undefined ? t("found on this node, or loaded from disk") : String(peer)],
      [t("Stale info"), t("How nodes report lost work to the pool, so that hash rates can be corrected."), stale === null ? t("none: it reports no lost share") : (STALE[stale] ?? stale)],
      [t("Donation"), t("Percentage of this share’s payouts that goes to the developers."), percent(data.donation, 2)],
      [t("Nonce"), t("An arbitrary number that makes otherwise identical shares differ."), mono(String(data.nonce))],
      [t("Vote"), t("The share version that the miner’s node votes for."), integer(data.desired_version)],
    ),
  );
}

function foundNote(source) {
  if (source === "first_seen") return t("When the miner found it: this node received it at once.");
  return t("When the miner found it, estimated from the timestamps around it: this node received it later.");
}

function difficultyPart(share) {
  const { target, max_target: easiest } = share.share_data;
  return panel(
    "difficulty",
    t("Difficulty"),
    facts(
      [t("Difficulty"), t("How hard this share was to find, relative to difficulty 1. Payouts are proportional to it."), difficulty(targetDifficulty(target))],
      [t("Work"), t("Expected number of hashes."), large(targetAttempts(target))],
      [t("Minimum difficulty"), t("The lowest that the pool allowed at this position."), difficulty(targetDifficulty(easiest))],
      [t("Target"), t("The number that the share’s hash must not exceed."), mono(targetHex(target))],
      [t("Maximum target"), t("The highest that the pool allowed at this position."), mono(targetHex(easiest))],
    ),
  );
}

function blockPart(share) {
  const { header, is_block: isBlock } = share.block;
  return panel(
    "as-a-dash-block",
    t("As a Dash block"),
    facts(
      [t("Dash block"), t("A share whose hash also meets the network target is a complete, valid block."), isBlock ? t("yes") : t("no: its hash met only the share target")],
      [t("Network difficulty"), t("Difficulty of a block at that time."), difficulty(targetDifficulty(header.target))],
      [t("Network target"), t("The number that the hash of a block must not exceed."), mono(targetHex(header.target))],
      [t("Previous block"), t("The Dash block that this share builds on."), copyValue(header.previous_block, header.previous_block, t("block hash"))],
      [t("Header time"), t("The time in the block header, from the clock of the dashd that provided the work."), time(header.timestamp)],
      [t("Merkle root"), t("Commits to all transactions."), mono(header.merkle_root)],
      [t("Nonce"), t("The number that the miner found."), mono(String(header.nonce))],
      [t("Version"), t("The version of the block format; miners may roll some of its bits."), mono(`0x${Number(header.version).toString(16).padStart(8, "0")}`)],
    ),
  );
}

function coinbasePart(share) {
  const { gentx } = share.block;
  const part = panel(
    "payouts-of-this-block",
    t("Payouts of this block"),
    make("p", { class: "lead" }, t("The coinbase transaction creates the coins of the block. Every share must contain exactly the outputs that the share chain requires.")),
  );
  if (gentx.raw === UNKNOWN) {
    part.append(make("p", { class: "empty" }, t("This node cannot rebuild the transaction: it does not have the shares before this one.")));
  } else {
    try {
      part.append(outputsTable(parseTransaction(fromHex(gentx.raw)), share.share_data.payout_address));
    } catch (error) {
      part.append(make("p", { class: "empty" }, t`Cannot decode the transaction: ${error.message}.`));
    }
  }
  part.append(
    facts(
      [t("Total value"), t("Block subsidy and transaction fees."), `${coins(gentx.value)} ${network.symbol}`],
      [t("Transaction hash"), t("The merkle root commits to it."), mono(gentx.hash)],
      [t("Coinbase script"), t("Starts with the block height; shown as text where printable."), mono(printable(gentx.coinbase))],
      [t("Nonce in the last output"), t("Distinguishes the work of different miners."), mono(gentx.last_txout_nonce)],
    ),
    otherTransactions(share.block.other_transaction_hashes),
  );
  if (gentx.raw !== UNKNOWN) part.append(folded(t("Raw transaction"), gentx.raw));
  return part;
}

function printable(hex) {
  try {
    return asText(fromHex(hex));
  } catch {
    return hex;
  }
}

function outputsTable(transaction, payoutAddress) {
  const versions = addressVersions(network.name);
  const columns = [[t("Value"), "number"], [t("Pays to"), null], [t("Script type"), null]];
  const label = (i, attributes) => ({ ...attributes, class: columns[i][1], "data-label": columns[i][0] });
  const rows = transaction.outputs.map(({ value, script }) => {
    const { kind, to } = describeScript(script, versions);
    const payee = to === null ? ["–"] : [copyValue(to, to, t("address"))];
    if (to !== null && to === payoutAddress) payee.push(make("span", { class: "note" }, t("this share’s miner")));
    return make(
      "tr",
      { role: "row" },
      make("th", label(0, { scope: "row", role: "rowheader" }), duffs(value)),
      make("td", label(1, { role: "cell" }), ...payee),
      make("td", label(2, { role: "cell" }), kind),
    );
  });
  const heads = columns.map(([title, side]) => make("th", { scope: "col", role: "columnheader", class: side }, title));
  return make(
    "table",
    { role: "table", class: "cards" },
    make("caption", { class: "unseen" }, t`Outputs of the coinbase transaction: value in ${network.symbol}, payee and script type`),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
    make("tbody", { role: "rowgroup" }, ...rows),
  );
}

function otherTransactions(hashes) {
  if (hashes.length === 0) return make("p", { class: "note" }, t("No other transactions known."));
  const left = hashes.length - MAX_TRANSACTIONS;
  const text = hashes.slice(0, MAX_TRANSACTIONS).join("\n") + (left > 0 ? `\n${t`and ${integer(left)} more`}` : "");
  return folded(t`Other transactions (${integer(hashes.length)})`, text);
}

function folded(title, text) {
  return make("details", {}, make("summary", {}, title), make("pre", { class: "raw", tabindex: "0", "aria-label": title }, text));
}

function showWalk(share) {
  const walk = byId("walk");
  const step = (text, target) =>
    make("a", { href: `share.html?hash=${encodeURIComponent(target)}`, title: target }, text, mono(shortHash(target)));
  const steps = [share.parent === NO_SHARE ? make("span", {}, t("No parent share: first of the chain")) : step(t("← Parent share "), share.parent)];
  if (share.children.length === 0) steps.push(make("span", {}, t("No children yet")));
  share.children.forEach((child, i) => steps.push(step(i === 0 ? t("Child → ") : t("Other child → "), child)));
  steps.push(make("a", { href: `chain.html?from=${encodeURIComponent(share.hash)}` }, t("Share chain from here")));
  walk.replaceChildren(...steps);
  walk.hidden = false;
}

function showShare(share) {
  setText(byId("title"), t`Share ${shortHash(share.hash)}`);
  document.title = t`Share ${shortHash(share.hash)} – p2pool-dash`;
  const summary = byId("summary");
  setText(summary, summaryOf(share));
  summary.hidden = false;
  showWalk(share);
  byId("content").replaceChildren(positionPart(share), minerPart(share), difficultyPart(share), coinbasePart(share), blockPart(share));
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
    const { status, text } = await fetchText("recent_shares");
    const recent = status === 200 ? parseExact(text).filter((share) => isHash(share.hash)).slice(0, 5) : [];
    if (recent.length === 0) return;
    const items = recent.map((share) => make("li", {}, shareLink(share.hash, shortened(share.hash, 10, 10)), " ", timeNode(share.ts)));
    byId("content").append(panel("latest-shares-found-on-this-node", t("Latest shares found on this node"), make("ul", {}, ...items)));
  } catch {
    // The list is a convenience; the page works without it.
  }
}

// --- updating ------------------------------------------------------------------------------------------------

async function fetchNetwork() {
  if (networkKnown) return;
  const { status, text } = await fetchText("global_stats");
  if (status !== 200) return;
  const answer = parseExact(text);
  network = { name: answer.network, symbol: answer.symbol };
  networkKnown = true;
}

async function poll() {
  let answer;
  try {
    await fetchNetwork();
    answer = await fetchText(`web/share/${hash}`);
  } catch {
    return; // the banner says that the node does not answer
  }
  // Rebuild only if the answer has changed: rebuilding loses focus and selection.
  if (answer.text !== shownText) {
    shownText = answer.text;
    showAnswer(answer);
  }
  refreshTimes();
}

function showAnswer({ status, text }) {
  if (status === 200 && text === "null") showUnknown();
  else if (status === 200) showShare(parseExact(text));
  else showMissing(t("The node returned an error"), t`It answered with status ${status}. This page retries automatically.`);
}

function showUnknown() {
  showMissing(
    t("Share not found on this node"),
    t`This node does not hold share ${hash}. It may be too old (nodes drop shares that no longer count for payouts), may never have reached this node, or may be mistyped.`,
    t("If it arrives, this page shows it automatically."),
  );
}

startShareSearch();
startPage({});
if (isHash(hash)) {
  byId("json").href = `../web/share/${hash}`;
  whileVisible(poll, PERIOD);
} else {
  byId("json").hidden = true;
  const problem = hash === "" ? t("Select a share on the share chain page, or look one up by its hash.") : t("A share hash has 64 hex digits (0-9, a-f).");
  showMissing(hash === "" ? t("No share selected") : t("Invalid share hash"), problem);
  fetchNetwork().catch(() => {});
}
