// The payouts page: who is paid if a block is found now, decoded from the coinbase transaction and compared with the
// list of the node.

import { addressVersions, asText, describeScript, fromHex, ownText, parseTransaction, toHex } from "../js/coinbase.js";
import { byId, copyButton, make, setText, shareLink, workerLink } from "../js/dom.js";
import { duffs, fixed, integer, labelled, listed, percent, shortHash, shortened } from "../js/format.js";
import { phrase, plural, t, told } from "../js/language.js";
import { Listing } from "../js/listing.js";
import { startPage } from "../js/page.js";
import { PayoutChart } from "../js/payoutchart.js";

const KINDS = {
  miner: t("Miner"),
  masternode: t("Masternode or treasury"),
  credit_pool: t("Dash Platform credit pool"),
  donation: t("Developers (donation)"),
  commitment: t("Share commitment"),
  unknown: t("Unknown"),
};
/** Bytes shown of one segment; the outputs have their own table. */
const MAX_BYTES = 400;

let symbol = "DASH";
/** Of /api/v1/node. @type {any} */
let node = null;
let part = "miners";
/** @type {?string} */
let shownWork = null;
/** @type {?string} */
let shownList = null;
/** What `decode` returned for the transaction that is shown. @type {any} */
let decoded = null;
/** @type {?PayoutChart} */
let chart = null;

const coins = (amount) => `${duffs(amount)}\u00a0${symbol}`;

// --- the table ---------------------------------------------------------------------------------------------

const listing = new Listing("payees", {
  caption: t("Payees of the next block: payee, kind, amount in the next block, percentage of the block, and average amount"),
  order: [t("In the next block"), true],
  label: t("Search by address or kind"),
  search: ({ who, kind }) => `${who} ${KINDS[kind]}`,
  columns: [
    { title: t("Payee"), head: true, words: true, by: ({ who }) => who, create: (item) => payee(item) },
    {
      title: t("Kind"),
      words: true,
      by: ({ kind }) => KINDS[kind],
      create: () => make("span"),
      update: (cell, item) => setText(cell.firstElementChild, kindText(item)),
    },
    {
      title: t("In the next block"),
      side: "number",
      by: ({ amount }) => Number(amount),
      update: (cell, { amount }) => setText(cell, duffs(amount)),
    },
    {
      title: t("Percentage of block"),
      side: "bar-cell",
      create: () => {
        const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span"));
        return make("span", { class: "bar-box" }, bar, make("span", { class: "bar-text" }));
      },
      update: (cell, { share, length }) => {
        const [bar, text] = cell.firstElementChild.children;
        bar.firstElementChild.style.width = `${(length * 100).toFixed(2)}%`;
        setText(text, percent(share, 2));
      },
    },
    {
      title: t("On average"),
      side: "number",
      by: ({ average }) => average,
      update: (cell, { average }) => setText(cell, average === null ? "–" : duffs(BigInt(average))),
    },
  ],
});

function payee({ who, address, kind }) {
  if (address === null) return make("span", {}, who);
  const long = make("span", { class: "is-long" }, address);
  const short = make("span", { class: "is-short" }, shortened(address, 8, 6));
  if (kind === "miner") return workerLink(address, make("span", { class: "mono", title: address }, long, short));
  return make("span", { class: "mono", title: address }, long, short);
}

function kindText({ kind, own, amount, finderPart }) {
  const text = [KINDS[kind]];
  if (own && amount > finderPart) text.push(ownText(node));
  if (finderPart > 0n) text.push(t("shown as the finder"));
  return listed(text);
}

// --- from bytes to payees ----------------------------------------------------------------------------------

/** Decode the transaction, and add what the node reports of each output. Throw for malformed bytes. */
function decode(coinbase, network) {
  const transaction = parseTransaction(fromHex(coinbase.hex));
  const versions = addressVersions(network);
  const outputs = transaction.outputs.map(({ value, script }, i) => {
    const { kind, to } = describeScript(script, versions);
    const reported = coinbase.outputs[i];
    const same = reported !== undefined && reported.script === toHex(script);
    return {
      amount: value,
      address: to,
      script: toHex(script),
      what: kind,
      kind: same && Object.hasOwn(KINDS, reported.kind) ? reported.kind : "unknown",
      own: same && reported.own,
      finderPart: same ? BigInt(reported.finder_part.duffs) : 0n,
    };
  });
  return { ...transaction, outputs };
}

