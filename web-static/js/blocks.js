// Columns of tables of blocks, for the pages that list them.

import { copyValue, make, setText } from "./dom.js";
import { duration, integer, known, percent, shortHash } from "./format.js";

/** What a block's status means. */
export const STATUS = {
  accepted: "In the chain; its coins can be spent after 100 confirmations",
  confirmed: "In the chain for good: its coins can be spent",
  orphaned: "Valid, but another block took its place",
  refused: "Refused by Dash Core",
  sent: "Sent, but not in the chain yet",
};

/** What became of a block: {status, reason, confirmations, chainlock}. */
export const statusColumn = {
  title: "Status",
  create: () => make("span", { class: "status" }),
  update: (cell, { status, reason, confirmations, chainlock }) => {
    const node = cell.firstElementChild;
    node.className = `status ${Object.hasOwn(STATUS, status) ? status : ""}`;
    node.title = (STATUS[status] ?? "") + (reason ? `: ${reason}` : "");
    const depth = confirmations > 0 ? `, ${integer(confirmations)} deep${chainlock ? ", ChainLock" : ""}` : "";
    const why = (status === "refused" || status === "orphaned") && reason ? `: ${reason}` : "";
    setText(node, status + depth + why);
  },
};

/** The block's hash; with `explorer`, an address that a hash is put behind, it leads there. */
export const hashColumn = (explorer = () => "") => ({
  title: "Block hash",
  create: ({ hash }) => {
    const start = explorer();
    if (!/^https:\/\//.test(start)) return copyValue(hash, shortHash(hash), "block hash");
    const attributes = { href: start + encodeURIComponent(hash), rel: "noreferrer noopener", target: "_blank", class: "mono", title: hash };
    return make("a", attributes, shortHash(hash), make("span", { class: "unseen" }, " in a block explorer, in a new tab"));
  },
});

/** How long a round took, of what was to be expected. */
export function roundText({ time_to_find: took, expected_time: expected }) {
  if (!known(took)) return "–";
  return known(expected) ? `${duration(took)} of ${duration(expected)}` : duration(took);
}

/** Luck in percent, as the node tells it. */
export const luckText = (luck) => (known(luck) ? percent(luck / 100, 0) : "–");
