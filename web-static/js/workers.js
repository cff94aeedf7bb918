// All workers that the node remembers, got page by page, and put together by address. Pure but for `fetchWorkers`.

import { askJson } from "./api.js";

/** The node tells of no more at once. */
const LIMIT = 500;
/** Workers that a page holds; the node remembers about as many. */
export const MOST_WORKERS = 20000;

/** {workers, total}, or null where the node did not answer as it should; throws where it did not answer at all. */
export async function fetchWorkers(parameters = {}) {
  const workers = new Map();
  let total = 0;
  for (let offset = 0; offset < MOST_WORKERS; offset += LIMIT) {
    // By name, so that what changes between two pages moves as little as possible.
    const query = new URLSearchParams({ sort: "name", order: "asc", limit: LIMIT, offset, ...parameters });
    const { status, value } = await askJson(`api/v1/workers?${query}`);
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

/** One row for each payout address: sums, and the highest difficulty. */
export function byAddress(workers) {
  const rows = new Map();
  for (const worker of workers) {
    const name = addressOf(worker.name);
    const row = rows.get(name);
    if (row === undefined) {
      rows.set(name, { ...worker, name, hash_rates: { ...worker.hash_rates }, refused_by: { ...worker.refused_by }, workers: 1 });
      continue;
    }
    row.workers += 1;
    for (const sum of ["connections", "accepted", "refused", "dead", "shares", "hash_rate", "dead_hash_rate"]) row[sum] += worker[sum];
    for (const group of ["hash_rates", "refused_by"]) {
      for (const [key, value] of Object.entries(worker[group])) row[group][key] = (row[group][key] ?? 0) + value;
    }
    row.difficulty = Math.max(row.difficulty, worker.difficulty);
    row.last_share = Math.max(row.last_share ?? 0, worker.last_share ?? 0) || null;
    row.last_seen = Math.max(row.last_seen, worker.last_seen);
  }
  return [...rows.values()];
}

/** What the reasons of refused submissions are called, as "3 ...". */
export const REASONS = {
  malformed: "malformed",
  stale: "for a stale job",
  duplicate: "sent twice",
  low_difficulty: "below the difficulty",
  unauthorized: "of no authorized worker",
  not_subscribed: "before subscribing",
};
