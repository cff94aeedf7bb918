// How other nodes became known, in words.

import { integer } from "./format.js";

const WORDS = {
  p2pool_node: "--p2pool-node",
  bootstrap: "--bootstrap",
  bootstrap_file: "bootstrap.txt",
  built_in: "built-in list",
  peer: "told by a peer",
  incoming: "came to us",
  remembered: "remembered",
};

const wordOf = (origin) => (Object.hasOwn(WORDS, origin) ? WORDS[origin] : String(origin));

/** Of a node of /api/v1/peers or /api/v1/known_nodes. */
export function originText({ found_by: origin, found_by_name: name }) {
  return name === null || name === undefined ? wordOf(origin) : `${wordOf(origin)}: ${name}`;
}

/** Of counts by origin: "2 told by a peer, 1 built-in list". */
export function originsText(counts) {
  return Object.entries(counts).map(([origin, count]) => `${integer(count)} ${wordOf(origin)}`).join(", ");
}
