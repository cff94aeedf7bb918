// What a reader chose to see in graphs, in the address of the page: graphs.html?range=week&average=1&blocks=0&miner=NAME.
// So a link or a bookmark shows the same again. Other parameters of the address stay as they are.

export const RANGES = ["hour", "day", "week", "month", "year"];
/** The node has no longer names. */
const MAX_NAME = 200;

/**
 * Return what the address asks for: {range, average, blocks, miner}; `range` and `miner` are null if it says nothing.
 * Legacy front ends have links like graphs.html?Week.
 */
export function readChoice(search = location.search) {
  const query = new URLSearchParams(search);
  const words = [query.get("range"), search.slice(1).split("&")[0]].map((word) => word?.toLowerCase());
  const miner = query.get("miner")?.trim().slice(0, MAX_NAME);
  return {
    range: RANGES.find((range) => words.includes(range)) ?? null,
    average: query.get("average") === "1",
    blocks: query.get("blocks") !== "0",
    miner: miner || null,
  };
}

/** Put a choice into the address: null takes a parameter away. */
export function writeChoice(changes) {
  const url = new URL(location.href);
  for (const key of [...url.searchParams.keys()]) {
    if (RANGES.includes(key.toLowerCase()) && url.searchParams.get(key) === "") url.searchParams.delete(key);
  }
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) url.searchParams.delete(key);
    else url.searchParams.set(key, value);
  }
  history.replaceState(history.state, "", url);
}