/** Return a row for each output that pays. */
function rowsOf({ outputs }, list) {
  const averages = new Map((list?.payouts ?? []).map((row) => [row.address, row.amount.duffs]));
  const total = outputs.reduce((sum, { amount }) => sum + amount, 0n);
  const largest = outputs.reduce((max, { amount }) => (amount > max ? amount : max), 1n);
  const paid = outputs.filter(({ kind, amount }) => kind !== "commitment" && amount > 0n);
  return paid.map((output, i) => ({
    ...output,
    key: `${output.script}:${i}`,
    who: output.address ?? (output.kind === "credit_pool" ? t("Dash Platform credit pool") : output.what),
    share: Number(output.amount) / Number(total),
    length: Number(output.amount) / Number(largest),
    average: ["miner", "donation"].includes(output.kind) ? (averages.get(output.address) ?? null) : null,
  }));
}

// --- the proof ---------------------------------------------------------------------------------------------

const sumOf = (outputs) => outputs.reduce((sum, { amount }) => sum + amount, 0n);

/** Return each check as [whether it passed, text]. */
function checksOf(coinbase, list) {
  const { outputs } = decoded;
  const total = sumOf(outputs);
  const checks = [
    [total === BigInt(coinbase.total.duffs), plural(outputs.length, "The {0} output adds up to {1}, the reward that Dash Core allows for block {2}.", "The {0} outputs add up to {1}, the reward that Dash Core allows for block {2}.", coins(total), integer(coinbase.height))],
  ];
  const height = heightIn(coinbase);
  checks.push([height === coinbase.height, t`The coinbase script contains height ${integer(height)}: the transaction is not valid in any other block.`]);
  const unknown = outputs.filter(({ kind }) => kind === "unknown").length;
  checks.push([unknown === 0, unknown === 0 ? t("Every output is accounted for; none pays anyone else.") : plural(unknown, "{0} output differs from the node’s report.", "{0} outputs differ from the node’s report.")]);
  if (list !== undefined && list.finder !== null) checks.push(compareWithList(list));
  return checks;
}

/** Return the check that the miners' amounts in the bytes are exactly those of the node's list. */
function compareWithList(list) {
  const inBytes = new Map();
  for (const { kind, address, amount, finderPart } of decoded.outputs) {
    if (kind !== "miner" && kind !== "donation") continue;
    const plain = amount - finderPart;
    if (plain > 0n) inBytes.set(address, (inBytes.get(address) ?? 0n) + plain);
  }
  const listed = list.payouts.filter(({ in_coinbase: there }) => there !== null && there.duffs > 0);
  const wrong = listed.filter(({ address, in_coinbase: there }) => inBytes.get(address) !== BigInt(there.duffs));
  if (wrong.length === 0 && listed.length === inBytes.size) {
    return [true, plural(listed.length, "The {0} amount in the node’s payout list matches the transaction exactly.", "All {0} amounts in the node’s payout list match the transaction exactly.")];
  }
  return [false, plural(Math.max(wrong.length, Math.abs(listed.length - inBytes.size)), "{0} amount in the node’s payout list differs from the transaction. This can happen for a second when the work changes.", "{0} amounts in the node’s payout list differ from the transaction. This can happen for a second when the work changes.")];
}

/** Return the height that the script begins with (BIP 34). */
function heightIn({ hex, parts }) {
  const script = parts.find(({ name }) => name === "script");
  const bytes = fromHex(hex).subarray(script.from + 1);
  // Small numbers are opcodes: OP_1 to OP_16.
  if (bytes[0] > 0x50 && bytes[0] <= 0x60) return bytes[0] - 0x50;
  return bytes.subarray(1, 1 + bytes[0]).reduce((sum, byte, i) => sum + byte * 256 ** i, 0);
}

const SEGMENTS = {
  version: t("Version and type"),
  input: t("Input"),
  script: t("Coinbase script"),
  sequence: t("Sequence"),
  outputs: t("Outputs"),
  ref_hash: t("Commitment"),
  nonce: t("Extranonce"),
  lock_time: t("Lock time"),
  payload: t("Payload"),
};

function segmentsTable({ hex, parts }) {
  const heads = [t("Segment"), t("Bytes"), t("Meaning")].map((title) => make("th", { scope: "col", role: "columnheader" }, title));
  const rows = parts.map(({ name, from, length, text }) => {
    const bytes = hex.slice(2 * from, 2 * (from + length));
    const shown = bytes.length > 2 * MAX_BYTES ? `${bytes.slice(0, 2 * MAX_BYTES)}…` : bytes;
    const meaning = name === "script" ? labelled(told(text), asText(fromHex(bytes).subarray(1))) : told(text);
    return make(
      "tr",
      { role: "row" },
      make("th", { scope: "row", role: "rowheader", "data-label": t("Segment") }, SEGMENTS[name] ?? name),
      make("td", { role: "cell", class: "mono", "data-label": t("Bytes") }, shown),
      make("td", { role: "cell", "data-label": t("Meaning") }, meaning),
    );
  });
  const table = make(
    "table",
    { role: "table", class: "cards stretches" },
    make("caption", { class: "unseen" }, t("The bytes of the transaction in order, and their meaning")),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
    make("tbody", { role: "rowgroup" }, ...rows),
  );
  return [table, make("p", { class: "after" }, copyButton(hex, t("the whole transaction as hex")))];
}

