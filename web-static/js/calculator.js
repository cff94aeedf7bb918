// "Is this pool for me?": what a hash rate would earn in this pool and alone (/api/v1/calculator), on request.

import { fetchJson } from "./api.js";
import { make, setText } from "./dom.js";
import { difficulty, duration, hashRate, percent } from "./format.js";
import { t } from "./language.js";
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
  const unit = make("select", { id: "calc-unit", "aria-label": t("Unit") }, ...UNITS.map(([name, factor]) => make("option", { value: String(factor) }, name)));
  unit.value = String(USUAL_UNIT);
  const answer = make("p", { class: "answer", role: "status" });
  const figures = make("div", {});
  const form = make(
    "form",
    { class: "calc", novalidate: "" },
    make("label", { for: "calc-rate" }, t("Hash rate of all your miners")),
    input,
    unit,
    make("button", { type: "submit", class: "button" }, t("Calculate")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const rate = Number(input.value.trim().replace(",", ".")) * Number(unit.value);
    if (!(rate >= 1 && rate <= 1e21)) {
      setText(answer, t("Enter a hash rate, such as 1.5."));
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
      setText(answer, t("The node cannot tell yet: it needs the hash rate of the pool, and Dash Core."));
      figures.replaceChildren();
      return;
    }
    setText(answer, answerOf(value));
    figures.replaceChildren(comparison(value, symbol()), note(value));
  });
  holder.replaceChildren(form, answer, figures);
}

/** Return whether the pool suits the hash rate, as the answers of p2pool/web/api/calculator.py. */
function answerOf({ fit, answer, pool, alone }) {
  const [share, block] = [duration(pool.share_time), duration(pool.block_time)];
  if (fit === "regular") return t`Yes. You would find a share about every ${share}, and nearly every block would pay you.`;
  if (fit === "bursts") return t`Yes, if irregular payouts do not matter to you. You would find a share about every ${share}; blocks pay you only while one of your shares is among the newest. On average you lose nothing.`;
  if (fit === "rare") return t`Probably not. You would find a share about every ${share}, and most blocks would not pay you. On average you lose nothing, but a pool with an operator pays small miners more regularly.`;
  if (fit === "small_pool") return t`Only if you can wait. At its present size the pool finds a block about every ${block}. On average you lose nothing, and each miner who joins makes blocks more frequent.`;
  if (fit === "alone") return t`You could mine alone: you would find a block about every ${duration(alone.payout_time)}. The pool pays more evenly, for its fee and donation, and nobody holds your money in either case.`;
  return answer;
}

function comparison({ pool, alone, probability }, symbol) {
  const [pooled, own] = [pool, alone].map((each) => periodOf(each, MONTH));
  const rows = [
    [t("Time to a share"), duration(pool.share_time), "–"],
    [t("Time to first payout"), duration(pool.first_payout_time), duration(alone.payout_time)],
    [t("Time between payouts"), duration(pool.payout_time), duration(alone.payout_time)],
    [t("Payouts in 30 days"), payoutsText(pooled), payoutsText(own)],
    [t("Income in 30 days"), incomeText(pooled, symbol), incomeText(own, symbol)],
    [t("Range of the income"), coinRange(pooled, symbol), coinRange(own, symbol)],
  ];
  const head = ["", t("In this pool"), t("Mining alone")].map((text) => (text === "" ? make("td", {}) : make("th", { scope: "col", class: "number" }, text)));
  return make(
    "table",
    { class: "compare" },
    make("caption", { class: "note" }, t`Averages. Payouts and the range of the income: with ${percent(probability, 0)} probability.`),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows.map(([title, ...cells]) => make("tr", {}, make("th", { scope: "row" }, title), ...cells.map((text) => make("td", { class: "number" }, text))))),
  );
}

const note = ({ share_difficulty: shares, pool_hash_rate: rate }) =>
  make("p", { class: "note after" }, t`With your miners the pool would have ${hashRate(rate)} and a share difficulty of ${difficulty(shares)}. The income is on average the same, but for fee and donation: a pool makes it regular, not higher.`);
