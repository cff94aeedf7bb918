// Workers: the address in a name, and the words for rejected submissions.

import { t } from "./language.js";

export const addressOf = (name) => {
  const dot = name.indexOf(".");
  return dot < 0 ? name : name.slice(0, dot);
};

/** Reasons of rejected submissions, as in "3 duplicate". */
export const REASONS = {
  malformed: t("malformed"),
  stale: t("stale"),
  duplicate: t("duplicate"),
  low_difficulty: t("low difficulty"),
  unauthorized: t("unauthorised worker"),
  not_subscribed: t("not subscribed"),
};
