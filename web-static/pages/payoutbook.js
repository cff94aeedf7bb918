// The payout book: what blocks paid an address, by day or month and block by block, from the history.

import { fetchJson, historyProblem } from "../js/api.js";
import { hashColumn, statusColumn } from "../js/blocks.js";
import { byId, copyButton, make, setText } from "../js/dom.js";
import { duration, exact, integer } from "../js/format.js";
import { phrase, t } from "../js/language.js";
import { showPages } from "../js/listing.js";
import { pollPath, startPage } from "../js/page.js";
import { qrButton } from "../js/qr.js";
import { Table, emptyNote, textColumn, timeColumn } from "../js/table.js";
import { TimeSpan } from "../js/timespan.js";

const PAGE = matchMedia("(max-width: 40rem)").matches ? 15 : 50;
/** Polling interval in ms; the node writes blocks to its history within a minute. */
const PERIOD = 30000;
const address = (new URLSearchParams(location.search).get("address") ?? "").trim();
let symbol = "DASH";
/** URL prefixes of a block explorer for blocks, addresses and transactions; "" if there is none. */
const explorers = { block: "", address: "", transaction: "" };
let page = 0;
let by = "day";

startPage({
  views: ["api/v1/pool"],
  show: (values) => {
    symbol = values.get("api/v1/pool")?.symbol ?? symbol;
  },
});
const { value: currency } = await fetchJson("web/currency_info").catch(() => ({ value: null }));
if (currency !== null) {
  explorers.block = currency.block_explorer_url_prefix;
  explorers.address = currency.address_explorer_url_prefix;
  explorers.transaction = currency.tx_explorer_url_prefix;
  symbol = currency.symbol;
}

const amount = ({ dash }) => `${exact(dash)}\u00a0${symbol}`;

const income = new Table("income", {
  caption: t("Income by period: day or month, blocks, amount and the part that cannot be spent yet"),
  few: 14,
  empty: emptyNote(),
  columns: [
    { ...textColumn(t("Period (UTC)"), ({ period }) => period, ""), head: true },
    textColumn(t("Blocks"), ({ blocks }) => integer(blocks)),
    textColumn(t("Paid"), (row) => amount(row.amount)),
    textColumn(t("Not spendable yet"), ({ maturing }) => (maturing.duffs === 0 ? "–" : amount(maturing))),
  ],
});

/** Return when the coins of a payout can be spent. */
function spendable({ spendable: now, spendable_in: wait }) {
  if (wait === null) return t("never");
  return now ? t("yes") : t`in about ${duration(wait)}`;
}

const payouts = new Table("payouts", {
  caption: t("Payouts: time, height, block, transaction, amount, when it can be spent and status"),
  few: PAGE,
  empty: emptyNote(),
  columns: [
    timeColumn(t("Found")),
    { ...textColumn(t("Height"), ({ height }) => integer(height)), head: true },
    hashColumn(() => explorers.block),
    hashColumn(() => explorers.transaction, { title: t("Transaction"), what: t("transaction hash"), of: ({ transaction }) => transaction }),
    textColumn(t("Paid"), (row) => amount(row.amount)),
    textColumn(t("Spendable"), spendable),
    statusColumn,
  ],
});
payouts.few = PAGE;

const span = new TimeSpan("income", "month", changed);
const path = encodeURIComponent(address);

function begin() {
  for (const [word, text] of [["day", t("Days")], ["month", t("Months")]]) {
    const button = make("button", { type: "button", "aria-pressed": String(word === by) }, text);
    button.addEventListener("click", () => {
      by = word;
      for (const each of byId("income-by").children) each.setAttribute("aria-pressed", String(each === button));
      changed();
    });
    byId("income-by").append(button);
  }
  byId("lead").replaceChildren(
    ...phrase`What blocks paid ${make("a", { href: `worker.html?name=${path}`, class: "mono" }, address)}, as this node recorded it while it was running.`,
    " ",
    copyButton(address, t("the address")),
    " ",
    qrButton(() => address, t("the address")),
  );
  if (/^https:\/\//.test(explorers.address)) {
    const link = { href: explorers.address + path, rel: "noreferrer noopener", target: "_blank" };
    byId("lead").append(" ", make("a", link, t("Block explorer"), make("span", { class: "unseen" }, t(" (opens in a new tab)"))));
  }
  byId("look-address").value = address;
  mark();
}

const again = [
  pollPath(() => (address === "" ? null : `api/v1/history/income/${path}?${span.query}&by=${by}`), PERIOD, showIncome),
  pollPath(() => (address === "" ? null : `api/v1/history/payouts/${path}?${span.query}&offset=${page * PAGE}&limit=${PAGE}`), PERIOD, showPayouts),
];

function problemOf(value, status) {
  return status === 404 && value?.error?.code === "not_an_address" ? t("This is not a Dash address. Check it for typing errors.") : historyProblem(value, status);
}

function showIncome(value, status) {
  const problem = problemOf(value, status);
  setText(byId("problem"), problem ?? "");
  byId("book").hidden = problem !== null;
  if (problem !== null) return;
  setText(byId("b-blocks"), integer(value.blocks));
  setText(byId("b-amount"), amount(value.amount));
  setText(byId("b-maturing"), amount(value.maturing));
  income.show(value.periods.map((row) => ({ ...row, key: row.period })), make("span", {}, t("Nothing was paid in this time, as far as this node knows.")));
}

function showPayouts(value, status) {
  if (problemOf(value, status) !== null) return; // said by showIncome
  payouts.show(value.payouts.map((row) => ({ ...row, key: row.hash, ts: row.time })), make("span", {}, t("No payouts in this time.")));
  setText(byId("payouts-count"), integer(value.total));
  showPages(byId("payouts-pages"), page, Math.ceil(value.total / PAGE), (wanted) => {
    page = wanted;
    again[1]();
  });
}

function mark() {
  byId("income-csv").href = `../api/v1/history/income.csv/${path}?${span.query}&by=${by}`;
  byId("payouts-csv").href = `../api/v1/history/payouts.csv/${path}?${span.query}`;
}

function changed() {
  page = 0;
  mark();
  for (const poll of again) poll();
}

byId("look").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = byId("look-address").value.trim();
  if (wanted !== "") location.search = `?address=${encodeURIComponent(wanted)}`;
});

if (address !== "") begin();
