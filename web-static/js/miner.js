// The state of a miner and what it may expect (/api/v1/miners), in words.

import { byId, setText } from "./dom.js";
import { duration, known, percent, significant } from "./format.js";
import { whyText } from "./judgement.js";
import { t, told } from "./language.js";

/** The states of p2pool/pool_stats/judgement.py, as people read them. */
export const STATES = {
  refused: t("Rejected"),
  silent: t("Silent"),
  slow: t("Slow"),
  starting: t("Starting"),
  ok: t("OK"),
  offline: t("Offline"),
};
/** The groups of states that the node filters by. */
export const STATE_GROUPS = ["ok", "low", "offline"];

/** Show a state in a `.badge`. */
export function showState(node, state) {
  if (node.dataset.state !== state) node.dataset.state = state;
  setText(node, STATES[state] ?? t("Unknown"));
}

/** Show the judgement in the elements `#v-state`, `#v-why` and `#v-advice`. */
export function showVerdict(judged) {
  showState(byId("v-state"), judged.state);
  setText(byId("v-why"), whyText(judged));
  setText(byId("v-advice"), told(judged.advice));
}

/** Return an average time until something happens. */
export const waitText = (seconds) => (known(seconds) ? duration(seconds) : "–");

const coinText = (amount, symbol) => `${significant(Number(amount.dash), 3)} ${symbol}`;

/** Return the average income of a period. */
export const incomeText = (period, symbol) => (period === null ? "–" : coinText(period.amount, symbol));

/** Return in which range the income of a period is. */
export function incomeNote(period, probability, symbol) {
  if (period === null) return t("not known yet");
  const { amount, amount_high: high } = period;
  if (amount.duffs === 0) return t("without a hash rate, nothing is expected");
  if (high.duffs === 0) return t("on average; payouts are so rare that most such periods bring none");
  return t`on average; with ${percent(probability, 0)} probability ${coinRange(period, symbol)}`;
}

/** Return the range of the income of a period. */
export function coinRange(period, symbol) {
  if (period === null) return "–";
  const { amount_low: low, amount_high: high } = period;
  return high.duffs === 0 ? t("mostly none") : t`${significant(Number(low.dash), 3)} to ${coinText(high, symbol)}`;
}

/** Return the range of the number of payouts in a period. */
export function payoutsText(period) {
  if (period === null) return "–";
  const { payouts_low: low, payouts_high: high } = period;
  return low === high ? significant(low) : t`${significant(low)} to ${significant(high)}`;
}

export function payoutsNote(period, probability) {
  if (period === null) return t("not known yet");
  return t`with ${percent(probability, 0)} probability; ${significant(period.payouts, 2)} on average`;
}

/** Return what is expected of a number of days; null if that is not known. */
export const periodOf = (expected, days) => expected?.periods.find((each) => each.days === days) ?? null;
