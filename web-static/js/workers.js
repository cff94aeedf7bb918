// All workers that the node knows, fetched page by page, and their sums by address. Pure except for `fetchWorkers`.

import { fetchJson } from "./api.js";
import { worstState } from "./miner.js";

/** The largest page that the node returns. */
const LIMIT = 500;
/** Workers that a page shows at most; the node keeps about as many. */
export const MAX_WORKERS = 20000;

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

/** A hash rate that may be so many times what is estimated is still being estimated, as the node has it. */
const CERTAIN = 1.7;

/** Return what a worker adds to its address if it is connected. */
const connected = ({ connections, difficulty }) => (connections > 0 ? { workers: 1, difficulty } : { workers: 0, difficulty: 0 });

/** Return a row for each address: the sums of its workers, their worst state, how many of them are connected, and the highest difficulty of those. */
export function byAddress(workers) {
  const rows = new Map();
  for (const worker of workers) {
    const name = addressOf(worker.name);
    const row = rows.get(name);
    const [below, above] = [worker.hash_rate - worker.hash_rate_low, worker.hash_rate_high - worker.hash_rate];
    if (row === undefined) {
      rows.set(name, { ...worker, name, below, above, hash_rates: { ...worker.hash_rates }, refused_by: { ...worker.refused_by }, ...connected(worker) });
      continue;
    }
    const { workers, difficulty } = connected(worker);
    row.workers += workers;
    row.difficulty = Math.max(row.difficulty, difficulty);
    row.below = Math.hypot(row.below, below);
    row.above = Math.hypot(row.above, above);
    for (const sum of ["connections", "accepted", "refused", "dead", "shares", "hash_rate", "dead_hash_rate"]) row[sum] += worker[sum];
    for (const group of ["hash_rates", "refused_by"]) {
      for (const [key, value] of Object.entries(worker[group])) row[group][key] = (row[group][key] ?? 0) + value;
    }
    row.last_share = Math.max(row.last_share ?? 0, worker.last_share ?? 0) || null;
    row.state = worstState(row.state, worker.state);
    row.last_seen = Math.max(row.last_seen, worker.last_seen);
  }
  for (const row of rows.values()) {
    row.hash_rate_low = Math.max(0, row.hash_rate - row.below);
    row.hash_rate_high = row.hash_rate + row.above;
    row.estimating = row.hash_rate_high > CERTAIN * row.hash_rate;
  }
  return [...rows.values()];
}

/** Reasons of rejected submissions, as in "3 duplicate". */
export const REASONS = {
  malformed: "malformed",
  stale: "stale",
  duplicate: "duplicate",
  low_difficulty: "low difficulty",
  unauthorized: "unauthorised worker",
  not_subscribed: "not subscribed",
};
