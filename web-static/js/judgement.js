// Why a miner is in its state, and why its difficulty is what it is (/api/v1/miners): the sentences of
// p2pool/pool_stats/judgement.py and difficulty_reason.py, from the codes and figures that the node reports.

import { ago, duration, fixed, hashRate, integer, labelled, listed, percent } from "./format.js";
import { plural, t, told } from "./language.js";

/** Words for a reason, from its figures. @type {Record<string, (facts: any, time: number) => string>} */
const WHY = {
  working: ({ last_accepted: last }, time) => t`It is connected, and its last submission was accepted ${ago(time - (last ?? time))}.`,
  new: () => t("It has connected, and there are too few submissions yet to judge it."),
  reconnected: (facts, time) => t`It has reconnected and submitted nothing since: ${acceptedText(facts, time)}.`,
  below_usual: ({ hash_rate: rate, usual_hash_rate: usual }) => t`Its hash rate is ${hashRate(rate)}; its average of a day is ${hashRate(usual)}.`,
  late: ({ dead_part: part }) => t`${percent(part, 0)} of its work arrives too late to count.`,
  workers_offline: offlineText,
  stale: (facts) => t`${refused(facts)} of its last ${recent(facts)} submissions were rejected, ${ofReason(facts)} of them as stale.`,
  duplicate: (facts) => t`${refused(facts)} of its last ${recent(facts)} submissions were rejected, ${ofReason(facts)} of them as duplicates.`,
  low_difficulty: (facts) => t`${refused(facts)} of its last ${recent(facts)} submissions were rejected, ${ofReason(facts)} of them as below the difficulty.`,
  unauthorized: (facts) => t`${refused(facts)} of its last ${recent(facts)} submissions were rejected, ${ofReason(facts)} of them as from an unauthorised worker.`,
  not_subscribed: (facts) => t`${refused(facts)} of its last ${recent(facts)} submissions were rejected, ${ofReason(facts)} of them as sent before subscribing.`,
  malformed: (facts) => t`${refused(facts)} of its last ${recent(facts)} submissions were rejected, ${ofReason(facts)} of them as malformed.`,
  stopped: (facts, time) => t`It is connected but submits nothing: ${acceptedText(facts, time)}.`,
  never_submitted: ({ first_seen: first }, time) => t`It is connected but has submitted nothing in ${duration(time - first)}.`,
  no_work: () => t("The node has no work for miners at the moment."),
  disconnected: offlineText,
};
/** Workers of an address by their state, but those that are OK. */
const COUNTED = {
  starting: (count) => plural(count, "{0} starting", "{0} starting"),
  slow: (count) => plural(count, "{0} slow", "{0} slow"),
  refused: (count) => plural(count, "{0} rejected", "{0} rejected"),
  silent: (count) => plural(count, "{0} silent", "{0} silent"),
  offline: (count) => plural(count, "{0} offline", "{0} offline"),
};

const refused = ({ recent_refused: count }) => integer(count);
const recent = ({ recent_submissions: count }) => integer(count);
const ofReason = ({ refused_for_reason: count }) => integer(count);

function acceptedText({ last_accepted: last }, time) {
  return last === null ? t("none was ever accepted") : t`the last one was accepted ${ago(time - last)}`;
}

function offlineText(facts, time) {
  return t`It is not connected. Of its submissions, ${acceptedText(facts, time)}.`;
}

/** Return why a miner is in its state. */
export function whyText({ reason, state, why, facts, workers, time }) {
  if (facts === null || facts === undefined || !Object.hasOwn(WHY, reason)) return told(why);
  const text = WHY[reason](facts, time);
  const all = Object.values(workers).reduce((sum, count) => sum + count, 0);
  if (all <= 1) return text;
  if (reason === "disconnected") return t("None of its workers is connected.");
  const others = Object.keys(COUNTED).filter((each) => workers[each] > 0).map((each) => COUNTED[each](workers[each]));
  const sum = others.length === 0 ? plural(all, "All {0} workers are OK.", "All {0} workers are OK.") : t`${integer(workers.ok)} of ${integer(all)} workers OK, ${listed(others)}.`;
  if (state === "ok") return sum;
  const names = listed(facts.workers.map((name) => name || t("the unnamed worker")));
  const more = facts.more_workers > 0 ? t` and ${integer(facts.more_workers)} more` : "";
  return `${sum} ${labelled(names + more, text[0].toLowerCase() + text.slice(1))}`;
}

/** Return why the difficulty of a miner is what it is. */
export function difficultyText({ reason, interval, target_interval: target, why }) {
  const [each, aim] = [interval < 10 ? t`${fixed(interval ?? 0, 1)}\u00a0s` : duration(interval), duration(target)];
  if (reason === "searching") return t("The node is still finding the difficulty that suits the hash rate.");
  if (reason === "share") return t("As hard as a share is: more would cost shares.");
  if (reason === "pace") return t`One submission about every ${each}, near the ${aim} that the node aims at.`;
  if (reason === "high") return t`One submission every ${each} on average. The node aims at ${aim}: the username, the password or the mining software requests this difficulty, or the node allows no lower one.`;
  if (reason === "low") return t`One submission every ${each} on average. The node aims at ${aim}: it is raising the difficulty, or the username fixes it.`;
  if (reason === "highest") return t("The highest of the connected workers; each has one that suits its hash rate.");
  return why;
}
