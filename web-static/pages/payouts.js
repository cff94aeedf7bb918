// Who gets what if a block is found now: read out of the coinbase transaction, and held against the node's list.

import { addressVersions, asText, describeScript, fromHex, parseTransaction, toHex } from "../js/coinbase.js";
import { byId, copyButton, make, setText, shareLink, workerLink } from "../js/dom.js";
import { duffs, integer, percent, shortHash, shortened } from "../js/format.js";
import { Listing } from "../js/listing.js";
import { startPage } from "../js/page.js";
import { PayoutChart } from "../js/payoutchart.js";

const KINDS = {
  miner: "Miner",
  masternode: "Masternode or treasury",
  credit_pool: "Dash Platform’s credit pool",
  donation: "p2pool’s developers",
  commitment: "Commitment to the share",
  unknown: "Not known",
};
/** Bytes of a stretch that are shown in a row of the table; the outputs have a table of their own. */
const MOST_BYTES = 400;

let symbol = "DASH";
let part = "miners";
let shownWork = null;
let shownList = null;
let decoded = null;
let chart = null;

const coins = (amount) => `${duffs(amount)}\u00a0${symbol}`;

// --- the table ---------------------------------------------------------------------------------------------

const listing = new Listing("payees", {
  caption: "Payees of the next block: who, kind, amount in the next block, part of it, and amount on average",
  order: ["In the next block", true],
  what: "an address",
  search: ({ who, kind }) => `${who} ${KINDS[kind]}`,
  columns: [
    { title: "Payee", head: true, words: true, by: ({ who }) => who, create: (item) => payee(item) },
    {
      title: "Kind",
      words: true,
      by: ({ kind }) => KINDS[kind],
      create: () => make("span"),
      update: (cell, item) => setText(cell.firstElementChild, kindText(item)),
    },
    {
      title: "In the next block",
      side: "number",
      by: ({ amount }) => Number(amount),
      update: (cell, { amount }) => setText(cell, duffs(amount)),
    },
    {
      title: "Part of the block",
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
      title: "On average",
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

function kindText({ kind, own, finderPart }) {
  const text = [KINDS[kind]];
  if (own) text.push("this node’s fee");
  if (finderPart > 0n) text.push("shown as the finder");
  return text.join(", ");
}

// --- from bytes to payees ----------------------------------------------------------------------------------

/** The transaction's own outputs, with what the node says of who they are. Throws for malformed bytes. */
function decode(told, network) {
  const transaction = parseTransaction(fromHex(told.hex));
  const versions = addressVersions(network);
  const outputs = transaction.outputs.map(({ value, script }, i) => {
    const { kind, to } = describeScript(script, versions);
    const said = told.outputs[i];
    const same = said !== undefined && said.script === toHex(script);
    return {
      amount: value,
      address: to,
      script: toHex(script),
      what: kind,
      kind: same && Object.hasOwn(KINDS, said.kind) ? said.kind : "unknown",
      own: same && said.own,
      finderPart: same ? BigInt(said.finder_part.duffs) : 0n,
    };
  });
  return { ...transaction, outputs };
}

/** One row for each output that pays. */
function rowsOf({ outputs }, list) {
  const averages = new Map((list?.payouts ?? []).map((row) => [row.address, row.amount.duffs]));
  const total = outputs.reduce((sum, { amount }) => sum + amount, 0n);
  const greatest = outputs.reduce((most, { amount }) => (amount > most ? amount : most), 1n);
  const paid = outputs.filter(({ kind, amount }) => kind !== "commitment" && amount > 0n);
  return paid.map((output, i) => ({
    ...output,
    key: `${output.script}:${i}`,
    who: output.address ?? (output.kind === "credit_pool" ? "Dash Platform’s credit pool" : output.what),
    share: Number(output.amount) / Number(total),
    length: Number(output.amount) / Number(greatest),
    average: ["miner", "donation"].includes(output.kind) ? (averages.get(output.address) ?? null) : null,
  }));
}

// --- the proof ---------------------------------------------------------------------------------------------

const sumOf = (outputs) => outputs.reduce((sum, { amount }) => sum + amount, 0n);

/** Every check as [whether it holds, text]. */
function checksOf(told, list) {
  const { outputs } = decoded;
  const total = sumOf(outputs);
  const checks = [
    [total === BigInt(told.total.duffs), `The ${integer(outputs.length)} outputs add up to ${coins(total)}, the value that Dash Core allows for block ${integer(told.height)}.`],
  ];
  const height = heightIn(told);
  checks.push([height === told.height, `The transaction names block ${integer(height)} in its script: it is for no other block.`]);
  const unknown = outputs.filter(({ kind }) => kind === "unknown").length;
  checks.push([unknown === 0, unknown === 0 ? "Every output is accounted for; none goes to anybody else." : `${integer(unknown)} outputs are not what the node says of them.`]);
  if (list !== undefined && list.finder !== null) checks.push(compareWithList(list));
  return checks;
}

/** Whether each amount of the node's list stands in the bytes, and nothing else for miners. */
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
    return [true, `All ${integer(listed.length)} amounts of the node’s list of payouts stand in the transaction, to the duff.`];
  }
  return [false, `${integer(Math.max(wrong.length, Math.abs(listed.length - inBytes.size)))} amounts of the node’s list differ from the transaction. While work changes this can be so for a second.`];
}

/** The height that the script begins with (BIP 34). */
function heightIn({ hex, parts }) {
  const script = parts.find(({ name }) => name === "script");
  const bytes = fromHex(hex).subarray(script.from + 1);
  // Small numbers are an opcode of their own: OP_1 to OP_16.
  if (bytes[0] > 0x50 && bytes[0] <= 0x60) return bytes[0] - 0x50;
  return bytes.subarray(1, 1 + bytes[0]).reduce((sum, byte, i) => sum + byte * 256 ** i, 0);
}

const STRETCHES = {
  version: "Version and type",
  input: "Input",
  script: "Coinbase script",
  sequence: "Sequence",
  outputs: "Outputs",
  ref_hash: "Commitment",
  nonce: "Miner’s nonce",
  lock_time: "Lock time",
  payload: "Payload",
};

function stretchesTable({ hex, parts }) {
  const heads = ["Part", "Bytes", "What it is"].map((title) => make("th", { scope: "col", role: "columnheader" }, title));
  const rows = parts.map(({ name, from, length, text }) => {
    const bytes = hex.slice(2 * from, 2 * (from + length));
    const shown = bytes.length > 2 * MOST_BYTES ? `${bytes.slice(0, 2 * MOST_BYTES)}…` : bytes;
    const said = name === "script" ? `${text}: ${asText(fromHex(bytes).subarray(1))}` : text;
    return make(
      "tr",
      { role: "row" },
      make("th", { scope: "row", role: "rowheader", "data-label": "Part" }, STRETCHES[name] ?? name),
      make("td", { role: "cell", class: "mono", "data-label": "Bytes" }, shown),
      make("td", { role: "cell", "data-label": "What it is" }, said),
    );
  });
  const table = make(
    "table",
    { role: "table", class: "cards stretches" },
    make("caption", { class: "unseen" }, "The transaction’s bytes in their order, and what they are"),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
    make("tbody", { role: "rowgroup" }, ...rows),
  );
  return [table, make("p", { class: "after" }, copyButton(hex, "the whole transaction as hexadecimal"))];
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
      text: `${row.who}: ${duffs(row.amount)} ${symbol}, ${percent(Number(row.amount) / total, 2)}. ${kindText(row)}.`,
    })),
  );
}

