// "Is this pool for me?": what a hash rate would earn in this pool and alone (/api/v1/calculator), on request.

import { fetchJson } from "./api.js";
import { make, setText } from "./dom.js";
import { difficulty, duration, hashRate } from "./format.js";
import { coinRange, incomeText, payoutsText, periodOf } from "./miner.js";

/** @type {[string, number][]} */
const UNITS = [
  ["kH/s", 1e3],
  ["MH/s", 1e6],
  ["GH/s", 1e9],
  ["TH/s", 1e12],
];
const USUAL_UNIT = 1e9;
const MONTH = 30;

/** Put the form and, once it is asked, the answer into the holder; `symbol()` returns that of the coin. */
export function buildCalculator(holder, symbol) {
  const input = make("input", { type: "text", inputmode: "decimal", id: "calc-rate", autocomplete: "off", maxlength: "20", size: "8" });
  const unit = make("select", { id: "calc-unit", "aria-label": "Unit" }, ...UNITS.map(([name, factor]) => make("option", { value: String(factor) }, name)));
  unit.value = String(USUAL_UNIT);
  const answer = make("p", { class: "answer", role: "status" });
  const figures = make("div", {});
  const form = make(
    "form",
    { class: "calc", novalidate: "" },
    make("label", { for: "calc-rate" }, "Hash rate of all your miners"),
    input,
    unit,
    make("button", { type: "submit", class: "button" }, "Calculate"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const rate = Number(input.value.trim().replace(",", ".")) * Number(unit.value);
    if (!(rate >= 1 && rate <= 1e21)) {
      setText(answer, "Enter a hash rate, such as 1.5.");
      figures.replaceChildren();
      input.focus();
      return;
    }
    /** @type {any} */
    let value = null;
    try {
      ({ value } = await fetchJson(`api/v1/calculator?hash_rate=${rate}`));
    } catch {
      // the banner says that the node does not answer
    }
    if (value === null || value.error !== undefined) {
      setText(answer, "The node cannot tell yet: it needs the hash rate of the pool, and Dash Core.");
      figures.replaceChildren();
      return;
    }
    setText(answer, value.answer);
    figures.replaceChildren(comparison(value, symbol()), note(value));
  });
  holder.replaceChildren(form, answer, figures);
}

function comparison({ pool, alone, probability }, symbol) {
  const [pooled, own] = [pool, alone].map((each) => periodOf(each, MONTH));
  const rows = [
    ["Time to a share", duration(pool.share_time), "–"],
    ["Time to first payout", duration(pool.first_payout_time), duration(alone.payout_time)],
    ["Time between payouts", duration(pool.payout_time), duration(alone.payout_time)],
    ["Payouts in 30 days", payoutsText(pooled), payoutsText(own)],
    ["Income in 30 days", incomeText(pooled, symbol), incomeText(own, symbol)],
    ["Range of the income", coinRange(pooled, symbol), coinRange(own, symbol)],
  ];
  const head = ["", "In this pool", "Mining alone"].map((text) => (text === "" ? make("td", {}) : make("th", { scope: "col", class: "number" }, text)));
  return make(
    "table",
    { class: "compare" },
    make("caption", { class: "note" }, `Averages. Payouts and the range of the income: with ${Math.round(100 * probability)}% probability.`),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows.map(([title, ...cells]) => make("tr", {}, make("th", { scope: "row" }, title), ...cells.map((text) => make("td", { class: "number" }, text))))),
  );
}

const note = ({ share_difficulty: shares, pool_hash_rate: rate }) =>
  make("p", { class: "note after" }, `With your miners the pool would have ${hashRate(rate)} and a share difficulty of ${difficulty(shares)}. The income is on average the same, but for fee and donation: a pool makes it regular, not higher.`);
