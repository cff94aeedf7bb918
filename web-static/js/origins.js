// How the node learned of other nodes, in words.

import { integer, labelled, listed } from "./format.js";
import { t } from "./language.js";

const WORDS = {
  p2pool_node: "--p2pool-node",
  bootstrap: "--bootstrap",
  bootstrap_file: "bootstrap.txt",
  built_in: t("built-in list"),
  peer: t("peer exchange"),
  incoming: t("incoming"),
  remembered: t("saved address"),
};

const wordOf = (origin) => (Object.hasOwn(WORDS, origin) ? WORDS[origin] : String(origin));

/** Return the origin of a node of /api/v1/peers or /api/v1/known_nodes. */
export function originText({ found_by: origin, found_by_name: name }) {
  return name === null || name === undefined ? wordOf(origin) : labelled(wordOf(origin), name);
}

/** Return counts by origin as "peer exchange (2), built-in list (1)". */
export function originsText(counts) {
  return listed(Object.entries(counts).map(([origin, count]) => `${wordOf(origin)} (${integer(count)})`));
}