function showFigures(told, rows) {
  const total = (...kinds) => sumOf(rows.filter(({ kind }) => kinds.includes(kind)));
  const short = (amount) => Number(duffs(amount)).toFixed(4);
  const set = (id, amount) => {
    const node = byId(id);
    node.title = coins(amount);
    if (node.dataset.shown === node.title) return;
    node.dataset.shown = node.title;
    node.replaceChildren(`${short(amount)} `, make("span", { class: "unit" }, symbol));
  };
  const miners = total("miner", "donation");
  set("f-total", sumOf(rows));
  setText(byId("f-total-note"), `of block ${integer(told.height)}: new coins and fees`);
  set("f-miners", miners);
  setText(byId("f-miners-note"), `${percent(Number(miners) / Number(sumOf(rows)), 1)} of it; the rest is the Dash chain’s own`);
  set("f-finder", BigInt(told.finder.amount.duffs));
  setText(byId("f-payees"), integer(rows.filter(({ kind }) => kind === "miner").length));
  set("f-masternodes", total("masternode"));
  set("f-platform", total("credit_pool"));
}

function showProof(told, list) {
  const items = checksOf(told, list).map(([holds, text]) => make("li", { class: holds ? "holds" : "fails" }, make("span", {}, make("span", { class: "unseen" }, holds ? "Holds: " : "Does not hold: "), text)));
  byId("checks").replaceChildren(...items);
  const parent = told.parent_share === null ? "the chain’s first share" : make("span", {}, "the share after ", shareLink(told.parent_share));
  byId("proof-work").replaceChildren(`Work for block ${integer(told.height)} on block `, make("span", { class: "mono", title: told.previous_block }, shortHash(told.previous_block)), ", and for ", parent, ".");
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

let latest = null;

function showAll() {
  const { told, list, network } = latest;
  if (told.hex !== shownWork) {
    shownWork = null;
    try {
      decoded = decode(told, network);
    } catch (error) {
      showNone(`The transaction cannot be read: ${error.message}.`);
      return;
    }
    shownWork = told.hex;
    byId("stretches").replaceChildren(...stretchesTable(told));
  }
  const rows = rowsOf(decoded, list);
  listing.show(rows, "Nobody is paid.");
  showFigures(told, rows);
  showProof(told, list);
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
  views: ["api/v1/coinbase", "api/v1/payouts", "api/v1/pool"],
  show(values) {
    const [told, list, pool] = ["api/v1/coinbase", "api/v1/payouts", "api/v1/pool"].map((view) => values.get(view));
    if (pool === undefined || told === undefined) return;
    symbol = pool.symbol;
    if (told === null) {
      showNone("There is no work now, so there is no next block to look into. See the warnings above.");
      return;
    }
    // Both are parts of the same second, or the patches of one: compare only what has changed.
    const key = JSON.stringify([told.hex, list]);
    if (key === shownList && decoded !== null) return;
    shownList = key;
    latest = { told, list, network: pool.network };
    showAll();
  },
});
