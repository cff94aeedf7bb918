// Workers: all of them, fetched page by page, and the words for rejected submissions.

import { fetchJson } from "./api.js";
import { t } from "./language.js";

/** The largest page that the node returns. */
const LIMIT = 500;
/** Workers that a page shows at most; the node keeps about as many. */
const MAX_WORKERS = 20000;

/** Return {workers, total}, or null if the node answered with an error. Throw if it did not answer. */
export async function fetchWorkers(parameters = {}) {
  const workers = new Map();
  let total = 0;
  for (let offset = 0; offset < MAX_WORKERS; offset += LIMIT) {
    // Sorted by name, so that as little as possible moves between two pages.
    const query = new URLSearchParams({ sort: "name", order: "asc", limit: String(LIMIT), offset: String(offset), ...parameters });
    const { status, value } = await fetchJson(`api/v1/workers?${query}`);
    if (status !== 200) return null;
    for (const worker of value.workers) workers.set(worker.name, worker);
    total = value.total;
    if (offset + LIMIT >= total) break;
  }
  return { workers: [...workers.values()], total };
}

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
