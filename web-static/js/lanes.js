// Layout of the drawn share chain: the best chain in one line, each fork in a lane above it.

/** Further forks at the same height share the last lane. */
const MAX_LANES = 12;

/**
 * Return the shares with their `column` (0 is the oldest) and `lane` (0 is the best chain). Shares come newest first,
 * children before their parents.
 */
export function placeShares(shares) {
  const byHash = new Map(shares.map((share) => [share.hash, { ...share, lane: null, up: null }]));
  const all = [...byHash.values()];
  for (const share of all) share.up = byHash.get(share.parent) ?? null;
  const best = all.filter(({ in_best_chain: inBest }) => inBest);
  const top = (best[0] ?? all[0])?.height ?? 0;
  /** The occupied spans of columns of each lane. @type {number[][][]} */
  const taken = Array.from({ length: MAX_LANES }, () => []);
  for (const share of best) [share.lane, share.place] = [0, share.height - top];
  for (const head of all) {
    if (head.lane !== null) continue;
    const branch = [];
    for (let at = head; at !== null && at.lane === null; at = at.up) branch.push(at);
    const joint = branch.at(-1).up;
    // A branch whose parent is not shown is placed by height, but never to the right of the latest share.
    const start = joint === null ? Math.min(0, head.height - top) : joint.place + branch.length;
    branch.forEach((share, i) => (share.place = start - i));
    const [low, high] = [start - branch.length, start + 1];
    const free = taken.findIndex((spans, lane) => lane > 0 && spans.every(([from, to]) => to < low || from > high));
    const lane = free < 0 ? MAX_LANES - 1 : free;
    taken[lane].push([low, high]);
    for (const share of branch) share.lane = lane;
  }
  const first = Math.min(0, ...all.map(({ place }) => place));
  for (const share of all) share.column = share.place - first;
  return all;
}