// --- showing -----------------------------------------------------------------------------------------------

function showChart(rows) {
  chart ??= new PayoutChart(byId("chart-body"));
  const miners = ({ kind }) => kind === "miner" || kind === "donation";
  const shown = part === "miners" ? rows.filter(miners) : rows;
  const total = Number(sumOf(shown));
  chart.show(
    shown.map((row) => ({
      key: row.key,
      label: row.who,
      kind: row.own ? "own" : row.kind,
      duffs: Number(row.amount),
      text: t`${row.who}: ${duffs(row.amount)} ${symbol}, ${percent(Number(row.amount) / total, 2)}. ${kindText(row)}.`,
    })),
  );
}

function showFigures(coinbase, rows) {
  const total = (...kinds) => sumOf(rows.filter(({ kind }) => kinds.includes(kind)));
  const short = (amount) => fixed(Number(amount) / 1e8, 4);
  const set = (id, amount) => {
    const node = byId(id);
    node.title = coins(amount);
    if (node.dataset.shown === node.title) return;
    node.dataset.shown = node.title;
    node.replaceChildren(`${short(amount)} `, make("span", { class: "unit" }, symbol));
  };
  const miners = total("miner", "donation");
  set("f-total", sumOf(rows));
  setText(byId("f-total-note"), t`of block ${integer(coinbase.height)}: subsidy and fees`);
  set("f-miners", miners);
  setText(byId("f-miners-note"), t`${percent(Number(miners) / Number(sumOf(rows)), 1)} of the reward; Dash consensus assigns the rest`);
  set("f-finder", BigInt(coinbase.finder.amount.duffs));
  setText(byId("f-payees"), integer(rows.filter(({ kind }) => kind === "miner").length));
  set("f-masternodes", total("masternode"));
  set("f-platform", total("credit_pool"));
}

function showProof(coinbase, list) {
  const items = checksOf(coinbase, list).map(([holds, text]) => make("li", { class: holds ? "holds" : "fails" }, make("span", {}, make("span", { class: "unseen" }, holds ? t("Passed: ") : t("Failed: ")), text)));
  byId("checks").replaceChildren(...items);
  const parent = coinbase.parent_share === null ? t("the first share of the chain") : make("span", {}, ...phrase`the share after ${shareLink(coinbase.parent_share)}`);
  const previous = make("span", { class: "mono", title: coinbase.previous_block }, shortHash(coinbase.previous_block));
  byId("proof-work").replaceChildren(...phrase`This work is for block ${integer(coinbase.height)}, on top of block ${previous}, and for ${parent}.`);
}

function showNone(text) {
  shownWork = decoded = null;
  listing.show([], text);
  byId("checks").replaceChildren(make("li", {}, text));
  byId("chart-body").replaceChildren(make("p", { class: "empty" }, text));
  byId("stretches").replaceChildren();
  setText(byId("proof-work"), "");
  chart = null;
}

/** The latest {coinbase, list, network}. @type {any} */
let latest = null;

function showAll() {
  const { coinbase, list, network } = latest;
  if (coinbase.hex !== shownWork) {
    shownWork = null;
    try {
      decoded = decode(coinbase, network);
    } catch (error) {
      showNone(t`Cannot decode the transaction: ${error.message}.`);
      return;
    }
    shownWork = coinbase.hex;
    byId("stretches").replaceChildren(...segmentsTable(coinbase));
  }
  const rows = rowsOf(decoded, list);
  listing.show(rows, t("No payees."));
  showFigures(coinbase, rows);
  showProof(coinbase, list);
  showChart(rows);
}

byId("part").addEventListener("click", (event) => {
  const wanted = event.target.closest("button")?.dataset.part;
  if (wanted === undefined) return;
  part = wanted;
  for (const button of byId("part").children) button.setAttribute("aria-pressed", String(button.dataset.part === part));
  if (decoded !== null) showAll();
});

startPage({
  views: ["api/v1/coinbase", "api/v1/payouts", "api/v1/pool", "api/v1/node"],
  show(values) {
    const [coinbase, list, pool] = ["api/v1/coinbase", "api/v1/payouts", "api/v1/pool"].map((view) => values.get(view));
    node = values.get("api/v1/node") ?? node;
    if (pool === undefined || coinbase === undefined) return;
    symbol = pool.symbol;
    if (coinbase === null) {
      showNone(t("No work at the moment, so there is no next block to decode. See the warnings above."));
      return;
    }
    // Both are from the same second: redraw only if one of them has changed.
    const key = JSON.stringify([coinbase.hex, list, ownText(node)]);
    if (key === shownList && decoded !== null) return;
    shownList = key;
    latest = { coinbase, list, network: pool.network };
    showAll();
  },
});
